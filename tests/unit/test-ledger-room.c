// SPDX-License-Identifier: GPL-2.0-or-later
/* Ledger: what there is room for, who may have it, and what does not fit at all. */
#include "ledger-bed.h"

#include <errno.h>

static void test_bounds(void **state)
{
	struct bed bed;

	bed_make(&bed, &bed_enforced);
	assert_int_equal(memtide_ledger_set(&bed.vm, 256 * MIB - 1, MEMTIDE_LEDGER_ORDINARY), -ERANGE);
	assert_int_equal(memtide_ledger_set(&bed.vm, 2 * GIB + 1, MEMTIDE_LEDGER_ORDINARY), -ERANGE);
	assert_int_equal(memtide_ledger_set(&bed.vm, 0, MEMTIDE_LEDGER_RELIEF), -ERANGE);
	bed_expect(&bed, NONE);
}

static void test_purses(void **state)
{
	struct bed bed;

	bed_make_low(&bed, &bed_enforced);
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

	bed_make_low(&bed, &bed_enforced);
	memtide_ledger_set_budget(&bed.ledger, 768 * MIB, 0);
	bed_check(&bed);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 256 * MIB);
	assert_int_equal(bed.ledger.cause, MEMTIDE_LEDGER_BUDGET_FELL);
	assert_int_equal(memtide_ledger_set(&bed.vm, GIB + 4096, MEMTIDE_LEDGER_RELIEF), -ENOSPC);
	assert_int_equal(memtide_ledger_most(&bed.vm, MEMTIDE_LEDGER_RELIEF), GIB);
	bed_decide(&bed, 512 * MIB);
	/* It comes down to 700 MiB and no further: what it can give clears the deficit. */
	bed_decide(&bed, 700 * MIB);
	bed_fence(&bed, 2 * GIB - 700 * MIB);
	bed_expect(&bed, LIMIT_DOWN);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 256 * MIB);
	bed_expect(&bed, RECORD);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 0);
	assert_int_equal(bed.ledger.cause, MEMTIDE_LEDGER_NO_DEFICIT);
}

static void test_admission(void **state)
{
	struct memtide_ledger_terms terms = bed_enforced;
	struct bed bed;

	bed_make(&bed, &bed_enforced);
	/* 2 GiB and 256 MiB of reserve are left of 4 GiB. */
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.other, &bed_enforced), -ENOSPC);
	assert_int_equal(bed.ledger.nr_vms, 1);
	terms.maximum = 1024 * MIB;
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.other, &terms), 0);
	assert_int_equal(bed.ledger.charged, 3 * GIB);
	bed_check(&bed);
	memtide_ledger_remove(&bed.other);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	memtide_ledger_remove(&bed.other);
	assert_int_equal(bed.ledger.nr_vms, 1);
	/* Without a limit the maximum is only a wish. */
	terms.enforced = false;
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.other, &terms), -ENOSPC);
	/* Floors are guarantees: their sum fits or nothing does. */
	terms = bed_throttle;
	terms.floor = terms.start = terms.maximum = 2 * GIB;
	memtide_ledger_set_budget(&bed.ledger, 2 * GIB, 0);
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.other, &terms), -EDQUOT);
}

