// SPDX-License-Identifier: GPL-2.0-or-later
/* Ledger: in whatever order things happen, what it promises holds, and in the end everything settles. */
/*
 * A small world of guests, devices, cgroups and a controller in which random things happen: decisions, gives,
 * fences (honest and not), resets, inhibition, limits that are written late, partly or not at all, VMs that
 * vanish, and the controller killed between any two steps.  After each of them these rules are checked against
 * what is true in that world, which the ledger does not see:
 *
 *  1. The charges are within the budget unless something outside the ledger has made it impossible, and while
 *     they are not, no decision makes any charge rise.
 *  2. A VM is charged for all that it could come to hold: up to its limit where it has one, up to what an honest
 *     guest believes that it may take where it has none, all its RAM where no driver speaks for it.
 *  3. A guest hears of a ceiling only when that is recorded, charged and within its limit; a limit falls only
 *     when an honest guest has come down.
 *  4. A charge falls only with a record of it, or with the VM's process.
 *  5. When everything that is waited for has come, nothing is left to do and each VM is charged its ceiling.
 *
 * MEMTIDE_SEEDS says how many worlds (3000), MEMTIDE_SEED which is the first (1); the one that fails is printed.
 */
#include "unit.h"

#include <errno.h>

#include "ledger.h"

#define UNKNOWN		MEMTIDE_LEDGER_UNKNOWN
#define WORLD_VMS	6
#define WORLD_EVENTS	400
#define PIECE		(16 * MIB)	/* sizes are multiples of this */

/* One VM as it is, and its entry in the ledger, which does not look at the rest. */
struct world_vm {
	bool alive;
	bool hostile;
	bool unobserved;	/* something happened that the controller has not looked at */
	bool started;		/* a throttled one waits for its limit */
	bool believes_more;	/* its limit alone has held it, and it has not confirmed anything since */
	uint64_t bound;		/* the lowest maximum that it has had: a higher one gives nothing by itself */
	/* the guest */
	bool has_read;		/* its driver has read a state record since it was loaded */
	uint32_t read_generation;
	uint64_t read_ceiling;
	/* the state record, 0: none */
	uint32_t state_generation;
	uint64_t state_ceiling;
	/* the device */
	struct memtide_counters counters;
	/* the cgroup */
	uint64_t limit;		/* UNKNOWN: none */
	bool limit_coming;
	bool limit_applied;
	uint64_t limit_asked;
	/* the grant record */
	bool has_grant;
	struct memtide_grant grant;
	/* the controller's */
	struct memtide_ledger_terms terms;
	struct memtide_ledger_vm entry;
};

struct world {
	uint64_t seed;
	unsigned long number;
	int event;
	struct memtide_ledger ledger;
	uint64_t budget;
	uint64_t reserve;
	struct world_vm vm[WORLD_VMS];
};

