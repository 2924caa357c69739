// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ledger.  Each VM's entry says what is true now: what was decided, what was promised, what its limit is.  The
 * charge that is due and the next step are worked out from that and stored nowhere, so there is no order of events
 * in which they could get out of step.
 */
#include <errno.h>

#include "ledger.h"

#define UNKNOWN	MEMTIDE_LEDGER_UNKNOWN

/* A kernel rounds limits down to its pages, of which these are the largest. */
#define LIMIT_ROUNDING	(64 * 1024)

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Generations run around and skip zero; @a came before @b. */
static bool generation_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static uint32_t generation_after(uint32_t generation)
{
	return generation + 1 ? generation + 1 : 1;
}

/* What a VM can use that no driver holds back: only a cgroup holds it to its maximum. */
static uint64_t vm_full(const struct memtide_ledger_vm *vm)
{
	return vm->terms.enforced ? vm->terms.maximum : vm->terms.ram;
}

/* What is to be charged as far as the guest goes. */
static uint64_t vm_due_guest(const struct memtide_ledger_vm *vm)
{
	uint64_t due = max64(vm->ceiling, vm->held);

	return vm->throttled ? due : max64(due, vm->promised);
}

/* ... and with a limit that still, or already, allows more. */
static uint64_t vm_due(const struct memtide_ledger_vm *vm)
{
	uint64_t due = vm_due_guest(vm);

	if (!vm->terms.enforced)
		return due;
	if (vm->limit != UNKNOWN)
		due = max64(due, min64(vm->limit, vm->terms.ram));
	if (vm->limit_coming != UNKNOWN)
		due = max64(due, min64(vm->limit_coming, vm->terms.ram));
	return due;
}

static void ledger_settle(struct memtide_ledger *ledger)
{
	if (ledger->charged <= ledger->budget)
		ledger->cause = MEMTIDE_LEDGER_NO_DEFICIT;
}

static void vm_charge(struct memtide_ledger_vm *vm, uint64_t bytes)
{
	vm->ledger->charged += bytes - vm->charged;
	vm->charged = bytes;
	ledger_settle(vm->ledger);
}

/* Something happened that must be charged, room or no room. */
static void vm_charge_due(struct memtide_ledger_vm *vm, enum memtide_ledger_cause cause)
{
	struct memtide_ledger *ledger = vm->ledger;
	uint64_t due = vm_due(vm);

	if (due <= vm->charged)
		return;
	vm_charge(vm, due);
	if (ledger->charged > ledger->budget && ledger->cause == MEMTIDE_LEDGER_NO_DEFICIT)
		ledger->cause = cause;
}

/*
 * The next generation is newer than anything that the guest has seen, so that an old fence says nothing.  It has seen
 * more than this controller said if there was another one, here or where it was migrated from.
 */
static void vm_pass_generation(struct memtide_ledger_vm *vm, const struct memtide_counters *counters)
{
	if (generation_before(vm->generation, counters->fence_generation))
		vm->generation = counters->fence_generation;
}

/* A new generation, with this ceiling.  The caller has seen to the charge. */
static void vm_decide(struct memtide_ledger_vm *vm, uint64_t ceiling)
{
	vm->generation = generation_after(vm->generation);
	if (ceiling != vm->ceiling)
		vm->fence_from = vm->generation;
	vm->ledger->ceilings += ceiling - vm->ceiling;
	vm->ceiling = ceiling;
	vm->limit_waits = false;
	if (vm->held <= ceiling)
		vm->held = 0;
	if (ceiling >= vm->promised)
		vm->throttled = false;
}

/* Whatever the guest confirmed before counts no more. */
static void vm_decide_afresh(struct memtide_ledger_vm *vm, uint64_t ceiling)
{
	vm_decide(vm, ceiling);
	vm->fence_from = vm->generation;
}

void memtide_ledger_init(struct memtide_ledger *ledger, uint64_t budget, uint64_t reserve)
{
	*ledger = (struct memtide_ledger) { .cause = MEMTIDE_LEDGER_NO_DEFICIT };
	memtide_ledger_set_budget(ledger, budget, reserve);
}

void memtide_ledger_set_budget(struct memtide_ledger *ledger, uint64_t budget, uint64_t reserve)
{
	ledger->budget = min64(budget, MEMTIDE_LEDGER_BYTES);
	ledger->reserve = min64(reserve, ledger->budget);
	if (ledger->charged > ledger->budget && ledger->cause == MEMTIDE_LEDGER_NO_DEFICIT)
		ledger->cause = MEMTIDE_LEDGER_BUDGET_FELL;
	ledger_settle(ledger);
}

