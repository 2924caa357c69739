// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Turns of a stand-in's worker: in each the VM is looked at, and asked for what memtided wants of it.
 */
#include "stand-in-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "by-hand.h"
#include "log.h"

/* A VM is looked at this often: while something is under way, and else. */
#define LOOK_BUSY_MS	250
#define LOOK_MS		2000
/* Until memtided is told again what it has not taken. */
#define UNTOLD_NS	(3 * NSEC_PER_SEC)
/* Without a look for so long it is said that the VM is not looked after.  memtided has a notion of its own of that. */
#define SILENT_NS	(5 * NSEC_PER_SEC)

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
	if (s->asked && s->asked <= goal && stand_in_is_close(goal, s->asked) &&
	    (s->means->kind == TIDE_VMM_BALLOON || s->usable <= goal))
		return 0;
	return goal;
}

/* What was set holds from here on, and what was asked for before does not matter any more. */
static void tell_by_hand(struct stand_in *s)
{
	/* Soon enough when memtided is there. */
	if (s->socket < 0 || (s->untold_ns && means_now_ns() - s->untold_ns < UNTOLD_NS))
		return;
	s->untold_ns = by_hand_tell(s->domain, s->by_hand) < 0 ? means_now_ns() : 0;
	if (s->untold_ns)
		return;
	s->asked = s->by_hand;
	s->lapsed = false;
	s->tried = 0;
	s->by_hand = 0;
	s->wish.generation = 0;
}

static void take_view(struct stand_in *s, const struct means_view *view, uint64_t now)
{
	stand_in_count_usable(s, view->usable);
	if (!view->driver && s->counters.flags & TIDE_COUNTERS_DRIVER_OK)
		stand_in_new_epoch(s);
	if (view->driver && !(s->counters.flags & TIDE_COUNTERS_DRIVER_OK)) {
		s->counters.flags |= TIDE_COUNTERS_DRIVER_OK;
		stand_in_put_counters(s, true);
	}
	if (!s->known)
		virEventUpdateTimeout(s->connect_timer, 0);
	s->known = true;
	s->astray = view->astray;
	s->lapsed |= view->lapsed;
	if (s->lapsed)
		s->asked = 0;
	stand_in_take_stats(s, view, now);
	stand_in_answer_refresh(s);
	stand_in_fence(s);
	if (view->by_hand)
		s->by_hand = view->by_hand;
	if (s->by_hand)
		tell_by_hand(s);
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
	if (goal && s->fresh && stand_in_is_close(goal, s->usable) && s->usable <= goal) {
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
	bool there = stand_in_is_close(s->usable, s->wish.ceiling) || stand_in_is_released(s);

	return s->pressed || s->astray || (s->parting && stand_in_is_released(s)) ||
	       (s->wish.generation && (!stand_in_is_fenced(s) || !there));
}

/* What has come up since a turn began does not wait for the next look; what was tried just now does. */
static bool has_news(const struct stand_in *s)
{
	uint64_t goal = to_ask(s);

	return s->again || s->rebooted || (s->wish.generation && s->wish.refresh != s->stats.refresh) ||
	       (goal && goal != s->tried);
}

/* In so long at the latest: what comes up until then puts nothing off. */
static void look_within(struct stand_in *s, int ms)
{
	uint64_t at_ns = means_now_ns() + (uint64_t)ms * (NSEC_PER_SEC / 1000);

	if (s->look_ns && s->look_ns <= at_ns)
		return;
	s->look_ns = at_ns;
	virEventUpdateTimeout(s->look_timer, ms);
}

void stand_in_go_on(struct stand_in *s)
{
	if (has_news(s) && !s->failed && can_begin(s))
		begin_turn(s);
	look_within(s, busy(s) && !s->failed && !worker_is_busy(s->worker) ? LOOK_BUSY_MS : LOOK_MS);
	stand_in_settle(s);
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
		log_warning("%s cannot be looked after: %s", s->domain->name,
			    s->turn->io.ret_errtext.text[0] ? s->turn->io.ret_errtext.text : "the agent was kept waiting");
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

	/* After a failure nobody knows whether it was asked. */
	if (s->asking && (turn->error || turn->io.ret_asked)) {
		s->asked = turn->error ? 0 : s->asking;
		s->fresh = false;
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
	stand_in_go_on(s);
}

static const struct worker_ops turn_ops = { .run = run_turn, .done = turn_done, .free = free_turn };

void stand_in_look_expired(int timer, void *opaque)
{
	struct stand_in *s = opaque;

	s->look_ns = 0;
	s->again = true;
	s->failed = false;
	say_silence(s);
	stand_in_go_on(s);
}

/* memtided has something to say: events first, which are of no interest here beyond being there. */
void stand_in_called(int watch, int fd, int events, void *opaque)
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
	stand_in_fence(s);
	stand_in_put_stats(s);
	stand_in_go_on(s);
}

int stand_in_describe(const struct agent_domain *domain, struct means_vm *ret_vm)
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

int stand_in_make_turn(struct stand_in *s)
{
	int r;

	s->turn = calloc(1, sizeof(*s->turn));
	if (!s->turn)
		return -ENOMEM;
	s->turn->means = s->means;
	r = stand_in_describe(s->domain, &s->turn->vm);
	return r ?: worker_new("stand-in", &turn_ops, s->turn, s, &s->worker);
}
