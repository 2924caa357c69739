// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Domains without a virtio-tide device: memtide-agent stands in for it.  Their memory moves all the same, by their
 * balloon or by reclaim, and what an administrator sets by hand wins until the VM is adopted.
 */
#include <poll.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "apart.h"
#include "cgroup.h"
#include "swap.h"
#include "world.h"

#define POLICY								\
	"<memtide:policy xmlns:memtide='urn:memtide:policy:1'>"		\
	"<memtide:floor>192MiB</memtide:floor></memtide:policy>"
#define USED	(288 * MIB)
#define STEP	(8 * MIB)

static void define_plain(int i, const char *name, bool balloon, const char *policy)
{
	struct vm_options o = {
		.name = name, .memory_bytes = WORLD_RAM, .balloon = balloon,
		.modules = balloon ? "virtio_balloon" : NULL,
	};

	assert_int_equal(domain_define(world.libvirtd, &o, policy, &world.domain[i]), 0);
	assert_int_equal(domain_start(world.domain[i]), 0);
}

static bool text_has(int i, const char *key, const char *words)
{
	json_t *vm = controller_vm(world.controller, domain_name(world.domain[i]));
	const char *text = json_string_value(json_object_get(vm, key));
	bool has = text && strstr(text, words);

	json_decref(vm);
	return has;
}

static void call(const char *method, int i)
{
	assert_int_equal(controller_call(world.controller, method,
					 json_pack("{s:s}", "vm", domain_name(world.domain[i])), NULL), 0);
}

static uint64_t cgroup_number(int i, const char *file)
{
	json_t *vm = controller_vm(world.controller, domain_name(world.domain[i]));
	const char *cgroup = json_string_value(json_object_get(vm, "cgroup"));
	uint64_t value = 0;

	assert_non_null(cgroup);
	assert_int_equal(memtide_cgroup_read(cgroup, file, &value), 0);
	json_decref(vm);
	return value;
}

static void set_maximum(int i, uint64_t bytes)
{
	assert_int_equal(controller_call(world.controller, "vm.set",
					 json_pack("{s:s, s:I}", "vm", domain_name(world.domain[i]), "maximum",
						   (json_int_t)bytes), NULL), 0);
}

static virDomainPtr lookup(int i)
{
	virDomainPtr domain = virDomainLookupByName(libvirtd_connection(world.libvirtd),
						    domain_name(world.domain[i]));

	assert_non_null(domain);
	return domain;
}

/* What `virsh setmem --live` does. */
static void set_balloon(int i, uint64_t bytes)
{
	virDomainPtr domain = lookup(i);

	assert_int_equal(virDomainSetMemoryFlags(domain, bytes >> 10, VIR_DOMAIN_AFFECT_LIVE), 0);
	virDomainFree(domain);
}

static uint64_t balloon_is(int i)
{
	virDomainPtr domain = lookup(i);
	virDomainInfo info;

	assert_int_equal(virDomainGetInfo(domain, &info), 0);
	virDomainFree(domain);
	return (uint64_t)info.memory << 10;
}

static void bring_to(int i, uint64_t bytes)
{
	json_t *params = json_pack("{s:s, s:I, s:I}", "vm", domain_name(world.domain[i]), "floor", (json_int_t)bytes,
				   "maximum", (json_int_t)bytes);

	assert_int_equal(controller_call(world.controller, "vm.set", params, NULL), 0);
	WAIT_FOR(balloon_is(i) == bytes && world_number(i, "charged") == bytes);
}

static void wait_stood_in(int i)
{
	WAIT_FOR(world_is_connected(i));
	world_wait_managed(i);
}

/*
 * With a balloon
 */

static void open_with_plain(void)
{
	world_open(2, NULL);
	define_plain(0, "alpha", true, POLICY);
	world_wait_managed(0);
}

static uint64_t available(int i)
{
	uint64_t bytes = 0;

	assert_int_equal(vm_file_value(domain_vm(world.domain[i]), "/proc/meminfo", "MemAvailable:", &bytes), 0);
	return bytes;
}

