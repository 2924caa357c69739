// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What memtided reads of a stand-in, as it would of a device and of its guest's driver.
 */
#include "stand-in-internal.h"

#include <string.h>

/*
 * A claim is for this part of the VM's RAM, and not made more often.  Once it has had what it needs for so long,
 * pressure is over.
 */
#define CLAIM_PART	16
#define CLAIM_NS	NSEC_PER_SEC
#define QUIET_NS	(5 * NSEC_PER_SEC)

void stand_in_put_counters(struct stand_in *s, bool notify)
{
	s->counters.notify += notify;
	memtide_counters_write(s->side.counters.start, &s->counters);
	if (notify)
		memtide_device_side_ring(&s->side, TIDE_VMM_FD_NOTIFY);
}

void stand_in_put_stats(struct stand_in *s)
{
	s->stats.generation = s->wish.generation;
	s->stats.given = s->counters.given_bytes;
	memtide_stats_write(memtide_device_side_at(&s->side, VIRTIO_TIDE_STATS_OFFSET), &s->stats);
}

static void put_event(struct stand_in *s, uint32_t type, uint64_t a, uint64_t b)
{
	struct memtide_event event = { .type = type, .time_ns = means_now_ns(), .a = a, .b = b };

	/* A full ring has one in it already. */
	memtide_ring_push(&s->side.to_host, &event);
	memtide_device_side_ring(&s->side, TIDE_VMM_FD_DOORBELL);
}

void stand_in_count_usable(struct stand_in *s, uint64_t usable)
{
	uint64_t given = s->ram - (usable < s->ram ? usable : s->ram);

	s->usable = s->ram - given;
	if (given == s->counters.given_bytes)
		return;
	if (given > s->counters.given_bytes)
		s->counters.gave_bytes += given - s->counters.given_bytes;
	else
		s->counters.took_bytes += s->counters.given_bytes - given;
	s->counters.given_bytes = given;
	stand_in_put_counters(s, false);
}

void stand_in_new_epoch(struct stand_in *s)
{
	s->counters.epoch++;
	s->counters.flags = 0;
	s->counters.fence_generation = 0;
	s->counters.fence_given_bytes = 0;
	s->wish.generation = 0;
	s->asked = 0;
	s->lapsed = false;
	s->tried = 0;
	s->fresh = true;
	s->pressed = false;
	memset(&s->stats, 0, sizeof(s->stats));
	memset(memtide_device_side_at(&s->side, VIRTIO_TIDE_STATS_OFFSET), 0,
	       VIRTIO_TIDE_HINTS_OFFSET - VIRTIO_TIDE_STATS_OFFSET);
	memtide_device_side_begin(&s->side);
	stand_in_put_counters(s, true);
}

bool stand_in_is_fenced(const struct stand_in *s)
{
	return s->counters.flags & TIDE_COUNTERS_FENCED && s->counters.fence_generation == s->wish.generation;
}

/* Nothing that was asked of it lets it have more than it may. */
static bool is_bound(const struct stand_in *s)
{
	if (s->means->kind != TIDE_VMM_BALLOON || s->wish.flags & VIRTIO_TIDE_STATE_RELEASE)
		return true;
	return s->asked && s->asked <= s->wish.ceiling && s->asking <= s->wish.ceiling;
}

void stand_in_fence(struct stand_in *s)
{
	if (!s->wish.generation || stand_in_is_fenced(s) || s->usable > s->wish.ceiling || !is_bound(s))
		return;
	s->counters.flags |= TIDE_COUNTERS_FENCED;
	s->counters.fence_generation = s->wish.generation;
	s->counters.fence_given_bytes = s->counters.given_bytes;
	stand_in_put_counters(s, true);
}

static void see_pressure(struct stand_in *s, bool pressed, uint64_t now)
{
	bool before = s->pressed;

	if (pressed) {
		s->pressed = true;
		s->pressed_ns = now;
	} else if (s->pressed && now - s->pressed_ns > QUIET_NS) {
		s->pressed = false;
	}
	if (s->pressed)
		s->stats.flags |= VIRTIO_TIDE_STATS_PRESSURE | VIRTIO_TIDE_STATS_BUSY;
	/* What it may have already it takes without asking. */
	if (pressed && s->wish.generation && s->usable + MEANS_CLOSE_BYTES >= s->wish.ceiling &&
	    now - s->claimed_ns >= CLAIM_NS) {
		s->claimed_ns = now;
		s->stats.pressure++;
		put_event(s, VIRTIO_TIDE_EV_PRESSURE, s->ram / CLAIM_PART, VIRTIO_TIDE_URGENCY_RECLAIM);
	} else if (before && !s->pressed) {
		put_event(s, VIRTIO_TIDE_EV_QUIET, 0, 0);
	}
}

void stand_in_take_stats(struct stand_in *s, const struct means_view *view, uint64_t now)
{
	uint64_t pressures = s->stats.pressure;
	uint32_t refresh = s->stats.refresh;

	s->stats = view->stats;
	s->stats.refresh = refresh;
	s->stats.pressure = pressures;
	s->stats.time_ns = now;
	s->stats.flags = view->stuck ? VIRTIO_TIDE_STATS_STALLED : 0;
	if (view->driver)
		see_pressure(s, view->pressed, now);
}

void stand_in_answer_refresh(struct stand_in *s)
{
	bool asked = s->turn_refresh != s->stats.refresh;

	s->stats.refresh = s->turn_refresh;
	stand_in_put_stats(s);
	if (asked)
		memtide_device_side_ring(&s->side, TIDE_VMM_FD_DOORBELL);
}
