// SPDX-License-Identifier: GPL-2.0-or-later
/* thp-minimal: every operation of the family, and the kernel's own behaviour in each. */
#include "tide_thp.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/orders")
int BPF_PROG(thp_minimal_orders, struct tide_thp_request *request)
{
	return request->orders;
}

SEC("struct_ops/visit")
int BPF_PROG(thp_minimal_visit, struct tide_thp_visit *visit)
{
	return TIDE_THP_NO_LIMIT;
}

SEC("struct_ops/collapse")
int BPF_PROG(thp_minimal_collapse, struct tide_thp_collapse *collapse)
{
	return 1;
}

SEC("struct_ops/exit")
void BPF_PROG(thp_minimal_exit, struct tide_exit *exit)
{
}

SEC(".struct_ops.link")
POLICY_ABOUT("what the kernel does by itself")
struct tide_thp_ops thp_minimal = {
	.orders = (void *)thp_minimal_orders,
	.visit = (void *)thp_minimal_visit,
	.collapse = (void *)thp_minimal_collapse,
	.exit = (void *)thp_minimal_exit,
	.name = "thp_minimal",
};
