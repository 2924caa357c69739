// SPDX-License-Identifier: GPL-2.0-or-later
/* Ledger: each kind of change takes its steps in its order, and the charge falls with the last one. */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "ledger.h"

#define UNKNOWN	MEMTIDE_LEDGER_UNKNOWN

/* A ledger of 4 GiB, a VM of 2 GiB in it, and what the VM's device counts. */
struct bed {
	struct memtide_ledger ledger;
	struct memtide_ledger_vm vm, other;
	struct memtide_counters counters;
	struct memtide_ledger_action action;
};

static const struct memtide_ledger_terms enforced = {
	.ram = 2 * GIB, .maximum = 2 * GIB, .floor = 256 * MIB, .start = 512 * MIB, .shares = 100,
	.enforced = true,
};
static const struct memtide_ledger_terms throttle = {
	.ram = 2 * GIB, .maximum = 2 * GIB, .floor = 256 * MIB, .start = 512 * MIB, .shares = 100,
	.enforced = true, .throttle = true,
};
static const struct memtide_ledger_terms free_running = {
	.ram = 2 * GIB, .maximum = 2 * GIB, .floor = 256 * MIB, .start = 512 * MIB, .shares = 100,
};

static void check(struct bed *bed)
{
	const char *wrong = memtide_ledger_check(&bed->ledger, bed->vm.ledger ? &bed->vm : NULL);

	if (!wrong && bed->other.ledger)
		wrong = memtide_ledger_check(&bed->ledger, &bed->other);
	if (wrong)
		fail_msg("%s", wrong);
}

/* The next step has to be @step; it is carried out, and its values are in bed->action. */
static void expect_of(struct bed *bed, struct memtide_ledger_vm *vm, enum memtide_ledger_step step, int line)
{
	enum memtide_ledger_step next = memtide_ledger_next(vm, &bed->action);

	if (next != step)
		fail_msg("line %d: step %d instead of %d", line, next, step);
	if (step == MEMTIDE_LEDGER_LIMIT_UP || step == MEMTIDE_LEDGER_LIMIT_DOWN) {
		memtide_ledger_limit_begin(vm, &bed->action);
		memtide_ledger_limit_done(vm, bed->action.limit);
	} else {
		memtide_ledger_done(vm, &bed->action);
	}
	check(bed);
}

#define expect(bed, step)		expect_of(bed, &(bed)->vm, MEMTIDE_LEDGER_##step, __LINE__)
#define expect_other(bed, step)		expect_of(bed, &(bed)->other, MEMTIDE_LEDGER_##step, __LINE__)

/* The device counts @given bytes, all in huge pieces, and carries a fence for the generation last published. */
static void fence(struct bed *bed, uint64_t given)
{
	bed->counters.given_bytes = given;
	bed->counters.given_huge_bytes = given;
	bed->counters.fence_given_bytes = given;
	bed->counters.fence_generation = bed->vm.published;
	bed->counters.flags |= TIDE_COUNTERS_FENCED;
	memtide_ledger_observe(&bed->vm, &bed->counters, UNKNOWN);
	check(bed);
}

static void reset(struct bed *bed)
{
	bed->counters = (struct memtide_counters) { .epoch = bed->counters.epoch + 1, .ram_bytes = 2 * GIB };
	memtide_ledger_observe(&bed->vm, &bed->counters, UNKNOWN);
	check(bed);
}

static void driver(struct bed *bed)
{
	bed->counters.flags |= TIDE_COUNTERS_DRIVER_OK;
	memtide_ledger_observe(&bed->vm, &bed->counters, UNKNOWN);
	check(bed);
}

/* A VM whose driver has loaded and whose first steps are done. */
static void make(struct bed *bed, const struct memtide_ledger_terms *terms)
{
	*bed = (struct bed) { .counters = { .epoch = 1, .ram_bytes = 2 * GIB } };
	memtide_ledger_init(&bed->ledger, 4 * GIB, 256 * MIB);
	assert_int_equal(memtide_ledger_admit(&bed->ledger, &bed->vm, terms), 0);
	driver(bed);
	expect(bed, RECORD);
	if (terms->enforced)
		expect(bed, LIMIT_DOWN);
	expect(bed, PUBLISH);
	expect(bed, NONE);
	assert_int_equal(bed->ledger.charged, 2 * GIB);
}

