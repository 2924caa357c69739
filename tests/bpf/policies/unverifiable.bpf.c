// SPDX-License-Identifier: GPL-2.0-or-later
/* unverifiable: reaches behind the table, which the kernel does not load. */
#include "tide_balance_bpf.h"

char LICENSE[] SEC("license") = "GPL";

SEC("syscall")
int balance(void *unused)
{
	struct balance_table *t = balance_table();

	if (!t)
		return 0;
	t->vm[t->host.nr_vms].new_target = 0;
	return 0;
}
