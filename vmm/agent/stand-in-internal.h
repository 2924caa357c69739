/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the stand-in*.c files have for each other and for nobody else.
 *
 *	stand-in.c		coming and going, and memtided's socket
 *	stand-in-wire.c		what memtided reads: counters, statistics, events
 *	stand-in-turn.c		turns of the worker: what is asked of the VM, and what is seen of it
 *	stand-in-part.c		a policy that has gone while its domain runs, or come back
 */
#ifndef AGENT_STAND_IN_INTERNAL_H
#define AGENT_STAND_IN_INTERNAL_H

#include "stand-in.h"

#include "agent.h"
#include "device-side.h"
#include "hello.h"
#include "means.h"
#include "worker.h"

#define NSEC_PER_SEC	UINT64_C(1000000000)

/* What is done in the worker's thread, and with what; the worker's while it is busy, else the loop's. */
struct turn {
	const struct means *means;
	struct means_vm vm;
	void *state;				/* NULL: it could not be opened yet */
	int error;
	struct means_turn io;
};

struct stand_in {
	struct agent_domain *domain;
	const struct means *means;
	uint64_t ram;
	struct worker *worker;
	struct turn *turn;			/* the worker's own */
	uint32_t turn_refresh;			/* what memtided had asked for when it began */
	bool rebooted;				/* since a turn began last */
	bool again;				/* ... somebody has asked for another */
	bool failed;				/* the last one has: it is not tried again at once */
	uint64_t look_ns;			/* when the next is due; 0: nobody has said */
	uint64_t looked_ns;			/* when one has shown something last */
	bool silent;				/* ... and it was said that this is long ago */
	char obstacle[MEMTIDE_ERRTEXT_SIZE];	/* why it cannot be opened, as it was said last */

	struct memtide_device_side side;	/* the guest's region is ours as well here */
	int socket;				/* -1: not connected */
	int call_watch, socket_watch, look_timer, connect_timer;
	char refusal[TIDE_VMM_TEXT_SIZE];	/* said already */

	struct memtide_counters counters;
	struct memtide_stats stats;
	struct memtide_state wish;		/* memtided's; generation 0: none yet */
	uint64_t usable;
	uint64_t asked;				/* of the means; 0: nothing that is known to hold */
	uint64_t asking;			/* ... in the turn that is under way */
	uint64_t tried;				/* ... in the turn before that */
	bool lapsed;				/* ... and what was does not */
	bool fresh;				/* nothing was asked since the guest or this has started */
	bool astray;				/* at the last look */
	uint64_t by_hand;			/* what somebody else has set it to and memtided does not know; 0: nothing */
	uint64_t untold_ns;			/* when that could not be told last; 0: it could */
	bool pressed;
	uint64_t pressed_ns;			/* when it last was */
	uint64_t claimed_ns;			/* when memtided was last told */
	bool known;				/* it has been looked at */
	bool parting;				/* its policy has gone: it is released, and then this goes */
	uint64_t refused_ns;			/* when memtided has last refused to; 0: it has not */
};

static inline bool stand_in_is_close(uint64_t a, uint64_t b)
{
	return (a < b ? b - a : a - b) < MEANS_CLOSE_BYTES;
}

/* memtided has given the VM all that it may have, and leaves it alone. */
static inline bool stand_in_is_released(const struct stand_in *s)
{
	return s->wish.generation && s->wish.flags & VIRTIO_TIDE_STATE_RELEASE;
}

/*
 * stand-in.c
 */

void stand_in_free(struct stand_in *s);

/*
 * stand-in-wire.c
 */

/* The counters as they are now; @notify: something has changed that memtided waits for. */
void stand_in_put_counters(struct stand_in *s, bool notify);
void stand_in_put_stats(struct stand_in *s);
void stand_in_count_usable(struct stand_in *s, uint64_t usable);
/* The guest has started anew, or has lost its driver: nothing that was said before holds. */
void stand_in_new_epoch(struct stand_in *s);
bool stand_in_is_fenced(const struct stand_in *s);
/* Whether it has come down to what it may have, which memtided waits for. */
void stand_in_fence(struct stand_in *s);
/* What a look has shown, @now, of its statistics and of its being short of memory. */
void stand_in_take_stats(struct stand_in *s, const struct means_view *view, uint64_t now);
/* What memtided has asked for before the look began is answered by it. */
void stand_in_answer_refresh(struct stand_in *s);

/*
 * stand-in-turn.c
 */

int stand_in_describe(const struct agent_domain *domain, struct means_vm *ret_vm);
/* Its worker.  0 or a negative errno. */
int stand_in_make_turn(struct stand_in *s);
/* A turn, where one is due and none is under way.  The stand-in may be gone after this. */
void stand_in_go_on(struct stand_in *s);
/* It is time to look; memtided has rung. */
void stand_in_look_expired(int timer, void *opaque);
void stand_in_called(int watch, int fd, int events, void *opaque);

/*
 * stand-in-part.c
 */

/* What a policy that has gone or come asks for, where memtided knows this one.  It may be gone after this. */
void stand_in_settle(struct stand_in *s);

#endif