/* As a program does that grows: faster than a balloon can follow it would be killed. */
static void use_more_and_more(int i, uint64_t bytes)
{
	for (uint64_t used = 0; used < bytes; used += STEP) {
		WAIT_FOR(available(i) >= 3 * STEP);
		assert_int_equal(vm_ask(domain_vm(world.domain[i]), NULL, "fill %llu", STEP), 0);
	}
	assert_int_equal(vm_ask(domain_vm(world.domain[i]), NULL, "check"), 0);
}

/* What one has and does not use goes to the other one, whichever of them has a device. */
static void test_balloon(void **state)
{
	open_with_plain();
	world_start(1, POLICY);
	assert_true(text_has(0, "device", "virtio-balloon"));
	use_more_and_more(1, USED);
	WAIT_FOR(world_number(0, "usable") + USED <= 2 * WORLD_VM_BUDGET && world_is_settled());
	/* libvirt hears of it once a second */
	WAIT_FOR(balloon_is(0) == world_number(0, "usable"));
	assert_int_equal(vm_ask(domain_vm(world.domain[1]), NULL, "keep 0"), 0);
	use_more_and_more(0, USED);
	assert_true(world_number(0, "usable") >= USED);
	assert_int_equal(domain_destroy(world.domain[0]), 0);
	assert_true(world_knows_not(0));
}

static void test_restarts(void **state)
{
	uint64_t id;

	open_with_plain();
	controller_kill(world.controller);
	assert_int_equal(controller_restart(world.controller, NULL), 0);
	world_wait_managed(0);
	WAIT_FOR(world_is_settled());
	id = world_number(0, "id");
	world_agent_down(SIGKILL);
	WAIT_FOR(!world_is_connected(0));
	assert_true(text_has(0, "device", "virtio-balloon"));
	world_agent_up();
	WAIT_FOR(world_is_connected(0));
	assert_int_equal(world_number(0, "id"), id);
	world_wait_managed(0);
	libvirtd_down(world.libvirtd, SIGKILL);
	assert_int_equal(libvirtd_up(world.libvirtd), 0);
	WAIT_FOR(domain_runs(world.domain[0]));
	world_wait_managed(0);
	/* the agent sees and hears again */
	set_balloon(0, 400 * MIB);
	WAIT_FOR(world_state_is(0, "released"));
}

static void test_set_by_hand(void **state)
{
	open_with_plain();
	set_balloon(0, 320 * MIB);
	WAIT_FOR(world_state_is(0, "released"));
	assert_true(text_has(0, "why", "its balloon was set to 320 MiB"));
	WAIT_FOR(world_number(0, "charged") == 320 * MIB);
	/* whoever is started again */
	controller_kill(world.controller);
	assert_int_equal(controller_restart(world.controller, NULL), 0);
	WAIT_FOR(text_has(0, "why", "its balloon was set to 320 MiB"));
	world_agent_down(SIGTERM);
	WAIT_FOR(!world_is_connected(0));
	world_agent_up();
	WAIT_FOR(world_is_connected(0));
	assert_true(text_has(0, "why", "its balloon was set to 320 MiB"));
	assert_int_equal(balloon_is(0), 320 * MIB);
	set_balloon(0, 300 * MIB);
	WAIT_FOR(text_has(0, "why", "its balloon was set to 300 MiB"));
	call("vm.adopt", 0);
	world_wait_managed(0);
	/* beyond that it would be killed */
	if (world_enforces())
		WAIT_FOR(cgroup_number(0, "memory.max") >= WORLD_RAM);
	use_more_and_more(0, 300 * MIB);
	assert_true(balloon_is(0) > 300 * MIB);
}

/* Also to where it has been on its way; all of it is what a guest has that begins anew, and is nobody's wish. */
static void test_set_back_by_hand(void **state)
{
	open_with_plain();
	bring_to(0, 256 * MIB);
	set_balloon(0, WORLD_RAM);
	WAIT_FOR(balloon_is(0) == WORLD_RAM);
	WAIT_FOR(balloon_is(0) == 256 * MIB);
	assert_true(world_state_is(0, "managed"));
	set_balloon(0, 384 * MIB);
	WAIT_FOR(world_state_is(0, "released"));
	assert_true(text_has(0, "why", "its balloon was set to 384 MiB"));
}

/*
 * Without a balloon
 */

static void need_enforcement(void)
{
	if (world_enforces())
		return;
	print_message("needs cgroup v2 with the memory controller, as in the nested host\n");
	skip();
}

static bool swaps;

