// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks of memory that the host has, and freeing them.  A block is what one call of the page
 * allocator gave: its first page is linked through page->lru and carries the order in
 * page->private.
 *
 * Pages that stay with the host for a while are marked as offline, which is to say that they have
 * no content: a crash dump or a reader of /proc/kcore that touched them would make the host fill
 * them again.  That takes as long as the host takes to drop them, so it is done later and on the
 * side.  In each list marked blocks come first, and the last is taken back first.
 *
 * The pages stay in the zones' managed count and in MemTotal, as with a balloon that deflates on
 * OOM: the guest can have them back, at once up to its ceiling and on demand above it, and programs
 * that size themselves or overcommit by MemTotal should not see it jump.
 */
#include <linux/page-flags.h>

#include "tide.h"

/* Blocks that are freed between two takings of the lock. */
#define TIDE_FREE_CHUNK		16
/* What is given and taken back within this time is never marked. */
#define TIDE_MARK_DELAY		msecs_to_jiffies(2000)

/* Makes a block of fresh pages. */
void tide_block_take(struct page *page, unsigned int order)
{
	set_page_private(page, order);
}

unsigned int tide_block_order(struct page *page)
{
	return page_private(page);
}

/* Gives a block back to the allocator, marked or not. */
void tide_block_free(struct page *page)
{
	unsigned int order = tide_block_order(page);
	unsigned long i;

	if (PageOffline(page)) {
		for (i = 0; i < 1UL << order; i++)
			__ClearPageOffline(page + i);
	}
	set_page_private(page, 0);
	__free_pages(page, order);
}

void tide_blocks_free(struct list_head *blocks)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, blocks, lru) {
		list_del(&page->lru);
		tide_block_free(page);
	}
}

/* Under the lock: marks a block of @order that is not, if there is one. */
static bool tide_mark_one(struct tide *tide, unsigned int order)
{
	struct page *page;
	unsigned long i;

	if (list_empty(&tide->given[order]))
		return false;
	page = list_last_entry(&tide->given[order], struct page, lru);
	if (PageOffline(page))
		return false;
	for (i = 0; i < 1UL << order; i++)
		__SetPageOffline(page + i);
	list_move(&page->lru, &tide->given[order]);
	return true;
}

static void tide_mark_due(struct work_struct *work)
{
	struct tide *tide = container_of(to_delayed_work(work), struct tide, mark_work);
	int order = MAX_PAGE_ORDER;
	bool marked;

	while (order >= 0) {
		/* a block at a time: relief may be waiting */
		spin_lock(&tide->lock);
		marked = tide_mark_one(tide, order);
		spin_unlock(&tide->lock);
		if (!marked)
			order--;
		cond_resched();
	}
}

void tide_blocks_init(struct tide *tide)
{
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++)
		INIT_LIST_HEAD(&tide->given[order]);
	INIT_DEFERRABLE_WORK(&tide->mark_work, tide_mark_due);
}

/* Under the lock: notes that the host has to hear of these pages.  False when the table is full. */
static bool tide_untold_add(struct tide *tide, unsigned long pfn, unsigned long pages)
{
	struct tide_extent *last = tide->nr_untold ? &tide->untold[tide->nr_untold - 1] : NULL;

	if (last && last->pfn + last->pages == pfn) {
		last->pages += pages;
		return true;
	}
	if (last && pfn + pages == last->pfn) {
		last->pfn = pfn;
		last->pages += pages;
		return true;
	}
	if (tide->nr_untold == TIDE_TAKES)
		return false;
	tide->untold[tide->nr_untold++] = (struct tide_extent){ pfn, pages };
	return true;
}

/* Under the lock: the largest block of at most @limit pages, large ones being cheapest to free. */
static struct page *tide_given_last(struct tide *tide, unsigned long limit)
{
	int order;

	if (!limit)
		return NULL;
	for (order = min_t(int, ilog2(limit), MAX_PAGE_ORDER); order >= 0; order--) {
		if (!list_empty(&tide->given[order]))
			return list_last_entry(&tide->given[order], struct page, lru);
	}
	return NULL;
}

/* tide_given_add - counts @pages in @blocks, by order, as given, and empties the lists. */
void tide_given_add(struct tide *tide, struct list_head *blocks, unsigned long pages)
{
	unsigned int order;

	if (!pages)
		return;
	spin_lock(&tide->lock);
	for (order = 0; order < NR_PAGE_ORDERS; order++)
		list_splice_tail_init(&blocks[order], &tide->given[order]);
	tide->given_pages += pages;
	spin_unlock(&tide->lock);
	queue_delayed_work(system_unbound_wq, &tide->mark_work, TIDE_MARK_DELAY);
}

/*
 * Moves some blocks of at most @limit pages in all from given to @blocks, and returns how many
 * pages.
 */
static unsigned long tide_given_take(struct tide *tide, unsigned long limit,
				     struct list_head *blocks)
{
	unsigned long taken = 0;
	unsigned int i, order;
	struct page *page;

	spin_lock(&tide->lock);
	limit = min(limit, tide_credit(tide));
	for (i = 0; i < TIDE_FREE_CHUNK; i++) {
		page = tide_given_last(tide, limit - taken);
		if (!page)
			break;
		order = tide_block_order(page);
		/* Before they are free: a batch that gives them again tells of this first. */
		if (!tide_untold_add(tide, page_to_pfn(page), 1UL << order))
			break;
		list_move_tail(&page->lru, blocks);
		taken += 1UL << order;
	}
	tide->given_pages -= taken;
	tide->returned_pages += taken;
	spin_unlock(&tide->lock);
	return taken;
}

/**
 * tide_free_given - take given memory back within the credit
 * @tide: the device
 * @pages: at most how many
 *
 * From any context that may take a spinlock with interrupts on; neither allocates nor sleeps.  The
 * host hears of it with the next batch, which the caller sees to.
 *
 * Return: pages that the allocator has now.  Fewer than @pages if the credit or the untold table is
 * exhausted, or if no block is small enough.
 */
unsigned long tide_free_given(struct tide *tide, unsigned long pages)
{
	unsigned long freed = 0, taken;

	while (freed < pages) {
		LIST_HEAD(blocks);

		taken = tide_given_take(tide, pages - freed, &blocks);
		if (!taken)
			break;
		tide_blocks_free(&blocks);
		freed += taken;
	}
	return freed;
}
