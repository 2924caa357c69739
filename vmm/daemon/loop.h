/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop: one thread, one io_uring.  Sources are polled file descriptors, timers sit in a heap.  Nothing
 * here knows what the descriptors are for.  All functions belong to the loop's thread.
 */
#ifndef MEMTIDED_LOOP_H
#define MEMTIDED_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NSEC_PER_MSEC	UINT64_C(1000000)
#define NSEC_PER_SEC	UINT64_C(1000000000)

struct loop;

/**
 * struct loop_source - a file descriptor that is polled
 * @fd: stays the owner's; it may be closed right after loop_remove()
 * @ready: called with POLL* bits on every wake-up of @fd.  It may remove any source, this one included
 * @slot: the loop's
 */
struct loop_source {
	int fd;
	void (*ready)(struct loop_source *source, uint32_t events);
	uint32_t slot;
};

struct loop_timer {
	void (*expired)(struct loop_timer *timer);
	uint64_t at_ns;
	size_t place;
};

int loop_new(struct loop **ret);
void loop_free(struct loop *loop);

/*
 * Poll @source->fd for @events until it is removed.  Wake-ups are reported as they come: a source that stays
 * readable is not reported again until something new arrives, so an eventfd need not be read.  0 or -ENOMEM,
 * -ENOSPC.
 */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events);
void loop_remove(struct loop *loop, struct loop_source *source);
bool loop_has(const struct loop_source *source);

/* A timer has its place reserved while it is registered, so that setting it cannot fail.  0 or -ENOMEM. */
int loop_timer_register(struct loop *loop, struct loop_timer *timer, void (*expired)(struct loop_timer *timer));
void loop_timer_unregister(struct loop *loop, struct loop_timer *timer);
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ns);
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);
bool loop_timer_is_set(const struct loop_timer *timer);

/* CLOCK_MONOTONIC in nanoseconds: as of the start of this turn, and right now. */
uint64_t loop_now(const struct loop *loop);
uint64_t loop_clock(void);

/* Run until loop_stop().  0 or what io_uring failed with. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
