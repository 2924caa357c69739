// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * thp-maximal: every operation, every argument, maps, and answers by chance: those that the contract allows, and
 * those that it does not.  The kernel has to live with it.
 */
#include "tide_thp.h"

char LICENSE[] SEC("license") = "GPL";

enum { ORDERS, VISITS, COLLAPSES, NR_COUNTS };

/* By operation.  Faults are on all CPUs at once. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

/* Of each mm, the pass that came by last. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, __u64);
} passes SEC(".maps");

/* What was read ends up here, or the compiler leaves the reading out. */
__u64 seen;
struct tide_exit last_exit;

/* Around @low to @high, and once in a while anything. */
static int chance(int low, int high)
{
	__u32 dice = bpf_get_prandom_u32();

	if (dice % 8 == 0)
		return bpf_get_prandom_u32();
	return low - 1 + (int)(dice / 8 % (high - low + 3));
}

static void count(__u32 what)
{
	__u64 *counter = bpf_map_lookup_elem(&counts, &what);

	if (counter)
		(*counter)++;
}

static void look_at_scope(const struct tide_snapshot *scope)
{
	seen += scope->window + scope->window_ns + scope->some_ns + scope->full_ns;
	seen += scope->usage_pages + scope->limit_pages;
}

SEC("struct_ops/orders")
int BPF_PROG(thp_maximal_orders, struct tide_thp_request *request)
{
	__u32 dice = bpf_get_prandom_u32();

	count(ORDERS);
	look_at_scope(request->scope);
	seen += request->start + request->end + request->flags;
	return dice % 8 ? request->orders & (dice >> 3) : dice;
}

SEC("struct_ops/visit")
int BPF_PROG(thp_maximal_visit, struct tide_thp_visit *visit)
{
	__u64 mm_id = visit->mm_id, pass = visit->pass;

	count(VISITS);
	look_at_scope(visit->scope);
	seen += visit->anon_pages;
	bpf_map_update_elem(&passes, &mm_id, &pass, BPF_ANY);
	return chance(TIDE_THP_NO_LIMIT, 2000);
}

SEC("struct_ops/collapse")
int BPF_PROG(thp_maximal_collapse, struct tide_thp_collapse *collapse)
{
	__u64 mm_id = collapse->mm_id;

	count(COLLAPSES);
	look_at_scope(collapse->scope);
	seen += collapse->pass + collapse->address;
	seen += collapse->present + collapse->swapped + collapse->shared + collapse->young;
	if (!bpf_map_lookup_elem(&passes, &mm_id))
		return 0;
	return chance(0, 1);
}

SEC("struct_ops/exit")
void BPF_PROG(thp_maximal_exit, struct tide_exit *exit)
{
	bpf_probe_read_kernel(&last_exit, sizeof(last_exit), exit);
}

SEC(".struct_ops.link")
POLICY_ABOUT("answers by chance, within the contract and beyond it")
struct tide_thp_ops thp_maximal = {
	.orders = (void *)thp_maximal_orders,
	.visit = (void *)thp_maximal_visit,
	.collapse = (void *)thp_maximal_collapse,
	.exit = (void *)thp_maximal_exit,
	.name = "thp_maximal",
};
