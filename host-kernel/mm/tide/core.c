// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory policies in BPF: attaching.  Which policy is in force in which cgroup is worked out here,
 * whenever a policy or a cgroup comes or goes.
 */
#include <linux/cgroup.h>
#include <linux/rculist.h>
#include <linux/slab.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include <trace/events/tide.h>

const struct tide_family_desc *const tide_families[TIDE_FAMILIES] = {
	[TIDE_KSM] = &tide_ksm_desc,
	[TIDE_THP] = &tide_thp_desc,
};

/* Who is attached where: own, masked and gone of struct tide_memcg, and the list. */
DEFINE_MUTEX(tide_mutex);
LIST_HEAD(tide_policies);

/* What is to be in force in @memcg, given what is in its parent. */
static struct tide_policy *tide_nearest(struct mem_cgroup *memcg, enum tide_family family)
{
	struct mem_cgroup *parent = parent_mem_cgroup(memcg);
	struct tide_policy *policy;

	lockdep_assert_held(&tide_mutex);
	if (memcg->tide.own[family])
		return memcg->tide.own[family];
	if (!parent)
		return NULL;
	policy = rcu_dereference_protected(parent->tide.in_force[family],
					   lockdep_is_held(&tide_mutex));
	return policy && policy->id == READ_ONCE(memcg->tide.masked[family]) ? NULL : policy;
}

/*
 * Brings @root and everything below it up to date.  A child that is being created is either found
 * here or finds what is in force in tide_memcg_online(): see css_for_each_descendant_pre().
 */
static void tide_distribute(struct mem_cgroup *root, enum tide_family family)
{
	struct cgroup_subsys_state *css;
	struct mem_cgroup *memcg;

	lockdep_assert_held(&tide_mutex);
	rcu_read_lock();
	css_for_each_descendant_pre(css, &root->css) {
		memcg = mem_cgroup_from_css(css);
		rcu_assign_pointer(memcg->tide.in_force[family], tide_nearest(memcg, family));
	}
	rcu_read_unlock();
}

/* With cgroup_mutex, before the first task can be in @memcg. */
void tide_memcg_online(struct mem_cgroup *memcg)
{
	struct mem_cgroup *parent = parent_mem_cgroup(memcg);
	enum tide_family family;

	mutex_lock(&tide_mutex);
	for (family = 0; family < TIDE_FAMILIES; family++)
		rcu_assign_pointer(memcg->tide.in_force[family], tide_nearest(memcg, family));
	if (parent)
		memcg->tide.ksm_closed = parent->tide.ksm_closed;
	mutex_unlock(&tide_mutex);
}

/* With cgroup_mutex, after the last task has left @memcg. */
void tide_memcg_offline(struct mem_cgroup *memcg)
{
	enum tide_family family;

	mutex_lock(&tide_mutex);
	memcg->tide.gone = true;
	for (family = 0; family < TIDE_FAMILIES; family++) {
		if (memcg->tide.own[family])
			tide_eject(memcg->tide.own[family], TIDE_EXIT_CGROUP, "cgroup removed");
	}
	mutex_unlock(&tide_mutex);
}

void __tide_memcg_attach(struct cgroup_taskset *tset)
{
	struct cgroup_subsys_state *css;
	struct task_struct *task;

	cgroup_taskset_for_each(task, css, tset)
		tide_ksm_close_task(mem_cgroup_from_css(css), task);
}

void __tide_memcg_fork(struct task_struct *task)
{
	rcu_read_lock();
	tide_ksm_close_task(mem_cgroup_from_task(task), task);
	rcu_read_unlock();
}

/* A reference to the memory cgroup with @cgroup_id, or -ENOENT, or -EOPNOTSUPP without one. */
struct mem_cgroup *tide_memcg_get(u64 cgroup_id)
{
	struct cgroup *cgroup = cgroup_get_from_id(cgroup_id);
	struct cgroup_subsys_state *css;

