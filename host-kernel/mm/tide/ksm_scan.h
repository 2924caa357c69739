/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory policies in ksmd: the part that works on mm/ksm.c's own structures, included there once.
 * Merge domains as keys of the trees, visits that are skipped or cut short, and pages that have to
 * be unshared.
 *
 * What is skipped keeps its merged pages and their items, but leaves the unstable tree: an item
 * may be left over there from the last pass only.
 *
 * The scan is compiled twice, see ksm_do_batch(), and calls what is here from the copy for policies
 * only.  What is called from elsewhere as well looks at the static key by itself.
 */
#ifdef CONFIG_TIDE

/* Of the mm that is being visited: what is looked for or inserted in the trees is a page of its. */
static struct tide_ksm_domain *ksm_scan_domain(void)
{
	return ksm_scan.mm_slot->slot.mm->ksm_domain;
}

/* Orders what has the content of the page that is being scanned by its domain. */
static int ksm_domain_cmp(const struct tide_ksm_domain *domain)
{
	const struct tide_ksm_domain *scanned = ksm_scan_domain();

	return scanned < domain ? -1 : scanned > domain;
}

static inline int ksm_node_cmp(const struct ksm_stable_node *node)
{
	return tide_ksm_enabled() ? ksm_domain_cmp(node->domain) : 0;
}

static int ksm_item_cmp(const struct ksm_rmap_item *rmap_item)
{
	return ksm_domain_cmp(rmap_item->mm->ksm_domain);
}

/* Whether what ksmd found for @mm when its visit began is still so. */
static inline bool ksm_domain_holds(struct mm_struct *mm)
{
	return !tide_ksm_enabled() || tide_ksm_domain_of(mm) == mm->ksm_domain;
}

/* The zero page is everybody's: who has a domain does not share it. */
static inline bool ksm_may_use_zero_page(struct mm_struct *mm)
{
	return ksm_domain_holds(mm) && !mm->ksm_domain;
}

static inline void ksm_node_init(struct ksm_stable_node *node)
{
	node->domain = ksm_scan_domain();
	if (node->domain)
		node->domain->nodes++;
}

static inline void ksm_node_done(struct ksm_stable_node *node)
{
	if (node->domain)
		node->domain->nodes--;
}

/* As ksm_pages_shared and ksm_pages_sharing. */
static inline void ksm_node_add_shared(struct ksm_stable_node *node, long pages)
{
	if (node->domain)
		node->domain->shared += pages;
}

static inline void ksm_node_add_sharing(struct ksm_stable_node *node, long pages)
{
	if (node->domain)
		node->domain->sharing += pages;
}

static u64 ksm_slot_ids;

static void ksm_describe_page(struct tide_ksm_page *page, u64 mm_id,
			      const struct ksm_rmap_item *rmap_item)
{
	*page = (struct tide_ksm_page) {
		.mm_id = mm_id,
		.pass = ksm_scan.seqnr,
		.address = rmap_item->address & PAGE_MASK,
		.unchanged = rmap_item->unchanged,
		.age = rmap_item->age,
	};
}

/*
 * A page that was merged and is not any more was written to, or discarded.  Its item need not be in
 * the stable tree: where all who shared have written, the node may have been pruned.
 */
static void ksm_note_broken(struct page *page, struct ksm_rmap_item *rmap_item)
{
	struct tide_ksm_page broken;

	if (!rmap_item->merged || PageKsm(page))
		return;
	rmap_item->merged = false;
	rmap_item->unchanged = 0;
	ksm_describe_page(&broken, ksm_scan.mm_slot->tide.id, rmap_item);
	tide_ksm_broken(rmap_item->mm, &broken);
}

/* A page that is not merged has another checksum than at the last scan. */
static void ksm_note_changed(struct page *page, struct ksm_rmap_item *rmap_item)
{
	ksm_note_broken(page, rmap_item);
	rmap_item->unchanged = 0;
}

