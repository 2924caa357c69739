// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Policies on cgroups through the memtide command, in a kernel with the hooks: attach, list, replace, detach,
 * eject, ksm; and the words for what the kernel refuses.  Whether the kernel does as they say is for
 * tests/host-kernel.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "command.h"
#include "controller.h"
#include "peer.h"

#define CGROUP		"/sys/fs/cgroup/memtide-test"
#define BELOW		CGROUP "/below"
#define BESIDE		CGROUP "/beside"
#define VM		CGROUP "/vm"
#define MIB		(UINT64_C(1) << 20)
#define GONE_TRIES	6000	/* of 10 ms: for what takes milliseconds on a machine that does nothing else */

static const char *build;

static char *policy(const char *name)
{
	static char file[512];

	snprintf(file, sizeof(file), "%s/tests/bpf/%s.bpf.o", build, name);
	if (access(file, F_OK))
		snprintf(file, sizeof(file), "%s/bpf/%s.bpf.o", build, name);
	return file;
}

static void copy_policy(const char *name, const char *to)
{
	char command[1024];

	snprintf(command, sizeof(command), "cp -- %s %s", policy(name), to);
	assert_int_equal(system(command), 0);
}

/* What `policy list` says of a cgroup and of @family, or, with NULL, of any; NULL if nothing is there. */
static json_t *attached_of(const char *family, const char *cgroup)
{
	json_t *list = memtide_json(0, "policy list --json"), *one, *found = NULL;
	size_t i;

	json_array_foreach(json_object_get(list, "attached"), i, one)
		if (!found && !strcmp(json_string_value(json_object_get(one, "cgroup")) ?: "", cgroup) &&
		    (!family || !strcmp(json_string_value(json_object_get(one, "family")), family)))
			found = json_incref(one);
	json_decref(list);
	return found;
}

static json_t *attached_to(const char *cgroup)
{
	return attached_of(NULL, cgroup);
}

static void assert_attached(const char *cgroup, const char *name, const char *knob, json_int_t value)
{
	json_t *one = attached_to(cgroup), *knobs = json_object_get(one, "knobs");

	if (!one)
		fail_msg("nothing is attached to %s", cgroup);
	assert_string_equal(json_string_value(json_object_get(one, "name")), name);
	assert_string_equal(json_string_value(json_object_get(one, "state")), "attached");
	assert_true(json_is_true(json_object_get(one, "in_force")));
	assert_false(access(json_string_value(json_object_get(one, "pin")), F_OK));
	if (json_integer_value(json_object_get(knobs, knob)) != value)
		fail_msg("%s is %lld, not %lld", knob, (long long)json_integer_value(json_object_get(knobs, knob)),
			 (long long)value);
	json_decref(one);
}

static void wait_until_gone(const char *cgroup)
{
	for (int i = 0; i < GONE_TRIES; i++) {
		json_t *one = attached_to(cgroup);
		const char *state = json_string_value(json_object_get(one, "state"));
		bool gone = !state || !strcmp(state, "in force no more");

		json_decref(one);
		if (gone)
			return;
		poll(NULL, 0, 10);
	}
	fail_msg("%s still has a policy", cgroup);
}

static void wait_until_says(const char *words, const char *says)
{
	for (int i = 0; i < GONE_TRIES; i++) {
		memtide("%s", words);
		if (strstr(command_output, says))
			return;
		poll(NULL, 0, 10);
	}
	assert_says(says);
}

static int start(void **state)
{
	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		return -1;
	return 0;
}

static int stop(void **state)
{
	memtide("policy detach --cgroup %s", CGROUP);
	rmdir(BELOW);
	rmdir(BESIDE);
	return rmdir(CGROUP);
}

static void test_attach(void **state)
{
	json_t *one;

	assert_int_equal(memtide("policy attach %s --cgroup %s --knob domain=7", policy("ksm-minimal"), CGROUP), 0);
	assert_says("ksm policy ksm_minimal on " CGROUP ": attached");
	assert_says("domain = 7");
	assert_attached(CGROUP, "ksm_minimal", "domain", 7);
	one = attached_to(CGROUP);
	assert_string_equal(json_string_value(json_object_get(one, "file")), policy("ksm-minimal"));
	assert_true(json_is_integer(json_object_get(json_object_get(one, "counts"), "scanned")));
	json_decref(one);

	/* Paths as in /proc/PID/cgroup are good, too. */
	assert_int_equal(memtide("policy attach %s --cgroup /memtide-test", policy("ksm-minimal")), 1);
	assert_says("attached to /memtide-test already");
	assert_says("policy replace");
}

