// SPDX-License-Identifier: GPL-2.0-or-later
/* ksm-nameless: does not say what it is called, and nobody would know whom an exit record is about. */
#include "tide_ksm.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/merge")
int BPF_PROG(ksm_nameless_merge, struct tide_ksm_page *page)
{
	return 1;
}

SEC(".struct_ops.link")
struct tide_ksm_ops ksm_nameless = {
	.merge = (void *)ksm_nameless_merge,
	.domain = 1,
};
