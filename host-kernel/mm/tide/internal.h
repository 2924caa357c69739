/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory policies in BPF, inside mm/tide: what core, guard and families share.
 *
 * Who does what
 *	core.c		attaching: which policy is in force where
 *	guard.c		the tally, and how a policy is ejected
 *	snapshot.c	the state of each scope, refreshed in the background
 *	verify.c	what a program of a policy may use
 *	sysfs.c		/sys/kernel/tide, SysRq
 *	exits.c		/sys/kernel/tide/exits
 *	cgroupfs.c	memory.policies
 *	ksm.c		family ksm
 *	thp.c		family thp
 *
 * Locks, in the order in which they nest
 *	cgroup_mutex, bpf's update_mutex: callers hold them
 *	tide_mutex: who is attached where.  Taken where a cgroup is created, so nothing waits for
 *		RCU or for ksmd under it.
 * and on its own
 *	tide_exits_mutex: the last exit records
 *	tide_ksm_domains_mutex: the list of domains, and
 *	ksm_thread_mutex in it: what ksmd works on
 * Call sites take none of them: they are in rcu_read_lock() while they use a policy.
 */
#ifndef _MM_TIDE_INTERNAL_H
#define _MM_TIDE_INTERNAL_H

#include <linux/bpf.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/memcontrol.h>
#include <linux/mutex.h>
#include <linux/mmdebug.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/tide.h>
#include <linux/tide_ops.h>
#include <linux/workqueue.h>

#define TIDE_COUNTS		8

/**
 * struct tide_tally - what came of a policy, in units of its family's work
 */
struct tide_tally {
	u64 count[TIDE_COUNTS];
};

struct tide_policy;

/**
 * enum tide_window - what a family says of a window's work
 * @TIDE_WINDOW_OPEN: too little work yet to say
 * @TIDE_WINDOW_GOOD: the policy is worth it
 * @TIDE_WINDOW_BAD: it is not
 */
enum tide_window {
	TIDE_WINDOW_OPEN,
	TIDE_WINDOW_GOOD,
	TIDE_WINDOW_BAD,
};

/**
 * struct tide_common - the members that all ops tables have, copied from one
 */
struct tide_common {
	u64 cgroup_id;
	const char *name;
	void (*exit)(struct tide_exit *exit);
};

/**
 * struct tide_family_desc - a family of hooks
 * @name: as in sysfs and messages
 * @count_names: of the tally's counts, up to the first NULL
 * @read: finds the common members in an ops table
 * @init: prepares what the family keeps per policy; may sleep
 * @enter: a policy is about to be in force; under tide_mutex; or NULL
 * @changed: the policy in force has changed somewhere; may sleep, without tide_mutex; or NULL
 * @free: undoes @init; may sleep, after the last user has gone
 * @judge: whether the work since the last window was worth it; puts it in words if not
 * @contributed: whether work since the last window used memory of the scope
 */
struct tide_family_desc {
	const char *name;
	const char *count_names[TIDE_COUNTS];
	void (*read)(const void *ops, struct tide_common *common);
	int (*init)(struct tide_policy *policy);
	void (*enter)(struct mem_cgroup *memcg);
	void (*changed)(struct mem_cgroup *memcg);
	void (*free)(struct tide_policy *policy);
	enum tide_window (*judge)(const struct tide_tally *work, char *reason, size_t size);
	bool (*contributed)(const struct tide_tally *work);
};

/**
 * struct tide_policy - an ops table that is attached to a cgroup
 * @kobj: its folder in /sys/kernel/tide/policies, and its lifetime
 * @id: of this attachment, never used twice; from 1
 * @family: which of the families
 * @ops: the ops table, struct tide_<family>_ops; gone once the policy is detached
 * @name: the policy's, which outlives @ops
 * @data: the family's
 * @memcg: where it is attached, with a reference
 * @link: BPF's handle; NULL once the policy is detached; under tide_mutex
 * @list: in tide_policies; written under tide_mutex, read under RCU
 * @tally: per CPU
 * @judged: the tally at the end of the last whole window; of the snapshot work
 * @bad_windows: in a row; of the snapshot work
 * @snapshot: the newest and the one before
 * @newest: of them; written by the snapshot work
 * @psi_ns: PSI's totals at the end of the last window: some, full; of the snapshot work
 * @snapshot_ns: when that was
 * @ejected: whether somebody has begun to
 * @dead: enum tide_exit_kind, set once and seen by call sites: not in force any more
 * @reason: for the exit record; written before @dead
 * @detach_work: detaches the link of a dead policy
 */
