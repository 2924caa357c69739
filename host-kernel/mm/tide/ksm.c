// SPDX-License-Identifier: GPL-2.0-only
/*
 * Family ksm: asks policies on behalf of ksmd, and knows the merge domains.  What ksmd does with
 * the answers is in ksm_scan.h, which is part of mm/ksm.c.
 *
 * A cgroup that ever had a policy is closed: without one its pages do not merge.  So is an mm that
 * was ever in such a cgroup, wherever it goes, and so are its children (MMF_KSM_CLOSED).
 */
#include <linux/btf.h>
#include <linux/cgroup.h>
#include <linux/ksm.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/tide_ksm.h>

#include <trace/events/tide.h>

#include "internal.h"

enum tide_ksm_count {
	TIDE_KSM_SCANNED,
	TIDE_KSM_CANDIDATES,
	TIDE_KSM_VETOED,
	TIDE_KSM_MADE,
	TIDE_KSM_BROKEN,
	TIDE_KSM_CLAMPED,
};

/*
 * A window of the tally: so many candidates, or so many merges made.  32 MiB: several
 * passes over what changes, so that merges and their breaking fall into the same window.
 */
#define TIDE_KSM_WINDOW		8192
/* Less than a 64th of the candidates let through: ksmd works for nothing. */
#define TIDE_KSM_VETO_SHIFT	6

/*
 * So many pages of room are left in a cgroup before a page is unshared on its behalf: a few of the
 * batches in which it is charged, on some CPUs.
 */
#define TIDE_KSM_ROOM		(8UL * MEMCG_CHARGE_BATCH)

DEFINE_STATIC_KEY_FALSE(tide_ksm_key);

struct tide_ksm_domain tide_ksm_never;

static DEFINE_MUTEX(tide_ksm_domains_mutex);
static LIST_HEAD(tide_ksm_domains);
static struct kset *tide_ksm_domains_kset;
static struct kobject *tide_ksm_kobj;

static bool tide_ksm_closed(struct mm_struct *mm)
{
	struct mem_cgroup *memcg = mem_cgroup_from_task(rcu_dereference(mm->owner));

	return test_bit(MMF_KSM_CLOSED, &mm->flags) ||
		(memcg && READ_ONCE(memcg->tide.ksm_closed));
}

/**
 * tide_ksm_domain_of - what may be merged with an mm's pages right now
 * @mm: the mm
 *
 * Any context.  The domain stays for as long as an mm that KSM knows is in it.
 *
 * Return: the domain, or NULL for all that never had a policy.
 */
struct tide_ksm_domain *tide_ksm_domain_of(struct mm_struct *mm)
{
	struct tide_ksm_domain *domain = NULL;
	struct tide_policy *policy;

	rcu_read_lock();
	policy = tide_policy_of(mm, TIDE_KSM);
	if (policy)
		domain = policy->data;
	else if (tide_ksm_closed(mm))
		domain = &tide_ksm_never;
	rcu_read_unlock();
	return domain;
}

static int tide_ksm_clamp(struct tide_policy *policy, int value, int low, int high)
{
	if (value >= low && value <= high)
		return value;
	tide_count(policy, TIDE_KSM_CLAMPED);
	return clamp(value, low, high);
}

/**
 * tide_ksm_visit - how many pages of an mm to scan now
 * @mm: the mm
 * @mm_id: its name for policies
 * @pass: ksmd's
 *
 * Return: pages, negative for no limit.
 */
long tide_ksm_visit(struct mm_struct *mm, u64 mm_id, u64 pass)
{
	const struct tide_ksm_ops *ops;
	struct tide_policy *policy;
	long pages = TIDE_KSM_NO_LIMIT;

	rcu_read_lock();
	policy = tide_policy_of(mm, TIDE_KSM);
	ops = policy ? policy->ops : NULL;
	if (ops && ops->visit) {
		struct tide_ksm_visit visit = {
			.scope = tide_snapshot(policy),
			.mm_id = mm_id,
			.pass = pass,
			.tracked_pages = mm->ksm_rmap_items,
			.merged_pages = mm->ksm_merging_pages,
		};

		pages = tide_ksm_clamp(policy, ops->visit(&visit), TIDE_KSM_NO_LIMIT, INT_MAX);
	}
	rcu_read_unlock();
	return pages;
}

