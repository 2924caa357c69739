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
 * For the cgroup directory @path.  @written is called in the loop's thread after each write of memory.high, with what
 * that is now, or with a negative errno and the file that could not be written.  -ESTALE: somebody else has set @file
 * to @value since it was last written; nothing has been written.
 */
int limit_new(struct worker *worker, const char *path,
	      void (*written)(void *arg, int error, const char *file, uint64_t value), void *arg, struct limit **ret);

/* Freed when its last write has come back; @written is not called any more. */
void limit_free(struct limit *limit);

/*
 * Set memory.high to @high, but not below what is in use: then it is set to that, and @written tells so.  Of
 * several values that are set while one is being written the last one counts.  Raising is urgent.
 */
void limit_set_high(struct limit *limit, uint64_t high, bool raise);

/* Set memory.max once, with the same care. */
void limit_set_max(struct limit *limit, uint64_t max);

/* What somebody else has set is ours again with the next write, or with the one under way. */
void limit_take_over(struct limit *limit);

#endif