static void test_nearer_cgroups(void **state)
{
	assert_int_equal(mkdir(BELOW, 0755), 0);
	assert_int_equal(memtide("policy attach %s --cgroup %s", policy("ksm-off"), BELOW), 1);
	assert_says("has no memory controller");
	assert_says("cgroup.subtree_control");
	assert_int_equal(system("echo +memory >" CGROUP "/cgroup.subtree_control"), 0);
	assert_int_equal(memtide("policy attach %s --cgroup %s", policy("ksm-off"), BELOW), 0);
	assert_attached(CGROUP, "ksm_minimal", "domain", 7);
	assert_attached(BELOW, "ksm_off", "domain", 0);
	/* What is left of it when its cgroup goes is no obstacle and no policy. */
	assert_int_equal(rmdir(BELOW), 0);
	wait_until_gone(BELOW);
}

static void enter(const char *cgroup)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "%d\n", (int)getpid());
	assert_int_equal(fclose(f), 0);
}

/* A VM is found by its name, and so is a policy; both are memtided's to know. */
static void test_vm(void **state)
{
	struct peer_options options = { .name = "web", .uuid_end = 1, .ram = 512 * MIB, .needs = 32 * MIB };
	struct memtide_errtext errtext;
	struct controller *controller;
	struct peer *peer;

	assert_int_equal(controller_start("budget = 2G\nreserve = 64M\npolicy = none\n", &controller), 0);
	command_socket = controller_control_socket(controller);
	assert_int_equal(mkdir(VM, 0755), 0);
	enter(VM);
	assert_int_equal(peer_new(&options, &peer), 0);
	assert_int_equal(peer_spawn(peer, controller_vmm_socket(controller), &errtext), 0);
	enter("/sys/fs/cgroup/lab");
	/* it connects again, and now it has the cgroup for itself */
	controller_kill(controller);
	assert_int_equal(controller_restart(controller, NULL), 0);
	wait_until_says("vm show web", VM);

	assert_int_equal(memtide("policy attach ksm-off --vm web"), 0);
	assert_says("ksm_off on " VM ": attached");
	assert_attached(VM, "ksm_off", "domain", 0);
	assert_int_equal(memtide("policy attach nowhere --vm web"), 1);
	assert_says("nowhere");
	assert_int_equal(memtide("policy attach thp-never --vm web"), 0);
	assert_says("thp_never on " VM ": attached");
	assert_int_equal(memtide("policy detach --vm web"), 1);
	assert_says("Say which");
	assert_int_equal(memtide("policy detach ksm-off --vm web"), 0);
	assert_int_equal(memtide("policy replace thp-always --vm web"), 0);

	/* memtided tells of what the kernel throws out, and of what is detached it does not. */
	assert_int_equal(memtide("policy attach ksm-off --vm web"), 0);
	assert_int_equal(memtide("eject"), 0);
	assert_says("2 policies ejected");
	wait_until_says("log", "the kernel has ejected thp policy thp_always of cgroup " VM);
	wait_until_says("log", "the kernel has ejected ksm policy ksm_off of cgroup " VM);
	assert_says("all were ejected by /sys/kernel/tide/eject");

	peer_free(peer);
	command_socket = NULL;
	assert_int_equal(controller_stop(controller), 0);
	assert_int_equal(rmdir(VM), 0);
}

static void test_replace(void **state)
{
	assert_int_equal(memtide("policy replace %s --cgroup %s --knob domain=7 --knob rate_pages=100",
				 policy("ksm-tenant"), CGROUP), 0);
	assert_attached(CGROUP, "ksm_tenant", "rate_pages", 100);
	assert_attached(CGROUP, "ksm_tenant", "domain", 7);
	assert_int_equal(memtide("policy replace %s --cgroup %s --knob rate=100", policy("ksm-tenant"), CGROUP), 1);
	assert_says("has no knob rate; it has rate_pages");
	assert_int_equal(memtide("policy replace %s --cgroup %s --knob settle_scans=1000", policy("ksm-tenant"),
				 CGROUP), 1);
	assert_says("from 1 to 255");
}

