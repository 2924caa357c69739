// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtided is killed at random moments while a domain starts, while memory moves, and while a domain stops: VMs run
 * on, none is below its floor, and the ledger is right when memtided is there again.  The seed is printed, and LAB_SEED
 * sets it; the argument is how often.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "apart.h"
#include "moment.h"
#include "world.h"

#define KEPT		(60 * MIB)	/* in alpha's memory all the time */
#define MOVED		(100 * MIB)	/* more than what it has at hand */
#define TRANSFER_NS	300000000ULL	/* what a fill of that takes, about */

static unsigned int times = 10, seed;
static uint64_t start_ns, stop_ns;	/* what they took last time */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* memtided has been killed: it comes back, and all is as it should be. */
static void assert_recovers(struct moment *moment, bool beta)
{
	moment_over(moment);
	assert_int_equal(controller_restart(world.controller, NULL), 0);
	world_wait_managed(0);
	if (beta)
		world_wait_managed(1);
	else
		assert_true(world_knows_not(1));
	WAIT_FOR(world_is_settled());
}

static void assert_runs_on(int i)
{
	struct vm *vm = domain_vm(world.domain[i]);
	uint64_t kills;

	assert_true(domain_runs(world.domain[i]));
	assert_int_equal(vm_ask(vm, NULL, "check"), 0);
	assert_int_equal(vm_file_value(vm, "/proc/vmstat", "oom_kill", &kills), 0);
	assert_int_equal(kills, 0);
}

static void kill_during_start(void)
{
	struct moment moment;
	uint64_t from = now_ns();

	moment_begin(&moment, world.controller, &seed, start_ns);
	assert_int_equal(domain_spawn(world.domain[1]), 0);
	start_ns = now_ns() - from;
	moment_over(&moment);
	assert_int_equal(controller_restart(world.controller, NULL), 0);
	assert_int_equal(domain_wait(world.domain[1]), 0);
	for (int i = 0; i < 2; i++)
		world_wait_managed(i);
	WAIT_FOR(world_is_settled());
}

static void kill_during_transfer(int to)
{
	struct vm *vm = domain_vm(world.domain[to]);
	struct moment moment;

	moment_begin(&moment, world.controller, &seed, TRANSFER_NS);
	assert_int_equal(vm_tell(vm, "fill %llu", MOVED), 0);
	assert_recovers(&moment, true);
	assert_int_equal(vm_hear(vm, NULL), 0);
	assert_runs_on(to);
	assert_int_equal(vm_ask(vm, NULL, "keep %d", to == 0), 0);
}

static void kill_during_stop(void)
{
	struct moment moment;
	uint64_t from = now_ns();

	moment_begin(&moment, world.controller, &seed, stop_ns);
	assert_int_equal(domain_destroy(world.domain[1]), 0);
	stop_ns = now_ns() - from;
	assert_recovers(&moment, false);
}

static void test_killed_at_random_moments(void **state)
{
	unsigned int done = 0;
	uint64_t from;

	world_open(2, NULL);
	print_message("seed %u\n", seed);
	world_start(0, NULL);
	assert_int_equal(vm_ask(domain_vm(world.domain[0]), NULL, "fill %llu", KEPT), 0);
	world_define(1, NULL);
	from = now_ns();
	assert_int_equal(domain_spawn(world.domain[1]), 0);
	start_ns = now_ns() - from;
	from = now_ns();
	assert_int_equal(domain_destroy(world.domain[1]), 0);
	stop_ns = now_ns() - from;
	while (done < times) {
		kill_during_start();
		assert_runs_on(0);
		assert_runs_on(1);
		for (int to = 0; to < 2; to++) {
			kill_during_transfer(to);
			assert_runs_on(1 - to);
		}
		kill_during_stop();
		assert_runs_on(0);
		done += 4;
	}
}

static int run(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_killed_at_random_moments, world_close),
	};

	if (argc > 1)
		times = strtoul(argv[1], NULL, 0);
	seed = getenv("LAB_SEED") ? strtoul(getenv("LAB_SEED"), NULL, 0) : (unsigned int)time(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	return apart_run(argc, argv, run);
}