/* The same, come down to 1 GiB. */
static void make_low(struct bed *bed, const struct memtide_ledger_terms *terms)
{
	make(bed, terms);
	assert_int_equal(memtide_ledger_set(&bed->vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(bed, RECORD);
	expect(bed, PUBLISH);
	fence(bed, GIB);
	if (terms->enforced)
		expect(bed, LIMIT_DOWN);
	expect(bed, RECORD);
	expect(bed, NONE);
	assert_int_equal(bed->ledger.charged, GIB);
}

static void test_lowers(void **state)
{
	struct bed bed;

	make(&bed, &enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	assert_int_equal(bed.action.ceiling, GIB);
	assert_int_equal(bed.action.charged, 2 * GIB);
	expect(&bed, PUBLISH);
	assert_int_equal(bed.action.ceiling, GIB);
	assert_int_equal(bed.action.generation, bed.vm.generation);
	expect(&bed, WAIT_FENCE);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	fence(&bed, GIB);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	expect(&bed, LIMIT_DOWN);
	assert_int_equal(bed.action.limit, GIB);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	expect(&bed, RECORD);
	assert_int_equal(bed.action.charged, GIB);
	assert_int_equal(bed.ledger.charged, GIB);
	expect(&bed, NONE);
}

static void test_lowers_without_limit(void **state)
{
	struct bed bed;

	make(&bed, &free_running);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	expect(&bed, WAIT_FENCE);
	fence(&bed, GIB);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB);
	expect(&bed, NONE);
}

static void test_raises(void **state)
{
	struct bed bed;

	make_low(&bed, &enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, 1536 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	expect(&bed, RECORD);
	assert_int_equal(bed.action.charged, 1536 * MIB);
	expect(&bed, LIMIT_UP);
	assert_int_equal(bed.action.limit, 1536 * MIB);
	expect(&bed, PUBLISH);
	expect(&bed, NONE);
	assert_int_equal(bed.vm.promised, 1536 * MIB);
}

/* A fence is a guest's word; the device's counts are what is believed. */
static void test_hostile_echo(void **state)
{
	struct bed bed;

	make(&bed, &enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	/* Before it was told, for what it will be told. */
	bed.counters.fence_generation = bed.vm.generation;
	bed.counters.fence_given_bytes = bed.counters.given_bytes = bed.counters.given_huge_bytes = GIB;
	bed.counters.flags |= TIDE_COUNTERS_FENCED;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, PUBLISH);
	expect(&bed, WAIT_FENCE);
	/* Nothing given, one page too little, and taken back again behind the fence. */
	fence(&bed, 0);
	expect(&bed, WAIT_FENCE);
	fence(&bed, GIB - 4096);
	expect(&bed, WAIT_FENCE);
	bed.counters.fence_given_bytes = GIB;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, WAIT_FENCE);
	/* Given only behind the fence. */
	bed.counters.fence_given_bytes = 0;
	bed.counters.given_bytes = bed.counters.given_huge_bytes = GIB;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, WAIT_FENCE);
	/* Other generations. */
	bed.counters.fence_given_bytes = GIB;
	bed.counters.fence_generation = bed.vm.published - 1;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, WAIT_FENCE);
	bed.counters.fence_generation = bed.vm.published + 1;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, WAIT_FENCE);
	/* No driver, or not of this epoch. */
	bed.counters.fence_generation = bed.vm.published;
	bed.counters.flags = TIDE_COUNTERS_DRIVER_OK;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, WAIT_FENCE);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	fence(&bed, GIB);
	expect(&bed, LIMIT_DOWN);
}

