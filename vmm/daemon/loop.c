// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The event loop on io_uring: multishot polls and a heap of timers.  A turn is one system call in which everything
 * that is ready is fetched, and costs nothing per source that is not.
 */
#include "loop.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

/* Submissions are flushed when the queue is full, so its size only sets how many go in one system call. */
#define LOOP_SQ_ENTRIES		256
/* One wake-up from each of two doorbells of 1,000 VMs; beyond that the kernel keeps the rest. */
#define LOOP_CQ_ENTRIES		4096
#define LOOP_NO_SLOT		UINT32_MAX
#define LOOP_NO_PLACE		SIZE_MAX
/* Answers to cancellations carry this; nobody waits for them. */
#define LOOP_IGNORE		UINT64_MAX

/* user_data is slot and generation: what arrives late for a removed source is recognised and dropped. */
struct loop_slot {
	struct loop_source *source;
	uint32_t generation;
	uint32_t events;
	uint32_t next_free;
};

struct loop {
	struct io_uring ring;
	struct loop_slot *slots;
	uint32_t nr_slots;
	uint32_t free_slot;
	struct loop_timer **heap;
	size_t heap_used;
	size_t heap_size;
	size_t timers;
	uint64_t now_ns;
	bool stop;
};

uint64_t loop_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

int loop_new(struct loop **ret)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		.cq_entries = LOOP_CQ_ENTRIES,
	};
	struct loop *loop;
	int r;

	loop = calloc(1, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	loop->free_slot = LOOP_NO_SLOT;
	r = io_uring_queue_init_params(LOOP_SQ_ENTRIES, &loop->ring, &params);
	if (r == -EINVAL) {
		/* Before 6.1: the same, less well batched. */
		params = (struct io_uring_params){ .flags = IORING_SETUP_CQSIZE, .cq_entries = LOOP_CQ_ENTRIES };
		r = io_uring_queue_init_params(LOOP_SQ_ENTRIES, &loop->ring, &params);
	}
	if (r < 0) {
		free(loop);
		return r;
	}
	io_uring_ring_dontfork(&loop->ring);
	loop->now_ns = loop_clock();
	*ret = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	io_uring_queue_exit(&loop->ring);
	free(loop->slots);
	free(loop->heap);
	free(loop);
}

uint64_t loop_now(const struct loop *loop)
{
	return loop->now_ns;
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}

static struct io_uring_sqe *get_sqe(struct loop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	if (sqe)
		return sqe;
	io_uring_submit(&loop->ring);
	return io_uring_get_sqe(&loop->ring);
}

static uint64_t slot_data(const struct loop *loop, uint32_t slot)
{
	return (uint64_t)loop->slots[slot].generation << 32 | slot;
}

static int arm(struct loop *loop, uint32_t slot)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	if (!sqe)
		return -ENOSPC;
	io_uring_prep_poll_multishot(sqe, loop->slots[slot].source->fd, loop->slots[slot].events);
	io_uring_sqe_set_data64(sqe, slot_data(loop, slot));
	return 0;
}

static int grow_slots(struct loop *loop)
{
	uint32_t size = loop->nr_slots ? loop->nr_slots * 2 : 64;
	struct loop_slot *slots = realloc(loop->slots, size * sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint32_t i = size; i-- > loop->nr_slots;) {
		slots[i] = (struct loop_slot){ .next_free = loop->free_slot };
		loop->free_slot = i;
	}
	loop->slots = slots;
	loop->nr_slots = size;
	return 0;
}

/* slot is stored with one added, so that a source that was zeroed is one that was never added. */
bool loop_has(const struct loop_source *source)
{
	return source->slot != 0;
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events)
{
	uint32_t slot;
	int r;

	if (loop->free_slot == LOOP_NO_SLOT) {
		r = grow_slots(loop);
		if (r < 0)
			return r;
	}
	slot = loop->free_slot;
	loop->slots[slot].source = source;
	loop->slots[slot].events = events;
	r = arm(loop, slot);
	if (r < 0) {
		loop->slots[slot].source = NULL;
		return r;
	}
	loop->free_slot = loop->slots[slot].next_free;
	source->slot = slot + 1;
	return 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	struct io_uring_sqe *sqe;
	uint32_t slot;

	if (!loop_has(source))
		return;
	slot = source->slot - 1;
	source->slot = 0;
	sqe = get_sqe(loop);
	if (sqe) {
		/* Not a poll removal: that fails while a wake-up is under way, as it always is in a flood. */
		io_uring_prep_cancel64(sqe, slot_data(loop, slot), 0);
		io_uring_sqe_set_data64(sqe, LOOP_IGNORE);
	}
	loop->slots[slot].source = NULL;
	loop->slots[slot].generation++;
	loop->slots[slot].next_free = loop->free_slot;
	loop->free_slot = slot;
}

static void heap_put(struct loop *loop, size_t place, struct loop_timer *timer)
{
	loop->heap[place] = timer;
	timer->place = place;
}

