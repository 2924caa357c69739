// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A real guest with the virtio_tide driver gives memory and takes it back: to its target, within its credit, under
 * pressure, all of it when the driver goes, and before its VM is saved or migrated.  Each test boots a guest of its
 * own; the controller's side is steered by hand.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "steer.h"
#include "vm.h"

#define RAM		(1 * GIB)
#define SOON_MS		120000	/* for what takes milliseconds on a machine that does nothing else */
#define PATTERN		(200 * MIB)

struct guest {
	struct steer *steer;
	struct vm *vm;
	char socket[64];
	char way[64];	/* of the VM to another QEMU: a file, or a socket */
};

static struct guest guest;

static void start(struct guest *g, const char *name, struct vm_options options)
{
	snprintf(g->socket, sizeof(g->socket), "/tmp/memtide-%s-%d.sock", name, getpid());
	options.name = name;
	options.memory_bytes = RAM + vm_kernel_extra();
	options.tide = true;
	options.vmm_socket = g->socket;
	if (!options.modules)
		options.modules = "virtio_tide";
	assert_int_equal(steer_listen(g->socket, &g->steer), 0);
	assert_int_equal(vm_spawn(&options, &g->vm), 0);
	assert_int_equal(steer_accept(g->steer), 0);
	assert_int_equal(vm_wait(g->vm), 0);
}

/* After each test, also one that failed half way. */
static int stop(void **state)
{
	int r;

	steer_free(guest.steer);
	r = vm_stop(guest.vm);
	if (*guest.way)
		unlink(guest.way);
	guest = (struct guest){ .vm = NULL };
	return r;
}

static uint64_t given(struct guest *g)
{
	struct memtide_counters c;

	assert_int_equal(steer_counters(g->steer, &c), 0);
	return c.given_bytes;
}

static uint64_t mem_free(struct guest *g)
{
	uint64_t value;

	assert_int_equal(vm_file_value(g->vm, "/proc/meminfo", "MemFree", &value), 0);
	return value;
}

static void assert_no_oom(struct guest *g)
{
	uint64_t kills;

	assert_int_equal(vm_file_value(g->vm, "/proc/vmstat", "oom_kill", &kills), 0);
	assert_int_equal(kills, 0);
}

/* Sizes here are those of a guest with the lab's plain kernel. */
static void set_orders(struct guest *g, uint64_t target, uint64_t ceiling, uint32_t *ret_generation)
{
	steer_set(g->steer, target + vm_kernel_extra(), ceiling + vm_kernel_extra(), 0, ret_generation);
}

/* Brings the guest to @target with @ceiling and waits for its word. */
static void come_to(struct guest *g, uint64_t target, uint64_t ceiling)
{
	uint32_t generation;

	set_orders(g, target, ceiling, &generation);
	assert_int_equal(steer_wait_fence(g->steer, generation, SOON_MS), 0);
}

/*
 * The fence only says that the ceiling is kept; below it the guest comes to its target in its own time, from above
 * as from below.
 */
static void come_down(struct guest *g, uint64_t target, uint64_t ceiling)
{
	come_to(g, target, ceiling);
	assert_int_equal(steer_wait_given(g->steer, RAM - target, RAM, SOON_MS), 0);
}

static void come_up(struct guest *g, uint64_t target)
{
	come_to(g, target, target);
	assert_int_equal(steer_wait_given(g->steer, 0, RAM - target, SOON_MS), 0);
}

static void fill(struct guest *g, uint64_t bytes)
{
	assert_int_equal(vm_ask(g->vm, NULL, "fill %" PRIu64, bytes), 0);
}

static void assert_intact(struct guest *g)
{
	assert_int_equal(vm_ask(g->vm, NULL, "check"), 0);
}