/* Pressure in the middle of lowering: up to the charge nothing has to be waited for. */
static void test_turns_while_lowering(void **state)
{
	struct bed bed;
	uint32_t old;

	make(&bed, &enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	old = bed.vm.published;
	assert_int_equal(memtide_ledger_set(&bed.vm, 1536 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	/* The fence for the first decision comes late: it was for another ceiling. */
	bed.counters.fence_generation = old;
	bed.counters.fence_given_bytes = bed.counters.given_bytes = bed.counters.given_huge_bytes = GIB;
	bed.counters.flags |= TIDE_COUNTERS_FENCED;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, WAIT_FENCE);
	fence(&bed, 512 * MIB);
	expect(&bed, LIMIT_DOWN);
	assert_int_equal(bed.action.limit, 1536 * MIB);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	expect(&bed, NONE);
}

/* The limit is on its way down when the VM needs memory: it has to be up again before the guest hears of it. */
static void test_turns_while_limit_falls(void **state)
{
	struct bed bed;

	make(&bed, &enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	fence(&bed, GIB);
	assert_int_equal(memtide_ledger_next(&bed.vm, &bed.action), MEMTIDE_LEDGER_LIMIT_DOWN);
	memtide_ledger_limit_begin(&bed.vm, &bed.action);
	expect(&bed, WAIT_LIMIT);
	assert_int_equal(memtide_ledger_set(&bed.vm, 1536 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, WAIT_LIMIT);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	memtide_ledger_limit_done(&bed.vm, GIB);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	expect(&bed, LIMIT_UP);
	expect(&bed, PUBLISH);
	expect(&bed, NONE);
}

/* Decided between a step and its report: the report is for what was, the charge for what is. */
static void test_turns_before_the_record(void **state)
{
	struct bed bed;

	make(&bed, &free_running);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	fence(&bed, GIB);
	assert_int_equal(memtide_ledger_next(&bed.vm, &bed.action), MEMTIDE_LEDGER_RECORD);
	assert_int_equal(bed.action.charged, GIB);
	assert_int_equal(memtide_ledger_set(&bed.vm, 1536 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	memtide_ledger_done(&bed.vm, &bed.action);
	check(&bed);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	expect(&bed, PUBLISH);
	expect(&bed, NONE);
}

/* A target alone changes: a fence for any generation with this ceiling will do. */
static void test_same_ceiling(void **state)
{
	struct bed bed;
	uint32_t first;

	make(&bed, &enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	first = bed.vm.published;
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	assert_int_not_equal(bed.vm.published, first);
	bed.counters.fence_generation = first;
	bed.counters.fence_given_bytes = bed.counters.given_bytes = bed.counters.given_huge_bytes = GIB;
	bed.counters.flags |= TIDE_COUNTERS_FENCED;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, LIMIT_DOWN);
}

/* Small pieces count when they show as free; until then the rest of the charge falls. */
static void test_small_pieces(void **state)
{
	struct bed bed;

	make(&bed, &enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	bed.counters.given_bytes = bed.counters.fence_given_bytes = GIB;
	bed.counters.given_huge_bytes = 768 * MIB;
	bed.counters.fence_generation = bed.vm.published;
	bed.counters.flags |= TIDE_COUNTERS_FENCED;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, LIMIT_DOWN);
	assert_int_equal(bed.action.limit, 1280 * MIB);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, 1280 * MIB);
	expect(&bed, WAIT_FREE);
	memtide_ledger_observe(&bed.vm, &bed.counters, 1100 * MIB);
	expect(&bed, LIMIT_DOWN);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, 1100 * MIB);
	/* It does not rise again with what is in use. */
	memtide_ledger_observe(&bed.vm, &bed.counters, 1500 * MIB);
	expect(&bed, WAIT_FREE);
	memtide_ledger_observe(&bed.vm, &bed.counters, 900 * MIB);
	expect(&bed, LIMIT_DOWN);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB);
	expect(&bed, NONE);
}

/* What is not free yet stays charged when the ceiling goes on falling. */
static void test_small_pieces_twice(void **state)
{
	struct bed bed;

	make(&bed, &free_running);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	fence(&bed, GIB);
	expect(&bed, RECORD);
	assert_int_equal(memtide_ledger_set(&bed.vm, 768 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	bed.counters.given_bytes = bed.counters.fence_given_bytes = 1280 * MIB;
	bed.counters.fence_generation = bed.vm.published;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, WAIT_FREE);
	assert_int_equal(memtide_ledger_set(&bed.vm, 512 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	bed.counters.given_bytes = bed.counters.fence_given_bytes = 1536 * MIB;
	bed.counters.fence_generation = bed.vm.published;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, WAIT_FREE);
	assert_int_equal(bed.ledger.charged, GIB);
	memtide_ledger_observe(&bed.vm, &bed.counters, 0);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, 512 * MIB);
}

static void test_limit_fails(void **state)
{
	struct bed bed;

	make(&bed, &enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	fence(&bed, GIB);
	assert_int_equal(memtide_ledger_next(&bed.vm, &bed.action), MEMTIDE_LEDGER_LIMIT_DOWN);
	memtide_ledger_limit_begin(&bed.vm, &bed.action);
	memtide_ledger_limit_done(&bed.vm, UNKNOWN);
	/* Not at once again. */
	expect(&bed, WAIT_FREE);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	/* More is in use than the ceiling: as far down as that. */
	assert_int_equal(memtide_ledger_next(&bed.vm, &bed.action), MEMTIDE_LEDGER_LIMIT_DOWN);
	memtide_ledger_limit_begin(&bed.vm, &bed.action);
	memtide_ledger_limit_done(&bed.vm, GIB + 5 * MIB);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB + 5 * MIB);
	expect(&bed, WAIT_FREE);
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, LIMIT_DOWN);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB);
	expect(&bed, NONE);
}

/* A kernel rounds down to its pages; less than that is too little. */
static void test_limit_rounded(void **state)
{
	struct bed bed;

	make_low(&bed, &enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, 1536 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	assert_int_equal(memtide_ledger_next(&bed.vm, &bed.action), MEMTIDE_LEDGER_LIMIT_UP);
	memtide_ledger_limit_begin(&bed.vm, &bed.action);
	memtide_ledger_limit_done(&bed.vm, 1536 * MIB - 64 * KIB);
	expect(&bed, WAIT_FREE);
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	assert_int_equal(memtide_ledger_next(&bed.vm, &bed.action), MEMTIDE_LEDGER_LIMIT_UP);
	memtide_ledger_limit_begin(&bed.vm, &bed.action);
	memtide_ledger_limit_done(&bed.vm, 1536 * MIB - 4 * KIB);
	expect(&bed, PUBLISH);
	expect(&bed, NONE);
}

static void test_bounds(void **state)
{
	struct bed bed;

	make(&bed, &enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, 256 * MIB - 1, MEMTIDE_LEDGER_ORDINARY), -ERANGE);
	assert_int_equal(memtide_ledger_set(&bed.vm, 2 * GIB + 1, MEMTIDE_LEDGER_ORDINARY), -ERANGE);
	assert_int_equal(memtide_ledger_set(&bed.vm, 0, MEMTIDE_LEDGER_RELIEF), -ERANGE);
	expect(&bed, NONE);
}

static void test_purses(void **state)
{
	struct bed bed;

	make_low(&bed, &enforced);
	memtide_ledger_set_budget(&bed.ledger, GIB + 512 * MIB, 256 * MIB);
	assert_int_equal(memtide_ledger_room(&bed.ledger, MEMTIDE_LEDGER_ORDINARY), 256 * MIB);
	assert_int_equal(memtide_ledger_room(&bed.ledger, MEMTIDE_LEDGER_RELIEF), 512 * MIB);
	assert_int_equal(memtide_ledger_most(&bed.vm, MEMTIDE_LEDGER_ORDINARY), GIB + 256 * MIB);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB + 257 * MIB, MEMTIDE_LEDGER_ORDINARY), -ENOSPC);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB + 513 * MIB, MEMTIDE_LEDGER_RELIEF), -ENOSPC);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB + 512 * MIB, MEMTIDE_LEDGER_RELIEF), 0);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 0);
	assert_int_equal(memtide_ledger_room(&bed.ledger, MEMTIDE_LEDGER_RELIEF), 0);
}