/* Asks about a page of the mm that is being visited, which is unchanged since the last scan. */
static bool ksm_may_merge(struct page *page, struct ksm_rmap_item *rmap_item)
{
	struct tide_ksm_page candidate;

	/* without an id the visit began before the first policy came */
	if (!ksm_scan.mm_slot->tide.id)
		return true;
	ksm_note_broken(page, rmap_item);
	if (rmap_item->unchanged < U8_MAX)
		rmap_item->unchanged++;
	ksm_describe_page(&candidate, ksm_scan.mm_slot->tide.id, rmap_item);
	if (PageTransCompound(page))
		candidate.flags |= TIDE_KSM_IN_HUGE_PAGE;
	return tide_ksm_may_merge(rmap_item->mm, &candidate);
}

static u64 ksm_mm_id(struct mm_struct *mm)
{
	struct ksm_mm_slot *mm_slot;
	struct mm_slot *slot;
	u64 id;

	spin_lock(&ksm_mmlist_lock);
	slot = mm_slot_lookup(mm_slots_hash, mm);
	mm_slot = mm_slot_entry(slot, struct ksm_mm_slot, slot);
	id = slot ? mm_slot->tide.id : 0;
	spin_unlock(&ksm_mmlist_lock);
	return id;
}

static void ksm_note_merged(struct ksm_rmap_item *rmap_item)
{
	struct tide_ksm_page merged;

	rmap_item->merged = true;
	/* smart scan is not to pass over it once it is broken, which a policy learns from */
	if (rmap_item->mm->ksm_domain)
		rmap_item->remaining_skips = 0;
	ksm_describe_page(&merged, ksm_mm_id(rmap_item->mm), rmap_item);
	tide_ksm_merged(rmap_item->mm, &merged);
}

static bool ksm_nothing_merges(struct mm_struct *mm)
{
	return mm->ksm_domain == &tide_ksm_never;
}

/*
 * Whether a page of @mm is merged where it may not be.  Under the page table lock, like the next
 * one.
 */
static bool ksm_page_is_wrong(struct mm_struct *mm, struct folio *folio)
{
	struct ksm_stable_node *stable_node;

	if (!folio_test_ksm(folio))
		return false;
	stable_node = folio_stable_node(folio);
	/* without a node it could not be made part of the tree, nor unshared when that was found */
	return stable_node ? stable_node->domain != mm->ksm_domain : ksm_nothing_merges(mm);
}

static bool ksm_zero_is_wrong(struct mm_struct *mm, pte_t pte)
{
	return mm->ksm_domain && is_ksm_zero_pte(pte);
}

/* Whether this visit only looks for pages to unshare: it may scan no more, or nothing merges. */
static bool ksm_only_unshares(void)
{
	const struct tide_ksm_slot *tide = &ksm_scan.mm_slot->tide;

	return tide->unshare && !tide->left;
}

/* A page that is being migrated may be a merged one: the next visit looks again. */
static void ksm_note_absent(pte_t pte)
{
	struct tide_ksm_slot *tide = &ksm_scan.mm_slot->tide;

	if (tide->unshare && !pte_none(pte) &&
	    is_migration_entry(pte_to_swp_entry(pte)))
		tide->failed++;
}

/*
 * Whether all who share @folio, as far as KSM has items of theirs, are still in the domain in which
 * they came to.  Those who are not wait to be unshared, and nobody is to join them.
 */
static bool ksm_sharers_hold(struct folio *folio)
{
	struct ksm_stable_node *stable_node;
	struct ksm_rmap_item *rmap_item;
	struct mm_struct *mm = NULL;

	if (!tide_ksm_enabled())
		return true;
	stable_node = folio_stable_node(folio);
	if (!stable_node)
		return true;
	hlist_for_each_entry(rmap_item, &stable_node->hlist, hlist) {
		if (rmap_item->mm == mm)
			continue;
		mm = rmap_item->mm;
		if (tide_ksm_domain_of(mm) != stable_node->domain)
			return false;
	}
	return true;
}

