// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvirtd and memtided go away and come back, one of them or both, in any order, by themselves or killed, while VMs
 * run: nothing of the VMs, their policies and the ledger is lost, and what happened in between is found out.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apart.h"
#include "world.h"

#define POLICY								\
	"<memtide:policy xmlns:memtide='urn:memtide:policy:1'>"		\
	"<memtide:floor>256MiB</memtide:floor></memtide:policy>"
#define KEPT	(120 * MIB)	/* what alpha's guest has in memory, to be there afterwards */

/* A letter a step: libvirtd is ended, killed, comes (u); memtided is killed (m), comes (M). */
static const char *const orders[] = { "eu", "ku", "mM", "emuM", "emMu", "mkMu", "mkuM" };

static void take_step(char step)
{
	switch (step) {
	case 'e':
		libvirtd_down(world.libvirtd, SIGTERM);
		break;
	case 'k':
		libvirtd_down(world.libvirtd, SIGKILL);
		break;
	case 'u':
		assert_int_equal(libvirtd_up(world.libvirtd), 0);
		break;
	case 'm':
		controller_kill(world.controller);
		break;
	case 'M':
		assert_int_equal(controller_restart(world.controller, NULL), 0);
		break;
	}
}

static void assert_policy_is(int i, const char *expected)
{
	char *policy = domain_policy(world.domain[i], VIR_DOMAIN_AFFECT_LIVE);

	assert_non_null(policy);
	assert_non_null(strstr(policy, expected));
	free(policy);
}

static void open_world_of_two(void)
{
	world_open(2, NULL);
	for (int i = 0; i < 2; i++) {
		world_define(i, POLICY);
		assert_int_equal(domain_spawn(world.domain[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(domain_wait(world.domain[i]), 0);
	/* one that is only in what libvirt knows of the running VM */
	assert_int_equal(domain_set_policy(world.domain[1], "<policy><floor>224MiB</floor></policy>",
					   VIR_DOMAIN_AFFECT_LIVE), 0);
	assert_int_equal(vm_ask(domain_vm(world.domain[0]), NULL, "fill %llu", KEPT), 0);
}

static void restart_in_any_order(void)
{
	for (size_t order = 0; order < sizeof(orders) / sizeof(orders[0]); order++) {
		for (int i = 0; i < 2; i++)
			world_wait_managed(i);
		WAIT_FOR(world_is_settled());
		for (const char *step = orders[order]; *step; step++) {
			take_step(*step);
			assert_int_equal(vm_ask(domain_vm(world.domain[0]), NULL, "check"), 0);
		}
		for (int i = 0; i < 2; i++) {
			WAIT_FOR(domain_runs(world.domain[i]));
			world_wait_managed(i);
		}
		WAIT_FOR(world_is_settled());
		assert_true(world_number(0, "usable") >= KEPT);
		assert_policy_is(0, "<floor>256MiB</floor>");
		assert_policy_is(1, "<floor>224MiB</floor>");
	}
}

static void die_while_they_are_away(void)
{
	take_step('k');
	take_step('m');
	vm_kill(domain_vm(world.domain[1]));
	take_step('M');
	take_step('u');
	world_wait_managed(0);
	/* no event tells of a VM that libvirtd has found dead when it came */
	WAIT_FOR(!domain_runs(world.domain[1]));
	assert_int_equal(domain_ended(world.domain[1]), 0);
	assert_true(world_knows_not(1));
	WAIT_FOR(world_is_settled());
}

/* memtided finds it running. */
static void start_while_it_is_away(void)
{
	take_step('m');
	assert_int_equal(domain_start(world.domain[1]), 0);
	take_step('M');
	for (int i = 0; i < 2; i++)
		world_wait_managed(i);
	WAIT_FOR(world_is_settled());
}

static void stop_while_it_is_away(void)
{
	take_step('m');
	assert_int_equal(domain_destroy(world.domain[0]), 0);
	take_step('M');
	world_wait_managed(1);
	assert_true(world_knows_not(0));
	WAIT_FOR(world_is_settled());
}

static void test_restarts(void **state)
{
	open_world_of_two();
	restart_in_any_order();
	die_while_they_are_away();
	start_while_it_is_away();
	stop_while_it_is_away();
}

static int run(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_restarts, world_close),
	};

	cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	return apart_run(argc, argv, run);
}
