// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Each operation of family thp: when it is asked, with what, and what its answer does.  What memory is made of is told
 * from smaps, and for folios of 64 KiB from what sysfs counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "hooks.h"
#include "khugepaged.h"
#include "setting.h"
#include "tenant.h"
#include "thp-steered.h"

#ifndef MADV_COLD
#define MADV_COLD	20
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define SEED		0x7470000000ULL
#define HUGE		TENANT_HUGE_PAGES
#define HUGE_MAX	(TENANT_PAGES / HUGE)
#define PMD_ORDER	9
#define ORDER_64K	4
#define PAGES_64K	(1 << ORDER_64K)
#define GROUP		"huge"
/* Pages on their way to a list are no candidates, and khugepaged waits for these every second pass. */
#define SCAN_PASSES	4

static struct tenant *tenant[2];
static struct hook policy;
static struct thp_steering *steering;

static int setup(void **state)
{
	cgroup_remove(GROUP);
	if (cgroup_make(GROUP) || khugepaged_run() || tenant_start_huge(GROUP, &tenant[0]))
		return -1;
	/* khugepaged gets to know it, and so has passes that can be waited for */
	if (tenant_fill(tenant[0], 0, 1, SEED) || tenant_renew(tenant[0]) ||
	    hook("thp-steered", cgroup_id(GROUP), 0, &policy))
		return -1;
	steering = hook_data(&policy);
	steering->base = tenant_address(tenant[0]);
	return 0;
}

static int teardown(void **state)
{
	int r = steering->senseless ? -1 : 0;

	tenants_stop(tenant, 2);
	hook_drop(&policy);
	return settings_restore() ? -1 : r;
}

static uint64_t count(const char *key)
{
	return hook_count("thp", cgroup_id(GROUP), key);
}

static void passes(unsigned int n)
{
	assert_int_equal(khugepaged_passes(n), 0);
}

static void fill(unsigned int first, unsigned int pages)
{
	assert_int_equal(tenant_fill(tenant[0], first, pages, SEED), 0);
}

/* Has khugepaged leave the tenant alone, in the visit that may be under way as well. */
static void hold_khugepaged(void)
{
	steering->visit = 0;
	passes(1);
}

/* Single pages only, and khugepaged leaves them alone until it is told not to. */
static void fill_with_single_pages(unsigned int first, unsigned int pages)
{
	steering->fault_orders = 0;
	hold_khugepaged();
	fill(first, pages);
	assert_int_equal(tenant_huge(tenant[0]), 0);
}

static void assert_whole(void)
{
	assert_int_equal(tenant_check(tenant[0], 0, TENANT_PAGES, SEED), 0);
}

static void test_faults_are_asked(void **state)
{
	uint64_t huge;

	fill(0, TENANT_PAGES);
	huge = tenant_huge(tenant[0]);
	assert_in_range(huge, 1, HUGE_MAX);
	assert_true(steering->faults_asked >= huge);
	assert_true(steering->advised >= huge);
	assert_true(steering->offered & 1 << PMD_ORDER);
	assert_true(count("asked") >= steering->faults_asked);
	assert_true(count("made") >= huge * HUGE);
	assert_int_equal(count("narrowed"), 0);
	assert_int_equal(count("clamped"), 0);
}

static void test_denied_faults_get_single_pages(void **state)
{
	hold_khugepaged();
	steering->fault_orders = ~(1ULL << PMD_ORDER);
	fill(0, TENANT_PAGES);
	assert_int_equal(tenant_huge(tenant[0]), 0);
	assert_true(steering->faults_asked > 0);
	assert_true(count("narrowed") > 0);
	assert_int_equal(count("made"), 0);
	assert_whole();
	/* as soon as it may */
	steering->fault_orders = ~0ULL;
	assert_int_equal(tenant_renew(tenant[0]), 0);
	fill(0, TENANT_PAGES);
	assert_true(tenant_huge(tenant[0]) > 0);
}

static void test_smaller_folios_only(void **state)
{
	uint64_t before;

	assert_int_equal(folios_64k_set("madvise"), 0);
	hold_khugepaged();
	steering->fault_orders = 1 << ORDER_64K;
	before = folios_64k_made();
	fill(0, TENANT_PAGES);
	assert_int_equal(tenant_huge(tenant[0]), 0);
	assert_true(steering->offered & 1 << ORDER_64K);
	assert_in_range(folios_64k_made() - before, TENANT_PAGES / PAGES_64K / 2, TENANT_PAGES / PAGES_64K);
	assert_whole();
	/* and not even these */
	steering->fault_orders = 0;
	assert_int_equal(tenant_renew(tenant[0]), 0);
	before = folios_64k_made();
	fill(0, TENANT_PAGES);
	assert_int_equal(folios_64k_made(), before);
	assert_int_equal(tenant_huge(tenant[0]), 0);
}

