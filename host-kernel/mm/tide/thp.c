// SPDX-License-Identifier: GPL-2.0-only
/*
 * Family thp: asks policies on behalf of page faults and khugepaged.  They can only narrow what
 * sysfs and madvise() allow.
 *
 * An mm that a policy keeps small is known to khugepaged all the same: the policy may go, or change
 * its mind.
 */
#include <linux/btf.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/tide_thp.h>

#include "internal.h"

enum tide_thp_count {
	TIDE_THP_ASKED,
	TIDE_THP_NARROWED,
	TIDE_THP_MADE,
	TIDE_THP_SPLIT,
	TIDE_THP_CANDIDATES,
	TIDE_THP_VETOED,
	TIDE_THP_CLAMPED,
};

/*
 * A window of the tally: so many pages in huge ones that were made.  256 MiB: huge pages are split
 * by reclaim, some time after they were made, and both are to fall into a few windows.
 */
#define TIDE_THP_WINDOW		65536

DEFINE_STATIC_KEY_FALSE(tide_thp_key);

/* In rcu_read_lock(). */
static struct tide_policy *tide_thp_policy_of(struct vm_area_struct *vma)
{
	return tide_policy_of(vma->vm_mm, TIDE_THP);
}

/*
 * What @policy answers.  @flags say who asks; those of the mapping are added.  Always inlined since
 * page faults come here.
 */
static __always_inline unsigned long tide_thp_ask(struct tide_policy *policy,
						  struct vm_area_struct *vma, u32 flags,
						  unsigned long orders)
{
	const struct tide_thp_ops *ops = policy->ops;
	u32 allowed;

	if (!ops->orders || !tide_enter())
		return orders;
	if (vma->vm_flags & VM_HUGEPAGE)
		flags |= TIDE_THP_ADVISED;
	allowed = ops->orders(&(struct tide_thp_request){
		.scope = tide_snapshot(policy),
		.start = vma->vm_start,
		.end = vma->vm_end,
		.orders = orders,
		.flags = flags,
	});
	tide_leave();

	tide_count(policy, TIDE_THP_ASKED);
	if (likely(allowed == orders))
		return orders;
	if (allowed & ~orders)
		tide_count(policy, TIDE_THP_CLAMPED);
	if (orders & ~allowed)
		tide_count(policy, TIDE_THP_NARROWED);
	return orders & allowed;
}

/* Pages of the folio that is tried first with @orders, which is also its bit among them. */
static long tide_thp_first_pages(unsigned long orders)
{
	return orders ? 1L << __fls(orders) : 0;
}

/**
 * tide_thp_fault_orders - which orders a fault of anonymous memory may use, below PMD_ORDER
 * @vma: the mapping, with its lock or the mmap lock
 * @orders: those that the kernel allows and that there is room for, not zero
 *
 * A folio of the highest order is counted as made: it nearly always is, and to look for the policy
 * once more would cost each fault.  Where it is not, see tide_thp_fault_failed().
 *
 * Return: @orders, or fewer of them.
 */
unsigned long tide_thp_fault_orders(struct vm_area_struct *vma, unsigned long orders)
{
	struct tide_policy *policy;

	rcu_read_lock();
	policy = tide_thp_policy_of(vma);
	if (policy) {
		orders = tide_thp_ask(policy, vma, 0, orders);
		tide_count_pages(policy, TIDE_THP_MADE, tide_thp_first_pages(orders));
	}
	rcu_read_unlock();
	return orders;
}

/**
 * tide_thp_fault_failed - a fault could not have a folio of the highest of its orders
 * @vma: the mapping
 * @orders: that one, and those that are tried next
 */
void tide_thp_fault_failed(struct vm_area_struct *vma, unsigned long orders)
{
	long failed = tide_thp_first_pages(orders);
	struct tide_policy *policy;

	rcu_read_lock();
	policy = tide_thp_policy_of(vma);
	if (policy)
		tide_count_pages(policy, TIDE_THP_MADE,
				 tide_thp_first_pages(orders & ~failed) - failed);
	rcu_read_unlock();
}

static bool tide_thp_may_be_huge(struct vm_area_struct *vma, u32 flags)
{
	unsigned long orders = BIT(PMD_ORDER);
	struct tide_policy *policy;

	rcu_read_lock();
	policy = tide_thp_policy_of(vma);
	if (policy)
		orders = tide_thp_ask(policy, vma, flags, orders);
	rcu_read_unlock();
	return orders;
}

/**
 * tide_thp_may_fault - whether a fault of anonymous memory may make a huge page
 * @vma: the mapping, with its lock or the mmap lock
 */
bool tide_thp_may_fault(struct vm_area_struct *vma)
{
	return tide_thp_may_be_huge(vma, 0);
}

