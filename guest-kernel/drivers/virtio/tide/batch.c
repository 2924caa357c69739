// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches: the buffers of the give queue, filled, sent and settled.  What goes into them is decided
 * in give.c and move.c.  All of this is the move work's, or its successor's after that was
 * disabled.
 */
#include <linux/sort.h>

#include "tide.h"
#include "trace.h"

void tide_give_done(struct virtqueue *vq)
{
	struct tide *tide = vq->vdev->priv;

	wake_up(&tide->acked);
}

static void tide_batch_clear(struct tide_batch *batch)
{
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++)
		INIT_LIST_HEAD(&batch->blocks[order]);
	batch->pages = 0;
	batch->takes = 0;
	batch->gives = 0;
	batch->fence = 0;
}

int tide_batches_init(struct tide *tide)
{
	struct tide_batch *batch;
	unsigned int i;

	init_waitqueue_head(&tide->acked);
	tide->untold = kcalloc(TIDE_TAKES, sizeof(*tide->untold), GFP_KERNEL);
	if (!tide->untold)
		return -ENOMEM;
	for (i = 0; i < TIDE_BATCHES; i++) {
		batch = &tide->batch[i];
		batch->range = kcalloc(VIRTIO_TIDE_MAX_RANGES, sizeof(*batch->range), GFP_KERNEL);
		batch->result = kzalloc(sizeof(*batch->result), GFP_KERNEL);
		if (!batch->range || !batch->result)
			return -ENOMEM;
		tide_batch_clear(batch);
	}
	return 0;
}

/* Also after a tide_batches_init() that failed. */
void tide_batches_destroy(struct tide *tide)
{
	unsigned int i;

	for (i = 0; i < TIDE_BATCHES; i++) {
		kfree(tide->batch[i].range);
		kfree(tide->batch[i].result);
	}
	kfree(tide->untold);
}

static void tide_range_set(struct virtio_tide_range *range, u32 kind, unsigned long pfn,
			   unsigned long pages)
{
	range->address = cpu_to_le64((u64)pfn << PAGE_SHIFT);
	range->length = cpu_to_le64(tide_bytes(pages));
	range->kind = cpu_to_le32(kind);
	range->reserved = 0;
}

static u64 tide_range_end(const struct virtio_tide_range *range)
{
	return le64_to_cpu(range->address) + le64_to_cpu(range->length);
}

/* Extends @range by a neighbour of @bytes at @address, if it is one. */
static bool tide_range_merge(struct virtio_tide_range *range, u64 address, u64 bytes)
{
	if (tide_range_end(range) == address)
		; /* behind it */
	else if (address + bytes == le64_to_cpu(range->address))
		range->address = cpu_to_le64(address);
	else
		return false;
	le64_add_cpu(&range->length, bytes);
	return true;
}

/*
 * tide_batch_add - adds a block to what @batch gives; false, and nothing done, when the batch is
 * full.
 */
bool tide_batch_add(struct tide_batch *batch, struct page *page)
{
	unsigned int order = tide_block_order(page);
	struct virtio_tide_range *range = &batch->range[TIDE_TAKES + batch->gives];
	u64 bytes = tide_bytes(1UL << order);

	if (!batch->gives || !tide_range_merge(range - 1, page_to_phys(page), bytes)) {
		if (batch->gives == TIDE_GIVES)
			return false;
		tide_range_set(range, VIRTIO_TIDE_GIVE, page_to_pfn(page), 1UL << order);
		batch->gives++;
	}
	list_add_tail(&page->lru, &batch->blocks[order]);
	batch->pages += 1UL << order;
	return true;
}

static int tide_range_compare(const void *a, const void *b)
{
	u64 x = le64_to_cpu(((const struct virtio_tide_range *)a)->address);
	u64 y = le64_to_cpu(((const struct virtio_tide_range *)b)->address);

	return x < y ? -1 : x > y;
}

/*
 * The host's cost is by range, and by how much of it is whole huge pages: make the most of the
 * neighbours.
 */
