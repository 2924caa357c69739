// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtio-tide device's queues: buffers in their order, notifications, reports, and what becomes of a driver that
 * breaks the contract, until a reset mends it.  The test is the driver.
 */
#include <stdlib.h>

#include <linux/virtio_config.h>

#include "device-bed.h"

/* Buffers that break the contract */

static void wait_broken(struct device *d)
{
	uint64_t until = steer_now_ns() + QTEST_SOON_NS;

	while (!(qtest_virtio_status(&d->pci) & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		if (steer_now_ns() > until)
			fail_msg("the device does not mind");
	}
}

/* After the reset nothing holds of what was before it, and the device works again. */
static void assert_reset_mends(struct device *d)
{
	uint64_t epoch = counters(d).epoch;

	qtest_virtio_reset(&d->pci);
	assert_true(counters(d).epoch > epoch);
	assert_int_equal(counters(d).flags, 0);
	assert_given(d, 0, 0);
	start_driver(d);
	assert_int_equal(counters(d).flags, TIDE_COUNTERS_DRIVER_OK);
	assert_carried_out(d, GIVE(BASE, PAGE), FENCE(1, PAGE));
	assert_given(d, PAGE, 0);
	assert_fence(d, 1, PAGE);
	assert_carried_out(d, TAKE(BASE, PAGE));
}

/* @result_bytes for the device to write, and @bytes to read that would be gives. */
static void assert_breaks(struct device *d, size_t bytes, size_t result_bytes)
{
	size_t count = bytes / sizeof(struct virtio_tide_range) + 1;
	struct virtio_tide_range *from = calloc(count, sizeof(*from));
	struct virtio_tide_result r;

	assert_non_null(from);
	for (size_t i = 0; i < count; i++)
		from[i] = GIVE(BASE + i * PAGE, PAGE);
	assert_carried_out(d, GIVE(RAM - 2 * MIB, 2 * MIB));
	post_bytes(d, 1, from, bytes, result_bytes);
	free(from);
	/* one that is right, behind it */
	post_range(d, 2, GIVE(RAM - 4 * MIB, 2 * MIB));
	qtest_queue_notify(&d->give);
	wait_broken(d);
	assert_int_equal(qtest_queue_used(&d->give), d->give.taken);
	r = result(d, 1);
	assert_int_equal(r.status, UNTOUCHED);
	assert_given(d, 2 * MIB, 2 * MIB);
	assert_reset_mends(d);
}

static void test_bad_buffer_needs_reset(void **state)
{
	const size_t one = sizeof(struct virtio_tide_range), place = sizeof(struct virtio_tide_result);
	struct device *d = &device;

	assert_breaks(d, one - 1, place);
	assert_breaks(d, one + 1, place);
	assert_breaks(d, 0, place);
	assert_breaks(d, (VIRTIO_TIDE_MAX_RANGES + 1) * one, place);
	assert_breaks(d, one, place - 1);
	assert_breaks(d, one, 0);
}

static void test_longest_buffer(void **state)
{
	struct virtio_tide_range *from = calloc(VIRTIO_TIDE_MAX_RANGES, sizeof(*from));
	struct virtio_tide_result r;
	struct device *d = &device;

	assert_non_null(from);
	for (unsigned int i = 0; i < VIRTIO_TIDE_MAX_RANGES; i++)
		from[i] = GIVE(BASE + i * PAGE, PAGE);
	r = carry_out(d, from, VIRTIO_TIDE_MAX_RANGES);
	free(from);
	assert_int_equal(r.status, VIRTIO_TIDE_OK);
	assert_int_equal(r.done, VIRTIO_TIDE_MAX_RANGES);
	assert_given(d, VIRTIO_TIDE_MAX_RANGES * PAGE, VIRTIO_TIDE_MAX_RANGES * PAGE);
}

static void test_reset_of_the_machine(void **state)
{
	uint64_t until = steer_now_ns() + QTEST_SOON_NS, epoch;
	struct device *d = &device;

	assert_carried_out(d, GIVE(BASE, 4 * MIB), FENCE(3, 0));
	epoch = counters(d).epoch;
	assert_int_equal(vm_qmp(d->vm, "system_reset", NULL, NULL), 0);
	while (counters(d).epoch == epoch) {
		if (steer_now_ns() > until)
			fail_msg("the device does not know of it");
	}
	assert_given(d, 0, 0);
	assert_fence(d, 0, 0);
}

static void test_reset_while_all_is_well(void **state)
{
	struct device *d = &device;

	assert_carried_out(d, GIVE(BASE, 4 * MIB), FENCE(3, 0));
	assert_reset_mends(d);
}

/* Inhibited: by the administrator's word, as nothing else that inhibits is to be had without VFIO. */

static void set_inhibit(struct device *d, bool on)
{
	json_t *arguments = json_pack("{s:s,s:s,s:b}", "path", TIDE_OBJECT, "property", "inhibit", "value", on);

	assert_int_equal(vm_qmp(d->vm, "qom-set", arguments, NULL), 0);
	assert_int_equal(!!(counters(d).flags & TIDE_COUNTERS_INHIBITED), on);
	assert_int_equal(qtest_read(d->vm, d->pci.config + offsetof(struct virtio_tide_config, flags), 4),
			 on ? VIRTIO_TIDE_CONFIG_INHIBITED : 0);
}

static void test_inhibited(void **state)
{
	struct device *d = &device;
	uint64_t page = BASE + 8 * MIB;

	assert_carried_out(d, GIVE(BASE, 4 * MIB), FENCE(1, 0));
	fill(d, page, PAGE);
	set_inhibit(d, true);
	assert_batch(d, VIRTIO_TIDE_INHIBITED, 1, TAKE(BASE, PAGE), GIVE(page, PAGE), FENCE(2, 0),
		     GIVE(BASE, PAGE), TAKE(BASE + PAGE, PAGE));
	assert_given(d, 4 * MIB - 2 * PAGE, 2 * MIB);
	assert_true(kept(d, page));
	assert_fence(d, 1, 4 * MIB);
	/* without a give before it a fence is as good as ever */
	assert_carried_out(d, TAKE(BASE, 2 * MIB), FENCE(3, 2 * MIB));
	assert_fence(d, 3, 2 * MIB);

	set_inhibit(d, false);
	assert_carried_out(d, GIVE(page, PAGE));
	assert_given(d, 2 * MIB + PAGE, 2 * MIB);
	assert_true(dropped(d, page));
}

/* The queue */

/* A batch comes back before the turn ends in which the device finds that there is no other. */
static void wait_idle(struct device *d)
{
	uint64_t until = steer_now_ns() + QTEST_SOON_NS;

	while (!qtest_queue_wants_notify(&d->give)) {
		if (steer_now_ns() > until)
			fail_msg("the device does not want to be notified any more");
	}
}

/* Each look is a turn of QEMU's main loop: a device that was to find the buffer would have found it by then. */
static void assert_left_alone(struct device *d)
{
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(qtest_queue_used(&d->give), d->give.taken);
}

static void test_buffers_in_order(void **state)
{
	struct device *d = &device;

	/* the slots are not in the order of their addresses */
	post_range(d, 3, GIVE(BASE, 4 * MIB));
	post_range(d, 1, FENCE(1, 4 * MIB));
	post_range(d, 7, TAKE(BASE, PAGE));
	post_range(d, 0, FENCE(2, 4 * MIB));
	post_range(d, 5, GIVE(BASE, PAGE));
	post_range(d, 2, FENCE(3, 4 * MIB));
	post_range(d, 6, GIVE(BASE + 1, PAGE));
	post_range(d, 4, GIVE(BASE + 4 * MIB, PAGE));
	assert_given(d, 0, 0);
	qtest_queue_notify(&d->give);
	assert_result(d, 3, VIRTIO_TIDE_OK, 1);
	assert_result(d, 1, VIRTIO_TIDE_OK, 1);
	assert_result(d, 7, VIRTIO_TIDE_OK, 1);
	assert_result(d, 0, VIRTIO_TIDE_NOT_GIVEN, 0);
	assert_result(d, 5, VIRTIO_TIDE_OK, 1);
	assert_result(d, 2, VIRTIO_TIDE_OK, 1);
	/* a failure is its own batch's only */
	assert_result(d, 6, VIRTIO_TIDE_BAD_RANGE, 0);
	assert_result(d, 4, VIRTIO_TIDE_OK, 1);
	assert_fence(d, 3, 4 * MIB);
	assert_given(d, 4 * MIB + PAGE, 4 * MIB);
}

#define BUSY_SLOTS	16

/* Work for many turns: all of RAM is given and taken back, again and again. */
static void post_work(struct device *d)
{
	struct virtio_tide_range *from = calloc(VIRTIO_TIDE_MAX_RANGES, sizeof(*from));

	assert_non_null(from);
	for (unsigned int i = 0; i < VIRTIO_TIDE_MAX_RANGES; i++)
		from[i] = i % 2 ? TAKE(BASE, RAM - BASE) : GIVE(BASE, RAM - BASE);
	for (unsigned int slot = 0; slot < BUSY_SLOTS; slot++)
		post(d, slot, from, VIRTIO_TIDE_MAX_RANGES);
	free(from);
}

static void test_no_notifications_while_at_work(void **state)
{
	struct device *d = &device;

	assert_true(qtest_queue_wants_notify(&d->give));
	post_work(d);
	qtest_queue_notify(&d->give);
	assert_result(d, 0, VIRTIO_TIDE_OK, VIRTIO_TIDE_MAX_RANGES);
	assert_false(qtest_queue_wants_notify(&d->give));
	/* found without being told of it */
	post_range(d, BUSY_SLOTS, GIVE(BASE, PAGE));
	if (qtest_queue_used(&d->give) >= BUSY_SLOTS)
		fail_msg("the device was done too soon to tell");
	for (unsigned int slot = 1; slot < BUSY_SLOTS; slot++)
		assert_result(d, slot, VIRTIO_TIDE_OK, VIRTIO_TIDE_MAX_RANGES);
	assert_result(d, BUSY_SLOTS, VIRTIO_TIDE_OK, 1);
	assert_given(d, PAGE, 0);
	wait_idle(d);
}

static void test_idle_until_notified(void **state)
{
	struct device *d = &device;

	assert_carried_out(d, GIVE(BASE, PAGE));
	wait_idle(d);
	post_range(d, 1, GIVE(BASE + PAGE, PAGE));
	assert_left_alone(d);
	assert_given(d, PAGE, 0);
	/* the first one comes with the second one's notification */
	post_range(d, 2, GIVE(BASE + 2 * PAGE, PAGE));
	qtest_queue_notify(&d->give);
	assert_result(d, 1, VIRTIO_TIDE_OK, 1);
	assert_result(d, 2, VIRTIO_TIDE_OK, 1);
	assert_given(d, 3 * PAGE, 0);
	assert_carried_out(d, TAKE(BASE, 3 * PAGE));
	assert_given(d, 0, 0);
}

static void test_stopped_vm_gives_nothing(void **state)
{
	struct device *d = &device;

	assert_int_equal(vm_qmp(d->vm, "stop", NULL, NULL), 0);
	post_range(d, 0, GIVE(BASE, PAGE));
	qtest_queue_notify(&d->give);
	assert_left_alone(d);
	assert_given(d, 0, 0);
	assert_int_equal(vm_qmp(d->vm, "cont", NULL, NULL), 0);
	assert_result(d, 0, VIRTIO_TIDE_OK, 1);
	assert_given(d, PAGE, 0);
}

/* The report queue: dropped, but not given. */

static void report(struct device *d, const struct qtest_buffer *part, unsigned int count)
{
	qtest_queue_add(&d->report, 0, part, count);
	qtest_queue_notify(&d->report);
	assert_int_equal(qtest_queue_take(&d->report), 0);
}

static void test_reports(void **state)
{
	const struct qtest_buffer part[] = {
		{ BASE, 2 * MIB, true }, { BASE + 2 * MIB + 8, PAGE, true },
		{ device.pci.shm[VIRTIO_TIDE_SHM_STATE], PAGE, true }, { BASE + 4 * MIB, PAGE, true },
	};
	struct device *d = &device;

	fill(d, BASE, 8 * MIB);
	report(d, part, ARRAY_SIZE(part));
	assert_true(dropped(d, BASE));
	assert_true(dropped(d, BASE + 2 * MIB - PAGE));
	/* neither an unaligned one nor one that is not RAM; and no failure keeps the next from being dropped */
	assert_true(kept(d, BASE + 2 * MIB));
	assert_int_equal(qtest_read(d->vm, d->pci.shm[VIRTIO_TIDE_SHM_STATE], 4), VIRTIO_TIDE_MAGIC);
	assert_true(dropped(d, BASE + 4 * MIB));
	assert_true(kept(d, BASE + 4 * MIB + PAGE));
	assert_given(d, 0, 0);
	assert_int_equal(counters(d).reported_bytes, 2 * MIB + PAGE);
	assert_int_equal(counters(d).reports, 2);
	assert_int_equal(counters(d).refused, 2);
}

static void test_reports_while_inhibited(void **state)
{
	const struct qtest_buffer part = { BASE, 2 * MIB, true };
	struct device *d = &device;

	fill(d, BASE, 2 * MIB);
	set_inhibit(d, true);
	report(d, &part, 1);
	assert_true(kept(d, BASE));
	assert_int_equal(counters(d).reported_bytes, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		device_test(test_bad_buffer_needs_reset),
		device_test(test_longest_buffer),
		device_test(test_reset_while_all_is_well),
		device_test(test_reset_of_the_machine),
		device_test(test_inhibited),
		device_test(test_buffers_in_order),
		device_test(test_no_notifications_while_at_work),
		device_test(test_idle_until_notified),
		device_test(test_stopped_vm_gives_nothing),
		device_test(test_reports),
		device_test(test_reports_while_inhibited),
	};

	/* one test, or those of a pattern */
	cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
