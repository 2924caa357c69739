// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Merge domains: pages are shared inside a domain and never across, whatever comes and goes.  Told by page frame
 * numbers, not by counters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "hooks.h"
#include "kernel-file.h"
#include "ksmd.h"
#include "tenant.h"

#define SAME		512	/* pages that all tenants have */
#define SEED		0x5eed00000000ULL
/* A page is merged by the second pass that finds it unchanged; one more for what raced. */
#define MERGE_PASSES	3
#define RED		1
#define BLUE		2
#define TENANTS_MAX	4
#define HOOKS_MAX	2

static struct tenant *tenant[TENANTS_MAX];
static struct hook hooks[HOOKS_MAX];

static const char *const groups[] = { "red", "blue", "free" };

static int setup(void **state)
{
	for (unsigned int i = 0; i < 3; i++) {
		cgroup_remove(groups[i]);
		if (cgroup_make(groups[i]))
			return -1;
	}
	return ksmd_run(false);
}

/* Domains are sticky: cgroups are made anew for each test. */
static int teardown(void **state)
{
	tenants_stop(tenant, TENANTS_MAX);
	for (int i = 0; i < HOOKS_MAX; i++)
		hook_drop(&hooks[i]);
	return ksmd_settle();
}

static void start(int i, const char *group)
{
	assert_int_equal(tenant_start(group, &tenant[i]), 0);
	assert_int_equal(tenant_fill(tenant[i], 0, SAME, SEED), 0);
}

static void attach(int i, const char *group, uint64_t domain)
{
	assert_int_equal(hook("ksm-minimal", cgroup_id(group), domain, &hooks[i]), 0);
}

static void merge(void)
{
	assert_int_equal(ksmd_passes(MERGE_PASSES), 0);
}

static void assert_all_share(int a, int b)
{
	assert_in_range(tenants_share(tenant[a], tenant[b]), SAME - SAME / 16, SAME);
}

static void assert_none_share(int a, int b)
{
	assert_int_equal(tenants_share(tenant[a], tenant[b]), 0);
}

static void test_stock_without_a_policy(void **state)
{
	start(0, "red");
	start(1, "blue");
	merge();
	assert_all_share(0, 1);
}

static void start_two_and_two(void)
{
	attach(0, "red", RED);
	attach(1, "blue", BLUE);
	start(0, "red");
	start(1, "red");
	start(2, "blue");
	start(3, "blue");
}

static void assert_kept_apart(void)
{
	for (int red = 0; red < 2; red++) {
		for (int blue = 2; blue < 4; blue++)
			assert_none_share(red, blue);
	}
}

static void test_shares_inside_a_domain_only(void **state)
{
	start_two_and_two();
	merge();
	assert_all_share(0, 1);
	assert_all_share(2, 3);
	assert_kept_apart();
	assert_in_range(ksmd_domain(RED, "shared"), SAME - SAME / 16, SAME);
	assert_in_range(ksmd_domain(RED, "sharing"), SAME - SAME / 16, SAME);
	assert_in_range(ksmd_domain(BLUE, "sharing"), SAME - SAME / 16, SAME);
	for (int i = 0; i < 4; i++)
		assert_int_equal(tenant_check(tenant[i], 0, SAME, SEED), 0);
}

static void test_domain_zero_never_merges(void **state)
{
	attach(0, "red", 0);
	start(0, "red");
	start(1, "red");
	start(2, "free");
	start(3, "free");
	merge();
	assert_none_share(0, 1);
	assert_none_share(0, 2);
	assert_all_share(2, 3);
}

static void test_zero_page_is_not_shared(void **state)
{
	assert_int_equal(ksmd_run(true), 0);
	attach(0, "red", RED);
	start(0, "red");
	start(2, "free");
	start(3, "free");
	for (int i = 0; i < 4; i++) {
		if (tenant[i])
			assert_int_equal(tenant_fill(tenant[i], 0, SAME, 0), 0);
	}
	merge();
	assert_all_share(2, 3);
	assert_none_share(0, 2);
}

static void test_late_policy_unshares(void **state)
{
	assert_int_equal(ksmd_run(true), 0);
	for (int i = 0; i < 4; i++) {
		start(i, i < 2 ? "red" : "blue");
		assert_int_equal(tenant_fill(tenant[i], SAME, SAME, 0), 0);
	}
	merge();
	assert_in_range(tenants_share(tenant[0], tenant[2]), 2 * SAME - SAME / 8, 2 * SAME);
	attach(0, "red", RED);
	attach(1, "blue", BLUE);
	/* one pass that began after the change, no more */
	assert_int_equal(ksmd_passes(1), 0);
	assert_kept_apart();
	assert_in_range(ksmd_domain(RED, "unshared"), 4 * SAME - SAME / 4, 4 * SAME);
	assert_int_equal(ksmd_domain(RED, "waiting"), 0);
	merge();
	assert_all_share(0, 1);
	assert_kept_apart();
}

