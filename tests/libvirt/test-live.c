// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A policy that is changed while its domain runs, as `virsh metadata --live` does it, holds at once, or the one before
 * stays; also where memtided, memtide-agent or libvirtd was away meanwhile.  A domain whose start nobody told of is
 * known.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "apart.h"
#include "world.h"

#define POLICY								\
	"<memtide:policy xmlns:memtide='urn:memtide:policy:1'>"		\
	"<memtide:floor>256MiB</memtide:floor></memtide:policy>"

static void set_policy(int i, const char *policy)
{
	assert_int_equal(domain_set_policy(world.domain[i], policy, VIR_DOMAIN_AFFECT_LIVE), 0);
}

static void set_floor(int i, unsigned int mib)
{
	char policy[128];

	snprintf(policy, sizeof(policy), "<policy><floor>%uMiB</floor></policy>", mib);
	set_policy(i, policy);
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/*
 * Of a VM with the device
 */

static void change_holds_at_once(void)
{
	double begun;

	assert_int_equal(world_number(0, "floor"), 256 * MIB);
	begun = now_ms();
	set_floor(0, 224);
	WAIT_FOR(world_number(0, "floor") == 224 * MIB);
	print_message("a change was in force after %.1f ms\n", now_ms() - begun);
	set_policy(0, "<policy><tenant>blue</tenant><floor>240MiB</floor><shares>300</shares></policy>");
	WAIT_FOR(world_number(0, "floor") == 240 * MIB);
	assert_int_equal(world_number(0, "shares"), 300);
}

/* Nothing of a policy that is wrong holds, and why is in memtided's log. */
static void wrong_one_is_refused(void)
{
	static const struct {
		const char *policy;
		const char *words;
	} wrong[] = {
		{ "<policy><shares>500</shares><flor>1GiB</flor></policy>", "<flor>" },
		{ "<policy><shares>500</shares><floor>4GiB</floor></policy>", "<floor>: 4 GiB is above the domain's" },
		{ "<policy><shares>500</shares><host policy='nowhere'/></policy>", "no policy nowhere" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_false(world_has_noted(wrong[i].words));
		set_policy(0, wrong[i].policy);
		WAIT_FOR(world_has_noted(wrong[i].words));
		assert_int_equal(world_number(0, "floor"), 240 * MIB);
		assert_int_equal(world_number(0, "shares"), 300);
	}
	set_floor(0, 256);
	WAIT_FOR(world_number(0, "floor") == 256 * MIB);
	assert_int_equal(world_number(0, "shares"), 100);
}

static void without_one_the_configuration_holds(void)
{
	set_policy(0, NULL);
	WAIT_FOR(world_number(0, "floor") == WORLD_FLOOR);
}

/* A letter each: memtided, which may also hang, the agent, libvirtd. */
static void leave(char who)
{
	switch (who) {
	case 'm':
		controller_kill(world.controller);
		break;
	case 'h':
		kill(controller_pid(world.controller), SIGSTOP);
		break;
	case 'a':
		world_agent_down(SIGKILL);
		break;
	case 'l':
		/* What libvirtd tells of is lost where nobody is connected: the agent sees that it has gone later. */
		kill(world.agent, SIGSTOP);
		libvirtd_down(world.libvirtd, SIGTERM);
		assert_int_equal(libvirtd_up(world.libvirtd), 0);
		break;
	}
}

static void come_back(char who)
{
	switch (who) {
	case 'm':
		assert_int_equal(controller_restart(world.controller, NULL), 0);
		break;
	case 'h':
		kill(controller_pid(world.controller), SIGCONT);
		break;
	case 'a':
		world_agent_up();
		break;
	case 'l':
		kill(world.agent, SIGCONT);
		break;
	}
}

static bool floor_is(unsigned int mib)
{
	json_t *vm = controller_vm(world.controller, "alpha");
	bool is = vm && json_integer_value(json_object_get(vm, "floor")) == (json_int_t)(mib * MIB);

	json_decref(vm);
	return is;
}

static void change_while_somebody_is_away(void)
{
	static const char *const away[] = { "m", "h", "a", "l", "ma", "am", "lm", "ml" };

	for (size_t i = 0; i < sizeof(away) / sizeof(away[0]); i++) {
		unsigned int mib = i % 2 ? 224 : 208;

		for (const char *who = away[i]; *who; who++)
			leave(*who);
		set_floor(0, mib);
		for (const char *who = away[i]; *who; who++)
			come_back(*who);
		WAIT_FOR(floor_is(mib));
		world_wait_managed(0);
	}
}

static void test_change_while_it_runs(void **state)
{
	world_open(1, NULL);
	world_start(0, POLICY);
	change_holds_at_once();
	wrong_one_is_refused();
	without_one_the_configuration_holds();
	change_while_somebody_is_away();
	assert_int_equal(domain_destroy(world.domain[0]), 0);
	WAIT_FOR(world_knows_not(0));
}

/*
 * Of domains without the device, where libvirt has no hook
 */

static void take_hook_away(void)
{
	assert_int_equal(unlink(LIBVIRTD_HOOKS "/" LIBVIRTD_OWN_HOOK), 0);
	libvirtd_down(world.libvirtd, SIGTERM);
	assert_int_equal(libvirtd_up(world.libvirtd), 0);
}

static void start_bare(int i, const char *name)
{
	struct vm_options o = { .name = name, .memory_bytes = WORLD_RAM };

	assert_int_equal(domain_define(world.libvirtd, &o, POLICY, &world.domain[i]), 0);
	assert_int_equal(domain_start(world.domain[i]), 0);
}

static bool policy_floor_is(int i, unsigned int mib)
{
	json_t *domain = world_domain(i), *policy = json_object_get(domain, "policy");
	bool is = json_integer_value(json_object_get(policy, "floor")) == (json_int_t)(mib * MIB);

	json_decref(domain);
	return is;
}

static bool is_unknown(int i)
{
	json_t *domain = world_domain(i);

	json_decref(domain);
	return !domain;
}

static void assert_charged_all(int i)
{
	json_t *domain = world_domain(i);

	assert_string_equal(json_string_value(json_object_get(domain, "phase")), "running");
	assert_true(json_integer_value(json_object_get(domain, "pid")) > 0);
	assert_false(json_is_true(json_object_get(domain, "device")));
	assert_true(json_integer_value(json_object_get(domain, "held")) >= (json_int_t)WORLD_RAM);
	json_decref(domain);
}

static void test_domain_that_no_hook_told_of(void **state)
{
	world_open(3, NULL);
	take_hook_away();
	start_bare(0, "alpha");
	WAIT_FOR(policy_floor_is(0, 256));
	assert_charged_all(0);
	set_floor(0, 224);
	WAIT_FOR(policy_floor_is(0, 224));
	/* one that starts, and one that ends, while the agent is away */
	world_agent_down(SIGTERM);
	start_bare(1, "beta");
	assert_int_equal(domain_destroy(world.domain[0]), 0);
	assert_true(is_unknown(1));
	world_agent_up();
	WAIT_FOR(policy_floor_is(1, 256));
	assert_charged_all(1);
	WAIT_FOR(is_unknown(0));
	/* what is wrong from the start is said, and the rest of it known */
	assert_int_equal(domain_destroy(world.domain[1]), 0);
	WAIT_FOR(is_unknown(1));
	assert_int_equal(domain_set_policy(world.domain[1], "<policy><flor>1GiB</flor></policy>",
					   VIR_DOMAIN_AFFECT_CONFIG), 0);
	assert_int_equal(domain_start(world.domain[1]), 0);
	WAIT_FOR(world_has_noted("<flor>"));
	assert_charged_all(1);
}

static int run(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_change_while_it_runs, world_close),
		cmocka_unit_test_teardown(test_domain_that_no_hook_told_of, world_close),
	};

	cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	return apart_run(argc, argv, run);
}
