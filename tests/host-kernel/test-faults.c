// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Allocations that fail: a policy is attached, replaced and detached as a whole or not at all, and what ksmd or khugepaged
 * could not do is done by a later pass.  On the debug kernel.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../vm/kernel-log.h"
#include "faults.h"
#include "hooks.h"
#include "kernel-file.h"
#include "khugepaged.h"
#include "ksmd.h"
#include "setting.h"
#include "tenant.h"

#define NTH_MAX		1000	/* far more allocations than any of it takes */
#define ONE_IN		10
#define ROUNDS		24
#define SAME		512	/* pages that all tenants have, and as many of zeroes */
#define SEED		0xfa170000000ULL
#define TENANTS		4
#define HUGE_MAX	(TENANT_PAGES / TENANT_HUGE_PAGES)
/* A page is merged by the second pass that finds it unchanged; one for what failed, one for what raced. */
#define MERGE_PASSES	4

static const char *const groups[] = { "red", "blue" };
static struct hook hooks[2], other;
static struct tenant *tenant[TENANTS];

static int setup(void **state)
{
	for (int i = 0; i < 2; i++) {
		cgroup_remove(groups[i]);
		if (cgroup_make(groups[i]))
			return -1;
	}
	return ksmd_run(true);
}

static int teardown(void **state)
{
	tenants_stop(tenant, TENANTS);
	hook_drop(&other);
	for (int i = 0; i < 2; i++)
		hook_drop(&hooks[i]);
	return settings_restore() || ksmd_settle();
}

static void need_faults(void)
{
	if (!faults_possible()) {
		print_message("this kernel has no fault injection\n");
		skip();
	}
}

static bool listed(void)
{
	return hook_exists("ksm", cgroup_id("red"));
}

/* Does @act with its first allocation failing, then the second, until there are no more. */
static void each_allocation_fails(void (*act)(unsigned int nth, bool *ret_failed))
{
	unsigned int nth = 0;
	bool failed;

	do {
		nth++;
		assert_true(nth < NTH_MAX);
		act(nth, &failed);
	} while (failed);
	print_message("%u allocations failed, one after the other\n", nth - 1);
}

static void attach(unsigned int nth, bool *ret_failed)
{
	int r;

	assert_int_equal(hook_load("ksm-minimal", cgroup_id("red"), 1, true, &hooks[0]), 0);
	assert_int_equal(fault_nth(nth), 0);
	r = hook_attach(&hooks[0]);
	*ret_failed = fault_nth_failed();
	if (!*ret_failed)
		assert_int_equal(r, 0);
	assert_int_not_equal(r, -EBUSY);	/* of one before that is half there */
	assert_int_equal(listed(), r == 0);
	hook_drop(&hooks[0]);
	assert_false(listed());
}

static void test_attaches_or_not(void **state)
{
	need_faults();
	each_allocation_fails(attach);
	assert_int_equal(hook("ksm-minimal", cgroup_id("red"), 1, &hooks[0]), 0);
}

static void replace(unsigned int nth, bool *ret_failed)
{
	int r;

	assert_int_equal(hook_load("ksm-minimal", cgroup_id("red"), 2, true, &other), 0);
	assert_int_equal(fault_nth(nth), 0);
	r = hook_replace(&hooks[0], &other);
	*ret_failed = fault_nth_failed();
	assert_true(listed());
	if (!*ret_failed)
		assert_int_equal(r, 0);
	if (r == 0) {
		hook_drop(&hooks[0]);
		hooks[0] = other;
		other = (struct hook){ .link = NULL };
	}
	hook_drop(&other);
}

static void test_replaces_or_not(void **state)
{
	need_faults();
	assert_int_equal(hook("ksm-minimal", cgroup_id("red"), 1, &hooks[0]), 0);
	each_allocation_fails(replace);
}

/* The way out has no way to fail. */
static void detach(unsigned int nth, bool *ret_failed)
{
	int r;

	assert_int_equal(hook("ksm-minimal", cgroup_id("red"), 1, &hooks[0]), 0);
	assert_int_equal(fault_nth(nth), 0);
	r = hook_detach(&hooks[0]);
	*ret_failed = fault_nth_failed();
	assert_int_equal(r, 0);
	assert_false(listed());
	hook_drop(&hooks[0]);
}

static void test_always_detaches(void **state)
{
	need_faults();
	each_allocation_fails(detach);
}

static void start_tenants(void)
{
	for (int i = 0; i < TENANTS; i++)
		assert_int_equal(tenant_start(groups[i % 2], &tenant[i]), 0);
}

