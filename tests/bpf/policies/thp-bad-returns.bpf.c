// SPDX-License-Identifier: GPL-2.0-or-later
/* thp-bad-returns: answers outside the contract only.  Clamped, they are what the kernel does by itself. */
#include "tide_thp.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/orders")
int BPF_PROG(thp_bad_returns_orders, struct tide_thp_request *request)
{
	return -1;
}

SEC("struct_ops/visit")
int BPF_PROG(thp_bad_returns_visit, struct tide_thp_visit *visit)
{
	return -4096;
}

SEC("struct_ops/collapse")
int BPF_PROG(thp_bad_returns_collapse, struct tide_thp_collapse *collapse)
{
	return 2;
}

SEC(".struct_ops.link")
struct tide_thp_ops thp_bad_returns = {
	.orders = (void *)thp_bad_returns_orders,
	.visit = (void *)thp_bad_returns_visit,
	.collapse = (void *)thp_bad_returns_collapse,
	.name = "thp_bad_returns",
};
