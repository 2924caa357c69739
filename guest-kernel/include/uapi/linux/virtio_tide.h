/* SPDX-License-Identifier: ((GPL-2.0-only WITH Linux-syscall-note) OR BSD-3-Clause) */
/*
 * virtio-tide: a guest gives memory to its host and takes it back.
 *
 * This header is the wire contract between the driver in the guest, the device in the VMM
 * and the controller beside the VMs; all three include it unchanged.  It grows through
 * feature bits, reserved fields and new record types; what is here keeps its place and its
 * meaning.  All fields are little-endian.
 *
 * Words: "given" memory is the guest's no longer and has no content; "usable" is the VM's
 * RAM less what it has given.  The host asks the guest to come to its "target" of usable
 * memory and lets it take back up to its "ceiling" at any time without asking; ceiling -
 * usable is the guest's credit.
 *
 * The device has two virtqueues and two shared memory regions:
 *
 *	queue 0			give: batches of ranges, in order
 *	queue 1			report: free page reporting, if VIRTIO_TIDE_F_REPORT
 *	region VIRTIO_TIDE_SHM_STATE	state, statistics, rings; both sides map it
 *	region VIRTIO_TIDE_SHM_DOORBELL	one page; a 32-bit write at offset 0 wakes the controller
 *
 * The other way, the host wakes the guest with a configuration-change interrupt.  Such an
 * interrupt only says "look at the region": neither side counts wake-ups.
 *
 * Trust: everything in the state region can be written by the guest.  The host reads each
 * value once, into memory of its own, checks it there, and bases no accounting on it.  The
 * guest trusts its host not to be malicious, but not to be alive: it never waits for the
 * region without a bound.
 */
#ifndef _LINUX_VIRTIO_TIDE_H
#define _LINUX_VIRTIO_TIDE_H

#include <linux/types.h>

#ifdef __cplusplus
#define VIRTIO_TIDE_ASSERT_SIZE(type, size) static_assert(sizeof(type) == (size), #type)
#else
#define VIRTIO_TIDE_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#endif

/* Not yet assigned by OASIS; the highest one for which Linux accepts a modern PCI id. */
#define VIRTIO_ID_TIDE			63

/* Feature bits */
#define VIRTIO_TIDE_F_REPORT		0	/* queue 1 exists */
#define VIRTIO_TIDE_F_HINTS		1	/* hint map is filled (reserved) */

/* Virtqueues */
#define VIRTIO_TIDE_VQ_GIVE		0
#define VIRTIO_TIDE_VQ_REPORT		1

/* Ids of the shared memory regions */
#define VIRTIO_TIDE_SHM_STATE		0
#define VIRTIO_TIDE_SHM_DOORBELL	1

/* Addresses and lengths on the wire are multiples of this, whatever the guest's page size. */
#define VIRTIO_TIDE_PAGE_SIZE		4096
/* Given memory is worth most to the host in aligned pieces of this size. */
#define VIRTIO_TIDE_HUGE_SIZE		(2 * 1024 * 1024)

/**
 * struct virtio_tide_config - device configuration space
 * @ram_bytes: the VM's RAM that may be given; usable = ram_bytes - given
 * @flags: VIRTIO_TIDE_CONFIG_*
 */
struct virtio_tide_config {
	__le64 ram_bytes;
	__le32 flags;
	__le32 reserved;
};

VIRTIO_TIDE_ASSERT_SIZE(struct virtio_tide_config, 16);

/* Gives and reports fail for now (migration, VFIO, ...); taking back always works. */
#define VIRTIO_TIDE_CONFIG_INHIBITED	0x1

