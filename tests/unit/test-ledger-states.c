// SPDX-License-Identifier: GPL-2.0-or-later
/* Ledger: what a VM is charged while its driver, its limit or the controller is away, and when they are back. */
#include "ledger-bed.h"

#include <errno.h>

/* No room for a maximum: it starts at its start ceiling, and its limit is there before it does. */
static void test_starts_throttled(void **state)
{
	struct bed bed;

	bed_make_throttled(&bed);
	assert_true(bed.vm.throttled);
	assert_int_equal(bed.ledger.charged, 512 * MIB);
	bed_expect(&bed, RECORD, LIMIT_DOWN);
	assert_int_equal(bed.action.limit, 512 * MIB);
	bed_expect(&bed, PUBLISH);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_STARTING);
	/* The driver's probe resets the device. */
	bed_reset(&bed);
	assert_true(bed.vm.throttled);
	assert_int_equal(bed.ledger.charged, 512 * MIB);
	bed_driver(&bed);
	bed_expect(&bed, RECORD, PUBLISH, WAIT_FENCE);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_MANAGED);
	bed_fence(&bed, 1536 * MIB);
	assert_false(bed.vm.throttled);
	bed_expect(&bed, NONE);
	assert_int_equal(bed.ledger.charged, 512 * MIB);
}

/* A throttled VM's driver gets its chance before its limit falls; where there is none, nobody is waited for. */
static void test_throttled_falls(void **state)
{
	struct bed bed;

	bed_make_throttled(&bed);
	bed_reset(&bed);
	bed_expect(&bed, RECORD, LIMIT_DOWN, PUBLISH);
	bed_decide(&bed, 448 * MIB);
	bed_settle(&bed, 448 * MIB);
	bed_driver(&bed);
	bed_decide(&bed, 384 * MIB);
	bed_expect(&bed, WAIT_FENCE);
	bed_fence(&bed, 2 * GIB - 384 * MIB);
	bed_settle(&bed, 384 * MIB);
}

/* A throttled VM may get more before its driver is there. */
static void test_throttled_rises(void **state)
{
	struct bed bed;

	bed_make_throttled(&bed);
	bed_expect(&bed, RECORD, LIMIT_DOWN, PUBLISH);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_RELIEF), 0);
	bed_expect(&bed, RECORD, LIMIT_UP, PUBLISH);
	assert_true(bed.vm.throttled);
	memtide_ledger_set_budget(&bed.ledger, 2 * GIB, 0);
	assert_int_equal(memtide_ledger_set(&bed.vm, 2 * GIB, MEMTIDE_LEDGER_RELIEF), 0);
	assert_false(bed.vm.throttled);
	bed_expect(&bed, RECORD, LIMIT_UP, PUBLISH, NONE);
}

static void test_reset_with_room(void **state)
{
	struct bed bed;

	bed_make_low(&bed, &bed_enforced);
	bed_reset(&bed);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_STARTING);
	bed_expect(&bed, RECORD, LIMIT_UP, PUBLISH, NONE);
	/* What is decided meanwhile waits for the next driver. */
	bed_decide(&bed, GIB);
	bed_expect(&bed, WAIT_FENCE);
	bed_driver(&bed);
	bed_expect(&bed, WAIT_FENCE);
	bed_fence(&bed, GIB);
	bed_settle(&bed, GIB);
}

static void test_reset_without_room(void **state)
{
	struct bed bed;

	bed_make_low(&bed, &bed_free_running);
	memtide_ledger_set_budget(&bed.ledger, GIB + 512 * MIB, 0);
	bed_reset(&bed);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 512 * MIB);
	assert_int_equal(bed.ledger.cause, MEMTIDE_LEDGER_DRIVER_LOST);

	bed_make_low(&bed, &bed_throttle);
	memtide_ledger_set_budget(&bed.ledger, GIB + 512 * MIB, 0);
	bed_reset(&bed);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 0);
	assert_int_equal(bed.ledger.charged, GIB);
	assert_true(bed.vm.throttled);
	bed_expect(&bed, RECORD, PUBLISH);
}

/* The driver goes without a reset, as far as the counters tell. */
static void test_driver_goes(void **state)
{
	struct bed bed;

	bed_make_low(&bed, &bed_enforced);
	bed.counters.flags &= ~TIDE_COUNTERS_DRIVER_OK;
	bed_observe(&bed);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_STARTING);
}