uint64_t memtide_ledger_deficit(const struct memtide_ledger *ledger)
{
	return ledger->charged > ledger->budget ? ledger->charged - ledger->budget : 0;
}

uint64_t memtide_ledger_room(const struct memtide_ledger *ledger, enum memtide_ledger_purse purse)
{
	uint64_t budget = ledger->budget - (purse == MEMTIDE_LEDGER_RELIEF ? 0 : ledger->reserve);

	return budget > ledger->charged ? budget - ledger->charged : 0;
}

static bool limits_valid(uint64_t ram, uint64_t floor, uint64_t maximum, uint32_t shares)
{
	return maximum && floor <= maximum && maximum <= ram && shares && shares <= MEMTIDE_LEDGER_SHARES;
}

static bool terms_valid(const struct memtide_ledger_terms *terms)
{
	return terms->ram <= MEMTIDE_LEDGER_BYTES &&
	       limits_valid(terms->ram, terms->floor, terms->maximum, terms->shares) &&
	       terms->start >= terms->floor && terms->start <= terms->maximum &&
	       (terms->enforced || !terms->throttle);
}

/* An entry with nothing charged and no ceiling. */
static void vm_enter(struct memtide_ledger *ledger, struct memtide_ledger_vm *vm,
		     const struct memtide_ledger_terms *terms)
{
	*vm = (struct memtide_ledger_vm) {
		.ledger = ledger,
		.terms = *terms,
		.limit = UNKNOWN,
		.limit_coming = UNKNOWN,
		.usable = terms->ram,
	};
	vm->promised = vm_full(vm);
	ledger->nr_vms++;
	ledger->floors += terms->floor;
	ledger->shares += terms->shares;
}

int memtide_ledger_admit(struct memtide_ledger *ledger, struct memtide_ledger_vm *vm,
			 const struct memtide_ledger_terms *terms)
{
	uint64_t full = terms->enforced ? terms->maximum : terms->ram;
	bool throttled = full > memtide_ledger_room(ledger, MEMTIDE_LEDGER_ORDINARY);

	if (!terms_valid(terms))
		return -EINVAL;
	if (ledger->nr_vms >= MEMTIDE_LEDGER_VMS)
		return -E2BIG;
	if (ledger->floors + terms->floor > ledger->budget)
		return -EDQUOT;
	if (throttled && (!terms->throttle || terms->start > memtide_ledger_room(ledger, MEMTIDE_LEDGER_RELIEF)))
		return -ENOSPC;

	vm_enter(ledger, vm, terms);
	vm->throttled = throttled;
	vm_decide_afresh(vm, throttled ? terms->start : terms->maximum);
	vm_charge(vm, vm_due(vm));
	return 0;
}

int memtide_ledger_expect(struct memtide_ledger *ledger, struct memtide_ledger_vm *vm,
			  const struct memtide_ledger_terms *terms)
{
	if (!limits_valid(terms->ram, terms->floor, terms->maximum, terms->shares) ||
	    terms->ram > MEMTIDE_LEDGER_BYTES)
		return -EINVAL;
	if (ledger->nr_vms >= MEMTIDE_LEDGER_VMS)
		return -E2BIG;
	if (ledger->floors + terms->floor > ledger->budget)
		return -EDQUOT;

	vm_enter(ledger, vm, terms);
	vm->terms.enforced = vm->terms.throttle = false;
	/* There is no guest yet that could believe in anything. */
	vm->promised = 0;
	memtide_ledger_gather(vm);
	return 0;
}

uint64_t memtide_ledger_gather(struct memtide_ledger_vm *vm)
{
	uint64_t most = memtide_ledger_most(vm, MEMTIDE_LEDGER_ORDINARY);

	if (most > vm->ceiling) {
		vm_decide(vm, most);
		vm_charge(vm, most);
	}
	return vm->ceiling;
}

/* Did an earlier controller have the driver's word, in this epoch, for what the grant says? */
static bool grant_holds(const struct memtide_grant *grant, const struct memtide_counters *counters,
			uint64_t usable)
{
	return grant && grant->epoch == counters->epoch && usable <= grant->charged &&
	       counters->flags & TIDE_COUNTERS_DRIVER_OK && counters->flags & TIDE_COUNTERS_FENCED &&
	       !(counters->flags & TIDE_COUNTERS_INHIBITED);
}

