/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory policies in BPF: what the call sites in mm/ use.
 *
 * A policy is attached to a cgroup and holds for everything below it that has no nearer one.  What
 * holds for a cgroup is worked out when policies or cgroups change; a call site follows the RCU
 * pointer in the memory cgroup of the mm's owner.  Before the first policy of a family a call site
 * is a patched-out branch; family thp's are so again after the last one, family ksm's are not,
 * since what was closed stays so.
 */
#ifndef _LINUX_TIDE_H
#define _LINUX_TIDE_H

#include <linux/jump_label.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

struct cgroup_taskset;
struct mem_cgroup;
struct mm_struct;
struct task_struct;
struct tide_policy;

/* The families of hooks.  Numbers are part of exit records. */
enum tide_family {
	TIDE_KSM,
	TIDE_THP,
	TIDE_FAMILIES,
};

#ifdef CONFIG_TIDE

/**
 * struct tide_memcg - a memory cgroup's part
 * @in_force: by family: attached here or inherited, NULL for the kernel's own behaviour; RCU
 * @own: attached here; under tide_mutex
 * @masked: by family: the id of a policy, inherited, that is not to be in force here; or zero
 * @gone: the cgroup was removed: nothing is attached any more; under tide_mutex
 * @ksm_closed: without a policy pages here do not merge; inherited by new children
 */
struct tide_memcg {
	struct tide_policy __rcu *in_force[TIDE_FAMILIES];
	struct tide_policy *own[TIDE_FAMILIES];
	u64 masked[TIDE_FAMILIES];
	bool gone;
	bool ksm_closed;
};

/* On from the first policy of family ksm on: a closed cgroup stays closed without one. */
DECLARE_STATIC_KEY_FALSE(tide_ksm_key);

static inline bool tide_ksm_enabled(void)
{
	return static_branch_unlikely(&tide_ksm_key);
}

void tide_memcg_online(struct mem_cgroup *memcg);
void tide_memcg_offline(struct mem_cgroup *memcg);
void __tide_memcg_attach(struct cgroup_taskset *tset);
void __tide_memcg_fork(struct task_struct *task);
bool tide_out_of_memory(struct mem_cgroup *memcg);

/* With cgroup_mutex: tasks have moved. */
static inline void tide_memcg_attach(struct cgroup_taskset *tset)
{
	if (tide_ksm_enabled())
		__tide_memcg_attach(tset);
}

/* A new task is in its cgroup. */
static inline void tide_memcg_fork(struct task_struct *task)
{
	if (tide_ksm_enabled())
		__tide_memcg_fork(task);
}

#else /* !CONFIG_TIDE */

static inline bool tide_ksm_enabled(void) { return false; }
static inline void tide_memcg_online(struct mem_cgroup *memcg) {}
static inline void tide_memcg_offline(struct mem_cgroup *memcg) {}
static inline void tide_memcg_attach(struct cgroup_taskset *tset) {}
static inline void tide_memcg_fork(struct task_struct *task) {}
static inline bool tide_out_of_memory(struct mem_cgroup *memcg) { return false; }

#endif /* CONFIG_TIDE */

#endif /* _LINUX_TIDE_H */
