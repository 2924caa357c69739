/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How memory is taken from a VM without a virtio-tide device: by its virtio-balloon (balloon.c), or from outside
 * (reclaim.c).
 */
#ifndef AGENT_MEANS_H
#define AGENT_MEANS_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"

struct agent_domain;

/* Balloon and cgroup go by pages, and move between two looks: what is as close as this is there. */
#define MEANS_CLOSE_BYTES	(UINT64_C(256) << 10)

/* What a look at a VM shows; sizes in bytes. */
struct means_view {
	bool driver;			/* its guest can be asked */
	uint64_t usable;		/* what it has, up to its RAM */
	bool astray;			/* not where it was asked to be: nothing is asked until it is known why */
	uint64_t by_hand;		/* what somebody else has set it to; 0: nobody has */
	bool stuck;			/* cannot come down to what was asked */
	bool pressed;			/* has less than it needs */
	struct memtide_stats stats;	/* without what the stand-in knows itself: generation, refresh, time, given, flags */
};

/**
 * struct means - one way to do it
 * @kind: as memtided is told
 * @open: 0 and the state for a VM of @ram bytes, or negative errno: it cannot be done with this one
 * @look: look at it, @now_ns by the monotonic clock; 0, or negative errno: nothing is known just now
 * @found: it is to have @usable bytes, which it has already; may be NULL
 * @ask: have it come to @usable bytes; may take its time, look() shows how far it is
 * @rebooted: its guest starts anew; may be NULL
 * @close: what there was of it
 */
struct means {
	enum tide_vmm_kind kind;
	int (*open)(struct agent_domain *domain, uint64_t ram, void **ret_state);
	int (*look)(void *state, uint64_t now_ns, struct means_view *ret_view);
	void (*found)(void *state, uint64_t usable);
	int (*ask)(void *state, uint64_t usable);
	void (*rebooted)(void *state);
	void (*close)(void *state);
};

extern const struct means means_balloon;
extern const struct means means_reclaim;

#endif
