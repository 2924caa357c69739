// SPDX-License-Identifier: GPL-2.0-or-later
/* ksm-veto-all: has ksmd scan everything and lets it merge nothing.  The guard's tally ends that. */
#include "tide_ksm.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/merge")
int BPF_PROG(ksm_veto_all_merge, struct tide_ksm_page *page)
{
	return 0;
}

SEC(".struct_ops.link")
struct tide_ksm_ops ksm_veto_all = {
	.merge = (void *)ksm_veto_all_merge,
	.domain = 1,
	.name = "ksm_veto_all",
};
