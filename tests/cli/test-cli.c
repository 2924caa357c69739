// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The memtide command, as a user calls it, against a real memtided with two made-up VMs: what it prints, what
 * it ends with, and its words for what goes wrong.
 */
#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "command.h"
#include "controller.h"
#include "peer.h"

#define MIB		(UINT64_C(1) << 20)
#define RAM		(512 * MIB)
#define MANY		2000

static struct controller *controller;
static struct peer *peers[2];

static json_int_t vm_member(const char *vm, const char *member)
{
	json_t *json = controller_vm(controller, vm);
	json_int_t value = json_integer_value(json_object_get(json, member));

	assert_non_null(json);
	json_decref(json);
	return value;
}

static int start(void **state)
{
	static const char *const names[] = { "web", "db" };
	struct memtide_errtext errtext;

	if (!getenv("LAB_BUILD"))
		return 0;
	assert_int_equal(controller_start("budget = 2G\nreserve = 64M\npolicy = none\n[default]\nfloor = 64M\n"
					  "[tenant blue]\nbudget = 1G\nshares = 200\n",
					  &controller),
			 0);
	command_socket = controller_control_socket(controller);
	for (uint8_t i = 0; i < 2; i++) {
		struct peer_options options = {
			.name = names[i], .uuid_end = i + 1, .ram = RAM, .needs = 32 * MIB
		};

		assert_int_equal(peer_new(&options, &peers[i]), 0);
		assert_int_equal(peer_spawn(peers[i], controller_vmm_socket(controller), &errtext), 0);
	}
	return 0;
}

static int stop(void **state)
{
	for (int i = 0; i < 2; i++) {
		peer_free(peers[i]);
		peers[i] = NULL;
	}
	command_socket = NULL;
	if (controller && controller_stop(controller))
		return -1;
	controller = NULL;
	return 0;
}

static void test_without_daemon(void **state)
{
	const char *saved = command_socket;

	command_socket = NULL;
	assert_int_equal(memtide("status"), 1);
	assert_says("no memtided at /nowhere/control.sock");
	assert_says("--socket PATH");
	assert_int_equal(memtide("log --follow"), 1);
	assert_int_equal(memtide("status --watch"), 1);
	/* What the policies themselves and the kernel say does not need one. */
	assert_int_equal(memtide("policy list"), 0);
	assert_int_equal(memtide("policy show nowhere"), 1);
	assert_says("no policy nowhere");
	command_socket = saved;
}

static void test_wrong_calls(void **state)
{
	static const struct {
		const char *words;
		const char *says;
	} calls[] = {
		{ "", "Usage: memtide" },
		{ "nope", "no command nope" },
		{ "vm", "vm release VM" },
		{ "vm nope", "no command vm nope" },
		{ "vm show", "usage: memtide vm show VM" },
		{ "vm show a b", "usage: memtide vm show VM" },
		{ "status --nope", "no option --nope" },
		{ "status --follow", "status does not take --follow" },
		{ "status --watch=0", "seconds from 0.1 to 3600" },
		{ "vm set web", "nothing to set" },
		{ "vm release web --timeout soon", "seconds from 0 to 86400" },
		{ "vm adopt web --timeout 1", "vm adopt does not take --timeout" },
		{ "vm set web --floor 512", "for example 512M" },
		{ "vm set web --floor much", "like 384M or 1.5G" },
		{ "vm set web --shares 0", "from 1 to 1000000" },
		{ "vm set web --shares 1x", "from 1 to 1000000" },
		{ "vm set web --budget 1G", "vm set does not take --budget" },
		{ "tenant show", "usage: memtide tenant show TENANT" },
		{ "tenant set blue", "nothing to set" },
		{ "tenant set blue --floor 1G", "tenant set does not take --floor" },
		{ "tenant set blue --budget 512", "for example 512M" },
		{ "tenant set blue --ksm on", "takes tenant or off" },
		{ "tenant set blue --ksm-rate-pages 0", "from 1 to 2147483647" },
		{ "policy load fair --knob idle", "NAME=VALUE" },
		{ "log --after x", "sequence number" },
		{ "policy attach fair", "--vm NAME or --cgroup PATH" },
		{ "policy attach fair --vm a --cgroup b", "--vm NAME or --cgroup PATH" },
		{ "policy detach", "--vm NAME or --cgroup PATH" },
		{ "policy detach a b --vm x", "usage: memtide policy detach [FAMILY|NAME]" },
		{ "policy load fair --cgroup /x", "does not take --vm and --cgroup" },
		{ "ksm set", "nothing to set" },
		{ "ksm set --qmp /x --knob merge=maybe", "merge=on or --knob merge=off" },
		{ "ksm set --qmp /x --tenant 7 --knob merge=on", "give one of them" },
		{ "ksm --tenant 7", "does not take --tenant" },
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		assert_int_equal(memtide("%s", calls[i].words), 2);
		assert_says(calls[i].says);
	}
}