/**
 * tide_ksm_range - whether to scan a stretch of an mm now
 * @mm: the mm
 * @mm_id: its name for policies
 * @pass: ksmd's
 * @start: first virtual address
 * @end: first address behind it
 */
bool tide_ksm_range(struct mm_struct *mm, u64 mm_id, u64 pass, unsigned long start,
		    unsigned long end)
{
	const struct tide_ksm_ops *ops;
	struct tide_policy *policy;
	bool scan = true;

	rcu_read_lock();
	policy = tide_policy_of(mm, TIDE_KSM);
	ops = policy ? policy->ops : NULL;
	if (ops && ops->range) {
		struct tide_ksm_range range = {
			.mm_id = mm_id,
			.pass = pass,
			.start = start,
			.end = end,
		};

		scan = tide_ksm_clamp(policy, ops->range(&range), 0, 1);
	}
	rcu_read_unlock();
	return scan;
}

/**
 * tide_ksm_may_merge - whether a page that has not changed may be merged now
 * @mm: whose page it is
 * @page: the page
 */
bool tide_ksm_may_merge(struct mm_struct *mm, struct tide_ksm_page *page)
{
	const struct tide_ksm_ops *ops;
	struct tide_policy *policy;
	bool may = true;

	rcu_read_lock();
	policy = tide_policy_of(mm, TIDE_KSM);
	if (policy) {
		ops = policy->ops;
		tide_count(policy, TIDE_KSM_CANDIDATES);
		if (ops->merge)
			may = tide_ksm_clamp(policy, ops->merge(page), 0, 1);
		if (!may)
			tide_count(policy, TIDE_KSM_VETOED);
	}
	rcu_read_unlock();
	return may;
}

/* Counts @what, made or broken, for the policy in force, and tells it of the page. */
static void tide_ksm_tell(struct mm_struct *mm, struct tide_ksm_page *page,
			  enum tide_ksm_count what)
{
	const struct tide_ksm_ops *ops;
	struct tide_policy *policy;
	void (*op)(struct tide_ksm_page *page);

	rcu_read_lock();
	policy = tide_policy_of(mm, TIDE_KSM);
	if (policy) {
		ops = policy->ops;
		op = what == TIDE_KSM_MADE ? ops->merged : ops->broken;
		tide_count(policy, what);
		if (op)
			op(page);
	}
	rcu_read_unlock();
}

/* tide_ksm_merged - a page has become part of a merged one. */
void tide_ksm_merged(struct mm_struct *mm, struct tide_ksm_page *page)
{
	if (mm->ksm_domain)
		mm->ksm_domain->made++;
	tide_ksm_tell(mm, page, TIDE_KSM_MADE);
}

/* tide_ksm_broken - a page that was merged is found to be so no more. */
void tide_ksm_broken(struct mm_struct *mm, struct tide_ksm_page *page)
{
	if (mm->ksm_domain)
		mm->ksm_domain->broken++;
	tide_ksm_tell(mm, page, TIDE_KSM_BROKEN);
}

/**
 * tide_ksm_scanned - some pages have been scanned
 * @mm: whose
 * @pages: how many
 * @cpu_ns: what it took
 */
void tide_ksm_scanned(struct mm_struct *mm, unsigned long pages, u64 cpu_ns)
{
	struct tide_policy *policy;

	if (mm->ksm_domain) {
		mm->ksm_domain->scanned += pages;
		mm->ksm_domain->cpu_ns += cpu_ns;
	}
	rcu_read_lock();
	policy = tide_policy_of(mm, TIDE_KSM);
	if (policy)
		tide_count_pages(policy, TIDE_KSM_SCANNED, pages);
	rcu_read_unlock();
}

