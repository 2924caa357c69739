// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Real guests with a real memtided: they trade memory, its death is not noticed, hostile ones gain nothing, and where
 * this runs with cgroup v2 (in the nested host) limits follow ceilings.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "controller.h"
#include "vm.h"

#define RAM		vm_usable(768)
#define FLOOR		vm_usable(192)
#define BUDGET		(2 * vm_usable(600))
#define BUDGET_OF_3	(3 * vm_usable(500))
/* what a guest's kernel and agent have for themselves, a little rounded up */
#define OWN		vm_usable(120)
/* with the guest's own 110 MiB inside the entitlement of half the budget, and far above what it is left with idle */
#define NEED		(440 * MIB)
#define TRIES		60000		/* a look each 2 ms: far longer than any of this takes */
#define CGROUP		"/sys/fs/cgroup/memtide-test"
#define VMS_MAX		3

/* Usable memory of a VM that comes to @mib where the guest's kernel is the lab's plain one. */
static uint64_t vm_usable(unsigned int mib)
{
	return mib * MIB + vm_kernel_extra();
}

struct world {
	struct controller *controller;
	struct vm *vm[VMS_MAX];
	int count;
	bool cgroups;
	char cgroup[VMS_MAX][128];
};

static struct world world;

static const char *const names[VMS_MAX] = { "alpha", "beta", "gamma" };

static bool have_cgroup2(void)
{
	struct statfs fs;
	FILE *f;

	if (statfs("/sys/fs/cgroup", &fs) || fs.f_type != 0x63677270 /* CGROUP2_SUPER_MAGIC */)
		return false;
	mkdir(CGROUP, 0755);
	f = fopen(CGROUP "/cgroup.subtree_control", "we");
	if (!f)
		return false;
	fputs("+memory", f);
	return fclose(f) == 0;
}

