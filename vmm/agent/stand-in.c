// SPDX-License-Identifier: GPL-2.0-or-later
#include "stand-in.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "agent.h"
#include "by-hand.h"
#include "call.h"
#include "connect.h"
#include "device-side.h"
#include "hello.h"
#include "log.h"
#include "means.h"
#include "worker.h"

#define NSEC_PER_SEC	UINT64_C(1000000000)
/* A VM is looked at this often: while something is under way, and else. */
#define LOOK_BUSY_MS	250
#define LOOK_MS		2000
/* Between attempts to reach memtided, and how long an answer of it is waited for. */
#define CONNECT_MS	1000
#define ANSWER_S	2
#define CALL_MS		2000
/*
 * A claim is for this part of the VM's RAM, and not made more often.  Once it has had what it needs for so long,
 * pressure is over.
 */
#define CLAIM_PART	16
#define CLAIM_NS	NSEC_PER_SEC
#define QUIET_NS	(5 * NSEC_PER_SEC)
/* Until memtided is asked again for what it has refused. */
#define REFUSED_NS	(3 * NSEC_PER_SEC)
/* Without a look for so long it is said that the VM is not looked after.  memtided has a notion of its own of that. */
#define SILENT_NS	(5 * NSEC_PER_SEC)

/* What is done in the worker's thread, and with what; the worker's while it is busy, else the loop's. */
struct turn {
	const struct means *means;
	struct means_vm vm;
	void *state;				/* NULL: it could not be opened yet */
	int error;
	struct means_turn io;
};

struct stand_in {
	struct agent_domain *domain;
	const struct means *means;
	uint64_t ram;
	struct worker *worker;
	struct turn *turn;			/* the worker's own */
	uint32_t turn_refresh;			/* what memtided had asked for when it began */
	bool rebooted;				/* since a turn began last */
	bool again;				/* ... somebody has asked for another */
	bool failed;				/* the last one has: it is not tried again at once */
	uint64_t looked_ns;			/* when one has shown something last */
	bool silent;				/* ... and it was said that this is long ago */
	char obstacle[MEMTIDE_ERRTEXT_SIZE];	/* why it cannot be opened, as it was said last */

	struct memtide_device_side side;	/* the guest's region is ours as well here */
	int socket;				/* -1: not connected */
	int call_watch, socket_watch, look_timer, connect_timer;
	char refusal[TIDE_VMM_TEXT_SIZE];	/* said already */

	struct memtide_counters counters;
	struct memtide_stats stats;
	struct memtide_state wish;		/* memtided's; generation 0: none yet */
	uint64_t usable;
	uint64_t asked;				/* of the means; 0: nothing that is known to hold */
	uint64_t asking;			/* ... in the turn that is under way */
	uint64_t tried;				/* ... in the turn before that */
	bool lapsed;				/* ... and what was does not */
	bool fresh;				/* nothing was asked since the guest or this has started */
	bool astray;				/* at the last look */
	uint64_t by_hand;			/* what somebody else has set it to and memtided does not know; 0: nothing */
	bool pressed;
	uint64_t pressed_ns;			/* when it last was */
	uint64_t claimed_ns;			/* when memtided was last told */
	bool known;				/* it has been looked at */
	bool parting;				/* its policy has gone: it is released, and then this goes */
	uint64_t refused_ns;			/* when memtided has last refused to; 0: it has not */
};

uint64_t means_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static void stand_in_free(struct stand_in *s);

/*
 * What memtided reads
 */

static void put_counters(struct stand_in *s, bool notify)
{
	s->counters.notify += notify;
	memtide_counters_write(s->side.counters.start, &s->counters);
	if (notify)
		memtide_device_side_ring(&s->side, TIDE_VMM_FD_NOTIFY);
}

static void put_stats(struct stand_in *s)
{
	s->stats.generation = s->wish.generation;
	s->stats.given = s->counters.given_bytes;
	memtide_stats_write(memtide_device_side_at(&s->side, VIRTIO_TIDE_STATS_OFFSET), &s->stats);
}

