// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtio-tide device alone keeps the wire contract: what is given, taken back and fenced is counted and empty as
 * it says, and of ranges that are wrong each fails by itself.  The test is the driver, and says what no honest driver
 * would.  How a guest fares with the device is in test-driver.
 */
#include <inttypes.h>

#include "device-bed.h"

/* Accounting */

static void test_counts_each_page_once(void **state)
{
	struct device *d = &device;

	assert_carried_out(d, GIVE(BASE, 8 * MIB));
	assert_given(d, 8 * MIB, 8 * MIB);
	assert_carried_out(d, GIVE(BASE, 8 * MIB));
	assert_given(d, 8 * MIB, 8 * MIB);
	/* twice in one batch, and half of it given already */
	assert_carried_out(d, GIVE(BASE + 4 * MIB, 8 * MIB), GIVE(BASE + 4 * MIB, 8 * MIB),
			   GIVE(BASE + 6 * MIB, PAGE));
	assert_given(d, 12 * MIB, 12 * MIB);
	assert_carried_out(d, TAKE(BASE, 4 * MIB), TAKE(BASE + 2 * MIB, 4 * MIB), TAKE(BASE, 4 * MIB));
	assert_given(d, 6 * MIB, 6 * MIB);
	/* never given */
	assert_carried_out(d, TAKE(BASE + 100 * MIB, 10 * MIB));
	assert_given(d, 6 * MIB, 6 * MIB);
	assert_int_equal(counters(d).gave_bytes, 12 * MIB);
	assert_int_equal(counters(d).took_bytes, 6 * MIB);
	assert_carried_out(d, TAKE(BASE, RAM - BASE));
	assert_given(d, 0, 0);
}

static void test_counts_huge_pieces_given_whole(void **state)
{
	struct device *d = &device;

	/* 2 MiB, but of two pieces */
	assert_carried_out(d, GIVE(BASE + PAGE, HUGE));
	assert_given(d, HUGE, 0);
	assert_carried_out(d, GIVE(BASE, PAGE));
	assert_given(d, HUGE + PAGE, HUGE);
	assert_carried_out(d, TAKE(BASE + 5 * PAGE, PAGE));
	assert_given(d, HUGE, 0);
	assert_carried_out(d, TAKE(BASE + 5 * PAGE, PAGE));
	assert_given(d, HUGE, 0);
	assert_carried_out(d, GIVE(BASE + 5 * PAGE, PAGE));
	assert_given(d, HUGE + PAGE, HUGE);
}

static void test_single_pages_make_a_huge_piece(void **state)
{
	enum { PAGES = 2 * HUGE / PAGE };
	struct virtio_tide_range from[PAGES / 2];
	struct virtio_tide_result r;
	struct device *d = &device;

	for (unsigned int i = 0; i < PAGES / 2; i++)
		from[i] = GIVE(BASE + 2 * i * PAGE, PAGE);
	r = carry_out(d, from, PAGES / 2);
	assert_int_equal(r.status, VIRTIO_TIDE_OK);
	assert_int_equal(r.done, PAGES / 2);
	assert_given(d, HUGE, 0);

	/* the others, from the end */
	for (unsigned int i = 0; i < PAGES / 2; i++)
		from[i] = GIVE(BASE + 2 * HUGE - (2 * i + 1) * PAGE, PAGE);
	r = carry_out(d, from, PAGES / 2);
	assert_int_equal(r.done, PAGES / 2);
	assert_given(d, 2 * HUGE, 2 * HUGE);
}

static void test_merges_neighbours(void **state)
{
	struct device *d = &device;

	assert_carried_out(d, GIVE(BASE + 4 * MIB, 2 * MIB), GIVE(BASE + 2 * MIB, 2 * MIB), GIVE(BASE, 2 * MIB),
			   GIVE(BASE + 10 * MIB, 2 * MIB));
	assert_given(d, 8 * MIB, 8 * MIB);
	assert_int_equal(counters(d).gives, 2);
}

/* What is wrong with one range */

/*
 * @bad stands between ranges that are right: those before it are carried out, of those behind it only the takes.
 * So of the two pages that are given before it one is left.
 */
static void assert_fails_alone(struct device *d, struct virtio_tide_range bad, uint32_t status)
{
	const uint64_t refused = counters(d).refused, kept_page = BASE + PAGE;
	const struct virtio_tide_range from[] = {
		GIVE(BASE, PAGE), GIVE(BASE + 4 * MIB, PAGE), bad,
		GIVE(kept_page, PAGE), FENCE(99, 0), TAKE(BASE, PAGE),
	};
	struct virtio_tide_result r;

	assert_carried_out(d, TAKE(BASE, RAM - BASE), FENCE(7, 0));
	fill(d, kept_page, PAGE);
	r = carry_out(d, from, ARRAY_SIZE(from));
	if (r.status != status || r.done != 2)
		fail_msg("kind %" PRIu32 ", 0x%" PRIx64 " of 0x%" PRIx64 " bytes: status %u, done %u",
			 le32toh(bad.kind), le64toh(bad.address), le64toh(bad.length), r.status, r.done);
	assert_given(d, PAGE, 0);
	assert_true(kept(d, kept_page));
	assert_fence(d, 7, 0);
	assert_int_equal(counters(d).refused, refused + 1);
}