	if (IS_ERR(cgroup))
		return ERR_CAST(cgroup);
	rcu_read_lock();
	css = rcu_dereference(cgroup->subsys[memory_cgrp_id]);
	if (!css || !css_tryget_online(css))
		css = NULL;
	rcu_read_unlock();
	cgroup_put(cgroup);
	return css ? mem_cgroup_from_css(css) : ERR_PTR(-EOPNOTSUPP);
}

static struct tide_policy *tide_policy_create(enum tide_family family, void *ops,
					      struct bpf_link *link)
{
	struct tide_policy *policy = kzalloc(sizeof(*policy), GFP_KERNEL);
	struct tide_common common;
	int err;

	if (!policy)
		return ERR_PTR(-ENOMEM);
	policy->family = family;
	policy->ops = ops;
	policy->link = link;
	tide_sysfs_init(policy);
	tide_guard_init(policy);
	tide_families[family]->read(ops, &common);
	strscpy(policy->name, common.name, sizeof(policy->name));
	policy->memcg = tide_memcg_get(common.cgroup_id);
	if (IS_ERR(policy->memcg)) {
		err = PTR_ERR(policy->memcg);
		policy->memcg = NULL;
		goto fail;
	}
	policy->tally = alloc_percpu(struct tide_tally);
	tide_snapshot_init(policy);
	err = policy->tally ? tide_families[family]->init(policy) : -ENOMEM;
	if (err)
		goto fail;
	return policy;
fail:
	kobject_put(&policy->kobj);
	return ERR_PTR(err);
}

/* Undoes tide_policy_create(). */
static void tide_policy_free(struct tide_policy *policy)
{
	tide_families[policy->family]->free(policy);
	kobject_put(&policy->kobj);
}

/* The exit record: to the policy itself, to whoever traces, to sysfs, to the log. */
static void tide_report_exit(struct tide_policy *policy, enum tide_exit_kind kind)
{
	const struct tide_family_desc *desc = tide_families[policy->family];
	struct tide_exit exit = { .family = policy->family };
	u32 dead = smp_load_acquire(&policy->dead); /* pairs with tide_eject() */
	struct tide_common common;

	desc->read(policy->ops, &common);
	exit.kind = dead ?: kind;
	exit.cgroup_id = common.cgroup_id;
	strscpy(exit.name, policy->name, sizeof(exit.name));
	if (dead)
		strscpy(exit.reason, policy->reason, sizeof(exit.reason));
	trace_tide_exit(&exit);
	tide_exits_add(&exit);
	if (dead)
		pr_info("tide: %s policy %s of cgroup %llu ejected: %s\n", desc->name, exit.name,
			exit.cgroup_id, exit.reason);
	if (common.exit)
		common.exit(&exit);
}

/* Ends @policy, which is in force nowhere any more, once its last user has gone. */
static void tide_policy_end(struct tide_policy *policy, enum tide_exit_kind kind)
{
	synchronize_rcu();
	tide_report_exit(policy, kind);
	tide_policy_free(policy);
}

/* Under tide_mutex: @policy is attached, and takes the place of the one before it, if any. */
static void tide_policy_enter(struct tide_policy *policy)
{
	struct mem_cgroup *memcg = policy->memcg;
	static u64 ids;

	lockdep_assert_held(&tide_mutex);
	policy->id = ++ids;
	if (tide_families[policy->family]->enter)
		tide_families[policy->family]->enter(memcg);
	memcg->tide.own[policy->family] = policy;
	list_add_tail_rcu(&policy->list, &tide_policies);
	tide_distribute(memcg, policy->family);
}

static void tide_policy_leave(struct tide_policy *policy)
{
	lockdep_assert_held(&tide_mutex);
	list_del_rcu(&policy->list);
	policy->link = NULL;
}

/* The policy in force has changed, at @memcg and below. */
static void tide_changed(struct mem_cgroup *memcg, enum tide_family family)
{
	if (tide_families[family]->changed)
		tide_families[family]->changed(memcg);
}

static struct tide_policy *tide_policy_find(const void *ops)
{
	struct tide_policy *policy;

	lockdep_assert_held(&tide_mutex);
	list_for_each_entry(policy, &tide_policies, list) {
		if (policy->ops == ops)
			return policy;
	}
	return NULL;
}