static void test_inhibited(void **state)
{
	struct bed bed;

	bed_make_low(&bed, &bed_throttle);
	memtide_ledger_set_budget(&bed.ledger, GIB + 512 * MIB, 0);
	bed.counters.flags |= TIDE_COUNTERS_INHIBITED;
	bed_observe(&bed);
	/* Pinned memory is held by no limit. */
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 512 * MIB);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_INHIBITED);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), -EBUSY);
	bed_expect(&bed, RECORD, LIMIT_UP, PUBLISH, NONE);
	bed.counters.flags &= ~TIDE_COUNTERS_INHIBITED;
	bed_observe(&bed);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_MANAGED);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
	/* What was fenced before it was inhibited says nothing now. */
	bed_expect(&bed, RECORD, PUBLISH);
	bed_observe(&bed);
	bed_expect(&bed, WAIT_FENCE);
}

static void test_unanswering(void **state)
{
	struct bed bed;

	bed_make_low(&bed, &bed_enforced);
	memtide_ledger_unanswering(&bed.vm, true);
	bed_check(&bed);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	assert_int_equal(bed.vm.ceiling, GIB);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_UNANSWERING);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), -EBUSY);
	bed_expect(&bed, RECORD, PUBLISH);
	/* Its limit may stay where it is, though room is kept for more. */
	bed_expect(&bed, WAIT_FENCE);
	memtide_ledger_unanswering(&bed.vm, false);
	bed_observe(&bed);
	bed_expect(&bed, WAIT_FENCE);
	bed_fence(&bed, GIB);
	bed_expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB);
}

static void test_release(void **state)
{
	struct bed bed;

	bed_make_low(&bed, &bed_enforced);
	memtide_ledger_set_budget(&bed.ledger, 2 * GIB - 1, 0);
	assert_int_equal(memtide_ledger_release(&bed.vm, true), -ENOSPC);
	memtide_ledger_set_budget(&bed.ledger, 2 * GIB, GIB);
	assert_int_equal(memtide_ledger_release(&bed.vm, true), 0);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_RELEASED);
	bed_expect(&bed, RECORD, LIMIT_UP, PUBLISH, NONE);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), -EBUSY);
	assert_int_equal(memtide_ledger_release(&bed.vm, false), 0);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), 0);
}

/* Nothing but its word holds a VM without a limit: what it takes, it is charged. */
static void test_overuse(void **state)
{
	struct bed bed;

	bed_make_low(&bed, &bed_free_running);
	bed.counters.given_bytes = 512 * MIB;
	bed.counters.given_huge_bytes = 512 * MIB;
	bed_observe(&bed);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	/* Nor does the old fence clear it, when the memory is back. */
	bed_expect(&bed, RECORD, PUBLISH);
	bed.counters.given_bytes = bed.counters.given_huge_bytes = GIB;
	bed_observe(&bed);
	bed_expect(&bed, WAIT_FENCE);
	bed_fence(&bed, GIB);
	bed_expect(&bed, RECORD);
	assert_int_equal(bed.ledger.charged, GIB);
}

static void test_limit_lost(void **state)
{
	struct bed bed;

	bed_make_low(&bed, &bed_throttle);
	memtide_ledger_set_budget(&bed.ledger, GIB, 0);
	/* With a driver that has given its word, a lost cgroup changes nothing in what is charged. */
	memtide_ledger_enforce(&bed.vm, false, UNKNOWN);
	bed_check(&bed);
	assert_int_equal(bed.ledger.charged, GIB);
	memtide_ledger_enforce(&bed.vm, true, UNKNOWN);
	bed_expect(&bed, RECORD, LIMIT_DOWN);
	assert_int_equal(bed.action.limit, GIB);
	bed_expect(&bed, PUBLISH, NONE);

	/* One that only its limit held is charged all it has. */
	bed_make_low(&bed, &bed_throttle);
	memtide_ledger_set_budget(&bed.ledger, GIB, 0);
	bed_reset(&bed);
	assert_true(bed.vm.throttled);
	memtide_ledger_enforce(&bed.vm, false, UNKNOWN);
	bed_check(&bed);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	assert_int_equal(bed.ledger.cause, MEMTIDE_LEDGER_LIMIT_LOST);
}