static void test_budget_falls(void **state)
{
	struct bed bed;

	make_low(&bed, &enforced);
	memtide_ledger_set_budget(&bed.ledger, 768 * MIB, 0);
	check(&bed);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 256 * MIB);
	assert_int_equal(bed.ledger.cause, MEMTIDE_LEDGER_BUDGET_FELL);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB + 4096, MEMTIDE_LEDGER_RELIEF), -ENOSPC);
	assert_int_equal(memtide_ledger_most(&bed.vm, MEMTIDE_LEDGER_RELIEF), GIB);
	assert_int_equal(memtide_ledger_set(&bed.vm, 512 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	/* It comes down to 700 MiB and no further: what it can give clears the deficit. */
	assert_int_equal(memtide_ledger_set(&bed.vm, 700 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	fence(&bed, 2 * GIB - 700 * MIB);
	expect(&bed, LIMIT_DOWN);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 256 * MIB);
	expect(&bed, RECORD);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 0);
	assert_int_equal(bed.ledger.cause, MEMTIDE_LEDGER_NO_DEFICIT);
}

static void test_admission(void **state)
{
	struct memtide_ledger_terms terms = enforced;
	struct bed bed;

	make(&bed, &enforced);
	/* 2 GiB and 256 MiB of reserve are left of 4 GiB. */
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.other, &enforced), -ENOSPC);
	assert_int_equal(bed.ledger.nr_vms, 1);
	terms.maximum = 1024 * MIB;
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.other, &terms), 0);
	assert_int_equal(bed.ledger.charged, 3 * GIB);
	check(&bed);
	memtide_ledger_remove(&bed.other);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	memtide_ledger_remove(&bed.other);
	assert_int_equal(bed.ledger.nr_vms, 1);
	/* Without a limit the maximum is only a wish. */
	terms.enforced = false;
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.other, &terms), -ENOSPC);
	/* Floors are guarantees: their sum fits or nothing does. */
	terms = throttle;
	terms.floor = terms.start = terms.maximum = 2 * GIB;
	memtide_ledger_set_budget(&bed.ledger, 2 * GIB, 0);
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.other, &terms), -EDQUOT);
}

static void test_wrong_terms(void **state)
{
	struct memtide_ledger_terms terms[] = {
		enforced, enforced, enforced, enforced, enforced, enforced, enforced, enforced, free_running,
	};
	struct bed bed;

	make(&bed, &enforced);
	memtide_ledger_set_budget(&bed.ledger, 1ULL << 48, 0);
	terms[0].maximum = 2 * GIB + 1;
	terms[1].floor = 2 * GIB + 1;
	terms[2].start = 256 * MIB - 1;
	terms[3].start = 2 * GIB + 1;
	terms[4].shares = 0;
	terms[5].shares = MEMTIDE_LEDGER_SHARES + 1;
	terms[6].maximum = terms[6].floor = terms[6].start = 0;
	terms[7].ram = (1ULL << 48) + 1;
	terms[8].throttle = true;
	for (size_t i = 0; i < ARRAY_SIZE(terms); i++) {
		assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.other, &terms[i]), -EINVAL);
		assert_int_equal(memtide_ledger_recover(&bed.ledger, &bed.other, &terms[i], &bed.counters, NULL,
							UNKNOWN), -EINVAL);
	}
	assert_int_equal(bed.ledger.nr_vms, 1);
}

