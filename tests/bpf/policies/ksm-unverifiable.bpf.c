// SPDX-License-Identifier: GPL-2.0-or-later
/* ksm-unverifiable: reads behind its argument, which the kernel does not load. */
#include "tide_ksm.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/visit")
int BPF_PROG(ksm_unverifiable_visit, struct tide_ksm_visit *visit)
{
	const __u64 *words = (const void *)visit;

	return words[sizeof(*visit) / sizeof(*words) + 64] & 1;
}

SEC(".struct_ops.link")
struct tide_ksm_ops ksm_unverifiable = {
	.visit = (void *)ksm_unverifiable_visit,
	.domain = 1,
	.name = "ksm_unverified",
};
