/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device of QEMU driven without a guest: the test itself is the driver.  Over QEMU's qtest protocol it reads and
 * writes guest memory and ports; on top of that the little of PCI and of the modern virtio-pci transport that a
 * driver needs, with split virtqueues.  Nothing here knows what the device is for.
 *
 * The VM is one with vm_options.qtest.  What cannot be done fails the cmocka test that runs.
 */
#ifndef TESTS_VM_QTEST_H
#define TESTS_VM_QTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm.h"

/* Guest physical memory, whatever is there: @bytes is 1, 2, 4 or 8. */
uint64_t qtest_read(struct vm *vm, uint64_t address, unsigned int bytes);
void qtest_write(struct vm *vm, uint64_t address, unsigned int bytes, uint64_t value);
void qtest_copy_from(struct vm *vm, void *to, uint64_t address, size_t size);
void qtest_copy_to(struct vm *vm, uint64_t address, const void *from, size_t size);
void qtest_fill(struct vm *vm, uint64_t address, uint64_t size, uint8_t byte);

#define QTEST_SHMS	2	/* shared memory regions, by id */

/* A virtio device on bus 0.  Addresses are guest physical. */
struct qtest_virtio {
	struct vm *vm;
	unsigned int slot;
	uint64_t bar[6];
	uint64_t common;
	uint64_t notify;
	uint64_t isr;
	uint64_t config;
	uint64_t shm[QTEST_SHMS];
	uint64_t shm_bytes[QTEST_SHMS];
	uint32_t notify_multiplier;
};

/* Finds the device of virtio id @id, gives its BARs addresses and reads its capabilities. */
void qtest_virtio_find(struct qtest_virtio *dev, struct vm *vm, unsigned int id);
/* Status is zero afterwards. */
void qtest_virtio_reset(struct qtest_virtio *dev);
/* From reset to FEATURES_OK, with VIRTIO_F_VERSION_1 and @features, which the device has to offer. */
void qtest_virtio_negotiate(struct qtest_virtio *dev, uint32_t features);
/* DRIVER_OK. */
void qtest_virtio_ready(struct qtest_virtio *dev);
uint8_t qtest_virtio_status(struct qtest_virtio *dev);

struct qtest_queue {
	struct qtest_virtio *dev;
	unsigned int size;
	uint64_t descriptors;
	uint64_t available;
	uint64_t used;
	uint64_t notify;
	uint16_t index;
	uint16_t added;		/* buffers, since the start; runs freely */
	uint16_t taken;		/* of these, come back and seen by qtest_queue_take() */
};

#define QTEST_QUEUE_BYTES	0x10000

struct qtest_buffer {
	uint64_t address;
	uint32_t bytes;
	bool device_writes;
};

/* Between negotiation and DRIVER_OK.  The rings are at @address, QTEST_QUEUE_BYTES of them, page-aligned. */
void qtest_queue_start(struct qtest_queue *queue, struct qtest_virtio *dev, uint16_t index, uint64_t address);
/* Makes a chain of @count parts available, in the descriptors from @head on. */
void qtest_queue_add(struct qtest_queue *queue, uint16_t head, const struct qtest_buffer *part,
		     unsigned int count);
void qtest_queue_notify(struct qtest_queue *queue);
/* How many buffers have come back since the start; runs freely. */
uint16_t qtest_queue_used(struct qtest_queue *queue);
/* Whether the device wants to be notified. */
bool qtest_queue_wants_notify(struct qtest_queue *queue);
/* Waits for the next buffer to come back and returns its head. */
uint16_t qtest_queue_take(struct qtest_queue *queue);

/* How long anything may take before a test fails: on a machine at rest it is milliseconds. */
#define QTEST_SOON_NS	60000000000ULL

#endif /* TESTS_VM_QTEST_H */
