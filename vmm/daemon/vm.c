// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a VM's process and its guest may do to the daemon is bounded here: every value of theirs is read once
 * through vmm/lib, bells cost tokens, and nothing waits for them without a timer.
 */
#include "vm.h"

#include "limits.h"
#include "manager.h"
#include "relief.h"
#include "round.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tide_balance.h"

/*
 * An honest guest rings for a claim, a relief and an end of pressure: a few times in a second, and some tens at
 * worst. What is beyond this waits, and costs the daemon nothing while it does.
 */
#define BELLS_PER_SECOND	200
#define BELLS_BURST		200
/* Statistics are good for this long; those of a guest that does not change for longer and longer. */
#define STATS_GOOD_NS		(4 * NSEC_PER_SEC)
#define STATS_GOOD_MAX_NS	(60 * NSEC_PER_SEC)
/* A guest that has not answered is asked again after this: it may have missed the interrupt, or be paused. */
#define ASK_AGAIN_NS		(10 * NSEC_PER_SEC)
/* Rates over less than this are noise. */
#define RATE_MIN_NS		(200 * NSEC_PER_MSEC)
/* While something is awaited from a guest it is looked at this often. */
#define LOOK_NS			NSEC_PER_SEC
#define LOOK_FREE_NS		(20 * NSEC_PER_MSEC)
#define LOOKS_UNANSWERED	3	/* and its driver has not said a word: it does not answer */
#define LOOKS_NO_PROGRESS	10	/* it talks, but gives nothing */
#define ALONE_NS		(10 * NSEC_PER_SEC)
#define ALONE_MAX_SHIFT		5
#define LIMIT_SLOW_NS		NSEC_PER_SEC
/* A grant is judged when the guest had this long to use it, and used means at least a quarter of it. */
#define JUDGE_NS		NSEC_PER_SEC
#define JUDGE_PART		4
/*
 * What a QEMU process has beside its guest's memory: code, stacks, device buffers, and what grows with the guest,
 * page tables above all (KVM's own are charged to the cgroup as well).  Measured at 40 to 60 MiB for a small guest
 * under KVM; a limit that is too tight stalls the guest for seconds, one that is loose by this much lets it have
 * that much more.
 */
#define OVERHEAD_BASE		(UINT64_C(96) << 20)
#define OVERHEAD_SHIFT		5

#define vm_of(ptr, member)	((struct vm *)((char *)(ptr) - offsetof(struct vm, member)))

static uint64_t vm_now(const struct vm *vm)
{
	return loop_now(vm->manager->loop);
}

static void *state_at(const struct vm *vm, size_t offset)
{
	return (char *)vm->state_region.start + offset;
}

static uint32_t peek_seq(const void *record)
{
	/* Only tells whether a record has changed; what is in it is read by vmm/lib. */
	return __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
}

void vm_prefetch(const struct vm *vm)
{
	__builtin_prefetch(state_at(vm, VIRTIO_TIDE_STATS_OFFSET));
	__builtin_prefetch(vm->counters_region.start);
}

static void call_guest(const struct vm *vm)
{
	uint64_t one = 1;

	/* A full counter means that it has been called and has not looked yet. */
	if (vm->call_fd >= 0 && write(vm->call_fd, &one, sizeof(one)) < 0)
		return;
}

bool vm_managed(const struct vm *vm)
{
	return memtide_ledger_state(&vm->ledger) == MEMTIDE_LEDGER_MANAGED && !vm->unanswering;
}

static bool vm_left_alone(const struct vm *vm)
{
	return vm->stalled && vm_now(vm) < vm->alone_until_ns;
}

const char *vm_state_name(const struct vm *vm)
{
	switch (memtide_ledger_state(&vm->ledger)) {
	case MEMTIDE_LEDGER_STARTING:
		return "starting";
	case MEMTIDE_LEDGER_INHIBITED:
		return "inhibited";
	case MEMTIDE_LEDGER_UNANSWERING:
		return "unanswering";
	case MEMTIDE_LEDGER_RELEASED:
		return "released";
	case MEMTIDE_LEDGER_MANAGED:
		break;
	}
	if (vm->unanswering)
		return "unanswering";
	return vm_left_alone(vm) ? "stalled" : "managed";
}

uint64_t vm_overhead(const struct vm *vm)
{
	return OVERHEAD_BASE + (vm->ledger.terms.ram >> OVERHEAD_SHIFT);
}

/*
 * Without a cgroup the process's resident size has to do.  It holds things that are not the guest's, such as TCG's
 * translated code: as long as it is small it proves that given memory is free, and when it is large it proves
 * nothing.
 */
uint64_t vm_resident(const struct vm *vm)
{
	uint64_t bytes, overhead = vm_overhead(vm);

	if (vm->manager->options.same_process)
		return MEMTIDE_LEDGER_UNKNOWN;
	if (vm->cgroup[0]) {
		if (cgroup_in_use(vm->cgroup, &bytes) < 0)
			return MEMTIDE_LEDGER_UNKNOWN;
		return bytes > overhead ? bytes - overhead : 0;
	}
	if (process_resident(vm->pid, &bytes) < 0)
		return MEMTIDE_LEDGER_UNKNOWN;
	bytes = bytes > overhead ? bytes - overhead : 0;
	return bytes > vm->ledger.usable ? MEMTIDE_LEDGER_UNKNOWN : bytes;
}

uint32_t vm_balance_flags(const struct vm *vm)
{
	uint32_t flags = 0;

	if (vm_managed(vm))
		flags |= BALANCE_VM_MANAGED;
	if (vm_stats_stale(vm))
		flags |= BALANCE_VM_STALE;
	if (vm->pressed)
		flags |= BALANCE_VM_PRESSURE;
	if (vm->pressed && vm->oom)
		flags |= BALANCE_VM_OOM;
	if (vm_left_alone(vm))
		flags |= BALANCE_VM_STALLED;
	if (vm->lowering)
		flags |= BALANCE_VM_MOVING;
	if (vm->unused)
		flags |= BALANCE_VM_UNUSED;
	return flags;
}

