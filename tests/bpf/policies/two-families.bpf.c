// SPDX-License-Identifier: GPL-2.0-or-later
/* two-families: one file with an ops table for each of two families; they are attached together. */
#include "tide_ksm.h"
#include "tide_thp.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/two_merge")
int BPF_PROG(two_merge, struct tide_ksm_page *page)
{
	return 1;
}

SEC("struct_ops/two_orders")
int BPF_PROG(two_orders, struct tide_thp_request *request)
{
	return request->orders;
}

SEC(".struct_ops.link")
POLICY_ABOUT("what the kernel does by itself, for two families")
struct tide_ksm_ops two_ksm = {
	.merge = (void *)two_merge,
	.domain = 1,
	.name = "two_ksm",
};

SEC(".struct_ops.link")
struct tide_thp_ops two_thp = {
	.orders = (void *)two_orders,
	.name = "two_thp",
};