static void test_comes_to_target_and_back(void **state)
{
	struct guest *g = &guest;
	uint64_t before, after;

	start(g, "target", (struct vm_options){ .no_report = true });
	fill(g, PATTERN);
	assert_int_equal(vm_ask(g->vm, NULL, "fill %llu", 400 * MIB), 0);
	assert_int_equal(vm_ask(g->vm, NULL, "keep 1"), 0);
	assert_int_equal(vm_resident(g->vm, &before), 0);

	come_to(g, 512 * MIB, 512 * MIB);
	assert_true(given(g) >= RAM - 512 * MIB);
	assert_true(given(g) <= RAM - 512 * MIB + 4 * MIB);
	assert_int_equal(vm_resident(g->vm, &after), 0);
	/* what was never touched has nothing to leave; at least half of what was must be gone from the host */
	assert_true(after + 200 * MIB < before);
	assert_intact(g);

	come_up(g, RAM);
	assert_intact(g);
	fill(g, 400 * MIB);
	assert_intact(g);
}

static void test_target_out_of_reach(void **state)
{
	struct memtide_stats stats;
	struct guest *g = &guest;

	start(g, "reach", (struct vm_options){ .no_report = true });
	fill(g, 300 * MIB);
	set_orders(g, 128 * MIB, 128 * MIB, NULL);
	assert_int_equal(steer_wait_given(g->steer, 400 * MIB, RAM - 300 * MIB, SOON_MS), 0);
	assert_intact(g);
	do {
		assert_int_equal(steer_stats(g->steer, &stats, SOON_MS), 0);
	} while (!(stats.flags & VIRTIO_TIDE_STATS_STALLED));
	/* it keeps something to work with */
	assert_true(mem_free(g) > 4 * MIB);
	assert_no_oom(g);
}

static void test_takes_credit_under_pressure(void **state)
{
	struct memtide_event event;
	struct guest *g = &guest;

	start(g, "credit", (struct vm_options){ .no_report = true });
	come_down(g, 384 * MIB, 900 * MIB);
	fill(g, 500 * MIB);
	assert_int_equal(steer_wait_event(g->steer, VIRTIO_TIDE_EV_RELIEF, &event, SOON_MS), 0);
	assert_int_equal(event.b, VIRTIO_TIDE_PATH_CREDIT);
	assert_true(given(g) >= RAM - 900 * MIB);
	assert_no_oom(g);
	assert_intact(g);
}

static void test_asks_beyond_its_ceiling(void **state)
{
	struct memtide_event event;
	uint64_t ns, ceiling = 384 * MIB;
	struct guest *g = &guest;

	start(g, "asks", (struct vm_options){ .no_report = true });
	come_to(g, ceiling, ceiling);
	assert_int_equal(vm_ask(g->vm, NULL, "burst %llu 10", 600 * MIB), 0);
	steer_path(g->steer, VIRTIO_TIDE_PATH_RESERVE);
	/* 640 MiB are too little for it, 900 are enough */
	while (ceiling < 900 * MIB) {
		assert_int_equal(steer_wait_event(g->steer, VIRTIO_TIDE_EV_PRESSURE, &event, SOON_MS), 0);
		assert_true(given(g) >= RAM - ceiling);
		ceiling += ceiling < 640 * MIB ? 128 * MIB : 260 * MIB;
		set_orders(g, 384 * MIB, ceiling, NULL);
	}
	assert_int_equal(vm_ask_number(g->vm, &ns, "burst-wait"), 0);
	assert_no_oom(g);
}

static void test_comes_back_after_a_quiet_time(void **state)
{
	struct memtide_event event;
	uint64_t ns;
	struct guest *g = &guest;

	start(g, "quiet", (struct vm_options){ .no_report = true, .modules = "" });
	assert_int_equal(vm_ask(g->vm, NULL, "insmod /modules/virtio_tide.ko quiet_ms=300"), 0);
	come_down(g, 384 * MIB, 900 * MIB);
	assert_int_equal(vm_ask(g->vm, NULL, "burst %llu 10", 450 * MIB), 0);
	assert_int_equal(steer_wait_event(g->steer, VIRTIO_TIDE_EV_RELIEF, &event, SOON_MS), 0);
	assert_int_equal(vm_ask_number(g->vm, &ns, "burst-wait"), 0);
	assert_int_equal(steer_wait_given(g->steer, RAM - 388 * MIB, RAM, SOON_MS), 0);
}