/* What is promised, and whether the limit holds the VM where nothing else does. */
static void vm_recover_promise(struct memtide_ledger_vm *vm, const struct memtide_counters *counters,
			       const struct memtide_grant *grant)
{
	/* Nothing was ever published that had not been recorded and charged. */
	uint64_t charged = grant ? min64(max64(grant->charged, grant->ceiling), vm->terms.ram) : 0;

	if (grant_holds(grant, counters, vm->usable)) {
		vm->promised = charged;
		return;
	}
	vm->promised = max64(vm_full(vm), charged);
	if (grant && vm->terms.throttle && vm->limit != UNKNOWN && !vm->inhibited) {
		vm->throttled = true;
		vm->held = charged;
	}
}

int memtide_ledger_recover(struct memtide_ledger *ledger, struct memtide_ledger_vm *vm,
			   const struct memtide_ledger_terms *terms, const struct memtide_counters *counters,
			   const struct memtide_grant *grant, uint64_t limit)
{
	uint64_t ceiling = terms->maximum;

	if (!terms_valid(terms))
		return -EINVAL;
	if (ledger->nr_vms >= MEMTIDE_LEDGER_VMS)
		return -E2BIG;

	vm_enter(ledger, vm, terms);
	vm->limit = terms->enforced ? limit : UNKNOWN;
	vm->epoch = counters->epoch;
	vm->driver = counters->flags & TIDE_COUNTERS_DRIVER_OK;
	vm->inhibited = counters->flags & TIDE_COUNTERS_INHIBITED;
	vm->released = grant && grant->flags & TIDE_GRANT_RELEASED;
	vm->usable = terms->ram - min64(counters->given_bytes, terms->ram);
	vm_recover_promise(vm, counters, grant);
	vm->generation = grant ? grant->generation : counters->fence_generation;
	if (grant && grant->epoch != counters->epoch)
		vm_pass_generation(vm, counters);
	/* A released one has whatever it was charged. */
	if (grant && !vm->inhibited)
		ceiling = min64(vm->released ? max64(grant->charged, grant->ceiling) : grant->ceiling, terms->maximum);
	vm_decide_afresh(vm, ceiling);
	vm_charge_due(vm, MEMTIDE_LEDGER_FOUND_RUNNING);
	return 0;
}

void memtide_ledger_remove(struct memtide_ledger_vm *vm)
{
	struct memtide_ledger *ledger = vm->ledger;

	if (!ledger)
		return;
	ledger->nr_vms--;
	ledger->floors -= vm->terms.floor;
	ledger->shares -= vm->terms.shares;
	ledger->ceilings -= vm->ceiling;
	vm_charge(vm, 0);
	vm->ledger = NULL;
}

uint64_t memtide_ledger_most(const struct memtide_ledger_vm *vm, enum memtide_ledger_purse purse)
{
	return min64(vm->terms.maximum, vm->charged + memtide_ledger_room(vm->ledger, purse));
}

int memtide_ledger_set(struct memtide_ledger_vm *vm, uint64_t ceiling, enum memtide_ledger_purse purse)
{
	if (vm->inhibited || vm->unanswering || vm->released)
		return -EBUSY;
	if (ceiling < vm->terms.floor || ceiling > vm->terms.maximum)
		return -ERANGE;
	if (ceiling > memtide_ledger_most(vm, purse))
		return -ENOSPC;
	vm_decide(vm, ceiling);
	if (vm->charged < ceiling)
		vm_charge(vm, ceiling);
	return 0;
}

/* Of a VM that its limit alone holds from now on: what it is charged, up to where it would have started. */
static uint64_t vm_throttle_ceiling(const struct memtide_ledger_vm *vm)
{
	uint64_t start = min64(vm->terms.start, memtide_ledger_most(vm, MEMTIDE_LEDGER_RELIEF));

	return min64(max64(vm->charged, start), vm->terms.maximum);
}

/*
 * Nobody vouches for the guest any more: it may use all it has.  Where there is room it is charged for that;
 * else its limit alone holds it where it is, if it has one that may; else there is a deficit.
 * @lift: it also gets that much, because it will not know of a ceiling.
 */
