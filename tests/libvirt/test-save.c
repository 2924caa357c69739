// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A domain is saved and restored as any other once `memtide vm release` has said that it is done: libvirt refuses before
 * that, in words that name the mend; after it the guest has what it had, and memtided manages it again.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../cli/command.h"
#include "apart.h"
#include "world.h"

#define KEPT		(120 * MIB)	/* what the guest has in memory, to be there afterwards */
#define GIVEN		(128 * MIB)

/* By its maximum, which the next adoption forgets. */
static void let_it_give(void)
{
	assert_int_equal(memtide("vm set alpha --maximum %lluM", (WORLD_RAM - GIVEN) / MIB), 0);
	WAIT_FOR(world_number(0, "given") >= GIVEN - 4 * MIB);
	assert_int_equal(vm_ask(domain_vm(world.domain[0]), NULL, "check"), 0);
}

static void save_when_it_may(void)
{
	assert_int_not_equal(domain_save(world.domain[0]), 0);
	assert_non_null(strstr(domain_error(world.domain[0]), "memtide vm release alpha"));
	assert_true(domain_runs(world.domain[0]));
	assert_int_equal(vm_ask(domain_vm(world.domain[0]), NULL, "check"), 0);
	assert_int_equal(memtide("vm release alpha"), 0);
	assert_int_equal(domain_save(world.domain[0]), 0);
	WAIT_FOR(world_knows_not(0));
}

static void restore(void)
{
	assert_int_equal(domain_spawn(world.domain[0]), 0);
	world_wait_managed(0);
	assert_int_equal(vm_ask(domain_vm(world.domain[0]), NULL, "check"), 0);
}

static void test_saved_and_restored(void **state)
{
	world_open(2, NULL);
	command_socket = controller_control_socket(world.controller);
	world_start(0, NULL);
	assert_int_equal(vm_ask(domain_vm(world.domain[0]), NULL, "fill %llu", KEPT), 0);
	/* twice: what is restored is as good as the first one */
	for (int i = 0; i < 2; i++) {
		let_it_give();
		save_when_it_may();
		restore();
	}
	WAIT_FOR(world_is_settled());
	assert_int_equal(memtide("vm release alpha"), 0);
	assert_int_equal(memtide("vm adopt alpha"), 0);
	world_wait_managed(0);
	let_it_give();
}

static int run(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_saved_and_restored, world_close),
	};

	cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	return apart_run(argc, argv, run);
}
