// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the host wants: its state record, the configuration flags, and the amount of usable memory
 * that follows from them.  How to get there is in move.c.
 */
#include "tide.h"
#include "trace.h"

/*
 * A writer needs a few stores between two values of the sequence counter; one that takes longer is
 * not alive.
 */
#define TIDE_SEQ_TRIES		32

/*
 * Copies the state record.  False if the host was writing all the time: it interrupts when it is
 * done.
 */
static bool tide_record_read(struct tide *tide, struct virtio_tide_state *copy)
{
	const struct virtio_tide_state *state = tide_at(tide, VIRTIO_TIDE_STATE_OFFSET);
	unsigned int tries;
	u32 seq;

	for (tries = 0; tries < TIDE_SEQ_TRIES; tries++, cpu_relax()) {
		seq = le32_to_cpu(READ_ONCE(state->seq));
		if (seq & 1)
			continue;
		virt_rmb(); /* the record after the counter; the host writes them in that order */
		memcpy(copy, state, sizeof(*copy));
		virt_rmb(); /* and the counter once more after it */
		if (le32_to_cpu(READ_ONCE(state->seq)) == seq)
			return true;
	}
	return false;
}

static unsigned long tide_pages(__le64 bytes, unsigned long low, unsigned long high)
{
	return clamp_t(u64, le64_to_cpu(bytes) >> PAGE_SHIFT, low, high);
}

/**
 * tide_orders_read - take notice of the host's state record
 * @tide: the device
 *
 * From here on relief keeps to the new ceiling.  In attend.
 *
 * Return: whether there were new orders.
 */
bool tide_orders_read(struct tide *tide)
{
	struct virtio_tide_state state;
	struct tide_orders orders;
	bool changed;

	if (!tide_record_read(tide, &state) || !state.generation)
		return false;
	orders.generation = le32_to_cpu(state.generation);
	orders.ceiling = tide_pages(state.ceiling, 0, tide->ram_pages);
	orders.floor = tide_pages(state.floor, 0, orders.ceiling);
	orders.target = tide_pages(state.target, orders.floor, orders.ceiling);
	orders.flags = le32_to_cpu(state.flags);
	orders.grant = le32_to_cpu(state.grant);
	if (orders.flags & VIRTIO_TIDE_STATE_RELEASE) {
		orders.ceiling = tide->ram_pages;
		orders.target = tide->ram_pages;
	}
	if (orders.grant >= VIRTIO_TIDE_PATHS || orders.grant == VIRTIO_TIDE_PATH_NONE)
		orders.grant = VIRTIO_TIDE_PATH_RESERVE;

	spin_lock(&tide->lock);
	changed = !tide->stopping && (orders.generation != tide->orders.generation ||
				      orders.flags != tide->orders.flags);
	if (changed) {
		orders.told_ns = xchg(&tide->told_ns, 0) ?: ktime_get_ns();
		tide->orders = orders;
	}
	spin_unlock(&tide->lock);
	if (changed) {
		WRITE_ONCE(tide->heard, true);
		trace_tide_orders(&orders);
	}
	return changed;
}

/*
 * tide_config_read - see whether gives are inhibited.  Process context, may be slow: it exits to
 * the host.
 */
void tide_config_read(struct tide *tide)
{
	u32 flags;

	virtio_cread_le(tide->vdev, struct virtio_tide_config, flags, &flags);
	WRITE_ONCE(tide->inhibited, flags & VIRTIO_TIDE_CONFIG_INHIBITED);
}

/*
 * tide_goal - usable memory to come to.  Under the lock.
 *
 * Under pressure the guest stays where it is, within its credit, whatever the target.
 */
unsigned long tide_goal(struct tide *tide)
{
	unsigned long usable = tide_usable(tide);

	if (tide->stopping)
		return tide->ram_pages;
	if (!tide->orders.generation)
		return usable;
	if (READ_ONCE(tide->pressed))
		return clamp(usable, tide->orders.target, tide->orders.ceiling);
	return tide->orders.target;
}
