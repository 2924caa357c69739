// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest that was asked to come down is watched until it has: one that does not answer, says that it has and has
 * not, or cannot, is marked and left alone for a while.
 */
#include "vm-internal.h"

#include <inttypes.h>

#include "tide_balance.h"

#define LOOKS_UNANSWERED	3	/* and its driver has not said a word: it does not answer */
#define LOOKS_NO_PROGRESS	10	/* it talks, but gives nothing */
#define ALONE_NS		(10 * NSEC_PER_SEC)
#define ALONE_MAX_SHIFT		5

bool vm_left_alone(const struct vm *vm)
{
	return vm->stalled && vm_now(vm) < vm->alone_until_ns;
}

void vm_lowering_begins(struct vm *vm, uint64_t before)
{
	if (vm->lowering)
		return;
	vm->lowering = true;
	vm->lowering_ns = vm_now(vm);
	vm->lowering_bytes = before;
	vm->given_then = vm->counters.given_bytes;
	vm->looks = 0;
	loop_timer_set(vm->manager->loop, &vm->step_timer, vm_now(vm) + VM_LOOK_NS);
}

void vm_lowering_ends(struct vm *vm, bool done)
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
	vm_lowering_ends(vm, false);
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
	vm_lowering_ends(vm, false);
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

void vm_look_at_fence(struct vm *vm)
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
		vm_call_guest(vm);		/* once more: interrupts do get lost */
	else
		vm_ask_stats(vm);
}

void vm_heard(struct vm *vm)
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