/* No room for a maximum: it starts at its start ceiling, and its limit is there before it does. */
static void test_starts_throttled(void **state)
{
	struct bed bed = { .counters = { .epoch = 1, .ram_bytes = 2 * GIB } };

	memtide_ledger_init(&bed.ledger, GIB, 0);
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.vm, &enforced), -ENOSPC);
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.vm, &throttle), 0);
	check(&bed);
	assert_true(bed.vm.throttled);
	assert_int_equal(bed.ledger.charged, 512 * MIB);
	expect(&bed, RECORD);
	expect(&bed, LIMIT_DOWN);
	assert_int_equal(bed.action.limit, 512 * MIB);
	expect(&bed, PUBLISH);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_STARTING);
	/* The driver's probe resets the device. */
	reset(&bed);
	assert_true(bed.vm.throttled);
	assert_int_equal(bed.ledger.charged, 512 * MIB);
	driver(&bed);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	expect(&bed, WAIT_FENCE);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_MANAGED);
	fence(&bed, 1536 * MIB);
	assert_false(bed.vm.throttled);
	expect(&bed, NONE);
	assert_int_equal(bed.ledger.charged, 512 * MIB);
}

/* A throttled VM's driver gets its chance before its limit falls; where there is none, nobody is waited for. */
static void test_throttled_falls(void **state)
{
	struct bed bed = { .counters = { .epoch = 1, .ram_bytes = 2 * GIB } };

	memtide_ledger_init(&bed.ledger, GIB, 0);
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.vm, &throttle), 0);
	reset(&bed);
	expect(&bed, RECORD);
	expect(&bed, LIMIT_DOWN);
	expect(&bed, PUBLISH);
	assert_int_equal(memtide_ledger_set(&bed.vm, 448 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	expect(&bed, LIMIT_DOWN);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, 448 * MIB);
	driver(&bed);
	assert_int_equal(memtide_ledger_set(&bed.vm, 384 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	expect(&bed, WAIT_FENCE);
	fence(&bed, 2 * GIB - 384 * MIB);
	expect(&bed, LIMIT_DOWN);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, 384 * MIB);
}

/* A throttled VM may get more before its driver is there. */
static void test_throttled_rises(void **state)
{
	struct bed bed = { .counters = { .epoch = 1, .ram_bytes = 2 * GIB } };

	memtide_ledger_init(&bed.ledger, GIB, 0);
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.vm, &throttle), 0);
	expect(&bed, RECORD);
	expect(&bed, LIMIT_DOWN);
	expect(&bed, PUBLISH);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_RELIEF), 0);
	expect(&bed, RECORD);
	expect(&bed, LIMIT_UP);
	expect(&bed, PUBLISH);
	assert_true(bed.vm.throttled);
	memtide_ledger_set_budget(&bed.ledger, 2 * GIB, 0);
	assert_int_equal(memtide_ledger_set(&bed.vm, 2 * GIB, MEMTIDE_LEDGER_RELIEF), 0);
	assert_false(bed.vm.throttled);
	expect(&bed, RECORD);
	expect(&bed, LIMIT_UP);
	expect(&bed, PUBLISH);
	expect(&bed, NONE);
}

static void test_reset_with_room(void **state)
{
	struct bed bed;

	make_low(&bed, &enforced);
	reset(&bed);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_STARTING);
	expect(&bed, RECORD);
	expect(&bed, LIMIT_UP);
	expect(&bed, PUBLISH);
	expect(&bed, NONE);
	/* What is decided meanwhile waits for the next driver. */
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	expect(&bed, WAIT_FENCE);
	driver(&bed);
	expect(&bed, WAIT_FENCE);
	fence(&bed, GIB);
	expect(&bed, LIMIT_DOWN);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB);
}

static void test_reset_without_room(void **state)
{
	struct bed bed;

	make_low(&bed, &free_running);
	memtide_ledger_set_budget(&bed.ledger, GIB + 512 * MIB, 0);
	reset(&bed);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 512 * MIB);
	assert_int_equal(bed.ledger.cause, MEMTIDE_LEDGER_DRIVER_LOST);

	make_low(&bed, &throttle);
	memtide_ledger_set_budget(&bed.ledger, GIB + 512 * MIB, 0);
	reset(&bed);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 0);
	assert_int_equal(bed.ledger.charged, GIB);
	assert_true(bed.vm.throttled);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
}

/* The driver goes without a reset, as far as the counters tell. */
static void test_driver_goes(void **state)
{
	struct bed bed;

	make_low(&bed, &enforced);
	bed.counters.flags &= ~TIDE_COUNTERS_DRIVER_OK;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	check(&bed);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_STARTING);
}

