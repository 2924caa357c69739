// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events between guest and host.  Free-running indices, masked on access; the other side's index is read once.
 */
#include <endian.h>
#include <errno.h>

#include "ring.h"

#define RECORDS	VIRTIO_TIDE_RING_RECORDS

_Static_assert((RECORDS & (RECORDS - 1)) == 0, "indices are masked");

void memtide_ring_produce_from(struct memtide_ring_producer *producer, struct virtio_tide_ring *ring)
{
	uint32_t head = le32toh(__atomic_load_n(&ring->head, __ATOMIC_RELAXED));
	uint32_t tail = le32toh(__atomic_load_n(&ring->tail, __ATOMIC_RELAXED));

	if (head - tail > RECORDS) {
		head = tail;
		__atomic_store_n(&ring->head, htole32(head), __ATOMIC_RELEASE);
	}
	producer->ring = ring;
	producer->head = head;
}

int memtide_ring_push(struct memtide_ring_producer *producer, const struct memtide_event *event)
{
	struct virtio_tide_ring *ring = producer->ring;
	struct virtio_tide_event *record = &ring->record[producer->head & (RECORDS - 1)];
	/* Pairs with the release of tail in memtide_ring_pull(): the record has been read before it is reused. */
	uint32_t tail = le32toh(__atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE));

	if (producer->head - tail >= RECORDS)
		return -ENOSPC;

	/* Relaxed and not plain, because a consumer that was lapped may be reading. */
	__atomic_store_n(&record->type, htole32(event->type), __ATOMIC_RELAXED);
	__atomic_store_n(&record->reserved, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&record->time_ns, htole64(event->time_ns), __ATOMIC_RELAXED);
	__atomic_store_n(&record->a, htole64(event->a), __ATOMIC_RELAXED);
	__atomic_store_n(&record->b, htole64(event->b), __ATOMIC_RELAXED);
	__atomic_store_n(&record->c, htole64(event->c), __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < sizeof(record->reserved2) / sizeof(record->reserved2[0]); i++)
		__atomic_store_n(&record->reserved2[i], 0, __ATOMIC_RELAXED);

	producer->head++;
	/* Pairs with the acquire of head in memtide_ring_pull(): the record is there before it is announced. */
	__atomic_store_n(&ring->head, htole32(producer->head), __ATOMIC_RELEASE);
	return 0;
}

/* Pairs with the acquire of tail in memtide_ring_push(). */
static void publish_tail(struct memtide_ring_consumer *consumer, uint32_t tail)
{
	consumer->tail = tail;
	__atomic_store_n(&consumer->ring->tail, htole32(tail), __ATOMIC_RELEASE);
}

void memtide_ring_consume_from(struct memtide_ring_consumer *consumer, struct virtio_tide_ring *ring)
{
	uint32_t head = le32toh(__atomic_load_n(&ring->head, __ATOMIC_RELAXED));
	uint32_t tail = le32toh(__atomic_load_n(&ring->tail, __ATOMIC_RELAXED));

	consumer->ring = ring;
	consumer->tail = tail;
	if (head - tail > RECORDS)
		publish_tail(consumer, head);
}

/* Each field is read once: nobody looks at the shared record after this. */
static void copy_record(const struct virtio_tide_event *record, struct memtide_event *ret_event)
{
	ret_event->type = le32toh(__atomic_load_n(&record->type, __ATOMIC_RELAXED));
	ret_event->time_ns = le64toh(__atomic_load_n(&record->time_ns, __ATOMIC_RELAXED));
	ret_event->a = le64toh(__atomic_load_n(&record->a, __ATOMIC_RELAXED));
	ret_event->b = le64toh(__atomic_load_n(&record->b, __ATOMIC_RELAXED));
	ret_event->c = le64toh(__atomic_load_n(&record->c, __ATOMIC_RELAXED));
}

int memtide_ring_pull(struct memtide_ring_consumer *consumer, struct memtide_event *ret_events, unsigned int max)
{
	/* Pairs with the release of head in memtide_ring_push(). */
	uint32_t head = le32toh(__atomic_load_n(&consumer->ring->head, __ATOMIC_ACQUIRE));
	uint32_t tail = consumer->tail, count = head - tail;

	if (count > RECORDS) {
		publish_tail(consumer, head);
		return -EPROTO;
	}
	if (count > max)
		count = max;
	if (!count)
		return 0;
	for (uint32_t i = 0; i < count; i++)
		copy_record(&consumer->ring->record[(tail + i) & (RECORDS - 1)], &ret_events[i]);
	publish_tail(consumer, tail + count);
	return count;
}