static void test_help(void **state)
{
	static const char *const commands[] = {
		"",	      "status",	  "vm",	    "vm list",	   "vm show",	  "vm set",
		"vm release", "vm adopt", "domain list", "policy", "policy list", "policy show", "policy load",
		"pause",      "resume",	  "log",    "doctor",	   "eject",	  "ksm",
		"ksm set",    "ksm open",	  "policy attach", "policy replace", "policy detach",
	};
	char words[64];

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		snprintf(words, sizeof(words), "%s --help", commands[i]);
		assert_int_equal(memtide("%s", words), 0);
		assert_says("Usage: memtide");
		assert_says(commands[i]);
	}
}

static void test_status(void **state)
{
	json_t *json;

	assert_int_equal(memtide("status"), 0);
	assert_says("policy none");
	assert_says("2 GiB (fixed)");
	assert_says("web");
	assert_says("█");
	assert_int_equal(memtide("vm list"), 0);
	assert_says("db");
	json = memtide_json(0, "status --json");
	assert_int_equal(json_array_size(json_object_get(json, "vms")), 2);
	assert_int_equal(json_integer_value(json_object_get(json, "budget")), 2048 * MIB);
	json_decref(json);
}

static void test_watch(void **state)
{
	char text[8192];
	pid_t pid;
	FILE *f = command_spawn("status --watch=0.1 --json", &pid);

	for (int i = 0; i < 3; i++) {
		json_t *json;

		assert_non_null(fgets(text, sizeof(text), f));
		json = json_loads(text, 0, NULL);
		assert_non_null(json_object_get(json, "uptime_ms"));
		json_decref(json);
	}
	command_finish(f, pid);
}

static void test_one_vm(void **state)
{
	json_t *json;

	assert_int_equal(memtide("vm show web"), 0);
	assert_says("entitlement");
	assert_says("not enforced");
	assert_int_equal(memtide("vm show nobody"), 1);
	assert_says("nobody");

	assert_int_equal(memtide("vm set web --floor 128M --shares 300"), 0);
	assert_int_equal(vm_member("web", "floor"), 128 * MIB);
	assert_int_equal(vm_member("web", "shares"), 300);
	assert_int_equal(memtide("vm set web --floor 8G"), 1);
	assert_int_equal(vm_member("web", "floor"), 128 * MIB);
	json = memtide_json(1, "vm set web --floor 8G --json");
	assert_true(json_is_object(json_object_get(json, "error")));
	json_decref(json);

	assert_int_equal(memtide("vm release web"), 0);
	assert_says("released");
	assert_int_equal(memtide("vm adopt web"), 0);
	assert_says("managed");
}

/* Done is when all is back: what is called after it may rely on that. */
static void test_release_waits(void **state)
{
	json_t *json;

	assert_int_equal(memtide("vm set web --maximum 128M"), 0);
	assert_int_equal(peer_wait_ceiling(peers[0], 128 * MIB, 128 * MIB, 10000), 0);
	for (int i = 0; i < 10000 && vm_member("web", "given") != RAM - 128 * MIB; i++)
		poll(NULL, 0, 1);
	peer_set_manner(peers[0], PEER_MUTE);
	json = memtide_json(1, "vm release web --timeout 1 --json");
	assert_true(json_is_object(json_object_get(json, "error")));
	json_decref(json);
	assert_int_equal(memtide("vm release web --timeout 1"), 1);
	assert_says("384 MiB of its memory are not back after 1 s");
	assert_int_equal(memtide("vm release web --timeout 0"), 0);
	peer_set_manner(peers[0], PEER_HONEST);
	json = memtide_json(0, "vm release web --json");
	assert_int_equal(json_integer_value(json_object_get(json, "given")), 0);
	json_decref(json);
	assert_int_equal(memtide("vm adopt web"), 0);
}

