// SPDX-License-Identifier: GPL-2.0-or-later
/* See device-bed.h. */
#include <endian.h>
#include <stdio.h>
#include <unistd.h>

#include "device-bed.h"

#define GIVE_RINGS	(16 * MIB)
#define REPORT_RINGS	(17 * MIB)
#define SLOTS		32
#define SLOT_ADDRESS	(32 * MIB)
#define SLOT_BYTES	(256 * 1024)
#define RESULT_OFFSET	(SLOT_BYTES - PAGE)
#define PATTERN		0x5a

struct device device;

void start_driver(struct device *d)
{
	qtest_virtio_reset(&d->pci);
	qtest_virtio_negotiate(&d->pci, 1u << VIRTIO_TIDE_F_REPORT);
	qtest_queue_start(&d->give, &d->pci, VIRTIO_TIDE_VQ_GIVE, GIVE_RINGS);
	qtest_queue_start(&d->report, &d->pci, VIRTIO_TIDE_VQ_REPORT, REPORT_RINGS);
	qtest_virtio_ready(&d->pci);
}

static void start_vm(struct device *d, uint64_t memory_bytes, const char *vmm_socket)
{
	struct vm_options options = {
		.name = "device", .memory_bytes = memory_bytes, .qtest = true,
		.tide = true, .vmm_socket = vmm_socket,
	};

	d->memory_bytes = memory_bytes;
	assert_int_equal(vm_start(&options, &d->vm), 0);
}

void device_save(struct device *d)
{
	char uri[80];

	snprintf(d->saved, sizeof(d->saved), "/tmp/memtide-device-saved-%d", getpid());
	snprintf(uri, sizeof(uri), "file:%s", d->saved);
	assert_int_equal(vm_migrate(d->vm, uri), 0);
	assert_int_equal(vm_stop(d->vm), 0);
	d->vm = NULL;
	if (d->steer)
		steer_disconnect(d->steer);
}

int device_restore(struct device *d)
{
	char uri[80];
	struct vm_options options = {
		.name = "device", .memory_bytes = d->memory_bytes, .qtest = true,
		.tide = true, .vmm_socket = d->steer ? d->socket : NULL, .incoming = uri,
	};

	snprintf(uri, sizeof(uri), "file:%s", d->saved);
	assert_int_equal(vm_spawn(&options, &d->vm), 0);
	d->pci.vm = d->vm;
	if (d->steer)
		assert_int_equal(steer_accept(d->steer), 0);
	return vm_wait(d->vm);
}

void device_move(struct device *d)
{
	device_save(d);
	assert_int_equal(device_restore(d), 0);
}

static int start_with(uint64_t memory_bytes)
{
	struct device *d = &device;

	snprintf(d->socket, sizeof(d->socket), "/tmp/memtide-device-%d.sock", getpid());
	assert_int_equal(steer_listen(d->socket, &d->steer), 0);
	start_vm(d, memory_bytes, d->socket);
	assert_int_equal(steer_accept(d->steer), 0);
	qtest_virtio_find(&d->pci, d->vm, VIRTIO_ID_TIDE);
	start_driver(d);
	return 0;
}

int device_start(void **state)
{
	return start_with(RAM);
}

int device_start_large(void **state)
{
	return start_with(LARGE_RAM);
}

int device_start_without_controller(void **state)
{
	start_vm(&device, RAM, NULL);
	qtest_virtio_find(&device.pci, device.vm, VIRTIO_ID_TIDE);
	return 0;
}

int device_stop(void **state)
{
	int r;

	steer_free(device.steer);
	r = vm_stop(device.vm);
	if (*device.saved)
		unlink(device.saved);
	device = (struct device){ .vm = NULL };
	return r;
}

/* Batches */

struct virtio_tide_range range(uint32_t kind, uint64_t address, uint64_t length)
{
	return (struct virtio_tide_range){
		.address = htole64(address), .length = htole64(length), .kind = htole32(kind),
	};
}

static uint64_t slot_address(unsigned int slot)
{
	assert_true(slot < SLOTS);
	return SLOT_ADDRESS + slot * SLOT_BYTES;
}

void post_bytes(struct device *d, unsigned int slot, const void *from, size_t bytes, size_t result_bytes)
{
	const struct virtio_tide_result untouched = { .status = htole32(UNTOUCHED), .done = htole32(UNTOUCHED) };
	const struct qtest_buffer part[] = {
		{ .address = slot_address(slot), .bytes = bytes },
		{ .address = slot_address(slot) + RESULT_OFFSET, .bytes = result_bytes, .device_writes = true },
	};
	unsigned int first = bytes ? 0 : 1, last = result_bytes ? 1 : 0;

	assert_true(bytes <= RESULT_OFFSET);
	if (bytes)
		qtest_copy_to(d->vm, part[0].address, from, bytes);
	qtest_copy_to(d->vm, part[1].address, &untouched, sizeof(untouched));
	qtest_queue_add(&d->give, 2 * slot, part + first, last - first + 1);
}

void post(struct device *d, unsigned int slot, const struct virtio_tide_range *from, unsigned int count)
{
	post_bytes(d, slot, from, count * sizeof(*from), sizeof(struct virtio_tide_result));
}

void post_range(struct device *d, unsigned int slot, struct virtio_tide_range one)
{
	post(d, slot, &one, 1);
}

struct virtio_tide_result result(struct device *d, unsigned int slot)
{
	struct virtio_tide_result r;

	qtest_copy_from(d->vm, &r, slot_address(slot) + RESULT_OFFSET, sizeof(r));
	return (struct virtio_tide_result){ .status = le32toh(r.status), .done = le32toh(r.done) };
}

void assert_result(struct device *d, unsigned int slot, uint32_t status, uint32_t done)
{
	struct virtio_tide_result r;

	assert_int_equal(qtest_queue_take(&d->give), 2 * slot);
	r = result(d, slot);
	assert_int_equal(r.status, status);
	assert_int_equal(r.done, done);
}

struct virtio_tide_result carry_out(struct device *d, const struct virtio_tide_range *from,
					   unsigned int count)
{
	post(d, 0, from, count);
	qtest_queue_notify(&d->give);
	assert_int_equal(qtest_queue_take(&d->give), 0);
	return result(d, 0);
}

/* What the device says of itself */

struct memtide_counters counters(struct device *d)
{
	struct memtide_counters c;

	assert_int_equal(steer_counters(d->steer, &c), 0);
	return c;
}

void assert_fence(struct device *d, uint32_t generation, uint64_t given_bytes)
{
	struct memtide_counters c = counters(d);

	assert_int_equal(!!(c.flags & TIDE_COUNTERS_FENCED), generation != 0);
	if (!generation)
		return;
	assert_int_equal(c.fence_generation, generation);
	assert_int_equal(c.fence_given_bytes, given_bytes);
}

/* Content */

void fill(struct device *d, uint64_t address, uint64_t bytes)
{
	qtest_fill(d->vm, address, bytes, PATTERN);
}

static bool page_is(struct device *d, uint64_t address, uint8_t byte)
{
	uint8_t page[PAGE];

	qtest_copy_from(d->vm, page, address, sizeof(page));
	for (unsigned int i = 0; i < sizeof(page); i++) {
		if (page[i] != byte)
			return false;
	}
	return true;
}

bool kept(struct device *d, uint64_t address)
{
	return page_is(d, address, PATTERN);
}

bool dropped(struct device *d, uint64_t address)
{
	return page_is(d, address, 0);
}
