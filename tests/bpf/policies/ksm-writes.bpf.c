// SPDX-License-Identifier: GPL-2.0-or-later
/* ksm-writes: changes an argument, and arguments are read only. */
#include "tide_ksm.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/range")
int BPF_PROG(ksm_writes_range, struct tide_ksm_range *range)
{
	range->end = range->start;
	return 1;
}

SEC(".struct_ops.link")
struct tide_ksm_ops ksm_writes = {
	.range = (void *)ksm_writes_range,
	.domain = 1,
	.name = "ksm_writes",
};
