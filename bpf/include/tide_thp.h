/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Family thp, for policies: what page faults and khugepaged ask, and the table of answers.  What each operation
 * means, and what it may return, is told in the kernel's include/linux/tide_ops.h.
 *
 * `orders` is called in page faults, on all CPUs at once; `visit` and `collapse` by khugepaged only, so one at a
 * time.
 */
#ifndef TIDE_THP_H
#define TIDE_THP_H

#include "tide_hooks.h"

#define TIDE_THP_ADVISED	(1U << 0)
#define TIDE_THP_KHUGEPAGED	(1U << 1)
#define TIDE_THP_NO_LIMIT	(-1)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct tide_thp_request {
	const struct tide_snapshot *scope;
	__u64 start;
	__u64 end;
	__u64 orders;
	__u32 flags;
};

struct tide_thp_visit {
	const struct tide_snapshot *scope;
	__u64 mm_id;
	__u64 pass;
	__u64 anon_pages;
};

struct tide_thp_collapse {
	const struct tide_snapshot *scope;
	__u64 mm_id;
	__u64 pass;
	__u64 address;
	__u32 present;
	__u32 swapped;
	__u32 shared;
	__u32 young;
};

/* Data members are knobs, too: the loader sets them in the table, by name. */
struct tide_thp_ops {
	int (*orders)(struct tide_thp_request *request);
	int (*visit)(struct tide_thp_visit *visit);
	int (*collapse)(struct tide_thp_collapse *collapse);
	void (*exit)(struct tide_exit *exit);
	__u64 cgroup_id;
	__u32 flags;
	char name[TIDE_NAME_LEN];	/* letters, digits, '_' and '.' */
};

#pragma clang attribute pop

#endif /* TIDE_THP_H */
