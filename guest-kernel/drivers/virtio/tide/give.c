// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where given memory comes from: the page allocator, largest blocks first, free memory before page
 * cache, and never the last of either.  How much is wanted is move.c's business.
 */
#include <linux/gfp.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/swap.h>

#include "tide.h"

/*
 * A run begins with a small batch, so that the host has something to do while the next one is
 * filled, and doubles them until one keeps it busy for a millisecond or two.
 */
#define TIDE_BATCH_FIRST	(SZ_64M >> PAGE_SHIFT)
#define TIDE_BATCH_MAX		(SZ_512M >> PAGE_SHIFT)
/* What needs reclaim or is cleared takes milliseconds: see often whether it is still wanted. */
#define TIDE_SLOW_PAGES		(SZ_16M >> PAGE_SHIFT)

/* Only what is free: no reclaim of any kind, no reserves. */
#define TIDE_GFP_FREE		(__GFP_NOWARN | __GFP_NORETRY | __GFP_NOMEMALLOC)
/*
 * Whole page blocks are taken from where the movable ones are, so that they stay movable ones.
 * Without HIGHMEM this does not reach into ZONE_MOVABLE, which is for what can be migrated.
 */
#define TIDE_GFP_FREE_HUGE	(TIDE_GFP_FREE | __GFP_MOVABLE)
/* Reclaim and compaction for as long as they make progress.  Never the OOM killer. */
#define TIDE_GFP_RECLAIM_HUGE	(GFP_KERNEL | __GFP_NOWARN | __GFP_NOMEMALLOC | \
				 __GFP_RETRY_MAYFAIL | __GFP_MOVABLE)
#define TIDE_GFP_RECLAIM	(GFP_KERNEL | __GFP_NOWARN | __GFP_NOMEMALLOC | __GFP_NORETRY)

/* See tide_reserve(). */
#define TIDE_MARGIN_MIN		((unsigned long)SZ_8M >> PAGE_SHIFT)
#define TIDE_MARGIN_MAX		((unsigned long)SZ_128M >> PAGE_SHIFT)

/* What is tried, in this order; a run goes on to the next stage when one has nothing more. */
static const struct tide_stage {
	gfp_t gfp;
	unsigned int order;
} tide_stages[] = {
	{ TIDE_GFP_FREE_HUGE, MAX_PAGE_ORDER },
	{ TIDE_GFP_FREE_HUGE, TIDE_HUGE_ORDER },
	{ TIDE_GFP_RECLAIM_HUGE, TIDE_HUGE_ORDER },
	{ TIDE_GFP_FREE, 6 },
	{ TIDE_GFP_FREE, 3 },
	{ TIDE_GFP_FREE, 0 },
	{ TIDE_GFP_RECLAIM, 3 },
	{ TIDE_GFP_RECLAIM, 0 },
};

static bool tide_stage_reclaims(const struct tide_stage *stage)
{
	return stage->gfp & __GFP_DIRECT_RECLAIM;
}

static unsigned long tide_watermarks(enum zone_watermarks mark)
{
	unsigned long pages = 0;
	int nid, zid;

	/* for_each_populated_zone() is not for modules */
	for_each_online_node(nid) {
		for (zid = 0; zid < MAX_NR_ZONES; zid++)
			pages += wmark_pages(&NODE_DATA(nid)->node_zones[zid], mark);
	}
	return pages;
}

/*
 * tide_reserve - free pages that giving leaves alone, and below which memory is short.
 *
 * A margin over the marks to which kswapd reclaims, so that what the guest does next finds some
 * memory without waking it: 1/128 of memory, as much as a burst allocates while the first relief is
 * on its way, within bounds that matter on small guests and do on large ones.
 */
unsigned long tide_reserve(void)
{
	return tide_watermarks(WMARK_HIGH) +
		clamp(totalram_pages() / 128, TIDE_MARGIN_MIN, TIDE_MARGIN_MAX);
}

unsigned long tide_free_pages(void)
{
	return global_zone_page_state(NR_FREE_PAGES);
}

