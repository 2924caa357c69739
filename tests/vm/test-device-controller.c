// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the virtio-tide device and its controller have in common, doorbell, interrupt and state region, and what the
 * administrator has of it where there is no controller.  The test is the driver.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <linux/virtio_pci.h>

#include "device-bed.h"

/* The controller's side, and the administrator's */

static bool rung(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&p, 1, 0) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

static void test_doorbell(void **state)
{
	struct device *d = &device;
	uint64_t doorbell = d->pci.shm[VIRTIO_TIDE_SHM_DOORBELL];
	int fd = steer_doorbell(d->steer);

	assert_int_equal(d->pci.shm_bytes[VIRTIO_TIDE_SHM_DOORBELL], PAGE);
	assert_false(rung(fd));
	qtest_write(d->vm, doorbell, 4, 1);
	assert_true(rung(fd));
	/* any value, but no other place or width */
	qtest_write(d->vm, doorbell, 4, UINT32_MAX);
	assert_true(rung(fd));
	qtest_write(d->vm, doorbell + 8, 4, 1);
	qtest_write(d->vm, doorbell, 1, 1);
	assert_false(rung(fd));
}

static void test_call_raises_the_interrupt(void **state)
{
	struct device *d = &device;
	uint64_t until = steer_now_ns() + QTEST_SOON_NS;

	qtest_read(d->vm, d->pci.isr, 1);	/* which clears it */
	assert_int_equal(qtest_read(d->vm, d->pci.isr, 1), 0);
	steer_set(d->steer, RAM / 2, RAM / 2, 0, NULL);
	while (!(qtest_read(d->vm, d->pci.isr, 1) & VIRTIO_PCI_ISR_CONFIG)) {
		if (steer_now_ns() > until)
			fail_msg("no configuration-change interrupt");
	}
}

static void test_both_see_the_state(void **state)
{
	struct device *d = &device;
	uint64_t region = d->pci.shm[VIRTIO_TIDE_SHM_STATE], record = region + VIRTIO_TIDE_STATE_OFFSET;
	const uint32_t mark = 0x12345678;
	char *shared;
	size_t size;

	shared = steer_region(d->steer, &size);
	assert_int_equal(size, VIRTIO_TIDE_STATE_SIZE);
	assert_int_equal(d->pci.shm_bytes[VIRTIO_TIDE_SHM_STATE], size);
	assert_int_equal(qtest_read(d->vm, region, 4), VIRTIO_TIDE_MAGIC);
	assert_int_equal(qtest_read(d->vm, region + offsetof(struct virtio_tide_header, size), 4), size);
	steer_set(d->steer, RAM / 2, 3 * RAM / 4, 0, NULL);
	assert_int_equal(qtest_read(d->vm, record + offsetof(struct virtio_tide_state, target), 8), RAM / 2);
	assert_int_equal(qtest_read(d->vm, record + offsetof(struct virtio_tide_state, ceiling), 8), 3 * RAM / 4);
	qtest_write(d->vm, region + size - sizeof(mark), sizeof(mark), mark);
	assert_memory_equal(shared + size - sizeof(mark), &mark, sizeof(mark));
}

static void test_stays_with_its_controller(void **state)
{
	struct device *d = &device;

	steer_set(d->steer, RAM / 2, RAM / 2, 0, NULL);
	assert_int_equal(vm_set(d->vm, TIDE_OBJECT, "target", RAM / 4), -EREMOTEIO);
	/* also while that is away */
	steer_disconnect(d->steer);
	assert_int_equal(vm_set(d->vm, TIDE_OBJECT, "target", RAM / 4), -EREMOTEIO);
}

/* Then the target is the administrator's, and the ceiling with it. */
static void test_target_without_controller(void **state)
{
	struct device *d = &device;
	uint64_t record = d->pci.shm[VIRTIO_TIDE_SHM_STATE] + VIRTIO_TIDE_STATE_OFFSET;
	uint32_t generation;

	assert_int_equal(vm_set(d->vm, TIDE_OBJECT, "target", RAM / 2 + 1), 0);
	generation = qtest_read(d->vm, record + offsetof(struct virtio_tide_state, generation), 4);
	assert_int_not_equal(generation, 0);
	assert_int_equal(qtest_read(d->vm, record + offsetof(struct virtio_tide_state, target), 8), RAM / 2);
	assert_int_equal(qtest_read(d->vm, record + offsetof(struct virtio_tide_state, ceiling), 8), RAM / 2);
	assert_int_equal(vm_set(d->vm, TIDE_OBJECT, "target", RAM + PAGE), -EREMOTEIO);
	assert_int_equal(vm_set(d->vm, TIDE_OBJECT, "target", 0), -EREMOTEIO);
	assert_int_equal(qtest_read(d->vm, record + offsetof(struct virtio_tide_state, generation), 4), generation);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		device_test(test_doorbell),
		device_test(test_call_raises_the_interrupt),
		device_test(test_both_see_the_state),
		device_test(test_stays_with_its_controller),
		device_test_with(test_target_without_controller, device_start_without_controller),
	};

	/* one test, or those of a pattern */
	cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
