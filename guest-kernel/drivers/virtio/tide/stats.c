// SPDX-License-Identifier: GPL-2.0-only
/*
 * The statistics page, and what the driver concludes from it: whether the guest is busy, and
 * whether it suffers.
 *
 * It is written when the host asks, and about once a second for as long as memory is in motion.  An
 * idle guest runs nothing of this.  All in attend.
 */
#include <linux/kernel_stat.h>
#include <linux/mmzone.h>
#include <linux/psi.h>

#include "tide.h"

#define TIDE_SAMPLE_MS		1000
/* Less than this moved between two samples (pages): the guest is idle. */
#define TIDE_IDLE_PAGES		1024
/*
 * Anonymous memory reclaimed faster than this (pages a second) is pressure: 1 MiB/s is what idle
 * trimming stays below.
 */
#define TIDE_ANON_RATE		256

static u64 tide_node_pages(enum node_stat_item item)
{
	/* global_node_page_state() does not give it for slabs, and is not for modules */
	long pages = atomic_long_read(&vm_node_stat[item]);

	return pages < 0 ? 0 : pages;
}

#ifdef CONFIG_VM_EVENT_COUNTERS
/*
 * all_vm_events() waits for CPU hot-plug, which may be waiting for memory.  A CPU that leaves adds
 * up elsewhere.
 */
static u64 tide_events(enum vm_event_item first, unsigned int nr)
{
	unsigned int i;
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		for (i = 0; i < nr; i++)
			sum += READ_ONCE(per_cpu(vm_event_states, cpu).event[first + i]);
	}
	return sum;
}
#else
static u64 tide_events(enum vm_event_item first, unsigned int nr)
{
	return 0;
}
#endif

static u64 tide_psi_us(int state)
{
#if defined(CONFIG_PSI) && IS_BUILTIN(CONFIG_VIRTIO_TIDE)
	return div_u64(READ_ONCE(psi_system.total[PSI_AVGS][state]), NSEC_PER_USEC);
#else
	return 0;	/* psi_system is not for modules */
#endif
}

/* By ticks, which is exact enough to tell a guest that works from one that does not. */
static u64 tide_cpu_us(void)
{
	static const enum cpu_usage_stat busy[] = {
		CPUTIME_USER, CPUTIME_NICE, CPUTIME_SYSTEM, CPUTIME_SOFTIRQ, CPUTIME_IRQ,
	};
	struct kernel_cpustat stat;
	unsigned int i;
	u64 ns = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		kcpustat_cpu_fetch(&stat, cpu);
		for (i = 0; i < ARRAY_SIZE(busy); i++)
			ns += stat.cpustat[busy[i]];
	}
	return div_u64(ns, NSEC_PER_USEC);
}

static u32 tide_stats_flags(struct tide *tide)
{
	return (tide->reporting ? VIRTIO_TIDE_STATS_REPORTING : 0) |
	       (READ_ONCE(tide->stalled) ? VIRTIO_TIDE_STATS_STALLED : 0) |
	       (tide->busy ? VIRTIO_TIDE_STATS_BUSY : 0) |
	       (tide->claim.active ? VIRTIO_TIDE_STATS_PRESSURE : 0);
}

static void tide_stats_sizes(struct virtio_tide_stats *s)
{
	u64 file = tide_node_pages(NR_FILE_PAGES);

#ifdef CONFIG_SWAP
	file -= min(file, tide_node_pages(NR_SWAPCACHE));
#endif
	s->total = cpu_to_le64(tide_bytes(totalram_pages()));
	s->free = cpu_to_le64(tide_bytes(tide_free_pages()));
	s->available = cpu_to_le64(tide_bytes(max(si_mem_available(), 0L)));
	s->anon = cpu_to_le64(tide_bytes(tide_node_pages(NR_ANON_MAPPED)));
	s->file = cpu_to_le64(tide_bytes(file));
	s->file_active = cpu_to_le64(tide_bytes(tide_node_pages(NR_ACTIVE_FILE)));
	s->slab = cpu_to_le64(tide_bytes(tide_node_pages(NR_SLAB_RECLAIMABLE_B) +
					 tide_node_pages(NR_SLAB_UNRECLAIMABLE_B)));
}

static void tide_stats_counters(struct virtio_tide_stats *s)
{
	s->psi_some_us = cpu_to_le64(tide_psi_us(PSI_MEM_SOME));
	s->psi_full_us = cpu_to_le64(tide_psi_us(PSI_MEM_FULL));
	s->refault_file = cpu_to_le64(tide_node_pages(WORKINGSET_REFAULT_FILE));
	s->refault_anon = cpu_to_le64(tide_node_pages(WORKINGSET_REFAULT_ANON));
	s->scan_direct = cpu_to_le64(tide_events(PGSCAN_DIRECT, 1));
	s->steal_anon = cpu_to_le64(tide_events(PGSTEAL_ANON, 1));
	s->swap_in = cpu_to_le64(tide_events(PSWPIN, 1));
	s->swap_out = cpu_to_le64(tide_events(PSWPOUT, 1));
	/* FOR_ALL_ZONES() puts the zones behind each other, and NORMAL is always there. */
	s->alloc_stall = cpu_to_le64(tide_events(ALLOCSTALL_NORMAL - ZONE_NORMAL, MAX_NR_ZONES));
	s->oom_kill = cpu_to_le64(tide_events(OOM_KILL, 1));
	s->cpu_us = cpu_to_le64(tide_cpu_us());
}

