// SPDX-License-Identifier: GPL-2.0-or-later
/* Ledger: each kind of change takes its steps in its order, and the charge falls with the last one. */
#include "ledger-bed.h"

static void test_lowers(void **state)
{
	struct bed bed;

	bed_make(&bed, &bed_enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	bed_expect(&bed, RECORD);
	assert_int_equal(bed.action.ceiling, GIB);
	assert_int_equal(bed.action.charged, 2 * GIB);
	bed_expect(&bed, PUBLISH);
	assert_int_equal(bed.action.ceiling, GIB);
	assert_int_equal(bed.action.generation, bed.vm.generation);
	bed_expect(&bed, WAIT_FENCE);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	bed_fence(&bed, GIB);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	bed_expect(&bed, LIMIT_DOWN);
	assert_int_equal(bed.action.limit, GIB);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	bed_expect(&bed, RECORD);
	assert_int_equal(bed.action.charged, GIB);
	assert_int_equal(bed.ledger.charged, GIB);
	bed_expect(&bed, NONE);
}

static void test_lowers_without_limit(void **state)
{
	struct bed bed;

	bed_make(&bed, &bed_free_running);
	bed_decide(&bed, GIB);
	bed_expect(&bed, WAIT_FENCE);
	bed_fence(&bed, GIB);
	bed_expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB);
	bed_expect(&bed, NONE);
}

