// SPDX-License-Identifier: GPL-2.0-or-later
/* gives-up: answers, and then says that its answers are worth nothing. */
#include "tide_balance_bpf.h"

char LICENSE[] SEC("license") = "GPL";

SEC("syscall")
int balance(void *unused)
{
	struct balance_vm *vm = balance_row(0);

	if (vm)
		vm->reason = BALANCE_SHRINK_IDLE;
	return -7;
}
