// SPDX-License-Identifier: GPL-2.0-or-later
/* The fair policy: who gets, who gives, and what it never does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "table.h"

#define STEP		(128 * MIB)	/* the most that fair takes from a VM at once */
#define FLOOR		(384 * MIB)
#define MAXIMUM		(2 * GIB)
#define ENTITLED	GIB		/* of each of three VMs in 3 GiB */
#define BUSY		5000		/* refaults a second */

static struct memtide_policy *policy;
static struct balance_table *table;

/* Three VMs in 3 GiB of budget: the demo's. */
static int start(void **state)
{
	policy = load_policy("fair", NULL);
	table = memtide_policy_table(policy);
	table->host.budget = 3 * GIB;
	table->host.reserve = 64 * MIB;
	return 0;
}

static int stop(void **state)
{
	memtide_policy_close(policy);
	policy = NULL;
	return 0;
}

/* A VM of @size, nearly all of it page cache. */
static struct balance_vm *put(uint32_t i, uint64_t size, uint64_t refaults)
{
	struct balance_vm *vm = put_vm(table, i, size, FLOOR, MAXIMUM);

	vm->available = size - 200 * MIB;
	vm->refault_file_rate = refaults;
	return vm;
}

static void press(struct balance_vm *vm, uint64_t wanted)
{
	vm->flags |= BALANCE_VM_PRESSURE;
	vm->wanted = wanted;
}

static void test_nothing_moves_when_nobody_wants(void **state)
{
	put(0, GIB, 0);
	put(1, 512 * MIB, 0);
	put(2, GIB, 0);
	for (int s = 1; s < 60; s++) {
		run_round(policy, s * 1000);
		for (int i = 0; i < 3; i++)
			assert_int_equal(table->vm[i].reason, BALANCE_KEEP);
	}
}

static void test_idle_memory_goes_to_the_busy(void **state)
{
	uint64_t slack = GIB - FLOOR;

	put(0, GIB - 32 * MIB, BUSY);
	put(1, GIB, 0);
	put(2, GIB, 0);
	run_round(policy, 1000);
	/* Not idle for long enough yet. */
	assert_int_equal(table->vm[1].reason, BALANCE_KEEP);
	run_round(policy, 4000);
	assert_int_equal(table->vm[1].reason, BALANCE_SHRINK_IDLE);
	assert_true(table->vm[1].new_ceiling >= GIB - slack / 2);
	assert_true(table->vm[1].new_target < table->vm[1].new_ceiling);
	assert_int_equal(table->vm[0].reason, BALANCE_GROW_REFAULT);
	assert_true(table->vm[0].new_ceiling > GIB);
	assert_true(sum_answers(table) <= 3 * GIB);
	for (int s = 5; s < 30; s++) {
		carry_out(table);
		table->vm[0].available = 0;
		run_round(policy, s * 1000);
	}
	/*
	 * The busy one has all that it may have.  What it leaves is the others', and a part of that only their
	 * credit.
	 */
	assert_true(table->vm[0].ceiling > MAXIMUM - 16 * MIB);
	assert_true(table->vm[1].ceiling < 512 * MIB);
	assert_true(table->vm[1].target <= table->vm[1].ceiling - 32 * MIB);
}

static void test_pressure_takes_no_used_entitlement(void **state)
{
	press(put(0, ENTITLED, BUSY), GIB);
	put(1, ENTITLED, BUSY);
	put(2, ENTITLED, BUSY);
	for (int s = 1; s < 30; s++) {
		run_round(policy, s * 1000);
		for (int i = 0; i < 3; i++)
			assert_int_equal(table->vm[i].reason, BALANCE_KEEP);
	}
}

static void test_loans_are_called_in(void **state)
{
	put(0, 2176 * MIB - 128 * MIB, BUSY);
	put(1, 512 * MIB, 0);
	put(2, 448 * MIB, 0);
	run_round(policy, 1000);
	press(&table->vm[1], 256 * MIB);
	table->vm[1].available = 0;
	run_round(policy, 1100);
	assert_int_equal(table->vm[0].reason, BALANCE_SHRINK_LOAN);
	assert_true(table->vm[0].new_ceiling >= ENTITLED);
	assert_int_equal(table->vm[0].new_ceiling, 2048 * MIB - STEP);
	assert_int_equal(table->vm[1].reason, BALANCE_GROW_PRESSURE);
	assert_int_equal(table->vm[1].new_ceiling, 704 * MIB);
	assert_int_equal(table->vm[2].reason, BALANCE_KEEP);
}