/* Whether @memcg and those above it can be charged some pages; may @reclaim if need be. */
static bool tide_ksm_has_room(struct mem_cgroup *memcg, bool reclaim)
{
	unsigned long max;

	for (; memcg; memcg = parent_mem_cgroup(memcg)) {
		max = READ_ONCE(memcg->memory.max);
		if (page_counter_read(&memcg->memory) + TIDE_KSM_ROOM <= max)
			continue;
		if (!reclaim)
			return false;
		try_to_free_mem_cgroup_pages(memcg, TIDE_KSM_ROOM, GFP_KERNEL,
					     MEMCG_RECLAIM_MAY_SWAP, NULL);
		if (page_counter_read(&memcg->memory) + TIDE_KSM_ROOM > max)
			return false;
	}
	return true;
}

/**
 * tide_ksm_may_unshare - whether an mm's cgroup has memory for a page of its own
 * @mm: the mm
 * @reclaim: whether to reclaim some if there is none
 *
 * ksmd charges the page to the mm's cgroup, and nothing is to be killed for that.  May sleep.
 */
bool tide_ksm_may_unshare(struct mm_struct *mm, bool reclaim)
{
	struct mem_cgroup *memcg = get_mem_cgroup_from_mm(mm);
	bool has_room = tide_ksm_has_room(memcg, reclaim);

	mem_cgroup_put(memcg);
	return has_room;
}

/* tide_ksm_unshared - a page that was merged in another domain is not any more, or could not be. */
void tide_ksm_unshared(struct mm_struct *mm, u64 mm_id, unsigned long address, int err)
{
	struct tide_ksm_domain *domain = mm->ksm_domain;

	trace_tide_ksm_unshared(mm_id, address, err);
	if (!domain)
		return;
	if (err)
		domain->unshare_failed++;
	else
		domain->unshared++;
}

/**
 * tide_ksm_pace - how many pages to scan in the next batch
 * @pages_to_scan: what sysfs or the advisor say
 */
unsigned int tide_ksm_pace(unsigned int pages_to_scan)
{
	const struct tide_ksm_ops *ops;
	struct tide_policy *policy;
	struct tide_tally sum;

	rcu_read_lock();
	policy = rcu_dereference(root_mem_cgroup->tide.in_force[TIDE_KSM]);
	ops = tide_alive(policy) ? policy->ops : NULL;
	if (ops && ops->pace) {
		struct tide_ksm_pace pace = {
			.scope = tide_snapshot(policy),
			.pages_to_scan = pages_to_scan,
		};

		tide_tally_sum(policy, &sum);
		pace.scanned = sum.count[TIDE_KSM_SCANNED];
		pace.made = sum.count[TIDE_KSM_MADE];
		pace.broken = sum.count[TIDE_KSM_BROKEN];
		pages_to_scan = tide_ksm_clamp(policy, ops->pace(&pace), 1, TIDE_KSM_PACE_MAX);
	}
	rcu_read_unlock();
	return pages_to_scan;
}

/* Closed. */

static void tide_ksm_mark(struct task_struct *task, bool closed)
{
	task_lock(task);
	if (task->mm && !(task->flags & PF_KTHREAD))
		assign_bit(MMF_KSM_CLOSED, &task->mm->flags, closed);
	task_unlock(task);
}

static void tide_ksm_mark_tasks(struct cgroup_subsys_state *css, bool closed)
{
	struct css_task_iter it;
	struct task_struct *task;

	css_task_iter_start(css, 0, &it);
	while ((task = css_task_iter_next(&it)))
		tide_ksm_mark(task, closed);
	css_task_iter_end(&it);
}

/* A task has come to @memcg. */
void tide_ksm_close_task(struct mem_cgroup *memcg, struct task_struct *task)
{
	if (READ_ONCE(memcg->tide.ksm_closed))
		tide_ksm_mark(task, true);
}

/*
 * Closes everything from @root on, under tide_mutex.  css_set_lock orders this with tasks that
 * come: who is not found here finds the cgroup closed in tide_ksm_close_task().  A program that is
 * being executed keeps its new mm's flag clear; ksmd sets it when it comes by.
 */
