// SPDX-License-Identifier: GPL-2.0-or-later
/* Answers what a test says, through shared memory, and counts what it is asked. */
#include "tide_thp.h"
#include "../../host-kernel/thp-steered.h"

char LICENSE[] SEC("license") = "GPL";

struct thp_steering steering = {
	.fault_orders = ~0ULL,
	.khugepaged_orders = ~0ULL,
	.visit = TIDE_THP_NO_LIMIT,
	.collapse = 1,
};

/* Faults are on all CPUs at once. */
static void count(unsigned long long *counter)
{
	__sync_fetch_and_add(counter, 1);
}

SEC("struct_ops/steered_orders")
int BPF_PROG(steered_orders, struct tide_thp_request *request)
{
	if (!request->orders || request->start >= request->end)
		count(&steering.senseless);
	if (request->flags & TIDE_THP_ADVISED)
		count(&steering.advised);
	if (request->flags & TIDE_THP_KHUGEPAGED) {
		count(&steering.khugepaged_asked);
		return request->orders & steering.khugepaged_orders;
	}
	count(&steering.faults_asked);
	__sync_fetch_and_or(&steering.offered, request->orders);
	return request->orders & steering.fault_orders;
}

SEC("struct_ops/steered_visit")
int BPF_PROG(steered_visit, struct tide_thp_visit *visit)
{
	if (steering.visits && visit->mm_id == steering.mm_id && visit->pass == steering.pass)
		count(&steering.senseless);
	steering.visits++;
	steering.mm_id = visit->mm_id;
	steering.pass = visit->pass;
	steering.anon_pages = visit->anon_pages;
	steering.window = visit->scope->window;
	steering.usage_pages = visit->scope->usage_pages;
	steering.in_visit = 0;
	return steering.visit;
}

SEC("struct_ops/steered_collapse")
int BPF_PROG(steered_collapse, struct tide_thp_collapse *collapse)
{
	__u64 number = (collapse->address - steering.base) >> 21;

	if (collapse->mm_id != steering.mm_id || collapse->pass != steering.pass)
		count(&steering.senseless);
	if (number < 64)
		steering.candidates_at |= 1ULL << number;
	steering.candidates++;
	if (++steering.in_visit > steering.in_visit_max)
		steering.in_visit_max = steering.in_visit;
	steering.present = collapse->present;
	steering.swapped = collapse->swapped;
	steering.shared = collapse->shared;
	steering.young = collapse->young;
	return steering.collapse;
}

SEC("struct_ops/steered_exit")
void BPF_PROG(steered_exit, struct tide_exit *exit)
{
	bpf_probe_read_kernel_str(steering.exit_reason, sizeof(steering.exit_reason), exit->reason);
	steering.exit_kind = exit->kind;
}

SEC(".struct_ops.link")
struct tide_thp_ops steered = {
	.orders = (void *)steered_orders,
	.visit = (void *)steered_visit,
	.collapse = (void *)steered_collapse,
	.exit = (void *)steered_exit,
	.name = "thp_steered",
};