static void test_inhibited(void **state)
{
	struct bed bed;

	make_low(&bed, &throttle);
	memtide_ledger_set_budget(&bed.ledger, GIB + 512 * MIB, 0);
	bed.counters.flags |= TIDE_COUNTERS_INHIBITED;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	check(&bed);
	/* Pinned memory is held by no limit. */
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 512 * MIB);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_INHIBITED);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), -EBUSY);
	expect(&bed, RECORD);
	expect(&bed, LIMIT_UP);
	expect(&bed, PUBLISH);
	expect(&bed, NONE);
	bed.counters.flags &= ~TIDE_COUNTERS_INHIBITED;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_MANAGED);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	/* What was fenced before it was inhibited says nothing now. */
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, WAIT_FENCE);
}

static void test_unanswering(void **state)
{
	struct bed bed;

	make_low(&bed, &enforced);
	memtide_ledger_unanswering(&bed.vm, true);
	check(&bed);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	assert_int_equal(bed.vm.ceiling, GIB);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_UNANSWERING);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), -EBUSY);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	/* Its limit may stay where it is, though room is kept for more. */
	expect(&bed, WAIT_FENCE);
	memtide_ledger_unanswering(&bed.vm, false);
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, WAIT_FENCE);
	fence(&bed, GIB);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB);
}

static void test_release(void **state)
{
	struct bed bed;

	make_low(&bed, &enforced);
	memtide_ledger_set_budget(&bed.ledger, 2 * GIB - 1, 0);
	assert_int_equal(memtide_ledger_release(&bed.vm, true), -ENOSPC);
	memtide_ledger_set_budget(&bed.ledger, 2 * GIB, GIB);
	assert_int_equal(memtide_ledger_release(&bed.vm, true), 0);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_RELEASED);
	expect(&bed, RECORD);
	expect(&bed, LIMIT_UP);
	expect(&bed, PUBLISH);
	expect(&bed, NONE);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), -EBUSY);
	assert_int_equal(memtide_ledger_release(&bed.vm, false), 0);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
}

/* Nothing but its word holds a VM without a limit: what it takes, it is charged. */
static void test_overuse(void **state)
{
	struct bed bed;

	make_low(&bed, &free_running);
	bed.counters.given_bytes = 512 * MIB;
	bed.counters.given_huge_bytes = 512 * MIB;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	check(&bed);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	/* Nor does the old fence clear it, when the memory is back. */
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	bed.counters.given_bytes = bed.counters.given_huge_bytes = GIB;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, WAIT_FENCE);
	fence(&bed, GIB);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB);
}

static void test_limit_lost(void **state)
{
	struct bed bed;

	make_low(&bed, &throttle);
	memtide_ledger_set_budget(&bed.ledger, GIB, 0);
	/* With a driver that has given its word, a lost cgroup changes nothing in what is charged. */
	memtide_ledger_enforce(&bed.vm, false, UNKNOWN);
	check(&bed);
	assert_int_equal(bed.ledger.charged, GIB);
	memtide_ledger_enforce(&bed.vm, true, UNKNOWN);
	expect(&bed, RECORD);
	expect(&bed, LIMIT_DOWN);
	assert_int_equal(bed.action.limit, GIB);
	expect(&bed, PUBLISH);
	expect(&bed, NONE);

	/* One that only its limit held is charged all it has. */
	make_low(&bed, &throttle);
	memtide_ledger_set_budget(&bed.ledger, GIB, 0);
	reset(&bed);
	assert_true(bed.vm.throttled);
	memtide_ledger_enforce(&bed.vm, false, UNKNOWN);
	check(&bed);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	assert_int_equal(bed.ledger.cause, MEMTIDE_LEDGER_LIMIT_LOST);
}

static void test_new_terms(void **state)
{
	struct bed bed;

	make(&bed, &enforced);
	assert_int_equal(memtide_ledger_change(&bed.vm, 3 * GIB, 2 * GIB, 1), -EINVAL);
	assert_int_equal(memtide_ledger_change(&bed.vm, GIB, 3 * GIB, 1), -EINVAL);
	memtide_ledger_set_budget(&bed.ledger, GIB, 0);
	assert_int_equal(memtide_ledger_change(&bed.vm, GIB + 1, 2 * GIB, 1), -EDQUOT);
	assert_int_equal(memtide_ledger_change(&bed.vm, 512 * MIB, GIB, 7), 0);
	assert_int_equal(bed.ledger.floors, 512 * MIB);
	assert_int_equal(bed.ledger.shares, 7);
	assert_int_equal(bed.vm.ceiling, GIB);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	expect(&bed, WAIT_FENCE);
	fence(&bed, GIB);
	expect(&bed, LIMIT_DOWN);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB);
	assert_int_equal(memtide_ledger_change(&bed.vm, 512 * MIB, 2 * GIB, 7), 0);
	assert_int_equal(bed.vm.ceiling, GIB);
}