/* What sysfs does not allow, a policy does not allow either. */
static void test_only_narrows(void **state)
{
	uint64_t before = folios_64k_made();

	steering->fault_orders = 1 << ORDER_64K;
	hold_khugepaged();
	fill(0, TENANT_PAGES);
	assert_int_equal(folios_64k_made(), before);
	assert_false(steering->offered & 1 << ORDER_64K);
}

static void test_looking_is_not_asking(void **state)
{
	uint64_t asked;

	fill_with_single_pages(0, TENANT_PAGES);
	asked = count("asked");
	for (int i = 0; i < 10; i++)
		assert_int_equal(tenant_smaps(tenant[0], "THPeligible"), 1);
	assert_int_equal(count("asked"), asked);
}

static void test_collapsing_by_name_is_not_narrowed(void **state)
{
	fill_with_single_pages(0, TENANT_PAGES);
	steering->khugepaged_orders = 0;
	steering->collapse = 0;
	assert_int_equal(tenant_advise(tenant[0], 0, TENANT_PAGES, MADV_COLLAPSE), 0);
	assert_int_equal(tenant_huge(tenant[0]), HUGE_MAX);
	assert_int_equal(steering->candidates, 0);
	assert_whole();
}

static void test_khugepaged_makes_huge_pages(void **state)
{
	fill_with_single_pages(0, TENANT_PAGES);
	steering->visit = -1;
	assert_int_equal(khugepaged_makes(tenant[0], HUGE_MAX), 0);
	assert_whole();
	assert_true(steering->khugepaged_asked > 0);
	assert_true(steering->anon_pages >= TENANT_PAGES);
	assert_int_equal(steering->candidates_at, (1 << HUGE_MAX) - 1);
	assert_true(count("candidates") >= HUGE_MAX);
	assert_true(count("made") >= TENANT_PAGES);
	assert_int_equal(count("vetoed"), 0);
}

static void test_khugepaged_is_narrowed(void **state)
{
	fill_with_single_pages(0, TENANT_PAGES);
	steering->khugepaged_orders = 0;
	steering->visit = -1;
	passes(SCAN_PASSES);
	assert_true(steering->khugepaged_asked > 0);
	assert_int_equal(steering->candidates, 0);
	assert_int_equal(tenant_huge(tenant[0]), 0);
	steering->khugepaged_orders = ~0ULL;
	assert_int_equal(khugepaged_makes(tenant[0], HUGE_MAX), 0);
}

static void test_a_visit_of_no_page_leaves_an_mm_alone(void **state)
{
	unsigned long long visits, pass;

	fill_with_single_pages(0, TENANT_PAGES);
	pass = steering->pass;
	visits = steering->visits;
	passes(SCAN_PASSES);
	/* once a pass; one may have begun between two lines here */
	visits = steering->visits - visits;
	assert_in_range(visits, SCAN_PASSES, steering->pass - pass + 1);
	assert_int_equal(steering->candidates, 0);
	assert_int_equal(tenant_huge(tenant[0]), 0);
}

static void test_a_short_visit_goes_on_where_it_was(void **state)
{
	fill_with_single_pages(0, TENANT_PAGES);
	steering->collapse = 0;
	/* rounded up to one huge page */
	steering->visit = 1;
	for (unsigned int i = 0; i < 100 && steering->candidates_at != (1 << HUGE_MAX) - 1; i++)
		passes(1);
	assert_int_equal(steering->candidates_at, (1 << HUGE_MAX) - 1);
	assert_int_equal(steering->in_visit_max, 1);
	steering->collapse = 1;
	assert_int_equal(khugepaged_makes(tenant[0], HUGE_MAX), 0);
	assert_int_equal(steering->in_visit_max, 1);
	assert_whole();
}

static void test_a_visit_without_limit_sees_all(void **state)
{
	fill_with_single_pages(0, TENANT_PAGES);
	steering->collapse = 0;
	steering->visit = -1;
	passes(SCAN_PASSES);
	assert_int_equal(steering->candidates_at, (1 << HUGE_MAX) - 1);
	assert_int_equal(steering->in_visit_max, HUGE_MAX);
}

static void test_a_veto_holds(void **state)
{
	fill_with_single_pages(0, TENANT_PAGES);
	steering->collapse = 0;
	steering->visit = -1;
	passes(SCAN_PASSES);
	assert_int_equal(tenant_huge(tenant[0]), 0);
	hold_khugepaged();
	assert_true(steering->candidates >= HUGE_MAX);
	assert_int_equal(count("candidates"), steering->candidates);
	assert_int_equal(count("vetoed"), steering->candidates);
	assert_int_equal(count("made"), 0);
	steering->collapse = 1;
	steering->visit = -1;
	assert_int_equal(khugepaged_makes(tenant[0], HUGE_MAX), 0);
}

