// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvirt's domains: the real hook, called as libvirt calls it, and the real memtided, with made-up VMs.  What a
 * domain's policy says holds for its VM from its start to its end, and only what is wrong with that keeps it from
 * starting.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domains-bed.h"

/*
 * From start to end
 */

static void test_start_to_end(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	print_message("prepare with room took %" PRIu64 " ms\n", hook_took_ms);
	assert_string_equal(hook_output, "");
	assert_phase(f, "a", "prepared");
	/* Its maximum is held for it. */
	assert_int_equal(domain_number(f, "a", "held"), 384 * MIB);
	assert_int_equal(status_number(f, "charged"), 384 * MIB);
	assert_hook(&a, "start", 0);
	start_peer_as(f, 0, false);
	assert_policy_of_a(f);
	assert_phase(f, "a", "running");
	assert_int_equal(domain_number(f, "a", "held"), 0);
	assert_int_equal(domain_number(f, "a", "vm"), vm_number(f, "a", "id"));
	assert_hook(&a, "started", 0);
	assert_policy_of_a(f);
	peer_kill(f->peer[0]);
	assert_hook(&a, "stopped", 0);
	assert_hook(&a, "release", 0);
	assert_int_equal(nr_domains(f), 0);
	assert_int_equal(status_number(f, "charged"), 0);
	stop(f);
}

/* QEMU never comes: what was held is free again. */
static void test_start_fails(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	assert_hook(&a, "stopped", 0);
	assert_int_equal(nr_domains(f), 0);
	assert_int_equal(status_number(f, "charged"), 0);
	assert_hook(&a, "release", 0);
	stop(f);
}

/* No hook is called by libvirt then, or none that is heard. */
static void test_crash(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	start_peer(f, 0);
	peer_kill(f->peer[0]);
	wait_no_domain(f);
	stop(f);
}

/* A VM that was there before its domain was known gets its policy when it is. */
static void test_found_running(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	start_peer(f, 0);
	assert_int_equal(vm_number(f, "a", "floor"), 64 * MIB);
	assert_hook(&a, "reconnect", 0);
	assert_policy_of_a(f);
	stop(f);
}

/* As it is for a daemon that did not get to listen during the start: nothing stays held beside what the VM has. */
static void test_device_before_its_hook(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	start_peer(f, 0);
	assert_hook(&a, "prepare", 0);
	write_pid("a", peer_pid(f->peer[0]));
	assert_hook(&a, "started", 0);
	assert_policy_of_a(f);
	assert_int_equal(domain_number(f, "a", "held"), 0);
	wait_charged(f, 384 * MIB);
	stop(f);
}

/* Without a device it is charged all of its memory for as long as its process lives. */
static void test_without_device(void **state)
{
	struct hook_domain plain = b;
	struct fixture *f = start(CONFIG("4G"));
	pid_t pid = start_process();

	plain.no_device = 1;
	assert_hook(&plain, "prepare", 0);
	write_pid("b", pid);
	assert_hook(&plain, "started", 0);
	assert_phase(f, "b", "running");
	assert_int_equal(domain_number(f, "b", "pid"), pid);
	assert_int_equal(status_number(f, "charged"), RAM);
	kill_and_restart(f);
	assert_int_equal(status_number(f, "charged"), RAM);
	end_process(pid);
	wait_no_domain(f);
	assert_int_equal(status_number(f, "charged"), 0);
	stop(f);
}

/*
 * Refusing
 */

static void test_floors(void **state)
{
	struct hook_domain greedy = b;
	struct fixture *f = start(CONFIG("512M"));

	greedy.policy = "<memtide:floor>448MiB</memtide:floor>";
	assert_hook(&a, "prepare", 0);
	assert_hook(&greedy, "prepare", 1);
	print_message("%s", hook_output);
	assert_non_null(strstr(hook_output, "does not start b"));
	assert_non_null(strstr(hook_output, "floor of 448 MiB and the others' of 128 MiB do not fit the budget of 512 MiB"));
	assert_int_equal(nr_domains(f), 1);
	assert_hook(&greedy, "stopped", 0);
	/* Once the other one is gone there is room for it. */
	assert_hook(&a, "release", 0);
	assert_hook(&greedy, "prepare", 0);
	stop(f);
}

static void test_floors_warn(void **state)
{
	struct hook_domain greedy = b;
	struct fixture *f = start("floor-admission = warn\n" CONFIG("512M"));

	greedy.policy = "<memtide:floor>448MiB</memtide:floor>";
	assert_hook(&a, "prepare", 0);
	start_peer(f, 0);
	assert_hook(&greedy, "prepare", 0);
	assert_non_null(strstr(hook_output, "do not fit the budget"));
	start_peer_as(f, 1, false);
	assert_int_equal(vm_number(f, "b", "floor"), 384 * MIB);
	stop(f);
}

static void test_wrong_policy(void **state)
{
	static const struct {
		const char *policy, *words;
	} wrong[] = {
		{ "<memtide:floor>512</memtide:floor>", "a size needs a unit" },
		{ "<memtide:floor>1GiB</memtide:floor>", "above the domain's <memory>" },
		{ "<memtide:flour>1MiB</memtide:flour>", "flour" },
	};
	struct hook_domain bad = a;
	struct fixture *f = start(CONFIG("4G"));

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		bad.policy = wrong[i].policy;
		assert_hook(&bad, "prepare", 1);
		assert_non_null(strstr(hook_output, wrong[i].words));
		assert_non_null(strstr(hook_output, "line "));
		/* What runs is never refused. */
		assert_hook(&bad, "reconnect", 0);
		assert_hook(&bad, "started", 0);
		assert_hook(&bad, "stopped", 0);
		assert_hook(&bad, "release", 0);
	}
	assert_int_equal(nr_domains(f), 0);
	stop(f);
}

