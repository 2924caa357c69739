/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Family ksm, for policies: what ksmd asks, and the table of answers.  What each operation means, and what it may
 * return, is told in the kernel's include/linux/tide_ops.h.
 *
 * All operations but `exit` are called by ksmd only, so one at a time.
 */
#ifndef TIDE_KSM_H
#define TIDE_KSM_H

#include "tide_hooks.h"

#define TIDE_KSM_RANGE_SHIFT	21
#define TIDE_KSM_NO_LIMIT	(-1)
#define TIDE_KSM_PACE_MAX	30000
#define TIDE_KSM_IN_HUGE_PAGE	(1U << 0)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct tide_ksm_visit {
	const struct tide_snapshot *scope;
	__u64 mm_id;
	__u64 pass;
	__u64 tracked_pages;
	__u64 merged_pages;
};

struct tide_ksm_range {
	__u64 mm_id;
	__u64 pass;
	__u64 start;
	__u64 end;
};

struct tide_ksm_page {
	__u64 mm_id;
	__u64 pass;
	__u64 address;
	__u32 unchanged;
	__u32 flags;
	__u32 age;
};

struct tide_ksm_pace {
	const struct tide_snapshot *scope;
	__u64 pages_to_scan;
	__u64 scanned;
	__u64 made;
	__u64 broken;
};

/* Data members are knobs, too: the loader sets them in the table, by name. */
struct tide_ksm_ops {
	int (*visit)(struct tide_ksm_visit *visit);
	int (*range)(struct tide_ksm_range *range);
	int (*merge)(struct tide_ksm_page *page);
	void (*merged)(struct tide_ksm_page *page);
	void (*broken)(struct tide_ksm_page *page);
	int (*pace)(struct tide_ksm_pace *pace);
	void (*exit)(struct tide_exit *exit);
	__u64 cgroup_id;
	__u64 domain __attribute__((btf_decl_tag("knob:about:pages merge within a domain only, 0 never")));
	__u32 flags;
	char name[TIDE_NAME_LEN];	/* letters, digits, '_' and '.' */
};

#pragma clang attribute pop

#endif /* TIDE_KSM_H */
