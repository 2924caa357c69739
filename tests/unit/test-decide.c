// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the controller makes of a policy's answers, of claims and of donors: nobody below a floor or faster than
 * half.
 */
#include "unit.h"

#include <linux/types.h>

#include "decide.h"
#include "host.h"
#include "tide_balance.h"

/* A managed VM in its middle: 1 GiB of which half is available. */
static const struct decide_vm plain = {
	.flags = BALANCE_VM_MANAGED,
	.floor = 256 * MIB,
	.maximum = 2 * GIB,
	.entitlement = 768 * MIB,
	.usable = GIB,
	.target = GIB,
	.ceiling = GIB,
	.available = 512 * MIB,
};

static void assert_unchanged(const struct decide_vm *vm, struct decide_change change, uint32_t bounds)
{
	assert_int_equal(change.target, vm->target);
	assert_int_equal(change.ceiling, vm->ceiling);
	assert_int_equal(change.bounds & bounds, bounds);
}

static void test_raises(void **state)
{
	struct decide_change change = decide_answer(&plain, 1280 * MIB, 1536 * MIB);

	assert_int_equal(change.target, 1280 * MIB);
	assert_int_equal(change.ceiling, 1536 * MIB);
	assert_int_equal(change.bounds, 0);
	change = decide_answer(&plain, 3 * GIB, 4 * GIB);
	assert_int_equal(change.ceiling, 2 * GIB);
	assert_int_equal(change.target, 2 * GIB);
	assert_int_equal(change.bounds, DECIDE_AT_MAXIMUM);
}

/* However much it asks for: half of what is available stays, and the floor does. */
static void test_lowers_by_half(void **state)
{
	struct decide_vm vm = plain;
	struct decide_change change = decide_answer(&vm, 0, 0);

	assert_int_equal(change.target, 768 * MIB);
	assert_int_equal(change.ceiling, 768 * MIB);
	assert_true(change.bounds & DECIDE_STEP);
	assert_true(change.bounds & DECIDE_AT_FLOOR);

	vm.available = 2 * GIB;		/* a guest may say anything */
	assert_int_equal(decide_answer(&vm, 0, 0).ceiling, (1024 - 384) * MIB);
	vm.usable = vm.target = vm.ceiling = 258 * MIB;
	assert_true(decide_answer(&vm, 0, 0).ceiling >= vm.floor);
}

/* What was lent is slack whatever the guest says, what it is entitled to is not. */
static void test_loans(void **state)
{
	struct decide_vm vm = plain;

	vm.available = 0;
	assert_int_equal(decide_lowest(&vm), 896 * MIB);
	vm.entitlement = GIB;
	assert_int_equal(decide_lowest(&vm), GIB);
	assert_unchanged(&vm, decide_answer(&vm, 512 * MIB, 512 * MIB), DECIDE_STEP);
}

/* Credit that is not used costs the guest nothing. */
static void test_unspent_credit(void **state)
{
	struct decide_vm vm = plain;
	struct decide_change change;

	vm.ceiling = 2 * GIB;
	vm.available = 0;
	vm.entitlement = 2 * GIB;
	change = decide_answer(&vm, GIB, GIB);
	assert_int_equal(change.ceiling, GIB);
	assert_int_equal(change.target, GIB);
}

static void test_leaves_alone(void **state)
{
	static const struct {
		uint32_t flags;
		uint32_t bound;
	} cases[] = {
		{ 0, DECIDE_UNMANAGED },
		{ BALANCE_VM_MANAGED | BALANCE_VM_STALE, DECIDE_STALE },
		{ BALANCE_VM_MANAGED | BALANCE_VM_MOVING, DECIDE_MOVING },
		{ BALANCE_VM_MANAGED | BALANCE_VM_STALLED, DECIDE_STALLED },
	};
	struct decide_vm vm = plain;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		vm.flags = cases[i].flags;
		assert_unchanged(&vm, decide_answer(&vm, 512 * MIB, 512 * MIB), cases[i].bound);
	}
	/* What only hurts when it is lowered may be raised. */
	vm.flags = BALANCE_VM_MANAGED | BALANCE_VM_MOVING | BALANCE_VM_STALLED;
	assert_int_equal(decide_answer(&vm, GIB, 2 * GIB).ceiling, 2 * GIB);
}

static void test_small_changes(void **state)
{
	struct decide_vm vm = plain;

	assert_unchanged(&vm, decide_answer(&vm, GIB - 2 * MIB, GIB - 2 * MIB), DECIDE_SMALL);
	assert_unchanged(&vm, decide_answer(&vm, GIB + 2 * MIB, GIB + 2 * MIB), DECIDE_SMALL);
	/* ... but the maximum is reached however near it is. */
	vm.maximum = GIB + MIB;
	assert_int_equal(decide_answer(&vm, 2 * GIB, 2 * GIB).ceiling, GIB + MIB);
}

