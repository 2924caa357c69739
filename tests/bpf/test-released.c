// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Balance policies as earlier releases compiled them: each still loads, and a round of it gives every VM its floor at
 * least.  Where they are kept is told in released/README.md.
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "table.h"

#define VMS	3

static void run_one(const char *file)
{
	struct memtide_policy *policy = load_policy(file, NULL);
	struct balance_table *table = memtide_policy_table(policy);

	table->host.budget = 3 * GIB;
	table->host.nr_vms = VMS;
	for (uint32_t i = 0; i < VMS; i++)
		put_vm(table, i, GIB, 384 * MIB, 2 * GIB);
	run_round(policy, 1000);
	for (uint32_t i = 0; i < VMS; i++) {
		if (table->vm[i].reason != BALANCE_KEEP)
			assert_true(table->vm[i].new_ceiling >= 384 * MIB);
	}
	memtide_policy_close(policy);
}

static void run_all(const char *pattern)
{
	glob_t found;

	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++)
		run_one(found.gl_pathv[i]);
	globfree(&found);
}

static void test_fair(void **state)
{
	run_all(RELEASED_DIRECTORY "/*/fair.bpf.o");
}

static void test_proxmox(void **state)
{
	run_all(RELEASED_DIRECTORY "/*/proxmox.bpf.o");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fair),
		cmocka_unit_test(test_proxmox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
