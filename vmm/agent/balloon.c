// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory by means of virtio-balloon, through libvirt: its statistics, and its size.  The guest does what it is asked in
 * its own time, or not at all; what it has is what the balloon says.
 *
 * Somebody else may ask as well, and wins.  libvirt does not tell what was asked for, so this goes by where the balloon
 * is: between where it was when it was last asked, and what it was asked for, is ours; a guest that lets its balloon go
 * to keep from running out of memory may have more; anywhere else, for two looks, somebody has set it by hand.
 */
#include <errno.h>
#include <stdlib.h>

#include <libvirt/libvirt.h>

#include "agent.h"
#include "by-hand.h"
#include "means.h"

#define KIB(bytes)	((bytes) >> 10)
#define BYTES(kib)	((uint64_t)(kib) << 10)
/* QEMU asks the guest for statistics this often, in seconds, where the domain does not say itself. */
#define STATS_PERIOD	1
/* As long as they are no older than this they are the guest's; after that its driver is taken to be gone. */
#define STATS_FRESH_S	15
/*
 * A guest with less than this part of its memory available is short of it.  Much, because it is some seconds until that
 * is seen and helped.
 */
#define SHORT_PART	8
/* Without progress for so many looks it cannot come down. */
#define STUCK_LOOKS	20

struct balloon {
	struct agent_domain *domain;
	uint64_t ram;
	uint64_t from;		/* where it was when it was asked last */
	uint64_t asked;		/* 0: not yet */
	uint64_t seen;		/* at the last look */
	unsigned int elsewhere;	/* looks in a row that it was where nobody here has asked for */
	unsigned int still;	/* ... that it has not moved while it should */
	uint64_t updated;	/* the guest's last statistics: seconds since 1970, as QEMU has it */
	uint64_t updated_ns;	/* ... and when that was new here */
	bool period_set;
	uint64_t swap_in;	/* KiB since the guest's start, at the last look */
};

struct balloon_stats {
	uint64_t value[VIR_DOMAIN_MEMORY_STAT_NR];
	bool known[VIR_DOMAIN_MEMORY_STAT_NR];
};

static int balloon_open(struct agent_domain *domain, uint64_t ram, void **ret_state)
{
	struct balloon *balloon = calloc(1, sizeof(*balloon));

	if (!balloon)
		return -ENOMEM;
	balloon->domain = domain;
	balloon->ram = ram;
	*ret_state = balloon;
	return 0;
}

static int read_stats(const struct balloon *balloon, struct balloon_stats *ret_stats)
{
	virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
	int n = virDomainMemoryStats(balloon->domain->handle, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);

	if (n < 0)
		return -EIO;
	*ret_stats = (struct balloon_stats){ .known = { false } };
	for (int i = 0; i < n; i++) {
		if (stats[i].tag < 0 || stats[i].tag >= VIR_DOMAIN_MEMORY_STAT_NR)
			continue;
		ret_stats->value[stats[i].tag] = stats[i].val;
		ret_stats->known[stats[i].tag] = true;
	}
	return ret_stats->known[VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON] ? 0 : -ENODATA;
}

/* A guest whose driver is there sends statistics, if it is asked to. */
static bool has_driver(struct balloon *balloon, const struct balloon_stats *stats, uint64_t now_ns)
{
	uint64_t updated = stats->value[VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE];

	if (!balloon->period_set) {
		balloon->period_set = !virDomainSetMemoryStatsPeriod(balloon->domain->handle, STATS_PERIOD,
								     VIR_DOMAIN_AFFECT_LIVE);
	}
	if (!updated)
		return false;
	if (updated != balloon->updated) {
		balloon->updated = updated;
		balloon->updated_ns = now_ns;
	}
	return balloon->updated_ns && now_ns - balloon->updated_ns < STATS_FRESH_S * UINT64_C(1000000000);
}

static bool between(uint64_t value, uint64_t a, uint64_t b)
{
	uint64_t low = a < b ? a : b, high = a < b ? b : a;

	return value + MEANS_CLOSE_BYTES >= low && value <= high + MEANS_CLOSE_BYTES;
}

static void balloon_found(void *state, uint64_t usable)
{
	struct balloon *balloon = state;

	balloon->from = balloon->seen;
	balloon->asked = usable;
	balloon->elsewhere = 0;
	balloon->still = 0;
}

/*
 * 0: it is where it should be, or on its way there; or, with @ret_astray, it is not known yet where somebody has sent
 * it.  What libvirt itself asks for at the start is nobody's doing.
 */
