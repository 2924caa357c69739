// SPDX-License-Identifier: GPL-2.0-or-later
/* ksm-timer: has a timer run later, which allocates and outlives being in force; the kernel does not load it. */
#include "tide_ksm.h"

#define CLOCK_MONOTONIC	1

char LICENSE[] SEC("license") = "GPL";

/* As in the kernel's include/uapi/linux/bpf.h. */
struct bpf_timer {
	__u64 __opaque[2];
} __attribute__((aligned(8)));

struct timer_value {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct timer_value);
} timers SEC(".maps");

SEC("struct_ops/visit")
int BPF_PROG(ksm_timer_visit, struct tide_ksm_visit *visit)
{
	__u32 zero = 0;
	struct timer_value *value = bpf_map_lookup_elem(&timers, &zero);

	if (value)
		bpf_timer_init(&value->timer, &timers, CLOCK_MONOTONIC);
	return TIDE_KSM_NO_LIMIT;
}

SEC(".struct_ops.link")
struct tide_ksm_ops ksm_timer = {
	.visit = (void *)ksm_timer_visit,
	.cgroup_id = 1,
	.domain = 1,
	.name = "ksm_timer",
};
