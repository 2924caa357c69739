// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * thp-always: huge pages wherever sysfs and madvise() allow them, whatever a policy of a cgroup above says.
 *
 * No operation is needed for that: what is left out is the kernel's own behaviour.  It differs from having no policy
 * in three ways: it takes the place of one that is inherited; what it makes and what of that is split is counted; and
 * where huge pages are split nearly as fast as they are made, or the cgroup runs out of memory, the kernel ejects it,
 * and the policy above, if there is one, holds again.
 *
 * Where it works: one VM that is worth it, below a slice that is kept to small folios.
 *
 * Where it fails: a policy narrows, so where sysfs says never, or madvise and nobody has, this one changes nothing.
 */
#include "tide_thp.h"

char LICENSE[] SEC("license") = "GPL";

SEC(".struct_ops.link")
POLICY_ABOUT("huge pages wherever the host allows them")
struct tide_thp_ops thp_always = {
	.name = "thp_always",
};
