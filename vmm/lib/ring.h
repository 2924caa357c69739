/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both ends of struct virtio_tide_ring: events between guest and host, one producer and one consumer, no system
 * calls.  Each end keeps its own index in private memory and only publishes it, so that the other side, which may
 * be hostile, can make it lose events and nothing else.
 *
 * An end belongs to one thread.  The two ends of a ring may be in different threads, processes or machines.
 */
#ifndef MEMTIDE_RING_H
#define MEMTIDE_RING_H

#include <stdint.h>

#include <linux/virtio_tide.h>

/* A record, in host byte order and in memory of our own. */
struct memtide_event {
	uint32_t type;		/* enum virtio_tide_event_type, or anything: not checked here */
	uint64_t time_ns;	/* the sender's clock */
	uint64_t a, b, c;
};

struct memtide_ring_producer {
	struct virtio_tide_ring *ring;
	uint32_t head;		/* records produced so far */
};

struct memtide_ring_consumer {
	struct virtio_tide_ring *ring;
	uint32_t tail;		/* records consumed so far */
};

/**
 * memtide_ring_produce_from() - take the producer's end of a ring that may have been in use before
 * @producer: set up
 * @ring: mapped for as long as @producer is used
 */
void memtide_ring_produce_from(struct memtide_ring_producer *producer, struct virtio_tide_ring *ring);

/**
 * memtide_ring_push() - add a record
 * @producer: the producer's end
 * @event: in host byte order
 *
 * Returns 0, or -ENOSPC and drops the record if the ring is full or the consumer's index impossible.
 */
int memtide_ring_push(struct memtide_ring_producer *producer, const struct memtide_event *event);

/**
 * memtide_ring_consume_from() - take the consumer's end of a ring that may have been in use before
 * @consumer: set up
 * @ring: mapped for as long as @consumer is used
 *
 * Goes on where the last consumer published that it was, where that is possible, else skips what is there.
 */
void memtide_ring_consume_from(struct memtide_ring_consumer *consumer, struct virtio_tide_ring *ring);

/**
 * memtide_ring_pull() - take records out
 * @consumer: the consumer's end
 * @ret_events: room for @max records
 * @max: at most so many, and never more than VIRTIO_TIDE_RING_RECORDS
 *
 * Returns how many were taken; fewer than asked for means the ring was seen empty.  -EPROTO if the producer's
 * index is impossible, as after a reset of the peer: everything in the ring is skipped and the next call starts
 * afresh.
 */
int memtide_ring_pull(struct memtide_ring_consumer *consumer, struct memtide_event *ret_events, unsigned int max);

#endif /* MEMTIDE_RING_H */
