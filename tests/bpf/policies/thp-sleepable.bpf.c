// SPDX-License-Identifier: GPL-2.0-or-later
/* thp-sleepable: an operation that says it may sleep, which none may. */
#include "tide_thp.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops.s/orders")
int BPF_PROG(thp_sleepable_orders, struct tide_thp_request *request)
{
	return request->orders;
}

SEC(".struct_ops.link")
struct tide_thp_ops thp_sleepable = {
	.orders = (void *)thp_sleepable_orders,
	.name = "thp_sleepable",
};