/* Each is refused in words, and the policy before it stays. */
static void test_what_is_refused(void **state)
{
	static const struct {
		const char *name;
		const char *says;
	} bad[] = {
		{ "ksm-unverifiable", "does not verify" },
		{ "ksm-alloc-map", "map passes (hash, BPF_F_NO_PREALLOC) allocates memory" },
		{ "ksm-timer", "does not verify" },
		{ "ksm-obj-new", "does not verify" },
		{ "ksm-sleepable", "may sleep" },
		{ "ksm-nameless", "is no .name" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(memtide("policy replace %s --cgroup %s --knob domain=7", policy(bad[i].name), CGROUP),
				 1);
		assert_says(bad[i].says);
		assert_attached(CGROUP, "ksm_tenant", "rate_pages", 100);
	}
	assert_int_equal(memtide("policy replace %s --cgroup /sys/fs/cgroup", policy("ksm-minimal")), 1);
	assert_says("no ksm policy that could be replaced");
}

static void test_ksm(void **state)
{
	json_t *ksm = memtide_json(0, "ksm --json"), *tenant, *found = NULL;
	size_t i;

	assert_true(json_is_true(json_object_get(ksm, "hooks")));
	json_array_foreach(json_object_get(ksm, "tenants"), i, tenant)
		if (json_integer_value(json_object_get(tenant, "tenant")) == 7)
			found = tenant;
	assert_int_equal(json_array_size(json_object_get(found, "policies")), 1);
	json_decref(ksm);
	assert_int_equal(memtide("ksm"), 0);
	assert_says("ksm_tenant on " CGROUP);
}

static void test_ksm_set(void **state)
{
	assert_int_equal(memtide("ksm set --tenant 7 --knob settle_scans=4"), 0);
	assert_attached(CGROUP, "ksm_tenant", "settle_scans", 4);
	/* The others are as they were, the one that is a member of the ops table included. */
	assert_attached(CGROUP, "ksm_tenant", "rate_pages", 100);
	assert_attached(CGROUP, "ksm_tenant", "domain", 7);
	assert_int_equal(memtide("ksm set --tenant 7 --knob nope=4"), 1);
	assert_says("rate_pages");
	assert_int_equal(memtide("ksm set --tenant 9 --knob settle_scans=4"), 1);
	assert_says("no policy of tenant 9");
	assert_int_equal(memtide("ksm set --knob pages_to_scan=321"), 0);
	assert_says("321 pages every");
}

/* Of two policies of a tenant neither is changed where one does not know the knob, or is not loaded with it. */
static void test_ksm_set_all_or_none(void **state)
{
	static const char *const cgroups[] = { BELOW, BESIDE };
	char files[2][64];

	for (int i = 0; i < 2; i++) {
		snprintf(files[i], sizeof(files[i]), "/tmp/memtide-test-%d-%d.bpf.o", getpid(), i);
		copy_policy("ksm-minimal", files[i]);
		assert_int_equal(mkdir(cgroups[i], 0755), 0);
		assert_int_equal(memtide("policy attach %s --cgroup %s --knob domain=8", files[i], cgroups[i]), 0);
	}
	for (int i = 0; i < 2; i++) {
		copy_policy("ksm-unverifiable", files[i]);
		assert_int_equal(memtide("ksm set --tenant 8 --knob domain=9"), 1);
		assert_says("does not verify");
		for (int k = 0; k < 2; k++)
			assert_attached(cgroups[k], "ksm_minimal", "domain", 8);
		copy_policy("ksm-minimal", files[i]);
	}
	assert_int_equal(memtide("policy replace %s --cgroup %s --knob domain=8", policy("ksm-tenant"), BELOW), 0);
	assert_int_equal(memtide("ksm set --tenant 8 --knob settle_scans=4"), 1);
	assert_says("has no knob settle_scans");
	assert_attached(BELOW, "ksm_tenant", "settle_scans", 1);
	assert_int_equal(memtide("ksm set --tenant 8 --knob domain=9"), 0);
	assert_attached(BELOW, "ksm_tenant", "domain", 9);
	assert_attached(BESIDE, "ksm_minimal", "domain", 9);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rmdir(cgroups[i]), 0);
		wait_until_gone(cgroups[i]);
		assert_int_equal(unlink(files[i]), 0);
	}
}

static void test_detach(void **state)
{
	json_t *one;

	assert_int_equal(memtide("policy detach nope --cgroup %s", CGROUP), 1);
	assert_says("no policy nope is attached to " CGROUP);
	assert_says("families are ksm, thp");
	assert_int_equal(memtide("policy detach ksm --cgroup %s", CGROUP), 0);
	assert_says("1 policy detached from " CGROUP);
	one = attached_to(CGROUP);
	assert_null(one);
	assert_int_equal(memtide("policy detach --cgroup %s", CGROUP), 1);
	assert_says("no policy is attached");
}