static void tell_domain(int i, const char *name, const char *obstacle, json_t *policy)
{
	char uuid[37];
	json_t *result;

	snprintf(uuid, sizeof(uuid), "00000000-0000-0000-0001-%012d", i);
	assert_int_equal(controller_call(controller, "domain.started",
					 json_pack("{s:{s:s, s:s, s:i, s:b, s:[s], s:o}}", "domain", "name", name, "uuid",
						   uuid, "memory", (int)MIB, "device", false, "obstacles", obstacle,
						   "policy", policy), &result), 0);
	json_decref(result);
}

static void forget_domain(int i)
{
	char uuid[37];
	json_t *result;

	snprintf(uuid, sizeof(uuid), "00000000-0000-0000-0001-%012d", i);
	assert_int_equal(controller_call(controller, "domain.stopped", json_pack("{s:s}", "uuid", uuid), &result), 0);
	json_decref(result);
}

static void test_domains(void **state)
{
	json_t *json, *domains;

	tell_domain(0, "router", "vfio", json_pack("{s:s, s:I, s:i}", "tenant", "blue", "floor", (json_int_t)MIB / 2,
						   "shares", 300));
	assert_int_equal(memtide("domain list"), 0);
	assert_says("router");
	assert_says("blue");
	assert_says("unmanaged");
	assert_says("floor 512 KiB, shares 300");
	assert_says("vfio: no memory can be taken from it");
	assert_int_equal(memtide("vm list"), 0);
	assert_says("web");
	assert_says("vfio: no memory can be taken from it");
	json = memtide_json(0, "vm list --json");
	assert_int_equal(json_array_size(json_object_get(json, "vms")), 2);
	domains = json_object_get(json, "domains");
	assert_int_equal(json_array_size(domains), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(domains, 0), "name")), "router");
	json_decref(json);
	forget_domain(0);
	json = memtide_json(0, "domain list --json");
	assert_int_equal(json_array_size(json_object_get(json, "domains")), 0);
	json_decref(json);
}

/* More than a line of the control socket has room for. */
static void test_many_domains(void **state)
{
	char name[250];
	json_t *json;
	pid_t pid;
	FILE *f;

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	for (int i = 0; i < MANY; i++)
		tell_domain(i, name, "locked", json_null());
	assert_int_equal(controller_call(controller, "domain.list", NULL, &json), 0);
	assert_true(json_integer_value(json_object_get(json, "domains_left_out")) > 0);
	assert_int_equal(json_integer_value(json_object_get(json, "domains_left_out")) +
			 json_array_size(json_object_get(json, "domains")), MANY);
	json_decref(json);
	f = command_spawn("domain list --json", &pid);
	json = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
	command_finish(f, pid);
	assert_int_equal(json_array_size(json_object_get(json, "domains")), MANY);
	assert_null(json_object_get(json, "domains_left_out"));
	json_decref(json);
	for (int i = 0; i < MANY; i++)
		forget_domain(i);
}

/* A file is described alike with and without the daemon. */
static void test_tenants(void **state)
{
	json_t *json;

	assert_int_equal(memtide("tenant list"), 0);
	assert_says("TENANT");
	assert_says("blue");
	assert_int_equal(memtide("tenant show nobody"), 1);
	assert_says("no tenant is \"nobody\"");
	json = memtide_json(0, "tenant show blue --json");
	assert_true(json_integer_value(json_object_get(json, "number")) > 0);
	assert_int_equal(json_integer_value(json_object_get(json, "budget")), 1024 * MIB);
	assert_int_equal(json_integer_value(json_object_get(json, "shares")), 200);
	assert_string_equal(json_string_value(json_object_get(json, "ksm")), "tenant");
	json_decref(json);
	json = memtide_json(0, "tenant set blue --budget none --shares 300 --ksm off --ksm-rate-pages 100 --json");
	assert_true(json_is_null(json_object_get(json, "budget")));
	assert_int_equal(json_integer_value(json_object_get(json, "ksm_rate_pages")), 100);
	json_decref(json);
	assert_int_equal(memtide("tenant show blue"), 0);
	assert_says("set by hand");
	assert_says("300");
	json = memtide_json(0, "tenant list --json");
	assert_int_equal(json_array_size(json_object_get(json, "tenants")), 1);
	json_decref(json);
}

