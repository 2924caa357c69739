// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory by means of virtio-balloon, through libvirt: its statistics, and its size.  The guest does what it is asked in
 * its own time, or not at all; what it has is what the balloon says.
 *
 * Somebody else may ask as well, and wins.  libvirt does not tell what was asked for, so this goes by where the balloon
 * is: between how far it has come since it was last asked, and what it was asked for, is ours; a guest that lets its
 * balloon go to keep from running out of memory may have more, and is asked again; anywhere else, where it stays for a
 * second, somebody has set it by hand.
 *
 * Where the balloon is its guest can write at will.  So it can have itself taken for set by hand, which memtided
 * bounds, or be asked again, and nothing else.
 */
#include <errno.h>
#include <stdlib.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

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
/* A balloon that has not moved for so long is where somebody has sent it. */
#define SETTLED_NS	UINT64_C(1000000000)
/* Without progress for so many looks it cannot come down. */
#define STUCK_LOOKS	20

struct balloon {
	struct means_vm vm;
	virConnectPtr connection;	/* of its own: one that hangs keeps nothing else from being asked.  NULL: none */
	virDomainPtr domain;
	uint64_t from;		/* how far it has come since it was asked last */
	uint64_t asked;		/* 0: not yet */
	uint64_t seen;		/* at the last look */
	uint64_t astray_ns;	/* since when it has stayed where nobody here has asked for; 0: it does not */
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

static int balloon_open(const struct means_vm *vm, void **ret_state, struct memtide_errtext *errtext)
{
	struct balloon *balloon = calloc(1, sizeof(*balloon));

	if (!balloon)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory");
	balloon->vm = *vm;
	*ret_state = balloon;
	return 0;
}

/*
 * libvirt
 */

static void hang_up(struct balloon *balloon)
{
	if (balloon->domain)
		virDomainFree(balloon->domain);
	if (balloon->connection)
		virConnectClose(balloon->connection);
	balloon->domain = NULL;
	balloon->connection = NULL;
}

/* A connection that is broken is made anew at the next turn. */
static int failed(struct balloon *balloon, struct means_turn *turn)
{
	memtide_errtext_set(&turn->ret_errtext, -EIO, "libvirt says: %s", virGetLastErrorMessage());
	if (!balloon->domain || virConnectIsAlive(balloon->connection) != 1)
		hang_up(balloon);
	return -EIO;
}

static int dial(struct balloon *balloon, struct means_turn *turn)
{
	if (balloon->domain)
		return 0;
	turn->waits_for = "libvirt to be connected";
	balloon->connection = connection_open(balloon->vm.libvirt_uri);
	if (balloon->connection)
		balloon->domain = virDomainLookupByUUIDString(balloon->connection, balloon->vm.uuid);
	return balloon->domain ? 0 : failed(balloon, turn);
}

static int read_stats(struct balloon *balloon, struct means_turn *turn, struct balloon_stats *ret_stats)
{
	virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
	int n;

	turn->waits_for = "the statistics of its balloon";
	n = virDomainMemoryStats(balloon->domain, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);
	if (n < 0)
		return failed(balloon, turn);
	*ret_stats = (struct balloon_stats){ .known = { false } };
	for (int i = 0; i < n; i++) {
		if (stats[i].tag < 0 || stats[i].tag >= VIR_DOMAIN_MEMORY_STAT_NR)
			continue;
		ret_stats->value[stats[i].tag] = stats[i].val;
		ret_stats->known[stats[i].tag] = true;
	}
	if (!ret_stats->known[VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON])
		return memtide_errtext_set(&turn->ret_errtext, -ENODATA, "libvirt does not say where its balloon is");
	return 0;
}

static void set_period(struct balloon *balloon, struct means_turn *turn)
{
	if (balloon->period_set)
		return;
	turn->waits_for = "statistics of its balloon to be asked for";
	balloon->period_set = !virDomainSetMemoryStatsPeriod(balloon->domain, STATS_PERIOD, VIR_DOMAIN_AFFECT_LIVE);
}

static int set_size(struct balloon *balloon, struct means_turn *turn, uint64_t bytes)
{
	turn->waits_for = "its balloon to be set";
	return virDomainSetMemoryFlags(balloon->domain, KIB(bytes), VIR_DOMAIN_AFFECT_LIVE) < 0 ? failed(balloon, turn) : 0;
}

/*
 * Looking
 */

/* A guest whose driver is there sends statistics, if it is asked to. */
static bool has_driver(struct balloon *balloon, const struct balloon_stats *stats, uint64_t now_ns)
{
	uint64_t updated = stats->value[VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE];

	if (!updated)
		return false;
	if (updated != balloon->updated) {
		balloon->updated = updated;
		balloon->updated_ns = now_ns;
	}
	return balloon->updated_ns && now_ns - balloon->updated_ns < STATS_FRESH_S * UINT64_C(1000000000);
}

/* Or outside of them by no more than @beside. */
static bool is_between(uint64_t value, uint64_t a, uint64_t b, uint64_t beside)
{
	uint64_t low = a < b ? a : b, high = a < b ? b : a;

	return value + beside >= low && value <= high + beside;
}

/* It is to come to @usable from where it is. */
static void asked_for(struct balloon *balloon, uint64_t usable)
{
	balloon->from = balloon->seen;
	balloon->asked = usable;
	balloon->astray_ns = 0;
	balloon->still = 0;
}

/*
 * Where it is counts from here on as well: what moves away from what it was asked for is not on its way there, and
 * what it has left behind is not ours any more.
 */
static bool is_on_its_way(struct balloon *balloon, uint64_t actual)
{
	if (!is_between(actual, balloon->from, balloon->asked, MEANS_CLOSE_BYTES))
		return false;
	/* What is close beside does not take the bounds along. */
	if (is_between(actual, balloon->from, balloon->asked, 0))
		balloon->from = actual;
	balloon->astray_ns = 0;
	return true;
}

/* Nobody has set it: its guest has let it go, or begun anew. */
static bool is_let_go(const struct balloon *balloon, uint64_t actual)
{
	return actual >= balloon->vm.ram || (balloon->vm.autodeflate && actual > balloon->asked);
}

/* It is not where it was asked to be, and stays there: whether that is somebody's doing. */
static void find_out_why(struct balloon *balloon, uint64_t actual, struct means_view *view)
{
	if (is_let_go(balloon, actual)) {
		balloon->from = actual;
		view->lapsed = true;
		return;
	}
	/* What libvirt itself asks for at the start is nobody's doing. */
	if (by_hand_is_configured(balloon->domain, balloon->vm.ram, actual))
		view->lapsed = true;
	else
		view->by_hand = actual;
	asked_for(balloon, actual);
}

static void see_where(struct balloon *balloon, uint64_t actual, struct means_view *view)
{
	uint64_t now_ns = means_now_ns();
	bool moved = actual != balloon->seen;

	balloon->seen = actual;
	if (!balloon->asked)
		asked_for(balloon, actual);
	if (is_on_its_way(balloon, actual))
		return;
	if (moved || !balloon->astray_ns)
		balloon->astray_ns = now_ns;
	view->astray = now_ns - balloon->astray_ns < SETTLED_NS;
	if (!view->astray)
		find_out_why(balloon, actual, view);
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

static void look(struct balloon *balloon, const struct balloon_stats *stats, struct means_view *ret_view)
{
	uint64_t actual = BYTES(stats->value[VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON]), before = balloon->seen;
	struct means_view view = { .usable = actual };

	view.driver = has_driver(balloon, stats, means_now_ns());
	take_stats(stats, &view.stats);
	if (view.driver) {
		view.pressed = is_pressed(balloon, stats, &view.stats);
		view.stuck = is_stuck(balloon, before, actual);
		see_where(balloon, actual, &view);
	} else {
		balloon->seen = actual;
	}
	*ret_view = view;
}

/* QEMU keeps what was asked for, and tells the driver when that is back. */
static void rebooted(struct balloon *balloon)
{
	balloon->from = balloon->vm.ram;
	balloon->updated_ns = 0;
}

/* Where it is then counts: what it had before it may have taken back meanwhile. */
static int ask(struct balloon *balloon, struct means_turn *turn)
{
	const struct means_view *view = &turn->ret_view;
	struct balloon_stats stats;
	int r;

	if (!view->driver || view->astray || view->by_hand || turn->over)
		return 0;
	r = set_size(balloon, turn, turn->ask);
	if (r < 0)
		return r;
	asked_for(balloon, turn->ask);
	turn->ret_asked = true;
	r = read_stats(balloon, turn, &stats);
	if (!r)
		turn->ret_view.usable = BYTES(stats.value[VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON]);
	return r;
}

static int balloon_turn(void *state, struct means_turn *turn)
{
	struct balloon *balloon = state;
	struct balloon_stats stats;
	int r;

	if (turn->rebooted)
		rebooted(balloon);
	if (turn->found)
		asked_for(balloon, turn->found);
	r = dial(balloon, turn);
	if (!r) {
		set_period(balloon, turn);
		r = read_stats(balloon, turn, &stats);
	}
	if (!r) {
		look(balloon, &stats, &turn->ret_view);
		if (turn->ask)
			r = ask(balloon, turn);
	}
	turn->waits_for = NULL;
	return r;
}

static void balloon_close(void *state)
{
	hang_up(state);
	free(state);
}

const struct means means_balloon = {
	.kind = TIDE_VMM_BALLOON,
	.name = "virtio-balloon",
	.needs_libvirt = true,
	.open = balloon_open,
	.turn = balloon_turn,
	.close = balloon_close,
};