/* What the guest said, less what it was asked for since. */
uint64_t vm_available(const struct vm *vm)
{
	return vm->stats.available > vm->taken ? vm->stats.available - vm->taken : 0;
}

struct decide_vm vm_decide_view(const struct vm *vm)
{
	return (struct decide_vm){
		.flags = vm_balance_flags(vm),
		.floor = vm->ledger.terms.floor,
		.maximum = vm->ledger.terms.maximum,
		.entitlement = memtide_ledger_entitlement(&vm->ledger),
		.usable = vm->ledger.usable,
		.target = vm->target,
		.ceiling = vm->ledger.ceiling,
		.available = vm_available(vm),
	};
}

/*
 * Telling the guest
 */

static void publish(struct vm *vm, uint32_t generation, uint64_t ceiling)
{
	uint64_t target = vm->target < ceiling ? vm->target : ceiling;
	uint64_t floor = vm->ledger.terms.floor;

	vm->published = (struct memtide_state){
		.generation = generation,
		.target = target,
		.ceiling = ceiling,
		.floor = floor < target ? floor : target,
		.flags = vm->state_flags,
		.refresh = vm->refresh,
		.grant = vm->grant_path,
	};
	memtide_state_write(state_at(vm, VIRTIO_TIDE_STATE_OFFSET), &vm->published);
	call_guest(vm);
}

static void record_grant(struct vm *vm, const struct memtide_ledger_action *action)
{
	struct memtide_grant grant = {
		.flags = TIDE_GRANT_VALID | (vm->ledger.released ? TIDE_GRANT_RELEASED : 0),
		.generation = action->generation,
		.epoch = vm->ledger.epoch,
		.ceiling = action->ceiling,
		.charged = action->charged,
		.target = vm->target,
		.floor = vm->ledger.terms.floor,
	};

	memtide_grant_write(vm->counters_region.start, &grant);
}

void vm_deny(struct vm *vm)
{
	struct memtide_event event = {
		.type = VIRTIO_TIDE_EV_DENIED,
		.time_ns = vm_now(vm),
		.a = vm->published.generation,
	};

	if (vm->manager->dry_run)
		return;
	/* A full ring has one in it already. */
	memtide_ring_push(&vm->to_guest, &event);
	call_guest(vm);
}

void vm_ask_stats(struct vm *vm)
{
	if (!vm->published.generation || vm->manager->dry_run)
		return;
	if (vm->refresh_ns && vm_now(vm) - vm->refresh_ns < ASK_AGAIN_NS)
		return;
	vm->refresh++;
	vm->refresh_ns = vm_now(vm);
	vm->published.refresh = vm->refresh;
	memtide_state_write(state_at(vm, VIRTIO_TIDE_STATE_OFFSET), &vm->published);
	call_guest(vm);
}

/*
 * Carrying out
 */

static void lowering_begins(struct vm *vm, uint64_t before)
{
	if (vm->lowering)
		return;
	vm->lowering = true;
	vm->lowering_ns = vm_now(vm);
	vm->lowering_bytes = before;
	vm->given_then = vm->counters.given_bytes;
	vm->looks = 0;
	loop_timer_set(vm->manager->loop, &vm->step_timer, vm_now(vm) + LOOK_NS);
}

static void lowering_ends(struct vm *vm, bool done)
{
	struct manager *manager = vm->manager;

	vm->lowering = false;
	vm->last_lower_ns = vm_now(vm);
	loop_timer_clear(manager->loop, &vm->step_timer);
	vm->state_flags &= ~VIRTIO_TIDE_STATE_URGENT;
	if (done) {
		vm->stalled = false;
		vm->stalls = 0;
		if (vm->lowering_bytes > vm->ledger.ceiling)
			manager->moved_bytes += vm->lowering_bytes - vm->ledger.ceiling;
		/*
		 * There is more room now, and this guest's next step may be due; it is awake, so asking costs
		 * little.
		 */
		vm_ask_stats(vm);
		round_request(manager, BALANCE_CHANGE, ROUND_NOBODY);
	}
	decision_log_end(manager->log, vm->lowering_entry, vm->ledger.usable, vm_now(vm));
	vm->lowering_entry = 0;
}

int vm_set(struct vm *vm, uint64_t ceiling, uint64_t target, enum memtide_ledger_purse purse)
{
	uint64_t before = vm->ledger.ceiling;
	int r;

	r = memtide_ledger_set(&vm->ledger, ceiling, purse);
	if (r < 0)
		return r;
	vm->target = target < ceiling ? target : ceiling;
	if (vm->target < vm->ledger.terms.floor)
		vm->target = vm->ledger.terms.floor;
	if (ceiling < before) {
		vm->taken += vm->ledger.usable > ceiling ? vm->ledger.usable - ceiling : 0;
		lowering_begins(vm, before);
	}
	vm_step(vm);
	return 0;
}

static void limit_written(void *arg, int error, uint64_t high)
{
	struct vm *vm = arg;
	uint64_t overhead = vm_overhead(vm);

	vm->limit_ns = 0;
	if (error) {
		snprintf(vm->not_enforced, sizeof(vm->not_enforced), "its cgroup's limit could not be written: %s",
			 strerror(-error));
		manager_note(vm->manager, DECISION_LIMIT, LOG_LEVEL_WARNING, vm, "not enforced: %s",
			     vm->not_enforced);
		vm->cgroup[0] = '\0';
		limit_free(vm->limit);
		vm->limit = NULL;
		memtide_ledger_limit_done(&vm->ledger, MEMTIDE_LEDGER_UNKNOWN);
		memtide_ledger_enforce(&vm->ledger, false, MEMTIDE_LEDGER_UNKNOWN);
	} else {
		memtide_ledger_limit_done(&vm->ledger, high > overhead ? high - overhead : 0);
	}
	vm_step(vm);
}

