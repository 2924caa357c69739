// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * thp-never: single pages only, in page faults as in khugepaged.
 *
 * khugepaged does not even look: a visit that cannot end in a huge page is time lost.  What has faulted meanwhile is
 * found by khugepaged once this policy is replaced or detached.
 *
 * Where it works: VMs whose memory is to be merged or given back page by page, and a comparison with what huge pages
 * are worth.
 *
 * Where it fails: what is huge stays so until something else splits it, so attach it before the VM starts; and
 * MADV_COLLAPSE, which asks for huge pages by name, makes them all the same.
 */
#include "tide_thp.h"

char LICENSE[] SEC("license") = "GPL";

SEC("struct_ops/orders")
int BPF_PROG(thp_never_orders, struct tide_thp_request *request)
{
	return 0;
}

SEC("struct_ops/visit")
int BPF_PROG(thp_never_visit, struct tide_thp_visit *visit)
{
	return 0;
}

SEC(".struct_ops.link")
POLICY_ABOUT("single pages only, no huge ones")
struct tide_thp_ops thp_never = {
	.orders = (void *)thp_never_orders,
	.visit = (void *)thp_never_visit,
	.name = "thp_never",
};