static void vm_lose(struct memtide_ledger_vm *vm, bool lift)
{
	uint64_t room = memtide_ledger_room(vm->ledger, MEMTIDE_LEDGER_ORDINARY), ceiling = vm->ceiling;

	vm->promised = max64(vm->promised, vm_full(vm));
	vm->held = 0;
	if (vm->inhibited) {
		/* Its memory may be pinned, and no limit could hold that. */
		vm->throttled = false;
	} else if (!vm->throttled && vm->terms.throttle && vm->limit != UNKNOWN &&
		   vm->promised > vm->charged + room) {
		vm->throttled = true;
		if (lift)
			ceiling = vm_throttle_ceiling(vm);
	}
	if (lift && !vm->throttled)
		ceiling = vm->terms.maximum;
	vm_decide_afresh(vm, ceiling);
	vm_charge_due(vm, MEMTIDE_LEDGER_DRIVER_LOST);
}

/* The guest says that it has come down; the device's counts have to agree. */
static void vm_fence(struct memtide_ledger_vm *vm, const struct memtide_counters *counters)
{
	uint64_t fence_usable = vm->terms.ram - min64(counters->fence_given_bytes, vm->terms.ram);
	uint32_t fence = counters->fence_generation;

	if (vm->promised <= vm->ceiling || !(counters->flags & TIDE_COUNTERS_FENCED))
		return;
	if (!vm->published || generation_before(fence, vm->fence_from) || generation_before(vm->published, fence))
		return;
	if (vm->usable > vm->ceiling || fence_usable > vm->ceiling)
		return;
	vm->held = max64(vm->held, min64(vm->promised, vm->charged));
	vm->promised = vm->ceiling;
	vm->throttled = false;
	vm->unanswering = false;
}

/* Whole huge pieces are free at once, the rest when it shows. */
static void vm_see_free(struct memtide_ledger_vm *vm, const struct memtide_counters *counters, uint64_t resident)
{
	uint64_t in_use = vm->terms.ram - min64(counters->given_huge_bytes, vm->terms.ram);

	vm->held = min64(vm->held, min64(in_use, resident));
	if (vm->held <= vm->ceiling)
		vm->held = 0;
}

/* Nothing holds this VM but its word, and it has broken it. */
static void vm_see_overuse(struct memtide_ledger_vm *vm)
{
	if (vm->terms.enforced || vm->usable <= vm->promised)
		return;
	vm->promised = vm->usable;
	vm_decide_afresh(vm, vm->ceiling);
	vm_charge_due(vm, MEMTIDE_LEDGER_OVERUSE);
}

void memtide_ledger_observe(struct memtide_ledger_vm *vm, const struct memtide_counters *counters,
			    uint64_t resident)
{
	bool driver = counters->flags & TIDE_COUNTERS_DRIVER_OK;
	bool inhibited = counters->flags & TIDE_COUNTERS_INHIBITED;
	bool reset = counters->epoch != vm->epoch;
	bool lost = reset || (vm->driver && !driver) || (inhibited && !vm->inhibited);

	vm->epoch = counters->epoch;
	vm->driver = driver;
	vm->inhibited = inhibited;
	vm->usable = vm->terms.ram - min64(counters->given_bytes, vm->terms.ram);
	vm->limit_waits = false;
	if (reset)
		vm_pass_generation(vm, counters);
	if (lost)
		vm_lose(vm, true);
	if (driver && !inhibited)
		vm_fence(vm, counters);
	if (vm->held)
		vm_see_free(vm, counters, resident);
	vm_see_overuse(vm);
}

void memtide_ledger_unanswering(struct memtide_ledger_vm *vm, bool unanswering)
{
	if (vm->unanswering == unanswering)
		return;
	vm->unanswering = unanswering;
	if (unanswering)
		vm_lose(vm, false);
}

int memtide_ledger_release(struct memtide_ledger_vm *vm, bool release)
{
	uint64_t reach = max64(vm->promised, vm_full(vm));

	if (vm->released == release)
		return 0;
	if (release && reach > vm->charged + memtide_ledger_room(vm->ledger, MEMTIDE_LEDGER_RELIEF))
		return -ENOSPC;
	vm->released = release;
	if (release) {
		vm->promised = reach;
		vm->throttled = false;
	}
	vm_decide_afresh(vm, release ? vm->terms.maximum : vm->ceiling);
	vm_charge_due(vm, MEMTIDE_LEDGER_DRIVER_LOST);
	return 0;
}

void memtide_ledger_step_back(struct memtide_ledger_vm *vm, uint64_t ceiling)
{
	vm->released = true;
	vm_decide_afresh(vm, min64(ceiling, vm->terms.maximum));
	vm_charge_due(vm, MEMTIDE_LEDGER_SET_BY_HAND);
}