static void tide_stats_own(struct tide *tide, struct virtio_tide_stats *s)
{
	unsigned int path;

	s->refresh = cpu_to_le32(tide->refreshed);
	s->flags = cpu_to_le32(tide_stats_flags(tide));
	s->pressure = cpu_to_le64(atomic64_read(&tide->pressure_count));
	spin_lock(&tide->lock);
	s->given = cpu_to_le64(tide_bytes(tide->given_pages));
	s->generation = cpu_to_le32(tide->orders.generation);
	for (path = 0; path < VIRTIO_TIDE_PATHS; path++) {
		s->relief[path] = cpu_to_le64(tide->relief_count[path]);
		s->relief_max_ns[path] = cpu_to_le64(tide->relief_max_ns[path]);
	}
	spin_unlock(&tide->lock);
}

static void tide_stats_publish(struct tide *tide, struct virtio_tide_stats *s)
{
	struct virtio_tide_stats *page = tide_at(tide, VIRTIO_TIDE_STATS_OFFSET);
	u32 seq = le32_to_cpu(READ_ONCE(page->seq)) | 1;

	WRITE_ONCE(page->seq, cpu_to_le32(seq));
	virt_wmb(); /* odd before the record changes: the host reads seq before it */
	s->seq = cpu_to_le32(seq);
	memcpy(page, s, sizeof(*page));
	virt_wmb(); /* and even again after it */
	WRITE_ONCE(page->seq, cpu_to_le32(seq + 1));
}

/* Sees whether the guest suffers, from what happened since the last sample. */
static void tide_stats_judge(struct tide *tide, u64 refaults, u64 steals, u64 ns)
{
	u64 refault_rate = div64_u64(refaults * NSEC_PER_SEC, ns);
	u64 steal_rate = div64_u64(steals * NSEC_PER_SEC, ns);

	if (steal_rate >= TIDE_ANON_RATE)
		tide_pressure(tide, TIDE_TODO_RECLAIM);
	else if (refault_rate >= ((u64)tide_refault_mib << (20 - PAGE_SHIFT)))
		tide_pressure(tide, TIDE_TODO_REFAULT);
}

/* Compares with the last sample, decides whether there will be another one. */
static void tide_stats_sample(struct tide *tide, const struct virtio_tide_stats *s)
{
	typeof(tide->last) now = {
		.refault_file = le64_to_cpu(s->refault_file),
		.refault_anon = le64_to_cpu(s->refault_anon),
		.steal_anon = le64_to_cpu(s->steal_anon),
		.scan_direct = le64_to_cpu(s->scan_direct),
		.alloc_stall = le64_to_cpu(s->alloc_stall),
		.free = le64_to_cpu(s->free) >> PAGE_SHIFT,
		.time_ns = le64_to_cpu(s->time_ns),
	}, last = tide->last;
	u64 refaults = now.refault_file + now.refault_anon - last.refault_file - last.refault_anon;
	u64 moved = refaults + now.scan_direct - last.scan_direct +
		(now.free > last.free ? now.free - last.free : last.free - now.free);

	tide->last = now;
	if (tide->busy)
		tide_stats_judge(tide, refaults, now.steal_anon - last.steal_anon,
				 now.time_ns - last.time_ns ?: 1);
	WRITE_ONCE(tide->busy, !tide->busy || moved >= TIDE_IDLE_PAGES ||
		   now.alloc_stall != last.alloc_stall || tide->claim.active);
	if (tide->busy)
		tide_attend_later(tide, &tide->sample_work, TIDE_SAMPLE_MS);
}

/**
 * tide_stats_attend - publish statistics
 * @tide: the device
 * @sample: the sample timer ran
 *
 * Every run of attend has a reason that the host may want to see; a run is rare and this costs
 * microseconds.
 */
void tide_stats_attend(struct tide *tide, bool sample)
{
	const struct virtio_tide_state *state = tide_at(tide, VIRTIO_TIDE_STATE_OFFSET);
	u32 refresh = le32_to_cpu(READ_ONCE(state->refresh));
	struct virtio_tide_stats stats = { .time_ns = cpu_to_le64(ktime_get_ns()) };
	bool asked = refresh != tide->refreshed;

	if (asked) {
		tide->refreshed = refresh;
		WRITE_ONCE(tide->heard, true);
	}
	tide_stats_sizes(&stats);
	tide_stats_counters(&stats);
	if (sample)
		tide_stats_sample(tide, &stats);
	else if (!tide->busy)
		tide_attend_later(tide, &tide->sample_work, TIDE_SAMPLE_MS);
	tide_stats_own(tide, &stats);
	tide_stats_publish(tide, &stats);
	if (asked)
		tide_doorbell(tide);
}
