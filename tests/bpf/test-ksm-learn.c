// SPDX-License-Identifier: GPL-2.0-or-later
/* What ksm-tenant learns: in which rounds it looks at a range, given what looks find, and when rounds are due. */
#include <linux/types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ksm-learn.h"

#define PATIENCE	3
#define PAGES		512
#define SEC		1000000000ULL

/* Come by @range in round @number. */
static bool look(struct learn_range *range, uint64_t number, uint32_t patience)
{
	struct learn_round round = { .number = number };

	return learn_come_by(&round, range, patience);
}

static void test_looks_where_nothing_merges(void **state)
{
	static const uint64_t expected[] = { 1, 2, 4, 8, 16, 24, 32, 40 };
	struct learn_range range = {};
	size_t nr = 0;

	for (uint64_t number = 1; number <= 40; number++) {
		if (!look(&range, number, 3))
			continue;
		assert_true(nr < sizeof(expected) / sizeof(expected[0]));
		assert_int_equal(number, expected[nr++]);
	}
	assert_int_equal(nr, sizeof(expected) / sizeof(expected[0]));
}

/* A range in two parts, as where two mappings meet: both are looked at, and judged once. */
static void test_parts_of_a_range_are_one(void **state)
{
	struct learn_round round = { .number = 1 };
	struct learn_range range = {};

	assert_true(learn_come_by(&round, &range, PATIENCE));
	assert_true(learn_come_by(&round, &range, PATIENCE));
	assert_int_equal(round.seen, 1);
	assert_int_equal(range.looks, 1);
}

/* A guest's 2 MiB, all of it written at once every @period rounds, and equal to other memory in between. */
struct churn {
	struct learn_range range;
	uint64_t written;	/* round of the last write */
	uint64_t looked;
	bool merged;
	uint64_t breaks;
	uint64_t looks;
};

static void churn_look(struct churn *churn, uint64_t number)
{
	bool changed = churn->written > churn->looked;

	churn->looked = number;
	churn->looks++;
	if (churn->merged && changed) {
		churn->merged = false;
		churn->breaks++;
		churn->range.held = 0;
		churn->range.broken = PAGES;
	} else if (!churn->merged && !changed && churn->looks > 1) {
		churn->merged = true;
		churn->range.held = PAGES;
		churn->range.made = PAGES;
	}
}

/* How it fares over @rounds; in each of them is looked at it when @always. */
static struct churn churn_play(uint64_t rounds, uint64_t period, bool always)
{
	struct churn churn = {};

	for (uint64_t number = 1; number <= rounds; number++) {
		if (number % period == 0)
			churn.written = number;
		if (always || look(&churn.range, number, PATIENCE))
			churn_look(&churn, number);
	}
	return churn;
}

/* What rests for much longer than 2^PATIENCE rounds is worth being merged, and is not in here. */
static void test_breaks_less_than_half(void **state)
{
	static const uint64_t periods[] = { 3, 5, 8, 13, 18 };

	for (size_t i = 0; i < sizeof(periods) / sizeof(periods[0]); i++) {
		struct churn stock = churn_play(4000, periods[i], true), learnt = churn_play(4000, periods[i], false);

		print_message("written every %u rounds: %u breaks of %u, %u looks\n", (unsigned int)periods[i],
			      (unsigned int)learnt.breaks, (unsigned int)stock.breaks, (unsigned int)learnt.looks);
		assert_true(stock.breaks > 0);
		assert_true(2 * learnt.breaks < stock.breaks);
		assert_true(5 * learnt.looks < stock.looks);
	}
}

/* What is never written is merged as soon as it can be, and left alone then. */
static void test_merges_what_lasts(void **state)
{
	struct churn churn = churn_play(3, 1000000, false);

	assert_true(churn.merged);
	churn = churn_play(80, 1000000, false);
	assert_true(churn.merged);
	assert_true(churn.looks < 20);
}

