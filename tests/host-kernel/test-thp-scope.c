// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where a policy of family thp is in force: below its cgroup, until a nearer one takes over, and for memory that was
 * there before it, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hooks.h"
#include "khugepaged.h"
#include "setting.h"
#include "tenant.h"

#define SEED		0x5c09e00000ULL
#define HUGE_MAX	(TENANT_PAGES / TENANT_HUGE_PAGES)
#define PASSES		4

static const char *const groups[] = { "slice", "slice/vm", "slice/late", "other" };
#define GROUPS		(sizeof(groups) / sizeof(*groups))

static struct tenant *tenant[2];
static struct hook policy[2];

static int setup(void **state)
{
	cgroups_remove(groups, GROUPS);
	if (khugepaged_run() || cgroup_make("slice") || cgroup_write("slice", "cgroup.subtree_control", "+memory"))
		return -1;
	return cgroup_make("slice/vm") || cgroup_make("other") ? -1 : 0;
}

static int teardown(void **state)
{
	tenants_stop(tenant, 2);
	for (int i = 0; i < 2; i++)
		hook_drop(&policy[i]);
	cgroups_remove(groups, GROUPS);
	return settings_restore();
}

static void attach(int i, const char *name, const char *group)
{
	assert_int_equal(hook(name, cgroup_id(group), 0, &policy[i]), 0);
}

static void start(int i, const char *group)
{
	assert_int_equal(tenant_start_huge(group, &tenant[i]), 0);
}

/* How many huge pages a tenant gets for memory that is new to it. */
static uint64_t faults(int i)
{
	assert_int_equal(tenant_renew(tenant[i]), 0);
	assert_int_equal(tenant_fill(tenant[i], 0, TENANT_PAGES, SEED), 0);
	return tenant_huge(tenant[i]);
}

static void test_stock_without_a_policy(void **state)
{
	start(0, "slice/vm");
	assert_true(faults(0) > 0);
}

static void test_holds_below_and_nowhere_else(void **state)
{
	attach(0, "thp-never", "slice");
	start(0, "slice/vm");
	start(1, "other");
	assert_int_equal(faults(0), 0);
	assert_true(faults(1) > 0);
	tenant_stop(tenant[1]);
	/* cgroups that are made later as well */
	assert_int_equal(cgroup_make("slice/late"), 0);
	start(1, "slice/late");
	assert_int_equal(faults(1), 0);
}

static void test_the_nearest_holds(void **state)
{
	attach(0, "thp-never", "slice");
	start(0, "slice/vm");
	assert_int_equal(faults(0), 0);
	attach(1, "thp-always", "slice/vm");
	assert_true(faults(0) > 0);
	hook_drop(&policy[1]);
	assert_int_equal(faults(0), 0);
	hook_drop(&policy[0]);
	assert_true(faults(0) > 0);
}

static void test_follows_a_process(void **state)
{
	attach(0, "thp-never", "slice");
	start(0, "other");
	assert_true(faults(0) > 0);
	assert_int_equal(tenant_move(tenant[0], "slice/vm"), 0);
	assert_int_equal(faults(0), 0);
	assert_int_equal(tenant_move(tenant[0], "other"), 0);
	assert_true(faults(0) > 0);
}

/* khugepaged has to know of a process that could have no huge page for as long as it was there. */
static void test_never_then_always(void **state)
{
	attach(0, "thp-never", "slice");
	start(0, "slice/vm");
	/* which khugepaged would know, so that there are passes */
	start(1, "other");
	assert_int_equal(faults(0), 0);
	assert_int_equal(khugepaged_passes(PASSES), 0);
	assert_int_equal(tenant_huge(tenant[0]), 0);
	assert_int_equal(hook_load("thp-always", cgroup_id("slice"), 0, false, &policy[1]), 0);
	assert_int_equal(hook_replace(&policy[0], &policy[1]), 0);
	assert_int_equal(khugepaged_makes(tenant[0], HUGE_MAX), 0);
	assert_int_equal(tenant_check(tenant[0], 0, TENANT_PAGES, SEED), 0);
}

static void test_never_then_none(void **state)
{
	attach(0, "thp-never", "slice/vm");
	start(0, "slice/vm");
	assert_int_equal(faults(0), 0);
	hook_drop(&policy[0]);
	assert_int_equal(khugepaged_makes(tenant[0], HUGE_MAX), 0);
	assert_int_equal(tenant_check(tenant[0], 0, TENANT_PAGES, SEED), 0);
}

/* What is huge already stays so. */
static void test_takes_nothing_apart(void **state)
{
	uint64_t huge;

	start(0, "slice/vm");
	huge = faults(0);
	assert_true(huge > 0);
	attach(0, "thp-never", "slice");
	assert_int_equal(khugepaged_passes(PASSES), 0);
	assert_int_equal(tenant_huge(tenant[0]), huge);
}

static void test_a_minimal_policy_changes_nothing(void **state)
{
	attach(0, "thp-minimal", "slice/vm");
	start(0, "slice/vm");
	assert_true(faults(0) > 0);
	assert_int_equal(khugepaged_makes(tenant[0], HUGE_MAX), 0);
	assert_int_equal(hook_count("thp", cgroup_id("slice/vm"), "narrowed"), 0);
	assert_int_equal(hook_count("thp", cgroup_id("slice/vm"), "clamped"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stock_without_a_policy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_holds_below_and_nowhere_else, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_nearest_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_follows_a_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_then_always, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_then_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_takes_nothing_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_minimal_policy_changes_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