static void write_limit(struct vm *vm, const struct memtide_ledger_action *action)
{
	uint64_t high = action->limit + vm_overhead(vm);

	memtide_ledger_limit_begin(&vm->ledger, action);
	vm->limit_ns = vm_now(vm);
	if (vm->manager->config.offenders == MEMTIDE_OFFENDERS_KILL)
		limit_set_max(vm->limit, high);
	limit_set_high(vm->limit, high, action->step == MEMTIDE_LEDGER_LIMIT_UP);
	loop_timer_set(vm->manager->loop, &vm->step_timer, vm_now(vm) + LIMIT_SLOW_NS);
}

/* Returns whether there may be another step at once. */
static bool step_once(struct vm *vm)
{
	struct loop *loop = vm->manager->loop;
	struct memtide_ledger_action action;

	/* The guest has done its part; that what it gave is seen to be free is up to the host. */
	if (vm->lowering && vm->ledger.promised <= vm->ledger.ceiling)
		lowering_ends(vm, true);
	switch (memtide_ledger_next(&vm->ledger, &action)) {
	case MEMTIDE_LEDGER_RECORD:
		record_grant(vm, &action);
		memtide_ledger_done(&vm->ledger, &action);
		return true;
	case MEMTIDE_LEDGER_PUBLISH:
		publish(vm, action.generation, action.ceiling);
		memtide_ledger_done(&vm->ledger, &action);
		return true;
	case MEMTIDE_LEDGER_LIMIT_DOWN:
	case MEMTIDE_LEDGER_LIMIT_UP:
		write_limit(vm, &action);
		return true;
	case MEMTIDE_LEDGER_NONE:
		loop_timer_clear(loop, &vm->step_timer);
		return false;
	case MEMTIDE_LEDGER_WAIT_FREE:
		/* Counters of a cgroup lag by a moment; what takes longer may take any time. */
		if (!loop_timer_is_set(&vm->step_timer))
			loop_timer_set(loop, &vm->step_timer, vm_now(vm) +
				       (vm_now(vm) - vm->last_lower_ns < LOOK_NS ? LOOK_FREE_NS : LOOK_NS));
		return false;
	case MEMTIDE_LEDGER_WAIT_FENCE:
		/*
		 * Also of a decision that an earlier controller made.  Without a driver there is nothing to wait
		 * for.
		 */
		if (!vm_managed(vm))
			return false;
		lowering_begins(vm, vm->ledger.promised);
		/* fall through */
	case MEMTIDE_LEDGER_WAIT_LIMIT:
		if (!loop_timer_is_set(&vm->step_timer))
			loop_timer_set(loop, &vm->step_timer, vm_now(vm) + LOOK_NS);
		return false;
	}
	return false;
}

void vm_step(struct vm *vm)
{
	uint64_t charged = vm->manager->ledger.charged;
	const char *wrong;

	if (vm->manager->dry_run)
		return;
	while (step_once(vm))
		;
	wrong = memtide_ledger_check(&vm->manager->ledger, &vm->ledger);
	if (wrong)
		manager_note(vm->manager, DECISION_ERROR, LOG_LEVEL_ERROR, vm, "the ledger is wrong: %s", wrong);
	if (vm->manager->ledger.charged < charged)
		manager_room_changed(vm->manager);
}

static void leave_alone(struct vm *vm)
{
	vm->stalled = true;
	vm->alone_until_ns = vm_now(vm) + (ALONE_NS << vm->stalls);
	if (vm->stalls < ALONE_MAX_SHIFT)
		vm->stalls++;
}

/* What is charged already is granted again, and the guest is left alone for a while. */
static void give_up_lowering(struct vm *vm)
{
	uint64_t ceiling = vm->ledger.charged, usable = vm->ledger.usable;

	if (ceiling > vm->ledger.terms.maximum)
		ceiling = vm->ledger.terms.maximum;
	leave_alone(vm);
	lowering_ends(vm, false);
	vm_set(vm, ceiling, usable < ceiling ? usable : ceiling, MEMTIDE_LEDGER_RELIEF);
}

/*
 * The guest does not do what it is asked, or says so and does not.  Where a cgroup holds it, that now does so
 * alone, and its limit is what is charged; else all that was charged before stays charged.
 */
static void mark_unanswering(struct vm *vm, bool lied)
{
	manager_note(vm->manager, DECISION_VM, LOG_LEVEL_WARNING, vm,
		     "%s for %" PRIu64 " ms: %" PRIu64 " MiB usable, charged %" PRIu64 " MiB",
		     lied ? "says that it has come down and has not" : "does not answer",
		     (vm_now(vm) - vm->lowering_ns) / NSEC_PER_MSEC, vm->ledger.usable >> 20,
		     vm->ledger.charged >> 20);
	vm->unanswering = true;
	if (!vm->limit) {
		give_up_lowering(vm);
		return;
	}
	leave_alone(vm);
	lowering_ends(vm, false);
	memtide_ledger_unanswering(&vm->ledger, true);
	vm_step(vm);
}

static void mark_stalled(struct vm *vm)
{
	manager_note(vm->manager, DECISION_VM, LOG_LEVEL_WARNING, vm,
		     "cannot come down: nothing given for %" PRIu64 " ms, left alone with %" PRIu64 " MiB",
		     (vm_now(vm) - vm->lowering_ns) / NSEC_PER_MSEC, vm->ledger.charged >> 20);
	give_up_lowering(vm);
}

