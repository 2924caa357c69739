// SPDX-License-Identifier: GPL-2.0-or-later
/* Records: a reader soon gets what was written, in one piece, or nothing; what is impossible stays out. */
#include "unit.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "record.h"

static _Alignas(64) uint8_t page[TIDE_COUNTERS_SIZE];
static struct virtio_tide_state shared_state;
static struct virtio_tide_stats shared_stats;

static int setup(void **state)
{
	memset(page, 0, sizeof(page));
	memset(&shared_state, 0, sizeof(shared_state));
	memset(&shared_stats, 0, sizeof(shared_stats));
	return 0;
}

static void test_state(void **state)
{
	const struct memtide_state written = {
		.generation = 7,
		.target = 1 * GIB,
		.ceiling = 2 * GIB,
		.floor = 384 * MIB,
		.flags = VIRTIO_TIDE_STATE_URGENT,
		.refresh = 99,
		.grant = VIRTIO_TIDE_PATH_DONOR,
	};
	struct memtide_state got;

	memtide_state_write(&shared_state, &written);
	assert_int_equal(le32toh(shared_state.seq), 2);
	assert_int_equal(memtide_state_read(&shared_state, &got), 0);
	assert_int_equal(got.generation, 7);
	assert_int_equal(got.target, 1 * GIB);
	assert_int_equal(got.ceiling, 2 * GIB);
	assert_int_equal(got.floor, 384 * MIB);
	assert_int_equal(got.flags, VIRTIO_TIDE_STATE_URGENT);
	assert_int_equal(got.refresh, 99);
	assert_int_equal(got.grant, VIRTIO_TIDE_PATH_DONOR);
}

static void test_grant(void **state)
{
	struct memtide_grant written = {
		.flags = TIDE_GRANT_VALID,
		.generation = 3,
		.epoch = 5,
		.ceiling = GIB,
		.charged = 2 * GIB,
		.target = GIB / 2,
		.floor = GIB / 4,
	};
	struct memtide_grant got = { .generation = 77 };

	assert_int_equal(memtide_grant_read(page, &got), -ENODATA);
	assert_int_equal(got.generation, 77);
	memtide_grant_write(page, &written);
	assert_int_equal(memtide_grant_read(page, &got), 0);
	assert_memory_equal(&got, &written, sizeof(got));
	/* The device's half of the page is not touched. */
	for (int i = 0; i < TIDE_GRANT_OFFSET; i++)
		assert_int_equal(page[i], 0);

	written.charged = GIB - 1;
	memtide_grant_write(page, &written);
	assert_int_equal(memtide_grant_read(page, &got), -EPROTO);
	assert_int_equal(got.charged, 2 * GIB);
}

static void test_counters(void **state)
{
	struct memtide_counters written = {
		.flags = TIDE_COUNTERS_DRIVER_OK | TIDE_COUNTERS_FENCED,
		.fence_generation = 4,
		.notify = 5,
		.epoch = 6,
		.ram_bytes = 2 * GIB,
		.given_bytes = GIB,
		.given_huge_bytes = GIB - 4096,
		.fence_given_bytes = GIB,
		.gives = 7, .takes = 8, .gave_bytes = 9, .took_bytes = 10,
		.discard_ns = 11, .reports = 12, .reported_bytes = 13, .refused = 14,
	};
	struct memtide_counters got, untouched;
	uint8_t wire[sizeof(struct tide_counters)];

	memtide_counters_write(page, &written);
	memcpy(wire, page, sizeof(wire));
	assert_int_equal(memtide_counters_read(page, &got), 0);
	assert_int_equal(got.fence_given_bytes, GIB);
	assert_int_equal(got.refused, 14);
	/* What was read writes the same bytes again, but for the sequence counter. */
	memtide_counters_write(page, &got);
	assert_memory_equal(wire + 4, page + 4, sizeof(wire) - 4);

	untouched = got;
	written.given_bytes = 2 * GIB + 1;
	memtide_counters_write(page, &written);
	assert_int_equal(memtide_counters_read(page, &got), -EPROTO);
	written.given_bytes = GIB;
	written.given_huge_bytes = GIB + 4096;
	memtide_counters_write(page, &written);
	assert_int_equal(memtide_counters_read(page, &got), -EPROTO);
	written.given_huge_bytes = 0;
	written.fence_given_bytes = UINT64_MAX;
	memtide_counters_write(page, &written);
	assert_int_equal(memtide_counters_read(page, &got), -EPROTO);
	assert_memory_equal(&got, &untouched, sizeof(got));
}

