// SPDX-License-Identifier: GPL-2.0-or-later
#include "stand-in.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "agent.h"
#include "by-hand.h"
#include "connect.h"
#include "hello.h"
#include "log.h"
#include "means.h"
#include "region.h"
#include "ring.h"

#define NSEC_PER_SEC	UINT64_C(1000000000)
/* A VM is looked at this often: while something is under way, and else. */
#define LOOK_BUSY_MS	250
#define LOOK_MS		2000
/* Between attempts to reach memtided, and how long an answer of it is waited for. */
#define CONNECT_MS	1000
#define ANSWER_S	2
/*
 * A claim is for this part of the VM's RAM, and not made more often.  Once it has had what it needs for so long, pressure
 * is over.
 */
#define CLAIM_PART	16
#define CLAIM_NS	NSEC_PER_SEC
#define QUIET_NS	(5 * NSEC_PER_SEC)

struct stand_in {
	struct agent_domain *domain;
	const struct means *means;
	void *state;
	uint64_t ram;

	int fd[TIDE_VMM_FDS];
	struct memtide_region pages;		/* the guest's region, which here is ours */
	struct memtide_region counters_page;
	struct memtide_ring_producer to_host;
	struct memtide_ring_consumer from_host;
	int socket;				/* -1: not connected */
	int call_watch, socket_watch, look_timer, connect_timer;
	char refusal[TIDE_VMM_TEXT_SIZE];	/* said already */