static void test_nonsense(void **state)
{
	assert_unchanged(&plain, decide_answer(&plain, 2 * GIB, GIB), DECIDE_NONSENSE);
	assert_unchanged(&plain, decide_answer(&plain, UINT64_MAX, UINT64_MAX), DECIDE_NONSENSE);
	assert_unchanged(&plain, decide_answer(&plain, 0, UINT64_MAX), DECIDE_NONSENSE);
}

static struct decide_vm random_vm(uint64_t *seed)
{
	struct decide_vm vm = { .flags = (uint32_t)unit_below(seed, 0x80) | BALANCE_VM_MANAGED };

	vm.maximum = unit_below(seed, 8 * GIB) + MIB;
	vm.floor = unit_below(seed, vm.maximum + 1);
	vm.entitlement = vm.floor + unit_below(seed, vm.maximum - vm.floor + 1);
	vm.ceiling = vm.floor + unit_below(seed, vm.maximum - vm.floor + 1);
	vm.target = vm.floor + unit_below(seed, vm.ceiling - vm.floor + 1);
	vm.usable = unit_below(seed, 2 * vm.maximum);
	vm.available = unit_random(seed) >> unit_below(seed, 64);
	return vm;
}

/* Whatever is asked of whom: within floor and maximum, and never faster than half of what can be spared. */
static void test_any_answer(void **state)
{
	uint64_t seed = 1;

	for (int i = 0; i < 200000; i++) {
		struct decide_vm vm = random_vm(&seed);
		uint64_t ceiling = unit_random(&seed) >> unit_below(&seed, 64);
		uint64_t target = unit_random(&seed) >> unit_below(&seed, 64);
		struct decide_change c = decide_answer(&vm, target, ceiling);

		assert_true(c.target <= c.ceiling);
		assert_true(c.target >= vm.floor && c.ceiling <= vm.maximum);
		if (c.target < vm.target)
			assert_true(c.target >= vm.floor && c.target >= decide_lowest(&vm));
		if (vm.flags & BALANCE_VM_STALE)
			assert_unchanged(&vm, c, DECIDE_STALE);
	}
}

static void test_claims(void **state)
{
	struct decide_vm vm = plain;

	assert_int_equal(decide_claim(&vm, 64 * MIB, 0), 64 * MIB);
	assert_int_equal(decide_claim(&vm, 1, 0), DECIDE_MIN_GRANT);
	assert_int_equal(decide_claim(&vm, UINT64_MAX, 0), DECIDE_MAX_GRANT);
	assert_int_equal(decide_claim(&vm, 64 * MIB + 1, 0), 66 * MIB);
	/* Each that stays unused halves the next, and what is unused still counts. */
	assert_int_equal(decide_claim(&vm, 64 * MIB, 1), 32 * MIB);
	assert_int_equal(decide_claim(&vm, 64 * MIB, 1000), DECIDE_MIN_GRANT);
	vm.ceiling += 16 * MIB;
	assert_int_equal(decide_claim(&vm, 64 * MIB, 1), 16 * MIB);
	assert_int_equal(decide_claim(&vm, 64 * MIB, 2), 0);
	/* Nothing beyond the maximum. */
	vm = plain;
	vm.ceiling = vm.maximum - MIB;
	assert_int_equal(decide_claim(&vm, 64 * MIB, 0), MIB);
	vm.ceiling = vm.maximum;
	assert_int_equal(decide_claim(&vm, 64 * MIB, 0), 0);
}

static void test_grants(void **state)
{
	struct decide_vm vm = plain;

	/* Below its entitlement it may have the reserve. */
	vm.entitlement = 2 * GIB;
	assert_int_equal(decide_grant(&vm, 64 * MIB, 512 * MIB, 0), 64 * MIB);
	assert_int_equal(decide_grant(&vm, 64 * MIB, 33 * MIB, 0), 32 * MIB);
	/* Above it only what is free beyond the reserve. */
	vm.entitlement = 768 * MIB;
	assert_int_equal(decide_grant(&vm, 64 * MIB, 512 * MIB, 0), 0);
	assert_int_equal(decide_grant(&vm, 64 * MIB, 512 * MIB, 48 * MIB), 48 * MIB);
	/* Across it: as much of the reserve as is below. */
	vm.entitlement = GIB + 16 * MIB;
	assert_int_equal(decide_grant(&vm, 64 * MIB, 512 * MIB, 0), 16 * MIB);
	/* Nothing is lent to who has not used what it has. */
	vm.entitlement = 768 * MIB;
	vm.usable = 900 * MIB;
	assert_int_equal(decide_grant(&vm, 64 * MIB, 512 * MIB, 512 * MIB), 0);
}

