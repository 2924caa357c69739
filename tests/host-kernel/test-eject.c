// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ejecting: each way in which a policy is put out of force, and what is left of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hooks.h"
#include "kernel-file.h"
#include "ksm-steered.h"
#include "ksmd.h"
#include "tenant.h"

#define SEED		0xe1ec70000000ULL
#define PAGES		1024
/* The guard's: units of work a window of family ksm takes, and bad windows in a row. */
#define WINDOW		8192
#define BAD_WINDOWS	8

static struct tenant *tenant[2];
static struct hook policy;
static struct ksm_steering *steering;

static int setup(void **state)
{
	cgroup_remove("ejected");
	if (cgroup_make("ejected") || ksmd_run(false) || hook("ksm-steered", cgroup_id("ejected"), 9, &policy))
		return -1;
	steering = hook_data(&policy);
	return 0;
}

static int teardown(void **state)
{
	for (int i = 0; i < 2; i++) {
		tenant_stop(tenant[i]);
		tenant[i] = NULL;
	}
	hook_drop(&policy);
	return ksmd_settle();
}

static void assert_ejected(unsigned int kind)
{
	assert_int_equal(hook_wait_ejected(&policy), 0);
	assert_int_equal(steering->exit_kind, kind);
}

static void test_by_file(void **state)
{
	assert_int_equal(hooks_eject_all(), 0);
	assert_ejected(EXIT_ADMIN);
	assert_non_null(strstr(steering->exit_reason, "/sys/kernel/tide/eject"));
}

static void test_by_sysrq(void **state)
{
	assert_int_equal(kernel_file_write("/proc/sys/kernel/sysrq", "1\n"), 0);
	assert_int_equal(kernel_file_write("/proc/sysrq-trigger", "T"), 0);
	assert_ejected(EXIT_ADMIN);
	assert_non_null(strstr(steering->exit_reason, "SysRq"));
}

/* Fills memory with new content until the policy is gone. */
static void churn_until_ejected(void)
{
	for (uint64_t round = 1; steering->exit_kind == EXIT_NONE && round < 1000; round++) {
		for (int i = 0; i < 2; i++)
			assert_int_equal(tenant_fill(tenant[i], 0, PAGES, SEED * round), 0);
		assert_int_equal(ksmd_passes(3), 0);
	}
}

static void start_tenants(void)
{
	for (int i = 0; i < 2; i++)
		assert_int_equal(tenant_start("ejected", &tenant[i]), 0);
}

static void test_endless_vetoes(void **state)
{
	steering->merge = 0;
	start_tenants();
	churn_until_ejected();
	assert_ejected(EXIT_TALLY);
	assert_non_null(strstr(steering->exit_reason, "vetoed"));
	assert_true(steering->candidates >= WINDOW * BAD_WINDOWS);
}

static void test_merges_that_always_break(void **state)
{
	start_tenants();
	churn_until_ejected();
	assert_ejected(EXIT_TALLY);
	assert_non_null(strstr(steering->exit_reason, "broken"));
}

static void test_bad_returns_are_clamped(void **state)
{
	uint64_t id = cgroup_id("ejected");

	hook_drop(&policy);
	assert_int_equal(hook("ksm-bad-returns", id, 9, &policy), 0);
	start_tenants();
	for (int i = 0; i < 2; i++)
		assert_int_equal(tenant_fill(tenant[i], 0, PAGES, SEED), 0);
	assert_int_equal(ksmd_passes(3), 0);
	assert_true(hook_count("ksm", id, "clamped") > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_by_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_by_sysrq, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless_vetoes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_merges_that_always_break, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_returns_are_clamped, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
