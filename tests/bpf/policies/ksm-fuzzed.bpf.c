// SPDX-License-Identifier: GPL-2.0-or-later
/* ksm-fuzzed: random answers from every operation. */
#include "tide_ksm.h"
#include "any-answer.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/visit")
int BPF_PROG(ksm_fuzzed_visit, struct tide_ksm_visit *visit)
{
	return any_answer(1024);
}

SEC("struct_ops/range")
int BPF_PROG(ksm_fuzzed_range, struct tide_ksm_range *range)
{
	return any_answer(1);
}

SEC("struct_ops/merge")
int BPF_PROG(ksm_fuzzed_merge, struct tide_ksm_page *page)
{
	return any_answer(1);
}

SEC("struct_ops/pace")
int BPF_PROG(ksm_fuzzed_pace, struct tide_ksm_pace *pace)
{
	return any_answer(TIDE_KSM_PACE_MAX);
}

SEC(".struct_ops.link")
struct tide_ksm_ops ksm_fuzzed = {
	.visit = (void *)ksm_fuzzed_visit,
	.range = (void *)ksm_fuzzed_range,
	.merge = (void *)ksm_fuzzed_merge,
	.pace = (void *)ksm_fuzzed_pace,
	.domain = 1,
	.name = "ksm_fuzzed",
};