/*
 * Whether @folio, which is back from swap and locked, may be mapped into @mm as the merged page
 * that it is.
 */
static bool ksm_may_map(struct folio *folio, struct mm_struct *mm)
{
	return !tide_ksm_enabled() ||
		folio_stable_node(folio)->domain == tide_ksm_domain_of(mm);
}

/* Drops the items below @address: there is nothing any more. */
static void ksm_drop_items(unsigned long address)
{
	struct ksm_rmap_item *rmap_item;

	while ((rmap_item = *ksm_scan.rmap_list) && rmap_item->address < address) {
		*ksm_scan.rmap_list = rmap_item->rmap_list;
		remove_rmap_item_from_tree(rmap_item);
		free_rmap_item(rmap_item);
	}
}

/* Steps over the items below @address, which stay. */
static void ksm_keep_items(unsigned long address)
{
	struct ksm_rmap_item *rmap_item;

	while ((rmap_item = *ksm_scan.rmap_list) && rmap_item->address < address) {
		if (rmap_item->address & UNSTABLE_FLAG)
			remove_rmap_item_from_tree(rmap_item);
		ksm_scan.rmap_list = &rmap_item->rmap_list;
		cond_resched();
	}
}

/*
 * Gives @vma's mm a page of its own at @addr.  With the mmap lock.  Where that fails the page is
 * still merged, and its item stays: it is what keeps others from joining.
 */
static void ksm_unshare(struct ksm_mm_slot *mm_slot, struct vm_area_struct *vma, unsigned long addr)
{
	struct tide_ksm_slot *tide = &mm_slot->tide;
	int err = -ENOMEM;

	if (tide_ksm_may_unshare(vma->vm_mm, !tide->full))
		err = break_ksm(vma, addr, false);
	else
		tide->full = true;
	tide_ksm_unshared(vma->vm_mm, tide->id, addr, err);
	if (err) {
		tide->failed++;
		ksm_drop_items(addr);
		ksm_keep_items(addr + PAGE_SIZE);
	} else if (tide->waiting) {
		tide->waiting--;
	}
}

/* The mm's domain is @domain from now on. */
static void ksm_domain_enter(struct ksm_mm_slot *mm_slot, struct tide_ksm_domain *domain)
{
	struct mm_struct *mm = mm_slot->slot.mm;

	WRITE_ONCE(mm->ksm_domain, domain);
	if (domain)
		set_bit(MMF_KSM_CLOSED, &mm->flags);
	mm_slot->tide.unshare = true;
	mm_slot->tide.waiting = mm->ksm_merging_pages + mm_ksm_zero_pages(mm);
}

/*
 * While policies have all of memory left alone, a pass begins once a second: it costs the system
 * something (lru_add_drain_all()), and policies count passes.
 */
static bool ksm_pass_is_due(void)
{
	static unsigned long began, scanned;

	if (scanned == ksm_pages_scanned && time_before(jiffies, began + HZ))
		return false;
	began = jiffies;
	scanned = ksm_pages_scanned;
	return true;
}

/*
 * ksmd comes to an mm.  Nothing of it is in the unstable tree yet, but for one that exits: that may
 * be visited twice in a pass, and its items are dropped before the tree is searched again.
 */
static void ksm_visit_begin(struct ksm_mm_slot *mm_slot)
{
	struct tide_ksm_slot *tide = &mm_slot->tide;
	struct mm_struct *mm = mm_slot->slot.mm;
	struct tide_ksm_domain *domain = tide_ksm_domain_of(mm);

	if (!tide->id || domain != mm->ksm_domain)
		ksm_domain_enter(mm_slot, domain);
	if (!tide->id)
		tide->id = ++ksm_slot_ids;
	tide->cpu_ns = task_sched_runtime(current);
	tide->scanned = ksm_pages_scanned;
	tide->range_end = 0;
	tide->failed = 0;
	tide->full = false;
	if (ksm_nothing_merges(mm))
		tide->left = 0;
	else
		tide->left = tide_ksm_visit(mm, tide->id, ksm_scan.seqnr);
	if (tide->unshare)
		tide->cursor = 0;
	tide->skip = !tide->left;
	if (!tide->skip)
		tide->unstable = true;
	if (tide->cursor) {
		ksm_scan.address = tide->cursor;
		if (!tide->skip || tide->unstable)
			ksm_keep_items(tide->cursor);
	}
}