static uint64_t set_by_hand(struct balloon *balloon, uint64_t actual, bool *ret_astray)
{
	bool moved = actual != balloon->seen;
	bool let_go = actual >= balloon->ram || (balloon->domain->about.limits.autodeflate && actual > balloon->asked);

	balloon->seen = actual;
	if (!balloon->asked)
		balloon_found(balloon, actual);
	*ret_astray = !let_go && !between(actual, balloon->from, balloon->asked);
	if (!*ret_astray) {
		balloon->elsewhere = 0;
		return 0;
	}
	if (moved || !balloon->elsewhere++)
		return 0;
	*ret_astray = false;
	balloon_found(balloon, actual);
	return by_hand_is_configured(balloon->domain, actual) ? 0 : actual;
}

static bool is_stuck(struct balloon *balloon, uint64_t before, uint64_t actual)
{
	if (!balloon->asked || actual <= balloon->asked + MEANS_CLOSE_BYTES || actual < before)
		balloon->still = 0;
	else
		balloon->still++;
	return balloon->still >= STUCK_LOOKS;
}

/* Swapping is what a guest does that has too little; a cache that has shrunk to nothing comes before it. */
static bool is_pressed(struct balloon *balloon, const struct balloon_stats *stats, const struct memtide_stats *guest)
{
	uint64_t swapped = stats->value[VIR_DOMAIN_MEMORY_STAT_SWAP_IN];
	bool swaps = balloon->swap_in && swapped > balloon->swap_in;

	balloon->swap_in = swapped;
	return swaps || (guest->total && guest->available < guest->total / SHORT_PART);
}

/* In what virtio-balloon calls unused, nothing is; usable is what can be had without swapping. */
static void take_stats(const struct balloon_stats *stats, struct memtide_stats *guest)
{
	uint64_t unused = BYTES(stats->value[VIR_DOMAIN_MEMORY_STAT_UNUSED]);
	uint64_t usable = BYTES(stats->value[VIR_DOMAIN_MEMORY_STAT_USABLE]);
	uint64_t total = BYTES(stats->value[VIR_DOMAIN_MEMORY_STAT_AVAILABLE]);

	guest->total = total;
	guest->free = unused;
	guest->available = stats->known[VIR_DOMAIN_MEMORY_STAT_USABLE] ? usable : unused;
	guest->file = BYTES(stats->value[VIR_DOMAIN_MEMORY_STAT_DISK_CACHES]);
	guest->anon = total > guest->available ? total - guest->available : 0;
	guest->swap_in = stats->value[VIR_DOMAIN_MEMORY_STAT_SWAP_IN] / 4;
	guest->swap_out = stats->value[VIR_DOMAIN_MEMORY_STAT_SWAP_OUT] / 4;
	guest->refault_anon = guest->swap_in;
}

static int balloon_look(void *state, uint64_t now_ns, struct means_view *ret_view)
{
	struct balloon *balloon = state;
	uint64_t actual, before = balloon->seen;
	struct means_view view = { .usable = 0 };
	struct balloon_stats stats = { .known = { false } };
	int r;

	r = read_stats(balloon, &stats);
	if (r < 0)
		return r;
	actual = BYTES(stats.value[VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON]);
	view.usable = actual;
	view.driver = has_driver(balloon, &stats, now_ns);
	take_stats(&stats, &view.stats);
	if (view.driver) {
		view.pressed = is_pressed(balloon, &stats, &view.stats);
		view.stuck = is_stuck(balloon, before, actual);
		view.by_hand = set_by_hand(balloon, actual, &view.astray);
	} else {
		balloon->seen = actual;
	}
	*ret_view = view;
	return 0;
}

static int balloon_ask(void *state, uint64_t usable)
{
	struct balloon *balloon = state;

	if (virDomainSetMemoryFlags(balloon->domain->handle, KIB(usable), VIR_DOMAIN_AFFECT_LIVE) < 0)
		return -EIO;
	balloon_found(balloon, usable);
	return 0;
}

/* QEMU keeps what was asked for, and tells the driver when that is back. */
static void balloon_rebooted(void *state)
{
	struct balloon *balloon = state;

	balloon->from = balloon->ram;
	balloon->updated_ns = 0;
}

static void balloon_close(void *state)
{
	free(state);
}

const struct means means_balloon = {
	.kind = TIDE_VMM_BALLOON,
	.open = balloon_open,
	.look = balloon_look,
	.found = balloon_found,
	.ask = balloon_ask,
	.rebooted = balloon_rebooted,
	.close = balloon_close,
};
