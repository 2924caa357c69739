// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When libvirt calls a hook, with what, and what the hook's failure does: what memtide's own one relies on.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "apart.h"
#include "hook-calls.h"
#include "world.h"

#define POLICY								\
	"<memtide:policy xmlns:memtide='urn:memtide:policy:1'>"		\
	"<memtide:floor>256MiB</memtide:floor></memtide:policy>"
#define BEGIN(operation)	"10-record: alpha " operation " begin\n"
#define END(operation)		"10-record: alpha " operation " end\n"

static void assert_calls(const char *expected)
{
	char *calls = hook_calls();

	assert_string_equal(calls, expected);
	free(calls);
	hook_calls_forget();
}

static bool calls_are(const char *expected)
{
	char *calls = hook_calls();
	bool same = !strcmp(calls, expected);

	free(calls);
	return same;
}

static void assert_call_has(const char *operation, const char *what, const char *expected)
{
	char *text = hook_calls_read(operation, what);

	if (!strstr(text, expected))
		fail_msg("%s of %s has no \"%s\": %s", what, operation, expected, text);
	free(text);
}

static void open_recorded_world(void)
{
	if (!apart_refusal())
		assert_int_equal(hook_calls_begin(), 0);
	world_open(1, NULL);
	world_define(0, POLICY);
	assert_calls("");
}

static void test_start_and_stop(void **state)
{
	open_recorded_world();
	assert_int_equal(domain_spawn(world.domain[0]), 0);
	assert_calls(BEGIN("prepare") BEGIN("start") BEGIN("started"));
	for (int i = 0; i < 3; i++) {
		static const char *const operations[] = { "prepare", "start", "started" };

		/* the policy comes in on the standard input, and the hook is root */
		assert_call_has(operations[i], "xml", "<memtide:policy xmlns:memtide=\"urn:memtide:policy:1\">");
		assert_call_has(operations[i], "user", "root\n");
	}
	/* a change of the metadata is no matter of hooks */
	assert_int_equal(domain_set_policy(world.domain[0], "<policy><floor>224MiB</floor></policy>",
					   VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG), 0);
	assert_calls("");
	assert_int_equal(domain_destroy(world.domain[0]), 0);
	assert_calls(END("stopped") END("release"));
	/* as it was in the end; what was set without prefix has one */
	assert_call_has("stopped", "xml", "<memtide:floor>224MiB</memtide:floor>");
	assert_call_has("release", "xml", "<memtide:floor>224MiB</memtide:floor>");
	/* from some version on with the reason why it ended */
	assert_call_has("release", "extra", libvirtd_version(world.libvirtd) < 11000000 ? "-" : "destroyed");
}

/* The hook fails at @operation: the VM does not start, @calls were made, and whoever started it reads what it said. */
static void refuse_start(const char *operation, const char *said, const char *calls)
{
	assert_int_equal(hook_calls_fail(operation, true), 0);
	assert_int_equal(domain_spawn(world.domain[0]), -EIO);
	assert_non_null(strstr(domain_error(world.domain[0]), said));
	assert_false(domain_runs(world.domain[0]));
	assert_calls(calls);
	WAIT_FOR(world_knows_not(0));
	assert_int_equal(hook_calls_fail(operation, false), 0);
}

static void test_failure_refuses_a_start(void **state)
{
	open_recorded_world();
	/* it is told of the end of what it has refused, too */
	refuse_start("prepare", "no prepare for alpha today", BEGIN("prepare") END("stopped") END("release"));
	refuse_start("start", "no start for alpha today", BEGIN("prepare") BEGIN("start") END("stopped") END("release"));
	refuse_start("started", "no started for alpha today",
		     BEGIN("prepare") BEGIN("start") BEGIN("started") END("stopped") END("release"));
	/* and afterwards it starts as if nothing had been */
	assert_int_equal(domain_spawn(world.domain[0]), 0);
	assert_calls(BEGIN("prepare") BEGIN("start") BEGIN("started"));
}

static void test_failure_keeps_no_vm_from_its_end(void **state)
{
	open_recorded_world();
	assert_int_equal(hook_calls_fail("stopped", true), 0);
	assert_int_equal(hook_calls_fail("release", true), 0);
	assert_int_equal(domain_spawn(world.domain[0]), 0);
	assert_int_equal(domain_destroy(world.domain[0]), 0);
	assert_calls(BEGIN("prepare") BEGIN("start") BEGIN("started") END("stopped") END("release"));
	assert_false(domain_runs(world.domain[0]));
}

static void restart_libvirtd(void)
{
	libvirtd_down(world.libvirtd, SIGTERM);
	assert_int_equal(libvirtd_up(world.libvirtd), 0);
}

static void test_reconnect(void **state)
{
	open_recorded_world();
	assert_int_equal(domain_spawn(world.domain[0]), 0);
	assert_calls(BEGIN("prepare") BEGIN("start") BEGIN("started"));
	restart_libvirtd();
	/* libvirtd answers before it has found its VMs again */
	WAIT_FOR(calls_are(BEGIN("reconnect")));
	hook_calls_forget();
	WAIT_FOR(domain_runs(world.domain[0]));
	assert_call_has("reconnect", "xml", "urn:memtide:policy:1");
	/* a hook that fails here kills what runs */
	assert_int_equal(hook_calls_fail("reconnect", true), 0);
	restart_libvirtd();
	WAIT_FOR(calls_are(BEGIN("reconnect") END("stopped") END("release")));
	WAIT_FOR(!domain_runs(world.domain[0]));
	WAIT_FOR(world_knows_not(0));
}

static void start_and_destroy(const char *calls)
{
	assert_int_equal(domain_spawn(world.domain[0]), 0);
	assert_int_equal(domain_destroy(world.domain[0]), 0);
	assert_calls(calls);
}

/* Whether there is any hook it finds out when it starts, which ones there are when it calls them. */
static void test_first_hook_needs_a_restart(void **state)
{
	world_open(1, NULL);
	world_define(0, NULL);
	/* where this build has a hook of its own, it is there */
	unlink(LIBVIRTD_HOOKS "/" LIBVIRTD_OWN_HOOK);
	restart_libvirtd();
	assert_int_equal(hook_calls_begin(), 0);
	start_and_destroy("");
	restart_libvirtd();
	start_and_destroy(BEGIN("prepare") BEGIN("start") BEGIN("started") END("stopped") END("release"));
	assert_int_equal(hook_calls_install("20-record"), 0);
	/* one that fails does not keep the others from being called */
	refuse_start("prepare", "no prepare for alpha today",
		     BEGIN("prepare") "20-record: alpha prepare begin\n"
		     END("stopped") "20-record: alpha stopped end\n" END("release") "20-record: alpha release end\n");
}

static int run(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_start_and_stop, world_close),
		cmocka_unit_test_teardown(test_failure_refuses_a_start, world_close),
		cmocka_unit_test_teardown(test_failure_keeps_no_vm_from_its_end, world_close),
		cmocka_unit_test_teardown(test_reconnect, world_close),
		cmocka_unit_test_teardown(test_first_hook_needs_a_restart, world_close),
	};

	cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	return apart_run(argc, argv, run);
}