static void tide_batch_merge(struct tide_batch *batch)
{
	struct virtio_tide_range *range = &batch->range[TIDE_TAKES];
	unsigned int from, to = 0;

	if (batch->gives < 2)
		return;
	sort(range, batch->gives, sizeof(*range), tide_range_compare, NULL);
	for (from = 1; from < batch->gives; from++) {
		if (!tide_range_merge(&range[to], le64_to_cpu(range[from].address),
				      le64_to_cpu(range[from].length)))
			range[++to] = range[from];
	}
	batch->gives = to + 1;
}

/*
 * Makes the fence that is due part of @batch, behind its gives, if usable memory will be at the
 * ceiling with it.  With gives it counts on the batches under way, and says so: the device fails
 * the fence where one of them has failed, and the next one without gives counts on none.  From here
 * on relief raises usable memory to the ceiling at most.
 */
static void tide_batch_fence(struct tide *tide, struct tide_batch *batch)
{
	unsigned long coming = batch->pages, given;
	struct virtio_tide_range *range;

	if (tide->orders.generation == tide->fence_sent)
		return;
	if (batch->gives)
		coming += tide->in_flight_pages;
	if (tide_usable(tide) > tide->orders.ceiling + coming)
		return;
	batch->fence = tide->orders.generation;
	tide->fence_sent = batch->fence;
	given = coming > batch->pages ? tide->given_pages + coming : 0;
	range = &batch->range[TIDE_TAKES + batch->gives];
	tide_range_set(range, VIRTIO_TIDE_FENCE, 0, given);
	range->address = cpu_to_le64(batch->fence);
}

/*
 * Puts everything that was freed in front of the gives, and a fence behind them.  The blocks of the
 * batch were allocated before this: a block that relief freed and that is given again has its take
 * in here or in an earlier batch.
 */
static void tide_batch_seal(struct tide *tide, struct tide_batch *batch)
{
	const struct tide_extent *untold = tide->untold;
	struct virtio_tide_range *range;
	unsigned int i;

	spin_lock(&tide->lock);
	batch->takes = tide->nr_untold;
	range = &batch->range[TIDE_TAKES - batch->takes];
	for (i = 0; i < batch->takes; i++)
		tide_range_set(range + i, VIRTIO_TIDE_TAKE, untold[i].pfn, untold[i].pages);
	tide->nr_untold = 0;
	tide_batch_fence(tide, batch);
	spin_unlock(&tide->lock);
}