static uint64_t number(json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static uint64_t vm_number(struct world *w, int i, const char *key)
{
	json_t *vm = controller_vm(w->controller, names[i]);
	uint64_t value;

	assert_non_null(vm);
	value = number(vm, key);
	json_decref(vm);
	return value;
}

/* One of the statistics that the guest has told the controller. */
static uint64_t vm_stat(struct world *w, int i, const char *key)
{
	uint64_t value;
	json_t *vm;

	assert_int_equal(controller_call(w->controller, "vm.show", json_pack("{s:s}", "vm", names[i]), &vm), 0);
	value = number(json_object_get(vm, "stats"), key);
	json_decref(vm);
	return value;
}

static bool vm_state_is(struct world *w, int i, const char *state)
{
	json_t *vm = controller_vm(w->controller, names[i]);
	const char *s = json_string_value(json_object_get(vm, "state"));
	bool same = s && strcmp(s, state) == 0;

	json_decref(vm);
	return same;
}

/* Waits until @condition, which asks the controller. */
#define WAIT_FOR(condition)								\
	do {										\
		int tries_left = TRIES;							\
											\
		while (!(condition) && --tries_left)					\
			poll(NULL, 0, 2);						\
		if (!tries_left)							\
			fail_msg("never came: %s", #condition);				\
	} while (0)

static bool is_within_budget(struct world *w)
{
	json_t *status;
	bool is;

	assert_int_equal(controller_call(w->controller, "status", NULL, &status), 0);
	is = number(status, "deficit") == 0 && number(status, "ceilings") <= number(status, "budget");
	json_decref(status);
	return is;
}

static void open_world(struct world *w, int count, uint64_t budget)
{
	char config[256];

	*w = (struct world){ .count = count, .cgroups = have_cgroup2() };
	snprintf(config, sizeof(config), "budget = %lluM\nreserve = 64M\npolicy = fair\nadmission = throttle\n[default]\n"
		 "floor = %lluM\nstart = %lluM\n", (unsigned long long)(budget / MIB), (unsigned long long)(FLOOR / MIB),
		 (unsigned long long)(vm_usable(384) / MIB));
	assert_int_equal(controller_start(config, &w->controller), 0);
	for (int i = 0; i < count; i++) {
		struct vm_options o = {
			.name = names[i], .memory_bytes = RAM, .tide = true, .modules = "virtio_tide",
			.vmm_socket = controller_vmm_socket(w->controller),
		};

		if (w->cgroups) {
			snprintf(w->cgroup[i], sizeof(w->cgroup[i]), CGROUP "/%s", names[i]);
			mkdir(w->cgroup[i], 0755);
			o.cgroup = w->cgroup[i];
		}
		assert_int_equal(vm_spawn(&o, &w->vm[i]), 0);
	}
	for (int i = 0; i < count; i++)
		assert_int_equal(vm_wait(w->vm[i]), 0);
	for (int i = 0; i < count; i++)
		WAIT_FOR(vm_state_is(w, i, "managed"));
	/* from what they hold at their start they come down to what they use, and the budget has room again */
	WAIT_FOR(is_within_budget(w));
}

/* After each test, also one that failed half way. */
static int close_world(void **state)
{
	int r = 0;

	for (int i = 0; i < VMS_MAX; i++) {
		if (vm_stop(world.vm[i]))
			r = -1;
		if (world.cgroups && world.vm[i])
			rmdir(world.cgroup[i]);
	}
	if (controller_stop(world.controller))
		r = -1;
	world = (struct world){ .count = 0 };
	return r;
}

static void assert_within_budget(struct world *w)
{
	assert_true(is_within_budget(w));
}

static void assert_no_oom(struct world *w)
{
	uint64_t kills;

	for (int i = 0; i < w->count; i++) {
		assert_int_equal(vm_file_value(w->vm[i], "/proc/vmstat", "oom_kill", &kills), 0);
		assert_int_equal(kills, 0);
	}
}

static void test_memory_follows_the_need(void **state)
{
	struct world *w = &world;

	open_world(w, 2, BUDGET);
	for (int turn = 0; turn < 2; turn++) {
		assert_int_equal(vm_ask(w->vm[turn], NULL, "fill %llu", NEED), 0);
		assert_true(vm_number(w, turn, "usable") >= NEED);
		assert_within_budget(w);
		assert_true(vm_number(w, 1 - turn, "usable") >= FLOOR);
		assert_int_equal(vm_ask(w->vm[turn], NULL, "check"), 0);
		assert_int_equal(vm_ask(w->vm[turn], NULL, "keep 0"), 0);
	}
	assert_no_oom(w);
}

static void test_controller_killed_and_restarted(void **state)
{
	struct world *w = &world;
	uint64_t ceiling[2], resident;

	open_world(w, 2, BUDGET);
	assert_int_equal(vm_ask(w->vm[0], NULL, "fill %llu", 400 * MIB), 0);
	for (int round = 0; round < 3; round++) {
		/* in the middle of a transfer, wherever that is */
		assert_int_equal(vm_tell(w->vm[1], "fill %llu", 60 * MIB), 0);
		controller_kill(w->controller);
		assert_int_equal(vm_hear(w->vm[1], NULL), 0);
		for (int i = 0; i < 2; i++)
			assert_int_equal(vm_ask(w->vm[i], NULL, "check"), 0);
		assert_int_equal(controller_restart(w->controller, NULL), 0);
		for (int i = 0; i < 2; i++)
			WAIT_FOR(vm_state_is(w, i, "managed"));
	}
	for (int i = 0; i < 2; i++) {
		WAIT_FOR(vm_number(w, i, "charged") == vm_number(w, i, "ceiling"));
		ceiling[i] = vm_number(w, i, "ceiling");
		assert_int_equal(vm_resident(w->vm[i], &resident), 0);
		assert_true(vm_number(w, i, "usable") <= ceiling[i]);
	}
	assert_within_budget(w);
	assert_no_oom(w);
}

static void test_a_vm_dies(void **state)
{
	struct world *w = &world;
	json_t *status;

	open_world(w, 2, BUDGET);
	assert_int_equal(vm_ask(w->vm[1], NULL, "fill %llu", 400 * MIB), 0);
	assert_int_equal(vm_tell(w->vm[0], "fill %llu", 400 * MIB), 0);
	vm_kill(w->vm[1]);
	assert_int_equal(vm_hear(w->vm[0], NULL), 0);
	WAIT_FOR((status = controller_vm(w->controller, names[1])) == NULL || (json_decref(status), false));
	assert_int_equal(vm_ask(w->vm[0], NULL, "check"), 0);
	assert_within_budget(w);
	w->count = 1;
	assert_no_oom(w);
}

static void test_hostile_guest_disturbs_nobody(void **state)
{
	struct world *w = &world;

	open_world(w, 3, 2 * vm_usable(400) + RAM);
	assert_int_equal(vm_ask(w->vm[2], NULL, "rmmod virtio_tide"), 0);
	assert_int_equal(vm_tell(w->vm[2], "garbage 200"), 0);
	assert_int_equal(vm_ask(w->vm[0], NULL, "fill %llu", 200 * MIB), 0);
	assert_int_equal(vm_hear(w->vm[2], NULL), 0);
	assert_int_equal(vm_tell(w->vm[2], "flood 200000"), 0);
	assert_int_equal(vm_ask(w->vm[1], NULL, "fill %llu", 200 * MIB), 0);
	assert_int_equal(vm_hear(w->vm[2], NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(vm_ask(w->vm[i], NULL, "check"), 0);
	/* without a driver it is charged all it has, and no more */
	assert_int_equal(vm_number(w, 2, "charged"), RAM);
}

static void test_a_liar_gains_nothing(void **state)
{
	struct world *w = &world;
	uint64_t used[2], kills;

	open_world(w, 3, BUDGET_OF_3);
	for (int i = 0; i < 2; i++) {
		/* with its kernel's part close to what it is entitled to */
		used[i] = vm_number(w, i, "entitlement") - OWN;
		assert_int_equal(vm_ask(w->vm[i], NULL, "fill %llu", used[i] / MIB * MIB), 0);
	}
	/* the controller knows that it is in use, and has taken back what it decided before it did */
	for (int i = 0; i < 2; i++) {
		WAIT_FOR(vm_stat(w, i, "anon") >= used[i] / MIB * MIB);
		WAIT_FOR(vm_number(w, i, "ceiling") >= used[i]);
	}
	assert_int_equal(vm_ask(w->vm[2], NULL, "claim %llu 2000", 512 * MIB), 0);
	for (int i = 0; i < 2; i++) {
		/* idle memory within an entitlement may be asked back, memory in use may not */
		assert_true(vm_number(w, i, "ceiling") >= used[i]);
		assert_int_equal(vm_ask(w->vm[i], NULL, "check"), 0);
		assert_int_equal(vm_file_value(w->vm[i], "/proc/vmstat", "oom_kill", &kills), 0);
		assert_int_equal(kills, 0);
	}
	assert_within_budget(w);
}

/* Has a VM come down to @bytes, and no more than that ever. */
static void limit_vm(struct world *w, int i, uint64_t bytes)
{
	json_t *params = json_pack("{s:s, s:I}", "vm", names[i], "maximum", (json_int_t)bytes);

	assert_int_equal(controller_call(w->controller, "vm.set", params, NULL), 0);
	WAIT_FOR(vm_number(w, i, "charged") <= bytes);
}

static void test_touching_what_was_given_gains_nothing(void **state)
{
	struct world *w = &world;
	uint64_t before, after, given;

	open_world(w, 3, BUDGET_OF_3);
	limit_vm(w, 2, vm_usable(384));
	given = vm_number(w, 2, "given");
	assert_int_equal(vm_resident(w->vm[2], &before), 0);
	assert_int_equal(vm_ask(w->vm[2], NULL, "retouch %llu", 192 * MIB), 0);
	assert_int_equal(vm_resident(w->vm[2], &after), 0);
	assert_true(after > before + 96 * MIB);
	/* the host had to provide it, but it counts as given all the same */
	assert_true(vm_number(w, 2, "given") >= given);
	assert_true(vm_number(w, 2, "charged") <= vm_usable(384));
	for (int i = 0; i < 2; i++) {
		uint64_t share = vm_number(w, i, "entitlement") - OWN;

		assert_int_equal(vm_ask(w->vm[i], NULL, "fill %llu", share / MIB * MIB), 0);
		assert_int_equal(vm_ask(w->vm[i], NULL, "check"), 0);
	}
	assert_within_budget(w);
	assert_no_oom(w);
}

/* A file of a VM's cgroup: its number, or that of the line "KEY number". */
static uint64_t read_cgroup(int i, const char *file, const char *key)
{
	char path[160], line[64];
	size_t length = strlen(key);
	uint64_t value = UINT64_MAX;
	FILE *f;

	snprintf(path, sizeof(path), CGROUP "/%s/%s", names[i], file);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, length) == 0)
			value = strtoull(line + length, NULL, 10);
	}
	fclose(f);
	return value;
}

static uint64_t read_limit(int i)
{
	char path[160], text[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), CGROUP "/%s/memory.high", names[i]);
	f = fopen(path, "re");
	if (!f || !fgets(text, sizeof(text), f))
		strcpy(text, "0");
	if (f)
		fclose(f);
	return strncmp(text, "max", 3) == 0 ? UINT64_MAX : strtoull(text, NULL, 0);
}

