// SPDX-License-Identifier: GPL-2.0-or-later
/* See qtest.h. */
#include <endian.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "qtest.h"
#include "steer.h"

/* PCI configuration mechanism #1 */
#define PCI_ADDRESS_PORT	0xcf8
#define PCI_DATA_PORT		0xcfc
#define PCI_SLOTS		32

/* Above RAM and below what the chipset has for itself. */
#define BARS_ADDRESS		0xe0000000

#define VIRTIO_VENDOR		0x1af4
#define VIRTIO_MODERN_ID	0x1040

/* What @vm says to the line that was just told: the text behind "OK ", allocated. */
static char *answer(struct vm *vm)
{
	char *line;

	if (vm_hear_line(vm, &line))
		fail_msg("qtest does not answer");
	if (strncmp(line, "OK", 2) != 0)
		fail_msg("qtest says '%s'", line);
	memmove(line, line + 2, strlen(line + 2) + 1);
	return line;
}

static uint64_t answer_number(struct vm *vm)
{
	char *text = answer(vm);
	uint64_t value = strtoull(text, NULL, 0);

	free(text);
	return value;
}

static void port_write(struct vm *vm, unsigned int port, uint32_t value)
{
	assert_int_equal(vm_tell(vm, "outl 0x%x 0x%x", port, value), 0);
	free(answer(vm));
}

static uint32_t port_read(struct vm *vm, unsigned int port)
{
	assert_int_equal(vm_tell(vm, "inl 0x%x", port), 0);
	return answer_number(vm);
}

/* qtest's letter for a width */
static char width(unsigned int bytes)
{
	return bytes == 1 ? 'b' : bytes == 2 ? 'w' : bytes == 4 ? 'l' : 'q';
}

uint64_t qtest_read(struct vm *vm, uint64_t address, unsigned int bytes)
{
	assert_int_equal(vm_tell(vm, "read%c 0x%" PRIx64, width(bytes), address), 0);
	return answer_number(vm);
}

void qtest_write(struct vm *vm, uint64_t address, unsigned int bytes, uint64_t value)
{
	assert_int_equal(vm_tell(vm, "write%c 0x%" PRIx64 " 0x%" PRIx64, width(bytes), address, value), 0);
	free(answer(vm));
}

void qtest_copy_from(struct vm *vm, void *to, uint64_t address, size_t size)
{
	char *text, *digits;

	assert_int_equal(vm_tell(vm, "read 0x%" PRIx64 " 0x%zx", address, size), 0);
	text = answer(vm);
	digits = strstr(text, "0x");
	assert_non_null(digits);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(sscanf(digits + 2 + 2 * i, "%2hhx", (unsigned char *)to + i), 1);
	free(text);
}

void qtest_copy_to(struct vm *vm, uint64_t address, const void *from, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	char *digits = malloc(2 * size + 1);

	assert_non_null(digits);
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = ((const unsigned char *)from)[i];

		digits[2 * i] = hex[byte >> 4];
		digits[2 * i + 1] = hex[byte & 15];
	}
	digits[2 * size] = '\0';
	assert_int_equal(vm_tell(vm, "write 0x%" PRIx64 " 0x%zx 0x%s", address, size, digits), 0);
	free(digits);
	free(answer(vm));
}

void qtest_fill(struct vm *vm, uint64_t address, uint64_t size, uint8_t byte)
{
	assert_int_equal(vm_tell(vm, "memset 0x%" PRIx64 " 0x%" PRIx64 " 0x%x", address, size, byte), 0);
	free(answer(vm));
}

/* PCI: everything in its configuration space is read and written 32 bits wide. */

static void pci_select(struct qtest_virtio *dev, unsigned int offset)
{
	port_write(dev->vm, PCI_ADDRESS_PORT, 0x80000000 | dev->slot << 11 | (offset & ~3u));
}

static uint32_t pci_read(struct qtest_virtio *dev, unsigned int offset)
{
	pci_select(dev, offset);
	return port_read(dev->vm, PCI_DATA_PORT);
}

static void pci_write(struct qtest_virtio *dev, unsigned int offset, uint32_t value)
{
	pci_select(dev, offset);
	port_write(dev->vm, PCI_DATA_PORT, value);
}

static uint8_t pci_read_byte(struct qtest_virtio *dev, unsigned int offset)
{
	return pci_read(dev, offset) >> (offset % 4 * 8);
}

