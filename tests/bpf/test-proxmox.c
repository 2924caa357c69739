// SPDX-License-Identifier: GPL-2.0-or-later
/* The proxmox policy does what Proxmox VE's published rules say, step for step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "table.h"

#define STEP	(100 * MIB)

static struct memtide_policy *policy;
static struct balance_table *table;

static int start(void **state)
{
	policy = load_policy("proxmox", NULL);
	table = memtide_policy_table(policy);
	return 0;
}

static int stop(void **state)
{
	memtide_policy_close(policy);
	policy = NULL;
	return 0;
}

static void test_nothing_near_the_mark(void **state)
{
	table->host.budget = 10 * GIB;
	put_vm(table, 0, 8 * GIB - 10 * MIB, GIB, 16 * GIB);
	run_round(policy, 1);
	assert_int_equal(table->vm[0].reason, BALANCE_KEEP);
}

static void test_grows_by_one_step_below_it(void **state)
{
	table->host.budget = 10 * GIB;
	put_vm(table, 0, 2 * GIB, GIB, 4 * GIB);
	run_round(policy, 1);
	assert_int_equal(table->vm[0].reason, BALANCE_HOST_LOW);
	assert_int_equal(table->vm[0].new_target, 2 * GIB + STEP);
	assert_int_equal(table->vm[0].new_ceiling, 2 * GIB + STEP);
}

static void test_shrinks_by_one_step_above_it(void **state)
{
	table->host.budget = 2 * GIB;
	put_vm(table, 0, 2 * GIB, GIB, 4 * GIB)->free = GIB;
	run_round(policy, 1);
	assert_int_equal(table->vm[0].reason, BALANCE_HOST_HIGH);
	assert_int_equal(table->vm[0].new_target, 2 * GIB - STEP);
}

static void test_waits_ten_seconds(void **state)
{
	table->host.budget = 10 * GIB;
	put_vm(table, 0, 2 * GIB, GIB, 4 * GIB);
	run_round(policy, 5);
	carry_out(table);
	run_round(policy, 10004);
	assert_int_equal(table->vm[0].reason, BALANCE_KEEP);
	run_round(policy, 10005);
	assert_int_equal(table->vm[0].reason, BALANCE_HOST_LOW);
}

/* Free memory of at most a quarter of the floor is pressure: those grow, the others only if none of those can. */
static void test_grows_the_pressed_first(void **state)
{
	table->host.budget = 10 * GIB;
	put_vm(table, 0, 2 * GIB, GIB, 4 * GIB)->free = GIB / 4;
	put_vm(table, 1, 2 * GIB, GIB, 4 * GIB)->free = GIB / 4 + 4096;
	run_round(policy, 1);
	assert_int_equal(table->vm[0].new_target, 2 * GIB + STEP);
	assert_int_equal(table->vm[1].reason, BALANCE_KEEP);

	put_vm(table, 0, 4 * GIB, GIB, 4 * GIB)->free = 0;
	run_round(policy, 20001);
	assert_int_equal(table->vm[0].reason, BALANCE_KEEP);
	assert_int_equal(table->vm[1].new_target, 2 * GIB + STEP);
}

static void test_shrinks_the_easy_first(void **state)
{
	table->host.budget = 4 * GIB;
	put_vm(table, 0, 2 * GIB, GIB, 4 * GIB)->free = 0;
	put_vm(table, 1, 2 * GIB, GIB, 4 * GIB)->free = GIB;
	run_round(policy, 1);
	assert_int_equal(table->vm[0].reason, BALANCE_KEEP);
	assert_int_equal(table->vm[1].new_target, 2 * GIB - STEP);
}

/* A goal of 90 MiB and 110 MiB above the floors: 200 MiB by shares of 1 and 3. */
static void test_shares(void **state)
{
	table->host.budget = 10 * GIB;
	put_vm(table, 0, 4051 * MIB, 4 * GIB - 100 * MIB, 8 * GIB)->shares = 1000;
	put_vm(table, 1, 4051 * MIB, 4 * GIB - 100 * MIB, 8 * GIB)->shares = 3000;
	run_round(policy, 1);
	/* 50 and 150 MiB above the floors, where both have 55. */
	assert_int_equal(table->vm[0].new_target, 4046 * MIB);
	assert_int_equal(table->vm[1].new_target, 4146 * MIB);
}

static void test_stays_within_floor_and_maximum(void **state)
{
	table->host.budget = 10 * GIB;
	put_vm(table, 0, 2 * GIB, GIB, 2 * GIB + 30 * MIB);
	run_round(policy, 1);
	assert_int_equal(table->vm[0].new_target, 2 * GIB + 30 * MIB);
	table->host.budget = GIB;
	put_vm(table, 0, GIB + 30 * MIB, GIB, 2 * GIB)->free = GIB;
	run_round(policy, 20001);
	assert_int_equal(table->vm[0].new_target, GIB);
}

/* What one at its maximum cannot take is offered to the rest again. */
static void test_offers_again(void **state)
{
	table->host.budget = 5170 * MIB;
	put_vm(table, 0, 2048 * MIB, 1024 * MIB, 2048 * MIB);
	put_vm(table, 1, 1998 * MIB, 1024 * MIB, 4096 * MIB);
	/* The goal is 90 MiB.  Half each would be 2068 MiB; what is left of that goes to the second. */
	run_round(policy, 1);
	assert_int_equal(table->vm[0].reason, BALANCE_KEEP);
	assert_int_equal(table->vm[1].new_target, 2088 * MIB);
}

static void test_others_are_left_alone(void **state)
{
	table->host.budget = 2 * GIB;
	put_vm(table, 0, 2 * GIB, GIB, 4 * GIB)->flags = 0;
	put_vm(table, 1, 2 * GIB, GIB, 4 * GIB)->flags |= BALANCE_VM_STALE;
	run_round(policy, 1);
	assert_int_equal(table->vm[0].reason, BALANCE_KEEP);
	/* Without statistics it counts as pressed, and is asked all the same where nobody else can give. */
	assert_int_equal(table->vm[1].new_target, 2 * GIB - STEP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_near_the_mark, start, stop),
		cmocka_unit_test_setup_teardown(test_grows_by_one_step_below_it, start, stop),
		cmocka_unit_test_setup_teardown(test_shrinks_by_one_step_above_it, start, stop),
		cmocka_unit_test_setup_teardown(test_waits_ten_seconds, start, stop),
		cmocka_unit_test_setup_teardown(test_grows_the_pressed_first, start, stop),
		cmocka_unit_test_setup_teardown(test_shrinks_the_easy_first, start, stop),
		cmocka_unit_test_setup_teardown(test_shares, start, stop),
		cmocka_unit_test_setup_teardown(test_stays_within_floor_and_maximum, start, stop),
		cmocka_unit_test_setup_teardown(test_offers_again, start, stop),
		cmocka_unit_test_setup_teardown(test_others_are_left_alone, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