/* Whether there is page cache to reclaim for a block of @order, and it may be. */
static bool tide_may_reclaim(struct tide *tide, unsigned int order, unsigned long reserve)
{
	bool urgent = READ_ONCE(tide->orders.flags) & VIRTIO_TIDE_STATE_URGENT;
	long available = si_mem_available();

	return available > (long)(reserve * (urgent ? 1 : 2) + (1UL << order));
}

static struct page *tide_alloc(struct tide *tide, const struct tide_stage *stage,
			       unsigned int order, unsigned long reserve)
{
	struct page *page;

	if (tide_stage_reclaims(stage)) {
		if (!tide_may_reclaim(tide, order, reserve))
			return NULL;
	} else if (tide_free_pages() < reserve + (1UL << order)) {
		return NULL;
	}
	page = alloc_pages(stage->gfp, order);
	if (page)
		tide_block_take(page, order);
	return page;
}

/*
 * Reclaim begins only where free memory is nearly gone, so what is given by reclaim leaves the
 * guest there.  A cushion that is taken the same way first and freed afterwards restores the
 * reserve.
 */
static bool tide_cushion_fill(struct tide *tide, const struct tide_stage *stage,
			      unsigned long reserve)
{
	unsigned long want = reserve - min(reserve, tide_watermarks(WMARK_LOW));
	struct page *page;

	while (tide->cushion_pages < want) {
		page = tide_alloc(tide, stage, stage->order, reserve);
		if (!page)
			return false;
		list_add(&page->lru, &tide->cushion);
		tide->cushion_pages += 1UL << stage->order;
		cond_resched();
	}
	return true;
}

/* The order to ask for when @want pages are missing: nothing small just to be exact. */
static unsigned int tide_order(const struct tide_stage *stage, unsigned long want)
{
	if (want >= 1UL << stage->order)
		return stage->order;
	if (stage->order >= TIDE_HUGE_ORDER)
		return TIDE_HUGE_ORDER;
	return ilog2(want);
}

/* Adds blocks of one stage to @batch until it has @limit pages or the stage has no more. */
static void tide_stage_fill(struct tide *tide, struct tide_batch *batch,
			    const struct tide_stage *stage, unsigned long limit)
{
	unsigned long reserve = tide_reserve();
	struct page *page;

	if (tide_stage_reclaims(stage) && !tide_cushion_fill(tide, stage, reserve)) {
		tide->stage++;
		return;
	}
	while (batch->pages < limit) {
		page = tide_alloc(tide, stage, tide_order(stage, limit - batch->pages), reserve);
		if (!page) {
			tide->stage++;
			return;
		}
		if (!tide_batch_add(batch, page)) {
			tide_block_free(page);
			return;
		}
		cond_resched();
	}
}

/* tide_give_begin - start a run, with the best blocks. */
void tide_give_begin(struct tide *tide)
{
	tide->batch_pages = TIDE_BATCH_FIRST;
	tide->stage = 0;
}

/**
 * tide_give_fill - fill a batch with blocks to give
 * @tide: the device
 * @batch: an empty batch
 * @want: pages wanted; exceeded by less than a huge page
 *
 * In move.  May reclaim, in small steps.
 *
 * Return: pages in @batch; 0 when this run finds nothing more.
 */
unsigned long tide_give_fill(struct tide *tide, struct tide_batch *batch, unsigned long want)
{
	const struct tide_stage *stage;
	unsigned long limit;

	while (!batch->pages && tide->stage < ARRAY_SIZE(tide_stages)) {
		stage = &tide_stages[tide->stage];
		limit = tide_stage_reclaims(stage) || want_init_on_alloc(stage->gfp) ?
			TIDE_SLOW_PAGES : tide->batch_pages;
		tide_stage_fill(tide, batch, stage, min(want, limit));
	}
	tide->batch_pages = min(2 * tide->batch_pages, TIDE_BATCH_MAX);
	return batch->pages;
}

/* tide_give_end - free what a run held back. */
void tide_give_end(struct tide *tide)
{
	tide_blocks_free(&tide->cushion);
	tide->cushion_pages = 0;
	tide_blocks_free(&tide->refused);
}