/* Whether the give of @page is among the @nr ranges from @range on. */
static bool tide_block_in(struct page *page, const struct virtio_tide_range *range, unsigned int nr)
{
	u64 address = page_to_phys(page);
	unsigned int low = 0, high = nr, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (tide_range_end(&range[middle]) <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < nr && le64_to_cpu(range[low].address) <= address;
}

/*
 * Takes out of @batch the blocks that were not given, from its give number @first on.  They are
 * free again, but for those of a bad first range: their like would be allocated again at once.
 */
static void tide_batch_undo(struct tide *tide, struct tide_batch *batch, unsigned int first,
			    bool bad)
{
	const struct virtio_tide_range *range = &batch->range[TIDE_TAKES + first];
	unsigned int order, undone = batch->gives - first;
	struct page *page, *next;
	LIST_HEAD(blocks);

	if (!undone)
		return;
	for (order = 0; order < NR_PAGE_ORDERS; order++) {
		list_for_each_entry_safe(page, next, &batch->blocks[order], lru) {
			if (!tide_block_in(page, range, undone))
				continue;
			batch->pages -= 1UL << order;
			if (bad && tide_block_in(page, range, 1))
				list_move(&page->lru, &tide->refused);
			else
				list_move(&page->lru, &blocks);
		}
	}
	tide_blocks_free(&blocks);
}

/* Does what the device's answer says.  0, or -EAGAIN: nothing more can be given now. */
static int tide_batch_settle(struct tide *tide, struct tide_batch *batch)
{
	u32 status = le32_to_cpu(batch->result->status);
	u32 done = le32_to_cpu(batch->result->done);
	bool whole = done >= batch->takes + batch->gives + !!batch->fence;
	unsigned int gave = min(max(done, batch->takes) - batch->takes, batch->gives);

	trace_tide_batch(batch->takes, batch->gives, batch->pages, batch->fence, status, done);
	if (gave < batch->gives)
		tide_batch_undo(tide, batch, gave, status == VIRTIO_TIDE_BAD_RANGE);
	if (batch->fence) {
		spin_lock(&tide->lock);
		if (whole)
			tide->fenced = batch->fence;
		else
			tide->fence_sent = tide->fenced;
		spin_unlock(&tide->lock);
	}
	tide_given_add(tide, batch->blocks, batch->pages);
	tide_batch_clear(batch);

	switch (status) {
	case VIRTIO_TIDE_OK:
	case VIRTIO_TIDE_BAD_RANGE:
	case VIRTIO_TIDE_NOT_GIVEN:
		return 0;
	case VIRTIO_TIDE_INHIBITED:
		tide_config_read(tide);
		return -EAGAIN;
	default:
		dev_warn_ratelimited(&tide->vdev->dev, "the device failed a batch: status %u\n",
				     status);
		return -EAGAIN;
	}
}

/**
 * tide_batch_post - send a batch behind everything that was freed before
 * @tide: the device
 * @batch: from tide_batch_get(), filled or empty
 *
 * An empty batch that has nothing to tell and no fence to carry is not sent.
 *
 * Return: 0, or a negative errno if the queue is broken; what the batch would have given is free
 * again then.
 */
int tide_batch_post(struct tide *tide, struct tide_batch *batch)
{
	struct scatterlist ranges, result, *sgs[] = { &ranges, &result };
	unsigned int nr;
	int err;

	tide_batch_merge(batch);
	tide_batch_seal(tide, batch);
	nr = batch->takes + batch->gives + !!batch->fence;
	if (!nr)
		return 0;

	batch->result->status = cpu_to_le32(VIRTIO_TIDE_FAILED);
	batch->result->done = 0;
	sg_init_one(&ranges, &batch->range[TIDE_TAKES - batch->takes], nr * sizeof(*batch->range));
	sg_init_one(&result, batch->result, sizeof(*batch->result));
	/*
	 * If there is no memory for an indirect descriptor, the ring's own are used: this does not
	 * depend on it.
	 */
	err = virtqueue_add_sgs(tide->give_vq, sgs, 1, 1, batch, GFP_NOWAIT | __GFP_NOWARN);
	if (err) {
		tide_batch_undo(tide, batch, 0, false);
		tide_batch_clear(batch);
		return err;
	}
	virtqueue_kick(tide->give_vq);
	tide->in_flight++;
	tide->in_flight_pages += batch->pages;
	tide->filling = (tide->filling + 1) % TIDE_BATCHES;
	return 0;
}

/**
 * tide_batch_reap - wait for the oldest batch and settle it
 * @tide: the device, with a batch in flight
 *
 * Return: 0, -EAGAIN when nothing more can be given now, -EIO if the queue is broken.
 */
int tide_batch_reap(struct tide *tide)
{
	struct virtqueue *vq = tide->give_vq;
	struct tide_batch *batch;
	unsigned int len;

	/*
	 * Interrupts are for here only, and not one for each batch: they would hold up the filling
	 * of the others, and a device whose emulation runs in turns with the guest.
	 */
	batch = virtqueue_get_buf(vq, &len);
	while (!batch) {
		if (virtqueue_is_broken(vq))
			return -EIO;
		virtqueue_enable_cb_delayed(vq);
		/* The timeout is for a device that went away without an interrupt. */
		wait_event_timeout(tide->acked, (batch = virtqueue_get_buf(vq, &len)) ||
				   virtqueue_is_broken(vq), HZ);
		virtqueue_disable_cb(vq);
	}

	tide->in_flight--;
	tide->in_flight_pages -= batch->pages;
	return tide_batch_settle(tide, batch);
}

/* tide_batch_get - an empty batch to fill, or NULL while all are with the device. */
struct tide_batch *tide_batch_get(struct tide *tide)
{
	return tide->in_flight == TIDE_BATCHES ? NULL : &tide->batch[tide->filling];
}

/* After a reset of the device: frees what was on the way to it. */
void tide_batches_reclaim(struct tide *tide)
{
	struct tide_batch *batch;

	while ((batch = virtqueue_detach_unused_buf(tide->give_vq))) {
		tide_batch_undo(tide, batch, 0, false);
		tide_batch_clear(batch);
	}
	tide->in_flight = 0;
	tide->in_flight_pages = 0;
	tide->filling = 0;
}