/* Nothing in the guest can be asked: what it does not use is swapped out, and comes back when it is touched. */
static void test_reclaim(void **state)
{
	need_enforcement();
	world_open(2, NULL);
	assert_int_equal(swap_on(), 0);
	swaps = true;
	define_plain(0, "alpha", false, POLICY);
	world_wait_managed(0);
	assert_true(text_has(0, "device", "memory.reclaim"));
	assert_int_equal(vm_ask(domain_vm(world.domain[0]), NULL, "fill %llu", USED), 0);
	/* what QEMU is taken to need for itself is more than it does */
	WAIT_FOR(world_number(0, "usable") >= USED - 64 * MIB);
	set_maximum(0, 208 * MIB);
	WAIT_FOR(world_number(0, "usable") <= 208 * MIB && world_is_settled());
	assert_true(cgroup_number(0, "memory.swap.current") > 0);
	/* it may have it back, and takes it when it needs it */
	set_maximum(0, WORLD_RAM);
	assert_int_equal(vm_ask(domain_vm(world.domain[0]), NULL, "check"), 0);
	WAIT_FOR(world_number(0, "usable") > 208 * MIB);
	assert_int_equal(domain_destroy(world.domain[0]), 0);
}

static int close_and_swap_off(void **state)
{
	int r = world_close(state);

	if (swaps && swap_off())
		r = -1;
	swaps = false;
	return r;
}

/*
 * By hand, of a VM with a device
 */

/* What `virsh memtune --soft-limit` does. */
static void set_soft_limit(int i, uint64_t bytes)
{
	virDomainPtr domain = lookup(i);
	virTypedParameterPtr params = NULL;
	int nparams = 0, max = 0;

	assert_int_equal(virTypedParamsAddULLong(&params, &nparams, &max, VIR_DOMAIN_MEMORY_SOFT_LIMIT, bytes >> 10), 0);
	assert_int_equal(virDomainSetMemoryParameters(domain, params, nparams, VIR_DOMAIN_AFFECT_LIVE), 0);
	virTypedParamsFree(params, nparams);
	virDomainFree(domain);
}

static void test_limit_by_hand(void **state)
{
	need_enforcement();
	world_open(2, NULL);
	world_start(0, POLICY);
	WAIT_FOR(world_is_settled());
	set_soft_limit(0, 600 * MIB);
	/* seen when memtided wants to change it */
	set_maximum(0, 320 * MIB);
	WAIT_FOR(world_state_is(0, "released"));
	assert_true(text_has(0, "why", "memory.high was set to 600 MiB"));
	assert_int_equal(cgroup_number(0, "memory.high"), 600 * MIB);
	call("vm.adopt", 0);
	world_wait_managed(0);
	set_maximum(0, 320 * MIB);
	WAIT_FOR(cgroup_number(0, "memory.high") < 600 * MIB);
	assert_true(world_state_is(0, "managed"));
}

/* A VM with both: the balloon is the administrator's. */
static void test_balloon_beside_device(void **state)
{
	struct vm_options o = {
		.name = "alpha", .memory_bytes = WORLD_RAM, .tide = true, .balloon = true,
		.modules = "virtio_tide,virtio_balloon",
	};

	world_open(2, NULL);
	o.vmm_socket = controller_vmm_socket(world.controller);
	assert_int_equal(domain_define(world.libvirtd, &o, POLICY, &world.domain[0]), 0);
	assert_int_equal(domain_start(world.domain[0]), 0);
	world_wait_managed(0);
	assert_true(text_has(0, "device", "virtio-tide"));
	set_balloon(0, 384 * MIB);
	WAIT_FOR(world_state_is(0, "released"));
	assert_true(text_has(0, "why", "its balloon was set to 384 MiB"));
	call("vm.adopt", 0);
	world_wait_managed(0);
}

/* Who has no policy has not asked for anything. */
static void test_no_policy(void **state)
{
	json_t *domain;

	world_open(2, NULL);
	define_plain(0, "alpha", true, NULL);
	define_plain(1, "beta", true, POLICY);
	world_wait_managed(1);
	assert_true(world_knows_not(0));
	domain = world_domain(0);
	assert_non_null(strstr(json_string_value(json_object_get(domain, "why")), "no policy"));
	json_decref(domain);
	assert_int_equal(balloon_is(0), WORLD_RAM);
}

