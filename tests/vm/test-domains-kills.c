// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What libvirt's domains have been told outlives memtided, which is killed between any two steps and at random moments,
 * and files that are no good.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "domains-bed.h"

/*
 * kill -9 between any two steps
 */

static void test_killed_before_hello(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	kill_and_restart(f);
	assert_phase(f, "a", "prepared");
	assert_int_equal(domain_number(f, "a", "held"), 384 * MIB);
	start_peer(f, 0);
	assert_policy_of_a(f);
	stop(f);
}

static void test_killed_while_running(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	start_peer(f, 0);
	kill_and_restart(f);
	wait_connections(f, 0, 2);
	assert_policy_of_a(f);
	assert_phase(f, "a", "running");
	assert_hook(&a, "started", 0);
	kill_and_restart(f);
	wait_connections(f, 0, 3);
	assert_policy_of_a(f);
	peer_kill(f->peer[0]);
	wait_no_domain(f);
	assert_int_equal(status_number(f, "charged"), 0);
	stop(f);
}

/* It ends while nobody looks. */
static void test_ends_unseen(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	start_peer(f, 0);
	json_decref(call(f, "status", NULL));
	assert_hook(&a, "started", 0);
	controller_kill(f->controller);
	peer_kill(f->peer[0]);
	assert_hook(&a, "stopped", 0);
	assert_hook(&a, "release", 0);
	assert_int_equal(controller_restart(f->controller, NULL), 0);
	assert_int_equal(nr_domains(f), 0);
	assert_int_equal(status_number(f, "charged"), 0);
	stop(f);
}

/* What was answered is in the file, and what is not answered does no harm. */
static void test_killed_after_end(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	assert_hook(&b, "prepare", 0);
	assert_hook(&a, "release", 0);
	kill_and_restart(f);
	assert_int_equal(nr_domains(f), 1);
	assert_phase(f, "b", "prepared");
	assert_hook(&b, "release", 0);
	kill_and_restart(f);
	assert_int_equal(nr_domains(f), 0);
	stop(f);
}

/*
 * At random moments.
 */

static uint32_t random_now;

static void *kill_daemon(void *arg)
{
	struct fixture *f = arg;
	struct timespec wait = { .tv_nsec = (long)(random_now % 4000) * 1000 };

	/* Until the hook is somewhere between its first step and its last. */
	nanosleep(&wait, NULL);
	kill(controller_pid(f->controller), SIGKILL);
	return NULL;
}

/* The hook succeeds whatever becomes of memtided meanwhile, which is then started again. */
static void hook_and_kill(struct fixture *f, const char *operation)
{
	pthread_t thread;

	random_now = random_now * 1664525 + 1013904223;
	assert_int_equal(pthread_create(&thread, NULL, kill_daemon, f), 0);
	assert_hook(&a, operation, 0);
	pthread_join(thread, NULL);
	kill_and_restart(f);
}

/* What was answered holds; what was not is made up for by what libvirt tells next. */
static void test_killed_at_random(void **state)
{
	const char *count = getenv("DOMAIN_KILLS");
	int rounds = count ? atoi(count) : 10;
	struct fixture *f = start(CONFIG("4G"));

	random_now = (uint32_t)peer_now_ns();
	print_message("begins with %" PRIu32 "\n", random_now);
	for (int i = 0; i < rounds; i++) {
		hook_and_kill(f, "prepare");
		if (nr_domains(f))
			assert_int_equal(domain_number(f, "a", "held"), 384 * MIB);
		start_peer(f, 0);
		hook_and_kill(f, "started");
		wait_connections(f, 0, 2);
		hook_and_kill(f, "reconnect");
		wait_connections(f, 0, 3);
		assert_hook(&a, "reconnect", 0);
		assert_policy_of_a(f);
		wait_charged(f, 384 * MIB);
		peer_free(f->peer[0]);
		f->peer[0] = NULL;
		hook_and_kill(f, "stopped");
		assert_hook(&a, "release", 0);
		wait_no_domain(f);
		wait_charged(f, 0);
	}
	stop(f);
}

/* A file that is no good is passed over. */
static void test_bad_file(void **state)
{
	struct fixture *f = start(CONFIG("4G"));
	char path[256];
	FILE *file;

	assert_hook(&a, "prepare", 0);
	assert_hook(&b, "prepare", 0);
	snprintf(path, sizeof(path), "%s/domains/42424242-4242-4242-4242-424200000001.json",
		 controller_state(f->controller));
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "{ \"boot\": ");
	fclose(file);
	kill_and_restart(f);
	assert_int_equal(nr_domains(f), 1);
	assert_phase(f, "b", "prepared");
	stop(f);
}

/* [PATTERN]: only the tests whose names match. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_before_hello),
		cmocka_unit_test(test_killed_while_running),
		cmocka_unit_test(test_ends_unseen),
		cmocka_unit_test(test_killed_after_end),
		cmocka_unit_test(test_killed_at_random),
		cmocka_unit_test(test_bad_file),
	};

	signal(SIGPIPE, SIG_IGN);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