static void heap_up(struct loop *loop, size_t place)
{
	struct loop_timer *timer = loop->heap[place];

	while (place && loop->heap[(place - 1) / 2]->at_ns > timer->at_ns) {
		heap_put(loop, place, loop->heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	heap_put(loop, place, timer);
}

static void heap_down(struct loop *loop, size_t place)
{
	struct loop_timer *timer = loop->heap[place];

	for (;;) {
		size_t child = 2 * place + 1;

		if (child >= loop->heap_used)
			break;
		if (child + 1 < loop->heap_used && loop->heap[child + 1]->at_ns < loop->heap[child]->at_ns)
			child++;
		if (loop->heap[child]->at_ns >= timer->at_ns)
			break;
		heap_put(loop, place, loop->heap[child]);
		place = child;
	}
	heap_put(loop, place, timer);
}

int loop_timer_register(struct loop *loop, struct loop_timer *timer, void (*expired)(struct loop_timer *timer))
{
	if (loop->timers == loop->heap_size) {
		size_t size = loop->heap_size ? loop->heap_size * 2 : 64;
		struct loop_timer **heap = realloc(loop->heap, size * sizeof(*heap));

		if (!heap)
			return -ENOMEM;
		loop->heap = heap;
		loop->heap_size = size;
	}
	loop->timers++;
	timer->expired = expired;
	timer->place = LOOP_NO_PLACE;
	return 0;
}

/* A timer that was never registered may be given: owners clean up what they got halfway. */
void loop_timer_unregister(struct loop *loop, struct loop_timer *timer)
{
	if (!timer->expired)
		return;
	loop_timer_clear(loop, timer);
	timer->expired = NULL;
	loop->timers--;
}

bool loop_timer_is_set(const struct loop_timer *timer)
{
	return timer->expired && timer->place != LOOP_NO_PLACE;
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
	size_t place = timer->place;

	if (!loop_timer_is_set(timer))
		return;
	timer->place = LOOP_NO_PLACE;
	loop->heap_used--;
	if (place == loop->heap_used)
		return;
	heap_put(loop, place, loop->heap[loop->heap_used]);
	heap_up(loop, place);
	heap_down(loop, loop->heap[place]->place);
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ns)
{
	loop_timer_clear(loop, timer);
	timer->at_ns = at_ns;
	heap_put(loop, loop->heap_used, timer);
	loop->heap_used++;
	heap_up(loop, timer->place);
}

static void run_timers(struct loop *loop)
{
	/* One that sets itself again for now has to wait for the next turn: sources are served in between. */
	uint64_t now = loop->now_ns;
	size_t turn = loop->heap_used;

	while (turn-- && loop->heap_used && loop->heap[0]->at_ns <= now) {
		struct loop_timer *timer = loop->heap[0];

		loop_timer_clear(loop, timer);
		timer->expired(timer);
	}
}

static void handle(struct loop *loop, uint64_t data, int res, uint32_t flags)
{
	uint32_t slot = (uint32_t)data;
	struct loop_source *source;

	if (data == LOOP_IGNORE || slot >= loop->nr_slots)
		return;
	source = loop->slots[slot].source;
	if (!source || loop->slots[slot].generation != data >> 32)
		return;
	/* Not IORING_CQE_F_MORE: the poll ended, for an error or for lack of room in the queue. */
	if (!(flags & IORING_CQE_F_MORE) && (res < 0 || arm(loop, slot) < 0)) {
		loop_remove(loop, source);
		res = POLLERR;
	}
	source->ready(source, (uint32_t)res);
}

static int wait_turn(struct loop *loop)
{
	struct __kernel_timespec ts, *timeout = NULL;
	struct io_uring_cqe *cqe;
	int r;

	if (loop->heap_used) {
		uint64_t at = loop->heap[0]->at_ns;
		uint64_t wait = at > loop->now_ns ? at - loop->now_ns : 0;

		ts.tv_sec = (int64_t)(wait / NSEC_PER_SEC);
		ts.tv_nsec = (long long)(wait % NSEC_PER_SEC);
		timeout = &ts;
	}
	r = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, timeout, NULL);
	loop->now_ns = loop_clock();
	return r == -ETIME || r == -EINTR || r == -EAGAIN || r == -EBUSY ? 0 : r;
}

int loop_run(struct loop *loop)
{
	struct io_uring_cqe *cqe;
	int r;

	loop->stop = false;
	loop->now_ns = loop_clock();
	while (!loop->stop) {
		r = wait_turn(loop);
		if (r < 0)
			return r;
		/* One queue's worth a turn, so that timers are never kept waiting by a flood. */
		for (unsigned int n = 0; n < LOOP_CQ_ENTRIES && !io_uring_peek_cqe(&loop->ring, &cqe); n++) {
			uint64_t data = cqe->user_data;
			uint32_t flags = cqe->flags;
			int res = cqe->res;

			io_uring_cqe_seen(&loop->ring, cqe);
			handle(loop, data, res, flags);
		}
		run_timers(loop);
	}
	return 0;
}
