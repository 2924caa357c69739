// SPDX-License-Identifier: GPL-2.0-or-later
/* See steer.h. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "hello.h"
#include "region.h"
#include "steer.h"

#define ACCEPT_TIMEOUT_MS	60000

struct steer {
	int listener;
	int connection;
	struct memtide_hello hello;
	struct memtide_region region;
	struct memtide_region counters;
	struct memtide_ring_consumer events;
	struct memtide_state state;
	char path[108];
};

uint64_t steer_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

int steer_listen(const char *path, struct steer **ret_steer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct steer *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->connection = -1;
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	snprintf(s->path, sizeof(s->path), "%s", path);
	unlink(path);
	if (bind(s->listener, (struct sockaddr *)&address, sizeof(address)) || listen(s->listener, 4)) {
		perror(path);
		free(s);
		return -errno;
	}
	*ret_steer = s;
	return 0;
}

static void *at(const struct steer *s, size_t offset)
{
	return (char *)s->region.start + offset;
}

int steer_accept(struct steer *s)
{
	struct tide_vmm_answer answer;
	struct memtide_errtext text = { "" };
	struct memtide_grant grant;
	int r;

	/* a QEMU that did not start never comes */
	if (poll(&(struct pollfd){ .fd = s->listener, .events = POLLIN }, 1, ACCEPT_TIMEOUT_MS) != 1) {
		fprintf(stderr, "steer: no device connects to %s\n", s->path);
		return -ETIMEDOUT;
	}
	s->connection = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	if (s->connection < 0)
		return -errno;
	r = memtide_hello_wait(s->connection, &s->hello, &text);
	r = r ? r : memtide_region_map(s->hello.fd[TIDE_VMM_FD_STATE], "state", VIRTIO_TIDE_STATE_SIZE, &s->region, &text);
	r = r ? r : memtide_region_map(s->hello.fd[TIDE_VMM_FD_COUNTERS], "counters", TIDE_COUNTERS_SIZE, &s->counters,
				       &text);
	if (r) {
		fprintf(stderr, "steer: %s\n", text.text);
		return r;
	}
	memtide_ring_consume_from(&s->events, at(s, VIRTIO_TIDE_TO_HOST_OFFSET));
	if (memtide_grant_read(s->counters.start, &grant) == 0)
		s->state.generation = grant.generation;
	memtide_answer_fill(&answer, 0, "steered by hand");
	return send(s->connection, &answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer) ? 0 : -EPIPE;
}

void steer_disconnect(struct steer *s)
{
	if (s->connection < 0)
		return;
	close(s->connection);
	s->connection = -1;
	memtide_region_unmap(&s->region);
	memtide_region_unmap(&s->counters);
	memtide_hello_close(&s->hello);
}

void steer_free(struct steer *s)
{
	if (!s)
		return;
	steer_disconnect(s);
	close(s->listener);
	unlink(s->path);
	free(s);
}

void steer_path(struct steer *s, uint32_t path)
{
	s->state.grant = path;
}

static void publish(struct steer *s)
{
	uint64_t one = 1;

	memtide_state_write(at(s, VIRTIO_TIDE_STATE_OFFSET), &s->state);
	if (write(s->hello.fd[TIDE_VMM_FD_CALL], &one, sizeof(one)) < 0)
		perror("steer: call");
}

void steer_set(struct steer *s, uint64_t target, uint64_t ceiling, uint32_t flags, uint32_t *ret_generation)
{
	struct memtide_grant grant = { .ceiling = ceiling, .charged = ceiling, .target = target };

	s->state.generation++;
	s->state.target = target;
	s->state.ceiling = ceiling;
	s->state.flags = flags;
	grant.generation = s->state.generation;
	memtide_grant_write(s->counters.start, &grant);
	publish(s);
	if (ret_generation)
		*ret_generation = s->state.generation;
}