static void test_unloading_gives_all_back(void **state)
{
	struct guest *g = &guest;
	uint64_t free_before;

	start(g, "unload", (struct vm_options){ .no_report = true });
	fill(g, PATTERN);
	free_before = mem_free(g);
	come_to(g, 512 * MIB, 512 * MIB);
	assert_int_equal(vm_ask(g->vm, NULL, "rmmod virtio_tide"), 0);
	assert_int_equal(given(g), 0);
	assert_true(mem_free(g) + 16 * MIB > free_before);
	assert_intact(g);
	assert_int_equal(vm_ask(g->vm, NULL, "insmod /modules/virtio_tide.ko"), 0);
	come_to(g, 512 * MIB, 512 * MIB);
	assert_intact(g);
}

static void test_takes_back_while_inhibited(void **state)
{
	struct guest *g = &guest;

	start(g, "inhibit", (struct vm_options){ .no_report = true });
	come_to(g, 600 * MIB, 600 * MIB);
	assert_int_equal(vm_qmp(g->vm, "qom-set", json_pack("{s:s,s:s,s:b}", "path", TIDE_OBJECT, "property", "inhibit",
							   "value", 1), NULL), 0);
	come_up(g, 800 * MIB);
	assert_int_equal(given(g), RAM - 800 * MIB);
	set_orders(g, 500 * MIB, 500 * MIB, NULL);
	fill(g, PATTERN);
	assert_int_equal(given(g), RAM - 800 * MIB);
	assert_int_equal(vm_qmp(g->vm, "qom-set", json_pack("{s:s,s:s,s:b}", "path", TIDE_OBJECT, "property", "inhibit",
							   "value", 0), NULL), 0);
	assert_int_equal(steer_wait_given(g->steer, RAM - 500 * MIB, RAM - 496 * MIB, SOON_MS), 0);
	assert_intact(g);
}

/* Brings the balloon and the driver to work at once, and returns whether the driver has the reporting. */
static bool work_beside_balloon(struct guest *g)
{
	struct memtide_stats stats;

	assert_int_equal(vm_qmp(g->vm, "balloon", json_pack("{s:I}", "value",
							    (json_int_t)(RAM + vm_kernel_extra() - 128 * MIB)), NULL), 0);
	come_to(g, 600 * MIB, 600 * MIB);
	assert_int_equal(steer_stats(g->steer, &stats, SOON_MS), 0);
	come_up(g, RAM);
	assert_no_oom(g);
	return stats.flags & VIRTIO_TIDE_STATS_REPORTING;
}

/* Linux takes one reporting device. */
static void test_reporting_beside_a_balloon_without(void **state)
{
	struct guest *g = &guest;

	start(g, "beside", (struct vm_options){ .balloon = true, .modules = "virtio_tide,virtio_balloon" });
	assert_true(work_beside_balloon(g));
}

/* A balloon that finds the reporting taken does not work at all, so the driver leaves it to it. */
static void test_reporting_left_to_the_balloon(void **state)
{
	struct guest *g = &guest;
	char *text;

	start(g, "left", (struct vm_options){ .balloon = true, .balloon_report = true,
					       .modules = "virtio_tide,virtio_balloon" });
	assert_false(work_beside_balloon(g));
	assert_int_equal(vm_ask(g->vm, &text, "log"), 0);
	assert_null(strstr(text, "virtio_balloon: probe"));
	assert_null(strstr(text, "failed with error -16"));
	free(text);
}