	struct memtide_counters counters;
	struct memtide_stats stats;
	struct memtide_state wish;		/* memtided's; generation 0: none yet */
	uint64_t usable;
	uint64_t asked;				/* of the means; 0: nothing yet */
	bool astray;				/* at the last look */
	uint64_t by_hand;			/* what somebody else has set it to and memtided does not know; 0: nothing */
	bool pressed;
	uint64_t pressed_ns;			/* when it last was */
	uint64_t claimed_ns;			/* when memtided was last told */
	bool known;				/* it has been looked at */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static void *pages_at(const struct stand_in *s, size_t offset)
{
	return (char *)s->pages.start + offset;
}

static void ring(int fd)
{
	uint64_t one = 1;

	/* A full counter means that it was rung and nobody has looked yet. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

/*
 * What memtided reads
 */

static void put_counters(struct stand_in *s, bool notify)
{
	s->counters.notify += notify;
	memtide_counters_write(s->counters_page.start, &s->counters);
	if (notify)
		ring(s->fd[TIDE_VMM_FD_NOTIFY]);
}

static void put_stats(struct stand_in *s)
{
	s->stats.generation = s->wish.generation;
	s->stats.given = s->counters.given_bytes;
	memtide_stats_write(pages_at(s, VIRTIO_TIDE_STATS_OFFSET), &s->stats);
}

static void put_event(struct stand_in *s, uint32_t type, uint64_t a, uint64_t b)
{
	struct memtide_event event = { .type = type, .time_ns = now_ns(), .a = a, .b = b };

	/* A full ring has one in it already. */
	memtide_ring_push(&s->to_host, &event);
	ring(s->fd[TIDE_VMM_FD_DOORBELL]);
}

static void count_usable(struct stand_in *s, uint64_t usable)
{
	uint64_t given = s->ram - (usable < s->ram ? usable : s->ram);

	s->usable = s->ram - given;
	if (given == s->counters.given_bytes)
		return;
	if (given > s->counters.given_bytes)
		s->counters.gave_bytes += given - s->counters.given_bytes;
	else
		s->counters.took_bytes += s->counters.given_bytes - given;
	s->counters.given_bytes = given;
	put_counters(s, false);
}

/* The guest has started anew, or has lost its driver: nothing that was said before holds. */
static void new_epoch(struct stand_in *s)
{
	s->counters.epoch++;
	s->counters.flags = 0;
	s->counters.fence_generation = 0;
	s->counters.fence_given_bytes = 0;
	s->wish.generation = 0;
	s->asked = 0;
	s->pressed = false;
	memset(&s->stats, 0, sizeof(s->stats));
	memset(pages_at(s, VIRTIO_TIDE_STATS_OFFSET), 0, VIRTIO_TIDE_HINTS_OFFSET - VIRTIO_TIDE_STATS_OFFSET);
	memtide_ring_produce_from(&s->to_host, pages_at(s, VIRTIO_TIDE_TO_HOST_OFFSET));
	memtide_ring_consume_from(&s->from_host, pages_at(s, VIRTIO_TIDE_TO_GUEST_OFFSET));
	put_counters(s, true);
}

static bool fenced(const struct stand_in *s)
{
	return s->counters.flags & TIDE_COUNTERS_FENCED && s->counters.fence_generation == s->wish.generation;
}

/* Whether it has come down to what it may have, which memtided waits for. */
static void fence(struct stand_in *s)
{
	if (!s->wish.generation || fenced(s) || s->usable > s->wish.ceiling)
		return;
	s->counters.flags |= TIDE_COUNTERS_FENCED;
	s->counters.fence_generation = s->wish.generation;
	s->counters.fence_given_bytes = s->counters.given_bytes;
	put_counters(s, true);
}

/*
 * Doing
 */

static bool close_to(uint64_t a, uint64_t b)
{
	return (a < b ? b - a : a - b) < MEANS_CLOSE_BYTES;
}

/*
 * A guest with a driver of ours comes to its target and takes back up to its ceiling when it has to, in no time.  This
 * one cannot, so it has at once what it is charged for in any case.
 */
static void pursue(struct stand_in *s)
{
	uint64_t goal = s->wish.ceiling;

	if (!s->wish.generation || !(s->counters.flags & TIDE_COUNTERS_DRIVER_OK) || s->astray || s->by_hand)
		return;
	/* Left alone: nothing is taken. */
	if (s->wish.flags & VIRTIO_TIDE_STATE_RELEASE && goal <= s->usable)
		return;
	if (s->asked && close_to(goal, s->asked) && (s->means->kind == TIDE_VMM_BALLOON || s->usable <= goal))
		return;
	/* After a restart, say: somebody else may be about to set it just now, and is not to be overruled. */
	if (!s->asked && close_to(goal, s->usable) && s->means->found) {
		s->means->found(s->state, goal);
		s->asked = goal;
		return;
	}
	if (!s->means->ask(s->state, goal))
		s->asked = goal;
}

static void see_pressure(struct stand_in *s, bool pressed, uint64_t now)
{
	bool before = s->pressed;

	if (pressed) {
		s->pressed = true;
		s->pressed_ns = now;
	} else if (s->pressed && now - s->pressed_ns > QUIET_NS) {
		s->pressed = false;
	}
	if (s->pressed)
		s->stats.flags |= VIRTIO_TIDE_STATS_PRESSURE | VIRTIO_TIDE_STATS_BUSY;
	/* What it may have already it takes without asking. */
	if (pressed && s->wish.generation && s->usable + MEANS_CLOSE_BYTES >= s->wish.ceiling &&
	    now - s->claimed_ns >= CLAIM_NS) {
		s->claimed_ns = now;
		s->stats.pressure++;
		put_event(s, VIRTIO_TIDE_EV_PRESSURE, s->ram / CLAIM_PART, VIRTIO_TIDE_URGENCY_RECLAIM);
	} else if (before && !s->pressed) {
		put_event(s, VIRTIO_TIDE_EV_QUIET, 0, 0);
	}
}

/* What was set holds from here on, and what was asked for before does not matter any more. */
static void tell_by_hand(struct stand_in *s)
{
	if (by_hand_tell(s->domain, s->by_hand) < 0)
		return;
	s->asked = s->by_hand;
	s->by_hand = 0;
	s->wish.generation = 0;
}

/* Returns whether there was anything to be seen. */
static bool look(struct stand_in *s)
{
	struct means_view view = { .usable = 0 };
	uint64_t now = now_ns(), pressures = s->stats.pressure;
	uint32_t refresh = s->stats.refresh;

	if (s->means->look(s->state, now, &view) < 0)
		return false;
	count_usable(s, view.usable);
	if (!view.driver && s->counters.flags & TIDE_COUNTERS_DRIVER_OK)
		new_epoch(s);
	if (view.driver && !(s->counters.flags & TIDE_COUNTERS_DRIVER_OK)) {
		s->counters.flags |= TIDE_COUNTERS_DRIVER_OK;
		put_counters(s, true);
	}
	s->known = true;
	s->astray = view.astray;
	s->stats = view.stats;
	s->stats.refresh = refresh;
	s->stats.pressure = pressures;
	s->stats.time_ns = now;
	s->stats.flags = view.stuck ? VIRTIO_TIDE_STATS_STALLED : 0;
	if (view.driver)
		see_pressure(s, view.pressed, now);
	put_stats(s);
	fence(s);
	if (view.by_hand)
		s->by_hand = view.by_hand;
	if (s->by_hand)
		tell_by_hand(s);
	pursue(s);
	return true;
}

static bool busy(const struct stand_in *s)
{
	bool there = close_to(s->usable, s->wish.ceiling) || s->wish.flags & VIRTIO_TIDE_STATE_RELEASE;

	return s->pressed || (s->wish.generation && (!fenced(s) || !there));
}

static void look_again(struct stand_in *s)
{
	virEventUpdateTimeout(s->look_timer, busy(s) ? LOOK_BUSY_MS : LOOK_MS);
}

static void look_expired(int timer, void *opaque)
{
	struct stand_in *s = opaque;

	look(s);
	look_again(s);
}

/* memtided has something to say: events first, which are of no interest here beyond being there. */
static void call_ready(int watch, int fd, int events, void *opaque)
{
	struct memtide_event event[VIRTIO_TIDE_RING_RECORDS];
	struct stand_in *s = opaque;
	struct memtide_state wish;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	memtide_ring_pull(&s->from_host, event, VIRTIO_TIDE_RING_RECORDS);
	if (memtide_state_read(pages_at(s, VIRTIO_TIDE_STATE_OFFSET), &wish) < 0)
		return;
	s->wish = wish;
	if (wish.refresh != s->stats.refresh) {
		s->stats.refresh = wish.refresh;
		if (look(s))
			ring(s->fd[TIDE_VMM_FD_DOORBELL]);
	} else {
		fence(s);
		put_stats(s);
		pursue(s);
	}
	look_again(s);
}

/*
 * Connecting
 */

static void hang_up(struct stand_in *s)
{
	if (s->socket < 0)
		return;
	virEventRemoveHandle(s->socket_watch);
	close(s->socket);
	s->socket = -1;
	virEventUpdateTimeout(s->connect_timer, CONNECT_MS);
}

/* After the answer nothing is said on it, so whatever happens ends it.  The VM keeps what it has meanwhile. */
static void socket_ready(int watch, int fd, int events, void *opaque)
{
	hang_up(opaque);
}

static int open_socket(const char *path)
{
	struct timeval limit = { .tv_sec = ANSWER_S };
	int fd = memtide_connect(path, 0);

	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

static int say_hello(const struct stand_in *s, int fd, struct memtide_errtext *errtext)
{
	struct memtide_hello hello = { .ram_bytes = s->ram, .kind = s->means->kind, .has_uuid = true };
	int r;

	if (virDomainGetUUID(s->domain->handle, hello.uuid) < 0)
		return -ESRCH;
	snprintf(hello.name, sizeof(hello.name), "%.*s", (int)sizeof(hello.name) - 1, s->domain->name);
	memcpy(hello.fd, s->fd, sizeof(hello.fd));
	r = memtide_hello_send(fd, &hello);
	return r < 0 ? r : memtide_answer_wait(fd, errtext);
}

static void connect_expired(int timer, void *opaque)
{
	struct stand_in *s = opaque;
	struct memtide_errtext errtext = { .text = "" };
	int fd, r;

	virEventUpdateTimeout(timer, CONNECT_MS);
	if (!s->known)
		look(s);
	if (!s->known)
		return;
	fd = open_socket(s->domain->agent->config.vmm_socket);
	if (fd < 0)
		return;
	r = say_hello(s, fd, &errtext);
	if (r < 0) {
		close(fd);
		if (strcmp(s->refusal, errtext.text))
			log_warning("%s: memtided does not take it: %s", s->domain->name,
				    errtext.text[0] ? errtext.text : strerror(-r));
		snprintf(s->refusal, sizeof(s->refusal), "%s", errtext.text);
		return;
	}
	s->refusal[0] = '\0';
	s->socket = fd;
	s->socket_watch = virEventAddHandle(fd, VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_HANGUP, socket_ready, s,
					    NULL);
	virEventUpdateTimeout(timer, -1);
	ring(s->fd[TIDE_VMM_FD_CALL]);
}

/*
 * Coming and going
 */

static int map(int fd, size_t size, struct memtide_region *ret_region)
{
	void *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (start == MAP_FAILED)
		return -errno;
	*ret_region = (struct memtide_region){ .start = start, .size = size };
	return 0;
}

static int make_pages(struct stand_in *s)
{
	struct virtio_tide_header *header;
	int r;

	s->fd[TIDE_VMM_FD_STATE] = memtide_region_create("memtide-state", VIRTIO_TIDE_STATE_SIZE);
	s->fd[TIDE_VMM_FD_COUNTERS] = memtide_region_create("memtide-counters", TIDE_COUNTERS_SIZE);
	for (int i = TIDE_VMM_FD_DOORBELL; i < TIDE_VMM_FDS; i++)
		s->fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (int i = 0; i < TIDE_VMM_FDS; i++)
		if (s->fd[i] < 0)
			return -EMFILE;
	r = map(s->fd[TIDE_VMM_FD_STATE], VIRTIO_TIDE_STATE_SIZE, &s->pages);
	if (!r)
		r = map(s->fd[TIDE_VMM_FD_COUNTERS], TIDE_COUNTERS_SIZE, &s->counters_page);
	if (r)
		return r;
	header = pages_at(s, VIRTIO_TIDE_HEADER_OFFSET);
	*header = (struct virtio_tide_header){
		.magic = htole32(VIRTIO_TIDE_MAGIC), .version = htole32(VIRTIO_TIDE_VERSION),
		.size = htole32(VIRTIO_TIDE_STATE_SIZE),
	};
	s->counters.ram_bytes = s->ram;
	new_epoch(s);
	return 0;
}

static void stand_in_free(struct stand_in *s)
{
	if (s->connect_timer >= 0)
		virEventRemoveTimeout(s->connect_timer);
	if (s->look_timer >= 0)
		virEventRemoveTimeout(s->look_timer);
	if (s->call_watch >= 0)
		virEventRemoveHandle(s->call_watch);
	if (s->socket >= 0) {
		virEventRemoveHandle(s->socket_watch);
		close(s->socket);
	}
	if (s->state)
		s->means->close(s->state);
	memtide_region_unmap(&s->pages);
	memtide_region_unmap(&s->counters_page);
	for (int i = 0; i < TIDE_VMM_FDS; i++)
		if (s->fd[i] >= 0)
			close(s->fd[i]);
	free(s);
}

static struct stand_in *stand_in_new(struct agent_domain *domain, const struct means *means)
{
	struct stand_in *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return NULL;
	s->domain = domain;
	s->means = means;
	s->ram = domain->about.limits.memory.value;
	s->socket = s->call_watch = s->look_timer = s->connect_timer = -1;
	for (int i = 0; i < TIDE_VMM_FDS; i++)
		s->fd[i] = -1;
	r = means->open(domain, s->ram, &s->state);
	if (!r)
		r = make_pages(s);
	if (r < 0) {
		stand_in_free(s);
		return NULL;
	}
	s->call_watch = virEventAddHandle(s->fd[TIDE_VMM_FD_CALL], VIR_EVENT_HANDLE_READABLE, call_ready, s, NULL);
	s->look_timer = virEventAddTimeout(LOOK_BUSY_MS, look_expired, s, NULL);
	s->connect_timer = virEventAddTimeout(0, connect_expired, s, NULL);
	return s;
}

/* Only who has a policy has asked to be managed. */
static const struct means *means_for(const struct agent_domain *domain)
{
	const struct memtide_domain_limits *limits = &domain->about.limits;

	if (!domain->about.has_policy || limits->tide_device || limits->memory.value == MEMTIDE_DOMAIN_UNSET ||
	    !memtide_domain_reclaimable(limits))
		return NULL;
	return limits->no_balloon ? &means_reclaim : &means_balloon;
}

void stand_in_want(struct agent_domain *domain)
{
	const struct means *means = means_for(domain);

	if (domain->stand_in && domain->stand_in->means != means) {
		stand_in_free(domain->stand_in);
		domain->stand_in = NULL;
	}
	if (means && !domain->stand_in)
		domain->stand_in = stand_in_new(domain, means);
}

void stand_in_gone(struct agent_domain *domain)
{
	if (domain->stand_in)
		stand_in_free(domain->stand_in);
	domain->stand_in = NULL;
	by_hand_gone(domain);
}

void stand_in_balloon_changed(struct agent_domain *domain, uint64_t kib)
{
	if (!domain->stand_in) {
		by_hand_balloon_changed(domain, kib << 10);
		return;
	}
	look(domain->stand_in);
	look_again(domain->stand_in);
}

void stand_in_rebooted(struct agent_domain *domain)
{
	struct stand_in *s = domain->stand_in;

	if (!s)
		return;
	if (s->means->rebooted)
		s->means->rebooted(s->state);
	new_epoch(s);
	look_again(s);
}
