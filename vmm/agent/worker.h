/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread for what takes its time, or never comes back: a call into libvirt about a QEMU that hangs, a write to
 * memory.reclaim.  It does one thing at a time, the loop hears of it when that is done and never waits for it.  One
 * that is stuck is left behind, with what it uses, and ends if it ever can.
 *
 * All functions are the loop's.
 */
#ifndef AGENT_WORKER_H
#define AGENT_WORKER_H

#include <stdbool.h>

struct worker;

/**
 * struct worker_ops - what one is for
 * @run: in the worker's thread, once for each worker_begin(); the only one that may use @arg meanwhile, but for what is
 *	atomic in it
 * @done: in the loop, after @run; may begin the next, or leave it
 * @free: in the worker's thread, the last thing that it does: @arg is not needed any more
 */
struct worker_ops {
	void (*run)(void *arg);
	void (*done)(void *owner);
	void (*free)(void *arg);
};

/* @name is the thread's, at most 15 bytes.  0; or negative errno, and then @arg stays the caller's. */
int worker_new(const char *name, const struct worker_ops *ops, void *arg, void *owner, struct worker **ret_worker);

/* It must not be busy. */
void worker_begin(struct worker *worker);
/* From worker_begin() until @done is about to be called. */
bool worker_is_busy(const struct worker *worker);

/* It ends when what it does now has come to its end.  Neither it nor @arg may be used after this.  NULL is fine. */
void worker_leave(struct worker *worker);

/* Whether all that were left have ended, for which it waits so long: with one that is stuck exit() is not to be had. */
bool workers_have_ended(unsigned int wait_ms);

#endif