static void test_closed_after_detach(void **state)
{
	start_two_and_two();
	merge();
	hook_drop(&hooks[0]);
	assert_int_equal(ksmd_passes(1), 0);
	merge();
	assert_none_share(0, 1);
	assert_kept_apart();
	assert_all_share(2, 3);
	assert_int_equal(tenant_check(tenant[0], 0, SAME, SEED), 0);
}

static void test_closed_after_eject(void **state)
{
	start_two_and_two();
	merge();
	assert_int_equal(hooks_eject_all(), 0);
	for (int i = 0; i < HOOKS_MAX; i++)
		assert_int_equal(hook_wait_ejected(&hooks[i]), 0);
	assert_int_equal(ksmd_passes(1), 0);
	merge();
	for (int a = 0; a < 4; a++) {
		for (int b = 0; b < a; b++)
			assert_none_share(a, b);
	}
}

static void test_closed_follows_a_move(void **state)
{
	attach(0, "red", RED);
	start(0, "red");
	start(1, "red");
	start(2, "free");
	assert_int_equal(tenant_move(tenant[0], "free"), 0);
	merge();
	assert_none_share(0, 1);
	assert_none_share(0, 2);
	/* and back */
	assert_int_equal(tenant_move(tenant[0], "red"), 0);
	merge();
	assert_all_share(0, 1);
	assert_none_share(0, 2);
}

static void test_children_inherit(void **state)
{
	attach(0, "red", RED);
	start(0, "red");
	start(1, "free");
	merge();
	assert_int_equal(tenant_fork(tenant[0], &tenant[2]), 0);
	/* sharing by fork is not merging */
	assert_all_share(0, 2);
	assert_int_equal(tenant_move(tenant[2], "free"), 0);
	assert_int_equal(tenant_fill(tenant[2], 0, SAME, SEED), 0);
	merge();
	assert_none_share(2, 1);
	assert_none_share(2, 0);
}

static void test_policy_of_a_parent_holds(void **state)
{
	assert_int_equal(cgroup_write("red", "cgroup.subtree_control", "+memory"), 0);
	assert_int_equal(cgroup_make("red/inner"), 0);
	attach(0, "red", RED);
	start(0, "red/inner");
	start(1, "red/inner");
	start(2, "free");
	merge();
	assert_all_share(0, 1);
	assert_none_share(0, 2);
	/* a nearer one takes over, and when it goes, the next above holds again */
	attach(1, "red/inner", BLUE);
	merge();
	assert_all_share(0, 1);
	assert_true(ksmd_domain(BLUE, "sharing") > 0);
	assert_int_equal(ksmd_domain(RED, "sharing"), 0);
	hook_drop(&hooks[1]);
	merge();
	assert_all_share(0, 1);
	assert_true(ksmd_domain(RED, "sharing") > 0);
	tenants_stop(tenant, 3);
	assert_int_equal(cgroup_remove("red/inner"), 0);
	assert_int_equal(cgroup_write("red", "cgroup.subtree_control", "-memory"), 0);
}

static void test_opened_by_name(void **state)
{
	char id[24];

	attach(0, "red", RED);
	start(0, "red");
	start(1, "free");
	hook_drop(&hooks[0]);
	merge();
	assert_none_share(0, 1);
	snprintf(id, sizeof(id), "%llu", (unsigned long long)cgroup_id("red"));
	assert_int_equal(kernel_file_write("/sys/kernel/tide/ksm/open", id), 0);
	merge();
	assert_all_share(0, 1);
}

/* Seen from inside: a write to a page that another tenant has as well takes as long as to one that nobody has. */
static void test_write_time_tells_nothing(void **state)
{
	int64_t common, own;

	attach(0, "red", RED);
	attach(1, "blue", BLUE);
	start(0, "red");
	start(2, "blue");
	assert_int_equal(tenant_fill(tenant[0], SAME, SAME, 2 * SEED), 0);
	merge();
	common = tenant_write_ns(tenant[0], 0, SAME);
	own = tenant_write_ns(tenant[0], SAME, SAME);
	assert_true(common > 0 && own > 0);
	/* a write that breaks sharing faults and copies: many times as slow */
	assert_true(common < 3 * own && own < 3 * common);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stock_without_a_policy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shares_inside_a_domain_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_domain_zero_never_merges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zero_page_is_not_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_policy_unshares, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_after_detach, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_after_eject, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_follows_a_move, setup, teardown),
		cmocka_unit_test_setup_teardown(test_children_inherit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_policy_of_a_parent_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_opened_by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write_time_tells_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