void memtide_ledger_resume(struct memtide_ledger_vm *vm, const struct memtide_counters *counters)
{
	vm->epoch = counters->epoch;
	vm->published = 0;
	vm_decide_afresh(vm, vm->ceiling);
	memtide_ledger_observe(vm, counters, UNKNOWN);
}

int memtide_ledger_change(struct memtide_ledger_vm *vm, uint64_t floor, uint64_t maximum, uint32_t shares)
{
	struct memtide_ledger *ledger = vm->ledger;
	struct memtide_ledger_terms *terms = &vm->terms;

	if (!limits_valid(terms->ram, floor, maximum, shares))
		return -EINVAL;
	if (floor > terms->floor && ledger->floors - terms->floor + floor > ledger->budget)
		return -EDQUOT;
	ledger->floors += floor - terms->floor;
	ledger->shares += (uint64_t)shares - terms->shares;
	terms->floor = floor;
	terms->maximum = maximum;
	terms->shares = shares;
	terms->start = min64(max64(terms->start, floor), maximum);
	vm_decide(vm, min64(vm->ceiling, maximum));
	return 0;
}

void memtide_ledger_enforce(struct memtide_ledger_vm *vm, bool enforced, uint64_t limit)
{
	vm->terms.enforced = enforced;
	vm->limit_coming = UNKNOWN;
	/* A limit above the charge has not held anything so far: it is as good as none until it is written. */
	vm->limit = enforced && limit <= vm->charged ? limit : UNKNOWN;
	if (enforced)
		return;
	vm->terms.throttle = false;
	vm->throttled = false;
	vm->promised = max64(vm->promised, vm->usable);
	vm_decide_afresh(vm, vm->ceiling);
	vm_charge_due(vm, MEMTIDE_LEDGER_LIMIT_LOST);
}

/* What comes before publishing: a limit below the ceiling, or none. */
static enum memtide_ledger_step limit_before(const struct memtide_ledger_vm *vm)
{
	bool busy = vm->limit_coming != UNKNOWN;

	/* UNKNOWN is above every size. */
	if (min64(vm->limit, vm->limit_coming) < vm->ceiling)
		return busy ? MEMTIDE_LEDGER_WAIT_LIMIT : MEMTIDE_LEDGER_LIMIT_UP;
	if (vm->limit == UNKNOWN && !busy)
		return MEMTIDE_LEDGER_LIMIT_DOWN;
	return MEMTIDE_LEDGER_NONE;
}

/* What comes after publishing. */
static enum memtide_ledger_step limit_after(const struct memtide_ledger_vm *vm, uint64_t limit)
{
	bool fence = vm->promised > vm->ceiling;

	/* A driver gets its chance to come down before the limit, which counts no promise, does. */
	if (fence && vm->throttled && vm->driver)
		return MEMTIDE_LEDGER_WAIT_FENCE;
	if (vm->terms.enforced && vm->limit_coming != UNKNOWN)
		return MEMTIDE_LEDGER_WAIT_LIMIT;
	if (vm->terms.enforced && vm->limit > limit)
		return MEMTIDE_LEDGER_LIMIT_DOWN;
	if (fence)
		return MEMTIDE_LEDGER_WAIT_FENCE;
	return vm->held ? MEMTIDE_LEDGER_WAIT_FREE : MEMTIDE_LEDGER_NONE;
}

static enum memtide_ledger_step vm_next(const struct memtide_ledger_vm *vm, uint64_t due, uint64_t limit)
{
	enum memtide_ledger_step step = MEMTIDE_LEDGER_NONE;

	if (vm->recorded.generation != vm->generation || vm->recorded.ceiling != vm->ceiling ||
	    vm->recorded.charged != due || vm->charged != due)
		return MEMTIDE_LEDGER_RECORD;
	if (vm->terms.enforced)
		step = limit_before(vm);
	if (step == MEMTIDE_LEDGER_NONE) {
		if (vm->published != vm->generation)
			return MEMTIDE_LEDGER_PUBLISH;
		step = limit_after(vm, limit);
	}
	if (vm->limit_waits && (step == MEMTIDE_LEDGER_LIMIT_UP || step == MEMTIDE_LEDGER_LIMIT_DOWN))
		return MEMTIDE_LEDGER_WAIT_FREE;
	return step;
}