/* A fence for what was published last, and the device counts more than was promised. */
static bool has_lied(const struct vm *vm)
{
	return vm->counters.flags & TIDE_COUNTERS_FENCED &&
	       vm->counters.fence_generation == vm->published.generation && vm->ledger.usable > vm->ledger.ceiling;
}

static void look_at_fence(struct vm *vm)
{
	bool says_stalled;

	vm_read_stats(vm);
	says_stalled = !vm->refresh_ns && vm->stats.flags & VIRTIO_TIDE_STATS_STALLED &&
		       vm->stats.generation == vm->published.generation;
	if (vm->counters.given_bytes > vm->given_then) {
		vm->given_then = vm->counters.given_bytes;
		vm->looks = 0;
		return;
	}
	vm->looks++;
	if (vm->looks >= LOOKS_UNANSWERED && (vm->refresh_ns || has_lied(vm)))
		mark_unanswering(vm, !vm->refresh_ns);
	else if (vm->looks >= LOOKS_NO_PROGRESS || (vm->looks > 1 && says_stalled))
		mark_stalled(vm);
	else if (vm->refresh_ns)
		call_guest(vm);		/* once more: interrupts do get lost */
	else
		vm_ask_stats(vm);
}

static void step_expired(struct loop_timer *timer)
{
	struct vm *vm = vm_of(timer, step_timer);
	struct memtide_ledger_action action;

	vm_observe(vm);
	if (vm->lowering && memtide_ledger_next(&vm->ledger, &action) == MEMTIDE_LEDGER_WAIT_FENCE)
		look_at_fence(vm);
	if (vm->limit_ns && vm_now(vm) - vm->limit_ns > LIMIT_SLOW_NS) {
		manager_note(vm->manager, DECISION_LIMIT, LOG_LEVEL_WARNING, vm,
			     "writing the cgroup's limit has taken more than %" PRIu64 " ms so far",
			     LIMIT_SLOW_NS / NSEC_PER_MSEC);
		vm->limit_ns = vm_now(vm);
	}
	vm_step(vm);
}

/*
 * Hearing
 */

static void heard(struct vm *vm)
{
	/* One that lied talks all the time. */
	if (!vm->unanswering || (has_lied(vm) && vm_left_alone(vm)))
		return;
	vm->unanswering = false;
	memtide_ledger_unanswering(&vm->ledger, false);
	manager_note(vm->manager, DECISION_VM, LOG_LEVEL_INFO, vm, "answers again");
	vm_step(vm);
	round_request(vm->manager, BALANCE_CHANGE, ROUND_NOBODY);
}

uint64_t vm_stats_age_ns(const struct vm *vm)
{
	return vm->stats_ns ? vm_now(vm) - vm->stats_ns : UINT64_MAX;
}

bool vm_stats_stale(const struct vm *vm)
{
	return vm_stats_age_ns(vm) > 2 * STATS_GOOD_NS;
}

static uint64_t rate(uint64_t now, uint64_t before, uint64_t ns)
{
	if (now <= before)
		return 0;
	/* No guest does more than this in a second, and the product stays within 64 bits. */
	if (now - before > UINT32_MAX)
		return UINT32_MAX;
	return (now - before) * 1000 / (ns / 1000000);
}

/* By the guest's own clock where that is plausible: it wrote the counters at times that we do not know. */
static void update_rates(struct vm *vm, uint64_t now)
{
	const struct memtide_stats *new = &vm->stats, *old = &vm->stats_base;
	uint64_t ours = now - vm->base_ns;
	uint64_t ns = new->time_ns - old->time_ns;

	if (vm->base_ns && ours < RATE_MIN_NS)
		return;
	if (new->time_ns <= old->time_ns || ns > 2 * ours + NSEC_PER_SEC || ns < RATE_MIN_NS / 2)
		ns = ours;
	if (vm->base_ns && ns >= 1000000) {
		vm->rates.refault_file = rate(new->refault_file, old->refault_file, ns);
		vm->rates.refault_anon = rate(new->refault_anon, old->refault_anon, ns);
		vm->rates.scan_direct = rate(new->scan_direct, old->scan_direct, ns);
		vm->rates.swap = rate(new->swap_in, old->swap_in, ns) + rate(new->swap_out, old->swap_out, ns);
		vm->rates.psi_some = rate(new->psi_some_us, old->psi_some_us, ns);
	}
	vm->stats_base = *new;
	vm->base_ns = now;
}

/* A guest whose memory does not change is asked less and less often. */
static void pace_refreshes(struct vm *vm, const struct memtide_stats *before)
{
	uint64_t change = before->available > vm->stats.available ? before->available - vm->stats.available :
								     vm->stats.available - before->available;

	if (change > vm->ledger.terms.ram / 64 || vm->pressed)
		vm->refresh_wait_ns = STATS_GOOD_NS;
	else if (vm->refresh_wait_ns < STATS_GOOD_MAX_NS)
		vm->refresh_wait_ns += vm->refresh_wait_ns / 2;
}

bool vm_read_stats(struct vm *vm)
{
	const struct virtio_tide_stats *shared = state_at(vm, VIRTIO_TIDE_STATS_OFFSET);
	struct memtide_stats before = vm->stats;
	uint32_t seq = peek_seq(shared);

	if (seq == vm->stats_seq || memtide_stats_read(shared, vm->ledger.terms.ram, &vm->stats) < 0)
		return false;
	vm->stats_seq = seq;
	vm->stats_ns = vm_now(vm);
	heard(vm);
	if (!vm->lowering)
		vm->taken = 0;
	if (vm->refresh_ns && vm->stats.refresh == vm->refresh) {
		vm->refresh_ns = 0;
		pace_refreshes(vm, &before);
		relief_answered(vm->manager);
	}
	update_rates(vm, vm->stats_ns);
	return true;
}