static void test_restart(void **state)
{
	struct memtide_grant grant = { .generation = 9, .epoch = 1, .ceiling = GIB, .charged = GIB };
	struct bed bed;

	bed_make_low(&bed, &bed_enforced);
	bed_recover(&bed, &bed_enforced, &grant, GIB);
	assert_int_equal(bed.ledger.charged, GIB);
	assert_int_equal(bed.vm.generation, 10);
	bed_expect(&bed, RECORD, PUBLISH, NONE);

	/* While a fence was awaited: the larger value, and the fence again. */
	grant.charged = 1536 * MIB;
	bed_recover(&bed, &bed_enforced, &grant, 1536 * MIB);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	bed_expect(&bed, RECORD, PUBLISH);
	bed_observe(&bed);
	bed_expect(&bed, WAIT_FENCE);
	bed_fence(&bed, GIB);
	bed_settle(&bed, GIB);

	/* Before the limit of a rise was written. */
	grant.ceiling = 1536 * MIB;
	bed_recover(&bed, &bed_enforced, &grant, GIB);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	bed_expect(&bed, RECORD, LIMIT_UP, PUBLISH, NONE);

	/* A limit above the grant. */
	grant.ceiling = grant.charged = GIB;
	bed_recover(&bed, &bed_enforced, &grant, 1800 * MIB);
	assert_int_equal(bed.ledger.charged, 1800 * MIB);
	bed_expect(&bed, RECORD, PUBLISH);
	bed_settle(&bed, GIB);
}

static void test_restart_without_trust(void **state)
{
	struct memtide_grant grant = { .generation = 9, .epoch = 1, .ceiling = GIB, .charged = GIB };
	struct bed bed;

	/* No grant; another epoch; no fence; more in use than was charged. */
	bed_make_low(&bed, &bed_enforced);
	bed_recover(&bed, &bed_enforced, NULL, UNKNOWN);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	grant.epoch = 2;
	bed_recover(&bed, &bed_enforced, &grant, GIB);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	grant.epoch = 1;
	bed.counters.flags = TIDE_COUNTERS_DRIVER_OK;
	bed_recover(&bed, &bed_enforced, &grant, GIB);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	bed.counters.flags = TIDE_COUNTERS_DRIVER_OK | TIDE_COUNTERS_FENCED;
	bed.counters.given_bytes = GIB - 4096;
	bed_recover(&bed, &bed_enforced, &grant, GIB);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	/* Where its limit alone may hold it, it does so after a restart as well. */
	bed_recover(&bed, &bed_throttle, &grant, GIB);
	assert_int_equal(bed.ledger.charged, GIB);
	assert_true(bed.vm.throttled);
	/* ... but not where it is gone. */
	bed_recover(&bed, &bed_throttle, &grant, UNKNOWN);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	/* ... nor where it has not been written again yet when the guest is reset. */
	bed.counters.given_bytes = GIB;
	bed_recover(&bed, &bed_throttle, &grant, UNKNOWN);
	assert_int_equal(bed.ledger.charged, GIB);
	memtide_ledger_set_budget(&bed.ledger, GIB, 0);
	bed_reset(&bed);
	assert_false(bed.vm.throttled);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), GIB);
	/* There is no refusing what runs. */
	memtide_ledger_init(&bed.ledger, GIB, 0);
	assert_int_equal(memtide_ledger_recover(&bed.ledger, &bed.vm, &bed_enforced, &bed.counters, NULL,
						UNKNOWN), 0);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), GIB);
	assert_int_equal(bed.ledger.cause, MEMTIDE_LEDGER_FOUND_RUNNING);
}

static void test_restart_released(void **state)
{
	struct memtide_grant grant = {
		.flags = TIDE_GRANT_RELEASED, .generation = 9, .epoch = 1, .ceiling = GIB, .charged = 2 * GIB,
	};
	struct bed bed;

	bed_make_low(&bed, &bed_enforced);
	bed_recover(&bed, &bed_enforced, &grant, 2 * GIB);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_RELEASED);
	assert_int_equal(bed.vm.ceiling, 2 * GIB);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
}

