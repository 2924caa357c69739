/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How memory is taken from a VM without a virtio-tide device: by its virtio-balloon (balloon.c), or from outside
 * (reclaim.c).
 *
 * All of it may take its time, or never come back, and so is done in a thread of its own for each VM (worker.h), a turn
 * at a time.  It sees nothing of the agent but what is here, and does not log: what there is to say is in the turn.
 */
#ifndef AGENT_MEANS_H
#define AGENT_MEANS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "errtext.h"
#include "record.h"

/* Balloon and cgroup go by pages, and move between two looks: what is as close as this is there. */
#define MEANS_CLOSE_BYTES	(UINT64_C(256) << 10)

/* The VM that it is about. */
struct means_vm {
	char uuid[37];
	char libvirt_uri[256];
	pid_t pid;			/* 0: not known */
	uint64_t ram;			/* bytes */
	bool autodeflate;		/* its guest may let its balloon go by itself */
};

/* What a look at a VM shows; sizes in bytes. */
struct means_view {
	bool driver;			/* its guest can be asked */
	uint64_t usable;		/* what it has, up to its RAM */
	bool astray;			/* not where it was asked to be: nothing is asked until it is known why */
	uint64_t by_hand;		/* what somebody else has set it to; 0: nobody has */
	bool lapsed;			/* what it was asked for does not hold any more, by nobody's doing */
	bool stuck;			/* cannot come down to what was asked */
	bool pressed;			/* has less than it needs */
	struct memtide_stats stats;	/* without what the stand-in knows itself: generation, refresh, time, given, flags */
};

/**
 * struct means_turn - what is new, and what has come of it
 * @rebooted: its guest starts anew
 * @found: it is to have so many bytes, which it has already; 0: nothing of the kind
 * @ask: it is to come to so many bytes; 0: nothing is asked.  Nor is it where somebody else is seen to have set it
 * @ret_view: how it was at the end of the turn
 * @ret_asked: @ask was asked for
 * @ret_errtext: words for a failure
 * @waits_for: what takes so long, any thread; NULL: nothing
 * @over: nobody waits for it any more, and nothing more is to be done to the VM; any thread
 */
struct means_turn {
	bool rebooted;
	uint64_t found;
	uint64_t ask;
	struct means_view ret_view;
	bool ret_asked;
	struct memtide_errtext ret_errtext;
	_Atomic(const char *) waits_for;
	atomic_bool over;
};

/**
 * struct means - one way to do it
 * @kind: as memtided is told
 * @name: for people
 * @needs_libvirt: nothing can be done while libvirt is away
 * @open: 0 and the state for @vm, which is copied; or negative errno: it cannot be done with this one
 * @turn: do what is new, look, ask.  0, or negative errno: nothing is known just now, and whether it was asked neither
 * @close: what there was of it
 */
struct means {
	enum tide_vmm_kind kind;
	const char *name;
	bool needs_libvirt;
	int (*open)(const struct means_vm *vm, void **ret_state, struct memtide_errtext *errtext);
	int (*turn)(void *state, struct means_turn *turn);
	void (*close)(void *state);
};

/* The monotonic clock. */
static inline uint64_t means_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

extern const struct means means_balloon;
extern const struct means means_reclaim;

#endif
