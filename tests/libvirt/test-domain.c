// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A libvirt domain with memtide's device is a VM of memtide's from its start to its end: taken in on its configured
 * terms, held to them where there are cgroups, asked for memory when another needs it, and forgotten when it has gone.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "apart.h"
#include "world.h"

#define POLICY								\
	"<memtide:policy xmlns:memtide='urn:memtide:policy:1'>"		\
	"<memtide:floor>256MiB</memtide:floor></memtide:policy>"
/* with the guest's own 110 MiB inside the entitlement of half the budget, and far above what it is left with idle */
#define NEED	(240 * MIB)

static void assert_ledger_is_empty(void)
{
	json_t *status;

	assert_int_equal(controller_call(world.controller, "status", NULL, &status), 0);
	assert_int_equal(json_integer_value(json_object_get(status, "nr_vms")), 0);
	assert_int_equal(json_integer_value(json_object_get(status, "charged")), 0);
	json_decref(status);
}

/* Where limits can be set, which is cgroup v2, this one's is what the ceiling and QEMU itself need. */
static void assert_enforced_in_nested_host(int i)
{
	json_t *vm = controller_vm(world.controller, domain_name(world.domain[i]));
	const char *cgroup = json_string_value(json_object_get(vm, "cgroup"));

	if (getenv("LAB_IN_HOST")) {
		assert_non_null(cgroup);
		assert_non_null(strstr(cgroup, "/machine/qemu-"));
		assert_true(json_is_true(json_object_get(vm, "enforced")));
	} else {
		print_message("%s: %s\n", domain_name(world.domain[i]), cgroup ? cgroup : "no cgroup that limits it");
	}
	json_decref(vm);
}

static void test_domain_is_managed_on_its_terms(void **state)
{
	char terms[128];

	snprintf(terms, sizeof(terms), "[vm alpha]\nfloor = %lluM\nmaximum = %lluM\nshares = 300\n", world_bytes(224) / MIB,
		 world_bytes(320) / MIB);
	world_open(2, terms);
	world_define(0, NULL);
	assert_int_equal(domain_spawn(world.domain[0]), 0);
	assert_int_equal(libvirtd_wait(world.libvirtd, "alpha", VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_STARTED), 0);
	assert_int_equal(domain_wait(world.domain[0]), 0);
	world_wait_managed(0);
	assert_int_equal(world_number(0, "floor"), world_bytes(224));
	assert_int_equal(world_number(0, "maximum"), world_bytes(320));
	assert_int_equal(world_number(0, "shares"), 300);
	WAIT_FOR(world_number(0, "charged") <= world_bytes(320));
	WAIT_FOR(world_is_settled());
	assert_enforced_in_nested_host(0);
	assert_int_equal(domain_destroy(world.domain[0]), 0);
	WAIT_FOR(world_knows_not(0));
	assert_ledger_is_empty();
}

static void test_policy_stays_in_the_domain(void **state)
{
	char *text;

	world_open(1, NULL);
	world_define(0, POLICY);
	assert_int_equal(domain_spawn(world.domain[0]), 0);
	text = domain_xml(world.domain[0]);
	assert_non_null(strstr(text, "<memtide:policy xmlns:memtide=\"urn:memtide:policy:1\">"));
	assert_non_null(strstr(text, "<memtide:floor>256MiB</memtide:floor>"));
	free(text);
	/* while it runs, which nobody but an event tells of */
	libvirtd_forget_events(world.libvirtd);
	assert_int_equal(domain_set_policy(world.domain[0], "<policy><floor>224MiB</floor></policy>",
					   VIR_DOMAIN_AFFECT_LIVE), 0);
	assert_int_equal(libvirtd_wait(world.libvirtd, "alpha", VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
				       VIR_DOMAIN_METADATA_ELEMENT), 0);
	text = domain_policy(world.domain[0], VIR_DOMAIN_AFFECT_LIVE);
	assert_non_null(strstr(text, "<floor>224MiB</floor>"));
	free(text);
	text = domain_policy(world.domain[0], VIR_DOMAIN_AFFECT_CONFIG);
	assert_non_null(strstr(text, "<floor>256MiB</floor>"));
	free(text);
	/* and taken away */
	assert_int_equal(domain_set_policy(world.domain[0], NULL, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG), 0);
	assert_null(domain_policy(world.domain[0], VIR_DOMAIN_AFFECT_LIVE));
	assert_null(domain_policy(world.domain[0], VIR_DOMAIN_AFFECT_CONFIG));
}

static void test_two_domains_trade_memory(void **state)
{
	uint64_t kills;

	world_open(2, NULL);
	for (int i = 0; i < 2; i++) {
		world_define(i, NULL);
		assert_int_equal(domain_spawn(world.domain[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(domain_wait(world.domain[i]), 0);
	for (int i = 0; i < 2; i++)
		world_wait_managed(i);
	WAIT_FOR(world_is_settled());
	for (int turn = 0; turn < 2; turn++) {
		struct vm *vm = domain_vm(world.domain[turn]);

		assert_int_equal(vm_ask(vm, NULL, "fill %llu", NEED), 0);
		assert_true(world_number(turn, "usable") >= NEED);
		assert_true(world_number(1 - turn, "usable") >= WORLD_FLOOR);
		assert_int_equal(vm_ask(vm, NULL, "check"), 0);
		assert_int_equal(vm_ask(vm, NULL, "keep 0"), 0);
	}
	WAIT_FOR(world_is_settled());
	for (int i = 0; i < 2; i++) {
		assert_int_equal(vm_file_value(domain_vm(world.domain[i]), "/proc/vmstat", "oom_kill", &kills), 0);
		assert_int_equal(kills, 0);
	}
	/* one that crashes is forgotten like one that is stopped */
	libvirtd_forget_events(world.libvirtd);
	vm_kill(domain_vm(world.domain[1]));
	assert_int_equal(domain_ended(world.domain[1]), 0);
	WAIT_FOR(world_knows_not(1));
	WAIT_FOR(world_is_settled());
}

static int run(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_domain_is_managed_on_its_terms, world_close),
		cmocka_unit_test_teardown(test_policy_stays_in_the_domain, world_close),
		cmocka_unit_test_teardown(test_two_domains_trade_memory, world_close),
	};

	cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	return apart_run(argc, argv, run);
}
