// SPDX-License-Identifier: GPL-2.0-or-later
/* minimal: the least that is a balance policy.  Leaves everything as it is, and has a knob of each kind. */
#include "tide_balance_bpf.h"

char LICENSE[] SEC("license") = "GPL";

KNOB(bool, flag, true, 0, 1, "a truth value");
KNOB(__s16, offset, -5, -300, 300, "a signed number");
KNOB(__u64, bytes, 1048576, 4096, 1099511627776, "a size");
const volatile __u8 plain = 7;

SEC("syscall")
int balance(void *unused)
{
	struct balance_table *t = balance_table();

	if (!t)
		return 1;
	t->state[0] = flag;
	t->state[1] = offset;
	t->state[2] = bytes;
	t->state[3] = plain;
	t->state[4]++;
	return 0;
}
