/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits of a VM's cgroup, written by a worker thread because such a write may reclaim, and so block.
 */
#ifndef MEMTIDED_LIMITS_H
#define MEMTIDED_LIMITS_H

#include "worker.h"

#include <stdbool.h>
#include <stdint.h>

struct limit;

/*
 * For the cgroup directory @path.  @written is called in the loop's thread after each write, with what memory.high
 * is now, or a negative errno.
 */
int limit_new(struct worker *worker, const char *path,
	      void (*written)(void *arg, int error, uint64_t high), void *arg, struct limit **ret);

/* Freed when its last write has come back; @written is not called any more. */
void limit_free(struct limit *limit);

/*
 * Set memory.high to @high, but not below what is in use: then it is set to that, and @written tells so.  Of
 * several values that are set while one is being written the last one counts.  Raising is urgent.
 */
void limit_set_high(struct limit *limit, uint64_t high, bool raise);

/* Set memory.max once, with the same care. */
void limit_set_max(struct limit *limit, uint64_t max);

/* A write is under way. */
bool limit_busy(const struct limit *limit);

#endif
