/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread for what may block: writing cgroup limits, loading BPF.  Jobs are run one after the other; their
 * results come back in the loop's thread.
 */
#ifndef MEMTIDED_WORKER_H
#define MEMTIDED_WORKER_H

#include <stdbool.h>

struct loop;
struct worker;

/**
 * struct worker_job - something to do elsewhere
 * @run: called in the worker's thread; may block
 * @done: called in the loop's thread afterwards; may free the job or queue it again
 * @next: the worker's
 */
struct worker_job {
	void (*run)(struct worker_job *job);
	void (*done)(struct worker_job *job);
	struct worker_job *next;
};

/* 0 or negative errno.  @name is the thread's, at most 15 bytes. */
int worker_new(struct loop *loop, const char *name, struct worker **ret);
/*
 * Ends the thread after the job that it is at, without waiting for more than that job.  Jobs not begun are dropped
 * without being called.
 */
void worker_free(struct worker *worker);

/* @urgent goes before all that are not.  Never fails; the job stays the caller's until @done. */
void worker_queue(struct worker *worker, struct worker_job *job, bool urgent);

#endif
