// SPDX-License-Identifier: GPL-2.0-or-later
/* bad-knob: a default that its own range does not allow. */
#include "tide_balance_bpf.h"

char LICENSE[] SEC("license") = "GPL";

KNOB(__u32, percent, 200, 0, 100, "more than there is");

SEC("syscall")
int balance(void *unused)
{
	return percent == 201;
}