static void set_policy(int i, const char *policy)
{
	assert_int_equal(domain_set_policy(world.domain[i], policy, VIR_DOMAIN_AFFECT_LIVE), 0);
}

/* Back as if it had never been managed, and nobody speaks for it any more. */
static bool has_parted(int i)
{
	return world_state_is(i, "released") && balloon_is(i) == WORLD_RAM && !world_is_connected(i);
}

/* With its policy a VM's memory comes back to it, as soon as there is room. */
static void test_policy_goes(void **state)
{
	json_t *params;

	open_with_plain();
	define_plain(1, "beta", true, POLICY);
	world_wait_managed(1);
	bring_to(1, 448 * MIB);
	WAIT_FOR(balloon_is(0) <= 288 * MIB && world_is_settled());
	set_policy(0, NULL);
	WAIT_FOR(world_has_noted("alpha has a new policy"));
	/* there is no room for that, whoever asks */
	params = json_pack("{s:s}", "vm", "alpha");
	assert_int_equal(controller_call(world.controller, "vm.release", params, NULL), -EREMOTEIO);
	assert_true(world_state_is(0, "managed"));
	bring_to(1, 208 * MIB);
	WAIT_FOR(has_parted(0));
	set_policy(0, "<policy><floor>200MiB</floor></policy>");
	WAIT_FOR(world_is_connected(0));
	world_wait_managed(0);
	assert_int_equal(world_number(0, "floor"), 200 * MIB);
	/* while the agent is not there */
	world_agent_down(SIGTERM);
	set_policy(0, NULL);
	world_agent_up();
	WAIT_FOR(has_parted(0));
	/* and whoever is started again meanwhile */
	world_agent_down(SIGTERM);
	controller_kill(world.controller);
	assert_int_equal(controller_restart(world.controller, NULL), 0);
	world_agent_up();
	set_policy(0, "<policy><floor>208MiB</floor></policy>");
	WAIT_FOR(!world_knows_not(0));
	world_wait_managed(0);
	WAIT_FOR(world_number(0, "floor") == 208 * MIB);
}

/*
 * QEMUs that hang
 */

static void hang(int i, bool hangs)
{
	assert_int_equal(kill(vm_pid(domain_vm(world.domain[i])), hangs ? SIGSTOP : SIGCONT), 0);
}

/* It is asked each two seconds. */
static void wait_unheard(int i)
{
	WAIT_FOR(world_number(i, "stats_age_ms") >= 6000);
}

/* Whoever depends on it waits, and nobody else. */
static void test_hanging(void **state)
{
	open_with_plain();
	define_plain(1, "beta", true, POLICY);
	world_wait_managed(1);
	WAIT_FOR(world_is_settled());
	hang(0, true);
	wait_unheard(0);
	set_policy(1, "<policy><floor>224MiB</floor></policy>");
	WAIT_FOR(world_number(1, "floor") == 224 * MIB);
	bring_to(1, 320 * MIB);
	bring_to(1, 288 * MIB);
	hang(0, false);
	bring_to(0, 256 * MIB);
	/* the agent ends all the same */
	hang(0, true);
	wait_unheard(0);
	world_agent_down(SIGTERM);
	for (int i = 0; i < 2; i++)
		WAIT_FOR(!world_is_connected(i));
	world_agent_up();
	wait_stood_in(1);
	bring_to(1, 304 * MIB);
	hang(0, false);
	wait_stood_in(0);
	bring_to(0, 272 * MIB);
}

static int run(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_balloon, world_close),
		cmocka_unit_test_teardown(test_restarts, world_close),
		cmocka_unit_test_teardown(test_set_by_hand, world_close),
		cmocka_unit_test_teardown(test_set_back_by_hand, world_close),
		cmocka_unit_test_teardown(test_no_policy, world_close),
		cmocka_unit_test_teardown(test_policy_goes, world_close),
		cmocka_unit_test_teardown(test_hanging, world_close),
		cmocka_unit_test_teardown(test_reclaim, close_and_swap_off),
		cmocka_unit_test_teardown(test_limit_by_hand, world_close),
		cmocka_unit_test_teardown(test_balloon_beside_device, world_close),
	};

	cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	return apart_run(argc, argv, run);
}