/*
 * By hand, and live
 */

static void test_by_hand(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	start_peer(f, 0);
	json_decref(call(f, "vm.set", json_pack("{s:s, s:I}", "vm", "a", "floor", (json_int_t)(192 * MIB))));
	assert_hook(&a, "reconnect", 0);
	assert_int_equal(vm_number(f, "a", "floor"), 192 * MIB);
	kill(controller_pid(f->controller), SIGHUP);
	json_decref(call(f, "domain.metadata", json_pack("{s:s, s:{s:I}}", "uuid", "42424242-4242-4242-4242-424200000001",
							 "policy", "floor", (json_int_t)(256 * MIB))));
	assert_int_equal(vm_number(f, "a", "floor"), 192 * MIB);
	/* Given back, it is as its policy says by now. */
	json_decref(call(f, "vm.release", json_pack("{s:s}", "vm", "a")));
	json_decref(call(f, "vm.adopt", json_pack("{s:s}", "vm", "a")));
	assert_int_equal(vm_number(f, "a", "floor"), 256 * MIB);
	stop(f);
}

static void test_metadata(void **state)
{
	struct fixture *f = start(CONFIG("1G"));

	assert_hook(&a, "prepare", 0);
	start_peer(f, 0);
	assert_int_equal(set_policy(f, json_pack("{s:I, s:i}", "floor", (json_int_t)(192 * MIB), "shares", 300)), 0);
	assert_int_equal(vm_number(f, "a", "floor"), 192 * MIB);
	assert_int_equal(vm_number(f, "a", "maximum"), RAM);
	assert_int_equal(vm_number(f, "a", "shares"), 300);
	/* What does not fit changes nothing. */
	assert_hook(&b, "prepare", 0);
	json_decref(call(f, "status", NULL));
	assert_int_equal(set_policy(f, json_pack("{s:I, s:I}", "floor", (json_int_t)(256 * MIB), "maximum", (json_int_t)MIB)),
			 -EREMOTEIO);
	assert_int_equal(vm_number(f, "a", "floor"), 192 * MIB);
	kill_and_restart(f);
	wait_connections(f, 0, 2);
	assert_int_equal(vm_number(f, "a", "floor"), 192 * MIB);
	assert_int_equal(vm_number(f, "a", "shares"), 300);
	/* None any more: as the configuration says. */
	assert_int_equal(set_policy(f, json_null()), 0);
	assert_int_equal(vm_number(f, "a", "floor"), 64 * MIB);
	stop(f);
}

/* Who has read the XML says what is wrong in it, and nothing changes. */
static void test_wrong_metadata(void **state)
{
	static const char words[] = "line 7, <flor>: not known";
	struct fixture *f = start(CONFIG("1G"));
	json_t *log, *entry;
	bool noted = false;
	size_t i;

	assert_hook(&a, "prepare", 0);
	start_peer(f, 0);
	json_decref(call(f, "domain.metadata", json_pack("{s:s, s:s}", "uuid", "42424242-4242-4242-4242-424200000001",
							 "error", words)));
	assert_policy_of_a(f);
	log = call(f, "log", NULL);
	json_array_foreach(json_object_get(log, "entries"), i, entry)
		noted |= !strcmp(text(entry, "vm"), "a") && strstr(text(entry, "message"), words);
	json_decref(log);
	assert_true(noted);
	stop(f);
}

static bool is_stopped(struct fixture *f, pid_t pid)
{
	json_t *result = call(f, "domain.stopped", json_pack("{s:s, s:i}", "uuid",
							     "42424242-4242-4242-4242-424200000001", "pid", (int)pid));
	bool known = json_is_true(json_object_get(result, "known"));

	json_decref(result);
	return known;
}

/* Who hears of an end late, when the domain starts again or runs, does not end that. */
static void test_end_of_an_earlier_run(void **state)
{
	struct fixture *f = start(CONFIG("1G"));
	pid_t pid;
	json_t *shown;

	assert_hook(&a, "prepare", 0);
	assert_false(is_stopped(f, 0));
	assert_false(is_stopped(f, getpid()));
	assert_phase(f, "a", "prepared");
	start_peer(f, 0);
	assert_hook(&a, "started", 0);
	shown = call(f, "domain.show", json_pack("{s:s}", "uuid", "42424242-4242-4242-4242-424200000001"));
	assert_string_equal(text(shown, "phase"), "running");
	assert_false(json_is_true(json_object_get(shown, "changing")));
	pid = (pid_t)number(shown, "pid");
	json_decref(shown);
	assert_false(is_stopped(f, 0));
	assert_false(is_stopped(f, pid + 1));
	assert_phase(f, "a", "running");
	assert_true(is_stopped(f, pid));
	assert_int_equal(nr_domains(f), 0);
	stop(f);
}

/* [PATTERN]: only the tests whose names match. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start_to_end),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_found_running),
		cmocka_unit_test(test_device_before_its_hook),
		cmocka_unit_test(test_without_device),
		cmocka_unit_test(test_floors),
		cmocka_unit_test(test_floors_warn),
		cmocka_unit_test(test_wrong_policy),
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_wrong_metadata),
		cmocka_unit_test(test_end_of_an_earlier_run),
	};

	signal(SIGPIPE, SIG_IGN);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
