// SPDX-License-Identifier: GPL-2.0-or-later
/* What thp-pressure decides: when a scope stalls and when it no longer does, and which folios it gets meanwhile. */
#include <linux/types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "thp-stall.h"

#define SEC	1000000000ULL
#define PMD	9

static const struct stall_limits limits = { .enter_permille = 50, .leave_permille = 10, .calm_windows = 3 };

/* A window of 4 s in which tasks waited for @permille of it. */
static uint64_t see(uint64_t state, uint64_t number, uint64_t permille)
{
	struct stall_window window = { number, 4 * SEC, 4 * SEC / 1000 * permille };

	return stall_next(state, &window, &limits);
}

/* The same for windows @first and on; -1 ends them. */
static uint64_t see_all(uint64_t state, uint64_t first, const int *permille)
{
	while (*permille >= 0)
		state = see(state, first++, *permille++);
	return state;
}

static void test_nothing_is_known_at_first(void **state)
{
	assert_false(stall_is_on(0));
	/* a snapshot without a window yet: its number and all else are zero */
	assert_false(stall_is_new(0, 0));
	assert_int_equal(see(0, 0, 1000), 0);
	assert_true(stall_is_new(0, 1));
}

static void test_begins_at_once(void **state)
{
	assert_false(stall_is_on(see(0, 1, 49)));
	assert_true(stall_is_on(see(0, 1, 50)));
	assert_true(stall_is_on(see(0, 1, 1000)));
	/* however many calm windows there were */
	assert_true(stall_is_on(see(see_all(0, 1, (const int []){ 0, 0, 0, 0, 0, 0, -1 }), 7, 50)));
}

static void test_ends_after_calm_windows_in_a_row(void **state)
{
	uint64_t stalled = see(0, 1, 200);

	assert_true(stall_is_on(see_all(stalled, 2, (const int []){ 0, 10, -1 })));
	assert_false(stall_is_on(see_all(stalled, 2, (const int []){ 0, 10, 0, -1 })));
	/* what is between the two limits is not calm, and begins the row anew */
	assert_true(stall_is_on(see_all(stalled, 2, (const int []){ 0, 0, 11, 0, 0, -1 })));
	assert_false(stall_is_on(see_all(stalled, 2, (const int []){ 0, 0, 11, 0, 0, 0, -1 })));
	assert_true(stall_is_on(see_all(stalled, 2, (const int []){ 0, 0, 50, 0, 0, -1 })));
}

/* Between the limits all stays as it was, on either side. */
static void test_keeps_what_is_between(void **state)
{
	static const int between[] = { 30, 49, 11, 30, 49, 11, 30, -1 };

	assert_false(stall_is_on(see_all(0, 1, between)));
	assert_true(stall_is_on(see_all(see(0, 1, 50), 2, between)));
}

/* Load that goes up and down around a limit, every window, changes nothing but the first time. */
static void test_does_not_flap(void **state)
{
	uint64_t state_now = 0;
	unsigned int changes = 0;

	for (uint64_t number = 1; number < 1000; number++) {
		uint64_t next = see(state_now, number, number % 2 ? 60 : 0);

		changes += stall_is_on(next) != stall_is_on(state_now);
		state_now = next;
	}
	assert_int_equal(changes, 1);
}

/* Two CPUs at once: the same window twice is one, and one that is late changes nothing. */
static void test_a_window_counts_once(void **state)
{
	uint64_t stalled = see(0, 5, 200), calm = see(stalled, 6, 0);

	assert_int_equal(see(calm, 6, 0), calm);
	assert_int_equal(see(calm, 6, 1000), calm);
	assert_int_equal(see(calm, 5, 1000), calm);
	assert_int_equal(stall_calm(calm), 1);
	assert_int_equal(see(stalled, 6, 0), calm);
}

/* Windows that nobody saw do not count. */
static void test_skips_what_nobody_saw(void **state)
{
	uint64_t stalled = see(0, 1, 200);

	assert_true(stall_is_on(see(see(stalled, 100, 0), 5000, 0)));
	assert_false(stall_is_on(see(see(see(stalled, 100, 0), 5000, 0), 5001, 0)));
}

static void test_large_numbers(void **state)
{
	uint64_t year = 365ULL * 24 * 3600, number = 1000 * year / 4, night = year * SEC / 365 / 2, now;

	now = see(0, number, 60);
	assert_true(stall_is_on(now));
	for (uint64_t i = 1; i < 40000; i++)
		now = see(now, number + i, 0);
	assert_false(stall_is_on(now));
	assert_int_equal(stall_calm(now), STALL_CALM_MAX);
	assert_false(stall_is_new(now, number + 39999));
	assert_true(stall_is_new(now, number + 40000));
	/* a host that slept for a night, and a window without a length */
	assert_int_equal(stall_permille(&(struct stall_window){ 1, night, night }), 1000);
	assert_int_equal(stall_permille(&(struct stall_window){ 1, 0, 5 }), 0);
}

static void test_orders_up_to_the_largest(void **state)
{
	uint64_t all = (1 << (PMD + 1)) - 1 - (1 << 0) - (1 << 1);

	assert_int_equal(stall_orders(all, 0), 0);
	assert_int_equal(stall_orders(all, 2), 1 << 2);
	assert_int_equal(stall_orders(all, 4), 1 << 2 | 1 << 3 | 1 << 4);
	assert_int_equal(stall_orders(1 << PMD, 8), 0);
	/* never one that was not offered */
	assert_int_equal(stall_orders(1 << 3, 8), 1 << 3);
}

static void test_fills_in_only_so_much(void **state)
{
	assert_true(stall_collapse(512, 0));
	assert_false(stall_collapse(511, 0));
	assert_true(stall_collapse(448, 64));
	assert_false(stall_collapse(447, 64));
	assert_true(stall_collapse(0, 512));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_known_at_first),
		cmocka_unit_test(test_begins_at_once),
		cmocka_unit_test(test_ends_after_calm_windows_in_a_row),
		cmocka_unit_test(test_keeps_what_is_between),
		cmocka_unit_test(test_does_not_flap),
		cmocka_unit_test(test_a_window_counts_once),
		cmocka_unit_test(test_skips_what_nobody_saw),
		cmocka_unit_test(test_large_numbers),
		cmocka_unit_test(test_orders_up_to_the_largest),
		cmocka_unit_test(test_fills_in_only_so_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
