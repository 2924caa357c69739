// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory.policies, in each cgroup: which policies hold there.  One line a family:
 *
 *	FAMILY NAME STATE
 *
 * NAME is the policy's that is in force, "-" without one.  STATE is one of
 *
 *	own		it is attached here
 *	inherited	it is attached above
 *	masked		the one above is put out of force here, since memory ran out here or between
 *	none		the kernel's own behaviour
 *
 * Family ksm has one word more: "closed" where pages do not merge without a policy, else "open".
 * A reader should expect more families, and more words at the end of a line.
 */
#include <linux/cgroup.h>
#include <linux/seq_file.h>

#include "internal.h"

/* Whether a policy above would be in force in @memcg if it were not masked, here or between. */
static bool tide_is_masked(struct mem_cgroup *memcg, enum tide_family family)
{
	struct mem_cgroup *above = memcg;
	u64 id;

	lockdep_assert_held(&tide_mutex);
	while (above && !above->tide.own[family])
		above = parent_mem_cgroup(above);
	if (!above)
		return false;
	for (id = above->tide.own[family]->id; memcg != above; memcg = parent_mem_cgroup(memcg)) {
		if (READ_ONCE(memcg->tide.masked[family]) == id)
			return true;
	}
	return false;
}

static void tide_policies_show_family(struct seq_file *m, struct mem_cgroup *memcg,
				      enum tide_family family)
{
	const char *name = "-", *state = "none";
	struct tide_policy *policy;

	policy = rcu_dereference_protected(memcg->tide.in_force[family],
					   lockdep_is_held(&tide_mutex));
	if (tide_alive(policy)) {
		name = policy->name;
		state = policy->memcg == memcg ? "own" : "inherited";
	} else if (!policy && tide_is_masked(memcg, family)) {
		state = "masked";
	}
	seq_printf(m, "%s %s %s", tide_families[family]->name, name, state);
	if (family == TIDE_KSM)
		seq_puts(m, memcg->tide.ksm_closed ? " closed" : " open");
	seq_putc(m, '\n');
}

static int tide_policies_show(struct seq_file *m, void *v)
{
	struct mem_cgroup *memcg = mem_cgroup_from_seq(m);
	enum tide_family family;

	mutex_lock(&tide_mutex);
	for (family = 0; family < TIDE_FAMILIES; family++)
		tide_policies_show_family(m, memcg, family);
	mutex_unlock(&tide_mutex);
	return 0;
}

static struct cftype tide_files[] = {
	{
		.name = "policies",
		.seq_show = tide_policies_show,
	},
	{ }	/* terminate */
};

static int __init tide_cgroupfs_setup(void)
{
	return cgroup_add_dfl_cftypes(&memory_cgrp_subsys, tide_files);
}
device_initcall(tide_cgroupfs_setup);
