// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One thread with a queue in front and an eventfd behind it.
 */
#include "worker.h"

#include "loop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct job_queue {
	struct worker_job *first;
	struct worker_job **last;
};

struct worker {
	struct loop_source source;	/* first: ready() gets the worker from it */
	struct loop *loop;
	pthread_t thread;
	pthread_mutex_t lock;		/* the queues and stop */
	pthread_cond_t wake;
	struct job_queue urgent;
	struct job_queue todo;
	struct job_queue done;
	bool stop;
};

static void queue_init(struct job_queue *queue)
{
	queue->first = NULL;
	queue->last = &queue->first;
}

static void queue_push(struct job_queue *queue, struct worker_job *job)
{
	job->next = NULL;
	*queue->last = job;
	queue->last = &job->next;
}

static struct worker_job *queue_pop(struct job_queue *queue)
{
	struct worker_job *job = queue->first;

	if (!job)
		return NULL;
	queue->first = job->next;
	if (!queue->first)
		queue->last = &queue->first;
	return job;
}

static void *worker_thread(void *arg)
{
	struct worker *worker = arg;
	uint64_t one = 1;

	pthread_mutex_lock(&worker->lock);
	while (!worker->stop) {
		struct worker_job *job = queue_pop(&worker->urgent);

		if (!job)
			job = queue_pop(&worker->todo);
		if (!job) {
			pthread_cond_wait(&worker->wake, &worker->lock);
			continue;
		}
		pthread_mutex_unlock(&worker->lock);
		job->run(job);
		pthread_mutex_lock(&worker->lock);
		queue_push(&worker->done, job);
		if (write(worker->source.fd, &one, sizeof(one)) < 0)
			continue;	/* the counter is full: the loop is about to look anyway */
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

static void worker_ready(struct loop_source *source, uint32_t events)
{
	struct worker *worker = (struct worker *)source;
	struct worker_job *job;

	for (;;) {
		pthread_mutex_lock(&worker->lock);
		job = queue_pop(&worker->done);
		pthread_mutex_unlock(&worker->lock);
		if (!job)
			return;
		job->done(job);
	}
}

int worker_new(struct loop *loop, const char *name, struct worker **ret)
{
	struct worker *worker;
	sigset_t all, before;
	int r;

	worker = calloc(1, sizeof(*worker));
	if (!worker)
		return -ENOMEM;
	worker->loop = loop;
	queue_init(&worker->urgent);
	queue_init(&worker->todo);
	queue_init(&worker->done);
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->wake, NULL);
	worker->source.ready = worker_ready;
	worker->source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->source.fd < 0) {
		r = -errno;
		goto free_worker;
	}
	r = loop_add(loop, &worker->source, POLLIN);
	if (r < 0)
		goto close_fd;
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&worker->thread, NULL, worker_thread, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0)
		goto remove_source;
	pthread_setname_np(worker->thread, name);
	*ret = worker;
	return 0;

remove_source:
	loop_remove(loop, &worker->source);
close_fd:
	close(worker->source.fd);
free_worker:
	free(worker);
	return r;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->stop = true;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
	pthread_join(worker->thread, NULL);
	loop_remove(worker->loop, &worker->source);
	close(worker->source.fd);
	free(worker);
}

void worker_queue(struct worker *worker, struct worker_job *job, bool urgent)
{
	pthread_mutex_lock(&worker->lock);
	queue_push(urgent ? &worker->urgent : &worker->todo, job);
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
}