static void fill_tenants(uint64_t seed)
{
	for (int i = 0; i < TENANTS; i++) {
		assert_int_equal(tenant_fill(tenant[i], 0, SAME, seed), 0);
		assert_int_equal(tenant_fill(tenant[i], SAME, SAME, 0), 0);
	}
}

static void check_tenants(uint64_t seed)
{
	for (int i = 0; i < TENANTS; i++) {
		assert_int_equal(tenant_check(tenant[i], 0, SAME, seed), 0);
		assert_int_equal(tenant_check(tenant[i], SAME, SAME, 0), 0);
	}
}

/* Both groups in one domain and in two by turns, so that what is merged has to be unshared, which allocates. */
static void change_domains(unsigned int round)
{
	struct hook new;

	assert_int_equal(hook_load("ksm-minimal", cgroup_id("blue"), 1 + round / 4 % 2, false, &new), 0);
	assert_int_equal(hook_replace(&hooks[1], &new), 0);
	hook_drop(&hooks[1]);
	hooks[1] = new;
}

static void test_ksmd_makes_up_for_it(void **state)
{
	uint64_t failed, seed = SEED;

	need_faults();
	for (int i = 0; i < 2; i++)
		assert_int_equal(hook("ksm-minimal", cgroup_id(groups[i]), 1, &hooks[i]), 0);
	start_tenants();
	assert_int_equal(faults_start("ksmd", ONE_IN), 0);
	for (unsigned int round = 1; round <= ROUNDS; round++) {
		if (round % 4 == 0)
			change_domains(round);
		else
			fill_tenants(seed = SEED * round);
		assert_int_equal(ksmd_passes(2), 0);
		check_tenants(seed);
	}
	/* two domains at last */
	change_domains(4);
	assert_int_equal(ksmd_passes(1), 0);
	assert_int_equal(faults_stop(&failed), 0);
	print_message("%llu allocations of ksmd's failed\n", (unsigned long long)failed);
	assert_true(failed > 0);

	assert_int_equal(ksmd_passes(MERGE_PASSES), 0);
	check_tenants(seed);
	assert_int_equal(tenants_share(tenant[0], tenant[1]), 0);
	assert_int_equal(tenants_share(tenant[2], tenant[3]), 0);
	assert_true(tenants_share(tenant[0], tenant[2]) >= SAME);
	assert_true(tenants_share(tenant[1], tenant[3]) >= SAME);
}

static void fill_with_single_pages(uint64_t seed)
{
	assert_int_equal(tenant_renew(tenant[0]), 0);
	assert_int_equal(tenant_advise(tenant[0], 0, TENANT_PAGES, MADV_NOHUGEPAGE), 0);
	assert_int_equal(tenant_fill(tenant[0], 0, TENANT_PAGES, seed), 0);
	assert_int_equal(tenant_advise(tenant[0], 0, TENANT_PAGES, MADV_HUGEPAGE), 0);
}

static void test_khugepaged_makes_up_for_it(void **state)
{
	uint64_t failed, seed;

	need_faults();
	assert_int_equal(khugepaged_run(), 0);
	assert_int_equal(hook("thp-minimal", cgroup_id("red"), 0, &hooks[0]), 0);
	assert_int_equal(tenant_start_huge("red", &tenant[0]), 0);
	assert_int_equal(faults_start("khugepaged", ONE_IN), 0);
	for (unsigned int round = 1; round <= ROUNDS; round++) {
		seed = SEED * round;
		fill_with_single_pages(seed);
		assert_int_equal(khugepaged_passes(1), 0);
		assert_int_equal(tenant_check(tenant[0], 0, TENANT_PAGES, seed), 0);
	}
	assert_int_equal(faults_stop(&failed), 0);
	print_message("%llu allocations of khugepaged's failed\n", (unsigned long long)failed);
	assert_true(failed > 0);

	fill_with_single_pages(seed);
	assert_int_equal(khugepaged_makes(tenant[0], HUGE_MAX), 0);
	assert_int_equal(tenant_check(tenant[0], 0, TENANT_PAGES, seed), 0);
}

static int begin(void **state)
{
	return kernel_file_write("/dev/kmsg", KERNEL_LOG_LEVEL KERNEL_LOG_MEANT);
}

static int end(void **state)
{
	return kernel_file_write("/dev/kmsg", KERNEL_LOG_LEVEL KERNEL_LOG_OVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_attaches_or_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaces_or_not, setup, teardown),
		cmocka_unit_test_setup_teardown(test_always_detaches, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ksmd_makes_up_for_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_khugepaged_makes_up_for_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