static void test_a_candidate_is_described(void **state)
{
	fill_with_single_pages(HUGE, 100);
	steering->collapse = 0;
	steering->visit = -1;
	passes(SCAN_PASSES);
	assert_int_equal(steering->candidates_at, 1 << 1);
	assert_int_equal(steering->present, 100);
	assert_int_equal(steering->young, 100);
	assert_int_equal(steering->shared, 0);
	assert_int_equal(steering->swapped, 0);
}

/*
 * What fork() leaves: the child has all pages in common with its parent but those that it writes to, and has used
 * these and those that it reads.  The parent may write to none, so it is no candidate.
 */
static void test_shared_pages_are_told(void **state)
{
	fill_with_single_pages(HUGE, 100);
	steering->collapse = 0;
	assert_int_equal(tenant_fork(tenant[0], &tenant[1]), 0);
	assert_int_equal(tenant_fill(tenant[1], HUGE, 10, SEED), 0);
	assert_int_equal(tenant_check(tenant[1], HUGE + 10, 5, SEED), 0);
	steering->visit = -1;
	passes(SCAN_PASSES);
	assert_int_equal(steering->candidates_at, 1 << 1);
	assert_int_equal(steering->present, 100);
	assert_int_equal(steering->shared, 90);
	/* and a few that the processor has looked at ahead of time */
	assert_in_range(steering->young, 15, 31);
	/* and is whole once it is huge, on either side */
	steering->collapse = 1;
	assert_int_equal(khugepaged_makes(tenant[1], 1), 0);
	assert_int_equal(tenant_check(tenant[1], HUGE, 100, SEED), 0);
	assert_int_equal(tenant_check(tenant[0], HUGE, 100, SEED), 0);
}

static void test_split_pages_are_counted(void **state)
{
	uint64_t huge;

	hold_khugepaged();
	fill(0, TENANT_PAGES);
	huge = tenant_huge(tenant[0]);
	assert_in_range(huge, 1, HUGE_MAX);
	assert_int_equal(count("split"), 0);
	/* a part of a huge page is cold, so it is taken apart */
	for (unsigned int i = 0; i < HUGE_MAX; i++)
		assert_int_equal(tenant_advise(tenant[0], i * HUGE, 1, MADV_COLD), 0);
	assert_int_equal(tenant_huge(tenant[0]), 0);
	assert_int_equal(count("split"), huge * HUGE);
	assert_whole();
}

static void test_sees_a_snapshot(void **state)
{
	fill(0, TENANT_PAGES);
	while (steering->window < 2)
		passes(1);
	assert_true(steering->usage_pages >= TENANT_PAGES);
}

/* Clamped, they are what the kernel does by itself. */
static void test_bad_returns_are_clamped(void **state)
{
	struct hook bad;
	uint64_t clamped;

	fill_with_single_pages(0, TENANT_PAGES);
	assert_int_equal(hook_load("thp-bad-returns", cgroup_id(GROUP), 0, false, &bad), 0);
	assert_int_equal(hook_replace(&policy, &bad), 0);
	hook_drop(&policy);
	policy = bad;
	assert_int_equal(khugepaged_makes(tenant[0], HUGE_MAX), 0);
	clamped = count("clamped");
	/* of orders, visit and collapse */
	assert_true(clamped >= 3);
	assert_int_equal(tenant_renew(tenant[0]), 0);
	fill(0, TENANT_PAGES);
	assert_true(tenant_huge(tenant[0]) > 0);
	assert_true(count("clamped") > clamped);
	assert_int_equal(count("narrowed"), 0);
	assert_int_equal(count("vetoed"), 0);
}

/* Whatever is answered, memory has what was written to it. */
static void test_lives_with_answers_by_chance(void **state)
{
	hook_drop(&policy);
	assert_int_equal(folios_64k_set("madvise"), 0);
	assert_int_equal(hook("thp-maximal", cgroup_id(GROUP), 0, &policy), 0);
	for (unsigned int round = 0; round < 10; round++) {
		fill(0, TENANT_PAGES);
		passes(1);
		assert_whole();
		assert_int_equal(tenant_fork(tenant[0], &tenant[1]), 0);
		assert_int_equal(tenant_fill(tenant[1], 0, TENANT_PAGES, 2 * SEED), 0);
		passes(1);
		assert_whole();
		assert_int_equal(tenant_check(tenant[1], 0, TENANT_PAGES, 2 * SEED), 0);
		tenant_stop(tenant[1]);
		tenant[1] = NULL;
		assert_int_equal(tenant_renew(tenant[0]), 0);
	}
	assert_true(count("asked") > 0);
	assert_true(count("clamped") > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_faults_are_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_denied_faults_get_single_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_smaller_folios_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_narrows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_looking_is_not_asking, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collapsing_by_name_is_not_narrowed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_khugepaged_makes_huge_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_khugepaged_is_narrowed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_visit_of_no_page_leaves_an_mm_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_short_visit_goes_on_where_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_visit_without_limit_sees_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_veto_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_candidate_is_described, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared_pages_are_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_split_pages_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sees_a_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_returns_are_clamped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lives_with_answers_by_chance, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
