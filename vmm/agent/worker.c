// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A thread, a flag in front of it and an eventfd behind.  It belongs to its own thread, which frees it: that may be
 * long after the loop has left it.
 */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

struct worker {
	const struct worker_ops *ops;
	void *arg;
	int fd;			/* readable: it is done */

	/* the loop's */
	void *owner;
	int watch;
	bool busy;

	pthread_mutex_t lock;	/* of what follows */
	pthread_cond_t wake;
	bool begun;
	bool left;
};

/* Those of which the thread has not ended. */
static pthread_mutex_t living_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t living_less = PTHREAD_COND_INITIALIZER;
static unsigned int living;

static void count_living(int change)
{
	pthread_mutex_lock(&living_lock);
	living += (unsigned int)change;
	pthread_cond_signal(&living_less);
	pthread_mutex_unlock(&living_lock);
}

static void worker_free(struct worker *worker)
{
	pthread_cond_destroy(&worker->wake);
	pthread_mutex_destroy(&worker->lock);
	if (worker->fd >= 0)
		close(worker->fd);
	free(worker);
}

/* Whether there is something to do; false: it was left. */
static bool wait_for_work(struct worker *worker)
{
	bool left;

	pthread_mutex_lock(&worker->lock);
	while (!worker->begun && !worker->left)
		pthread_cond_wait(&worker->wake, &worker->lock);
	worker->begun = false;
	left = worker->left;
	pthread_mutex_unlock(&worker->lock);
	return !left;
}

static void *live(void *opaque)
{
	struct worker *worker = opaque;
	uint64_t one = 1;

	while (wait_for_work(worker)) {
		worker->ops->run(worker->arg);
		if (write(worker->fd, &one, sizeof(one)) < 0)
			continue;	/* cannot be: it counts to one */
	}
	worker->ops->free(worker->arg);
	worker_free(worker);
	count_living(-1);
	return NULL;
}

static void ready(int watch, int fd, int events, void *opaque)
{
	struct worker *worker = opaque;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return;
	worker->busy = false;
	worker->ops->done(worker->owner);
}

/* Signals are the loop's, and nobody waits for its end. */
static int start_thread(struct worker *worker, const char *name)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_t thread;
	int r;

	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	count_living(1);
	r = pthread_create(&thread, &attr, live, worker);
	if (r)
		count_living(-1);
	else
		pthread_setname_np(thread, name);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

int worker_new(const char *name, const struct worker_ops *ops, void *arg, void *owner, struct worker **ret_worker)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int r;

	if (!worker)
		return -ENOMEM;
	worker->ops = ops;
	worker->arg = arg;
	worker->owner = owner;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->wake, NULL);
	worker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	worker->watch = worker->fd < 0 ? -1 : virEventAddHandle(worker->fd, VIR_EVENT_HANDLE_READABLE, ready, worker,
								NULL);
	r = worker->watch < 0 ? -EMFILE : start_thread(worker, name);
	if (r < 0) {
		if (worker->watch >= 0)
			virEventRemoveHandle(worker->watch);
		worker_free(worker);
		return r;
	}
	*ret_worker = worker;
	return 0;
}

void worker_begin(struct worker *worker)
{
	worker->busy = true;
	pthread_mutex_lock(&worker->lock);
	worker->begun = true;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
}

bool worker_is_busy(const struct worker *worker)
{
	return worker->busy;
}

void worker_leave(struct worker *worker)
{
	if (!worker)
		return;
	virEventRemoveHandle(worker->watch);
	pthread_mutex_lock(&worker->lock);
	worker->left = true;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
}

bool workers_have_ended(unsigned int wait_ms)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += wait_ms / 1000;
	until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&living_lock);
	while (living && !r)
		r = pthread_cond_timedwait(&living_less, &living_lock, &until);
	r = living;
	pthread_mutex_unlock(&living_lock);
	return !r;
}