static void test_policy_of_a_file(void **state)
{
	json_t *here, *there, *knobs;
	char words[512];

	snprintf(words, sizeof(words), "policy show %s/bpf/fair.bpf.o --json", getenv("LAB_BUILD"));
	here = memtide_json(0, "%s", words);
	there = memtide_json(0, "policy show fair --json");
	knobs = json_object_get(here, "knobs");
	assert_true(json_array_size(knobs) > 5);
	assert_true(json_equal(knobs, json_object_get(there, "knobs")));
	assert_true(json_equal(json_object_get(here, "about"), json_object_get(there, "about")));
	json_decref(here);
	json_decref(there);
	assert_int_equal(memtide("policy show /proc/self/exe"), 1);
	assert_says("/proc/self/exe");
	assert_int_equal(memtide("policy show ./nowhere.bpf.o"), 1);
	assert_says("./nowhere.bpf.o");
}

static void test_loading(void **state)
{
	char words[512];
	json_t *json;

	if (geteuid())
		skip();
	assert_int_equal(memtide("policy load proxmox --knob step_bytes=64M --knob target_percent=90"), 0);
	assert_says("step_bytes = 67108864");
	assert_says("target_percent = 90");
	assert_int_equal(memtide("policy list"), 0);
	assert_says("* proxmox");

	assert_int_equal(memtide("policy load fair --knob idle_ms=1"), 1);
	assert_says("from 100 to 3600000");
	assert_int_equal(memtide("policy load fair --knob nope=1"), 1);
	assert_says("idle_tax_percent");
	assert_int_equal(memtide("policy load nowhere"), 1);
	assert_says("nowhere");
	snprintf(words, sizeof(words), "policy load %s/tests/bpf/unverifiable.bpf.o", getenv("LAB_BUILD"));
	assert_int_equal(memtide("%s", words), 1);
	assert_says("does not verify");
	assert_says("processed ");
	strcat(words, " --json");
	json = memtide_json(1, "%s", words);
	assert_non_null(json_object_get(json_object_get(json_object_get(json, "error"), "data"), "log"));
	json_decref(json);
	assert_int_equal(memtide("policy list"), 0);
	assert_says("* proxmox");
}

/* What holds on every kernel; what needs one with the hooks is in test-hooks.c. */
static void test_policies_on_cgroups(void **state)
{
	const char *build = getenv("LAB_BUILD");
	json_t *json;

	assert_int_equal(memtide("policy attach %s/tests/bpf/ksm-minimal.bpf.o --vm nobody", build), 1);
	assert_says("nobody");
	assert_int_equal(memtide("policy attach %s/tests/bpf/ksm-minimal.bpf.o --vm web", build), 1);
	assert_says("no cgroup of its own");
	assert_int_equal(memtide("policy attach %s/tests/bpf/ksm-minimal.bpf.o --cgroup /nowhere", build), 1);
	assert_says("/nowhere");
	assert_int_equal(memtide("policy attach %s/tests/bpf/ksm-minimal.bpf.o --cgroup /proc", build), 1);
	assert_says("no cgroup of version 2");
	assert_int_equal(memtide("policy attach fair --cgroup /nowhere"), 1);
	assert_says("memtide policy load fair");
	assert_int_equal(memtide("policy load %s/tests/bpf/ksm-minimal.bpf.o", build), 1);
	assert_says("memtide policy attach ksm-minimal");
	json = memtide_json(1, "policy detach --cgroup /nowhere --json");
	assert_non_null(json_object_get(json_object_get(json, "error"), "message"));
	json_decref(json);
	json = memtide_json(0, "policy list --json");
	assert_true(json_is_array(json_object_get(json, "attached")));
	json_decref(json);
}

static void test_ksm(void **state)
{
	json_t *json = memtide_json(access("/sys/kernel/mm/ksm/run", F_OK) ? 1 : 0, "ksm --json");

	if (!json_object_get(json, "error")) {
		assert_true(json_is_object(json_object_get(json, "ksmd")));
		/* A kernel without the hooks is told from one that has them, and what it lacks is said. */
		assert_int_equal(json_is_true(json_object_get(json, "hooks")),
				 !access("/sys/kernel/tide/policies", F_OK));
		assert_int_equal(json_is_true(json_object_get(json, "hooks")), !json_object_get(json, "cannot"));
	}
	json_decref(json);
	assert_int_equal(memtide("ksm set --knob nope=1"), 1);
	assert_says("pages_to_scan");
}

