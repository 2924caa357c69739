// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtio-tide device of a VM that is saved and goes on in another QEMU: not while something is given, and then with
 * its queues, its region and its driver as they were, and for its controller a new one.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#include "device-bed.h"

/* What is in the way */

static bool blocked(struct device *d)
{
	char *why;
	bool is;

	assert_int_equal(vm_migration_blocked(d->vm, &why), 0);
	is = why;
	if (why)
		assert_non_null(strstr(why, "\"memtide vm release device\""));
	free(why);
	return is;
}

static void test_not_while_something_is_given(void **state)
{
	struct device *d = &device;

	assert_false(blocked(d));
	assert_carried_out(d, GIVE(BASE, 4 * MIB));
	assert_true(blocked(d));
	assert_int_equal(vm_migrate(d->vm, "exec:cat >/dev/null"), -EREMOTEIO);
	assert_carried_out(d, TAKE(BASE, 4 * MIB - PAGE));
	assert_true(blocked(d));
	assert_carried_out(d, TAKE(BASE + 4 * MIB - PAGE, PAGE));
	assert_false(blocked(d));
	/* what comes to nothing is in nobody's way */
	assert_batch(d, VIRTIO_TIDE_BAD_RANGE, 0, GIVE(BASE + 1, PAGE));
	assert_false(blocked(d));
	assert_carried_out(d, GIVE(BASE, PAGE));
	assert_true(blocked(d));
	qtest_virtio_reset(&d->pci);
	assert_false(blocked(d));
}

/* What goes along */

static uint64_t state_address(struct device *d, size_t offset)
{
	return d->pci.shm[VIRTIO_TIDE_SHM_STATE] + offset;
}

/* Content of the guest's part of the region, which nobody else writes here. */
static void write_marks(struct device *d)
{
	for (uint64_t at = VIRTIO_TIDE_STATS_OFFSET; at < VIRTIO_TIDE_HINTS_OFFSET; at += PAGE)
		qtest_write(d->vm, state_address(d, at) + PAGE - 8, 8, at);
}

static void assert_marks(struct device *d)
{
	for (uint64_t at = VIRTIO_TIDE_STATS_OFFSET; at < VIRTIO_TIDE_HINTS_OFFSET; at += PAGE)
		assert_int_equal(qtest_read(d->vm, state_address(d, at) + PAGE - 8, 8), at);
}

static uint64_t order(struct device *d, size_t offset, unsigned int bytes)
{
	return qtest_read(d->vm, state_address(d, VIRTIO_TIDE_STATE_OFFSET) + offset, bytes);
}

static void test_region_goes_along(void **state)
{
	struct device *d = &device;
	uint32_t generation;

	for (int i = 0; i < 5; i++)
		steer_set(d->steer, RAM / 2, RAM, 0, &generation);
	assert_carried_out(d, GIVE(BASE, PAGE), FENCE(generation - 1, PAGE), TAKE(BASE, PAGE));
	/* the guest may have put anything there */
	qtest_write(d->vm, state_address(d, 0), 4, 0);
	write_marks(d);
	fill(d, BASE, PAGE);
	device_move(d);
	assert_int_equal(qtest_read(d->vm, state_address(d, 0), 4), VIRTIO_TIDE_MAGIC);
	assert_marks(d);
	assert_true(kept(d, BASE));
	assert_int_equal(order(d, offsetof(struct virtio_tide_state, generation), 4), generation);
	assert_int_equal(order(d, offsetof(struct virtio_tide_state, target), 8), RAM / 2);
	assert_int_equal(order(d, offsetof(struct virtio_tide_state, ceiling), 8), RAM);
	assert_int_equal(order(d, offsetof(struct virtio_tide_state, seq), 4) % 2, 0);
	/* a new controller has to begin behind what the guest has seen, and no fence says anything to it */
	assert_int_equal(counters(d).fence_generation, generation);
	assert_int_equal(counters(d).flags, TIDE_COUNTERS_DRIVER_OK);
	assert_true(counters(d).epoch > 0);
	/* and once more, where this controller has said nothing */
	device_move(d);
	assert_int_equal(counters(d).fence_generation, generation);
	assert_marks(d);
}

static bool rung(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&p, 1, 0) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

static void wait_interrupt(struct device *d)
{
	uint64_t until = steer_now_ns() + QTEST_SOON_NS;

	while (!(qtest_read(d->vm, d->pci.isr, 1) & VIRTIO_PCI_ISR_CONFIG)) {
		if (steer_now_ns() > until)
			fail_msg("no configuration-change interrupt");
	}
}

/* Bells are the new process's, and what had been rung meanwhile is not lost. */
static void test_driver_goes_on(void **state)
{
	struct device *d = &device;

	assert_carried_out(d, GIVE(BASE, 4 * MIB), TAKE(BASE, 4 * MIB));
	qtest_read(d->vm, d->pci.isr, 1);	/* which clears it */
	device_move(d);
	wait_interrupt(d);
	steer_set(d->steer, RAM / 2, RAM / 2, 0, NULL);
	wait_interrupt(d);
	qtest_write(d->vm, d->pci.shm[VIRTIO_TIDE_SHM_DOORBELL], 4, 1);
	assert_true(rung(steer_doorbell(d->steer)));
	fill(d, BASE, 4 * MIB);
	assert_carried_out(d, GIVE(BASE, 2 * MIB), FENCE(9, 2 * MIB));
	assert_true(dropped(d, BASE));
	assert_true(kept(d, BASE + 2 * MIB));
	assert_given(d, 2 * MIB, 2 * MIB);
	assert_fence(d, 9, 2 * MIB);
	assert_true(blocked(d));
	assert_carried_out(d, TAKE(BASE, 2 * MIB));
	assert_false(blocked(d));
}

