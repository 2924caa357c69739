// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From what is decided about a VM to its guest, its cgroup and its counters page.  The ledger names the steps and
 * their order; here each is taken as soon as it can be.
 */
#include "vm-internal.h"

#include "limits.h"
#include "relief.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tide_balance.h"

/* Given memory that is about to be seen free is looked at this often. */
#define LOOK_FREE_NS		(20 * NSEC_PER_MSEC)
#define LIMIT_SLOW_NS		NSEC_PER_SEC

/*
 * Deciding
 */

uint64_t vm_most(const struct vm *vm, enum memtide_ledger_purse purse)
{
	uint64_t most = memtide_ledger_most(&vm->ledger, purse);
	uint64_t tenant = vm->domain ? tenant_room_left(vm->domain) : UINT64_MAX;

	if (most <= tenant)
		return most;
	/* What it has is not called in for that. */
	return tenant > vm->ledger.charged ? tenant : vm->ledger.charged;
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
		vm_lowering_begins(vm, before);
	}
	vm_step(vm);
	return 0;
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
			vm_lowering_ends(vm, false);
	}
	vm->state_flags = release ? VIRTIO_TIDE_STATE_RELEASE : 0;
	vm->target = vm->ledger.ceiling;
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
	vm_limit_follow_maximum(vm);
	if (vm->ledger.ceiling < before)
		vm_lowering_begins(vm, before);
	if (vm->target > vm->ledger.ceiling)
		vm->target = vm->ledger.ceiling;
	/* A raised guarantee is honoured as far as there is room; the next round sees to the rest. */
	if (vm_managed(vm) && vm->ledger.ceiling < floor) {
		uint64_t most = vm_most(vm, MEMTIDE_LEDGER_RELIEF);

		if (most >= floor)
			vm_set(vm, floor, floor, MEMTIDE_LEDGER_RELIEF);
	}
	vm_step(vm);
	round_request(vm->manager, BALANCE_CHANGE, ROUND_NOBODY);
	return 0;
}

int vm_own_terms(struct vm *vm, struct memtide_errtext *errtext)
{
	struct memtide_config_vm terms;
	int r;

	r = domains_terms(vm->manager, &vm->manager->config, vm->name, vm->has_uuid ? vm->uuid_text : NULL,
			  vm->ledger.terms.ram, &terms, errtext);
	if (r < 0)
		return r;
	return vm_change_terms(vm, terms.floor, terms.maximum, (uint32_t)terms.shares, errtext);
}

/*
 * Telling
 */

void vm_call_guest(const struct vm *vm)
{
	uint64_t one = 1;

	/* A full counter means that it has been called and has not looked yet. */
	if (vm->call_fd >= 0 && write(vm->call_fd, &one, sizeof(one)) < 0)
		return;
}

void vm_tell_guest(const struct vm *vm)
{
	memtide_state_write(vm_state_at(vm, VIRTIO_TIDE_STATE_OFFSET), &vm->published);
	vm_call_guest(vm);
}

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
	vm_tell_guest(vm);
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
	vm_call_guest(vm);
}

/*
 * Carrying out
 */

/* Set memory.max to @bytes, or to what its domain allows if that is less. */
static void limit_offender(struct vm *vm, uint64_t bytes)
{
	uint64_t hard_limit = vm->domain ? vm->domain->about.limits.hard_limit.value : UINT64_MAX;

	limit_set_max(vm->limit, bytes < hard_limit ? bytes : hard_limit);
}

/* Up with the maximum, before the VM has any of it: beyond memory.max it is killed.  Not down: memory.high holds it. */
void vm_limit_follow_maximum(struct vm *vm)
{
	uint64_t most = vm->ledger.terms.maximum;

	if (most < vm->ledger.charged)
		most = vm->ledger.charged;
	if (!vm->limit || vm->manager->config.offenders != MEMTIDE_OFFENDERS_THROTTLE || most <= vm->limit_max)
		return;
	vm->limit_max = most;
	limit_offender(vm, most + vm_overhead(vm));
}