static void pci_find(struct qtest_virtio *dev, uint32_t id)
{
	for (dev->slot = 0; dev->slot < PCI_SLOTS; dev->slot++) {
		if (pci_read(dev, PCI_VENDOR_ID) == id)
			return;
	}
	fail_msg("no PCI device %08x on bus 0", id);
}

/* Memory only, and below 4 GiB: upper halves are zero. */
static void pci_place_bars(struct qtest_virtio *dev)
{
	uint32_t next = BARS_ADDRESS;

	for (unsigned int i = 0; i < 6; i++) {
		unsigned int offset = PCI_BASE_ADDRESS_0 + 4 * i;
		uint32_t mask, bytes;

		pci_write(dev, offset, ~0u);
		mask = pci_read(dev, offset);
		bytes = ~(mask & PCI_BASE_ADDRESS_MEM_MASK) + 1;
		if (!bytes || mask & PCI_BASE_ADDRESS_SPACE_IO)
			continue;
		next = (next + bytes - 1) & ~(bytes - 1);
		pci_write(dev, offset, next);
		dev->bar[i] = next;
		next += bytes;
		if (mask & PCI_BASE_ADDRESS_MEM_TYPE_64)
			pci_write(dev, PCI_BASE_ADDRESS_0 + 4 * ++i, 0);
	}
	pci_write(dev, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* One vendor-specific capability of virtio, struct virtio_pci_cap. */
static void read_capability(struct qtest_virtio *dev, unsigned int at)
{
	uint64_t where = dev->bar[pci_read_byte(dev, at + VIRTIO_PCI_CAP_BAR) % 6] +
			 pci_read(dev, at + VIRTIO_PCI_CAP_OFFSET);
	unsigned int id;

	switch (pci_read_byte(dev, at + VIRTIO_PCI_CAP_CFG_TYPE)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		dev->common = where;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		dev->notify = where;
		dev->notify_multiplier = pci_read(dev, at + VIRTIO_PCI_NOTIFY_CAP_MULT);
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		dev->isr = where;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		dev->config = where;
		break;
	case VIRTIO_PCI_CAP_SHARED_MEMORY_CFG:
		id = pci_read_byte(dev, at + offsetof(struct virtio_pci_cap, id));
		assert_true(id < QTEST_SHMS);
		dev->shm[id] = where;
		dev->shm_bytes[id] = pci_read(dev, at + VIRTIO_PCI_CAP_LENGTH);
		break;
	}
}

void qtest_virtio_find(struct qtest_virtio *dev, struct vm *vm, unsigned int id)
{
	*dev = (struct qtest_virtio){ .vm = vm };
	pci_find(dev, (VIRTIO_MODERN_ID + id) << 16 | VIRTIO_VENDOR);
	pci_place_bars(dev);
	for (unsigned int at = pci_read_byte(dev, PCI_CAPABILITY_LIST); at;
	     at = pci_read_byte(dev, at + PCI_CAP_LIST_NEXT)) {
		if (pci_read_byte(dev, at + PCI_CAP_LIST_ID) == PCI_CAP_ID_VNDR)
			read_capability(dev, at);
	}
	assert_true(dev->common && dev->notify && dev->isr && dev->config);
}

/* virtio */

static void common_write(struct qtest_virtio *dev, unsigned int offset, unsigned int bytes, uint64_t value)
{
	qtest_write(dev->vm, dev->common + offset, bytes, value);
}

uint8_t qtest_virtio_status(struct qtest_virtio *dev)
{
	return qtest_read(dev->vm, dev->common + VIRTIO_PCI_COMMON_STATUS, 1);
}

static void set_status(struct qtest_virtio *dev, uint8_t status)
{
	common_write(dev, VIRTIO_PCI_COMMON_STATUS, 1, status);
	assert_int_equal(qtest_virtio_status(dev), status);
}

void qtest_virtio_reset(struct qtest_virtio *dev)
{
	set_status(dev, 0);
}

static void negotiate_half(struct qtest_virtio *dev, unsigned int half, uint32_t features)
{
	common_write(dev, VIRTIO_PCI_COMMON_DFSELECT, 4, half);
	assert_int_equal(qtest_read(dev->vm, dev->common + VIRTIO_PCI_COMMON_DF, 4) & features, features);
	common_write(dev, VIRTIO_PCI_COMMON_GFSELECT, 4, half);
	common_write(dev, VIRTIO_PCI_COMMON_GF, 4, features);
}

void qtest_virtio_negotiate(struct qtest_virtio *dev, uint32_t features)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	set_status(dev, status);
	negotiate_half(dev, 0, features);
	negotiate_half(dev, 1, 1u << (VIRTIO_F_VERSION_1 - 32));
	set_status(dev, status | VIRTIO_CONFIG_S_FEATURES_OK);
}

void qtest_virtio_ready(struct qtest_virtio *dev)
{
	set_status(dev, qtest_virtio_status(dev) | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Virtqueues: descriptors, available and used ring, each with room for more entries than any device here has. */

#define AVAILABLE_OFFSET	0x4000
#define USED_OFFSET		0x8000
#define QUEUE_SIZE_MAX		(AVAILABLE_OFFSET / sizeof(struct vring_desc))

void qtest_queue_start(struct qtest_queue *q, struct qtest_virtio *dev, uint16_t index, uint64_t address)
{
	common_write(dev, VIRTIO_PCI_COMMON_Q_SELECT, 2, index);
	*q = (struct qtest_queue){
		.dev = dev,
		.index = index,
		.size = qtest_read(dev->vm, dev->common + VIRTIO_PCI_COMMON_Q_SIZE, 2),
		.descriptors = address,
		.available = address + AVAILABLE_OFFSET,
		.used = address + USED_OFFSET,
		.notify = dev->notify + (uint64_t)dev->notify_multiplier *
			  qtest_read(dev->vm, dev->common + VIRTIO_PCI_COMMON_Q_NOFF, 2),
	};
	assert_in_range(q->size, 1, QUEUE_SIZE_MAX);
	qtest_fill(dev->vm, address, QTEST_QUEUE_BYTES, 0);
	common_write(dev, VIRTIO_PCI_COMMON_Q_DESCLO, 4, q->descriptors);
	common_write(dev, VIRTIO_PCI_COMMON_Q_DESCHI, 4, q->descriptors >> 32);
	common_write(dev, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, q->available);
	common_write(dev, VIRTIO_PCI_COMMON_Q_AVAILHI, 4, q->available >> 32);
	common_write(dev, VIRTIO_PCI_COMMON_Q_USEDLO, 4, q->used);
	common_write(dev, VIRTIO_PCI_COMMON_Q_USEDHI, 4, q->used >> 32);
	common_write(dev, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

void qtest_queue_add(struct qtest_queue *q, uint16_t head, const struct qtest_buffer *part,
		     unsigned int count)
{
	struct vm *vm = q->dev->vm;

	assert_true(count && head + count <= q->size);
	for (unsigned int i = 0; i < count; i++) {
		struct vring_desc d = {
			.addr = htole64(part[i].address),
			.len = htole32(part[i].bytes),
			.flags = htole16((part[i].device_writes ? VRING_DESC_F_WRITE : 0) |
					 (i + 1 < count ? VRING_DESC_F_NEXT : 0)),
			.next = htole16(head + i + 1),
		};

		qtest_copy_to(vm, q->descriptors + (head + i) * sizeof(d), &d, sizeof(d));
	}
	qtest_write(vm, q->available + offsetof(struct vring_avail, ring) + q->added % q->size * 2, 2, head);
	q->added++;
	qtest_write(vm, q->available + offsetof(struct vring_avail, idx), 2, q->added);
}

void qtest_queue_notify(struct qtest_queue *q)
{
	qtest_write(q->dev->vm, q->notify, 2, q->index);
}

uint16_t qtest_queue_used(struct qtest_queue *q)
{
	return qtest_read(q->dev->vm, q->used + offsetof(struct vring_used, idx), 2);
}

bool qtest_queue_wants_notify(struct qtest_queue *q)
{
	return !(qtest_read(q->dev->vm, q->used + offsetof(struct vring_used, flags), 2) & VRING_USED_F_NO_NOTIFY);
}

uint16_t qtest_queue_take(struct qtest_queue *q)
{
	uint64_t until = steer_now_ns() + QTEST_SOON_NS;

	while (qtest_queue_used(q) == q->taken) {
		if (steer_now_ns() > until)
			fail_msg("queue %u: no buffer comes back", q->index);
	}
	return qtest_read(q->dev->vm, q->used + offsetof(struct vring_used, ring) +
			  q->taken++ % q->size * sizeof(struct vring_used_elem), 4);
}
