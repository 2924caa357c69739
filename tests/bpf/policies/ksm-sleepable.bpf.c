// SPDX-License-Identifier: GPL-2.0-or-later
/* ksm-sleepable: an operation that says it may sleep, which none may. */
#include "tide_ksm.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops.s/visit")
int BPF_PROG(ksm_sleepable_visit, struct tide_ksm_visit *visit)
{
	return TIDE_KSM_NO_LIMIT;
}

SEC(".struct_ops.link")
struct tide_ksm_ops ksm_sleepable = {
	.visit = (void *)ksm_sleepable_visit,
	.domain = 1,
	.name = "ksm_sleepable",
};
