// SPDX-License-Identifier: GPL-2.0-or-later
/* thp-fuzzed: random answers from every operation. */
#include "tide_thp.h"
#include "any-answer.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/orders")
int BPF_PROG(thp_fuzzed_orders, struct tide_thp_request *request)
{
	return any_answer(1023);
}

SEC("struct_ops/visit")
int BPF_PROG(thp_fuzzed_visit, struct tide_thp_visit *visit)
{
	return any_answer(2048);
}

SEC("struct_ops/collapse")
int BPF_PROG(thp_fuzzed_collapse, struct tide_thp_collapse *collapse)
{
	return any_answer(1);
}

SEC(".struct_ops.link")
struct tide_thp_ops thp_fuzzed = {
	.orders = (void *)thp_fuzzed_orders,
	.visit = (void *)thp_fuzzed_visit,
	.collapse = (void *)thp_fuzzed_collapse,
	.name = "thp_fuzzed",
};