static void end_pressure(struct vm *vm)
{
	if (!vm->pressed)
		return;
	vm->pressed = false;
	vm->oom = false;
	vm->wanted = 0;
	relief_forget(vm);
	round_request(vm->manager, BALANCE_QUIET, vm->row);
}

static void log_relief(struct vm *vm, const struct memtide_event *event)
{
	static const char *const paths[VIRTIO_TIDE_PATHS] = { "nowhere", "its credit", "the reserve", "donors" };
	struct decision_log *log = vm->manager->log;
	struct decision *entry = decision_log_draft(log, DECISION_RELIEF, vm_now(vm));

	entry->vm_id = vm->id;
	memcpy(entry->vm, vm->name, sizeof(entry->vm));
	entry->path = (uint32_t)event->b;
	entry->path_ns = event->a;
	entry->path_bytes = event->c;
	snprintf(entry->message, sizeof(entry->message),
		 "says it was relieved within %.3f ms by %" PRIu64 " MiB from %s", event->a / 1e6,
		 (event->c & INT64_MAX) >> 20, paths[event->b]);
	decision_log_add(log, LOG_LEVEL_DEBUG);
}

static void note_relief(struct vm *vm, const struct memtide_event *event)
{
	/* Hostile numbers spoil the guest's own figures only as far as a histogram can be spoilt. */
	if (event->b == VIRTIO_TIDE_PATH_NONE || event->b >= VIRTIO_TIDE_PATHS || event->a > 60 * NSEC_PER_SEC)
		return;
	if (!vm->relief_ns)
		vm->relief_ns = calloc(VIRTIO_TIDE_PATHS, sizeof(*vm->relief_ns));
	if (vm->relief_ns)
		memtide_histogram_add(&vm->relief_ns[event->b], event->a);
	memtide_histogram_add(&vm->manager->relief_ns[event->b], event->a);
	log_relief(vm, event);
}

static void handle_event(struct vm *vm, const struct memtide_event *event, uint64_t *wanted)
{
	switch (event->type) {
	case VIRTIO_TIDE_EV_PRESSURE:
		vm->pressure_events++;
		vm->oom |= event->b == VIRTIO_TIDE_URGENCY_OOM;
		if (event->a > *wanted)
			*wanted = event->a;
		break;
	case VIRTIO_TIDE_EV_RELIEF:
		note_relief(vm, event);
		break;
	case VIRTIO_TIDE_EV_QUIET:
		*wanted = 0;
		end_pressure(vm);
		break;
	}
}

/* The guest rang: what it wants is decided in this turn. */
static void doorbell_rung(struct vm *vm)
{
	struct memtide_event events[VIRTIO_TIDE_RING_RECORDS];
	uint64_t wanted = 0;
	int n;

	heard(vm);
	vm_read_stats(vm);
	n = memtide_ring_pull(&vm->from_guest, events, VIRTIO_TIDE_RING_RECORDS);
	for (int i = 0; i < n; i++)
		handle_event(vm, &events[i], &wanted);
	if (n == VIRTIO_TIDE_RING_RECORDS)
		loop_timer_set(vm->manager->loop, &vm->doorbell.timer, vm_now(vm));
	if (wanted) {
		vm->pressed = true;
		vm->pressed_ns = vm_now(vm);
		vm->wanted = wanted;
		relief_claim(vm, wanted, vm->oom);
		memtide_histogram_add(&vm->manager->decide_ns, loop_clock() - vm_now(vm));
		round_request(vm->manager, BALANCE_PRESSURE, vm->row);
	}
}

static void bell_ready(struct loop_source *source, uint32_t events)
{
	struct vm_bell *bell = (struct vm_bell *)source;	/* its first member */
	struct vm *vm = bell->vm;
	uint64_t wait;

	wait = decide_take_token(&bell->tokens, vm_now(vm), BELLS_PER_SECOND, BELLS_BURST);
	if (!wait) {
		bell->rung(vm);
		return;
	}
	/* Nothing is lost: the eventfd stays readable, and what it stands for stays where it is. */
	loop_remove(vm->manager->loop, source);
	loop_timer_set(vm->manager->loop, &bell->timer, vm_now(vm) + wait);
	if (!bell->floods++)
		manager_note(vm->manager, DECISION_VM, LOG_LEVEL_WARNING, vm,
			     "rings %s more than %d times a second: listened to at that rate",
			     bell == &vm->doorbell ? "its doorbell" : "for its device", BELLS_PER_SECOND);
}

static void bell_expired(struct loop_timer *timer)
{
	struct vm_bell *bell = (struct vm_bell *)((char *)timer - offsetof(struct vm_bell, timer));

	if (loop_has(&bell->source))
		bell_ready(&bell->source, POLLIN);
	else
		loop_add(bell->vm->manager->loop, &bell->source, POLLIN);
}

/* The device was reset: rings and statistics are zero, and whatever drove it before is gone. */
static void forget_driver(struct vm *vm)
{
	memtide_ring_produce_from(&vm->to_guest, state_at(vm, VIRTIO_TIDE_TO_GUEST_OFFSET));
	memtide_ring_consume_from(&vm->from_guest, state_at(vm, VIRTIO_TIDE_TO_HOST_OFFSET));
	memset(&vm->stats, 0, sizeof(vm->stats));
	memset(&vm->rates, 0, sizeof(vm->rates));
	vm->stats_ns = 0;
	vm->base_ns = 0;
	vm->stats_seq = 0;
	vm->refresh_ns = 0;
	vm->watch.active = false;
	vm->unanswering = false;
	vm->stalled = false;
	end_pressure(vm);
}