/* A controller that was killed between two steps finds what it needs. */
static void recover(struct bed *bed, const struct memtide_ledger_terms *terms, const struct memtide_grant *grant,
		    uint64_t limit)
{
	memtide_ledger_init(&bed->ledger, 4 * GIB, 0);
	assert_int_equal(memtide_ledger_recover(&bed->ledger, &bed->vm, terms, &bed->counters, grant, limit), 0);
	check(bed);
}

static void test_restart(void **state)
{
	struct memtide_grant grant = { .generation = 9, .epoch = 1, .ceiling = GIB, .charged = GIB };
	struct bed bed;

	make_low(&bed, &enforced);
	recover(&bed, &enforced, &grant, GIB);
	assert_int_equal(bed.ledger.charged, GIB);
	assert_int_equal(bed.vm.generation, 10);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	expect(&bed, NONE);

	/* While a fence was awaited: the larger value, and the fence again. */
	grant.charged = 1536 * MIB;
	recover(&bed, &enforced, &grant, 1536 * MIB);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, WAIT_FENCE);
	fence(&bed, GIB);
	expect(&bed, LIMIT_DOWN);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB);

	/* Before the limit of a rise was written. */
	grant.ceiling = 1536 * MIB;
	recover(&bed, &enforced, &grant, GIB);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	expect(&bed, RECORD);
	expect(&bed, LIMIT_UP);
	expect(&bed, PUBLISH);
	expect(&bed, NONE);

	/* A limit above the grant. */
	grant.ceiling = grant.charged = GIB;
	recover(&bed, &enforced, &grant, 1800 * MIB);
	assert_int_equal(bed.ledger.charged, 1800 * MIB);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	expect(&bed, LIMIT_DOWN);
	expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB);
}

static void test_restart_without_trust(void **state)
{
	struct memtide_grant grant = { .generation = 9, .epoch = 1, .ceiling = GIB, .charged = GIB };
	struct bed bed;

	/* No grant; another epoch; no fence; more in use than was charged. */
	make_low(&bed, &enforced);
	recover(&bed, &enforced, NULL, UNKNOWN);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	grant.epoch = 2;
	recover(&bed, &enforced, &grant, GIB);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	grant.epoch = 1;
	bed.counters.flags = TIDE_COUNTERS_DRIVER_OK;
	recover(&bed, &enforced, &grant, GIB);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	bed.counters.flags = TIDE_COUNTERS_DRIVER_OK | TIDE_COUNTERS_FENCED;
	bed.counters.given_bytes = GIB - 4096;
	recover(&bed, &enforced, &grant, GIB);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	/* Where its limit alone may hold it, it does so after a restart as well. */
	recover(&bed, &throttle, &grant, GIB);
	assert_int_equal(bed.ledger.charged, GIB);
	assert_true(bed.vm.throttled);
	/* ... but not where it is gone. */
	recover(&bed, &throttle, &grant, UNKNOWN);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	/* ... nor where it has not been written again yet when the guest is reset. */
	bed.counters.given_bytes = GIB;
	recover(&bed, &throttle, &grant, UNKNOWN);
	assert_int_equal(bed.ledger.charged, GIB);
	memtide_ledger_set_budget(&bed.ledger, GIB, 0);
	reset(&bed);
	assert_false(bed.vm.throttled);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), GIB);
	/* There is no refusing what runs. */
	memtide_ledger_init(&bed.ledger, GIB, 0);
	assert_int_equal(memtide_ledger_recover(&bed.ledger, &bed.vm, &enforced, &bed.counters, NULL, UNKNOWN), 0);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), GIB);
	assert_int_equal(bed.ledger.cause, MEMTIDE_LEDGER_FOUND_RUNNING);
}

static void test_restart_released(void **state)
{
	struct memtide_grant grant = {
		.flags = TIDE_GRANT_RELEASED, .generation = 9, .epoch = 1, .ceiling = GIB, .charged = 2 * GIB,
	};
	struct bed bed;

	make_low(&bed, &enforced);
	recover(&bed, &enforced, &grant, 2 * GIB);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_RELEASED);
	assert_int_equal(bed.vm.ceiling, 2 * GIB);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
}