static void tide_ksm_enter(struct mem_cgroup *root)
{
	struct cgroup_subsys_state *css;

	lockdep_assert_held(&tide_mutex);
	rcu_read_lock();
	css_for_each_descendant_pre(css, &root->css)
		WRITE_ONCE(mem_cgroup_from_css(css)->tide.ksm_closed, true);
	css_for_each_descendant_pre(css, &root->css)
		tide_ksm_mark_tasks(css, true);
	rcu_read_unlock();
}

/* Opens one cgroup again, and what is in it; its children if they are named, too. */
static int tide_ksm_open(u64 cgroup_id)
{
	struct mem_cgroup *memcg = tide_memcg_get(cgroup_id);
	int err = 0;

	if (IS_ERR(memcg))
		return PTR_ERR(memcg);
	mutex_lock(&tide_mutex);
	if (rcu_access_pointer(memcg->tide.in_force[TIDE_KSM])) {
		err = -EBUSY;
	} else {
		WRITE_ONCE(memcg->tide.ksm_closed, false);
		tide_ksm_mark_tasks(&memcg->css, false);
	}
	mutex_unlock(&tide_mutex);
	mem_cgroup_put(memcg);
	return err;
}

/* Domains. */

static struct tide_ksm_domain *to_domain(struct kobject *kobj)
{
	return container_of(kobj, struct tide_ksm_domain, kobj);
}

static ssize_t stats_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	const struct tide_ksm_domain *domain = to_domain(kobj);

	return sysfs_emit(buf,
			  "shared %lu\nsharing %lu\nwaiting %lu\nunshared %lu\nunshare_failed %lu\n"
			  "scanned %lu\nmade %lu\nbroken %lu\ncpu_ns %llu\n",
			  READ_ONCE(domain->shared), READ_ONCE(domain->sharing),
			  ksm_waiting(domain), READ_ONCE(domain->unshared),
			  READ_ONCE(domain->unshare_failed), READ_ONCE(domain->scanned),
			  READ_ONCE(domain->made), READ_ONCE(domain->broken),
			  READ_ONCE(domain->cpu_ns));
}

/* What a tenant shares is its own business, and telling takes a walk over all of KSM's mms. */
static struct kobj_attribute stats_attr = __ATTR_RO_MODE(stats, 0400);

static struct attribute *tide_ksm_domain_attrs[] = {
	&stats_attr.attr,
	NULL,
};
ATTRIBUTE_GROUPS(tide_ksm_domain);

static void tide_ksm_domain_release(struct kobject *kobj)
{
	kfree(to_domain(kobj));
}

static const struct kobj_type tide_ksm_domain_type = {
	.release = tide_ksm_domain_release,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = tide_ksm_domain_groups,
};

static struct tide_ksm_domain *tide_ksm_domain_find(u64 id)
{
	struct tide_ksm_domain *domain;

	lockdep_assert_held(&tide_ksm_domains_mutex);
	if (!id)
		return &tide_ksm_never;
	list_for_each_entry(domain, &tide_ksm_domains, list) {
		if (domain->id == id)
			return domain;
	}
	return NULL;
}

static struct tide_ksm_domain *tide_ksm_domain_create(u64 id)
{
	struct tide_ksm_domain *domain = kzalloc(sizeof(*domain), GFP_KERNEL);
	int err;

	if (!domain)
		return ERR_PTR(-ENOMEM);
	domain->id = id;
	domain->kobj.kset = tide_ksm_domains_kset;
	err = kobject_init_and_add(&domain->kobj, &tide_ksm_domain_type, NULL, "%llu", id);
	if (err) {
		kobject_put(&domain->kobj);
		return ERR_PTR(err);
	}
	list_add_tail(&domain->list, &tide_ksm_domains);
	return domain;
}

/*
 * Removes the domains that no policy names, no mm is in and no page is merged in.  A domain that is
 * still in use goes when the next policy is detached.
 */
