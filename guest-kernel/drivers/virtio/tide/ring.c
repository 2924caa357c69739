// SPDX-License-Identifier: GPL-2.0-only
/*
 * The two rings of events in the state region.  Indices run freely and are masked on access.  An
 * event may be lost; nothing depends on one.
 */
#include "tide.h"

static struct virtio_tide_event *tide_record(struct virtio_tide_ring *ring, u32 index)
{
	return &ring->record[index % VIRTIO_TIDE_RING_RECORDS];
}

/* tide_events_start - begin where the rings are: they outlive a driver. */
void tide_events_start(struct tide *tide)
{
	struct virtio_tide_ring *out = tide_at(tide, VIRTIO_TIDE_TO_HOST_OFFSET);
	struct virtio_tide_ring *in = tide_at(tide, VIRTIO_TIDE_TO_GUEST_OFFSET);

	spin_lock_init(&tide->event_lock);
	tide->to_host_head = le32_to_cpu(READ_ONCE(out->head));
	tide->to_guest_tail = le32_to_cpu(READ_ONCE(in->head));
	WRITE_ONCE(in->tail, cpu_to_le32(tide->to_guest_tail));
}

/**
 * tide_event_send - put an event into the ring to the host and ring the doorbell
 * @tide: the device
 * @type: enum virtio_tide_event_type
 * @a: see the type
 * @b: see the type
 * @c: see the type
 *
 * Any process context.  Lost if the ring is full.
 */
void tide_event_send(struct tide *tide, u32 type, u64 a, u64 b, u64 c)
{
	struct virtio_tide_ring *ring = tide_at(tide, VIRTIO_TIDE_TO_HOST_OFFSET);
	u32 tail;

	spin_lock(&tide->event_lock);
	/* The record is free once tail says so: pairs with the host's release of it. */
	tail = le32_to_cpu(virt_load_acquire(&ring->tail));
	if (tide->to_host_head - tail < VIRTIO_TIDE_RING_RECORDS) {
		*tide_record(ring, tide->to_host_head++) = (struct virtio_tide_event) {
			.type = cpu_to_le32(type),
			.time_ns = cpu_to_le64(ktime_get_ns()),
			.a = cpu_to_le64(a),
			.b = cpu_to_le64(b),
			.c = cpu_to_le64(c),
		};
		/*
		 * The record before the head that covers it: pairs with the host's acquire of head.
		 */
		virt_store_release(&ring->head, cpu_to_le32(tide->to_host_head));
	}
	spin_unlock(&tide->event_lock);
	tide_doorbell(tide);
}

/* tide_events_receive - act on the host's events.  In attend. */
void tide_events_receive(struct tide *tide)
{
	struct virtio_tide_ring *ring = tide_at(tide, VIRTIO_TIDE_TO_GUEST_OFFSET);
	/* The head before the records that it covers: pairs with the host's release of it. */
	u32 head = le32_to_cpu(virt_load_acquire(&ring->head));
	const struct virtio_tide_event *event;
	unsigned int left;

	for (left = VIRTIO_TIDE_RING_RECORDS; left && tide->to_guest_tail != head; left--) {
		event = tide_record(ring, tide->to_guest_tail++);
		if (le32_to_cpu(event->type) == VIRTIO_TIDE_EV_DENIED)
			tide_claim_denied(tide);
	}
	/*
	 * The records were read before the host may write them again: pairs with its acquire of
	 * tail.
	 */
	virt_store_release(&ring->tail, cpu_to_le32(tide->to_guest_tail));
}