static void assert_family(const char *family, const char *name)
{
	json_t *one = attached_of(family, CGROUP);

	if (!name) {
		assert_null(one);
		return;
	}
	if (!one)
		fail_msg("no %s policy is attached", family);
	assert_string_equal(json_string_value(json_object_get(one, "name")), name);
	assert_true(json_is_true(json_object_get(one, "in_force")));
	json_decref(one);
}

static void test_thp(void **state)
{
	json_t *one;

	assert_int_equal(memtide("policy attach %s --cgroup %s --knob calm_windows=9", policy("thp-pressure"), CGROUP),
			 0);
	assert_says("thp policy thp_pressure on " CGROUP ": attached");
	assert_attached(CGROUP, "thp_pressure", "calm_windows", 9);
	one = attached_to(CGROUP);
	assert_true(json_is_integer(json_object_get(json_object_get(one, "counts"), "made")));
	assert_true(json_is_integer(json_object_get(json_object_get(one, "counts"), "narrowed")));
	json_decref(one);
	assert_int_equal(memtide("policy attach %s --cgroup %s", policy("thp-never"), CGROUP), 1);
	assert_says("a thp policy is attached to " CGROUP " already");
	assert_int_equal(memtide("policy replace %s --cgroup %s", policy("thp-never"), CGROUP), 0);
	assert_family("thp", "thp_never");
	/* a table without operations has no program to find knobs by, and no knobs */
	assert_int_equal(memtide("policy replace %s --cgroup %s", policy("thp-always"), CGROUP), 0);
	assert_family("thp", "thp_always");
	assert_int_equal(memtide("policy replace %s --cgroup %s", policy("thp-allocates"), CGROUP), 1);
	assert_says("map mappings (hash, BPF_F_NO_PREALLOC) allocates memory");
	assert_int_equal(memtide("policy replace %s --cgroup %s", policy("thp-sleepable"), CGROUP), 1);
	assert_says("may sleep");
	assert_family("thp", "thp_always");
	/* the only one there is */
	assert_int_equal(memtide("policy detach --cgroup %s", CGROUP), 0);
	assert_family("thp", NULL);
}

/* One of each family on a cgroup: each by itself, and where it is not said which, that is asked for. */
static void test_families_side_by_side(void **state)
{
	assert_int_equal(memtide("policy attach %s --cgroup %s --knob domain=7", policy("ksm-minimal"), CGROUP), 0);
	assert_int_equal(memtide("policy replace %s --cgroup %s", policy("thp-never"), CGROUP), 1);
	assert_says("no thp policy that could be replaced is attached to " CGROUP);
	assert_int_equal(memtide("policy attach %s --cgroup %s", policy("thp-never"), CGROUP), 0);
	assert_family("ksm", "ksm_minimal");
	assert_family("thp", "thp_never");

	assert_int_equal(memtide("policy detach --cgroup %s", CGROUP), 1);
	assert_says(CGROUP " has a policy of each of these families: ksm, thp");
	assert_says("memtide policy detach ksm");
	assert_family("ksm", "ksm_minimal");
	assert_family("thp", "thp_never");

	/* replaced within its family */
	assert_int_equal(memtide("policy replace %s --cgroup %s", policy("thp-minimal"), CGROUP), 0);
	assert_family("ksm", "ksm_minimal");
	assert_family("thp", "thp_minimal");

	/* by family, by its own name, and by the name of its file */
	assert_int_equal(memtide("policy detach thp --cgroup %s", CGROUP), 0);
	assert_says("1 policy detached from " CGROUP);
	assert_family("ksm", "ksm_minimal");
	assert_family("thp", NULL);
	assert_int_equal(memtide("policy attach %s --cgroup %s", policy("thp-never"), CGROUP), 0);
	assert_int_equal(memtide("policy detach thp-minimal --cgroup %s", CGROUP), 1);
	assert_says("no policy thp-minimal is attached");
	assert_int_equal(memtide("policy detach thp-never --cgroup %s", CGROUP), 0);
	assert_family("thp", NULL);
	assert_int_equal(memtide("policy detach ksm_minimal --cgroup %s", CGROUP), 0);
	assert_family("ksm", NULL);
}

