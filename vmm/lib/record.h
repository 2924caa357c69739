/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sequence-counted records in shared memory: state and statistics in the guest's region, counters and grant in
 * the counters page.  Reading takes a consistent copy within a bounded number of tries, whatever the writer
 * does, and checks it; what comes out is in host byte order and of a type of its own.  One writer for each
 * record; any number of readers in any threads.
 *
 * Every reader here returns 0, -EAGAIN when no consistent copy was to be had (keep what you had), or -EPROTO when
 * the record says something impossible, and leaves its output untouched on failure.
 */
#ifndef MEMTIDE_RECORD_H
#define MEMTIDE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_tide.h>
#include <hw/virtio/tide-vmm.h>

/* A writer holds a record for well below a microsecond, so this is many times what an honest one needs. */
#define MEMTIDE_RECORD_TRIES	64

/**
 * memtide_record_read() - take a consistent copy
 * @shared: the record; starts with its 32-bit sequence counter, 8-byte aligned
 * @ret_copy: gets all of it in wire byte order, the sequence counter included; may be half-written on failure
 * @size: of the record, a multiple of 8
 *
 * Returns 0 or -EAGAIN after MEMTIDE_RECORD_TRIES.
 */
int memtide_record_read(const void *shared, void *ret_copy, size_t size);

/**
 * memtide_record_write() - replace a record's content
 * @shared: as above; this thread is its only writer
 * @from: in wire byte order; its first 32 bits are not used
 * @size: of the record, a multiple of 8
 *
 * Mends a counter that a killed writer left odd.
 */
void memtide_record_write(void *shared, const void *from, size_t size);

/* The host's wishes and permissions, struct virtio_tide_state. */
struct memtide_state {
	uint32_t generation;	/* not zero */
	uint64_t target;	/* bytes */
	uint64_t ceiling;	/* bytes, >= target */
	uint64_t floor;		/* bytes */
	uint32_t flags;		/* VIRTIO_TIDE_STATE_* */
	uint32_t refresh;
	uint32_t grant;		/* enum virtio_tide_path */
};

void memtide_state_write(struct virtio_tide_state *shared, const struct memtide_state *state);

/* memtide_state_read() - for a guest's side only (tests, fake peers): the host never believes what is there */
int memtide_state_read(const struct virtio_tide_state *shared, struct memtide_state *ret_state);

/*
 * A guest's statistics, checked: no size is above the VM's RAM, unknown flags are gone.  They are still a
 * guest's words: good for guessing what it needs, never for accounting.  Counters are as the guest wrote them
 * and may jump.
 */
struct memtide_stats {
	uint32_t refresh;
	uint32_t generation;
	uint32_t flags;		/* VIRTIO_TIDE_STATS_* */
	uint32_t clamped;	/* how many sizes were out of range and were brought back into it */
	uint64_t time_ns;
	/* bytes */
	uint64_t total;
	uint64_t free;
	uint64_t available;
	uint64_t anon;
	uint64_t file;
	uint64_t file_active;	/* <= file */
	uint64_t slab;
	uint64_t given;
	/* counters since the guest's boot */
	uint64_t psi_some_us;
	uint64_t psi_full_us;
	uint64_t refault_file;	/* pages, as are the next five */
	uint64_t refault_anon;
	uint64_t scan_direct;
	uint64_t steal_anon;
	uint64_t swap_in;
	uint64_t swap_out;
	uint64_t alloc_stall;
	uint64_t oom_kill;
	uint64_t pressure;
	uint64_t cpu_us;	/* zero: the guest cannot tell */
	uint64_t relief[VIRTIO_TIDE_PATHS];
	uint64_t relief_max_ns[VIRTIO_TIDE_PATHS];
};

/**
 * memtide_stats_read() - copy and check a guest's statistics
 * @shared: in the guest's region
 * @ram_bytes: the VM's RAM as the device counts it
 * @ret_stats: untouched on failure
 *
 * Returns 0 or -EAGAIN.
 */
int memtide_stats_read(const struct virtio_tide_stats *shared, uint64_t ram_bytes,
		       struct memtide_stats *ret_stats);

/* memtide_stats_write() - for a guest's side only (tests and fake peers); @clamped is not written */
void memtide_stats_write(struct virtio_tide_stats *shared, const struct memtide_stats *stats);

/* What the device counts, struct tide_counters; sizes in bytes.  Accounting stands on this. */
struct memtide_counters {
	uint32_t flags;			/* TIDE_COUNTERS_* */
	uint32_t fence_generation;	/* said by the guest, carried by the device */
	uint32_t notify;
	uint64_t epoch;
	uint64_t ram_bytes;
	uint64_t given_bytes;		/* <= ram_bytes */
	uint64_t given_huge_bytes;	/* <= given_bytes */
	uint64_t fence_given_bytes;	/* <= ram_bytes */
	uint64_t gives;
	uint64_t takes;
	uint64_t gave_bytes;
	uint64_t took_bytes;
	uint64_t discard_ns;
	uint64_t reports;
	uint64_t reported_bytes;
	uint64_t refused;
};

/**
 * memtide_counters_read() - copy and check a device's counters
 * @page: the counters page (TIDE_COUNTERS_SIZE bytes)
 * @ret_counters: untouched on failure
 *
 * Returns 0, -EAGAIN, or -EPROTO if more is given than there is.
 */
int memtide_counters_read(const void *page, struct memtide_counters *ret_counters);

/* memtide_counters_write() - for a device's side only (tests and fake peers) */
void memtide_counters_write(void *page, const struct memtide_counters *counters);

/* What the controller has granted, struct tide_grant; sizes in bytes. */
struct memtide_grant {
	uint32_t flags;		/* TIDE_GRANT_*; TIDE_GRANT_VALID is set by the write and checked by the read */
	uint32_t generation;
	uint64_t epoch;
	uint64_t ceiling;
	uint64_t charged;	/* >= ceiling */
	uint64_t target;
	uint64_t floor;
};

/* memtide_grant_read() - from the counters @page.  Also -ENODATA if no controller has ever written one. */
int memtide_grant_read(const void *page, struct memtide_grant *ret_grant);

void memtide_grant_write(void *page, const struct memtide_grant *grant);

#endif /* MEMTIDE_RECORD_H */
