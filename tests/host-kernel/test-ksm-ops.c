// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Each operation of family ksm: when it is asked, with what, and what its answer does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hooks.h"
#include "ksm-steered.h"
#include "ksmd.h"
#include "tenant.h"

#define SAME		1024
#define SEED		0x0b5000000000ULL
#define MERGE_PASSES	3
#define DOMAIN		7

static struct tenant *tenant[2];
static struct hook policy;
static struct ksm_steering *steering;

static int setup(void **state)
{
	cgroup_remove("ops");
	if (cgroup_make("ops") || ksmd_run(false) || hook("ksm-steered", cgroup_id("ops"), DOMAIN, &policy))
		return -1;
	steering = hook_data(&policy);
	for (int i = 0; i < 2; i++) {
		if (tenant_start("ops", &tenant[i]) || tenant_fill(tenant[i], 0, SAME, SEED))
			return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	tenants_stop(tenant, 2);
	hook_drop(&policy);
	return ksmd_settle();
}

static void passes(unsigned int n)
{
	assert_int_equal(ksmd_passes(n), 0);
}

static int shared(void)
{
	return tenants_share(tenant[0], tenant[1]);
}

static void test_is_asked_about_everything(void **state)
{
	/* which is what counts a page's age, and skips none that is so young */
	assert_int_equal(ksmd_set("smart_scan", 1), 0);
	passes(MERGE_PASSES);
	assert_in_range(shared(), SAME - SAME / 16, SAME);
	assert_true(steering->visits >= 2 * MERGE_PASSES);
	assert_true(steering->ranges >= 2 * MERGE_PASSES);
	assert_in_range(steering->merged, 2 * (SAME - SAME / 16), 2 * SAME);
	/* each page was unchanged once when it was merged */
	assert_true(steering->candidates >= SAME);
	assert_true(steering->unchanged_max >= 1);
	/* and was scanned for the second time then */
	assert_true(steering->age_max >= 2);
	/* not the root's policy */
	assert_int_equal(steering->paces, 0);
}

static void test_a_skipped_mm_keeps_what_is_merged(void **state)
{
	unsigned long long candidates;

	passes(MERGE_PASSES);
	steering->visit = 0;
	passes(1);
	candidates = steering->candidates;
	assert_int_equal(tenant_fill(tenant[0], SAME, SAME, SEED), 0);
	assert_int_equal(tenant_fill(tenant[1], SAME, SAME, SEED), 0);
	passes(2 * MERGE_PASSES);
	assert_in_range(shared(), SAME - SAME / 16, SAME);
	assert_int_equal(steering->candidates, candidates);
	steering->visit = -1;
	passes(MERGE_PASSES);
	assert_in_range(shared(), 2 * (SAME - SAME / 16), 2 * SAME);
}

/* Twins lie within what one visit scans: in two mms they need not be scanned in the same pass. */
static void test_a_short_visit_goes_on_where_it_was(void **state)
{
	unsigned int part = SAME / 8, half = part / 2;
	unsigned long long merged;

	/* the first visit has no limit: pages of another domain have to be found */
	passes(MERGE_PASSES);
	steering->visit = part;
	passes(1);
	for (unsigned int first = 0; first < SAME; first += part) {
		assert_int_equal(tenant_fill(tenant[0], first, half, 2 * SEED), 0);
		assert_int_equal(tenant_fill(tenant[0], first + half, half, 2 * SEED - half), 0);
	}
	merged = steering->merged;
	passes(3 * 8 * MERGE_PASSES);
	assert_in_range(steering->merged - merged, SAME - SAME / 16, SAME);
}

static void test_a_skipped_range_is_left_alone(void **state)
{
	steering->skip_to = ~0ULL;
	passes(2 * MERGE_PASSES);
	/* the first visit, which unshares, does not ask: what it put into the tree is not merged by it alone */
	assert_int_equal(shared(), 0);
	steering->skip_to = 0;
	passes(MERGE_PASSES);
	assert_in_range(shared(), SAME - SAME / 16, SAME);
	steering->skip_to = ~0ULL;
	passes(MERGE_PASSES);
	assert_in_range(shared(), SAME - SAME / 16, SAME);
}

static void test_a_veto_holds(void **state)
{
	steering->merge = 0;
	passes(MERGE_PASSES);
	assert_int_equal(shared(), 0);
	assert_true(steering->candidates >= SAME);
	steering->merge = 1;
	passes(MERGE_PASSES);
	assert_in_range(shared(), SAME - SAME / 16, SAME);
}

static void test_broken_merges_are_told(void **state)
{
	passes(MERGE_PASSES);
	assert_int_equal(steering->broken, 0);
	assert_true(tenant_write_ns(tenant[0], 0, SAME / 2) > 0);
	passes(1);
	assert_in_range(steering->broken, SAME / 2 - SAME / 32, SAME / 2);
}

static void test_an_mm_that_exits_is_never_skipped(void **state)
{
	uint64_t before = ksmd_value("pages_sharing");

	passes(MERGE_PASSES);
	assert_true(ksmd_value("pages_sharing") > before);
	steering->visit = 0;
	passes(1);
	tenants_stop(tenant, 2);
	assert_int_equal(ksmd_settle(), 0);
	assert_int_equal(ksmd_domain(DOMAIN, "sharing"), 0);
	assert_int_equal(ksmd_domain(DOMAIN, "shared"), 0);
}

static void test_sees_a_snapshot(void **state)
{
	while (steering->window < 2)
		passes(1);
	assert_true(steering->usage_pages >= SAME);
}

/* The root's own policy sets ksmd's pace. */
static void test_root_sets_the_pace(void **state)
{
	struct hook root;
	struct ksm_steering *asked;

	assert_int_equal(hook("ksm-steered", 1, 1, &root), 0);
	asked = hook_data(&root);
	passes(1);
	assert_true(asked->paces > 0);
	hook_drop(&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_is_asked_about_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_skipped_mm_keeps_what_is_merged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_short_visit_goes_on_where_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_skipped_range_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_veto_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken_merges_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_mm_that_exits_is_never_skipped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sees_a_snapshot, setup, teardown),
		/* closes everything: last */
		cmocka_unit_test_setup_teardown(test_root_sets_the_pace, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