/* Counts what a visit has scanned, and what that took, since this was last done. */
static void ksm_visit_account(struct ksm_mm_slot *mm_slot)
{
	struct tide_ksm_slot *tide = &mm_slot->tide;
	u64 cpu_ns = task_sched_runtime(current);

	tide_ksm_scanned(mm_slot->slot.mm, ksm_pages_scanned - tide->scanned,
			 cpu_ns - tide->cpu_ns);
	tide->scanned = ksm_pages_scanned;
	tide->cpu_ns = cpu_ns;
}

/* A batch is over, and ksmd may be in the middle of a visit. */
static void ksm_batch_end(void)
{
	struct ksm_mm_slot *mm_slot = ksm_scan.mm_slot;

	if (mm_slot != &ksm_mm_head && mm_slot->tide.id)
		ksm_visit_account(mm_slot);
}

/*
 * Ends a visit that may scan no more pages: ksmd goes on to the next mm.  One that exits is left
 * to the scan itself, which frees it.
 */
static bool ksm_visit_is_over(struct ksm_mm_slot *mm_slot)
{
	struct tide_ksm_slot *tide = &mm_slot->tide;
	struct mm_slot *slot;

	/* without an id the visit began before the first policy came */
	if (!tide->id || tide->left < 0 || ksm_test_exit(mm_slot->slot.mm))
		return false;
	if (tide->left) {
		tide->left--;
		return false;
	}
	if (tide->unshare)
		return false;
	tide->cursor = ksm_scan.address;
	if (tide->unstable)
		ksm_keep_items(ULONG_MAX);
	if (tide->skip)
		tide->unstable = false;
	ksm_visit_account(mm_slot);
	cond_resched();

	spin_lock(&ksm_mmlist_lock);
	slot = list_entry(mm_slot->slot.mm_node.next, struct mm_slot, mm_node);
	ksm_scan.mm_slot = mm_slot_entry(slot, struct ksm_mm_slot, slot);
	spin_unlock(&ksm_mmlist_lock);
	return true;
}

/* The visit has come to the mm's end. */
static void ksm_visit_end(struct ksm_mm_slot *mm_slot)
{
	struct tide_ksm_slot *tide = &mm_slot->tide;

	if (!tide->id)
		return;
	/* what this visit did not scan stays merged, or is still to be unshared */
	if (tide->failed || (!tide->left && !ksm_nothing_merges(mm_slot->slot.mm)))
		ksm_keep_items(ULONG_MAX);
	tide->unshare = tide->failed;
	tide->waiting = tide->failed;
	tide->cursor = 0;
	ksm_visit_account(mm_slot);
}

/*
 * Steps over the range of the page that was found at ksm_scan.address if the policy leaves it
 * alone.  With the mmap lock.
 */
static bool ksm_skip_range(struct ksm_mm_slot *mm_slot, struct vm_area_struct *vma)
{
	struct tide_ksm_slot *tide = &mm_slot->tide;
	unsigned long start = ksm_scan.address, end;

	if (!tide->id || tide->unshare || start < tide->range_end)
		return false;
	end = min(vma->vm_end, ALIGN(start + 1, 1UL << TIDE_KSM_RANGE_SHIFT));
	tide->range_end = end;
	if (tide_ksm_range(vma->vm_mm, tide->id, ksm_scan.seqnr, start, end))
		return false;
	ksm_drop_items(start);
	ksm_keep_items(end);
	ksm_scan.address = end;
	return true;
}

/*
 * ksm_wait_for_scan - wait until ksmd is between two batches
 *
 * Which policy is in force is looked at before each merge, so none is made under an older one once
 * this returns.  Sleeps for as long as a batch takes.
 */