/* Sleeps until @fd was rung or @until_ns has come; returns false in the latter case. */
static bool wait_bell(int fd, uint64_t until_ns)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t now = steer_now_ns(), count;
	struct timespec left;

	if (now >= until_ns)
		return false;
	left.tv_sec = (until_ns - now) / 1000000000;
	left.tv_nsec = (until_ns - now) % 1000000000;
	if (ppoll(&p, 1, &left, NULL) == 1 && read(fd, &count, sizeof(count)) < 0)
		perror("steer: bell");
	return true;
}

int steer_counters(struct steer *s, struct memtide_counters *ret_counters)
{
	int r;

	do {
		r = memtide_counters_read(s->counters.start, ret_counters);
	} while (r == -EAGAIN);
	return r;
}

int steer_wait_fence(struct steer *s, uint32_t generation, unsigned int timeout_ms)
{
	uint64_t until = steer_now_ns() + timeout_ms * 1000000ULL;
	struct memtide_counters c;

	do {
		int r = steer_counters(s, &c);

		if (r)
			return r;
		if ((c.flags & TIDE_COUNTERS_FENCED) && c.fence_generation == generation)
			return 0;
	} while (wait_bell(s->hello.fd[TIDE_VMM_FD_NOTIFY], until));
	fprintf(stderr, "steer: no fence of generation %u within %u ms: last %u, given %" PRIu64 " MiB\n", generation,
		timeout_ms, c.fence_generation, c.given_bytes >> 20);
	return -ETIMEDOUT;
}

int steer_wait_given(struct steer *s, uint64_t low, uint64_t high, unsigned int timeout_ms)
{
	uint64_t until = steer_now_ns() + timeout_ms * 1000000ULL;
	struct memtide_counters c;

	/* the device rings for fences, not for every range: this one has to look */
	do {
		int r = steer_counters(s, &c);

		if (r)
			return r;
		if (c.given_bytes >= low && c.given_bytes <= high)
			return 0;
		poll(NULL, 0, 1);
	} while (steer_now_ns() < until);
	fprintf(stderr, "steer: given is %" PRIu64 " MiB after %u ms, not %" PRIu64 " to %" PRIu64 "\n", c.given_bytes >> 20,
		timeout_ms, low >> 20, high >> 20);
	return -ETIMEDOUT;
}

bool steer_poll_event(struct steer *s, uint32_t type, struct memtide_event *ret_event)
{
	while (memtide_ring_pull(&s->events, ret_event, 1) == 1) {
		if (ret_event->type == type)
			return true;
	}
	return false;
}

int steer_wait_event(struct steer *s, uint32_t type, struct memtide_event *ret_event, unsigned int timeout_ms)
{
	uint64_t until = steer_now_ns() + timeout_ms * 1000000ULL;

	do {
		if (steer_poll_event(s, type, ret_event))
			return 0;
	} while (wait_bell(s->hello.fd[TIDE_VMM_FD_DOORBELL], until));
	fprintf(stderr, "steer: no event of type %u within %u ms\n", type, timeout_ms);
	return -ETIMEDOUT;
}

int steer_stats(struct steer *s, struct memtide_stats *ret_stats, unsigned int timeout_ms)
{
	uint64_t until = steer_now_ns() + timeout_ms * 1000000ULL;

	s->state.refresh++;
	publish(s);
	do {
		if (memtide_stats_read(at(s, VIRTIO_TIDE_STATS_OFFSET), s->hello.ram_bytes, ret_stats) == 0 &&
		    ret_stats->refresh == s->state.refresh)
			return 0;
	} while (wait_bell(s->hello.fd[TIDE_VMM_FD_DOORBELL], until));
	fprintf(stderr, "steer: no fresh statistics within %u ms\n", timeout_ms);
	return -ETIMEDOUT;
}

void *steer_region(struct steer *s, size_t *ret_size)
{
	*ret_size = s->region.size;
	return s->region.start;
}

int steer_doorbell(struct steer *s)
{
	return s->hello.fd[TIDE_VMM_FD_DOORBELL];
}
