// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtio-tide device alone keeps the wire contract, also towards a driver that breaks it: the test is the
 * driver, over qtest, and says what no honest driver would.  Each test starts a QEMU of its own.  How a guest
 * fares with the device is in test-driver.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#include "qtest.h"
#include "steer.h"
#include "vm.h"

#define PAGE		VIRTIO_TIDE_PAGE_SIZE
#define HUGE		VIRTIO_TIDE_HUGE_SIZE
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* What the test itself needs of the guest's RAM is below BASE; all above it may be given. */
#define RAM		(256 * MIB)
#define GIVE_RINGS	(16 * MIB)
#define REPORT_RINGS	(17 * MIB)
#define SLOTS		32
#define SLOT_ADDRESS	(32 * MIB)
#define SLOT_BYTES	(256 * 1024)
#define RESULT_OFFSET	(SLOT_BYTES - PAGE)
#define BASE		(64 * MIB)

/* No device has this status. */
#define UNTOUCHED	0xff

struct device {
	struct steer *steer;
	struct vm *vm;
	struct qtest_virtio pci;
	struct qtest_queue give;
	struct qtest_queue report;
	char socket[64];
};

static struct device device;

static void start_driver(struct device *d)
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

	assert_int_equal(vm_start(&options, &d->vm), 0);
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

static int start(void **state)
{
	return start_with(RAM);
}

/* So much that the chipset has put a part of it above 4 GiB.  Most of it is never touched. */
#define LARGE_RAM	(3 * GIB)
#define LOW_RAM		(2 * GIB)
#define HIGH_RAM	(4 * GIB)

static int start_large(void **state)
{
	return start_with(LARGE_RAM);
}

static int start_without_controller(void **state)
{
	start_vm(&device, RAM, NULL);
	qtest_virtio_find(&device.pci, device.vm, VIRTIO_ID_TIDE);
	return 0;
}

/* After each test, also one that failed half way. */
static int stop(void **state)
{
	int r;

	steer_free(device.steer);
	r = vm_stop(device.vm);
	device = (struct device){ .vm = NULL };
	return r;
}

/* Batches */

static struct virtio_tide_range range(uint32_t kind, uint64_t address, uint64_t length)
{
	return (struct virtio_tide_range){
		.address = htole64(address), .length = htole64(length), .kind = htole32(kind),
	};
}

#define GIVE(address, length)		range(VIRTIO_TIDE_GIVE, address, length)
#define TAKE(address, length)		range(VIRTIO_TIDE_TAKE, address, length)
#define FENCE(generation, length)	range(VIRTIO_TIDE_FENCE, generation, length)

static uint64_t slot_address(unsigned int slot)
{
	assert_true(slot < SLOTS);
	return SLOT_ADDRESS + slot * SLOT_BYTES;
}

/* A batch may be posted from the same slot again when it has come back. */
static void post_bytes(struct device *d, unsigned int slot, const void *from, size_t bytes, size_t result_bytes)
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

static void post(struct device *d, unsigned int slot, const struct virtio_tide_range *from, unsigned int count)
{
	post_bytes(d, slot, from, count * sizeof(*from), sizeof(struct virtio_tide_result));
}

/* Posts one range in a buffer of its own. */
static void post_range(struct device *d, unsigned int slot, struct virtio_tide_range one)
{
	post(d, slot, &one, 1);
}

static struct virtio_tide_result result(struct device *d, unsigned int slot)
{
	struct virtio_tide_result r;

	qtest_copy_from(d->vm, &r, slot_address(slot) + RESULT_OFFSET, sizeof(r));
	return (struct virtio_tide_result){ .status = le32toh(r.status), .done = le32toh(r.done) };
}

/* The next batch to come back is the one in @slot. */
static void assert_result(struct device *d, unsigned int slot, uint32_t status, uint32_t done)
{
	struct virtio_tide_result r;

	assert_int_equal(qtest_queue_take(&d->give), 2 * slot);
	r = result(d, slot);
	assert_int_equal(r.status, status);
	assert_int_equal(r.done, done);
}

static struct virtio_tide_result carry_out(struct device *d, const struct virtio_tide_range *from,
					   unsigned int count)
{
	post(d, 0, from, count);
	qtest_queue_notify(&d->give);
	assert_int_equal(qtest_queue_take(&d->give), 0);
	return result(d, 0);
}

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

static struct memtide_counters counters(struct device *d)
{
	struct memtide_counters c;

	assert_int_equal(steer_counters(d->steer, &c), 0);
	return c;
}

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
static void assert_fence(struct device *d, uint32_t generation, uint64_t given_bytes)
{
	struct memtide_counters c = counters(d);

	assert_int_equal(!!(c.flags & TIDE_COUNTERS_FENCED), generation != 0);
	if (!generation)
		return;
	assert_int_equal(c.fence_generation, generation);
	assert_int_equal(c.fence_given_bytes, given_bytes);
}

/* Content */

#define PATTERN		0x5a

static void fill(struct device *d, uint64_t address, uint64_t bytes)
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

static bool kept(struct device *d, uint64_t address)
{
	return page_is(d, address, PATTERN);
}

static bool dropped(struct device *d, uint64_t address)
{
	return page_is(d, address, 0);
}

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

static void test_does_not_migrate(void **state)
{
	json_t *arguments = json_pack("{s:s}", "uri", "exec:cat >/dev/null");
	struct device *d = &device;

	assert_int_equal(vm_qmp(d->vm, "migrate", arguments, NULL), -EREMOTEIO);
	assert_carried_out(d, GIVE(BASE, PAGE));
}

#define device_test_with(f, start)	cmocka_unit_test_setup_teardown(f, start, stop)
#define device_test(f)			device_test_with(f, start)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		device_test(test_counts_each_page_once),
		device_test(test_counts_huge_pieces_given_whole),
		device_test(test_single_pages_make_a_huge_piece),
		device_test(test_merges_neighbours),
		device_test(test_bad_form),
		device_test(test_bad_place),
		device_test_with(test_around_the_hole, start_large),
		device_test(test_bad_kind),
		device_test(test_two_failures),
		device_test(test_fence_behind_its_gives),
		device_test(test_fence_says_what_is_given),
		device_test(test_given_memory_is_empty),
		device_test(test_taking_back_drops_nothing),
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
		device_test(test_doorbell),
		device_test(test_call_raises_the_interrupt),
		device_test(test_both_see_the_state),
		device_test(test_stays_with_its_controller),
		device_test_with(test_target_without_controller, start_without_controller),
		device_test(test_does_not_migrate),
	};

	/* one test, or those of a pattern */
	cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