static void test_controller_away_and_back(void **state)
{
	struct guest *g = &guest;

	start(g, "away", (struct vm_options){ .no_report = true });
	come_to(g, 512 * MIB, 512 * MIB);
	steer_disconnect(g->steer);
	fill(g, PATTERN);
	assert_int_equal(steer_accept(g->steer), 0);
	/* nothing was taken or lost meanwhile */
	assert_true(given(g) >= RAM - 512 * MIB);
	come_up(g, 700 * MIB);
	assert_intact(g);
}

static void wait_claim(struct guest *g, uint64_t urgency)
{
	struct memtide_event event;

	do
		assert_int_equal(steer_wait_event(g->steer, VIRTIO_TIDE_EV_PRESSURE, &event, SOON_MS), 0);
	while (event.b != urgency);
}

/* Who is about to kill waits for a controller that is being started again, and tells that one as well. */
static void test_controller_back_before_the_killer(void **state)
{
	struct guest *g = &guest;

	start(g, "killer", (struct vm_options){ .no_report = true, .modules = "" });
	assert_int_equal(vm_ask(g->vm, NULL, "insmod /modules/virtio_tide.ko claim_ms=100 oom_wait_ms=600000"), 0);
	come_to(g, 384 * MIB, 384 * MIB);
	assert_int_equal(vm_tell(g->vm, "fill %llu", 600 * MIB), 0);
	for (int i = 0; i < 3; i++)
		wait_claim(g, VIRTIO_TIDE_URGENCY_OOM);
	steer_disconnect(g->steer);
	assert_int_equal(steer_accept(g->steer), 0);
	wait_claim(g, VIRTIO_TIDE_URGENCY_OOM);
	set_orders(g, RAM, RAM, NULL);
	assert_int_equal(vm_hear(g->vm, NULL), 0);
	assert_no_oom(g);
	assert_intact(g);
}

/* All memory is back, and nobody asks for any. */
static void release(struct guest *g)
{
	steer_set(g->steer, RAM + vm_kernel_extra(), RAM + vm_kernel_extra(), VIRTIO_TIDE_STATE_RELEASE, NULL);
	assert_int_equal(steer_wait_given(g->steer, 0, 0, SOON_MS), 0);
}

static void assert_blocked(struct guest *g, bool blocked)
{
	char *why;

	assert_int_equal(vm_migration_blocked(g->vm, &why), 0);
	assert_int_equal(!!why, blocked);
	if (why)
		assert_non_null(strstr(why, "memtide vm release"));
	free(why);
}

/* The driver is there in the new process, and does what its new controller says. */
static void wait_driver(struct guest *g)
{
	uint64_t until = steer_now_ns() + SOON_MS * 1000000ULL;
	struct memtide_counters c;

	do {
		assert_int_equal(steer_counters(g->steer, &c), 0);
		if (steer_now_ns() > until)
			fail_msg("no driver");
	} while (!(c.flags & TIDE_COUNTERS_DRIVER_OK));
	assert_int_equal(c.given_bytes, 0);
}

static void test_saved_and_restored(void **state)
{
	struct vm_options options = { .name = "restored", .memory_bytes = RAM + vm_kernel_extra(), .tide = true };
	struct guest *g = &guest;
	char uri[80];

	start(g, "saved", (struct vm_options){});
	snprintf(g->way, sizeof(g->way), "/tmp/memtide-saved-%d", getpid());
	snprintf(uri, sizeof(uri), "file:%s", g->way);
	fill(g, PATTERN);
	come_down(g, 512 * MIB, 512 * MIB);
	assert_blocked(g, true);
	assert_int_equal(vm_migrate(g->vm, uri), -EREMOTEIO);
	release(g);
	assert_blocked(g, false);
	assert_int_equal(vm_migrate(g->vm, uri), 0);
	assert_int_equal(vm_stop(g->vm), 0);
	g->vm = NULL;
	steer_disconnect(g->steer);

	options.vmm_socket = g->socket;
	options.modules = "virtio_tide";
	options.incoming = uri;
	assert_int_equal(vm_spawn(&options, &g->vm), 0);
	assert_int_equal(steer_accept(g->steer), 0);
	assert_int_equal(vm_wait(g->vm), 0);
	wait_driver(g);
	assert_intact(g);
	come_down(g, 512 * MIB, 512 * MIB);
	assert_intact(g);
	assert_blocked(g, true);
	come_up(g, RAM);
	fill(g, 400 * MIB);
	assert_intact(g);
	assert_no_oom(g);
}