/**
 * tide_thp_may_scan - whether khugepaged may make huge pages of a mapping
 * @vma: the mapping, with the mmap lock
 *
 * In khugepaged.
 */
bool tide_thp_may_scan(struct vm_area_struct *vma)
{
	return !vma_is_anonymous(vma) || tide_thp_may_be_huge(vma, TIDE_THP_KHUGEPAGED);
}

/**
 * tide_thp_visit - khugepaged comes to an mm, or goes on with it
 * @slot: what it keeps of it
 * @mm: the mm
 * @pass: khugepaged's, from 1
 * @address: where it would go on
 *
 * In khugepaged.
 *
 * Return: where to go on.
 */
unsigned long tide_thp_visit(struct tide_thp_slot *slot, struct mm_struct *mm, u64 pass,
			     unsigned long address)
{
	static u64 slot_ids;
	const struct tide_thp_ops *ops;
	struct tide_policy *policy;

	if (slot->pass == pass)
		return address;
	slot->pass = pass;
	slot->left = TIDE_THP_NO_LIMIT;
	if (!slot->id)
		slot->id = ++slot_ids;

	rcu_read_lock();
	policy = tide_policy_of(mm, TIDE_THP);
	ops = policy ? policy->ops : NULL;
	if (ops && ops->visit && tide_enter()) {
		struct tide_thp_visit visit = {
			.scope = tide_snapshot(policy),
			.mm_id = slot->id,
			.pass = pass,
			.anon_pages = get_mm_counter(mm, MM_ANONPAGES),
		};
		int pages = ops->visit(&visit);

		tide_leave();
		if (pages < TIDE_THP_NO_LIMIT) {
			tide_count(policy, TIDE_THP_CLAMPED);
			pages = TIDE_THP_NO_LIMIT;
		}
		slot->left = pages;
	}
	rcu_read_unlock();
	return slot->cursor;
}

/**
 * tide_thp_visit_is_over - whether khugepaged is to leave an mm for the next one
 * @slot: what it keeps of it
 * @address: where it would go on
 *
 * In khugepaged.
 */
bool tide_thp_visit_is_over(struct tide_thp_slot *slot, unsigned long address)
{
	/* without an id the visit began before the first policy came */
	if (!slot->id || slot->left)
		return false;
	slot->cursor = address;
	return true;
}

/* tide_thp_scanned - khugepaged has looked at one huge page, or at what could be one. */
void tide_thp_scanned(struct tide_thp_slot *slot)
{
	if (slot->left > 0)
		slot->left -= min(slot->left, (long)HPAGE_PMD_NR);
}

/**
 * tide_thp_may_collapse - whether a huge page may take the place of small ones
 * @slot: what khugepaged keeps of the mm
 * @mm: the mm
 * @found: what it has found
 *
 * In khugepaged, with the mmap lock.
 */
bool tide_thp_may_collapse(struct tide_thp_slot *slot, struct mm_struct *mm,
			   const struct tide_thp_found *found)
{
	const struct tide_thp_ops *ops;
	struct tide_policy *policy;
	int may = 1;

	rcu_read_lock();
	policy = tide_policy_of(mm, TIDE_THP);
	ops = policy && slot->id ? policy->ops : NULL;
	if (ops)
		tide_count(policy, TIDE_THP_CANDIDATES);
	if (ops && ops->collapse && tide_enter()) {
		struct tide_thp_collapse collapse = {
			.scope = tide_snapshot(policy),
			.mm_id = slot->id,
			.pass = slot->pass,
			.address = found->address,
			.present = HPAGE_PMD_NR - found->none - found->swapped,
			.swapped = found->swapped,
			.shared = found->shared,
			.young = found->young,
		};

		may = ops->collapse(&collapse);
		tide_leave();
		if (may != !!may)
			tide_count(policy, TIDE_THP_CLAMPED);
		if (may <= 0)
			tide_count(policy, TIDE_THP_VETOED);
	}
	rcu_read_unlock();
	return may > 0;
}

/* tide_thp_made - a huge page is mapped in @mm.  Any context. */
void tide_thp_made(struct mm_struct *mm)
{
	struct tide_policy *policy;

	rcu_read_lock();
	policy = tide_policy_of(mm, TIDE_THP);
	if (policy)
		tide_count_pages(policy, TIDE_THP_MADE, HPAGE_PMD_NR);
	rcu_read_unlock();
}

/* tide_thp_split - @folio is part of one that had @pages.  Locked, so its cgroup holds. */
void tide_thp_split(struct folio *folio, unsigned long pages)
{
	struct tide_policy *policy;
	struct mem_cgroup *memcg;

	rcu_read_lock();
	memcg = folio_memcg(folio);
	policy = memcg ? rcu_dereference(memcg->tide.in_force[TIDE_THP]) : NULL;
	if (tide_alive(policy))
		tide_count_pages(policy, TIDE_THP_SPLIT, pages);
	rcu_read_unlock();
}