static void test_bad_form(void **state)
{
	const struct virtio_tide_range bad[] = {
		GIVE(BASE, 0), GIVE(BASE + 1, PAGE), GIVE(BASE, PAGE + 1), GIVE(BASE, PAGE / 2),
		GIVE(BASE + PAGE / 2, PAGE), TAKE(BASE, 0), TAKE(BASE + 1, PAGE), TAKE(BASE, PAGE - 1),
		/* past the end of the address space */
		GIVE(-(uint64_t)PAGE, PAGE), GIVE(-(uint64_t)PAGE, 2 * PAGE), GIVE(BASE, -(uint64_t)PAGE),
		GIVE(BASE, -BASE), TAKE(-(uint64_t)PAGE, 2 * PAGE), TAKE(BASE, -BASE),
		/* generations have 32 bits */
		FENCE(1ULL << 32, 0),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails_alone(&device, bad[i], VIRTIO_TIDE_BAD_RANGE);
}

static void test_bad_place(void **state)
{
	struct device *d = &device;
	const struct virtio_tide_range bad[] = {
		/* beyond RAM, all of it or half, and in no memory at all */
		GIVE(RAM, PAGE), GIVE(RAM - 2 * MIB, 4 * MIB), GIVE(1ULL << 40, PAGE),
		TAKE(RAM - 2 * MIB, 4 * MIB), TAKE(1ULL << 40, PAGE),
		/* firmware: the copy below 1 MiB, RAM with that inside, and the ROM itself */
		GIVE(0xf0000, PAGE), GIVE(0, MIB), TAKE(0, MIB), GIVE(0xfffff000, PAGE), TAKE(0xfffff000, PAGE),
		/* BARs: registers, the doorbell, and one that is memory */
		GIVE(d->pci.common, PAGE), GIVE(d->pci.shm[VIRTIO_TIDE_SHM_DOORBELL], PAGE),
		GIVE(d->pci.shm[VIRTIO_TIDE_SHM_STATE], PAGE), TAKE(d->pci.shm[VIRTIO_TIDE_SHM_STATE], PAGE),
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails_alone(d, bad[i], VIRTIO_TIDE_BAD_RANGE);
	assert_int_equal(qtest_read(d->vm, d->pci.shm[VIRTIO_TIDE_SHM_STATE], 4), VIRTIO_TIDE_MAGIC);
}

static void test_around_the_hole(void **state)
{
	struct device *d = &device;
	const struct virtio_tide_range bad[] = {
		GIVE(LOW_RAM, PAGE), GIVE(LOW_RAM - PAGE, 2 * PAGE), GIVE(HIGH_RAM - PAGE, 2 * PAGE),
		GIVE(LOW_RAM - PAGE, HIGH_RAM - LOW_RAM + 2 * PAGE), TAKE(LOW_RAM - PAGE, 2 * PAGE),
		GIVE(HIGH_RAM + LARGE_RAM - LOW_RAM, PAGE),
	};

	assert_int_equal(counters(d).ram_bytes, LARGE_RAM);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_batch(d, VIRTIO_TIDE_BAD_RANGE, 0, bad[i]);
	assert_int_equal(counters(d).given_bytes, 0);
	assert_carried_out(d, GIVE(LOW_RAM - 4 * MIB, 4 * MIB), GIVE(HIGH_RAM, LARGE_RAM - LOW_RAM));
	assert_int_equal(counters(d).given_bytes, 4 * MIB + LARGE_RAM - LOW_RAM);
	assert_int_equal(counters(d).given_huge_bytes, 4 * MIB + LARGE_RAM - LOW_RAM);
}

static void test_bad_kind(void **state)
{
	const uint32_t bad[] = { 0, 4, 0x80000001, UINT32_MAX };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails_alone(&device, range(bad[i], BASE + 8 * MIB, PAGE), VIRTIO_TIDE_BAD_KIND);
}

/* The first failure is the one that is told. */
static void test_two_failures(void **state)
{
	struct device *d = &device;

	assert_batch(d, VIRTIO_TIDE_BAD_KIND, 1, GIVE(BASE, PAGE), range(9, BASE, PAGE), GIVE(BASE + 1, PAGE),
		     TAKE(BASE + 1, PAGE), TAKE(BASE, PAGE));
	assert_given(d, 0, 0);
	/* and the next batch starts afresh */
	assert_carried_out(d, GIVE(BASE, PAGE));
	assert_given(d, PAGE, 0);
}

/* Fences */

static void test_fence_behind_its_gives(void **state)
{
	struct device *d = &device;
	uint32_t notify = counters(d).notify;

	assert_fence(d, 0, 0);
	assert_carried_out(d, GIVE(BASE, 4 * MIB), FENCE(5, 4 * MIB), GIVE(BASE + 4 * MIB, 4 * MIB));
	assert_given(d, 8 * MIB, 8 * MIB);
	assert_fence(d, 5, 4 * MIB);
	assert_int_equal(counters(d).notify, notify + 1);
	assert_int_equal(steer_wait_fence(d->steer, 5, 0), 0);

	assert_carried_out(d, FENCE(6, 0), TAKE(BASE, 8 * MIB));
	assert_fence(d, 6, 8 * MIB);
	assert_given(d, 0, 0);
}

static void test_fence_says_what_is_given(void **state)
{
	struct device *d = &device;

	assert_carried_out(d, GIVE(BASE, 4 * MIB), FENCE(1, 4 * MIB));
	assert_carried_out(d, FENCE(2, 4 * MIB - PAGE), FENCE(3, 0));
	assert_fence(d, 3, 4 * MIB);
	/* the gives behind a fence do not count for it */
	assert_batch(d, VIRTIO_TIDE_NOT_GIVEN, 0, FENCE(4, 4 * MIB + PAGE), GIVE(BASE + 4 * MIB, PAGE));
	assert_batch(d, VIRTIO_TIDE_NOT_GIVEN, 0, FENCE(5, -(uint64_t)PAGE));
	assert_batch(d, VIRTIO_TIDE_NOT_GIVEN, 1, TAKE(BASE, PAGE), FENCE(6, 4 * MIB));
	assert_fence(d, 3, 4 * MIB);
	assert_given(d, 4 * MIB - PAGE, 2 * MIB);
	/* a give that says the same twice does not make it more */
	assert_batch(d, VIRTIO_TIDE_NOT_GIVEN, 1, GIVE(BASE + 2 * MIB, 2 * MIB), FENCE(7, 4 * MIB));
	assert_fence(d, 3, 4 * MIB);

	assert_batch(d, VIRTIO_TIDE_BAD_RANGE, 0, FENCE(8, 1));
	assert_batch(d, VIRTIO_TIDE_BAD_RANGE, 0, FENCE(9, PAGE + 512));
	assert_fence(d, 3, 4 * MIB);
	assert_carried_out(d, FENCE(10, 4 * MIB - PAGE));
	assert_fence(d, 10, 4 * MIB - PAGE);
}

/* Content */

static void test_given_memory_is_empty(void **state)
{
	struct device *d = &device;

	fill(d, BASE, 10 * MIB);
	assert_carried_out(d, GIVE(BASE + PAGE, PAGE), GIVE(BASE + 3 * PAGE, PAGE), GIVE(BASE + 4 * MIB, 2 * MIB));
	assert_true(kept(d, BASE));
	assert_true(dropped(d, BASE + PAGE));
	assert_true(kept(d, BASE + 2 * PAGE));
	assert_true(dropped(d, BASE + 3 * PAGE));
	assert_true(kept(d, BASE + 4 * PAGE));
	assert_true(kept(d, BASE + 4 * MIB - PAGE));
	for (uint64_t at = 0; at < 2 * MIB; at += 64 * PAGE)
		assert_true(dropped(d, BASE + 4 * MIB + at));
	assert_true(dropped(d, BASE + 6 * MIB - PAGE));
	assert_true(kept(d, BASE + 6 * MIB));
}

static void test_taking_back_drops_nothing(void **state)
{
	struct device *d = &device;

	assert_carried_out(d, GIVE(BASE, 4 * MIB));
	/* the guest frees first and tells afterwards */
	fill(d, BASE, 4 * MIB);
	assert_carried_out(d, TAKE(BASE, 4 * MIB));
	assert_true(kept(d, BASE));
	assert_true(kept(d, BASE + 4 * MIB - PAGE));
	assert_given(d, 0, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		device_test(test_counts_each_page_once),
		device_test(test_counts_huge_pieces_given_whole),
		device_test(test_single_pages_make_a_huge_piece),
		device_test(test_merges_neighbours),
		device_test(test_bad_form),
		device_test(test_bad_place),
		device_test_with(test_around_the_hole, device_start_large),
		device_test(test_bad_kind),
		device_test(test_two_failures),
		device_test(test_fence_behind_its_gives),
		device_test(test_fence_says_what_is_given),
		device_test(test_given_memory_is_empty),
		device_test(test_taking_back_drops_nothing),
	};

	/* one test, or those of a pattern */
	cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