static void test_wrong_terms(void **state)
{
	struct memtide_ledger_terms terms[] = {
		bed_enforced, bed_enforced, bed_enforced, bed_enforced, bed_enforced, bed_enforced, bed_enforced,
		bed_enforced, bed_free_running,
	};
	struct bed bed;

	bed_make(&bed, &bed_enforced);
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

static void test_new_terms(void **state)
{
	struct bed bed;

	bed_make(&bed, &bed_enforced);
	assert_int_equal(memtide_ledger_change(&bed.vm, 3 * GIB, 2 * GIB, 1), -EINVAL);
	assert_int_equal(memtide_ledger_change(&bed.vm, GIB, 3 * GIB, 1), -EINVAL);
	memtide_ledger_set_budget(&bed.ledger, GIB, 0);
	assert_int_equal(memtide_ledger_change(&bed.vm, GIB + 1, 2 * GIB, 1), -EDQUOT);
	assert_int_equal(memtide_ledger_change(&bed.vm, 512 * MIB, GIB, 7), 0);
	assert_int_equal(bed.ledger.floors, 512 * MIB);
	assert_int_equal(bed.ledger.shares, 7);
	assert_int_equal(bed.vm.ceiling, GIB);
	bed_expect(&bed, RECORD, PUBLISH, WAIT_FENCE);
	bed_fence(&bed, GIB);
	bed_settle(&bed, GIB);
	assert_int_equal(memtide_ledger_change(&bed.vm, 512 * MIB, 2 * GIB, 7), 0);
	assert_int_equal(bed.vm.ceiling, GIB);
}

static void test_entitlement(void **state)
{
	struct memtide_ledger_terms terms = bed_enforced;
	struct bed bed;

	bed_make(&bed, &bed_enforced);
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

/* Room is held for who is about to start, and becomes the VM's own when it does. */
static void test_expected(void **state)
{
	struct memtide_ledger_terms terms = bed_enforced;
	struct memtide_ledger_vm held;
	struct bed bed;

	bed_make_low(&bed, &bed_enforced);
	memtide_ledger_set_budget(&bed.ledger, GIB + 512 * MIB, 256 * MIB);
	assert_int_equal(memtide_ledger_entitlement(&bed.vm), GIB + 512 * MIB);
	/* The reserve stays; what the others are entitled to falls at once. */
	assert_int_equal(memtide_ledger_expect(&bed.ledger, &held, &terms), 0);
	assert_int_equal(held.charged, 256 * MIB);
	assert_int_equal(bed.ledger.charged, GIB + 256 * MIB);
	assert_int_equal(memtide_ledger_entitlement(&bed.vm), 768 * MIB);
	assert_int_equal(memtide_ledger_room(&bed.ledger, MEMTIDE_LEDGER_ORDINARY), 0);
	assert_null(memtide_ledger_check(&bed.ledger, &held));
	/* What comes free is added, up to its maximum. */
	memtide_ledger_set_budget(&bed.ledger, 4 * GIB, 0);
	assert_int_equal(memtide_ledger_gather(&held), 2 * GIB);
	assert_int_equal(bed.ledger.charged, 3 * GIB);
	assert_null(memtide_ledger_check(&bed.ledger, &held));
	/* A budget that falls takes nothing from it. */
	memtide_ledger_set_budget(&bed.ledger, GIB, 0);
	assert_int_equal(memtide_ledger_gather(&held), 2 * GIB);
	assert_int_equal(memtide_ledger_deficit(&bed.ledger), 2 * GIB);
	memtide_ledger_set_budget(&bed.ledger, 4 * GIB, 0);
	memtide_ledger_remove(&held);
	assert_int_equal(memtide_ledger_admit(&bed.ledger, &bed.other, &terms), 0);
	assert_int_equal(bed.other.charged, 2 * GIB);
	bed_check(&bed);
}

/* There may be no room at all; only floors are refused. */
static void test_expected_without_room(void **state)
{
	struct memtide_ledger_terms terms = bed_enforced;
	struct memtide_ledger_vm held;
	struct bed bed;

	bed_make(&bed, &bed_enforced);
	memtide_ledger_set_budget(&bed.ledger, GIB, 0);
	assert_int_equal(memtide_ledger_expect(&bed.ledger, &held, &terms), 0);
	assert_int_equal(held.charged, 0);
	assert_int_equal(bed.ledger.charged, 2 * GIB);
	assert_null(memtide_ledger_check(&bed.ledger, &held));
	memtide_ledger_remove(&held);
	terms.floor = 768 * MIB + 1;
	assert_int_equal(memtide_ledger_expect(&bed.ledger, &held, &terms), -EDQUOT);
	terms.floor = terms.maximum + 1;
	assert_int_equal(memtide_ledger_expect(&bed.ledger, &held, &terms), -EINVAL);
	assert_int_equal(bed.ledger.nr_vms, 1);
	bed_check(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_purses),
		cmocka_unit_test(test_budget_falls),
		cmocka_unit_test(test_admission),
		cmocka_unit_test(test_expected),
		cmocka_unit_test(test_expected_without_room),
		cmocka_unit_test(test_wrong_terms),
		cmocka_unit_test(test_new_terms),
		cmocka_unit_test(test_entitlement),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