/* The family. */

static void tide_thp_read(const void *table, struct tide_common *common)
{
	const struct tide_thp_ops *ops = table;

	*common = (struct tide_common) {
		.cgroup_id = ops->cgroup_id,
		.name = ops->name,
		.exit = ops->exit,
	};
}

static int tide_thp_init(struct tide_policy *policy)
{
	static_branch_inc(&tide_thp_key);
	return 0;
}

static void tide_thp_free(struct tide_policy *policy)
{
	static_branch_dec(&tide_thp_key);
}

static enum tide_window tide_thp_judge(const struct tide_tally *work, char *reason, size_t size)
{
	u64 made = work->count[TIDE_THP_MADE], split = work->count[TIDE_THP_SPLIT];

	/* splitting alone ends no window: what is split may be older than the policy */
	if (made < TIDE_THP_WINDOW)
		return TIDE_WINDOW_OPEN;
	if (split <= made / 2)
		return TIDE_WINDOW_GOOD;
	snprintf(reason, size, "%llu pages in huge ones made, %llu split", made, split);
	return TIDE_WINDOW_BAD;
}

/* A huge page may hold more than its owner uses of it. */
static bool tide_thp_contributed(const struct tide_tally *work)
{
	return work->count[TIDE_THP_MADE] > work->count[TIDE_THP_SPLIT];
}

const struct tide_family_desc tide_thp_desc = {
	.name = "thp",
	.count_names = {
		[TIDE_THP_ASKED] = "asked",
		[TIDE_THP_NARROWED] = "narrowed",
		[TIDE_THP_MADE] = "made",
		[TIDE_THP_SPLIT] = "split",
		[TIDE_THP_CANDIDATES] = "candidates",
		[TIDE_THP_VETOED] = "vetoed",
		[TIDE_THP_CLAMPED] = "clamped",
	},
	.read = tide_thp_read,
	.init = tide_thp_init,
	.free = tide_thp_free,
	.judge = tide_thp_judge,
	.contributed = tide_thp_contributed,
};

/* BPF. */

static int tide_thp_bpf_init(struct btf *btf)
{
	return 0;
}

static int tide_thp_init_member(const struct btf_type *type, const struct btf_member *member,
				void *kdata, const void *udata)
{
	const struct tide_thp_ops *from = udata;
	struct tide_thp_ops *to = kdata;

	switch (__btf_member_bit_offset(type, member) / 8) {
	case offsetof(struct tide_thp_ops, cgroup_id):
		to->cgroup_id = from->cgroup_id;
		return from->cgroup_id ? 1 : -EINVAL;
	case offsetof(struct tide_thp_ops, flags):
		return from->flags ? -EINVAL : 1;
	case offsetof(struct tide_thp_ops, name):
		return bpf_obj_name_cpy(to->name, from->name, sizeof(to->name)) > 0 ? 1 : -EINVAL;
	}
	return 0;
}

static int tide_thp_reg(void *kdata, struct bpf_link *link)
{
	return tide_register(TIDE_THP, kdata, link);
}

static void tide_thp_unreg(void *kdata, struct bpf_link *link)
{
	tide_unregister(kdata);
}

static int tide_thp_update(void *kdata, void *old_kdata, struct bpf_link *link)
{
	return tide_update(TIDE_THP, kdata, old_kdata, link);
}

static int tide_thp_orders_stub(struct tide_thp_request *request)
{
	return 0;
}

static int tide_thp_visit_stub(struct tide_thp_visit *visit)
{
	return TIDE_THP_NO_LIMIT;
}

static int tide_thp_collapse_stub(struct tide_thp_collapse *collapse)
{
	return 1;
}

static void tide_thp_exit_stub(struct tide_exit *exit)
{
}

static struct tide_thp_ops tide_thp_stubs = {
	.orders = tide_thp_orders_stub,
	.visit = tide_thp_visit_stub,
	.collapse = tide_thp_collapse_stub,
	.exit = tide_thp_exit_stub,
};

static struct bpf_struct_ops bpf_tide_thp_ops = {
	.verifier_ops = &tide_verifier_ops,
	.init = tide_thp_bpf_init,
	.check_program = tide_check_program,
	.init_member = tide_thp_init_member,
	.reg = tide_thp_reg,
	.unreg = tide_thp_unreg,
	.update = tide_thp_update,
	.cfi_stubs = &tide_thp_stubs,
	.name = "tide_thp_ops",
	.owner = THIS_MODULE,
};

static int __init tide_thp_setup(void)
{
	return register_bpf_struct_ops(&bpf_tide_thp_ops, tide_thp_ops);
}
late_initcall(tide_thp_setup);
