// SPDX-License-Identifier: GPL-2.0-or-later
/* Ring: every event arrives once and in order, or is refused; a hostile peer can lose events, no more. */
#include "unit.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "ring.h"

#define RECORDS	VIRTIO_TIDE_RING_RECORDS

/* The ring between two pages' worth of bytes that nobody may touch. */
struct fenced_ring {
	uint8_t before[4096];
	struct virtio_tide_ring ring;
	uint8_t behind[4096];
};

static struct fenced_ring fenced;
static struct virtio_tide_ring *const ring = &fenced.ring;

static int setup(void **state)
{
	memset(&fenced, 0x5a, sizeof(fenced));
	memset(ring, 0, sizeof(*ring));
	return 0;
}

static int teardown(void **state)
{
	for (size_t i = 0; i < sizeof(fenced.before); i++) {
		if (fenced.before[i] != 0x5a || fenced.behind[i] != 0x5a)
			return -1;
	}
	return 0;
}

/* An event whose every field follows from its number. */
static struct memtide_event event_of(uint64_t number)
{
	return (struct memtide_event) {
		.type = (uint32_t)number,
		.time_ns = number * 3,
		.a = number * 5,
		.b = ~number,
		.c = number << 32,
	};
}

static bool event_is(const struct memtide_event *event, uint64_t number)
{
	return event->type == (uint32_t)number && event->time_ns == number * 3 && event->a == number * 5 &&
	       event->b == ~number && event->c == number << 32;
}

static void start_at(uint32_t index, struct memtide_ring_producer *producer,
		     struct memtide_ring_consumer *consumer)
{
	ring->head = htole32(index);
	ring->tail = htole32(index);
	memtide_ring_produce_from(producer, ring);
	memtide_ring_consume_from(consumer, ring);
}

/* Through the wrap-around of the records many times and of the 32-bit index once. */
static void test_wraps(void **state)
{
	struct memtide_ring_producer producer;
	struct memtide_ring_consumer consumer;
	struct memtide_event event, events[RECORDS];
	uint64_t sent = 0, taken = 0;
	int n;

	start_at(UINT32_MAX - 1000, &producer, &consumer);
	for (int round = 0; round < 500; round++) {
		for (int i = 0; i < 1 + round % RECORDS; i++) {
			event = event_of(sent);
			assert_int_equal(memtide_ring_push(&producer, &event), 0);
			sent++;
		}
		n = memtide_ring_pull(&consumer, events, RECORDS);
		assert_int_equal(n, 1 + round % RECORDS);
		for (int i = 0; i < n; i++)
			assert_true(event_is(&events[i], taken++));
	}
	assert_int_equal(memtide_ring_pull(&consumer, events, RECORDS), 0);
	assert_true(producer.head < 1000000);
}

static void test_full(void **state)
{
	struct memtide_ring_producer producer;
	struct memtide_ring_consumer consumer;
	struct memtide_event event = event_of(0), events[RECORDS];

	start_at(17, &producer, &consumer);
	for (int i = 0; i < RECORDS; i++) {
		event = event_of(i);
		assert_int_equal(memtide_ring_push(&producer, &event), 0);
	}
	event = event_of(999);
	assert_int_equal(memtide_ring_push(&producer, &event), -ENOSPC);
	assert_int_equal(memtide_ring_pull(&consumer, events, 3), 3);
	assert_true(event_is(&events[2], 2));
	assert_int_equal(memtide_ring_push(&producer, &event), 0);
	assert_int_equal(memtide_ring_pull(&consumer, events, 1000), RECORDS - 2);
	assert_true(event_is(&events[RECORDS - 3], 999));
}

/* Both ends of a ring can be taken over by a new process. */
static void test_goes_on(void **state)
{
	struct memtide_ring_producer producer;
	struct memtide_ring_consumer consumer;
	struct memtide_event event, events[RECORDS];

	start_at(0, &producer, &consumer);
	for (int i = 0; i < 10; i++) {
		event = event_of(i);
		memtide_ring_push(&producer, &event);
	}
	assert_int_equal(memtide_ring_pull(&consumer, events, 4), 4);
	memtide_ring_produce_from(&producer, ring);
	memtide_ring_consume_from(&consumer, ring);
	event = event_of(10);
	assert_int_equal(memtide_ring_push(&producer, &event), 0);
	assert_int_equal(memtide_ring_pull(&consumer, events, RECORDS), 7);
	assert_true(event_is(&events[0], 4));
	assert_true(event_is(&events[6], 10));
}

/* A reset of the peer zeroes its index: one turn is lost, the next one works. */
static void test_peer_resets(void **state)
{
	struct memtide_ring_producer producer;
	struct memtide_ring_consumer consumer;
	struct memtide_event event = event_of(5), events[RECORDS];

	start_at(500, &producer, &consumer);
	memset(ring, 0, sizeof(*ring));
	memtide_ring_produce_from(&producer, ring);
	memtide_ring_push(&producer, &event);
	assert_int_equal(memtide_ring_pull(&consumer, events, RECORDS), -EPROTO);
	assert_int_equal(memtide_ring_pull(&consumer, events, RECORDS), 0);
	memtide_ring_push(&producer, &event);
	assert_int_equal(memtide_ring_pull(&consumer, events, RECORDS), 1);
	assert_true(event_is(&events[0], 5));
}

