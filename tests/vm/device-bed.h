/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test bed for the virtio-tide device alone: the test is its driver, over qtest, and its controller.  Each test
 * starts a QEMU of its own.
 */
#ifndef TESTS_VM_DEVICE_BED_H
#define TESTS_VM_DEVICE_BED_H

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "qtest.h"
#include "steer.h"
#include "vm.h"

#define PAGE		VIRTIO_TIDE_PAGE_SIZE
#define HUGE		VIRTIO_TIDE_HUGE_SIZE
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* What the test itself needs of the guest's RAM is below BASE; all above it may be given. */
#define RAM		(256 * MIB)
#define BASE		(64 * MIB)

/* So much that the chipset has put a part of it above 4 GiB.  Most of it is never touched. */
#define LARGE_RAM	(3 * GIB)
#define LOW_RAM		(2 * GIB)
#define HIGH_RAM	(4 * GIB)

/* No device has this status. */
#define UNTOUCHED	0xff

struct device {
	struct steer *steer;
	struct vm *vm;
	struct qtest_virtio pci;
	struct qtest_queue give;
	struct qtest_queue report;
	char socket[64];
	char saved[64];		/* file */
	uint64_t memory_bytes;
};

extern struct device device;

/* For cmocka: with a driver that is ready and a controller, the second one with LARGE_RAM; or without either. */
int device_start(void **state);
int device_start_large(void **state);
int device_start_without_controller(void **state);
/* After each test, also one that failed half way. */
int device_stop(void **state);

#define device_test_with(f, start)	cmocka_unit_test_setup_teardown(f, start, device_stop)
#define device_test(f)			device_test_with(f, device_start)

/* The VM is saved and goes on in another QEMU, with the same controller and a driver that has not noticed. */
void device_move(struct device *d);
/* The two halves: to the file device.saved; 0, or a negative errno when QEMU does not take it. */
void device_save(struct device *d);
int device_restore(struct device *d);

/* From reset to DRIVER_OK. */
void start_driver(struct device *d);

/* Batches */

struct virtio_tide_range range(uint32_t kind, uint64_t address, uint64_t length);

#define GIVE(address, length)		range(VIRTIO_TIDE_GIVE, address, length)
#define TAKE(address, length)		range(VIRTIO_TIDE_TAKE, address, length)
#define FENCE(generation, length)	range(VIRTIO_TIDE_FENCE, generation, length)

/* A batch may be posted from the same slot again when it has come back. */
void post_bytes(struct device *d, unsigned int slot, const void *from, size_t bytes, size_t result_bytes);
void post(struct device *d, unsigned int slot, const struct virtio_tide_range *from, unsigned int count);
/* Posts one range in a buffer of its own. */
void post_range(struct device *d, unsigned int slot, struct virtio_tide_range one);
/* What the device has written there. */
struct virtio_tide_result result(struct device *d, unsigned int slot);
/* The next batch to come back is the one in @slot. */
void assert_result(struct device *d, unsigned int slot, uint32_t status, uint32_t done);
/* Posts a batch and waits for it. */
struct virtio_tide_result carry_out(struct device *d, const struct virtio_tide_range *from, unsigned int count);

/* A batch of the ranges behind @want_done comes to this.  A macro, so that a failure has the line of the test. */
#define assert_batch(d, want_status, want_done, ...)						\
	do {											\
		const struct virtio_tide_range from_[] = { __VA_ARGS__ };			\
		struct virtio_tide_result r_ = carry_out(d, from_, ARRAY_SIZE(from_));		\
												\
		assert_int_equal(r_.status, want_status);					\
		assert_int_equal(r_.done, want_done);						\
	} while (0)

#define assert_carried_out(d, ...)								\
	assert_batch(d, VIRTIO_TIDE_OK,								\
		     sizeof((const struct virtio_tide_range[]){ __VA_ARGS__ }) /		\
		     sizeof(struct virtio_tide_range), __VA_ARGS__)

/* What the device says of itself */

struct memtide_counters counters(struct device *d);

/* The counters page and the properties say the same. */
#define assert_given(d, bytes, huge_bytes)							\
	do {											\
		struct memtide_counters c_ = counters(d);					\
		uint64_t given_, huge_, usable_;						\
												\
		assert_int_equal(c_.given_bytes, bytes);					\
		assert_int_equal(c_.given_huge_bytes, huge_bytes);				\
		assert_int_equal(vm_get((d)->vm, TIDE_OBJECT, "given", &given_), 0);		\
		assert_int_equal(vm_get((d)->vm, TIDE_OBJECT, "given-huge", &huge_), 0);	\
		assert_int_equal(vm_get((d)->vm, TIDE_OBJECT, "usable", &usable_), 0);		\
		assert_int_equal(given_, bytes);						\
		assert_int_equal(huge_, huge_bytes);						\
		assert_int_equal(usable_, RAM - (bytes));					\
	} while (0)

/* The last fence is of @generation; zero: there was none since the reset. */
void assert_fence(struct device *d, uint32_t generation, uint64_t given_bytes);

/* Content: pages are filled with a pattern, and are as they were or empty. */

void fill(struct device *d, uint64_t address, uint64_t bytes);
bool kept(struct device *d, uint64_t address);
bool dropped(struct device *d, uint64_t address);

#endif /* TESTS_VM_DEVICE_BED_H */
