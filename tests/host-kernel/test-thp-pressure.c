// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * thp-pressure where tasks really wait for memory: huge pages, single pages soon after they begin to wait, and huge
 * pages again once they have not for a while.  What it decides is in tests/bpf/test-thp-stall.c.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "hooks.h"
#include "khugepaged.h"
#include "setting.h"
#include "tenant.h"

#define GROUP		"pressed"
#define SEED		0x9e550000000ULL
/* Less than a huge page, and more than a single one with all that comes with it. */
#define HIGH		"1048576"
/* Page faults; over its limit each of them waits for up to two seconds, and a window is four. */
#define STALLED_TRIES	60
/* One each 50 ms: the policy's calm_windows windows, and many times that. */
#define CALM_TRIES	6000

static struct tenant *tenant;
static struct hook policy;

static int setup(void **state)
{
	cgroup_remove(GROUP);
	if (cgroup_make(GROUP) || khugepaged_run() || hook("thp-pressure", cgroup_id(GROUP), 0, &policy))
		return -1;
	return tenant_start_huge(GROUP, &tenant);
}

static int teardown(void **state)
{
	tenant_stop(tenant);
	hook_drop(&policy);
	cgroup_remove(GROUP);
	return settings_restore();
}

/* Whether the first page of new memory comes as a huge one. */
static bool is_huge(void)
{
	assert_int_equal(tenant_renew(tenant), 0);
	assert_int_equal(tenant_fill(tenant, 0, 1, SEED), 0);
	return tenant_huge(tenant) > 0;
}

static void test_follows_pressure(void **state)
{
	unsigned int tries = 0;

	if (access("/proc/pressure/memory", F_OK))
		skip();
	assert_true(is_huge());
	assert_int_equal(cgroup_write(GROUP, "memory.high", HIGH), 0);
	while (is_huge())
		assert_true(tries++ < STALLED_TRIES);
	assert_true(hook_count("thp", cgroup_id(GROUP), "narrowed") > 0);
	assert_int_equal(cgroup_write(GROUP, "memory.high", "max"), 0);
	/* not at once */
	assert_false(is_huge());
	for (tries = 0; !is_huge(); tries++) {
		assert_true(tries < CALM_TRIES);
		poll(NULL, 0, 50);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_follows_pressure, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