/* Whatever index the producer claims, a turn takes what can be there and no more. */
static void test_hostile_head(void **state)
{
	struct memtide_ring_consumer consumer;
	struct memtide_event events[RECORDS + 1];
	uint64_t seed = 3;
	uint32_t distance;
	int n;

	memtide_ring_consume_from(&consumer, ring);
	for (int i = 0; i < 100000; i++) {
		distance = unit_random(&seed) >> (32 + unit_below(&seed, 32));
		ring->head = htole32(consumer.tail + distance);
		/* Its copy of our index is its own business. */
		ring->tail = unit_random(&seed);
		memset(&events[RECORDS], 0x5a, sizeof(events[RECORDS]));
		n = memtide_ring_pull(&consumer, events, UINT32_MAX);
		assert_int_equal(n, distance > RECORDS ? -EPROTO : (int)distance);
		assert_int_equal(consumer.tail, le32toh(ring->head));
		if (distance)
			assert_int_equal(le32toh(ring->tail), consumer.tail);
		assert_int_equal(events[RECORDS].type, 0x5a5a5a5a);
	}
}

/* Whatever index the consumer claims, records stay in the ring, and an impossible one refuses them. */
static void test_hostile_tail(void **state)
{
	struct memtide_ring_producer producer;
	struct memtide_event event = event_of(1);
	uint64_t seed = 4;
	uint32_t distance;
	int r;

	memtide_ring_produce_from(&producer, ring);
	for (int i = 0; i < 100000; i++) {
		distance = unit_random(&seed) >> (32 + unit_below(&seed, 32));
		ring->tail = htole32(producer.head - distance);
		ring->head = unit_random(&seed);
		r = memtide_ring_push(&producer, &event);
		assert_int_equal(r, distance < RECORDS ? 0 : -ENOSPC);
	}
	/* A consumer that took over behind such a peer starts from where it can. */
	ring->tail = htole32(le32toh(ring->head) + 5);
	memtide_ring_produce_from(&producer, ring);
	assert_int_equal(memtide_ring_push(&producer, &event), 0);
}

#define THREAD_EVENTS	500000

static void *produce(void *data)
{
	struct memtide_ring_producer producer;
	struct memtide_event event;

	memtide_ring_produce_from(&producer, ring);
	for (uint64_t i = 0; i < THREAD_EVENTS; i++) {
		event = event_of(i);
		while (memtide_ring_push(&producer, &event) == -ENOSPC)
			sched_yield();
	}
	return NULL;
}

static void test_two_threads(void **state)
{
	struct memtide_ring_consumer consumer;
	struct memtide_event events[RECORDS];
	uint64_t taken = 0;
	pthread_t thread;
	int n;

	ring->head = ring->tail = htole32(UINT32_MAX - THREAD_EVENTS / 2);
	memtide_ring_consume_from(&consumer, ring);
	assert_int_equal(pthread_create(&thread, NULL, produce, NULL), 0);
	while (taken < THREAD_EVENTS) {
		n = memtide_ring_pull(&consumer, events, 1 + taken % RECORDS);
		assert_true(n >= 0);
		for (int i = 0; i < n; i++)
			assert_true(event_is(&events[i], taken++));
		if (!n)
			sched_yield();
	}
	pthread_join(thread, NULL);
	assert_int_equal(memtide_ring_pull(&consumer, events, RECORDS), 0);
}

static bool scribbling;

/* Writes into every word of the ring, again and again. */
static void *scribble(void *data)
{
	uint32_t *words = (uint32_t *)ring;
	uint64_t seed = 11;

	while (__atomic_load_n(&scribbling, __ATOMIC_RELAXED)) {
		for (size_t i = 0; i < sizeof(*ring) / sizeof(*words); i++)
			__atomic_store_n(&words[i], (uint32_t)unit_random(&seed), __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_scribbled_over(void **state)
{
	struct memtide_ring_producer producer;
	struct memtide_ring_consumer consumer;
	struct memtide_event event = event_of(1), events[RECORDS];
	pthread_t thread;
	int n;

	start_at(0, &producer, &consumer);
	scribbling = true;
	assert_int_equal(pthread_create(&thread, NULL, scribble, NULL), 0);
	for (int i = 0; i < 200000; i++) {
		n = memtide_ring_pull(&consumer, events, RECORDS);
		assert_true(n == -EPROTO || (n >= 0 && n <= RECORDS));
		n = memtide_ring_push(&producer, &event);
		assert_true(n == 0 || n == -ENOSPC);
	}
	__atomic_store_n(&scribbling, false, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_wraps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peer_resets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_head, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scribbled_over, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