/* What QEMU itself needs is added to the ceiling. */
static bool limit_follows(struct world *w, int i)
{
	uint64_t ceiling = vm_number(w, i, "ceiling"), limit = read_limit(i);

	return limit >= ceiling && limit <= ceiling + 160 * MIB;
}

static void test_limits_follow_ceilings(void **state)
{
	struct world *w = &world;

	if (!have_cgroup2()) {
		print_message("no cgroup v2 with the memory controller on this machine\n");
		skip();
	}
	open_world(w, 2, BUDGET);
	for (int turn = 0; turn < 2; turn++) {
		WAIT_FOR(limit_follows(w, turn));
		assert_int_equal(vm_ask(w->vm[turn], NULL, "fill %llu", NEED), 0);
		assert_true(read_limit(turn) >= NEED);
		assert_int_equal(vm_ask(w->vm[turn], NULL, "keep 0"), 0);
	}
	WAIT_FOR(limit_follows(w, 0));
	assert_within_budget(w);
	assert_no_oom(w);
}

/* What it may not have it does not get: each page beyond its limit costs it more time than the one before. */
static void test_limits_stop_who_touches_what_was_given(void **state)
{
	struct world *w = &world;
	uint64_t stopped;

	if (!have_cgroup2()) {
		print_message("no cgroup v2 with the memory controller on this machine\n");
		skip();
	}
	open_world(w, 2, BUDGET);
	limit_vm(w, 1, vm_usable(256));
	WAIT_FOR(limit_follows(w, 1));
	stopped = read_cgroup(1, "memory.events", "high ");
	assert_int_equal(vm_tell(w->vm[1], "retouch %llu", 384 * MIB), 0);
	WAIT_FOR(read_cgroup(1, "memory.events", "high ") > stopped + 10);
	/* it goes on growing, but slower and slower */
	assert_true(read_cgroup(1, "memory.current", "") <= read_limit(1) + 32 * MIB);
	assert_true(read_limit(1) <= vm_usable(256) + 160 * MIB);
	assert_int_equal(vm_ask(w->vm[0], NULL, "fill %llu", NEED), 0);
	assert_int_equal(vm_ask(w->vm[0], NULL, "check"), 0);
	assert_within_budget(w);
	vm_kill(w->vm[1]);
	w->count = 1;
	assert_no_oom(w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_memory_follows_the_need, close_world),
		cmocka_unit_test_teardown(test_controller_killed_and_restarted, close_world),
		cmocka_unit_test_teardown(test_a_vm_dies, close_world),
		cmocka_unit_test_teardown(test_hostile_guest_disturbs_nobody, close_world),
		cmocka_unit_test_teardown(test_a_liar_gains_nothing, close_world),
		cmocka_unit_test_teardown(test_touching_what_was_given_gains_nothing, close_world),
		cmocka_unit_test_teardown(test_limits_follow_ceilings, close_world),
		cmocka_unit_test_teardown(test_limits_stop_who_touches_what_was_given, close_world),
	};

	/* one test, or those of a pattern */
	cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