/* A file with two families is attached as a whole, or not at all. */
static void test_two_families_in_a_file(void **state)
{
	assert_int_equal(memtide("policy attach %s --cgroup %s", policy("thp-never"), CGROUP), 0);
	assert_int_equal(memtide("policy attach %s --cgroup %s", policy("two-families"), CGROUP), 1);
	assert_says("a thp policy is attached to " CGROUP " already");
	assert_family("ksm", NULL);
	assert_family("thp", "thp_never");
	assert_int_equal(memtide("policy detach --cgroup %s", CGROUP), 0);
	assert_int_equal(memtide("policy attach %s --cgroup %s", policy("two-families"), CGROUP), 0);
	assert_family("ksm", "two_ksm");
	assert_family("thp", "two_thp");
	assert_int_equal(memtide("policy detach two-thp --cgroup %s", CGROUP), 0);
	assert_int_equal(memtide("policy detach --cgroup %s", CGROUP), 0);
	assert_family("ksm", NULL);
	assert_family("thp", NULL);
}

static void test_open(void **state)
{
	json_t *json = memtide_json(0, "ksm open --cgroup %s --json", CGROUP);

	assert_string_equal(json_string_value(json_object_get(json, "cgroup")), CGROUP);
	json_decref(json);
	assert_int_equal(memtide("policy attach %s --cgroup %s", policy("ksm-off"), CGROUP), 0);
	assert_int_equal(memtide("ksm open --cgroup %s", CGROUP), 1);
	assert_says("memtide policy detach ksm");
	assert_int_equal(memtide("policy detach --cgroup %s", CGROUP), 0);
}

static bool text_is(const json_t *object, const char *name, const char *text)
{
	return !strcmp(json_string_value(json_object_get(object, name)) ?: "", text);
}

/* Until that is what the kernel ended last: the record comes when the policy's folder has gone. */
static void wait_until_ended(const char *cgroup, const char *name, const char *kind)
{
	for (int i = 0; i < GONE_TRIES; i++) {
		json_t *list = memtide_json(0, "policy list --json");
		const json_t *last = json_array_get(json_object_get(list, "ended"), 0);
		bool is = text_is(last, "family", "ksm") && text_is(last, "name", name) &&
			  text_is(last, "cgroup", cgroup) && text_is(last, "kind", kind);

		json_decref(list);
		if (is)
			return;
		poll(NULL, 0, 10);
	}
	fail_msg("%s on %s has not ended as %s", name, cgroup, kind);
}

static void test_eject(void **state)
{
	json_t *json, *one;

	assert_int_equal(memtide("policy attach %s --cgroup %s", policy("ksm-minimal"), CGROUP), 0);
	json = memtide_json(0, "eject --json");
	assert_int_equal(json_integer_value(json_object_get(json, "ejected")), 1);
	json_decref(json);
	wait_until_gone(CGROUP);
	wait_until_ended(CGROUP, "ksm_minimal", "admin");
	assert_int_equal(memtide("policy list"), 0);
	assert_says("ksm policy ksm_minimal on " CGROUP ": all were ejected by /sys/kernel/tide/eject");
	/* It is told from one that was never there, cannot be replaced, and is no obstacle to the next. */
	one = attached_to(CGROUP);
	assert_non_null(one);
	json_decref(one);
	assert_int_equal(memtide("policy replace %s --cgroup %s", policy("ksm-minimal"), CGROUP), 1);
	assert_says("in force no more");
	assert_int_equal(memtide("policy attach %s --cgroup %s --knob domain=3", policy("ksm-minimal"), CGROUP), 0);
	assert_attached(CGROUP, "ksm_minimal", "domain", 3);
	assert_int_equal(memtide("eject"), 0);
	assert_says("1 policy ejected");
	wait_until_gone(CGROUP);
	assert_int_equal(memtide("policy detach --cgroup %s", CGROUP), 0);
	one = attached_to(CGROUP);
	assert_null(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attach),
		cmocka_unit_test(test_nearer_cgroups),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_ksm),
		cmocka_unit_test(test_ksm_set),
		cmocka_unit_test(test_ksm_set_all_or_none),
		cmocka_unit_test(test_detach),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_thp),
		cmocka_unit_test(test_families_side_by_side),
		cmocka_unit_test(test_two_families_in_a_file),
		cmocka_unit_test(test_eject),
		cmocka_unit_test(test_vm),
	};

	build = getenv("LAB_BUILD");
	if (!build || access("/sys/kernel/tide/policies", F_OK)) {
		puts("ok 1 - policies on cgroups # SKIP needs a kernel with the hooks: run this through ./lab\n1..1");
		return 0;
	}
	return cmocka_run_group_tests(tests, start, stop);
}