void vm_observe(struct vm *vm)
{
	enum memtide_ledger_state before = memtide_ledger_state(&vm->ledger);
	uint32_t seq = peek_seq(vm->counters_region.start);
	uint64_t epoch = vm->counters.epoch;
	struct memtide_counters counters;
	bool waits;

	if (memtide_counters_read(vm->counters_region.start, &counters) < 0)
		return;
	vm->counters = counters;
	vm->counters_seq = seq;
	/*
	 * Asked for only where something waits for memory to be seen free, and whole huge pieces are without
	 * asking.
	 */
	waits = (vm->ledger.held || vm->ledger.promised > vm->ledger.ceiling) &&
		counters.given_bytes != counters.given_huge_bytes;
	memtide_ledger_observe(&vm->ledger, &counters, waits ? vm_resident(vm) : MEMTIDE_LEDGER_UNKNOWN);
	if (counters.epoch != epoch)
		forget_driver(vm);
	if (counters.epoch != epoch || memtide_ledger_state(&vm->ledger) != before)
		vm->target = vm->ledger.ceiling;
	if (memtide_ledger_state(&vm->ledger) == before)
		return;
	manager_note(vm->manager, DECISION_VM, LOG_LEVEL_INFO, vm, "%s, charged %" PRIu64 " MiB",
		     vm_state_name(vm), vm->ledger.charged >> 20);
	if (!vm_managed(vm)) {
		if (vm->lowering)
			lowering_ends(vm, false);
		relief_forget(vm);
	}
	round_request(vm->manager, BALANCE_CHANGE, ROUND_NOBODY);
}

void vm_follow_counters(struct vm *vm)
{
	if (peek_seq(vm->counters_region.start) == vm->counters_seq)
		return;
	vm_observe(vm);
	vm_step(vm);
}

static void notify_rung(struct vm *vm)
{
	vm_observe(vm);
	vm_step(vm);
}

/*
 * Judging grants
 */

void vm_watch_grant(struct vm *vm, uint64_t granted)
{
	if (vm->watch.active) {
		vm->watch.granted += granted;
		return;
	}
	vm->watch = (struct vm_watch){
		.active = true,
		.since_ns = vm_now(vm),
		.granted = granted,
		.usable = vm->ledger.usable,
		.resident = vm->cgroup[0] ? vm_resident(vm) : MEMTIDE_LEDGER_UNKNOWN,
	};
}

static bool followed(uint64_t now, uint64_t before, uint64_t granted)
{
	return now >= before + granted / JUDGE_PART;
}

void vm_judge_grant(struct vm *vm)
{
	struct vm_watch *watch = &vm->watch;
	uint64_t resident;
	bool used;

	if (!watch->active || vm_now(vm) - watch->since_ns < JUDGE_NS)
		return;
	watch->active = false;
	vm_observe(vm);
	used = followed(vm->ledger.usable, watch->usable, watch->granted);
	/* Saying so is not using: memory that was taken back and is used becomes resident again. */
	if (used && vm->cgroup[0] && watch->resident != MEMTIDE_LEDGER_UNKNOWN) {
		resident = vm_resident(vm);
		used = resident == MEMTIDE_LEDGER_UNKNOWN || followed(resident, watch->resident, watch->granted);
	}
	if (used)
		vm->unused = 0;
	else if (vm->unused < DECIDE_MAX_UNUSED)
		vm->unused++;
}

/*
 * Coming and going
 */

static void process_ready(struct loop_source *source, uint32_t events)
{
	struct vm *vm = vm_of(source, process);

	manager_note(vm->manager, DECISION_VM, LOG_LEVEL_INFO, vm,
		     "process %d is gone, %" PRIu64 " MiB are free again", (int)vm->pid, vm->ledger.charged >> 20);
	vm_free(vm);
}

static void socket_close(struct vm *vm)
{
	if (vm->socket.fd < 0)
		return;
	loop_remove(vm->manager->loop, &vm->socket);
	close(vm->socket.fd);
	vm->socket.fd = -1;
}

/* After the answer nothing is to be said on the socket, so whatever happens on it ends it. */
static void socket_ready(struct loop_source *source, uint32_t events)
{
	struct vm *vm = vm_of(source, socket);

	socket_close(vm);
	manager_note(vm->manager, DECISION_VM, LOG_LEVEL_DEBUG, vm,
		     "hung up; it stays charged while its process lives");
}

void vm_reconnected(struct vm *vm, int socket)
{
	socket_close(vm);
	vm->socket.fd = socket;
	loop_add(vm->manager->loop, &vm->socket, POLLIN | POLLRDHUP);
	vm_observe(vm);
	vm_step(vm);
}

static int open_bell(struct vm *vm, struct vm_bell *bell, int *fd, void (*rung)(struct vm *vm))
{
	int r;

	bell->vm = vm;
	bell->rung = rung;
	bell->source.ready = bell_ready;
	bell->source.fd = *fd;
	*fd = -1;
	r = loop_timer_register(vm->manager->loop, &bell->timer, bell_expired);
	if (r < 0)
		return r;
	return loop_add(vm->manager->loop, &bell->source, POLLIN);
}

static void close_bell(struct vm *vm, struct vm_bell *bell)
{
	loop_timer_unregister(vm->manager->loop, &bell->timer);
	loop_remove(vm->manager->loop, &bell->source);
	if (bell->source.fd >= 0)
		close(bell->source.fd);
}

static void name_vm(struct vm *vm, const struct memtide_hello *hello, pid_t pid)
{
	vm->has_uuid = hello->has_uuid;
	memcpy(vm->uuid, hello->uuid, sizeof(vm->uuid));
	memtide_uuid_format(vm->uuid, vm->uuid_text);
	vm->pid = pid;
	if (hello->name[0])
		memcpy(vm->name, hello->name, sizeof(vm->name));
	else if (vm->has_uuid)
		snprintf(vm->name, sizeof(vm->name), "%s", vm->uuid_text);
	else
		snprintf(vm->name, sizeof(vm->name), "process-%d", (int)pid);
}