struct tide_policy {
	struct kobject kobj;
	u64 id;
	enum tide_family family;
	const void *ops;
	char name[TIDE_NAME_LEN];
	void *data;
	struct mem_cgroup *memcg;
	struct bpf_link *link;
	struct list_head list;
	struct tide_tally __percpu *tally;
	struct tide_tally judged;
	unsigned int bad_windows;
	struct tide_snapshot snapshot[2];
	const struct tide_snapshot *newest;
	u64 psi_ns[2];
	u64 snapshot_ns;
	atomic_t ejected;
	u32 dead;
	char reason[TIDE_REASON_LEN];
	struct work_struct detach_work;
};

extern const struct tide_family_desc *const tide_families[TIDE_FAMILIES];

/* core.c */
extern struct mutex tide_mutex;
extern struct list_head tide_policies;

int tide_register(enum tide_family family, void *ops, struct bpf_link *link);
int tide_update(enum tide_family family, void *ops, void *old_ops, struct bpf_link *link);
void tide_unregister(void *ops);
struct mem_cgroup *tide_memcg_get(u64 cgroup_id);

/**
 * tide_enter - before an operation is called where one may be running already
 *
 * Programs of struct_ops have no guard against recursion.  Hooks in page faults and allocations
 * need one: what an operation calls, or a probe on it, may fault or allocate.  Hooks of ksmd do
 * not, as no operation comes to them.
 *
 * In rcu_read_lock(), which is held until tide_leave(), so nothing in between may sleep; being
 * preempted is fine.  Task context only: the flag is the task's, and is written to with no atomics.
 *
 * Return: whether the operation may be called, with tide_leave() to follow.  If not, this task is
 * in an operation, and the hook is to do what it does without a policy.
 */
static inline bool tide_enter(void)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "a policy is used without rcu_read_lock()");
	VM_WARN_ON_ONCE(!in_task());
	if (unlikely(current->in_tide))
		return false;
	current->in_tide = 1;
	return true;
}

/**
 * tide_leave - after an operation was called
 *
 * Only where tide_enter() has returned true.
 */
static inline void tide_leave(void)
{
	VM_WARN_ON_ONCE(!current->in_tide);
	current->in_tide = 0;
}

/* guard.c */
__printf(3, 4)
void tide_eject(struct tide_policy *policy, enum tide_exit_kind kind, const char *format, ...);
void tide_eject_all(const char *who);
void tide_guard_init(struct tide_policy *policy);
void tide_guard_judge(struct tide_policy *policy);
void tide_tally_sum(const struct tide_policy *policy, struct tide_tally *sum);

static inline bool tide_alive(const struct tide_policy *policy)
{
	return policy && likely(!READ_ONCE(policy->dead));
}

/* The policy of @family that is in force for @mm, or NULL.  In rcu_read_lock(). */
static inline struct tide_policy *tide_policy_of(struct mm_struct *mm, enum tide_family family)
{
	struct task_struct *owner = rcu_dereference(mm->owner);
	struct tide_policy *policy;
	struct mem_cgroup *memcg;

	if (!owner)
		return NULL;
	memcg = mem_cgroup_from_css(task_css(owner, memory_cgrp_id));
	policy = rcu_dereference(memcg->tide.in_force[family]);
	return tide_alive(policy) ? policy : NULL;
}

static inline void tide_count_pages(struct tide_policy *policy, unsigned int what, u64 pages)
{
	this_cpu_add(policy->tally->count[what], pages);
}

static inline void tide_count(struct tide_policy *policy, unsigned int what)
{
	tide_count_pages(policy, what, 1);
}

/* snapshot.c */
void tide_snapshot_init(struct tide_policy *policy);
void tide_snapshot_start(void);

static inline const struct tide_snapshot *tide_snapshot(const struct tide_policy *policy)
{
	/* pairs with tide_snapshot_refresh() */
	return smp_load_acquire(&policy->newest);
}

/* verify.c */
extern const struct bpf_verifier_ops tide_verifier_ops;
int tide_check_program(const struct btf_member *member, const struct bpf_prog *prog);

/* sysfs.c */
void tide_sysfs_init(struct tide_policy *policy);
int tide_sysfs_add(struct tide_policy *policy);
void tide_sysfs_remove(struct tide_policy *policy);
extern struct kobject *tide_kobj;
extern struct kset *tide_policies_kset;

/* exits.c */
extern struct kobj_attribute tide_exits_attr;
void tide_exits_add(const struct tide_exit *exit);

/* ksm.c */
extern const struct tide_family_desc tide_ksm_desc;
void tide_ksm_close_task(struct mem_cgroup *memcg, struct task_struct *task);

/* thp.c */
extern const struct tide_family_desc tide_thp_desc;

#endif /* _MM_TIDE_INTERNAL_H */
