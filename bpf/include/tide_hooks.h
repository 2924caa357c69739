/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What policies for the kernel's hooks have in common, whatever their family: the state of their scope, and the record
 * of their end.  What each member means is told in the kernel's include/linux/tide_ops.h.
 *
 * Written by hand and relocated when it is loaded (CO-RE): a policy needs the members that it uses, whatever else
 * the kernel's structures have by then.  A family's own header includes this one.
 */
#ifndef TIDE_HOOKS_H
#define TIDE_HOOKS_H

#include "tide_bpf.h"
#include "tide_knob.h"

#include <bpf/bpf_tracing.h>

#define TIDE_NAME_LEN		16
#define TIDE_REASON_LEN		64

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct tide_exit {
	__u32 kind;
	__u32 family;
	__u64 cgroup_id;
	char name[TIDE_NAME_LEN];
	char reason[TIDE_REASON_LEN];
};

struct tide_snapshot {
	__u64 window;
	__u64 window_ns;
	__u64 some_ns;
	__u64 full_ns;
	__u64 usage_pages;
	__u64 limit_pages;
};

#pragma clang attribute pop

#endif /* TIDE_HOOKS_H */