#define world_fail(world, format, ...) \
	fail_msg("MEMTIDE_SEED=%lu, event %d: " format, (world)->number, (world)->event, ##__VA_ARGS__)

static uint64_t pieces(struct world *world, uint64_t from, uint64_t to)
{
	return from + unit_below(&world->seed, (to - from) / PIECE + 1) * PIECE;
}

static bool one_in(struct world *world, unsigned int n)
{
	return !unit_below(&world->seed, n);
}

static uint64_t usable(const struct world_vm *vm)
{
	return vm->terms.ram - vm->counters.given_bytes;
}

/*
 * The rules
 */

/* The most that a guest may come to use without anything else happening to it. */
static uint64_t guest_reach(const struct world_vm *vm)
{
	if (!(vm->counters.flags & TIDE_COUNTERS_DRIVER_OK) || !vm->has_read || vm->hostile)
		return vm->terms.ram;
	return usable(vm) > vm->read_ceiling ? usable(vm) : vm->read_ceiling;
}

/* The same for what is held to a maximum by a cgroup, though its guest may believe in a higher ceiling. */
static uint64_t bound_reach(const struct world_vm *vm)
{
	uint64_t reach = guest_reach(vm), bound = vm->bound;

	if (!vm->terms.enforced)
		return reach;
	if (vm->has_read && vm->read_ceiling > bound)
		bound = vm->read_ceiling;
	return reach < bound ? reach : bound;
}

/* Rule 2. */
static void check_reach(struct world *world, const struct world_vm *vm)
{
	const struct memtide_ledger_vm *entry = &vm->entry;
	uint64_t reach = guest_reach(vm);

	if (!vm->started)
		return;
	/* A limit that the ledger has had written holds, whatever its VM does. */
	if (vm->terms.enforced && entry->limit != UNKNOWN && entry->charged < reach && entry->charged < vm->limit)
		world_fail(world, "VM %zd is charged %llu, reaches %llu within its limit of %llu", vm - world->vm,
			   (unsigned long long)entry->charged, (unsigned long long)reach,
			   (unsigned long long)vm->limit);
	/* Without a limit the ledger knows what it has been shown; a hostile VM is charged what it takes. */
	if (vm->unobserved || (vm->terms.enforced && (vm->hostile || vm->believes_more)))
		return;
	reach = vm->hostile ? usable(vm) : bound_reach(vm);
	if (entry->charged < reach)
		world_fail(world, "VM %zd is charged %llu and reaches %llu", vm - world->vm,
			   (unsigned long long)entry->charged, (unsigned long long)reach);
}

static void check_world(struct world *world)
{
	uint64_t charged = 0, ceilings = 0, floors = 0;
	const char *wrong;

	for (struct world_vm *vm = world->vm; vm < world->vm + WORLD_VMS; vm++) {
		if (!vm->alive)
			continue;
		vm->believes_more |= vm->entry.throttled;
		wrong = memtide_ledger_check(&world->ledger, &vm->entry);
		if (wrong)
			world_fail(world, "VM %zd: %s", vm - world->vm, wrong);
		check_reach(world, vm);
		charged += vm->entry.charged;
		ceilings += vm->entry.ceiling;
		floors += vm->entry.terms.floor;
	}
	wrong = memtide_ledger_check(&world->ledger, NULL);
	if (wrong)
		world_fail(world, "%s", wrong);
	if (charged != world->ledger.charged || ceilings != world->ledger.ceilings ||
	    floors != world->ledger.floors)
		world_fail(world, "the sums are not those of the entries");
}

/* Around a decision: rule 1. */
static void check_decision(struct world *world, uint64_t charged_before, int r)
{
	uint64_t charged = world->ledger.charged;

	if (charged > charged_before && charged > world->ledger.budget)
		world_fail(world, "a decision charged %llu more, which is above the budget",
			   (unsigned long long)(charged - charged_before));
	if (r < 0 && charged != charged_before)
		world_fail(world, "a refused decision has changed a charge");
}

/*
 * Guests and devices
 */

static void guest_reset(struct world *world, struct world_vm *vm)
{
	vm->counters = (struct memtide_counters) {
		.epoch = vm->counters.epoch + 1,
		.ram_bytes = vm->terms.ram,
		.flags = vm->counters.flags & TIDE_COUNTERS_INHIBITED,
	};
	vm->has_read = false;
	vm->believes_more = false;
	vm->unobserved = true;
}

static void guest_load(struct world *world, struct world_vm *vm)
{
	if (vm->counters.flags & TIDE_COUNTERS_DRIVER_OK)
		return;
	vm->counters.flags |= TIDE_COUNTERS_DRIVER_OK;
	vm->unobserved = true;
}

/* The device counts: some of what is given is in huge pieces. */
static void device_give(struct world *world, struct world_vm *vm, uint64_t given)
{
	vm->counters.given_bytes = given;
	vm->counters.given_huge_bytes = one_in(world, 3) ? pieces(world, 0, given) : given;
}

static void device_fence(struct world_vm *vm, uint32_t generation)
{
	vm->counters.fence_generation = generation;
	vm->counters.fence_given_bytes = vm->counters.given_bytes;
	vm->counters.flags |= TIDE_COUNTERS_FENCED;
}

/* An honest guest reads, comes down and says so, or takes back within what it has read. */
static void guest_honest(struct world *world, struct world_vm *vm, bool all)
{
	uint64_t down;

	if (!(vm->counters.flags & TIDE_COUNTERS_DRIVER_OK))
		return;
	if (vm->state_generation && (all || one_in(world, 2))) {
		vm->has_read = true;
		vm->read_generation = vm->state_generation;
		vm->read_ceiling = vm->state_ceiling;
	}
	if (!vm->has_read)
		return;
	if (usable(vm) > vm->read_ceiling && !(vm->counters.flags & TIDE_COUNTERS_INHIBITED)) {
		down = all ? vm->read_ceiling : pieces(world, vm->read_ceiling, usable(vm));
		device_give(world, vm, vm->terms.ram - down);
	} else if (usable(vm) < vm->read_ceiling && one_in(world, 3)) {
		device_give(world, vm, vm->terms.ram - pieces(world, usable(vm), vm->read_ceiling));
	}
	if (usable(vm) <= vm->read_ceiling && !(vm->counters.flags & TIDE_COUNTERS_INHIBITED))
		device_fence(vm, vm->read_generation);
}

/* A hostile one gives and takes as it likes and sends fences for anything. */
static void guest_hostile(struct world *world, struct world_vm *vm)
{
	if (!(vm->counters.flags & TIDE_COUNTERS_DRIVER_OK))
		return;
	if (one_in(world, 2))
		device_give(world, vm, pieces(world, 0, vm->terms.ram));
	if (one_in(world, 2))
		device_fence(vm, vm->state_generation + unit_below(&world->seed, 5) - 2);
	vm->unobserved = true;
}

static void guest_acts(struct world *world, struct world_vm *vm)
{
	if (!vm->started)
		return;
	if (vm->hostile)
		guest_hostile(world, vm);
	else
		guest_honest(world, vm, false);
}

/*
 * The controller
 */

static uint64_t shown_resident(struct world *world, struct world_vm *vm)
{
	if (one_in(world, 3))
		return UNKNOWN;
	return pieces(world, 0, usable(vm));
}

static void observe(struct world *world, struct world_vm *vm)
{
	uint64_t before = vm->entry.charged;
	bool throttled = vm->entry.throttled;

	memtide_ledger_observe(&vm->entry, &vm->counters, shown_resident(world, vm));
	vm->unobserved = false;
	if (throttled && !vm->entry.throttled)
		vm->believes_more = false;
	if (vm->entry.charged < before)
		world_fail(world, "looking made a charge fall");
}

/* Rule 3. */
static void check_publish(struct world *world, const struct world_vm *vm,
			  const struct memtide_ledger_action *action)
{
	if (!vm->has_grant || vm->grant.generation != action->generation || vm->grant.ceiling != action->ceiling ||
	    vm->grant.charged < action->ceiling)
		world_fail(world, "published before it was recorded");
	if (vm->entry.charged < action->ceiling)
		world_fail(world, "published before it was charged");
	if (vm->terms.enforced && vm->limit < action->ceiling)
		world_fail(world, "published before the limit was raised");
}

static void check_limit_down(struct world *world, const struct world_vm *vm,
			     const struct memtide_ledger_action *action)
{
	if (vm->hostile || vm->unobserved || vm->believes_more)
		return;
	if (vm->has_read && action->limit < bound_reach(vm))
		world_fail(world, "the limit falls to %llu, the guest reaches %llu",
			   (unsigned long long)action->limit, (unsigned long long)bound_reach(vm));
}

static void record(struct world_vm *vm, const struct memtide_ledger_action *action)
{
	vm->has_grant = true;
	vm->grant = (struct memtide_grant) {
		.flags = vm->entry.released ? TIDE_GRANT_RELEASED : 0,
		.generation = action->generation,
		.epoch = vm->entry.epoch,
		.ceiling = action->ceiling,
		.charged = action->charged,
	};
}

/* One step of one VM.  Returns whether there was one to take. */
static bool step(struct world *world, struct world_vm *vm)
{
	uint64_t before = vm->entry.charged;
	struct memtide_ledger_action action;

	switch (memtide_ledger_next(&vm->entry, &action)) {
	case MEMTIDE_LEDGER_RECORD:
		record(vm, &action);
		memtide_ledger_done(&vm->entry, &action);
		return true;
	case MEMTIDE_LEDGER_PUBLISH:
		check_publish(world, vm, &action);
		vm->state_generation = action.generation;
		vm->state_ceiling = action.ceiling;
		memtide_ledger_done(&vm->entry, &action);
		break;
	case MEMTIDE_LEDGER_LIMIT_DOWN:
		check_limit_down(world, vm, &action);
		/* fall through */
	case MEMTIDE_LEDGER_LIMIT_UP:
		if (vm->limit_coming)
			world_fail(world, "a second limit while one is being written");
		vm->limit_coming = true;
		vm->limit_applied = false;
		vm->limit_asked = action.limit;
		memtide_ledger_limit_begin(&vm->entry, &action);
		break;
	default:
		return false;
	}
	/* Rule 4. */
	if (vm->entry.charged < before)
		world_fail(world, "a charge fell without a record");
	return true;
}

/* The helper writes, and some time later says so. */
static void limit_goes_on(struct world *world, struct world_vm *vm, bool well)
{
	uint64_t before = vm->entry.charged;

	if (!vm->limit_coming)
		return;
	if (!vm->limit_applied) {
		vm->limit_applied = true;
		/* Not below what is in use, or not at all. */
		if (well || !one_in(world, 4))
			vm->limit = vm->limit_asked;
		else if (one_in(world, 2) && vm->limit != UNKNOWN && vm->limit > vm->limit_asked)
			vm->limit = pieces(world, vm->limit_asked, vm->limit);
		return;
	}
	vm->limit_coming = false;
	memtide_ledger_limit_done(&vm->entry, vm->limit);
	vm->started |= vm->limit != UNKNOWN;
	if (vm->entry.charged < before)
		world_fail(world, "a charge fell without a record");
}

static void admit(struct world *world, struct world_vm *vm)
{
	uint64_t before = world->ledger.charged;
	struct memtide_ledger_terms terms;
	int r;

	terms.ram = pieces(world, 256 * MIB, 2 * GIB);
	terms.maximum = one_in(world, 3) ? pieces(world, 64 * MIB, terms.ram) : terms.ram;
	terms.floor = pieces(world, 0, terms.maximum / 2 / PIECE * PIECE);
	terms.start = pieces(world, terms.floor, terms.maximum);
	terms.shares = 1 + unit_below(&world->seed, 1000);
	terms.enforced = !one_in(world, 3);
	terms.throttle = terms.enforced && one_in(world, 2);
	*vm = (struct world_vm) {
		.hostile = one_in(world, 4),
		.counters = { .epoch = unit_below(&world->seed, 3), .ram_bytes = terms.ram },
		.limit = UNKNOWN,
		.terms = terms,
		.bound = terms.maximum,
	};
	r = memtide_ledger_admit(&world->ledger, &vm->entry, &terms);
	check_decision(world, before, r);
	if (r < 0)
		return;
	vm->alive = true;
	vm->started = !vm->entry.throttled;
	if (world->ledger.floors > world->ledger.budget)
		world_fail(world, "a VM was admitted and the floors do not fit");
}

static void change_terms(struct world *world, struct world_vm *vm)
{
	uint64_t before = world->ledger.charged, maximum = pieces(world, PIECE, vm->terms.ram);
	int r;

	r = memtide_ledger_change(&vm->entry, pieces(world, 0, maximum), maximum,
				  1 + unit_below(&world->seed, 50));
	check_decision(world, before, r);
	vm->terms = vm->entry.terms;
	if (vm->bound > vm->terms.maximum)
		vm->bound = vm->terms.maximum;
}

/* The cgroup goes, with what was being written to it; or one comes. */
static void toggle_enforced(struct world *world, struct world_vm *vm)
{
	bool enforced = !vm->terms.enforced;

	vm->limit_coming = false;
	vm->limit = UNKNOWN;
	if (enforced && one_in(world, 2))
		vm->limit = pieces(world, 0, vm->terms.ram);
	memtide_ledger_enforce(&vm->entry, enforced, vm->limit);
	vm->terms = vm->entry.terms;
	vm->started = true;
}

/* Killed and started again: the ledger is made from what is found. */
static void restart(struct world *world)
{
	uint64_t least;
	int r;

	memtide_ledger_init(&world->ledger, world->budget, world->reserve);
	for (struct world_vm *vm = world->vm; vm < world->vm + WORLD_VMS; vm++) {
		if (!vm->alive)
			continue;
		vm->limit_coming = false;
		vm->started = true;
		vm->unobserved = false;
		r = memtide_ledger_recover(&world->ledger, &vm->entry, &vm->terms, &vm->counters,
					   vm->has_grant ? &vm->grant : NULL, vm->limit);
		if (r < 0)
			world_fail(world, "VM %zd could not be taken in again: %d", vm - world->vm, r);
		least = vm->has_grant ? vm->grant.charged : vm->terms.maximum;
		if (vm->entry.charged < least)
			world_fail(world, "less is charged than was before the restart");
	}
}

static void decide(struct world *world, struct world_vm *vm)
{
	enum memtide_ledger_purse purse = one_in(world, 2) ? MEMTIDE_LEDGER_RELIEF : MEMTIDE_LEDGER_ORDINARY;
	uint64_t before = world->ledger.charged, room = memtide_ledger_room(&world->ledger, purse);
	uint64_t most = memtide_ledger_most(&vm->entry, purse), ceiling;
	int r;

	switch (unit_below(&world->seed, 3)) {
	case 0:
		ceiling = pieces(world, vm->terms.floor, vm->terms.maximum);
		break;
	case 1:
		ceiling = most;
		break;
	default:
		ceiling = pieces(world, 0, vm->terms.ram);
	}
	r = memtide_ledger_set(&vm->entry, ceiling, purse);
	check_decision(world, before, r);
	if (r == 0 && world->ledger.charged - before > room)
		world_fail(world, "a rise took more than the room there was");
	if (r == -ENOSPC && ceiling <= most)
		world_fail(world, "%llu was refused and %llu offered", (unsigned long long)ceiling,
			   (unsigned long long)most);
}

/* Something that happens to one VM, or to all. */
static void happen(struct world *world)
{
	struct world_vm *vm = &world->vm[unit_below(&world->seed, WORLD_VMS)];
	uint64_t what = unit_below(&world->seed, 100), before = world->ledger.charged;

	if (!vm->alive) {
		admit(world, vm);
		return;
	}
	if (what < 35) {
		step(world, vm);
	} else if (what < 50) {
		guest_acts(world, vm);
	} else if (what < 62) {
		observe(world, vm);
	} else if (what < 74) {
		limit_goes_on(world, vm, false);
	} else if (what < 86) {
		decide(world, vm);
	} else if (what < 89 && vm->started) {
		guest_load(world, vm);
	} else if (what < 91 && vm->started) {
		guest_reset(world, vm);
	} else if (what < 92) {
		vm->counters.flags ^= TIDE_COUNTERS_INHIBITED;
		vm->unobserved = true;
	} else if (what < 93) {
		memtide_ledger_unanswering(&vm->entry, one_in(world, 2));
	} else if (what < 94) {
		check_decision(world, before, memtide_ledger_release(&vm->entry, one_in(world, 2)));
	} else if (what < 95) {
		change_terms(world, vm);
	} else if (what < 96) {
		toggle_enforced(world, vm);
	} else if (what < 97) {
		world->budget = pieces(world, 512 * MIB, 8 * GIB);
		world->reserve = pieces(world, 0, 512 * MIB);
		memtide_ledger_set_budget(&world->ledger, world->budget, world->reserve);
	} else if (what < 98) {
		restart(world);
	} else if (what < 99) {
		memtide_ledger_remove(&vm->entry);
		vm->alive = false;
	}
}

/* Rule 5: every driver is there, honest and quick, and every write succeeds. */
static void settle(struct world *world)
{
	struct memtide_ledger_action action;

	for (struct world_vm *vm = world->vm; vm < world->vm + WORLD_VMS; vm++) {
		if (!vm->alive)
			continue;
		vm->counters.flags &= ~TIDE_COUNTERS_INHIBITED;
		/* An honest guest in place of a hostile one is another one. */
		if (vm->hostile)
			guest_reset(world, vm);
		vm->hostile = false;
		guest_load(world, vm);
		memtide_ledger_release(&vm->entry, false);
		memtide_ledger_unanswering(&vm->entry, false);
		for (int i = 0; i < 10; i++) {
			memtide_ledger_observe(&vm->entry, &vm->counters, 0);
			while (step(world, vm)) {
				limit_goes_on(world, vm, true);
				limit_goes_on(world, vm, true);
				check_world(world);
			}
			limit_goes_on(world, vm, true);
			limit_goes_on(world, vm, true);
			guest_honest(world, vm, true);
		}
		memtide_ledger_next(&vm->entry, &action);
		if (action.step != MEMTIDE_LEDGER_NONE || vm->entry.charged != vm->entry.ceiling ||
		    vm->entry.throttled || vm->grant.charged != vm->entry.charged ||
		    (vm->terms.enforced && vm->limit != vm->entry.ceiling))
			world_fail(world, "VM %zd does not settle: step %d, ceiling %llu, charged %llu",
				   vm - world->vm, action.step, (unsigned long long)vm->entry.ceiling,
				   (unsigned long long)vm->entry.charged);
	}
}

static void run_world(unsigned long number)
{
	static struct world world;

	world = (struct world) { .seed = number, .number = number, .budget = 4 * GIB, .reserve = 256 * MIB };
	memtide_ledger_init(&world.ledger, world.budget, world.reserve);
	for (world.event = 0; world.event < WORLD_EVENTS; world.event++) {
		happen(&world);
		check_world(&world);
	}
	settle(&world);
}

static void test_worlds(void **state)
{
	unsigned long first = unit_count("MEMTIDE_SEED", 1), count = unit_count("MEMTIDE_SEEDS", 3000);

	for (unsigned long number = first; number < first + count; number++)
		run_world(number);
	print_message("%lu worlds of %d events, seeds from %lu\n", count, WORLD_EVENTS, first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worlds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