/* An honest guest's statistics come through as they are. */
static void test_stats(void **state)
{
	const struct memtide_stats written = {
		.refresh = 1,
		.generation = 2,
		.flags = VIRTIO_TIDE_STATS_BUSY | VIRTIO_TIDE_STATS_PRESSURE,
		.time_ns = 3,
		.total = 2 * GIB, .free = GIB, .available = GIB + MIB, .anon = 4 * MIB, .file = 8 * MIB,
		.file_active = 8 * MIB, .slab = 5 * MIB, .given = 6 * MIB,
		.psi_some_us = UINT64_MAX, .psi_full_us = 8, .refault_file = 9, .refault_anon = 10,
		.scan_direct = 11, .steal_anon = 12, .swap_in = 13, .swap_out = 14, .alloc_stall = 15,
		.oom_kill = 16, .pressure = 17,
		.relief = { 18, 19, 20, 21 }, .relief_max_ns = { 22, 23, 24, 25 },
	};
	struct memtide_stats got;

	memtide_stats_write(&shared_stats, &written);
	assert_int_equal(memtide_stats_read(&shared_stats, 2 * GIB, &got), 0);
	assert_memory_equal(&got, &written, sizeof(got));
}

/* Random bytes come out as statistics that a VM of this size could have. */
static void test_stats_hostile(void **state)
{
	uint8_t *bytes = (uint8_t *)&shared_stats;
	struct memtide_stats got;
	uint64_t seed = 5;

	for (int round = 0; round < 20000; round++) {
		for (size_t i = 0; i < sizeof(shared_stats); i++)
			bytes[i] = unit_random(&seed);
		shared_stats.seq &= htole32(~1U);
		assert_int_equal(memtide_stats_read(&shared_stats, GIB, &got), 0);
		assert_true(got.total <= GIB && got.free <= GIB && got.available <= GIB && got.anon <= GIB);
		assert_true(got.file <= GIB && got.file_active <= got.file && got.slab <= GIB && got.given <= GIB);
		assert_int_equal(got.flags & ~0xfU, 0);
		assert_true(got.clamped > 0);
	}
}

/* A writer that stays odd, whether it is dead or means it: the reader gives up and keeps what it had. */
static void test_stays_odd(void **state)
{
	struct memtide_state written = { .generation = 1, .target = 1, .ceiling = 1 }, got = { .generation = 55 };

	shared_state.seq = htole32(UINT32_MAX);
	assert_int_equal(memtide_state_read(&shared_state, &got), -EAGAIN);
	assert_int_equal(got.generation, 55);
	/* The next writer mends it, here across the counter's end. */
	memtide_state_write(&shared_state, &written);
	assert_int_equal(le32toh(shared_state.seq), 0);
	assert_int_equal(memtide_state_read(&shared_state, &got), 0);
	assert_int_equal(got.generation, 1);
}

static bool running;

/* All sizes of a record are the same number, so a mixture shows. */
static void *write_states(void *data)
{
	struct memtide_state record = {};

	for (uint32_t n = 1; __atomic_load_n(&running, __ATOMIC_RELAXED); n++) {
		record = (struct memtide_state) {
			.generation = n, .target = n, .ceiling = n, .floor = n, .flags = n, .refresh = n,
			.grant = n,
		};
		memtide_state_write(&shared_state, &record);
		/* Leaves the reader a gap now and then, as any real writer does. */
		if (n % 16 == 0)
			sched_yield();
	}
	return NULL;
}

static void test_never_torn(void **state)
{
	struct memtide_state got;
	uint32_t newest = 0;
	pthread_t thread;
	int reads = 0;

	running = true;
	assert_int_equal(pthread_create(&thread, NULL, write_states, NULL), 0);
	while (reads < 200000) {
		if (memtide_state_read(&shared_state, &got) < 0) {
			sched_yield();
			continue;
		}
		reads++;
		assert_int_equal(got.target, got.generation);
		assert_int_equal(got.ceiling, got.generation);
		assert_int_equal(got.floor, got.generation);
		assert_int_equal(got.flags, got.generation);
		assert_int_equal(got.refresh, got.generation);
		assert_int_equal(got.grant, got.generation);
		assert_true(got.generation >= newest);
		newest = got.generation;
	}
	__atomic_store_n(&running, false, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

/* Never the same count twice, and always even. */
static void *count_for_ever(void *data)
{
	uint32_t *seq = (uint32_t *)&shared_stats;
	uint32_t n = 0;

	while (__atomic_load_n(&running, __ATOMIC_RELAXED))
		__atomic_store_n(seq, htole32(n += 2), __ATOMIC_RELAXED);
	return NULL;
}

/* Each read ends; whether it ends well is the writer's choice. */
static void test_never_for_ever(void **state)
{
	struct memtide_stats got;
	pthread_t thread;
	int r;

	running = true;
	assert_int_equal(pthread_create(&thread, NULL, count_for_ever, NULL), 0);
	for (int i = 0; i < 20000; i++) {
		r = memtide_stats_read(&shared_stats, GIB, &got);
		assert_true(r == 0 || r == -EAGAIN);
	}
	__atomic_store_n(&running, false, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_state, setup),
		cmocka_unit_test_setup(test_grant, setup),
		cmocka_unit_test_setup(test_counters, setup),
		cmocka_unit_test_setup(test_stats, setup),
		cmocka_unit_test_setup(test_stats_hostile, setup),
		cmocka_unit_test_setup(test_stays_odd, setup),
		cmocka_unit_test_setup(test_never_torn, setup),
		cmocka_unit_test_setup(test_never_for_ever, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
