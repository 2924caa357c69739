// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ksm-off: nothing of this cgroup is merged with anything, and what was merged before is unshared.
 *
 * No operation is needed for that: domain 0 never merges, and ksmd does not scan what is in it.  A cgroup below
 * that has a policy of its own goes by that one.
 *
 * Where it works: VMs whose owners do not want to share pages, not even among themselves.
 *
 * Where it fails: nowhere, but unsharing takes memory.  Where most of it was merged, a cgroup may run into its
 * limit within ksmd's next pass.  And this outlives the policy: without one the cgroup stays closed until an
 * administrator opens it by name.
 */
#include "tide_ksm.h"

char LICENSE[] SEC("license") = "GPL";

SEC(".struct_ops.link")
POLICY_ABOUT("nothing is merged, and what was merged is unshared")
struct tide_ksm_ops ksm_off = {
	.domain = 0,
	.name = "ksm_off",
};