/* Set by hand: no more than it is told it may have, and never above its maximum. */
static void test_step_back(void **state)
{
	struct bed bed;

	bed_make_low(&bed, &bed_enforced);
	memtide_ledger_step_back(&bed.vm, 1536 * MIB);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_RELEASED);
	assert_int_equal(bed.vm.ceiling, 1536 * MIB);
	assert_int_equal(bed.ledger.charged, 1536 * MIB);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB, MEMTIDE_LEDGER_ORDINARY), -EBUSY);
	memtide_ledger_step_back(&bed.vm, 4 * GIB);
	assert_int_equal(bed.vm.ceiling, bed_enforced.maximum);
	assert_null(memtide_ledger_check(&bed.ledger, &bed.vm));
}

/* What counts for it is started anew: what was decided stays, and is published again. */
static void test_resume(void **state)
{
	struct bed bed;
	uint64_t ceiling, charged;
	uint32_t generation;

	bed_make_low(&bed, &bed_enforced);
	ceiling = bed.vm.ceiling;
	charged = bed.ledger.charged;
	generation = bed.vm.generation;
	bed.counters.epoch = 77;
	bed.counters.fence_generation = 0;
	bed.counters.flags = TIDE_COUNTERS_DRIVER_OK;
	memtide_ledger_resume(&bed.vm, &bed.counters);
	assert_int_equal(bed.vm.ceiling, ceiling);
	assert_int_equal(bed.ledger.charged, charged);
	assert_int_not_equal(bed.vm.generation, generation);
	bed_expect(&bed, RECORD, PUBLISH);
	assert_int_equal(memtide_ledger_state(&bed.vm), MEMTIDE_LEDGER_MANAGED);
	/* what it had not confirmed still has to be */
	assert_int_equal(memtide_ledger_set(&bed.vm, ceiling / 2, MEMTIDE_LEDGER_ORDINARY), 0);
	memtide_ledger_resume(&bed.vm, &bed.counters);
	assert_int_equal(bed.ledger.charged, charged);
	/* one whose driver is not there is another matter */
	bed.counters.flags = 0;
	memtide_ledger_resume(&bed.vm, &bed.counters);
	assert_int_equal(bed.ledger.charged, bed_enforced.maximum);
}

/* Generations run around and leave out zero. */
static void test_generations(void **state)
{
	struct memtide_grant grant = { .generation = UINT32_MAX - 1, .epoch = 1, .ceiling = GIB, .charged = GIB };
	struct bed bed;

	bed_make_low(&bed, &bed_enforced);
	bed_recover(&bed, &bed_enforced, &grant, GIB);
	assert_int_equal(bed.vm.generation, UINT32_MAX);
	bed_expect(&bed, RECORD, PUBLISH);
	assert_int_equal(memtide_ledger_set(&bed.vm, 512 * MIB, MEMTIDE_LEDGER_ORDINARY), 0);
	assert_int_equal(bed.vm.generation, 1);
	bed_expect(&bed, RECORD, PUBLISH);
	bed.counters.fence_generation = UINT32_MAX;
	bed_observe(&bed);
	bed_expect(&bed, WAIT_FENCE);
	bed_fence(&bed, 1536 * MIB);
	bed_expect(&bed, LIMIT_DOWN);
}

/* What comes in from another host has heard of generations from another controller. */
static void test_generations_of_another_host(void **state)
{
	struct memtide_grant grant = { .generation = 2, .epoch = 1, .ceiling = 2 * GIB, .charged = 2 * GIB };
	struct bed bed;

	bed_make(&bed, &bed_enforced);
	bed.counters.fence_generation = 57;
	bed_observe(&bed);
	assert_int_not_equal(bed.vm.generation, 58);
	bed.counters.epoch++;
	bed_observe(&bed);
	assert_int_equal(bed.vm.generation, 58);
	bed_expect(&bed, RECORD, PUBLISH, NONE);
	/* this controller died before it knew: its grant is of the epoch before */
	bed_recover(&bed, &bed_enforced, &grant, 2 * GIB);
	assert_int_equal(bed.vm.generation, 58);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_restart_without_trust),
		cmocka_unit_test(test_restart_released),
		cmocka_unit_test(test_step_back),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_generations_of_another_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