static int map_regions(struct vm *vm, struct memtide_hello *hello, struct memtide_errtext *errtext)
{
	struct stat st;
	int r;

	r = memtide_region_map(hello->fd[TIDE_VMM_FD_STATE], "state region", VIRTIO_TIDE_STATE_SIZE,
			       &vm->state_region, errtext);
	if (r < 0)
		return r;
	r = memtide_region_map(hello->fd[TIDE_VMM_FD_COUNTERS], "counters page", TIDE_COUNTERS_SIZE,
			       &vm->counters_region, errtext);
	if (r < 0)
		return r;
	if (!fstat(hello->fd[TIDE_VMM_FD_STATE], &st))
		vm->state_inode = st.st_ino;
	r = memtide_counters_read(vm->counters_region.start, &vm->counters);
	if (r < 0)
		return memtide_errtext_set(errtext, r, "the counters page makes no sense");
	if (vm->counters.ram_bytes != hello->ram_bytes)
		return memtide_errtext_set(errtext, -EPROTO, "%" PRIu64 " bytes of RAM in the hello, %" PRIu64
					   " in the counters page", hello->ram_bytes, vm->counters.ram_bytes);
	return 0;
}

static void find_cgroup(struct vm *vm)
{
	if (vm->manager->options.same_process) {
		snprintf(vm->not_enforced, sizeof(vm->not_enforced), "VMs of one process share its cgroup");
		return;
	}
	if (cgroup_find(vm->pid, vm->cgroup, vm->not_enforced) < 0 || vm->manager->dry_run)
		return;
	if (limit_new(vm->manager->limits, vm->cgroup, limit_written, vm, &vm->limit) < 0)
		vm->cgroup[0] = '\0';
}

/* The ledger's entry: recovered where something runs already, admitted where it is about to start. */
static int enter_ledger(struct vm *vm, struct memtide_errtext *errtext)
{
	struct memtide_ledger *ledger = &vm->manager->ledger;
	struct memtide_ledger_terms terms = {
		.ram = vm->counters.ram_bytes,
		.maximum = vm->terms.maximum,
		.floor = vm->terms.floor,
		.start = vm->terms.start,
		.shares = (uint32_t)vm->terms.shares,
		.enforced = vm->limit != NULL,
		.throttle = vm->limit && vm->manager->config.admission == MEMTIDE_ADMISSION_THROTTLE,
	};
	uint64_t limit = MEMTIDE_LEDGER_UNKNOWN, overhead = OVERHEAD_BASE + (terms.ram >> OVERHEAD_SHIFT);
	bool refuse = vm->manager->config.admission == MEMTIDE_ADMISSION_REFUSE;
	struct memtide_grant grant;
	bool granted;
	int r;

	if (vm->limit && !cgroup_read(vm->cgroup, "memory.high", &limit) && limit != UINT64_MAX)
		limit = limit > overhead ? limit - overhead : 0;
	granted = !memtide_grant_read(vm->counters_region.start, &grant);
	if (!granted && !(vm->counters.flags & TIDE_COUNTERS_DRIVER_OK)) {
		r = memtide_ledger_admit(ledger, &vm->ledger, &terms);
		if (r == -EDQUOT)
			return memtide_errtext_set(errtext, r,
						   "its floor of %" PRIu64 " MiB and the others' of %" PRIu64
						   " MiB do not fit the budget of %" PRIu64
						   " MiB: lower floors or raise the budget",
						   terms.floor >> 20, ledger->floors >> 20, ledger->budget >> 20);
		if (r == -ENOSPC && refuse)
			return memtide_errtext_set(errtext, r,
						   "no room for its maximum of %" PRIu64 " MiB: %" PRIu64
						   " of %" PRIu64 " MiB are charged, and admission is \"refuse\"",
						   terms.maximum >> 20, ledger->charged >> 20,
						   ledger->budget >> 20);
		if (r != -ENOSPC)
			return r < 0 ? memtide_errtext_set(errtext, r, "no place in the ledger: %s", strerror(-r))
				     : 0;
		/* It runs whatever is said here: charging it in full is the only honest entry. */
	}
	r = memtide_ledger_recover(ledger, &vm->ledger, &terms, &vm->counters, granted ? &grant : NULL, limit);
	if (r < 0)
		return memtide_errtext_set(errtext, r, "no place in the ledger: %s", strerror(-r));
	if (granted)
		vm->target = grant.target;
	return 0;
}

static int start_listening(struct vm *vm, struct memtide_hello *hello)
{
	struct loop *loop = vm->manager->loop;
	int r;

	vm->process.ready = process_ready;
	vm->socket.ready = socket_ready;
	r = loop_timer_register(loop, &vm->step_timer, step_expired);
	if (r >= 0)
		r = open_bell(vm, &vm->doorbell, &hello->fd[TIDE_VMM_FD_DOORBELL], doorbell_rung);
	if (r >= 0)
		r = open_bell(vm, &vm->notify, &hello->fd[TIDE_VMM_FD_NOTIFY], notify_rung);
	if (r >= 0)
		r = loop_add(loop, &vm->process, POLLIN);
	if (r >= 0)
		r = loop_add(loop, &vm->socket, POLLIN | POLLRDHUP);
	vm->call_fd = hello->fd[TIDE_VMM_FD_CALL];
	hello->fd[TIDE_VMM_FD_CALL] = -1;
	return r;
}