static void tide_ksm_domains_sweep(void)
{
	struct tide_ksm_domain *domain, *next;

	lockdep_assert_held(&tide_ksm_domains_mutex);
	list_for_each_entry(domain, &tide_ksm_domains, list)
		domain->used = domain->policies;
	ksm_mark_domains();
	list_for_each_entry_safe(domain, next, &tide_ksm_domains, list) {
		if (domain->used || READ_ONCE(domain->nodes))
			continue;
		list_del(&domain->list);
		kobject_del(&domain->kobj);
		kobject_put(&domain->kobj);
	}
}

/* The family. */

static void tide_ksm_read(const void *table, struct tide_common *common)
{
	const struct tide_ksm_ops *ops = table;

	*common = (struct tide_common) {
		.cgroup_id = ops->cgroup_id,
		.name = ops->name,
		.exit = ops->exit,
	};
}

static int tide_ksm_init(struct tide_policy *policy)
{
	const struct tide_ksm_ops *ops = policy->ops;
	struct tide_ksm_domain *domain;

	mutex_lock(&tide_ksm_domains_mutex);
	domain = tide_ksm_domain_find(ops->domain) ?: tide_ksm_domain_create(ops->domain);
	if (!IS_ERR(domain)) {
		domain->policies++;
		policy->data = domain;
	}
	mutex_unlock(&tide_ksm_domains_mutex);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	static_branch_enable(&tide_ksm_key);
	return 0;
}

static void tide_ksm_free(struct tide_policy *policy)
{
	struct tide_ksm_domain *domain = policy->data;

	mutex_lock(&tide_ksm_domains_mutex);
	domain->policies--;
	tide_ksm_domains_sweep();
	mutex_unlock(&tide_ksm_domains_mutex);
}

/* From here on no page is merged as it was before. */
static void tide_ksm_changed(struct mem_cgroup *memcg)
{
	ksm_wait_for_scan();
}

static enum tide_window tide_ksm_judge(const struct tide_tally *work, char *reason, size_t size)
{
	u64 candidates = work->count[TIDE_KSM_CANDIDATES], vetoed = work->count[TIDE_KSM_VETOED];
	u64 made = work->count[TIDE_KSM_MADE], broken = work->count[TIDE_KSM_BROKEN];

	/* breaking alone ends no window: a guest that starts anew breaks all it has */
	if (candidates < TIDE_KSM_WINDOW && made < TIDE_KSM_WINDOW)
		return TIDE_WINDOW_OPEN;
	if (candidates >= TIDE_KSM_WINDOW &&
	    candidates - vetoed < candidates >> TIDE_KSM_VETO_SHIFT) {
		snprintf(reason, size, "%llu of %llu candidates vetoed", vetoed, candidates);
		return TIDE_WINDOW_BAD;
	}
	if (made >= TIDE_KSM_WINDOW && broken > made / 2) {
		snprintf(reason, size, "%llu merges broken for %llu made", broken, made);
		return TIDE_WINDOW_BAD;
	}
	return TIDE_WINDOW_GOOD;
}

/* Merging saves memory; what unsharing takes is not the policy's to decide. */
static bool tide_ksm_contributed(const struct tide_tally *work)
{
	return false;
}

const struct tide_family_desc tide_ksm_desc = {
	.name = "ksm",
	.count_names = {
		[TIDE_KSM_SCANNED] = "scanned",
		[TIDE_KSM_CANDIDATES] = "candidates",
		[TIDE_KSM_VETOED] = "vetoed",
		[TIDE_KSM_MADE] = "made",
		[TIDE_KSM_BROKEN] = "broken",
		[TIDE_KSM_CLAMPED] = "clamped",
	},
	.read = tide_ksm_read,
	.init = tide_ksm_init,
	.enter = tide_ksm_enter,
	.changed = tide_ksm_changed,
	.free = tide_ksm_free,
	.judge = tide_ksm_judge,
	.contributed = tide_ksm_contributed,
};

/* BPF. */

static int tide_ksm_bpf_init(struct btf *btf)
{
	return 0;
}