/* The administrator's, where there is no controller. */
static void test_target_goes_along(void **state)
{
	struct device *d = &device;
	uint64_t value, generation;

	assert_int_equal(vm_set(d->vm, TIDE_OBJECT, "target", RAM / 2), 0);
	generation = order(d, offsetof(struct virtio_tide_state, generation), 4);
	device_move(d);
	assert_int_equal(vm_get(d->vm, TIDE_OBJECT, "target", &value), 0);
	assert_int_equal(value, RAM / 2);
	assert_int_equal(order(d, offsetof(struct virtio_tide_state, target), 8), RAM / 2);
	/* a new one is no old one for the guest */
	assert_int_equal(vm_set(d->vm, TIDE_OBJECT, "target", RAM / 4), 0);
	assert_int_equal(order(d, offsetof(struct virtio_tide_state, target), 8), RAM / 4);
	assert_int_equal(order(d, offsetof(struct virtio_tide_state, generation), 4), generation + 1);
}

/* What is under way */

#define BUSY_SLOTS	16

/* Work for many turns that ends with nothing given. */
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

/* The batch that was begun comes back before the VM is saved; those behind it are carried out where it goes on. */
static void test_batch_under_way(void **state)
{
	const struct qtest_buffer part = { BASE, RAM - BASE, true };
	unsigned int cut = 0, before;
	struct device *d = &device;

	post_work(d);
	qtest_queue_notify(&d->give);
	qtest_queue_add(&d->report, 0, &part, 1);
	assert_result(d, 0, VIRTIO_TIDE_OK, VIRTIO_TIDE_MAX_RANGES);
	assert_int_equal(vm_qmp(d->vm, "stop", NULL, NULL), 0);
	before = qtest_queue_used(&d->give);
	if (before == BUSY_SLOTS)
		fail_msg("the device was done too soon to tell");
	assert_given(d, 0, 0);
	assert_false(blocked(d));
	device_move(d);
	/* nobody answers before it runs */
	assert_int_equal(counters(d).flags, 0);
	assert_int_equal(vm_qmp(d->vm, "cont", NULL, NULL), 0);
	assert_int_equal(counters(d).flags, TIDE_COUNTERS_DRIVER_OK);
	qtest_queue_notify(&d->report);
	for (unsigned int slot = 1; slot < BUSY_SLOTS; slot++) {
		struct virtio_tide_result r;

		assert_int_equal(qtest_queue_take(&d->give), 2 * slot);
		r = result(d, slot);
		if (r.status == VIRTIO_TIDE_OK)
			continue;
		assert_int_equal(r.status, VIRTIO_TIDE_INHIBITED);
		assert_int_equal(slot, before - 1);
		cut++;
	}
	assert_true(cut <= 1);
	assert_int_equal(qtest_queue_take(&d->report), 0);
	assert_carried_out(d, GIVE(BASE, 2 * MIB), FENCE(1, 2 * MIB));
	assert_given(d, 2 * MIB, 2 * MIB);
}

/* Streams that are wrong */

/* The region in what was saved, which begins with its header, and behind the numbers that go with it. */
static long find_region(FILE *f)
{
	const struct virtio_tide_header header = {
		.magic = htole32(VIRTIO_TIDE_MAGIC), .version = htole32(VIRTIO_TIDE_VERSION),
		.size = htole32(VIRTIO_TIDE_STATE_SIZE),
	};
	char *data, *found;
	size_t size;
	long at;

	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	data = malloc(size);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, size, f), size);
	found = memmem(data, size, &header, sizeof(header));
	assert_non_null(found);
	at = found - data;
	free(data);
	return at;
}

/* Restoring fails with the @bytes bytes that are @before the region changed to @value. */
static void assert_refused(struct device *d, unsigned int before, unsigned int bytes, uint64_t value)
{
	FILE *f = fopen(d->saved, "r+e");
	uint64_t wire = htobe64(value), saved;
	long at;

	assert_non_null(f);
	at = find_region(f) - before;
	fseek(f, at, SEEK_SET);
	assert_int_equal(fread(&saved, bytes, 1, f), 1);
	fseek(f, at, SEEK_SET);
	assert_int_equal(fwrite((char *)&wire + sizeof(wire) - bytes, bytes, 1, f), 1);
	fflush(f);
	assert_int_not_equal(device_restore(d), 0);
	vm_stop(d->vm);
	d->vm = NULL;
	fseek(f, at, SEEK_SET);
	assert_int_equal(fwrite(&saved, bytes, 1, f), 1);
	fclose(f);
}

static void test_nonsense_is_refused(void **state)
{
	struct device *d = &device;

	start_driver(d);
	device_save(d);
	assert_refused(d, 4, 4, VIRTIO_TIDE_HINTS_OFFSET - 1);
	assert_refused(d, 4, 4, UINT32_MAX);
	assert_refused(d, 16, 8, RAM + PAGE);
	assert_refused(d, 24, 8, RAM - PAGE);
	assert_int_equal(device_restore(d), 0);
	assert_carried_out(d, GIVE(BASE, PAGE));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		device_test(test_not_while_something_is_given),
		device_test(test_region_goes_along),
		device_test(test_driver_goes_on),
		device_test_with(test_target_goes_along, device_start_without_controller),
		device_test(test_batch_under_way),
		device_test_with(test_nonsense_is_refused, device_start_without_controller),
	};

	/* one test, or those of a pattern */
	cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