/* A QEMU with nothing but memory and a monitor, stopped. */
static pid_t start_qemu(const char *monitor)
{
	char qmp[300];
	pid_t pid;

	snprintf(qmp, sizeof(qmp), "unix:%s,server=on,wait=off", monitor);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(getenv("LAB_QEMU"), "qemu", "-L", "/usr/share/seabios", "-L", "/usr/share/qemu", "-nodefaults",
		      "-no-user-config", "-display", "none", "-machine", "q35", "-accel", "tcg", "-m", "64", "-S", "-qmp",
		      qmp, NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	while (access(monitor, F_OK) && !waitpid(pid, NULL, WNOHANG))
		poll(NULL, 0, 10);
	return pid;
}

/* How much of a process's address space KSM may merge, in MiB. */
static unsigned long mergeable_mib(pid_t pid)
{
	unsigned long size = 0, sum = 0;
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "Size: %lu kB", &size);
		if (!strncmp(line, "VmFlags:", 8) && strstr(line, " mg"))
			sum += size;
	}
	fclose(f);
	return sum >> 10;
}

/* What is left on a kernel without the hooks: one VM is taken out of merging, and let in again. */
static void test_merging_of_one_vm(void **state)
{
	char folder[] = "/tmp/memtide-cli.XXXXXX", monitor[64];
	json_t *json;
	pid_t pid;

	if (!getenv("LAB_QEMU") || access("/sys/kernel/mm/ksm/run", F_OK))
		skip();
	assert_non_null(mkdtemp(folder));
	snprintf(monitor, sizeof(monitor), "%s/qmp", folder);
	pid = start_qemu(monitor);
	json = memtide_json(0, "ksm set --qmp %s --knob merge=off --json", monitor);
	assert_int_equal(json_integer_value(json_object_get(json, "backends")), 1);
	json_decref(json);
	/* firmware is no backend, and stays as it is */
	assert_true(mergeable_mib(pid) < 64);
	assert_int_equal(memtide("ksm set --qmp %s --knob merge=on", monitor), 0);
	assert_says("1 memory backend: pages are merged");
	assert_true(mergeable_mib(pid) >= 64);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(memtide("ksm set --qmp %s --knob merge=on", monitor), 1);
	assert_says(monitor);
	unlink(monitor);
	rmdir(folder);
}

static void test_pause(void **state)
{
	assert_int_equal(memtide("pause"), 0);
	assert_says("paused");
	assert_int_equal(memtide("status"), 0);
	assert_says("PAUSED");
	assert_int_equal(memtide("resume"), 0);
	assert_says("running");
}

static void test_log(void **state)
{
	json_t *entry = NULL;
	char text[8192];
	pid_t pid;
	FILE *f;

	assert_int_equal(memtide("log"), 0);
	assert_says("web");
	f = command_spawn("log --json --follow", &pid);
	/* With its first line it is there, and misses nothing from then on. */
	assert_non_null(fgets(text, sizeof(text), f));
	assert_int_equal(memtide("vm set db --shares 77"), 0);
	do {
		json_decref(entry);
		assert_non_null(fgets(text, sizeof(text), f));
		entry = json_loads(text, 0, NULL);
		assert_non_null(json_object_get(entry, "seq"));
	} while (!strstr(json_string_value(json_object_get(entry, "message")), "77"));
	json_decref(entry);
	command_finish(f, pid);
}

static void test_doctor(void **state)
{
	json_t *json = memtide_json(0, "doctor --json"), *finding;
	bool daemon = false;
	size_t i;

	json_array_foreach(json_object_get(json, "findings"), i, finding) {
		assert_non_null(json_object_get(finding, "found"));
		assert_true(*json_string_value(json_object_get(finding, "why")));
		assert_non_null(json_object_get(finding, "mend"));
		daemon |= !strcmp(json_string_value(json_object_get(finding, "check")), "memtided") &&
			  !strcmp(json_string_value(json_object_get(finding, "verdict")), "ok");
	}
	assert_true(daemon);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_daemon),
		cmocka_unit_test(test_wrong_calls),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_one_vm),
		cmocka_unit_test(test_release_waits),
		cmocka_unit_test(test_tenants),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_policy_of_a_file),
		cmocka_unit_test(test_loading),
		cmocka_unit_test(test_policies_on_cgroups),
		cmocka_unit_test(test_ksm),
		cmocka_unit_test(test_merging_of_one_vm),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_doctor),
		/* last: it fills the log */
		cmocka_unit_test(test_many_domains),
	};

	if (!getenv("LAB_BUILD")) {
		puts("ok 1 - the command # SKIP LAB_BUILD is not set: run this through ./lab\n1..1");
		return 0;
	}
	return cmocka_run_group_tests(tests, start, stop);
}