static int tide_ksm_init_member(const struct btf_type *type, const struct btf_member *member,
				void *kdata, const void *udata)
{
	const struct tide_ksm_ops *from = udata;
	struct tide_ksm_ops *to = kdata;

	switch (__btf_member_bit_offset(type, member) / 8) {
	case offsetof(struct tide_ksm_ops, cgroup_id):
		to->cgroup_id = from->cgroup_id;
		return from->cgroup_id ? 1 : -EINVAL;
	case offsetof(struct tide_ksm_ops, domain):
		to->domain = from->domain;
		return 1;
	case offsetof(struct tide_ksm_ops, flags):
		return from->flags ? -EINVAL : 1;
	case offsetof(struct tide_ksm_ops, name):
		return bpf_obj_name_cpy(to->name, from->name, sizeof(to->name)) > 0 ? 1 : -EINVAL;
	}
	return 0;
}

static int tide_ksm_reg(void *kdata, struct bpf_link *link)
{
	return tide_register(TIDE_KSM, kdata, link);
}

static void tide_ksm_unreg(void *kdata, struct bpf_link *link)
{
	tide_unregister(kdata);
}

static int tide_ksm_update(void *kdata, void *old_kdata, struct bpf_link *link)
{
	return tide_update(TIDE_KSM, kdata, old_kdata, link);
}

static int tide_ksm_visit_stub(struct tide_ksm_visit *visit)
{
	return TIDE_KSM_NO_LIMIT;
}

static int tide_ksm_range_stub(struct tide_ksm_range *range)
{
	return 1;
}

static int tide_ksm_merge_stub(struct tide_ksm_page *page)
{
	return 1;
}

static void tide_ksm_page_stub(struct tide_ksm_page *page)
{
}

static int tide_ksm_pace_stub(struct tide_ksm_pace *pace)
{
	return 0;
}

static void tide_ksm_exit_stub(struct tide_exit *exit)
{
}

static struct tide_ksm_ops tide_ksm_stubs = {
	.visit = tide_ksm_visit_stub,
	.range = tide_ksm_range_stub,
	.merge = tide_ksm_merge_stub,
	.merged = tide_ksm_page_stub,
	.broken = tide_ksm_page_stub,
	.pace = tide_ksm_pace_stub,
	.exit = tide_ksm_exit_stub,
};

static struct bpf_struct_ops bpf_tide_ksm_ops = {
	.verifier_ops = &tide_verifier_ops,
	.init = tide_ksm_bpf_init,
	.check_program = tide_check_program,
	.init_member = tide_ksm_init_member,
	.reg = tide_ksm_reg,
	.unreg = tide_ksm_unreg,
	.update = tide_ksm_update,
	.cfi_stubs = &tide_ksm_stubs,
	.name = "tide_ksm_ops",
	.owner = THIS_MODULE,
};

/* Written to: the id of a cgroup that is to merge as if it never had a policy. */
static ssize_t open_store(struct kobject *kobj, struct kobj_attribute *attr, const char *buf,
			  size_t len)
{
	u64 id;
	int err = kstrtou64(buf, 0, &id) ?: tide_ksm_open(id);

	return err ?: len;
}

static struct kobj_attribute open_attr = __ATTR_WO(open);

static int __init tide_ksm_setup(void)
{
	int err;

	if (!tide_policies_kset)
		return -ENOMEM;
	tide_ksm_kobj = kobject_create_and_add("ksm", tide_kobj);
	if (!tide_ksm_kobj)
		return -ENOMEM;
	err = sysfs_create_file(tide_ksm_kobj, &open_attr.attr);
	if (err)
		return err;
	tide_ksm_domains_kset = kset_create_and_add("domains", NULL, tide_ksm_kobj);
	if (!tide_ksm_domains_kset)
		return -ENOMEM;
	tide_ksm_never.kobj.kset = tide_ksm_domains_kset;
	err = kobject_init_and_add(&tide_ksm_never.kobj, &tide_ksm_domain_type, NULL, "0");
	if (err)
		return err;
	return register_bpf_struct_ops(&bpf_tide_ksm_ops, tide_ksm_ops);
}
late_initcall(tide_ksm_setup);
