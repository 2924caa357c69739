// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One job per VM: a newer limit overtakes one that has not been written yet.
 */
#include "limits.h"

#include "cgroup.h"
#include "limit-mark.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNSET	0	/* no limit worth writing is zero */

static const char memory_high[] = "memory.high", memory_max[] = "memory.max";

struct limit {
	struct worker_job job;		/* first: job functions get the limit from it */
	struct worker *worker;
	void (*written)(void *arg, int error, const char *file, uint64_t value);
	void *arg;
	uint64_t want_high;		/* set while the job is away: written next */
	uint64_t want_max;
	bool take_over;			/* before the next write: what somebody else has set is ours */
	bool busy;
	bool freed;
	/* The job's own while it is busy. */
	bool taking_over;
	uint64_t high;
	uint64_t max;
	const char *file;		/* that was written last, or not */
	uint64_t value;			/* of that file now */
	int error;
	char path[MEMTIDE_CGROUP_PATH_MAX];
};

/*
 * What is in use may not be cut off: a write below it would reclaim at once and stall the VM for seconds.  What
 * somebody else has set is left alone.
 */
static int write_limit(const char *path, const char *name, uint64_t *value)
{
	uint64_t in_use, now;
	int r;

	r = memtide_cgroup_in_use(path, &in_use);
	if (r >= 0)
		r = memtide_cgroup_read(path, name, &now);
	if (r < 0)
		return r;
	if (!limit_mark_ours(path, name, now)) {
		*value = now;
		return -ESTALE;
	}
	if (*value < in_use)
		*value = in_use;
	limit_mark_put(path, name, now, *value);
	r = memtide_cgroup_write(path, name, *value);
	/* From here on what it was before is somebody else's as well. */
	if (r >= 0)
		limit_mark_put(path, name, *value, *value);
	return r;
}

static void limit_run(struct worker_job *job)
{
	struct limit *limit = (struct limit *)job;

	if (limit->taking_over) {
		limit_mark_remove(limit->path, memory_high);
		limit_mark_remove(limit->path, memory_max);
	}
	limit->error = 0;
	limit->file = memory_max;
	limit->value = limit->max;
	if (limit->max != UNSET)
		limit->error = write_limit(limit->path, limit->file, &limit->value);
	if (limit->high == UNSET || limit->error)
		return;
	limit->file = memory_high;
	limit->value = limit->high;
	limit->error = write_limit(limit->path, limit->file, &limit->value);
}

static void start(struct limit *limit, bool urgent)
{
	if (limit->busy || (limit->want_high == UNSET && limit->want_max == UNSET))
		return;
	limit->high = limit->want_high;
	limit->max = limit->want_max;
	limit->want_high = UNSET;
	limit->want_max = UNSET;
	limit->taking_over = limit->take_over;
	limit->take_over = false;
	limit->busy = true;
	worker_queue(limit->worker, &limit->job, urgent);
}

static void limit_done(struct worker_job *job)
{
	struct limit *limit = (struct limit *)job;
	bool tell = limit->high != UNSET || limit->error;

	if (limit->error == -ESTALE && limit->take_over) {
		/* It was taken over meanwhile: once more, unless something newer is to be written. */
		limit->want_high = limit->want_high ?: limit->high;
		limit->want_max = limit->want_max ?: limit->max;
		tell = false;
	}
	/* Busy meanwhile: who is told may free it. */
	if (tell && !limit->freed)
		limit->written(limit->arg, limit->error, limit->file, limit->value);
	limit->busy = false;
	if (limit->freed)
		free(limit);
	else
		start(limit, true);
}

int limit_new(struct worker *worker, const char *path,
	      void (*written)(void *arg, int error, const char *file, uint64_t value), void *arg, struct limit **ret)
{
	struct limit *limit = calloc(1, sizeof(*limit));

	if (!limit)
		return -ENOMEM;
	limit->job.run = limit_run;
	limit->job.done = limit_done;
	limit->worker = worker;
	limit->written = written;
	limit->arg = arg;
	strncpy(limit->path, path, sizeof(limit->path) - 1);
	*ret = limit;
	return 0;
}

void limit_free(struct limit *limit)
{
	if (!limit)
		return;
	limit->freed = true;
	if (!limit->busy)
		free(limit);
}

void limit_set_high(struct limit *limit, uint64_t high, bool raise)
{
	limit->want_high = high;
	start(limit, raise);
}

void limit_set_max(struct limit *limit, uint64_t max)
{
	limit->want_max = max;
	start(limit, false);
}

void limit_take_over(struct limit *limit)
{
	limit->take_over = true;
}
