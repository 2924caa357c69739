// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state of each scope that has a policy: pressure and memory, refreshed by one work in the
 * background, so that no call of a policy pays for statistics.
 */
#include <linux/workqueue.h>
#include <linux/psi.h>

#include "internal.h"

/* PSI's totals move every two seconds: a window has two of these in it. */
#define TIDE_SNAPSHOT_PERIOD	(4 * HZ)

static void tide_snapshot_work(struct work_struct *work);
/* Not deferrable: other CPUs are not idle when the one that has its timer is. */
static DECLARE_DELAYED_WORK(tide_snapshot_dwork, tide_snapshot_work);

/* Time that some and all tasks of @memcg have waited for memory, since it exists. */
static void tide_psi_read(struct mem_cgroup *memcg, u64 *ns)
{
	ns[0] = 0;
	ns[1] = 0;
#ifdef CONFIG_PSI
	struct psi_group *group = cgroup_psi(memcg->css.cgroup);

	if (static_branch_likely(&psi_disabled) || !group)
		return;
	ns[0] = READ_ONCE(group->total[PSI_AVGS][PSI_MEM_SOME]);
	ns[1] = READ_ONCE(group->total[PSI_AVGS][PSI_MEM_FULL]);
#endif
}

static void tide_snapshot_refresh(struct tide_policy *policy, u64 now_ns)
{
	const struct tide_snapshot *last = policy->newest;
	struct tide_snapshot *next = &policy->snapshot[last == policy->snapshot];
	struct mem_cgroup *memcg = policy->memcg;
	u64 window_ns = now_ns - policy->snapshot_ns;
	u64 psi_ns[2];

	tide_psi_read(memcg, psi_ns);
	*next = (struct tide_snapshot) {
		.window = last->window + 1,
		.window_ns = window_ns,
		.some_ns = min(psi_ns[0] - policy->psi_ns[0], window_ns),
		.full_ns = min(psi_ns[1] - policy->psi_ns[1], window_ns),
		.usage_pages = page_counter_read(&memcg->memory),
		.limit_pages = min(READ_ONCE(memcg->memory.high), READ_ONCE(memcg->memory.max)),
	};
	policy->psi_ns[0] = psi_ns[0];
	policy->psi_ns[1] = psi_ns[1];
	policy->snapshot_ns = now_ns;
	/* a call that began with the last one has a whole window until it is written to */
	smp_store_release(&policy->newest, next);
}

static void tide_snapshot_work(struct work_struct *work)
{
	struct tide_policy *policy;
	u64 now_ns = ktime_get_ns();
	bool any = false;

	mutex_lock(&tide_mutex);
	list_for_each_entry(policy, &tide_policies, list) {
		tide_snapshot_refresh(policy, now_ns);
		tide_guard_judge(policy);
		any = true;
	}
	mutex_unlock(&tide_mutex);
	if (any)
		schedule_delayed_work(&tide_snapshot_dwork, TIDE_SNAPSHOT_PERIOD);
}

/* tide_snapshot_init - begin the first window of @policy. */
void tide_snapshot_init(struct tide_policy *policy)
{
	policy->newest = policy->snapshot;
	tide_psi_read(policy->memcg, policy->psi_ns);
	policy->snapshot_ns = ktime_get_ns();
}

/* tide_snapshot_start - a policy was attached.  The work ends by itself when none is. */
void tide_snapshot_start(void)
{
	schedule_delayed_work(&tide_snapshot_dwork, TIDE_SNAPSHOT_PERIOD);
}