static void test_raises(void **state)
{
	struct bed bed;

	bed_make_low(&bed, &bed_enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, 1536 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	bed_expect(&bed, RECORD);
	assert_int_equal(bed.action.charged, 1536 * MIB);
	bed_expect(&bed, LIMIT_UP);
	assert_int_equal(bed.action.limit, 1536 * MIB);
	bed_expect(&bed, PUBLISH, NONE);
	assert_int_equal(bed.vm.promised, 1536 * MIB);
}

/* A fence is a guest's word; the device's counts are what is believed. */
static void test_hostile_echo(void **state)
{
	struct bed bed;

	bed_make(&bed, &bed_enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	bed_expect(&bed, RECORD);
	/* Before it was told, for what it will be told. */
	bed_fence_of(&bed, bed.vm.generation, GIB, GIB);
	bed_expect(&bed, PUBLISH, WAIT_FENCE);
	/* Nothing given, one page too little, and taken back again behind the fence. */
	bed_fence(&bed, 0);
	bed_expect(&bed, WAIT_FENCE);
	bed_fence(&bed, GIB - 4096);
	bed_expect(&bed, WAIT_FENCE);
	bed.counters.fence_given_bytes = GIB;
	bed_observe(&bed);
	bed_expect(&bed, WAIT_FENCE);
	/* Given only behind the fence. */
	bed.counters.fence_given_bytes = 0;
	bed.counters.given_bytes = bed.counters.given_huge_bytes = GIB;
	bed_observe(&bed);
	bed_expect(&bed, WAIT_FENCE);
	/* Other generations. */
	bed.counters.fence_given_bytes = GIB;
	bed.counters.fence_generation = bed.vm.published - 1;
	bed_observe(&bed);
	bed_expect(&bed, WAIT_FENCE);
	bed.counters.fence_generation = bed.vm.published + 1;
	bed_observe(&bed);
	bed_expect(&bed, WAIT_FENCE);
	/* No driver, or not of this epoch. */
	bed.counters.fence_generation = bed.vm.published;
	bed.counters.flags = TIDE_COUNTERS_DRIVER_OK;
	bed_observe(&bed);
	bed_expect(&bed, WAIT_FENCE);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	bed_fence(&bed, GIB);
	bed_expect(&bed, LIMIT_DOWN);
}

/* Pressure in the middle of lowering: up to the charge nothing has to be waited for. */
static void test_turns_while_lowering(void **state)
{
	struct bed bed;
	uint32_t old;

	bed_make(&bed, &bed_enforced);
	bed_decide(&bed, GIB);
	old = bed.vm.published;
	bed_decide(&bed, 1536 * MIB);
	/* The fence for the first decision comes late: it was for another ceiling. */
	bed_fence_of(&bed, old, GIB, GIB);
	bed_expect(&bed, WAIT_FENCE);
	bed_fence(&bed, 512 * MIB);
	bed_expect(&bed, LIMIT_DOWN);
	assert_int_equal(bed.action.limit, 1536 * MIB);
	bed_expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	bed_expect(&bed, NONE);
}

/* The limit is on its way down when the VM needs memory: it has to be up again before the guest hears of it. */
static void test_turns_while_limit_falls(void **state)
{
	struct bed bed;

	bed_make(&bed, &bed_enforced);
	bed_decide(&bed, GIB);
	bed_fence(&bed, GIB);
	assert_int_equal(memtide_ledger_next(&bed.vm, &bed.action), MEMTIDE_LEDGER_LIMIT_DOWN);
	memtide_ledger_limit_begin(&bed.vm, &bed.action);
	bed_expect(&bed, WAIT_LIMIT);
	assert_int_equal(memtide_ledger_set(&bed.vm, 1536 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	bed_expect(&bed, RECORD, WAIT_LIMIT);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	memtide_ledger_limit_done(&bed.vm, GIB);
	bed_expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	bed_expect(&bed, LIMIT_UP, PUBLISH, NONE);
}

/* Decided between a step and its report: the report is for what was, the charge for what is. */
static void test_turns_before_the_record(void **state)
{
	struct bed bed;

	bed_make(&bed, &bed_free_running);
	bed_decide(&bed, GIB);
	bed_fence(&bed, GIB);
	assert_int_equal(memtide_ledger_next(&bed.vm, &bed.action), MEMTIDE_LEDGER_RECORD);
	assert_int_equal(bed.action.charged, GIB);
	assert_int_equal(memtide_ledger_set(&bed.vm, 1536 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	memtide_ledger_done(&bed.vm, &bed.action);
	bed_check(&bed);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	bed_expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	bed_expect(&bed, PUBLISH, NONE);
}

/* A target alone changes: a fence for any generation with this ceiling will do. */
static void test_same_ceiling(void **state)
{
	struct bed bed;
	uint32_t first;

	bed_make(&bed, &bed_enforced);
	bed_decide(&bed, GIB);
	first = bed.vm.published;
	bed_decide(&bed, GIB);
	assert_int_not_equal(bed.vm.published, first);
	bed_fence_of(&bed, first, GIB, GIB);
	bed_expect(&bed, LIMIT_DOWN);
}

/* Small pieces count when they show as free; until then the rest of the charge falls. */
static void test_small_pieces(void **state)
{
	struct bed bed;

	bed_make(&bed, &bed_enforced);
	bed_decide(&bed, GIB);
	bed_fence_of(&bed, bed.vm.published, GIB, 768 * MIB);
	bed_expect(&bed, LIMIT_DOWN);
	assert_int_equal(bed.action.limit, 1280 * MIB);
	bed_expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, 1280 * MIB);
	bed_expect(&bed, WAIT_FREE);
	bed_observe_use(&bed, 1100 * MIB);
	bed_settle(&bed, 1100 * MIB);
	/* It does not rise again with what is in use. */
	bed_observe_use(&bed, 1500 * MIB);
	bed_expect(&bed, WAIT_FREE);
	bed_observe_use(&bed, 900 * MIB);
	bed_settle(&bed, GIB);
	bed_expect(&bed, NONE);
}

/* What is not free yet stays charged when the ceiling goes on falling. */
static void test_small_pieces_twice(void **state)
{
	struct bed bed;

	bed_make(&bed, &bed_free_running);
	bed_decide(&bed, GIB);
	bed_fence(&bed, GIB);
	bed_expect(&bed, RECORD);
	bed_decide(&bed, 768 * MIB);
	bed_fence_of(&bed, bed.vm.published, 1280 * MIB, GIB);
	bed_expect(&bed, WAIT_FREE);
	bed_decide(&bed, 512 * MIB);
	bed_fence_of(&bed, bed.vm.published, 1536 * MIB, GIB);
	bed_expect(&bed, WAIT_FREE);
	assert_int_equal(bed.ledger.charged, GIB);
	bed_observe_use(&bed, 0);
	bed_expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, 512 * MIB);
}

static void test_limit_fails(void **state)
{
	struct bed bed;

	bed_make(&bed, &bed_enforced);
	bed_decide(&bed, GIB);
	bed_fence(&bed, GIB);
	bed_limit(&bed, LIMIT_DOWN, UNKNOWN);
	/* Not at once again. */
	bed_expect(&bed, WAIT_FREE);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	bed_observe(&bed);
	/* More is in use than the ceiling: as far down as that. */
	bed_limit(&bed, LIMIT_DOWN, GIB + 5 * MIB);
	bed_expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB + 5 * MIB);
	bed_expect(&bed, WAIT_FREE);
	bed_observe(&bed);
	bed_settle(&bed, GIB);
	bed_expect(&bed, NONE);
}

/* A kernel rounds down to its pages; less than that is too little. */
static void test_limit_rounded(void **state)
{
	struct bed bed;

	bed_make_low(&bed, &bed_enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, 1536 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	bed_expect(&bed, RECORD);
	bed_limit(&bed, LIMIT_UP, 1536 * MIB - 64 * KIB);
	bed_expect(&bed, WAIT_FREE);
	bed_observe(&bed);
	bed_limit(&bed, LIMIT_UP, 1536 * MIB - 4 * KIB);
	bed_expect(&bed, PUBLISH, NONE);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