static void limit_lost(struct vm *vm, int error)
{
	snprintf(vm->not_enforced, sizeof(vm->not_enforced), "its cgroup's limit could not be written: %s",
		 strerror(-error));
	manager_note(vm->manager, DECISION_LIMIT, LOG_LEVEL_WARNING, vm, "not enforced: %s", vm->not_enforced);
	vm->cgroup[0] = '\0';
	limit_free(vm->limit);
	vm->limit = NULL;
	memtide_ledger_limit_done(&vm->ledger, MEMTIDE_LEDGER_UNKNOWN);
	memtide_ledger_enforce(&vm->ledger, false, MEMTIDE_LEDGER_UNKNOWN);
}

/* The most that <memtune> of its domain allows the whole process. */
static uint64_t soft_limit(const struct vm *vm)
{
	return vm->domain ? vm->domain->about.limits.soft_limit.value : UINT64_MAX;
}

void vm_limit_written(void *arg, int error, const char *file, uint64_t value)
{
	struct vm *vm = arg;
	uint64_t overhead = vm_overhead(vm);

	vm->limit_ns = 0;
	if (error == -ESTALE)
		vm_limit_set_by_hand(vm, file, value);
	else if (error)
		limit_lost(vm, error);
	else if (value >= soft_limit(vm))
		/* A limit that is tighter than was asked holds what was asked. */
		memtide_ledger_limit_done(&vm->ledger, vm->ledger.limit_coming);
	else
		memtide_ledger_limit_done(&vm->ledger, value > overhead ? value - overhead : 0);
	vm_step(vm);
}

static void write_limit(struct vm *vm, const struct memtide_ledger_action *action)
{
	uint64_t high = action->limit + vm_overhead(vm);

	memtide_ledger_limit_begin(&vm->ledger, action);
	vm->limit_ns = vm_now(vm);
	if (vm->manager->config.offenders == MEMTIDE_OFFENDERS_KILL)
		limit_offender(vm, high);
	limit_set_high(vm->limit, high < soft_limit(vm) ? high : soft_limit(vm),
		       action->step == MEMTIDE_LEDGER_LIMIT_UP);
	loop_timer_set(vm->manager->loop, &vm->step_timer, vm_now(vm) + LIMIT_SLOW_NS);
}

/* Returns whether there may be another step at once. */
static bool step_once(struct vm *vm)
{
	struct loop *loop = vm->manager->loop;
	struct memtide_ledger_action action;

	/* The guest has done its part; that what it gave is seen to be free is up to the host. */
	if (vm->lowering && vm->ledger.promised <= vm->ledger.ceiling)
		vm_lowering_ends(vm, true);
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
				       (vm_now(vm) - vm->last_lower_ns < VM_LOOK_NS ? LOOK_FREE_NS : VM_LOOK_NS));
		return false;
	case MEMTIDE_LEDGER_WAIT_FENCE:
		/*
		 * Also of a decision that an earlier controller made.  Without a driver there is nothing to wait
		 * for.
		 */
		if (!vm_managed(vm))
			return false;
		vm_lowering_begins(vm, vm->ledger.promised);
		/* fall through */
	case MEMTIDE_LEDGER_WAIT_LIMIT:
		if (!loop_timer_is_set(&vm->step_timer))
			loop_timer_set(loop, &vm->step_timer, vm_now(vm) + VM_LOOK_NS);
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

void vm_step_expired(struct loop_timer *timer)
{
	struct vm *vm = vm_of(timer, step_timer);
	struct memtide_ledger_action action;

	vm_observe(vm);
	if (vm->lowering && memtide_ledger_next(&vm->ledger, &action) == MEMTIDE_LEDGER_WAIT_FENCE)
		vm_look_at_fence(vm);
	if (vm->limit_ns && vm_now(vm) - vm->limit_ns > LIMIT_SLOW_NS) {
		manager_note(vm->manager, DECISION_LIMIT, LOG_LEVEL_WARNING, vm,
			     "writing the cgroup's limit has taken more than %" PRIu64 " ms so far",
			     LIMIT_SLOW_NS / NSEC_PER_MSEC);
		vm->limit_ns = vm_now(vm);
	}
	vm_step(vm);
}