/* Generations run around and leave out zero. */
static void test_generations(void **state)
{
	struct memtide_grant grant = { .generation = UINT32_MAX - 1, .epoch = 1, .ceiling = GIB, .charged = GIB };
	struct bed bed;

	make_low(&bed, &enforced);
	recover(&bed, &enforced, &grant, GIB);
	assert_int_equal(bed.vm.generation, UINT32_MAX);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	assert_int_equal(memtide_ledger_set(&bed.vm, 512 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	assert_int_equal(bed.vm.generation, 1);
	expect(&bed, RECORD);
	expect(&bed, PUBLISH);
	bed.counters.fence_generation = UINT32_MAX;
	memtide_ledger_observe(&bed.vm, &bed.counters, UNKNOWN);
	expect(&bed, WAIT_FENCE);
	fence(&bed, 1536 * MIB);
	expect(&bed, LIMIT_DOWN);
}

static void test_entitlement(void **state)
{
	struct memtide_ledger_terms terms = enforced;
	struct bed bed;

	make(&bed, &enforced);
	/* Alone it may claim everything, up to its maximum. */
	assert_int_equal(memtide_ledger_entitlement(&bed.vm), 2 * GIB);
	terms.floor = 512 * MIB;
	terms.maximum = GIB;
	terms.shares = 300;
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.other, &terms), 0);
	/* A quarter and three quarters of what is beyond 768 MiB of floors. */
	assert_int_equal(memtide_ledger_entitlement(&bed.vm), 256 * MIB + (4096 - 768) / 4 * MIB);
	assert_int_equal(memtide_ledger_entitlement(&bed.other), GIB);
	memtide_ledger_set_budget(&bed.ledger, GIB, 0);
	assert_int_equal(memtide_ledger_entitlement(&bed.vm), 256 * MIB + 64 * MIB);
	assert_int_equal(memtide_ledger_entitlement(&bed.other), 512 * MIB + 192 * MIB);
	memtide_ledger_set_budget(&bed.ledger, 512 * MIB, 0);
	assert_int_equal(memtide_ledger_entitlement(&bed.vm), 256 * MIB);
}

/* The largest host that there may be: nothing overflows. */
static void test_many(void **state)
{
	struct memtide_ledger_terms terms = {
		.ram = MEMTIDE_LEDGER_BYTES, .maximum = MEMTIDE_LEDGER_BYTES, .start = GIB,
		.shares = MEMTIDE_LEDGER_SHARES, .enforced = true, .throttle = true,
	};
	struct memtide_ledger_vm *vms = calloc(MEMTIDE_LEDGER_VMS, sizeof(*vms)), one;
	struct memtide_ledger ledger;

	assert_non_null(vms);
	memtide_ledger_init(&ledger, MEMTIDE_LEDGER_BYTES, 0);
	for (int i = 0; i < MEMTIDE_LEDGER_VMS; i++) {
		assert_int_equal(memtide_ledger_admit(&ledger, &vms[i], &terms), i ? -ENOSPC : 0);
		if (i)
			assert_int_equal(memtide_ledger_recover(&ledger, &vms[i], &terms,
								&(struct memtide_counters) {}, NULL, UNKNOWN), 0);
		assert_null(memtide_ledger_check(&ledger, &vms[i]));
	}
	assert_int_equal(memtide_ledger_admit(&ledger, &one, &terms), -E2BIG);
	assert_int_equal(memtide_ledger_recover(&ledger, &one, &terms, &(struct memtide_counters) {}, NULL,
						UNKNOWN), -E2BIG);
	assert_true(ledger.charged == MEMTIDE_LEDGER_BYTES * MEMTIDE_LEDGER_VMS);
	assert_true(memtide_ledger_entitlement(&vms[77]) == MEMTIDE_LEDGER_BYTES / MEMTIDE_LEDGER_VMS);
	for (int i = 0; i < MEMTIDE_LEDGER_VMS; i++)
		memtide_ledger_remove(&vms[i]);
	assert_int_equal(ledger.charged, 0);
	assert_int_equal(ledger.ceilings, 0);
	assert_int_equal(ledger.floors, 0);
	assert_int_equal(ledger.shares, 0);
	assert_int_equal(ledger.cause, MEMTIDE_LEDGER_NO_DEFICIT);
	free(vms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lowers),
		cmocka_unit_test(test_lowers_without_limit),
		cmocka_unit_test(test_raises),
		cmocka_unit_test(test_hostile_echo),
		cmocka_unit_test(test_turns_while_lowering),
		cmocka_unit_test(test_turns_while_limit_falls),
		cmocka_unit_test(test_turns_before_the_record),
		cmocka_unit_test(test_same_ceiling),
		cmocka_unit_test(test_small_pieces),
		cmocka_unit_test(test_small_pieces_twice),
		cmocka_unit_test(test_limit_fails),
		cmocka_unit_test(test_limit_rounded),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_purses),
		cmocka_unit_test(test_budget_falls),
		cmocka_unit_test(test_admission),
		cmocka_unit_test(test_wrong_terms),
		cmocka_unit_test(test_starts_throttled),
		cmocka_unit_test(test_throttled_falls),
		cmocka_unit_test(test_throttled_rises),
		cmocka_unit_test(test_reset_with_room),
		cmocka_unit_test(test_reset_without_room),
		cmocka_unit_test(test_driver_goes),
		cmocka_unit_test(test_inhibited),
		cmocka_unit_test(test_unanswering),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_overuse),
		cmocka_unit_test(test_limit_lost),
		cmocka_unit_test(test_new_terms),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_restart_without_trust),
		cmocka_unit_test(test_restart_released),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_entitlement),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
