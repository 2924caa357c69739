// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Policies for the kernel's hooks as earlier releases compiled them: each still loads, and is attached.  Where they are kept
 * is told in tests/bpf/released/README.md.
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hooks.h"
#include "tenant.h"

#define GROUP	"released"
#define DOMAIN	1

static int setup(void **state)
{
	return cgroup_make(GROUP);
}

static int teardown(void **state)
{
	return cgroup_remove(GROUP);
}

static void attach_all(const char *pattern)
{
	glob_t found;
	struct hook policy;
	int r;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		r = hook(found.gl_pathv[i], cgroup_id(GROUP), DOMAIN, &policy);
		if (r)
			fail_msg("%s: %d", found.gl_pathv[i], r);
		hook_drop(&policy);
	}
	globfree(&found);
}

static void test_ksm(void **state)
{
	attach_all(RELEASED_DIRECTORY "/*/ksm-*.bpf.o");
}

static void test_thp(void **state)
{
	attach_all(RELEASED_DIRECTORY "/*/thp-*.bpf.o");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ksm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_thp, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
