// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sequence-counted records in shared memory, and the door through which their content comes in.
 */
#include <endian.h>
#include <errno.h>

#include "record.h"

/* Records are seen as words here and as structures everywhere else. */
typedef uint32_t __attribute__((may_alias)) word32;
typedef uint64_t __attribute__((may_alias)) word64;

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/* The first word is the sequence counter and not copied.  Relaxed and not plain: the other side may be writing. */
static void copy_words(void *to, const void *from, size_t size)
{
	word32 *to32 = to;
	const word32 *from32 = from;
	word64 *to64 = to;
	const word64 *from64 = from;

	__atomic_store_n(&to32[1], __atomic_load_n(&from32[1], __ATOMIC_RELAXED), __ATOMIC_RELAXED);
	for (size_t i = 1; i < size / 8; i++)
		__atomic_store_n(&to64[i], __atomic_load_n(&from64[i], __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

int memtide_record_read(const void *shared, void *ret_copy, size_t size)
{
	const word32 *seq = shared;
	uint32_t before, after;

	for (int i = 0; i < MEMTIDE_RECORD_TRIES; i++) {
		/* Pairs with the release at the end of memtide_record_write(): even, then what was written. */
		before = __atomic_load_n(seq, __ATOMIC_ACQUIRE);
		if (le32toh(before) & 1) {
			pause_cpu();
			continue;
		}
		copy_words(ret_copy, shared, size);
		/* Pairs with the fence in memtide_record_write(): who sees its words sees its odd count. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		after = __atomic_load_n(seq, __ATOMIC_RELAXED);
		if (before == after) {
			*(word32 *)ret_copy = before;
			return 0;
		}
	}
	return -EAGAIN;
}

void memtide_record_write(void *shared, const void *from, size_t size)
{
	word32 *seq = shared;
	/* An odd count was left by a writer that was killed; it stays odd, and the next even one is a new one. */
	uint32_t odd = le32toh(__atomic_load_n(seq, __ATOMIC_RELAXED)) | 1;

	__atomic_store_n(seq, htole32(odd), __ATOMIC_RELAXED);
	/* Pairs with the acquire fence in memtide_record_read(). */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	copy_words(shared, from, size);
	/* Pairs with the acquire of the counter in memtide_record_read(). */
	__atomic_store_n(seq, htole32(odd + 1), __ATOMIC_RELEASE);
}

void memtide_state_write(struct virtio_tide_state *shared, const struct memtide_state *state)
{
	struct virtio_tide_state wire = {
		.generation = htole32(state->generation),
		.target = htole64(state->target),
		.ceiling = htole64(state->ceiling),
		.floor = htole64(state->floor),
		.flags = htole32(state->flags),
		.refresh = htole32(state->refresh),
		.grant = htole32(state->grant),
	};

	memtide_record_write(shared, &wire, sizeof(wire));
}

int memtide_state_read(const struct virtio_tide_state *shared, struct memtide_state *ret_state)
{
	struct virtio_tide_state wire;
	int r;

	r = memtide_record_read(shared, &wire, sizeof(wire));
	if (r < 0)
		return r;
	*ret_state = (struct memtide_state) {
		.generation = le32toh(wire.generation),
		.target = le64toh(wire.target),
		.ceiling = le64toh(wire.ceiling),
		.floor = le64toh(wire.floor),
		.flags = le32toh(wire.flags),
		.refresh = le32toh(wire.refresh),
		.grant = le32toh(wire.grant),
	};
	return 0;
}

static void clamp_size(uint64_t *size, uint64_t most, uint32_t *clamped)
{
	if (*size <= most)
		return;
	*size = most;
	(*clamped)++;
}

static void stats_clamp(struct memtide_stats *stats, uint64_t ram_bytes)
{
	uint32_t *clamped = &stats->clamped;

	clamp_size(&stats->total, ram_bytes, clamped);
	clamp_size(&stats->free, ram_bytes, clamped);
	clamp_size(&stats->available, ram_bytes, clamped);
	clamp_size(&stats->anon, ram_bytes, clamped);
	clamp_size(&stats->file, ram_bytes, clamped);
	clamp_size(&stats->file_active, stats->file, clamped);
	clamp_size(&stats->slab, ram_bytes, clamped);
	clamp_size(&stats->given, ram_bytes, clamped);
	stats->flags &= VIRTIO_TIDE_STATS_REPORTING | VIRTIO_TIDE_STATS_STALLED | VIRTIO_TIDE_STATS_BUSY |
			VIRTIO_TIDE_STATS_PRESSURE;
}

int memtide_stats_read(const struct virtio_tide_stats *shared, uint64_t ram_bytes, struct memtide_stats *ret_stats)
{
	struct virtio_tide_stats wire;
	int r;

	r = memtide_record_read(shared, &wire, sizeof(wire));
	if (r < 0)
		return r;
	*ret_stats = (struct memtide_stats) {
		.refresh = le32toh(wire.refresh),
		.generation = le32toh(wire.generation),
		.flags = le32toh(wire.flags),
		.time_ns = le64toh(wire.time_ns),
		.total = le64toh(wire.total),
		.free = le64toh(wire.free),
		.available = le64toh(wire.available),
		.anon = le64toh(wire.anon),
		.file = le64toh(wire.file),
		.file_active = le64toh(wire.file_active),
		.slab = le64toh(wire.slab),
		.given = le64toh(wire.given),
		.psi_some_us = le64toh(wire.psi_some_us),
		.psi_full_us = le64toh(wire.psi_full_us),
		.refault_file = le64toh(wire.refault_file),
		.refault_anon = le64toh(wire.refault_anon),
		.scan_direct = le64toh(wire.scan_direct),
		.steal_anon = le64toh(wire.steal_anon),
		.swap_in = le64toh(wire.swap_in),
		.swap_out = le64toh(wire.swap_out),
		.alloc_stall = le64toh(wire.alloc_stall),
		.oom_kill = le64toh(wire.oom_kill),
		.pressure = le64toh(wire.pressure),
		.cpu_us = le64toh(wire.cpu_us),
	};
	for (int i = 0; i < VIRTIO_TIDE_PATHS; i++) {
		ret_stats->relief[i] = le64toh(wire.relief[i]);
		ret_stats->relief_max_ns[i] = le64toh(wire.relief_max_ns[i]);
	}
	stats_clamp(ret_stats, ram_bytes);
	return 0;
}

void memtide_stats_write(struct virtio_tide_stats *shared, const struct memtide_stats *stats)
{
	struct virtio_tide_stats wire = {
		.refresh = htole32(stats->refresh),
		.generation = htole32(stats->generation),
		.flags = htole32(stats->flags),
		.time_ns = htole64(stats->time_ns),
		.total = htole64(stats->total),
		.free = htole64(stats->free),
		.available = htole64(stats->available),
		.anon = htole64(stats->anon),
		.file = htole64(stats->file),
		.file_active = htole64(stats->file_active),
		.slab = htole64(stats->slab),
		.given = htole64(stats->given),
		.psi_some_us = htole64(stats->psi_some_us),
		.psi_full_us = htole64(stats->psi_full_us),
		.refault_file = htole64(stats->refault_file),
		.refault_anon = htole64(stats->refault_anon),
		.scan_direct = htole64(stats->scan_direct),
		.steal_anon = htole64(stats->steal_anon),
		.swap_in = htole64(stats->swap_in),
		.swap_out = htole64(stats->swap_out),
		.alloc_stall = htole64(stats->alloc_stall),
		.oom_kill = htole64(stats->oom_kill),
		.pressure = htole64(stats->pressure),
		.cpu_us = htole64(stats->cpu_us),
	};

	for (int i = 0; i < VIRTIO_TIDE_PATHS; i++) {
		wire.relief[i] = htole64(stats->relief[i]);
		wire.relief_max_ns[i] = htole64(stats->relief_max_ns[i]);
	}
	memtide_record_write(shared, &wire, sizeof(wire));
}

int memtide_counters_read(const void *page, struct memtide_counters *ret_counters)
{
	struct memtide_counters counters;
	struct tide_counters wire;
	int r;

	r = memtide_record_read(page, &wire, sizeof(wire));
	if (r < 0)
		return r;
	counters = (struct memtide_counters) {
		.flags = le32toh(wire.flags),
		.fence_generation = le32toh(wire.fence_generation),
		.notify = le32toh(wire.notify),
		.epoch = le64toh(wire.epoch),
		.ram_bytes = le64toh(wire.ram_bytes),
		.given_bytes = le64toh(wire.given_bytes),
		.given_huge_bytes = le64toh(wire.given_huge_bytes),
		.fence_given_bytes = le64toh(wire.fence_given_bytes),
		.gives = le64toh(wire.gives),
		.takes = le64toh(wire.takes),
		.gave_bytes = le64toh(wire.gave_bytes),
		.took_bytes = le64toh(wire.took_bytes),
		.discard_ns = le64toh(wire.discard_ns),
		.reports = le64toh(wire.reports),
		.reported_bytes = le64toh(wire.reported_bytes),
		.refused = le64toh(wire.refused),
	};
	if (counters.given_bytes > counters.ram_bytes || counters.given_huge_bytes > counters.given_bytes ||
	    counters.fence_given_bytes > counters.ram_bytes)
		return -EPROTO;
	*ret_counters = counters;
	return 0;
}

void memtide_counters_write(void *page, const struct memtide_counters *counters)
{
	struct tide_counters wire = {
		.flags = htole32(counters->flags),
		.epoch = htole64(counters->epoch),
		.ram_bytes = htole64(counters->ram_bytes),
		.given_bytes = htole64(counters->given_bytes),
		.given_huge_bytes = htole64(counters->given_huge_bytes),
		.fence_generation = htole32(counters->fence_generation),
		.notify = htole32(counters->notify),
		.fence_given_bytes = htole64(counters->fence_given_bytes),
		.gives = htole64(counters->gives),
		.takes = htole64(counters->takes),
		.gave_bytes = htole64(counters->gave_bytes),
		.took_bytes = htole64(counters->took_bytes),
		.discard_ns = htole64(counters->discard_ns),
		.reports = htole64(counters->reports),
		.reported_bytes = htole64(counters->reported_bytes),
		.refused = htole64(counters->refused),
	};

	memtide_record_write(page, &wire, sizeof(wire));
}

int memtide_grant_read(const void *page, struct memtide_grant *ret_grant)
{
	struct memtide_grant grant;
	struct tide_grant wire;
	int r;

	r = memtide_record_read((const char *)page + TIDE_GRANT_OFFSET, &wire, sizeof(wire));
	if (r < 0)
		return r;
	grant = (struct memtide_grant) {
		.flags = le32toh(wire.flags),
		.generation = le32toh(wire.generation),
		.epoch = le64toh(wire.epoch),
		.ceiling = le64toh(wire.ceiling),
		.charged = le64toh(wire.charged),
		.target = le64toh(wire.target),
		.floor = le64toh(wire.floor),
	};
	if (!(grant.flags & TIDE_GRANT_VALID))
		return -ENODATA;
	if (!grant.generation || grant.charged < grant.ceiling)
		return -EPROTO;
	*ret_grant = grant;
	return 0;
}

void memtide_grant_write(void *page, const struct memtide_grant *grant)
{
	struct tide_grant wire = {
		.flags = htole32(grant->flags | TIDE_GRANT_VALID),
		.generation = htole32(grant->generation),
		.epoch = htole64(grant->epoch),
		.ceiling = htole64(grant->ceiling),
		.charged = htole64(grant->charged),
		.target = htole64(grant->target),
		.floor = htole64(grant->floor),
	};

	memtide_record_write((char *)page + TIDE_GRANT_OFFSET, &wire, sizeof(wire));
}