/*
 * Queue "give".  A buffer is an array of struct virtio_tide_range for the device to read,
 * followed by one struct virtio_tide_result for it to write.  Buffers and ranges are
 * carried out in order.
 *
 * VIRTIO_TIDE_GIVE: the range's content may be dropped at once.  The guest does not touch
 *	it before the buffer comes back, and frees it again if it came back undone.
 * VIRTIO_TIDE_TAKE: the guest uses the range again.  Sent after the fact; the guest never
 *	waits for it.
 * VIRTIO_TIDE_FENCE: all gives before it are done and usable is at most the ceiling that
 *	came with state generation "address"; from here on the guest keeps to that ceiling.
 *	"length" is what the guest then has given, if it counts on buffers before this one that
 *	are still under way: with less given the device fails the fence.  Else zero.
 */
enum virtio_tide_kind {
	VIRTIO_TIDE_GIVE	= 1,
	VIRTIO_TIDE_TAKE	= 2,
	VIRTIO_TIDE_FENCE	= 3,
};

/**
 * struct virtio_tide_range - one step of a batch
 * @address: guest physical address, or the generation of a fence
 * @length: bytes, a multiple of VIRTIO_TIDE_PAGE_SIZE; see VIRTIO_TIDE_FENCE
 * @kind: enum virtio_tide_kind
 * @reserved: zero
 */
struct virtio_tide_range {
	__le64 address;
	__le64 length;
	__le32 kind;
	__le32 reserved;
};

VIRTIO_TIDE_ASSERT_SIZE(struct virtio_tide_range, 24);

/* The most ranges that a device accepts in one buffer. */
#define VIRTIO_TIDE_MAX_RANGES		4096

enum virtio_tide_status {
	VIRTIO_TIDE_OK		= 0,
	VIRTIO_TIDE_INHIBITED	= 1,	/* not now; ranges from @done on were not given */
	VIRTIO_TIDE_BAD_RANGE	= 2,	/* not RAM that may be given, misaligned, or too long */
	VIRTIO_TIDE_BAD_KIND	= 3,
	VIRTIO_TIDE_FAILED	= 4,	/* the host could not drop the memory */
	VIRTIO_TIDE_NOT_GIVEN	= 5,	/* less is given than the fence says */
};

/**
 * struct virtio_tide_result - what became of a batch
 * @status: enum virtio_tide_status of the range at @done, or VIRTIO_TIDE_OK
 * @done: how many ranges from the front were carried out.  After a failed give the device
 *	goes on with the takes behind it, and skips gives and fences.
 */
struct virtio_tide_result {
	__le32 status;
	__le32 done;
};

VIRTIO_TIDE_ASSERT_SIZE(struct virtio_tide_result, 8);

/*
 * The state region.  Its layout is fixed by VIRTIO_TIDE_VERSION; the header is for people
 * with a hex dump and for the driver's check, the host never reads it back.
 */
#define VIRTIO_TIDE_MAGIC		0x65646974	/* "tide" */
#define VIRTIO_TIDE_VERSION		1

#define VIRTIO_TIDE_HEADER_OFFSET	0x0000
#define VIRTIO_TIDE_STATE_OFFSET	0x1000	/* struct virtio_tide_state, the host writes */
#define VIRTIO_TIDE_STATS_OFFSET	0x2000	/* struct virtio_tide_stats, the guest writes */
#define VIRTIO_TIDE_TO_GUEST_OFFSET	0x3000	/* struct virtio_tide_ring, the host produces */
#define VIRTIO_TIDE_TO_HOST_OFFSET	0x5000	/* struct virtio_tide_ring, the guest produces */
#define VIRTIO_TIDE_HINTS_OFFSET	0x8000	/* the hint map, to the end of the region */
#define VIRTIO_TIDE_STATE_SIZE		0x20000	/* size of region VIRTIO_TIDE_SHM_STATE */

/*
 * Hint map: two bits for each VIRTIO_TIDE_HUGE_SIZE of guest physical address space, lowest
 * bits first.
 */
enum virtio_tide_hint {
	VIRTIO_TIDE_HINT_UNKNOWN	= 0,
	VIRTIO_TIDE_HINT_MAPPED_HUGE	= 1,
	VIRTIO_TIDE_HINT_GIVEN		= 2,
	VIRTIO_TIDE_HINT_FREE		= 3,
};