static void put_event(struct stand_in *s, uint32_t type, uint64_t a, uint64_t b)
{
	struct memtide_event event = { .type = type, .time_ns = means_now_ns(), .a = a, .b = b };

	/* A full ring has one in it already. */
	memtide_ring_push(&s->side.to_host, &event);
	memtide_device_side_ring(&s->side, TIDE_VMM_FD_DOORBELL);
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
	s->lapsed = false;
	s->tried = 0;
	s->fresh = true;
	s->pressed = false;
	memset(&s->stats, 0, sizeof(s->stats));
	memset(memtide_device_side_at(&s->side, VIRTIO_TIDE_STATS_OFFSET), 0,
	       VIRTIO_TIDE_HINTS_OFFSET - VIRTIO_TIDE_STATS_OFFSET);
	memtide_device_side_begin(&s->side);
	put_counters(s, true);
}

static bool fenced(const struct stand_in *s)
{
	return s->counters.flags & TIDE_COUNTERS_FENCED && s->counters.fence_generation == s->wish.generation;
}

/* Nothing that was asked of it lets it have more than it may. */
static bool is_bound(const struct stand_in *s)
{
	if (s->means->kind != TIDE_VMM_BALLOON || s->wish.flags & VIRTIO_TIDE_STATE_RELEASE)
		return true;
	return s->asked && s->asked <= s->wish.ceiling && s->asking <= s->wish.ceiling;
}