/* Nothing that a new load reads has been lost before, so there are no refaults; it is entitled all the same. */
static void test_a_new_load_gets_what_is_lent(void **state)
{
	put(0, 1522 * MIB, 0);
	put(1, 416 * MIB, 0)->file = 64 * MIB;
	put(2, 1024 * MIB, 0);
	run_round(policy, 1000);
	assert_int_equal(table->vm[1].reason, BALANCE_KEEP);
	table->vm[1].file += 48 * MIB;
	run_round(policy, 2000);
	assert_int_equal(table->vm[0].reason, BALANCE_SHRINK_LOAN);
	assert_int_equal(table->vm[1].reason, BALANCE_GROW_SHARE);
	assert_true(table->vm[1].new_ceiling > 512 * MIB);
	assert_int_equal(table->vm[2].reason, BALANCE_KEEP);
	assert_true(sum_answers(table) <= 3 * GIB);
}

static void test_unused_claims_count_for_nothing(void **state)
{
	put(0, 768 * MIB, 0);
	put(1, ENTITLED, 0);
	put(2, ENTITLED, 0);
	run_round(policy, 1000);
	press(&table->vm[0], GIB);
	table->vm[0].flags |= BALANCE_VM_UNUSED;
	run_round(policy, 9000);
	for (int i = 0; i < 3; i++)
		assert_true(table->vm[i].reason == BALANCE_KEEP ||
			    table->vm[i].new_ceiling <= table->vm[i].ceiling);
}

static void test_others_are_left_alone(void **state)
{
	put(0, ENTITLED - 64 * MIB, BUSY);
	put(1, ENTITLED, 0)->flags |= BALANCE_VM_STALE;
	put(2, ENTITLED, 0)->flags = 0;
	run_round(policy, 1000);
	run_round(policy, 9000);
	assert_int_equal(table->vm[1].reason, BALANCE_KEEP);
	assert_int_equal(table->vm[2].reason, BALANCE_KEEP);
	assert_true(sum_answers(table) <= 3 * GIB);
}

static void test_waits_for_what_was_asked(void **state)
{
	put(0, ENTITLED - 64 * MIB, BUSY);
	put(1, ENTITLED, 0)->flags |= BALANCE_VM_MOVING;
	put(2, ENTITLED, 0)->flags |= BALANCE_VM_STALLED;
	run_round(policy, 1000);
	run_round(policy, 9000);
	assert_int_equal(table->vm[1].reason, BALANCE_KEEP);
	assert_int_equal(table->vm[2].reason, BALANCE_KEEP);
}

/* Shrinks the second VM as idle, which then misses what is gone; that is regretted at 5,000 ms. */
static void shrink_and_regret(void)
{
	put(0, ENTITLED, BUSY);
	put(1, ENTITLED, 0);
	put(2, ENTITLED - 64 * MIB, 0);
	run_round(policy, 1000);
	run_round(policy, 4000);
	assert_int_equal(table->vm[1].reason, BALANCE_SHRINK_IDLE);
	carry_out(table);
	table->vm[1].refault_file_rate = BUSY;
	table->vm[1].available = 0;
	run_round(policy, 5000);
	assert_true(table->vm[1].reason == BALANCE_KEEP || table->vm[1].new_ceiling > table->vm[1].ceiling);
	carry_out(table);
	table->vm[1].refault_file_rate = 0;
}

/* A VM that reads all it needs from its cache looks idle, until some of it is gone. */
static void test_regrets(void **state)
{
	shrink_and_regret();
	/* Quiet again, and left alone for at least hold_ms. */
	for (int ms = 6000; ms < 12000; ms += 500) {
		run_round(policy, ms);
		assert_true(table->vm[1].reason == BALANCE_KEEP ||
			    table->vm[1].new_ceiling >= table->vm[1].ceiling);
		carry_out(table);
	}
}

/* ... but one that does not run does not read from its cache either: it is left alone for less long. */
static void test_resting_is_idle_sooner(void **state)
{
	shrink_and_regret();
	table->vm[1].available = GIB / 2;
	table->vm[1].cpu_rate = 1000000;
	run_round(policy, 8000);
	assert_int_not_equal(table->vm[1].reason, BALANCE_SHRINK_IDLE);
	table->vm[1].cpu_rate = 1000;
	run_round(policy, 8500);
	assert_int_equal(table->vm[1].reason, BALANCE_SHRINK_IDLE);
}

static void test_a_smaller_budget(void **state)
{
	put(0, ENTITLED, BUSY);
	put(1, ENTITLED, BUSY);
	put(2, ENTITLED, BUSY);
	run_round(policy, 1000);
	table->host.budget = 2 * GIB;
	for (int s = 2; s < 20; s++) {
		run_round(policy, s * 1000);
		for (int i = 0; i < 3; i++)
			assert_true(table->vm[i].reason == BALANCE_KEEP ||
				    table->vm[i].reason == BALANCE_SHRINK_BUDGET ||
				    table->vm[i].reason == BALANCE_SHRINK_LOAN);
		if (s == 2)
			assert_int_equal(table->vm[0].reason, BALANCE_SHRINK_BUDGET);
		carry_out(table);
	}
	assert_true(sum_answers(table) <= 2 * GIB);
}

