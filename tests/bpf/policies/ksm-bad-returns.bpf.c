// SPDX-License-Identifier: GPL-2.0-or-later
/* ksm-bad-returns: answers outside the contract only.  Clamped, they are what KSM does by itself, at full pace. */
#include "tide_ksm.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/visit")
int BPF_PROG(ksm_bad_returns_visit, struct tide_ksm_visit *visit)
{
	return -4096;
}

SEC("struct_ops/range")
int BPF_PROG(ksm_bad_returns_range, struct tide_ksm_range *range)
{
	return 2;
}

SEC("struct_ops/merge")
int BPF_PROG(ksm_bad_returns_merge, struct tide_ksm_page *page)
{
	return 0x7fffffff;
}

SEC("struct_ops/pace")
int BPF_PROG(ksm_bad_returns_pace, struct tide_ksm_pace *pace)
{
	return TIDE_KSM_PACE_MAX + 1;
}

SEC(".struct_ops.link")
struct tide_ksm_ops ksm_bad_returns = {
	.visit = (void *)ksm_bad_returns_visit,
	.range = (void *)ksm_bad_returns_range,
	.merge = (void *)ksm_bad_returns_merge,
	.pace = (void *)ksm_bad_returns_pace,
	.domain = 1,
	.name = "ksm_bad_returns",
};
