// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * thp-pressure: huge pages while there is memory for them, small folios while tasks wait for it.
 *
 * What it does.  A huge page makes a guest's memory faster to reach, and costs all of its 2 MiB, whatever the guest
 * uses of it.  That is a bargain until the cgroup runs into its limit: from then on each huge page pushes out memory
 * that is used, to make room for memory that may not be.  So this policy looks at how long tasks of its cgroup waited
 * for memory in the last window of a few seconds (PSI, "some"):
 *
 *   - enter_permille of it or more, and the cgroup stalls
 *   - leave_permille of it or less, calm_windows times in a row, and it stalls no longer
 *
 * In between it stays as it was.  While it stalls, page faults get folios of 2^stalled_order pages at most,
 * khugepaged scans stalled_scan pages of a VM in a pass, and of what it finds there it makes huge what has no more
 * than max_absent pages missing: those would be allocated, or read from swap.  A huge page that is all there costs
 * nothing but the copy.  Otherwise all is as sysfs and madvise() say.
 *
 * The windows are the snapshot's.  Whoever is first to see a new one, in a fault on any CPU or in khugepaged, works
 * out what it means and puts that in the place of what was known, in one step.  Two that do so at once have worked
 * out the same, and who still looks at the window before takes what is known already.
 *
 * Where it works: VMs that are held to less than they would like, by memory.high or by a balloon, and guests that
 * touch their memory here and there; with sizes such as hugepages-64kB allowed in sysfs, which take most of what
 * huge pages gain for a small part of their cost.
 *
 * Where it fails.  What is huge stays huge, so the first relief is that it does not get worse; memory that is used
 * up in less than a window is used up before this policy has seen anything.  A guest that fills all that it touches
 * wastes nothing with huge pages, and only loses their speed.  Pressure of the whole host, or of a cgroup above,
 * counts only in so far as tasks of this cgroup wait.  Windows in which nobody faults and khugepaged does not come by
 * are not seen: a cgroup that rests after it has stalled begins again with small folios, for calm_windows windows.
 * On a kernel without PSI, or with it switched off, nobody ever waits and this policy does nothing.  Memory that a
 * guest has given to its host is made huge again by khugepaged when that may fill in what is missing: outside of
 * pressure that is up to sysfs (khugepaged/max_ptes_none), as it is without a policy.
 */
#include "tide_thp.h"
#include "thp-stall.h"

char LICENSE[] SEC("license") = "GPL";

KNOB(__u32, enter_permille, 50, 1, 1000, "of a window that tasks wait for memory: from here on folios are small");
KNOB(__u32, leave_permille, 10, 0, 1000, "of a window that tasks wait for memory: up to here it counts as calm");
KNOB(__u32, calm_windows, 4, 1, 1000, "calm windows in a row, of a few seconds each, until huge pages are used again");
KNOB(__u32, stalled_order, 4, 0, 8, "largest folio while it stalls, 2^N pages, where sysfs allows it");
KNOB(__u32, stalled_scan, 512, 0, 2147483647, "pages of a VM that khugepaged scans in a pass while it stalls");
KNOB(__u32, max_absent, 64, 0, 512, "of 512 pages, how many may be missing where khugepaged makes them huge meanwhile");

/* What is known of the scope: see thp-stall.h. */
volatile __u64 state;

static bool stalls(const struct tide_snapshot *scope)
{
	const struct stall_limits limits = { enter_permille, leave_permille, calm_windows };
	struct stall_window window = { .number = scope->window };
	__u64 known = state, next, found;

	if (!stall_is_new(known, window.number))
		return stall_is_on(known);
	window.length_ns = scope->window_ns;
	window.stalled_ns = scope->some_ns;
	next = stall_next(known, &window, &limits);
	found = __sync_val_compare_and_swap(&state, known, next);
	/* where another CPU was faster, what it has found is the same, or newer */
	return stall_is_on(found == known ? next : found);
}

SEC("struct_ops/orders")
int BPF_PROG(thp_pressure_orders, struct tide_thp_request *request)
{
	__u64 orders = request->orders;

	/* khugepaged is held back by what follows: what is all there may become huge at any time */
	if (request->flags & TIDE_THP_KHUGEPAGED)
		return orders;
	return stalls(request->scope) ? stall_orders(orders, stalled_order) : orders;
}

SEC("struct_ops/visit")
int BPF_PROG(thp_pressure_visit, struct tide_thp_visit *visit)
{
	return stalls(visit->scope) ? (int)stalled_scan : TIDE_THP_NO_LIMIT;
}

SEC("struct_ops/collapse")
int BPF_PROG(thp_pressure_collapse, struct tide_thp_collapse *collapse)
{
	return !stalls(collapse->scope) || stall_collapse(collapse->present, max_absent);
}

SEC(".struct_ops.link")
POLICY_ABOUT("huge pages, and small folios while tasks wait for memory")
struct tide_thp_ops thp_pressure = {
	.orders = (void *)thp_pressure_orders,
	.visit = (void *)thp_pressure_visit,
	.collapse = (void *)thp_pressure_collapse,
	.name = "thp_pressure",
};
