// SPDX-License-Identifier: GPL-2.0-or-later
/* ksm-minimal: every operation of the family, and the kernel's own behaviour in each. */
#include "tide_ksm.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/visit")
int BPF_PROG(ksm_minimal_visit, struct tide_ksm_visit *visit)
{
	return TIDE_KSM_NO_LIMIT;
}

SEC("struct_ops/range")
int BPF_PROG(ksm_minimal_range, struct tide_ksm_range *range)
{
	return 1;
}

SEC("struct_ops/merge")
int BPF_PROG(ksm_minimal_merge, struct tide_ksm_page *page)
{
	return 1;
}

SEC("struct_ops/merged")
void BPF_PROG(ksm_minimal_merged, struct tide_ksm_page *page)
{
}

SEC("struct_ops/broken")
void BPF_PROG(ksm_minimal_broken, struct tide_ksm_page *page)
{
}

SEC("struct_ops/pace")
int BPF_PROG(ksm_minimal_pace, struct tide_ksm_pace *pace)
{
	return min(max(pace->pages_to_scan, 1), TIDE_KSM_PACE_MAX);
}

SEC("struct_ops/exit")
void BPF_PROG(ksm_minimal_exit, struct tide_exit *exit)
{
}

SEC(".struct_ops.link")
POLICY_ABOUT("what KSM does by itself, within a domain")
struct tide_ksm_ops ksm_minimal = {
	.visit = (void *)ksm_minimal_visit,
	.range = (void *)ksm_minimal_range,
	.merge = (void *)ksm_minimal_merge,
	.merged = (void *)ksm_minimal_merged,
	.broken = (void *)ksm_minimal_broken,
	.pace = (void *)ksm_minimal_pace,
	.exit = (void *)ksm_minimal_exit,
	.domain = 1,
	.name = "ksm_minimal",
};