/**
 * tide_register - attach a policy to the cgroup that it names
 * @family: whose ops table it is
 * @ops: the ops table, which stays until tide_unregister() or tide_update() has returned
 * @link: BPF's handle
 *
 * May sleep.
 *
 * Return: 0; -EOPNOTSUPP without a link, or where the cgroup has no memory controller; -ENOENT
 * without such a cgroup; -EBUSY where a policy of this family is attached already; -EINVAL for a
 * value that the ops table does not allow; -ENOMEM.
 */
int tide_register(enum tide_family family, void *ops, struct bpf_link *link)
{
	struct tide_policy *policy;
	int err = 0;

	if (!link)
		return -EOPNOTSUPP;
	policy = tide_policy_create(family, ops, link);
	if (IS_ERR(policy))
		return PTR_ERR(policy);

	mutex_lock(&tide_mutex);
	if (policy->memcg->tide.gone)
		err = -ENOENT;
	else if (policy->memcg->tide.own[family])
		err = -EBUSY;
	else
		tide_policy_enter(policy);
	mutex_unlock(&tide_mutex);
	if (err) {
		tide_policy_free(policy);
		return err;
	}
	err = tide_sysfs_add(policy);
	if (err) {
		tide_unregister(ops);
		return err;
	}
	tide_changed(policy->memcg, family);
	tide_snapshot_start();
	return 0;
}

/**
 * tide_update - replace an attached policy, in one step
 * @family: whose ops tables they are
 * @ops: the new ops table, for the same cgroup
 * @old_ops: the one that is attached
 * @link: BPF's handle
 *
 * May sleep.
 *
 * Return: 0; -EINVAL for another cgroup or the ops table that is attached; -ENOLINK where the old
 * one was ejected; or as tide_register().  After an error the old one is as it was, but for its
 * folder in sysfs where there is no memory for that either.
 */
int tide_update(enum tide_family family, void *ops, void *old_ops, struct bpf_link *link)
{
	struct tide_policy *policy, *old;
	int err = 0;

	policy = tide_policy_create(family, ops, link);
	if (IS_ERR(policy))
		return PTR_ERR(policy);

	mutex_lock(&tide_mutex);
	old = tide_policy_find(old_ops);
	if (!old || old->memcg != policy->memcg || ops == old_ops)
		err = -EINVAL;
	mutex_unlock(&tide_mutex);
	if (err)
		goto free;

	/* bpf's update_mutex keeps the old one; the folder has the cgroup's name */
	tide_sysfs_remove(old);
	err = tide_sysfs_add(policy);
	if (err)
		goto show_old;

	mutex_lock(&tide_mutex);
	if (tide_alive(old)) {
		tide_policy_leave(old);
		tide_policy_enter(policy);
	} else {
		err = -ENOLINK;	/* a work is about to detach the link */
	}
	mutex_unlock(&tide_mutex);
	if (err)
		goto hide;
	tide_changed(policy->memcg, family);
	tide_policy_end(old, TIDE_EXIT_REPLACED);
	return 0;
hide:
	tide_sysfs_remove(policy);
show_old:
	if (tide_sysfs_add(old))
		pr_warn("tide: no memory to show a policy in sysfs\n");
free:
	tide_policy_free(policy);
	return err;
}

/**
 * tide_unregister - detach a policy
 * @ops: its ops table, not in use any more on return
 *
 * May sleep.
 */
void tide_unregister(void *ops)
{
	struct tide_policy *policy;
	struct mem_cgroup *memcg;

	mutex_lock(&tide_mutex);
	policy = tide_policy_find(ops);
	mutex_unlock(&tide_mutex);
	if (WARN_ON_ONCE(!policy))
		return;
	/* first, because its name is the next one's once nothing is attached */
	tide_sysfs_remove(policy);

	memcg = policy->memcg;
	mutex_lock(&tide_mutex);
	tide_policy_leave(policy);
	memcg->tide.own[policy->family] = NULL;
	tide_distribute(memcg, policy->family);
	mutex_unlock(&tide_mutex);
	tide_changed(memcg, policy->family);
	tide_policy_end(policy, TIDE_EXIT_DETACHED);
}
