// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ejecting a policy of family thp: by hand, by its tally, and because its cgroup has run out of memory; and what is in
 * force afterwards.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "../vm/kernel-log.h"
#include "hooks.h"
#include "kernel-file.h"
#include "khugepaged.h"
#include "setting.h"
#include "tenant.h"
#include "thp-steered.h"

#ifndef MADV_COLD
#define MADV_COLD	20
#endif

#define SEED		0xe1ec780000ULL
#define HUGE		TENANT_HUGE_PAGES
#define HUGE_MAX	(TENANT_PAGES / HUGE)
/* Room for two huge pages of a tenant's four. */
#define TOO_LITTLE	"6291456"
/* The guard's: pages in huge pages that a window of family thp takes, and bad windows in a row. */
#define WINDOW		65536
#define BAD_WINDOWS	8

static const char *const groups[] = { "slice", "slice/vm", "slice/other" };
#define GROUPS		(sizeof(groups) / sizeof(*groups))

static struct tenant *tenant[2];
static struct hook policy;
static struct thp_steering *steering;

static int setup(void **state)
{
	cgroups_remove(groups, GROUPS);
	if (khugepaged_run() || cgroup_make("slice") || cgroup_write("slice", "cgroup.subtree_control", "+memory"))
		return -1;
	return cgroup_make("slice/vm") || cgroup_make("slice/other") ? -1 : 0;
}

static int teardown(void **state)
{
	tenants_stop(tenant, 2);
	hook_drop(&policy);
	cgroups_remove(groups, GROUPS);
	return settings_restore();
}

static void attach(const char *group)
{
	assert_int_equal(hook("thp-steered", cgroup_id(group), 0, &policy), 0);
	steering = hook_data(&policy);
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

static void assert_in_force(const char *group, const char *expected)
{
	char text[64];

	cgroup_policy(group, "thp", text, sizeof(text));
	assert_string_equal(text, expected);
}

static void assert_ejected(unsigned int kind, const char *words)
{
	assert_int_equal(hook_wait_ejected(&policy), 0);
	assert_int_equal(steering->exit_kind, kind);
	if (!strstr(steering->exit_reason, words))
		fail_msg("\"%s\" is not in: %s", words, steering->exit_reason);
}

/* More than there is room for in @group, where the limit is: the tenant does not survive that. */
static void run_out_of_memory(int i, const char *group)
{
	assert_int_equal(cgroup_write(group, "memory.max", TOO_LITTLE), 0);
	kernel_file_write("/dev/kmsg", KERNEL_LOG_LEVEL KERNEL_LOG_MEANT);
	assert_int_equal(tenant_fill(tenant[i], 0, TENANT_PAGES, SEED), -EPIPE);
	kernel_file_write("/dev/kmsg", KERNEL_LOG_LEVEL KERNEL_LOG_OVER);
	tenant_stop(tenant[i]);
	tenant[i] = NULL;
	assert_int_equal(cgroup_write(group, "memory.max", "max"), 0);
}

static void test_by_file(void **state)
{
	attach("slice/vm");
	steering->fault_orders = 0;
	steering->visit = 0;
	start(0, "slice/vm");
	assert_int_equal(faults(0), 0);
	assert_int_equal(hooks_eject_all(), 0);
	assert_ejected(EXIT_ADMIN, "/sys/kernel/tide/eject");
	/* stock again, and khugepaged finds what it was kept from */
	assert_int_equal(khugepaged_makes(tenant[0], HUGE_MAX), 0);
	assert_true(faults(0) > 0);
}

static void test_out_of_memory_in_its_own_cgroup(void **state)
{
	attach("slice/vm");
	start(0, "slice/vm");
	assert_int_equal(tenant_fill(tenant[0], 0, 1, SEED), 0);
	assert_int_equal(tenant_huge(tenant[0]), 1);
	run_out_of_memory(0, "slice/vm");
	assert_ejected(EXIT_OOM, "its cgroup ran out of memory");
}

/* Single pages were all that it let anybody have: it had no part in it. */
static void test_out_of_memory_without_huge_pages(void **state)
{
	attach("slice/vm");
	steering->fault_orders = 0;
	steering->visit = 0;
	start(0, "slice/vm");
	run_out_of_memory(0, "slice/vm");
	assert_int_equal(steering->exit_kind, EXIT_NONE);
	start(0, "slice/vm");
	assert_int_equal(faults(0), 0);
}

static void test_out_of_memory_below_it(void **state)
{
	attach("slice");
	start(0, "slice/vm");
	start(1, "slice/other");
	assert_int_equal(tenant_fill(tenant[0], 0, 1, SEED), 0);
	assert_int_equal(tenant_huge(tenant[0]), 1);
	run_out_of_memory(0, "slice/vm");
	/* masked there, and in force for all others */
	assert_in_force("slice/vm", "- masked");
	assert_in_force("slice/other", "thp_steered inherited");
	assert_int_equal(steering->exit_kind, EXIT_NONE);
	steering->fault_orders = 0;
	steering->visit = 0;
	start(0, "slice/vm");
	assert_true(faults(0) > 0);
	assert_int_equal(faults(1), 0);
	assert_int_equal(steering->exit_kind, EXIT_NONE);
}

/* The limit is above the cgroup that has the policy, and its memory is what there is none of. */
static void test_out_of_memory_above_it(void **state)
{
	attach("slice/vm");
	start(0, "slice/vm");
	assert_int_equal(tenant_fill(tenant[0], 0, 1, SEED), 0);
	assert_int_equal(tenant_huge(tenant[0]), 1);
	run_out_of_memory(0, "slice");
	assert_ejected(EXIT_OOM, "its cgroup ran out of memory");
}

/* One page of each huge page is written to, one goes cold, so the whole is split; and all anew. */
static void make_and_split(void)
{
	assert_int_equal(tenant_renew(tenant[0]), 0);
	for (unsigned int i = 0; i < HUGE_MAX; i++) {
		assert_int_equal(tenant_fill(tenant[0], i * HUGE, 1, SEED), 0);
		assert_int_equal(tenant_advise(tenant[0], i * HUGE, 1, MADV_COLD), 0);
	}
}

static void test_huge_pages_that_are_always_split(void **state)
{
	uint64_t id = cgroup_id("slice/vm"), made = 0, now;

	attach("slice/vm");
	steering->visit = 0;
	start(0, "slice/vm");
	/* until it is ejected, which takes BAD_WINDOWS refreshes of the snapshot, or many times that much work */
	for (unsigned int i = 0; steering->exit_kind == EXIT_NONE && i < 100000; i++) {
		make_and_split();
		/* zero once it is gone */
		now = hook_count("thp", id, "made");
		made = now > made ? now : made;
	}
	assert_ejected(EXIT_TALLY, "split");
	assert_true(made >= (uint64_t)WINDOW * (BAD_WINDOWS - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_by_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_memory_in_its_own_cgroup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_memory_without_huge_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_memory_below_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_memory_above_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_huge_pages_that_are_always_split, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