static void test_donors(void **state)
{
	struct decide_change change;
	struct decide_vm vm = plain;

	assert_int_equal(decide_donor(&vm, 64 * MIB, &change), 64 * MIB);
	assert_int_equal(change.ceiling, 960 * MIB);
	assert_int_equal(change.target, 960 * MIB);
	/* Half of its slack and no more, and then down to its entitlement. */
	assert_int_equal(decide_donor(&vm, GIB, &change), 256 * MIB);
	vm.entitlement = 900 * MIB;
	assert_int_equal(decide_donor(&vm, GIB, &change), 124 * MIB);
	assert_true(change.ceiling >= vm.entitlement);
	vm.entitlement = GIB;
	assert_int_equal(decide_donor(&vm, GIB, &change), 0);
	assert_int_equal(change.bounds, DECIDE_ENTITLED);
	/* Its own pressure protects its entitlement and not its loan. */
	vm = plain;
	vm.flags |= BALANCE_VM_PRESSURE | BALANCE_VM_OOM;
	vm.available = 0;
	assert_int_equal(decide_donor(&vm, 64 * MIB, &change), 64 * MIB);
	vm.flags |= BALANCE_VM_MOVING;
	assert_int_equal(decide_donor(&vm, 64 * MIB, &change), 0);
	assert_unchanged(&vm, change, DECIDE_MOVING);
}

/* Claims move nobody below entitlement or floor. */
static void test_any_donor(void **state)
{
	uint64_t seed = 2;

	for (int i = 0; i < 200000; i++) {
		struct decide_vm vm = random_vm(&seed);
		struct decide_change change;
		uint64_t bytes = decide_donor(&vm, unit_random(&seed) >> unit_below(&seed, 64), &change);

		assert_int_equal(vm.ceiling - change.ceiling, bytes);
		assert_true(change.target <= change.ceiling);
		if (bytes)
			assert_true(change.ceiling >= vm.entitlement && change.ceiling >= vm.floor);
	}
}

static void test_tokens(void **state)
{
	struct decide_tokens tokens = { 0 };
	uint64_t now = 1000000000, wait = 0;
	unsigned int taken = 0;

	while (!(wait = decide_take_token(&tokens, now, 100, 50)))
		taken++;
	assert_int_equal(taken, 50);
	/* Half of the burst takes a quarter of a second. */
	assert_true(wait > 240000000 && wait <= 250000000);
	now += wait;
	for (taken = 0; !decide_take_token(&tokens, now, 100, 50);)
		taken++;
	assert_in_range(taken, 24, 25);
	/* In the long run it is the rate, however it is asked. */
	taken = 0;
	for (int i = 0; i < 10000; i++) {
		now += 1000000;
		taken += !decide_take_token(&tokens, now, 100, 50);
	}
	assert_in_range(taken, 950, 1050);
	/* A clock that has gone on for years is no overflow. */
	assert_int_equal(decide_take_token(&tokens, now + (UINT64_C(1) << 60), 100, 50), 0);
}

static void test_budget(void **state)
{
	struct host_memory memory = { .total = 64 * GIB, .available = 40 * GIB };
	uint64_t budget = host_budget(&memory, 16 * GIB, GIB, 0, false);

	/* 40 free and 16 in VMs, less 1 of theirs that is not guests' and 2 for the host. */
	assert_int_equal(budget, 53 * GIB);
	/* What KSM saves is nobody's. */
	memory.saved = 4 * GIB;
	assert_int_equal(host_budget(&memory, 16 * GIB, GIB, 0, false), 49 * GIB);
	memory.saved = 0;
	/* Never more than there is. */
	assert_true(host_budget(&memory, 100 * GIB, GIB, 0, false) <= 61 * GIB);
	/* Down at once, up by steps. */
	memory.available = 20 * GIB;
	assert_int_equal(host_budget(&memory, 16 * GIB, GIB, budget, false), 33 * GIB);
	memory.available = 40 * GIB;
	budget = host_budget(&memory, 16 * GIB, GIB, 33 * GIB, false);
	assert_true(budget > 33 * GIB && budget < 37 * GIB);
	for (int i = 0; i < 200; i++)
		budget = host_budget(&memory, 16 * GIB, GIB, budget, false);
	assert_int_equal(budget, 53 * GIB);
	/* Under pressure it gives way. */
	assert_int_equal(host_budget(&memory, 16 * GIB, GIB, 53 * GIB, true), 52 * GIB);
	memory.available = 0;
	assert_int_equal(host_budget(&memory, 0, 0, GIB, true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_raises),
		cmocka_unit_test(test_lowers_by_half),
		cmocka_unit_test(test_loans),
		cmocka_unit_test(test_unspent_credit),
		cmocka_unit_test(test_leaves_alone),
		cmocka_unit_test(test_small_changes),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_any_answer),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_grants),
		cmocka_unit_test(test_donors),
		cmocka_unit_test(test_any_donor),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