/* To a host without a controller: the guest keeps what it has, until the administrator says otherwise. */
static void test_migrates_live(void **state)
{
	struct vm_options options = { .name = "there", .memory_bytes = RAM + vm_kernel_extra(), .tide = true };
	struct guest *g = &guest;
	struct vm *there;
	uint64_t given, ns;
	char uri[80];

	start(g, "here", (struct vm_options){});
	snprintf(g->way, sizeof(g->way), "/tmp/memtide-way-%d", getpid());
	snprintf(uri, sizeof(uri), "unix:%s", g->way);
	fill(g, PATTERN);
	come_down(g, 512 * MIB, 512 * MIB);
	release(g);

	options.modules = "virtio_tide";
	options.incoming = uri;
	assert_int_equal(vm_spawn(&options, &there), 0);
	for (int i = 0; i < SOON_MS && access(g->way, F_OK); i++)
		poll(NULL, 0, 1);
	/* it works meanwhile */
	assert_int_equal(vm_ask(g->vm, NULL, "burst %llu 10", 200 * MIB), 0);
	assert_int_equal(vm_migrate(g->vm, uri), 0);
	assert_int_equal(vm_stop(g->vm), 0);
	g->vm = there;
	assert_int_equal(vm_wait(g->vm), 0);
	assert_int_equal(vm_ask_number(g->vm, &ns, "burst-wait"), 0);
	assert_intact(g);
	assert_int_equal(vm_get(g->vm, TIDE_OBJECT, "given", &given), 0);
	assert_int_equal(given, 0);
	assert_int_equal(vm_set(g->vm, TIDE_OBJECT, "target", 512 * MIB + vm_kernel_extra()), 0);
	assert_int_equal(vm_wait_property(g->vm, TIDE_OBJECT, "given", RAM - 512 * MIB, RAM, SOON_MS), 0);
	assert_intact(g);
	assert_int_equal(vm_set(g->vm, TIDE_OBJECT, "target", RAM + vm_kernel_extra()), 0);
	assert_int_equal(vm_wait_property(g->vm, TIDE_OBJECT, "given", 0, 0, SOON_MS), 0);
	assert_blocked(g, false);
	assert_intact(g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_comes_to_target_and_back, stop),
		cmocka_unit_test_teardown(test_target_out_of_reach, stop),
		cmocka_unit_test_teardown(test_takes_credit_under_pressure, stop),
		cmocka_unit_test_teardown(test_asks_beyond_its_ceiling, stop),
		cmocka_unit_test_teardown(test_comes_back_after_a_quiet_time, stop),
		cmocka_unit_test_teardown(test_unloading_gives_all_back, stop),
		cmocka_unit_test_teardown(test_takes_back_while_inhibited, stop),
		cmocka_unit_test_teardown(test_reporting_beside_a_balloon_without, stop),
		cmocka_unit_test_teardown(test_reporting_left_to_the_balloon, stop),
		cmocka_unit_test_teardown(test_controller_away_and_back, stop),
		cmocka_unit_test_teardown(test_controller_back_before_the_killer, stop),
		cmocka_unit_test_teardown(test_saved_and_restored, stop),
		cmocka_unit_test_teardown(test_migrates_live, stop),
	};

	/* one test, or those of a pattern */
	cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
