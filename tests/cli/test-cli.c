// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The memtide command, as a user calls it, against a real memtided with two made-up VMs: what it prints, what
 * it ends with, and its words for what goes wrong.
 */
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller.h"
#include "peer.h"

#define MIB		(UINT64_C(1) << 20)
#define RAM		(512 * MIB)
#define OUTPUT_SIZE	(256 * 1024)

static struct controller *controller;
static struct peer *peers[2];
static char output[OUTPUT_SIZE];	/* of the last command, standard error included */

/* A command line of `memtide` with the test's socket; runs in a shell. */
static void command_line(char *line, size_t size, const char *words)
{
	snprintf(line, size, "LC_ALL=C.UTF-8 %s/vmm/cli/memtide --socket %s %s 2>&1", getenv("LAB_BUILD"),
		 controller ? controller_control_socket(controller) : "/nowhere/control.sock", words);
}

/* Run `memtide WORDS`; returns its exit status, its output is in @output. */
static int memtide(const char *words)
{
	char line[1024];
	size_t used;
	FILE *f;

	command_line(line, sizeof(line), words);
	f = popen(line, "r");
	assert_non_null(f);
	used = fread(output, 1, sizeof(output) - 1, f);
	output[used] = '\0';
	return WEXITSTATUS(pclose(f));
}

/* Start `memtide WORDS`, which does not end by itself: read from what is returned, then finish(). */
static FILE *spawn(const char *words, pid_t *ret_pid)
{
	char line[1024], command[1040];
	int fd[2];

	command_line(line, sizeof(line), words);
	snprintf(command, sizeof(command), "exec env %s", line);
	assert_int_equal(pipe(fd), 0);
	*ret_pid = fork();
	assert_true(*ret_pid >= 0);
	if (!*ret_pid) {
		dup2(fd[1], STDOUT_FILENO);
		close(fd[0]);
		close(fd[1]);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(fd[1]);
	return fdopen(fd[0], "r");
}

static void finish(FILE *f, pid_t pid)
{
	fclose(f);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void assert_says(const char *words)
{
	if (!strstr(output, words))
		fail_msg("\"%s\" is not in: %s", words, output);
}

static json_t *memtide_json(const char *words, int status)
{
	json_t *json;

	assert_int_equal(memtide(words), status);
	json = json_loads(output, JSON_DECODE_ANY, NULL);
	if (!json)
		fail_msg("no JSON: %s", output);
	return json;
}

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
	assert_int_equal(controller_start("budget = 2G\nreserve = 64M\npolicy = none\n[default]\nfloor = 64M\n",
					  &controller),
			 0);
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
	if (controller && controller_stop(controller))
		return -1;
	controller = NULL;
	return 0;
}

static void test_without_daemon(void **state)
{
	struct controller *saved = controller;

	controller = NULL;
	assert_int_equal(memtide("status"), 1);
	assert_says("no memtided at /nowhere/control.sock");
	assert_says("--socket PATH");
	assert_int_equal(memtide("log --follow"), 1);
	assert_int_equal(memtide("status --watch"), 1);
	controller = saved;
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
		{ "vm set web --floor 512", "for example 512M" },
		{ "vm set web --floor much", "like 384M or 1.5G" },
		{ "vm set web --shares 0", "from 1 to 1000000" },
		{ "vm set web --shares 1x", "from 1 to 1000000" },
		{ "policy load fair --knob idle", "NAME=VALUE" },
		{ "log --after x", "sequence number" },
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		assert_int_equal(memtide(calls[i].words), 2);
		assert_says(calls[i].says);
	}
}

static void test_help(void **state)
{
	static const char *const commands[] = {
		"",	      "status",	  "vm",	    "vm list",	   "vm show",	  "vm set",
		"vm release", "vm adopt", "policy", "policy list", "policy show", "policy load",
		"pause",      "resume",	  "log",    "doctor",
	};
	char words[64];

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		snprintf(words, sizeof(words), "%s --help", commands[i]);
		assert_int_equal(memtide(words), 0);
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
	json = memtide_json("status --json", 0);
	assert_int_equal(json_array_size(json_object_get(json, "vms")), 2);
	assert_int_equal(json_integer_value(json_object_get(json, "budget")), 2048 * MIB);
	json_decref(json);
}

static void test_watch(void **state)
{
	char text[8192];
	pid_t pid;
	FILE *f = spawn("status --watch=0.1 --json", &pid);

	for (int i = 0; i < 3; i++) {
		json_t *json;

		assert_non_null(fgets(text, sizeof(text), f));
		json = json_loads(text, 0, NULL);
		assert_non_null(json_object_get(json, "uptime_ms"));
		json_decref(json);
	}
	finish(f, pid);
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
	json = memtide_json("vm set web --floor 8G --json", 1);
	assert_true(json_is_object(json_object_get(json, "error")));
	json_decref(json);

	assert_int_equal(memtide("vm release web"), 0);
	assert_says("released");
	assert_int_equal(memtide("vm adopt web"), 0);
	assert_says("managed");
}

/* A file is described alike with and without the daemon. */
static void test_policy_of_a_file(void **state)
{
	json_t *here, *there, *knobs;
	char words[512];

	snprintf(words, sizeof(words), "policy show %s/bpf/fair.bpf.o --json", getenv("LAB_BUILD"));
	here = memtide_json(words, 0);
	there = memtide_json("policy show fair --json", 0);
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
	assert_int_equal(memtide(words), 1);
	assert_says("does not verify");
	assert_says("processed ");
	strcat(words, " --json");
	json = memtide_json(words, 1);
	assert_non_null(json_object_get(json_object_get(json_object_get(json, "error"), "data"), "log"));
	json_decref(json);
	assert_int_equal(memtide("policy list"), 0);
	assert_says("* proxmox");
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
	f = spawn("log --json --follow", &pid);
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
	finish(f, pid);
}

static void test_doctor(void **state)
{
	json_t *json = memtide_json("doctor --json", 0), *finding;
	bool daemon = false;
	size_t i;

	json_array_foreach(json_object_get(json, "findings"), i, finding) {
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
		cmocka_unit_test(test_policy_of_a_file),
		cmocka_unit_test(test_loading),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_doctor),
	};

	if (!getenv("LAB_BUILD")) {
		puts("ok 1 - the command # SKIP LAB_BUILD is not set: run this through ./lab\n1..1");
		return 0;
	}
	return cmocka_run_group_tests(tests, start, stop);
}
