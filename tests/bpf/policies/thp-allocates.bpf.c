// SPDX-License-Identifier: GPL-2.0-or-later
/* thp-allocates: counts in a map that allocates when it is written to, in a page fault, which the kernel refuses. */
#include "tide_thp.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u64);
} mappings SEC(".maps");

SEC("struct_ops/orders")
int BPF_PROG(thp_allocates_orders, struct tide_thp_request *request)
{
	__u64 start = request->start, orders = request->orders;

	bpf_map_update_elem(&mappings, &start, &orders, BPF_ANY);
	return orders;
}

SEC(".struct_ops.link")
struct tide_thp_ops thp_allocates = {
	.orders = (void *)thp_allocates_orders,
	.name = "thp_allocates",
};