/* A range that never merged is looked at soon enough when it begins to, and more often for as long as it does. */
static void test_is_looked_at_again(void **state)
{
	struct learn_range range = {};
	uint64_t number, first = 0;

	for (number = 1; number < 100; number++)
		look(&range, number, PATIENCE);
	assert_int_equal(range.exponent, PATIENCE);
	for (; number < 200 && range.held < PAGES; number++) {
		if (!look(&range, number, PATIENCE))
			continue;
		first = first ? first : number;
		range.held += 128;
		range.made += 128;
	}
	assert_true(first - 100 < 1 << PATIENCE);
	assert_true(number - first < 16);
}

/* A page that breaks now and then among many that last does not count against them. */
static void test_wear_is_no_break(void **state)
{
	struct learn_range range = { .held = 500, .broken = 3, .looks = LEARN_LOOKS };

	learn_judge(&range, PATIENCE);
	assert_int_equal(range.exponent, 1);
	assert_int_equal(range.burnt, 0);
	range.held = 300;
	range.broken = 200;
	learn_judge(&range, PATIENCE);
	assert_int_equal(range.exponent, PATIENCE);
	assert_int_equal(range.burnt, LEARN_BURNT);
	range.broken = 200;
	learn_judge(&range, PATIENCE);
	assert_int_equal(range.exponent, PATIENCE + 2);
}

/* An exponent that has just grown counts from the last look on, even where the next multiple is near. */
static void test_is_left_alone_after_a_break(void **state)
{
	struct learn_range range = { .looked = 6, .looks = LEARN_LOOKS, .broken = PAGES };
	uint64_t number = 7;

	while (!look(&range, number, 3))
		number++;
	assert_int_equal(number, 16);
}

/* However far apart their looks are, ranges meet: equal pages have to be scanned in the same pass. */
static void test_ranges_meet(void **state)
{
	struct learn_range often = { .looks = LEARN_LOOKS, .judged = true, .exponent = 2 };
	struct learn_range seldom = { .looks = LEARN_LOOKS, .judged = true, .exponent = 5 };
	unsigned int together = 0;

	for (uint64_t number = 1; number <= 128; number++) {
		bool due = learn_is_due(&often, number);

		if (learn_is_due(&seldom, number)) {
			assert_true(due);
			together++;
			learn_look(&seldom, number);
		}
		if (due)
			learn_look(&often, number);
	}
	assert_int_equal(together, 4);
}

static struct learn_round calm_round(void)
{
	return (struct learn_round) { .number = 5, .started_ns = 100 * SEC, .seen = 1000, .cpu_ns = SEC };
}

static void test_rests_by_what_it_took(void **state)
{
	struct learn_round round = calm_round();

	assert_int_equal(learn_next(&round, 10 * SEC, 4), 125 * SEC);
	assert_int_equal(round.number, 6);
	assert_int_equal(round.seen, 0);
	round = calm_round();
	assert_int_equal(learn_next(&round, 10 * SEC, 20), 110 * SEC);
}

static void test_goes_on_while_there_is_more(void **state)
{
	struct learn_round round = calm_round();

	round.fresh = 100;
	assert_int_equal(learn_next(&round, 10 * SEC, 4), 110 * SEC);
	round = calm_round();
	round.made = 1001;
	assert_int_equal(learn_next(&round, 10 * SEC, 4), 110 * SEC);
	/* merges that break as fast are no reason */
	round = calm_round();
	round.made = 1001;
	round.broken = 600;
	assert_int_equal(learn_next(&round, 10 * SEC, 4), 125 * SEC);
	/* nor is a tenant without memory to merge */
	round = calm_round();
	round.seen = 0;
	assert_int_equal(learn_next(&round, 10 * SEC, 4), 125 * SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_looks_where_nothing_merges),
		cmocka_unit_test(test_parts_of_a_range_are_one),
		cmocka_unit_test(test_breaks_less_than_half),
		cmocka_unit_test(test_merges_what_lasts),
		cmocka_unit_test(test_is_looked_at_again),
		cmocka_unit_test(test_wear_is_no_break),
		cmocka_unit_test(test_is_left_alone_after_a_break),
		cmocka_unit_test(test_ranges_meet),
		cmocka_unit_test(test_rests_by_what_it_took),
		cmocka_unit_test(test_goes_on_while_there_is_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