/* Whether it has come down to what it may have, which memtided waits for. */
static void fence(struct stand_in *s)
{
	if (!s->wish.generation || fenced(s) || s->usable > s->wish.ceiling || !is_bound(s))
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
 * What it is to be asked for now, 0: nothing.  A guest with a driver of ours comes to its target and takes back up to
 * its ceiling when it has to, in no time.  This one cannot, so it has at once what it is charged for in any case.
 */
static uint64_t to_ask(const struct stand_in *s)
{
	uint64_t goal = s->wish.ceiling;

	if (!s->wish.generation || !(s->counters.flags & TIDE_COUNTERS_DRIVER_OK) || s->astray || s->by_hand)
		return 0;
	/* Nothing more is taken from outside; a guest that was asked keeps to what memtided has promised others. */
	if (s->parting && s->means->kind == TIDE_VMM_RECLAIM)
		return 0;
	/* What the guest has let go is not taken at once: it was short of memory. */
	if (s->lapsed && s->pressed)
		return 0;
	/* Left alone: nothing is taken. */
	if (s->wish.flags & VIRTIO_TIDE_STATE_RELEASE && goal <= s->usable)
		return 0;
	if (s->asked && s->asked <= goal && close_to(goal, s->asked) &&
	    (s->means->kind == TIDE_VMM_BALLOON || s->usable <= goal))
		return 0;
	return goal;
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
	s->lapsed = false;
	s->tried = 0;
	s->by_hand = 0;
	s->wish.generation = 0;
}

static void take_stats(struct stand_in *s, const struct means_view *view, uint64_t now)
{
	uint64_t pressures = s->stats.pressure;
	uint32_t refresh = s->stats.refresh;

	s->stats = view->stats;
	s->stats.refresh = refresh;
	s->stats.pressure = pressures;
	s->stats.time_ns = now;
	s->stats.flags = view->stuck ? VIRTIO_TIDE_STATS_STALLED : 0;
	if (view->driver)
		see_pressure(s, view->pressed, now);
}

/* What memtided has asked for before the look began is answered by it. */
static void answer_refresh(struct stand_in *s)
{
	bool asked = s->turn_refresh != s->stats.refresh;

	s->stats.refresh = s->turn_refresh;
	put_stats(s);
	if (asked)
		memtide_device_side_ring(&s->side, TIDE_VMM_FD_DOORBELL);
}

static void take_view(struct stand_in *s, const struct means_view *view, uint64_t now)
{
	count_usable(s, view->usable);
	if (!view->driver && s->counters.flags & TIDE_COUNTERS_DRIVER_OK)
		new_epoch(s);
	if (view->driver && !(s->counters.flags & TIDE_COUNTERS_DRIVER_OK)) {
		s->counters.flags |= TIDE_COUNTERS_DRIVER_OK;
		put_counters(s, true);
	}
	if (!s->known)
		virEventUpdateTimeout(s->connect_timer, 0);
	s->known = true;
	s->astray = view->astray;
	s->lapsed |= view->lapsed;
	if (s->lapsed)
		s->asked = 0;
	take_stats(s, view, now);
	answer_refresh(s);
	fence(s);
	if (view->by_hand)
		s->by_hand = view->by_hand;
	if (s->by_hand)
		tell_by_hand(s);
}

/*
 * With a policy and without
 */

static bool is_released(const struct stand_in *s)
{
	return s->wish.generation && s->wish.flags & VIRTIO_TIDE_STATE_RELEASE;
}

/* "vm.release" or "vm.adopt".  Returns whether that is done with. */
static bool have_it(struct stand_in *s, const char *method, struct memtide_errtext *errtext)
{
	json_t *result = NULL;
	int r;

	if (s->refused_ns && means_now_ns() - s->refused_ns < REFUSED_NS)
		return false;
	r = memtide_call_until(s->domain->agent->config.control_socket, method,
			       json_pack("{s:s}", "vm", s->domain->uuid), memtide_call_now_ms() + CALL_MS, &result,
			       errtext);
	json_decref(result);
	/* That it is managed already is fine as well. */
	if (r == -EREMOTEIO && !s->parting)
		r = 0;
	if (r < 0)
		s->refused_ns = means_now_ns();
	else
		s->refused_ns = 0;
	return !r;
}

static void adopt(struct stand_in *s)
{
	struct memtide_errtext errtext = { .text = "" };

	if (have_it(s, "vm.adopt", &errtext))
		s->domain->released = false;
}

static void release(struct stand_in *s)
{
	bool said = s->refused_ns;
	struct memtide_errtext errtext = { .text = "" };

	if (have_it(s, "vm.release", &errtext)) {
		s->domain->released = true;
		log_info("%s is not managed any more: what was taken from it goes back to it", s->domain->name);
	} else if (!said) {
		log_warning("%s is not to be managed any more, and what was taken from it cannot go back to it yet: %s",
			    s->domain->name, errtext.text);
	}
}

/* With all that memtided lets it have, once it is released; by reclaim nothing has to be given back. */
static bool has_all(const struct stand_in *s)
{
	if (!(s->counters.flags & TIDE_COUNTERS_DRIVER_OK))
		return close_to(s->usable, s->ram);
	return is_released(s) &&
	       (s->means->kind == TIDE_VMM_RECLAIM || s->usable + MEANS_CLOSE_BYTES >= s->wish.ceiling);
}

/* What a policy that has gone or come asks for, where memtided knows this one.  It may be gone after this. */
static void settle(struct stand_in *s)
{
	struct agent_domain *domain = s->domain;

	if (!s->known || s->socket < 0)
		return;
	if (!s->parting) {
		if (domain->released)
			adopt(s);
	} else if (has_all(s)) {
		domain->parted = true;
		domain->stand_in = NULL;
		stand_in_free(s);
	} else if (s->counters.flags & TIDE_COUNTERS_DRIVER_OK && s->wish.generation && !is_released(s)) {
		release(s);
	}
}

/*
 * Turns
 */

static void run_turn(void *arg)
{
	struct turn *turn = arg;

	turn->error = 0;
	if (!turn->state)
		turn->error = turn->means->open(&turn->vm, &turn->state, &turn->io.ret_errtext);
	if (!turn->error)
		turn->error = turn->means->turn(turn->state, &turn->io);
}

static void free_turn(void *arg)
{
	struct turn *turn = arg;

	if (turn->state)
		turn->means->close(turn->state);
	free(turn);
}

static bool can_begin(const struct stand_in *s)
{
	return !worker_is_busy(s->worker) && (s->domain->agent->libvirt.handle || !s->means->needs_libvirt);
}

static void begin_turn(struct stand_in *s)
{
	uint64_t goal = to_ask(s);
	struct means_turn *io = &s->turn->io;

	s->again = false;
	s->turn_refresh = s->wish.generation ? s->wish.refresh : s->stats.refresh;
	io->rebooted = s->rebooted;
	s->rebooted = false;
	io->found = 0;
	io->ret_asked = false;
	io->ret_errtext.text[0] = '\0';
	/* After a restart, say: somebody else may be about to set it just now, and is not to be overruled. */
	if (goal && s->fresh && close_to(goal, s->usable) && s->usable <= goal) {
		io->found = goal;
		s->asked = goal;
		s->fresh = false;
		goal = 0;
	}
	io->ask = goal;
	s->asking = goal;
	s->tried = goal ? goal : s->tried;
	worker_begin(s->worker);
}

static bool busy(const struct stand_in *s)
{
	bool there = close_to(s->usable, s->wish.ceiling) || is_released(s);

	return s->pressed || s->astray || (s->parting && is_released(s)) ||
	       (s->wish.generation && (!fenced(s) || !there));
}

/* What has come up since a turn began does not wait for the next look; what was tried just now does. */
static bool has_news(const struct stand_in *s)
{
	uint64_t goal = to_ask(s);

	return s->again || s->rebooted || (s->wish.generation && s->wish.refresh != s->stats.refresh) ||
	       (goal && goal != s->tried);
}

/* It may be gone after this. */
static void go_on(struct stand_in *s)
{
	if (has_news(s) && !s->failed && can_begin(s))
		begin_turn(s);
	virEventUpdateTimeout(s->look_timer, busy(s) && !s->failed && !worker_is_busy(s->worker) ? LOOK_BUSY_MS : LOOK_MS);
	settle(s);
}

static void say_silence(struct stand_in *s)
{
	const char *waits_for = s->turn->io.waits_for;

	/* That libvirt is away is said once for all of them, and why one cannot be opened is said as well. */
	if (s->obstacle[0] || (!worker_is_busy(s->worker) && !can_begin(s)))
		s->looked_ns = means_now_ns();
	if (s->silent || means_now_ns() - s->looked_ns < SILENT_NS)
		return;
	s->silent = true;
	if (worker_is_busy(s->worker))
		log_warning("%s cannot be looked after: it waits for %s", s->domain->name,
			    waits_for ? waits_for : "an answer");
	else
		log_warning("%s cannot be looked after: %s", s->domain->name, s->turn->io.ret_errtext.text);
}

static void say_obstacle(struct stand_in *s, const char *text)
{
	if (text[0] && strcmp(s->obstacle, text))
		log_warning("%s cannot be managed by %s: %s", s->domain->name, s->means->name, text);
	snprintf(s->obstacle, sizeof(s->obstacle), "%s", text);
}

static void take_result(struct stand_in *s)
{
	struct turn *turn = s->turn;
	uint64_t now = means_now_ns();

	if (s->asking) {
		s->asked = turn->io.ret_asked && !turn->error ? s->asking : turn->error ? 0 : s->asked;
		s->fresh = s->fresh && !turn->io.ret_asked && !turn->error;
		s->lapsed = s->lapsed && !turn->io.ret_asked;
	}
	s->asking = 0;
	s->failed = turn->error;
	say_obstacle(s, turn->state ? "" : turn->io.ret_errtext.text);
	if (turn->error) {
		log_debug("%s: %s", s->domain->name, turn->io.ret_errtext.text);
		return;
	}
	if (s->silent)
		log_info("%s is looked after again", s->domain->name);
	s->silent = false;
	s->looked_ns = now;
	take_view(s, &turn->io.ret_view, now);
}

static void turn_done(void *owner)
{
	struct stand_in *s = owner;

	/* What was before a reboot does not matter any more. */
	if (s->rebooted)
		s->asking = 0;
	else
		take_result(s);
	say_silence(s);
	go_on(s);
}

static const struct worker_ops turn_ops = { .run = run_turn, .done = turn_done, .free = free_turn };

static void look_expired(int timer, void *opaque)
{
	struct stand_in *s = opaque;

	s->again = true;
	s->failed = false;
	say_silence(s);
	go_on(s);
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
	memtide_ring_pull(&s->side.from_host, event, VIRTIO_TIDE_RING_RECORDS);
	if (memtide_state_read(memtide_device_side_at(&s->side, VIRTIO_TIDE_STATE_OFFSET), &wish) < 0)
		return;
	s->wish = wish;
	fence(s);
	put_stats(s);
	go_on(s);
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
	memcpy(hello.fd, s->side.fd, sizeof(hello.fd));
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
	/* What memtided has put there is to be looked at. */
	memtide_device_side_ring(&s->side, TIDE_VMM_FD_CALL);
}

/*
 * Coming and going
 */

static int make_side(struct stand_in *s)
{
	struct virtio_tide_header *header;
	int r = memtide_device_side_make(&s->side, true);

	if (r < 0)
		return r;
	header = memtide_device_side_at(&s->side, VIRTIO_TIDE_HEADER_OFFSET);
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
	if (s->worker)
		s->turn->io.over = true;
	else
		free(s->turn);
	worker_leave(s->worker);
	memtide_device_side_close(&s->side);
	free(s);
}

static int describe(const struct agent_domain *domain, struct means_vm *ret_vm)
{
	const char *uri = domain->agent->config.libvirt_uri;
	struct means_vm vm;

	memset(&vm, 0, sizeof(vm));
	if ((size_t)snprintf(vm.libvirt_uri, sizeof(vm.libvirt_uri), "%s", uri) >= sizeof(vm.libvirt_uri))
		return -ENAMETOOLONG;
	memcpy(vm.uuid, domain->uuid, sizeof(vm.uuid));
	vm.pid = domain->pid;
	vm.ram = domain->about.limits.memory.value;
	vm.autodeflate = domain->about.limits.autodeflate;
	*ret_vm = vm;
	return 0;
}

static int make_turn(struct stand_in *s)
{
	int r;

	s->turn = calloc(1, sizeof(*s->turn));
	if (!s->turn)
		return -ENOMEM;
	s->turn->means = s->means;
	r = describe(s->domain, &s->turn->vm);
	return r ?: worker_new("stand-in", &turn_ops, s->turn, s, &s->worker);
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
	s->looked_ns = means_now_ns();
	s->socket = s->call_watch = s->look_timer = s->connect_timer = -1;
	r = make_side(s);
	if (!r)
		r = make_turn(s);
	if (r < 0) {
		log_error("nothing can stand in for %s: %s", domain->name, strerror(-r));
		stand_in_free(s);
		return NULL;
	}
	s->call_watch = virEventAddHandle(s->side.fd[TIDE_VMM_FD_CALL], VIR_EVENT_HANDLE_READABLE, call_ready, s, NULL);
	s->look_timer = virEventAddTimeout(0, look_expired, s, NULL);
	s->connect_timer = virEventAddTimeout(0, connect_expired, s, NULL);
	return s;
}

static const struct means *means_for(const struct agent_domain *domain)
{
	const struct memtide_domain_limits *limits = &domain->about.limits;

	if (limits->tide_device || limits->memory.value == MEMTIDE_DOMAIN_UNSET)
		return NULL;
	return limits->no_balloon ? &means_reclaim : &means_balloon;
}

/* Only who has a policy has asked to be managed. */
static bool is_to_be_managed(const struct agent_domain *domain)
{
	return domain->about.has_policy && memtide_domain_reclaimable(&domain->about.limits);
}

/* What it was made for is as it was: its memory may be another, say, since some was plugged in. */
static bool still_fits(const struct stand_in *s, const struct means *means)
{
	struct means_vm vm;

	return s->means == means && !describe(s->domain, &vm) && vm.pid == s->turn->vm.pid && vm.ram == s->ram &&
	       vm.autodeflate == s->turn->vm.autodeflate && !strcmp(vm.libvirt_uri, s->turn->vm.libvirt_uri);
}

/* Without it memtided would have a VM for which nobody speaks. */
static bool is_of_use(const struct agent_domain *domain)
{
	return domain->stand_in->known || (domain->has_vm && !domain->stand_in->obstacle[0]);
}

void stand_in_want(struct agent_domain *domain)
{
	const struct means *means = means_for(domain);
	bool managed = is_to_be_managed(domain);

	if (domain->stand_in && (!still_fits(domain->stand_in, means) || (!managed && !is_of_use(domain)))) {
		stand_in_free(domain->stand_in);
		domain->stand_in = NULL;
	}
	if (managed)
		domain->parted = false;
	/* One that is not to be managed, and is: its policy has gone while nobody looked. */
	if (!domain->stand_in && means && (managed || (domain->has_vm && !domain->parted)))
		domain->stand_in = stand_in_new(domain, means);
	if (!domain->stand_in)
		return;
	if (domain->stand_in->parting == managed)
		domain->stand_in->refused_ns = 0;
	domain->stand_in->parting = !managed;
	go_on(domain->stand_in);
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
	domain->stand_in->again = true;
	go_on(domain->stand_in);
}

void stand_in_rebooted(struct agent_domain *domain)
{
	struct stand_in *s = domain->stand_in;

	if (!s)
		return;
	s->rebooted = true;
	new_epoch(s);
	go_on(s);
}