void ksm_wait_for_scan(void)
{
	mutex_lock(&ksm_thread_mutex);
	mutex_unlock(&ksm_thread_mutex);
}

/* ksm_mark_domains - set @used of the domains that an mm is in.  Sleeps, as above. */
void ksm_mark_domains(void)
{
	struct ksm_mm_slot *mm_slot;
	struct mm_slot *slot;

	mutex_lock(&ksm_thread_mutex);
	spin_lock(&ksm_mmlist_lock);
	list_for_each_entry(slot, &ksm_mm_head.slot.mm_node, mm_node) {
		mm_slot = mm_slot_entry(slot, struct ksm_mm_slot, slot);
		if (mm_slot->tide.id && slot->mm->ksm_domain)
			slot->mm->ksm_domain->used = true;
	}
	spin_unlock(&ksm_mmlist_lock);
	mutex_unlock(&ksm_thread_mutex);
}

/* ksm_waiting - pages of all mms in @domain that are still merged in another one */
unsigned long ksm_waiting(const struct tide_ksm_domain *domain)
{
	unsigned long pages = 0;
	struct mm_slot *slot;

	spin_lock(&ksm_mmlist_lock);
	list_for_each_entry(slot, &ksm_mm_head.slot.mm_node, mm_node) {
		if (READ_ONCE(slot->mm->ksm_domain) == domain)
			pages += mm_slot_entry(slot, struct ksm_mm_slot, slot)->tide.waiting;
	}
	spin_unlock(&ksm_mmlist_lock);
	return pages;
}

#else /* !CONFIG_TIDE */

static inline int ksm_node_cmp(const struct ksm_stable_node *node) { return 0; }
static inline int ksm_item_cmp(const struct ksm_rmap_item *rmap_item) { return 0; }
static inline bool ksm_domain_holds(struct mm_struct *mm) { return true; }
static inline bool ksm_may_use_zero_page(struct mm_struct *mm) { return true; }
static inline void ksm_node_init(struct ksm_stable_node *node) {}
static inline void ksm_node_done(struct ksm_stable_node *node) {}

static inline void ksm_node_add_shared(struct ksm_stable_node *node, long pages) {}
static inline void ksm_node_add_sharing(struct ksm_stable_node *node, long pages) {}

static inline bool ksm_may_merge(struct page *page, struct ksm_rmap_item *rmap_item)
{
	return true;
}

static inline void ksm_note_changed(struct page *page, struct ksm_rmap_item *rmap_item) {}
static inline void ksm_note_merged(struct ksm_rmap_item *rmap_item) {}
static inline bool ksm_page_is_wrong(struct mm_struct *mm, struct folio *folio) { return false; }
static inline bool ksm_zero_is_wrong(struct mm_struct *mm, pte_t pte) { return false; }
static inline bool ksm_only_unshares(void) { return false; }
static inline void ksm_note_absent(pte_t pte) {}
static inline bool ksm_sharers_hold(struct folio *folio) { return true; }
static inline bool ksm_may_map(struct folio *folio, struct mm_struct *mm) { return true; }
static inline bool ksm_pass_is_due(void) { return true; }
static inline void ksm_unshare(struct ksm_mm_slot *mm_slot, struct vm_area_struct *vma,
			       unsigned long addr) {}
static inline void ksm_visit_begin(struct ksm_mm_slot *mm_slot) {}
static inline bool ksm_visit_is_over(struct ksm_mm_slot *mm_slot) { return false; }
static inline void ksm_visit_end(struct ksm_mm_slot *mm_slot) {}
static inline void ksm_batch_end(void) {}

static inline bool ksm_skip_range(struct ksm_mm_slot *mm_slot, struct vm_area_struct *vma)
{
	return false;
}

static inline unsigned int tide_ksm_pace(unsigned int pages_to_scan) { return pages_to_scan; }

#endif /* CONFIG_TIDE */
