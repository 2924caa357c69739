// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guard: keeps the tally of each policy, and ejects a policy that does harm.
 *
 * Ejecting is one flag that call sites look at, set from any context; the link is detached later,
 * by a work.  Whether a policy does harm is judged by work that was done, not by time: a window
 * ends when the family has seen enough of it.
 */
#include <linux/rculist.h>

#include "internal.h"

/*
 * So many windows in a row without one that was worth it.  One window is a phase of a workload; a
 * policy that is at fault is still so after eight.
 */
#define TIDE_BAD_WINDOWS	8

static void tide_detach_dead(struct work_struct *work)
{
	struct tide_policy *policy = container_of(work, struct tide_policy, detach_work);
	struct bpf_link *link = NULL;

	mutex_lock(&tide_mutex);
	if (policy->link)
		link = bpf_link_inc_not_zero(policy->link);
	mutex_unlock(&tide_mutex);
	/* whoever closes the last reference to a link detaches it, too */
	if (!IS_ERR_OR_NULL(link)) {
		link->ops->detach(link);
		bpf_link_put(link);
	}
	kobject_put(&policy->kobj);
}

void tide_guard_init(struct tide_policy *policy)
{
	INIT_WORK(&policy->detach_work, tide_detach_dead);
}

/**
 * tide_eject - put a policy out of force, for good
 * @policy: in rcu_read_lock(), or with tide_mutex
 * @kind: why
 * @format: why, in words
 *
 * Any context but NMI.  The first call counts.
 */
void tide_eject(struct tide_policy *policy, enum tide_exit_kind kind, const char *format, ...)
{
	va_list args;

	if (atomic_xchg(&policy->ejected, 1))
		return;
	va_start(args, format);
	vsnprintf(policy->reason, sizeof(policy->reason), format, args);
	va_end(args);
	smp_store_release(&policy->dead, kind);	/* after the reason */
	kobject_get(&policy->kobj);
	queue_work(system_unbound_wq, &policy->detach_work);
}

/* tide_eject_all - eject every policy.  Any context but NMI. */
void tide_eject_all(const char *who)
{
	struct tide_policy *policy;

	rcu_read_lock();
	list_for_each_entry_rcu(policy, &tide_policies, list)
		tide_eject(policy, TIDE_EXIT_ADMIN, "all were ejected by %s", who);
	rcu_read_unlock();
}

void tide_tally_sum(const struct tide_policy *policy, struct tide_tally *sum)
{
	const struct tide_tally *tally;
	unsigned int i;
	int cpu;

	*sum = (struct tide_tally){};
	for_each_possible_cpu(cpu) {
		tally = per_cpu_ptr(policy->tally, cpu);
		for (i = 0; i < TIDE_COUNTS; i++)
			sum->count[i] += READ_ONCE(tally->count[i]);
	}
}

static void tide_tally_since(const struct tide_policy *policy, struct tide_tally *work,
			     struct tide_tally *now)
{
	unsigned int i;

	tide_tally_sum(policy, now);
	for (i = 0; i < TIDE_COUNTS; i++)
		work->count[i] = now->count[i] - policy->judged.count[i];
}

/* tide_guard_judge - see whether a window's work has been done, and what it was worth. */
void tide_guard_judge(struct tide_policy *policy)
{
	struct tide_tally work, now;
	char reason[TIDE_REASON_LEN] = "";

	tide_tally_since(policy, &work, &now);
	switch (tide_families[policy->family]->judge(&work, reason, sizeof(reason))) {
	case TIDE_WINDOW_OPEN:
		return;
	case TIDE_WINDOW_GOOD:
		policy->bad_windows = 0;
		break;
	case TIDE_WINDOW_BAD:
		if (++policy->bad_windows == TIDE_BAD_WINDOWS)
			tide_eject(policy, TIDE_EXIT_TALLY, "%s", reason);
		break;
	}
	policy->judged = now;
}

static bool tide_contributed(const struct tide_policy *policy)
{
	struct tide_tally work, now;

	tide_tally_since(policy, &work, &now);
	return tide_families[policy->family]->contributed(&work);
}

/*
 * A policy that is attached above what has run out of memory is masked there and below, so that
 * nobody can switch it off for others.  If policies are being distributed right now, a child may
 * get it back, and runs into this again; one that has come in its place stays.
 */
static void tide_mask(struct mem_cgroup *memcg, struct tide_policy *policy)
{
	struct tide_policy __rcu **in_force = &memcg->tide.in_force[policy->family];

	WRITE_ONCE(memcg->tide.masked[policy->family], policy->id);
	cmpxchg((struct tide_policy __force **)in_force, policy, NULL);
}

static bool tide_memcg_out_of_memory(struct mem_cgroup *root, enum tide_family family)
{
	const struct tide_policy *innocent = NULL;
	struct cgroup_subsys_state *css;
	struct tide_policy *policy;
	struct mem_cgroup *memcg;
	bool found = false;

	css_for_each_descendant_pre(css, &root->css) {
		memcg = mem_cgroup_from_css(css);
		policy = rcu_dereference(memcg->tide.in_force[family]);
		if (!tide_alive(policy) || policy == innocent)
			continue;
		/* adding up is not for free, and neighbours mostly have the same one */
		if (!tide_contributed(policy)) {
			innocent = policy;
			continue;
		}
		if (mem_cgroup_is_descendant(policy->memcg, root))
			tide_eject(policy, TIDE_EXIT_OOM, "its cgroup ran out of memory");
		else
			tide_mask(memcg, policy);
		found = true;
	}
	return found;
}

static bool tide_host_out_of_memory(void)
{
	struct tide_policy *policy;
	bool found = false;

	list_for_each_entry_rcu(policy, &tide_policies, list) {
		if (!tide_alive(policy) || !tide_contributed(policy))
			continue;
		tide_eject(policy, TIDE_EXIT_OOM, "the host ran out of memory");
		found = true;
	}
	return found;
}

/**
 * tide_out_of_memory - before something is killed
 * @memcg: what has run out of memory, NULL for the whole machine
 *
 * Policies in force there whose tally, of all of their scope, shows that they used memory are put
 * out of force: those that are attached there, or below, for good.  Any lock of the allocating
 * task's may be held: this takes none and allocates nothing.
 *
 * Return: whether there was one, and the allocation should be tried again.
 */
bool tide_out_of_memory(struct mem_cgroup *memcg)
{
	enum tide_family family;
	bool found = false;

	if (list_empty(&tide_policies))
		return false;
	rcu_read_lock();
	if (memcg) {
		for (family = 0; family < TIDE_FAMILIES; family++)
			found |= tide_memcg_out_of_memory(memcg, family);
	} else {
		found = tide_host_out_of_memory();
	}
	rcu_read_unlock();
	return found;
}