enum memtide_ledger_step memtide_ledger_next(const struct memtide_ledger_vm *vm,
					     struct memtide_ledger_action *ret_action)
{
	*ret_action = (struct memtide_ledger_action) {
		.generation = vm->generation,
		.ceiling = vm->ceiling,
		.charged = vm_due(vm),
		.limit = vm_due_guest(vm),
	};
	ret_action->step = vm_next(vm, ret_action->charged, ret_action->limit);
	return ret_action->step;
}

static void vm_recorded(struct memtide_ledger_vm *vm, const struct memtide_ledger_action *action)
{
	vm->recorded.generation = action->generation;
	vm->recorded.ceiling = action->ceiling;
	vm->recorded.charged = action->charged;
	/* Not where more has become due since the step was worked out. */
	if (action->charged < vm->charged && vm_due(vm) <= action->charged)
		vm_charge(vm, action->charged);
}

static void vm_published(struct memtide_ledger_vm *vm, const struct memtide_ledger_action *action)
{
	vm->published = action->generation;
	if (action->ceiling > vm->promised) {
		vm->promised = action->ceiling;
		vm_charge_due(vm, MEMTIDE_LEDGER_DRIVER_LOST);
	}
}

void memtide_ledger_done(struct memtide_ledger_vm *vm, const struct memtide_ledger_action *action)
{
	if (action->step == MEMTIDE_LEDGER_RECORD)
		vm_recorded(vm, action);
	else if (action->step == MEMTIDE_LEDGER_PUBLISH)
		vm_published(vm, action);
}

void memtide_ledger_limit_begin(struct memtide_ledger_vm *vm, const struct memtide_ledger_action *action)
{
	vm->limit_coming = action->limit;
}

void memtide_ledger_limit_done(struct memtide_ledger_vm *vm, uint64_t limit)
{
	if (limit < vm->limit_coming && vm->limit_coming - limit < LIMIT_ROUNDING)
		limit = vm->limit_coming;
	vm->limit_waits = limit != vm->limit_coming;
	vm->limit_coming = UNKNOWN;
	if (!vm->terms.enforced || limit == UNKNOWN)
		return;
	vm->limit = limit;
	vm_charge_due(vm, MEMTIDE_LEDGER_LIMIT_LOST);
}

enum memtide_ledger_state memtide_ledger_state(const struct memtide_ledger_vm *vm)
{
	if (vm->released)
		return MEMTIDE_LEDGER_RELEASED;
	if (vm->inhibited)
		return MEMTIDE_LEDGER_INHIBITED;
	if (!vm->driver)
		return MEMTIDE_LEDGER_STARTING;
	return vm->unanswering ? MEMTIDE_LEDGER_UNANSWERING : MEMTIDE_LEDGER_MANAGED;
}

uint64_t memtide_ledger_beyond_floors(const struct memtide_ledger *ledger)
{
	return ledger->budget > ledger->floors ? ledger->budget - ledger->floors : 0;
}

uint64_t memtide_ledger_entitlement(const struct memtide_ledger_vm *vm)
{
	const struct memtide_ledger *ledger = vm->ledger;
	uint64_t beyond = memtide_ledger_beyond_floors(ledger);
	uint64_t part = (uint64_t)((unsigned __int128)beyond * vm->terms.shares / ledger->shares);

	return min64(vm->terms.floor + part, vm->terms.maximum);
}

static const char *vm_check(const struct memtide_ledger_vm *vm)
{
	if (vm->ceiling > vm->terms.maximum)
		return "a ceiling is above its maximum";
	if (vm->charged < vm_due(vm))
		return "a charge is below what is due";
	if (vm->charged > vm->terms.ram)
		return "a charge is above the VM's RAM";
	if (vm->throttled && !vm->terms.enforced)
		return "a VM is throttled that has no limit";
	if (vm->published && generation_before(vm->generation, vm->published))
		return "a generation was published before it was decided";
	return NULL;
}

const char *memtide_ledger_check(const struct memtide_ledger *ledger, const struct memtide_ledger_vm *vm)
{
	if (ledger->charged > ledger->budget && ledger->cause == MEMTIDE_LEDGER_NO_DEFICIT)
		return "the charges are above the budget and nothing has made them so";
	if (ledger->charged <= ledger->budget && ledger->cause != MEMTIDE_LEDGER_NO_DEFICIT)
		return "a deficit is named where there is none";
	if (ledger->ceilings > ledger->charged)
		return "the ceilings are above the charges";
	return vm ? vm_check(vm) : NULL;
}