static void vm_undo(struct vm *vm)
{
	struct loop *loop = vm->manager->loop;

	memtide_ledger_remove(&vm->ledger);
	loop_timer_unregister(loop, &vm->step_timer);
	close_bell(vm, &vm->doorbell);
	close_bell(vm, &vm->notify);
	loop_remove(loop, &vm->process);
	if (vm->process.fd >= 0)
		close(vm->process.fd);
	socket_close(vm);
	if (vm->call_fd >= 0)
		close(vm->call_fd);
	limit_free(vm->limit);
	memtide_region_unmap(&vm->state_region);
	memtide_region_unmap(&vm->counters_region);
	free(vm->relief_ns);
	free(vm);
}

static void start_managing(struct vm *vm)
{
	uint64_t ceiling = vm->ledger.ceiling;

	if (vm->ledger.released)
		vm->state_flags = VIRTIO_TIDE_STATE_RELEASE;
	if (!vm->target || vm->target > ceiling)
		vm->target = ceiling;
	vm->refresh = (uint32_t)vm_now(vm);
	vm->refresh_wait_ns = STATS_GOOD_NS;
	memtide_ring_produce_from(&vm->to_guest, state_at(vm, VIRTIO_TIDE_TO_GUEST_OFFSET));
	memtide_ring_consume_from(&vm->from_guest, state_at(vm, VIRTIO_TIDE_TO_HOST_OFFSET));
	if (vm->limit && vm->manager->config.offenders == MEMTIDE_OFFENDERS_THROTTLE)
		limit_set_max(vm->limit, vm->ledger.terms.maximum + vm_overhead(vm));
	vm_observe(vm);
	vm_step(vm);
	vm_ask_stats(vm);
}

int vm_new(struct manager *manager, struct memtide_hello *hello, pid_t pid, int pidfd, int socket, struct vm **ret,
	   struct memtide_errtext *errtext)
{
	struct vm *vm;
	int r;

	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory for another VM");
	vm->manager = manager;
	vm->process.fd = vm->socket.fd = vm->call_fd = vm->doorbell.source.fd = vm->notify.source.fd = -1;
	name_vm(vm, hello, pid);
	r = memtide_config_vm(&manager->config, vm->name, vm->has_uuid ? vm->uuid_text : NULL, hello->ram_bytes,
			      &vm->terms, errtext);
	if (r < 0)
		goto undo;
	r = map_regions(vm, hello, errtext);
	if (r < 0)
		goto undo;
	find_cgroup(vm);
	r = enter_ledger(vm, errtext);
	if (r < 0)
		goto undo;
	vm->process.fd = pidfd;
	vm->socket.fd = socket;
	r = start_listening(vm, hello);
	if (r >= 0)
		r = manager_add_vm(manager, vm);
	if (r < 0) {
		/* On failure these are still the caller's. */
		loop_remove(manager->loop, &vm->process);
		loop_remove(manager->loop, &vm->socket);
		vm->process.fd = vm->socket.fd = -1;
		memtide_errtext_set(errtext, r, "no room for another VM: %s", strerror(-r));
		goto undo;
	}
	/* Mapped and taken over: what is left in the hello are the memfds. */
	memtide_hello_close(hello);
	start_managing(vm);
	*ret = vm;
	return 0;

undo:
	vm_undo(vm);
	return r;
}

void vm_free(struct vm *vm)
{
	struct manager *manager = vm->manager;

	relief_forget(vm);
	if (vm->lowering)
		lowering_ends(vm, false);
	manager_remove_vm(manager, vm);
	vm_undo(vm);
	manager_room_changed(manager);
}

int vm_release(struct vm *vm, bool release)
{
	int r;

	r = memtide_ledger_release(&vm->ledger, release);
	if (r < 0)
		return r;
	if (release) {
		relief_forget(vm);
		if (vm->lowering)
			lowering_ends(vm, false);
		vm->state_flags = VIRTIO_TIDE_STATE_RELEASE;
		vm->target = vm->ledger.ceiling;
	} else {
		vm->state_flags = 0;
		vm->target = vm->ledger.ceiling;
	}
	vm_step(vm);
	round_request(vm->manager, BALANCE_CHANGE, ROUND_NOBODY);
	return 0;
}

int vm_change_terms(struct vm *vm, uint64_t floor, uint64_t maximum, uint32_t shares,
		    struct memtide_errtext *errtext)
{
	uint64_t before = vm->ledger.ceiling;
	int r;

	r = memtide_ledger_change(&vm->ledger, floor, maximum, shares);
	if (r == -EDQUOT)
		return memtide_errtext_set(errtext, r,
					   "floor of %" PRIu64 " MiB: the sum of all floors would exceed the "
					   "budget of %" PRIu64 " MiB; lower floors or raise the budget",
					   floor >> 20, vm->manager->ledger.budget >> 20);
	if (r < 0)
		return memtide_errtext_set(errtext, r,
					   "floor %" PRIu64 " and maximum %" PRIu64 " bytes: need floor <= "
					   "maximum <= %" PRIu64 " and shares from 1 to %d",
					   floor, maximum, vm->ledger.terms.ram, MEMTIDE_LEDGER_SHARES);
	vm->terms.floor = floor;
	vm->terms.maximum = maximum;
	vm->terms.shares = shares;
	if (vm->ledger.ceiling < before)
		lowering_begins(vm, before);
	if (vm->target > vm->ledger.ceiling)
		vm->target = vm->ledger.ceiling;
	/* A raised guarantee is honoured as far as there is room; the next round sees to the rest. */
	if (vm_managed(vm) && vm->ledger.ceiling < floor) {
		uint64_t most = memtide_ledger_most(&vm->ledger, MEMTIDE_LEDGER_RELIEF);

		if (most >= floor)
			vm_set(vm, floor, floor, MEMTIDE_LEDGER_RELIEF);
	}
	vm_step(vm);
	round_request(vm->manager, BALANCE_CHANGE, ROUND_NOBODY);
	return 0;
}