struct virtio_tide_header {
	__le32 magic;
	__le32 version;
	__le32 size;
	__le32 reserved;
};

VIRTIO_TIDE_ASSERT_SIZE(struct virtio_tide_header, 16);

/*
 * The two records below are written under a sequence counter: the writer makes @seq odd,
 * writes, and makes it even again; a reader takes a copy between two equal even values and
 * gives up after a bounded number of tries, keeping what it had.
 */

/**
 * struct virtio_tide_state - what the host asks of the guest and allows it
 * @seq: sequence counter
 * @generation: changes with every change of target, ceiling or floor; never zero once set
 * @target: usable bytes that the guest is asked to come to
 * @ceiling: usable bytes that the guest may take back to at once, >= @target
 * @floor: usable bytes below which the guest will never be asked to go
 * @flags: VIRTIO_TIDE_STATE_*
 * @refresh: the host changes this to ask for fresh statistics; the guest answers through
 *	stats.refresh and rings
 * @grant: enum virtio_tide_path: where the memory behind the last rise of @ceiling came from
 * @reserved: zero
 */
struct virtio_tide_state {
	__le32 seq;
	__le32 generation;
	__le64 target;
	__le64 ceiling;
	__le64 floor;
	__le32 flags;
	__le32 refresh;
	__le32 grant;
	__le32 reserved[5];
};

VIRTIO_TIDE_ASSERT_SIZE(struct virtio_tide_state, 64);

/* Give nothing and take everything back: the VM is being released from management. */
#define VIRTIO_TIDE_STATE_RELEASE	0x1
/*
 * The target is to be reached at once, also at the cost of clean page cache: somebody waits
 * for the memory.
 */
#define VIRTIO_TIDE_STATE_URGENT	0x2

/* How a guest's pressure was relieved. */
enum virtio_tide_path {
	VIRTIO_TIDE_PATH_NONE		= 0,
	VIRTIO_TIDE_PATH_CREDIT		= 1,	/* from what it was allowed already */
	VIRTIO_TIDE_PATH_RESERVE	= 2,	/* the host had free memory in hand */
	VIRTIO_TIDE_PATH_DONOR		= 3,	/* another VM gave it */
	VIRTIO_TIDE_PATHS		= 4,
};

/**
 * struct virtio_tide_stats - how the guest is doing; sizes in bytes, counters since boot
 * @seq: sequence counter
 * @refresh: the state.refresh that this answers
 * @time_ns: the guest's monotonic clock when it was written
 * @total: RAM that the guest's allocator manages, given memory included
 * @free: free memory
 * @available: the guest's estimate of what can be had without swapping (MemAvailable)
 * @anon: anonymous memory
 * @file: page cache
 * @file_active: page cache on the active list
 * @slab: kernel slabs
 * @given: what the driver has given and not taken back
 * @generation: the newest state generation that the guest has taken notice of
 * @flags: VIRTIO_TIDE_STATS_*
 * @psi_some_us: total time in which some task was stalled on memory (zero where the guest
 *	cannot tell)
 * @psi_full_us: the same for all tasks at once
 * @refault_file: refaults of page cache, in pages
 * @refault_anon: refaults of anonymous memory, in pages
 * @scan_direct: pages scanned by direct reclaim
 * @steal_anon: anonymous pages reclaimed
 * @swap_in: pages swapped in
 * @swap_out: pages swapped out
 * @alloc_stall: allocations that went into direct reclaim
 * @oom_kill: processes killed for lack of memory
 * @pressure: pressure events seen by the driver
 * @relief: per path, how often pressure was relieved
 * @relief_max_ns: per path, the longest time from pressure to memory in the allocator
 * @cpu_us: time that CPUs were not idle, of all CPUs together (zero where the guest cannot tell)
 * @reserved: zero
 */
