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
/* The exit records that the kernel keeps. */
#define EXITS		32

static struct tenant *tenant[2];
static struct hook policy;
static uint64_t policy_cgroup;
static struct ksm_steering *steering;

static int setup(void **state)
{
	cgroup_remove("ejected");
	if (cgroup_make("ejected") || ksmd_run(false))
		return -1;
	policy_cgroup = cgroup_id("ejected");
	if (hook("ksm-steered", policy_cgroup, 9, &policy))
		return -1;
	steering = hook_data(&policy);
	return 0;
}

static int teardown(void **state)
{
	tenants_stop(tenant, 2);
	hook_drop(&policy);
	return ksmd_settle();
}

/* A line of /sys/kernel/tide/exits. */
struct line {
	unsigned long long number;
	char family[16];
	unsigned long long cgroup;
	char name[16];
	char kind[16];
	char reason[64];
};

/* Returns how many there are; the newest is the first. */
static unsigned int read_exits(struct line *lines, unsigned int max)
{
	FILE *f = fopen("/sys/kernel/tide/exits", "re");
	unsigned int nr = 0;
	char text[256];

	assert_non_null(f);
	for (; fgets(text, sizeof(text), f); nr++) {
		struct line *line = &lines[nr];

		assert_true(nr < max);
		assert_int_equal(sscanf(text, "%llu %15s %llu %15s %15s %63[^\n]", &line->number, line->family,
					&line->cgroup, line->name, line->kind, line->reason), 6);
	}
	fclose(f);
	return nr;
}

/* That the last record is of the policy's end. */
static void assert_recorded(unsigned int kind, const char *reason)
{
	static const char *const kinds[] = {
		[EXIT_DETACHED] = "detached",
		[EXIT_REPLACED] = "replaced",
		[EXIT_CGROUP] = "cgroup",
		[EXIT_TALLY] = "tally",
		[EXIT_OOM] = "oom",
		[EXIT_ADMIN] = "admin",
	};
	struct line lines[EXITS];

	assert_true(read_exits(lines, EXITS) > 0);
	assert_string_equal(lines[0].family, "ksm");
	assert_int_equal(lines[0].cgroup, policy_cgroup);
	assert_string_equal(lines[0].name, "ksm_steered");
	assert_string_equal(lines[0].kind, kinds[kind]);
	assert_string_equal(lines[0].reason, reason);
}

static void assert_ejected(unsigned int kind)
{
	char text[64];

	assert_int_equal(hook_wait_ejected(&policy), 0);
	assert_int_equal(steering->exit_kind, kind);
	assert_recorded(kind, steering->exit_reason);
	if (kind == EXIT_CGROUP)
		return;
	cgroup_policy("ejected", "ksm", text, sizeof(text));
	assert_string_equal(text, "- none closed");
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

static void test_with_its_cgroup(void **state)
{
	assert_int_equal(cgroup_remove("ejected"), 0);
	assert_ejected(EXIT_CGROUP);
}

/* Records outlive their policies, the oldest of them go first, and what was merely detached has one, too. */
static void test_the_last_records_are_kept(void **state)
{
	struct line lines[EXITS];
	unsigned int nr;

	assert_int_equal(hook_detach(&policy), 0);
	assert_recorded(EXIT_DETACHED, "-");
	for (int i = 0; i < EXITS; i++) {
		hook_drop(&policy);
		assert_int_equal(hook("ksm-steered", policy_cgroup, 9, &policy), 0);
	}
	hook_drop(&policy);
	nr = read_exits(lines, EXITS);
	assert_int_equal(nr, EXITS);
	for (unsigned int i = 0; i + 1 < nr; i++)
		assert_int_equal(lines[i].number, lines[i + 1].number + 1);
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
	hook_drop(&policy);
	assert_int_equal(hook("ksm-bad-returns", policy_cgroup, 9, &policy), 0);
	start_tenants();
	for (int i = 0; i < 2; i++)
		assert_int_equal(tenant_fill(tenant[i], 0, PAGES, SEED), 0);
	assert_int_equal(ksmd_passes(3), 0);
	assert_true(hook_count("ksm", policy_cgroup, "clamped") > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_by_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_by_sysrq, setup, teardown),
		cmocka_unit_test_setup_teardown(test_with_its_cgroup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_last_records_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless_vetoes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_merges_that_always_break, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_returns_are_clamped, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