static void test_raises_to_the_floor(void **state)
{
	put(0, 256 * MIB, 0);
	run_round(policy, 1000);
	assert_int_equal(table->vm[0].reason, BALANCE_FLOOR);
	assert_int_equal(table->vm[0].new_ceiling, FLOOR);
}

static void test_settles(void **state)
{
	/* All busy alike, from unequal sizes, with unequal shares. */
	put(0, 1536 * MIB, BUSY)->shares = 100;
	put(1, 448 * MIB, BUSY)->shares = 200;
	put(2, 900 * MIB, BUSY)->shares = 300;
	for (int s = 1; s < 120; s++) {
		run_round(policy, s * 1000);
		if (s >= 60)
			for (int i = 0; i < 3; i++)
				assert_int_equal(table->vm[i].reason, BALANCE_KEEP);
		carry_out(table);
		for (int i = 0; i < 3; i++)
			table->vm[i].available = table->vm[i].usable - 200 * MIB;
	}
	/* 1920 MiB beyond the floors, in six parts. */
	assert_in_range(table->vm[0].ceiling, (384 + 320 - 32) * MIB, (384 + 320 + 32) * MIB);
	assert_in_range(table->vm[1].ceiling, (384 + 640 - 64) * MIB, (384 + 640 + 32) * MIB);
}

static uint64_t pick(uint64_t limit)
{
	return limit ? (uint64_t)random() * 65536 % limit : 0;
}

static void put_random(uint32_t i)
{
	uint64_t floor = pick(GIB), maximum = floor + MIB + pick(3 * GIB), size = floor + pick(maximum - floor);
	struct balance_vm *vm = put_vm(table, i, size, floor, maximum);

	vm->flags = random() % 8 ? BALANCE_VM_MANAGED | (random() & 0x76) : random() & 0x7f;
	vm->shares = 1 + random() % 1000000;
	vm->target = floor + pick(size - floor);
	vm->usable = vm->target + pick(size - vm->target);
	vm->charged = size + (random() % 4 ? 0 : pick(GIB));
	/* A guest may say anything. */
	vm->free = random() % 16 ? pick(size) : UINT64_MAX - pick(GIB);
	vm->available = random() % 16 ? pick(size) : UINT64_MAX - pick(GIB);
	vm->wanted = random() % 3 ? 0 : random() % 16 ? pick(GIB) : UINT64_MAX - pick(GIB);
	vm->refault_file_rate = random() % 2 ? 0 : random() % 16 ? pick(100000) : UINT64_MAX - pick(GIB);
}

static void check_answer(const struct balance_vm *vm)
{
	if (vm->reason == BALANCE_KEEP)
		return;
	assert_true(vm->reason < BALANCE_REASONS);
	assert_true(vm->flags & BALANCE_VM_MANAGED);
	assert_false(vm->flags & BALANCE_VM_STALE);
	assert_true(vm->new_target <= vm->new_ceiling);
	assert_true(vm->new_ceiling <= vm->maximum);
	assert_true(vm->new_target >= vm->floor);
	if (vm->new_ceiling < vm->ceiling) {
		assert_true(vm->new_ceiling >= vm->ceiling - (vm->ceiling - vm->floor) / 2);
		assert_true(vm->new_ceiling + STEP >= vm->ceiling);
		assert_false(vm->flags & BALANCE_VM_MOVING);
	}
}

static void test_rules_hold_whatever_the_table_says(void **state)
{
	for (unsigned int seed = 1; seed <= 3000; seed++) {
		uint64_t before = 0;

		srandom(seed);
		table->host.nr_vms = 0;
		for (uint32_t i = 0, nr = 1 + random() % 40; i < nr; i++)
			put_random(i);
		for (uint32_t i = 0; i < table->host.nr_vms; i++)
			before += table->vm[i].ceiling;
		table->host.budget = pick(2 * before + GIB);
		table->host.reserve = pick(table->host.budget / 4 + 1);
		for (int round = 0; round < 8; round++) {
			run_round(policy, table->host.time_ms + 1 + pick(5000));
			for (uint32_t i = 0; i < table->host.nr_vms; i++)
				check_answer(&table->vm[i]);
			assert_true(sum_answers(table) <= table->host.budget || sum_answers(table) <= before);
			before = sum_answers(table);
			if (random() % 2)
				carry_out(table);
			else
				before = UINT64_MAX;
		}
	}
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_moves_when_nobody_wants),
		TEST(test_idle_memory_goes_to_the_busy),
		TEST(test_pressure_takes_no_used_entitlement),
		TEST(test_loans_are_called_in),
		TEST(test_a_new_load_gets_what_is_lent),
		TEST(test_unused_claims_count_for_nothing),
		TEST(test_others_are_left_alone),
		TEST(test_waits_for_what_was_asked),
		TEST(test_regrets),
		TEST(test_resting_is_idle_sooner),
		TEST(test_a_smaller_budget),
		TEST(test_raises_to_the_floor),
		TEST(test_settles),
		TEST(test_rules_hold_whatever_the_table_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