struct virtio_tide_stats {
	__le32 seq;
	__le32 refresh;
	__le64 time_ns;
	__le64 total;
	__le64 free;
	__le64 available;
	__le64 anon;
	__le64 file;
	__le64 file_active;
	__le64 slab;
	__le64 given;
	__le32 generation;
	__le32 flags;
	__le64 psi_some_us;
	__le64 psi_full_us;
	__le64 refault_file;
	__le64 refault_anon;
	__le64 scan_direct;
	__le64 steal_anon;
	__le64 swap_in;
	__le64 swap_out;
	__le64 alloc_stall;
	__le64 oom_kill;
	__le64 pressure;
	__le64 relief[VIRTIO_TIDE_PATHS];
	__le64 relief_max_ns[VIRTIO_TIDE_PATHS];
	__le64 cpu_us;
	__le64 reserved;
};

VIRTIO_TIDE_ASSERT_SIZE(struct virtio_tide_stats, 256);

#define VIRTIO_TIDE_STATS_REPORTING	0x1	/* has free page reporting */
#define VIRTIO_TIDE_STATS_STALLED	0x2	/* nothing more to give */
#define VIRTIO_TIDE_STATS_BUSY		0x4	/* refreshes unasked */
#define VIRTIO_TIDE_STATS_PRESSURE	0x8	/* wants more than its ceiling, now */

/*
 * Rings carry events, never state: a lost or refused record costs time and nothing else.
 * One producer, one consumer; indices run freely and are masked on access.  A producer that
 * finds the ring full drops the record. A consumer of a hostile producer takes at most
 * VIRTIO_TIDE_RING_RECORDS a turn, whatever @head says.
 */
#define VIRTIO_TIDE_RING_RECORDS	64	/* a power of two */

/*
 * PRESSURE claims bytes above the ceiling.  RELIEF says how long it took from pressure to memory.
 * After QUIET usable comes down to the target.  DENIED: nothing more is to be had for now.
 */
enum virtio_tide_event_type {
	/* guest to host */
	VIRTIO_TIDE_EV_PRESSURE		= 1,	/* a: bytes, b: urgency */
	VIRTIO_TIDE_EV_RELIEF		= 2,	/* a: ns, b: path, c: bytes */
	VIRTIO_TIDE_EV_QUIET		= 3,	/* pressure is over */
	/* host to guest */
	VIRTIO_TIDE_EV_DENIED		= 16,	/* a: state generation */
};

enum virtio_tide_urgency {
	VIRTIO_TIDE_URGENCY_RECLAIM	= 1,	/* direct reclaim, or of anonymous memory */
	VIRTIO_TIDE_URGENCY_REFAULT	= 2,	/* what was reclaimed is read again */
	VIRTIO_TIDE_URGENCY_OOM		= 3,	/* a task is about to be killed */
};

/**
 * struct virtio_tide_event - a record in a ring
 * @type: enum virtio_tide_event_type; unknown types are skipped
 * @reserved: zero
 * @time_ns: the sender's monotonic clock
 * @a: see the type
 * @b: see the type
 * @c: see the type
 * @reserved2: zero
 */
struct virtio_tide_event {
	__le32 type;
	__le32 reserved;
	__le64 time_ns;
	__le64 a;
	__le64 b;
	__le64 c;
	__le64 reserved2[3];
};

VIRTIO_TIDE_ASSERT_SIZE(struct virtio_tide_event, 64);

/**
 * struct virtio_tide_ring - a ring of events
 * @head: records produced so far; the producer's
 * @pad0: keeps @head on a cache line of its own
 * @tail: records consumed so far; the consumer's
 * @pad1: keeps @tail on a cache line of its own
 * @record: the records
 */
struct virtio_tide_ring {
	__le32 head;
	__u8 pad0[60];
	__le32 tail;
	__u8 pad1[60];
	struct virtio_tide_event record[VIRTIO_TIDE_RING_RECORDS];
};

VIRTIO_TIDE_ASSERT_SIZE(struct virtio_tide_ring, 128 + 64 * VIRTIO_TIDE_RING_RECORDS);

#endif /* _LINUX_VIRTIO_TIDE_H */
