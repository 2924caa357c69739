// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two tenants with two VMs each, of the same image, told apart by nothing but the domains' XML: pages merge inside a
 * tenant, and none across, from a VM's first page to its last, by page frame numbers.  And what is set for one tenant's
 * VMs is in force at once, for nobody else's.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "../cli/command.h"
#include "apart.h"
#include "attachments.h"
#include "cgroup-id.h"
#include "filled.h"
#include "frame-watch.h"
#include "frames.h"
#include "hooks.h"
#include "kernel-file.h"
#include "ksmd.h"
#include "policy-attach.h"
#include "setting.h"
#include "world.h"

#define POLICY(tenant)								\
	"<memtide:policy xmlns:memtide='urn:memtide:policy:1'>"			\
	"<memtide:tenant>" tenant "</memtide:tenant><memtide:ksm mode='tenant'/></memtide:policy>"
#define NEXT_POLICY	"<policy><tenant>green</tenant><ksm mode='tenant'/></policy>"
#define BLUE		0
#define GREEN		1
#define VMS		4
/* What each guest has in its memory that the others have as well. */
#define PAGES		2048
#define SAME_MOST	(PAGES - PAGES / 16)
/* Looks at VMs of both tenants while they boot: without some of them nothing was shown. */
#define LOOKS		10
#define SECOND_NS	1000000000ULL
/* Far longer than ksmd takes for two rounds, also where the host is emulated. */
#define MERGED_NS	(180 * SECOND_NS)
/*
 * As it comes, ksm-tenant waits ten seconds between two rounds, gives them a small part of a CPU, and comes less and
 * less often to what has been of no use, such as memory that no guest had filled yet.
 */
#define AT_ONCE		"--knob round_ms=100 --knob busy_percent=100 --knob patience=0 --knob huge_unchanged=0"

static const int tenants[VMS] = { BLUE, BLUE, GREEN, GREEN };
static const char *const policies[] = { POLICY("blue"), POLICY("green") };

static struct frame_watch *watch;
static uint64_t address[VMS][PAGES];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static pid_t pid_of(int i)
{
	return vm_pid(domain_vm(world.domain[i]));
}

static const char *name_of(int i)
{
	return domain_name(world.domain[i]);
}

/*
 * Frames
 */

static void set_ksmd(const char *file, const char *value)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", file);
	assert_int_equal(setting_change(path, value), 0);
}

/* ksmd as fast as it goes, from before there is a VM. */
static void run_ksmd(void)
{
	set_ksmd("sleep_millisecs", "0");
	set_ksmd("pages_to_scan", "1000");
	set_ksmd("smart_scan", "0");
	set_ksmd("use_zero_pages", "0");
	set_ksmd("run", "1");
}

/* The CPU is for what is measured, or for everything again. */
static void be_quiet(bool quiet)
{
	frame_watch_pause(watch, quiet);
	set_ksmd("sleep_millisecs", quiet ? "20" : "0");
	set_ksmd("pages_to_scan", quiet ? "100" : "1000");
}

static void skip_without_hooks(void)
{
	const char *refusal = apart_refusal();

	if (!refusal && memtide_kernel_has_hooks())
		return;
	print_message("%s\n", refusal ? refusal : "needs a kernel with the hooks: the nested host's");
	skip();
}

/* Each guest's pages with the content that all have. */
static void fill(int i)
{
	assert_int_equal(vm_ask(domain_vm(world.domain[i]), NULL, "fill %lu", PAGES * FRAME_SIZE), 0);
	assert_int_equal(filled_find(pid_of(i), PAGES, address[i]), PAGES);
}

/* Of the pages with equal content, those that are in the same frame. */
static unsigned int same_frames(int a, int b)
{
	static uint64_t of_a[PAGES], of_b[PAGES];
	unsigned int same = 0;

	assert_int_equal(frames_at(pid_of(a), address[a], PAGES, of_a), 0);
	assert_int_equal(frames_at(pid_of(b), address[b], PAGES, of_b), 0);
	for (unsigned int i = 0; i < PAGES; i++)
		same += of_a[i] && of_a[i] == of_b[i];
	return same;
}

static void wait_same_frames(int a, int b)
{
	uint64_t begin = now_ns();
	unsigned int same;

	while ((same = same_frames(a, b)) < SAME_MOST && now_ns() - begin < MERGED_NS)
		poll(NULL, 0, 200);
	print_message("%s and %s: %u of %u pages with equal content are in the same frame, after %.1f s\n", name_of(a),
		      name_of(b), same, PAGES, (now_ns() - begin) / 1e9);
	assert_true(same >= SAME_MOST);
}

/* Content and frames, of pages whose content is looked up anew. */
static void assert_none_across(void)
{
	for (int a = 0; a < VMS; a++) {
		assert_int_equal(filled_find(pid_of(a), PAGES, address[a]), PAGES);
		for (int b = 0; b < a; b++) {
			if (tenants[a] != tenants[b])
				assert_int_equal(same_frames(a, b), 0);
		}
	}
}

static void say_seen(const struct frame_watch_seen *seen)
{
	print_message("%u looks at VMs of both, at up to %llu pages; a process was %llu ms old, at most, at the first; "
		      "up to %llu pages in a frame with one of the same tenant, %llu with another's\n", seen->looks,
		      (unsigned long long)seen->pages, (unsigned long long)seen->latest_ms,
		      (unsigned long long)seen->inside, (unsigned long long)seen->crossings);
}

static void assert_nothing_crossed(void)
{
	struct frame_watch_seen seen;

	frame_watch_read(watch, &seen);
	say_seen(&seen);
	if (seen.crossings)
		fail_msg("%s", seen.first);
}

/* The check can fail: where no domain says anything of a tenant, pages of any two VMs merge, and are seen to. */
static void test_without_tenants_all_merge(void **state)
{
	struct frame_watch_seen seen = { .looks = 0 };

	skip_without_hooks();
	world_open(3, NULL);
	run_ksmd();
	assert_int_equal(frame_watch_start(&watch), 0);
	for (int i = 0; i < 2; i++) {
		world_define(i, NULL);
		frame_watch_vm(watch, name_of(i), i);
		assert_int_equal(domain_spawn(world.domain[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(domain_wait(world.domain[i]), 0);
	for (int i = 0; i < 2; i++)
		fill(i);
	wait_same_frames(0, 1);
	frame_watch_stop(watch, &seen);
	watch = NULL;
	say_seen(&seen);
	print_message("%s\n", seen.first);
	assert_true(seen.looks >= LOOKS);
	assert_true(seen.crossings > 0);
}

/*
 * Four VMs, for all that follows
 */

static void spawn(int i, int tenant)
{
	frame_watch_vm(watch, name_of(i), tenant);
	assert_int_equal(domain_spawn(world.domain[i]), 0);
}

static void open_world_of_four(void)
{
	skip_without_hooks();
	if (world.controller)
		return;
	/* nobody has to give anything */
	world_open(6, NULL);
	command_socket = controller_control_socket(world.controller);
	run_ksmd();
	assert_int_equal(frame_watch_start(&watch), 0);
	for (int i = 0; i < VMS; i++) {
		world_define(i, policies[tenants[i]]);
		spawn(i, tenants[i]);
	}
	for (int i = 0; i < VMS; i++)
		assert_int_equal(domain_wait(world.domain[i]), 0);
	for (int i = 0; i < VMS; i++)
		world_wait_managed(i);
}

static void hurry(const char *tenant)
{
	assert_int_equal(memtide("ksm set --tenant %s " AT_ONCE, tenant), 0);
}

static void test_merge_inside_a_tenant_only(void **state)
{
	struct frame_watch_seen seen;

	open_world_of_four();
	frame_watch_read(watch, &seen);
	say_seen(&seen);
	assert_true(seen.looks >= LOOKS);
	hurry("blue");
	hurry("green");
	for (int i = 0; i < VMS; i++)
		fill(i);
	wait_same_frames(0, 1);
	wait_same_frames(2, 3);
	assert_none_across();
	assert_nothing_crossed();
	for (int i = 0; i < VMS; i++)
		assert_int_equal(vm_ask(domain_vm(world.domain[i]), NULL, "check"), 0);
}

/*
 * What is attached
 */

struct attached {
	char pin[128];
	uint32_t link;		/* their ids, which no other gets while this one lives */
	uint32_t table;
	uint64_t scanned;
	int64_t rate;
};

static void cgroup_of(int i, char *ret_path, size_t size)
{
	json_t *vm = controller_vm(world.controller, name_of(i));

	snprintf(ret_path, size, "%s", json_string_value(json_object_get(vm, "cgroup")));
	json_decref(vm);
}

static void read_link(const char *pin, struct attached *ret)
{
	struct bpf_link_info info = { .id = 0 };
	unsigned int size = sizeof(info);
	int fd = bpf_obj_get(pin);

	assert_true(fd >= 0);
	assert_int_equal(bpf_link_get_info_by_fd(fd, &info, &size), 0);
	close(fd);
	ret->link = info.id;
	ret->table = info.struct_ops.map_id;
}

/* The ksm policy in force on domain @i's cgroup, as the kernel has it. */
static struct attached attached_to(int i)
{
	const struct memtide_attachment *one;
	struct attached attached = { .rate = -1 };
	struct memtide_attachments *all;
	char cgroup[1024];
	uint64_t id;
	size_t nr;

	cgroup_of(i, cgroup, sizeof(cgroup));
	assert_int_equal(memtide_cgroup_id(cgroup, &id, NULL), 0);
	assert_int_equal(memtide_attachments_read(&all), 0);
	one = memtide_attachments_list(all, &nr);
	for (; nr; nr--, one++) {
		if (one->cgroup_id != id || !one->in_force || strcmp(one->family, "ksm"))
			continue;
		snprintf(attached.pin, sizeof(attached.pin), "%s", one->pin);
		read_link(one->pin, &attached);
		attached.rate = (int64_t)memtide_attachment_knob(one, "rate_pages")->value;
		for (size_t k = 0; k < one->nr_counts; k++)
			attached.scanned += strcmp(one->counts[k].name, "scanned") ? 0 : one->counts[k].value;
	}
	memtide_attachments_free(all);
	assert_true(attached.rate >= 0);
	return attached;
}

/* What `memtide ksm --json` says of the rate of each policy of @tenant, a name. */
static void assert_shown(const char *tenant, json_int_t rate)
{
	json_t *shown = memtide_json(0, "tenant show %s --json", tenant), *ksm, *one, *policy;
	json_int_t number = json_integer_value(json_object_get(shown, "number"));
	size_t i, k, found = 0;

	json_decref(shown);
	ksm = memtide_json(0, "ksm --json");
	json_array_foreach(json_object_get(ksm, "tenants"), i, one) {
		if (json_integer_value(json_object_get(one, "tenant")) != number)
			continue;
		json_array_foreach(json_object_get(one, "policies"), k, policy) {
			json_t *knob = json_object_get(json_object_get(policy, "knobs"), "rate_pages");

			assert_int_equal(json_integer_value(knob), rate);
			found++;
		}
	}
	json_decref(ksm);
	assert_int_equal(found, 2);
}

/* Of the policies that were there @before, whether both of blue's have been replaced. */
static bool blue_is_replaced(const struct attached *before)
{
	for (int i = 0; i < VMS; i++) {
		struct attached now;

		read_link(before[i].pin, &now);
		if (tenants[i] == BLUE && now.table == before[i].table)
			return false;
	}
	return true;
}

/* Runs `memtide WORDS`, and returns after how long blue's VMs have @rate; green's have what they had. */
static uint64_t set_blue(const char *words, int64_t rate)
{
	struct attached before[VMS], now;
	uint64_t begin, took;

	for (int i = 0; i < VMS; i++)
		before[i] = attached_to(i);
	be_quiet(true);
	begin = now_ns();
	assert_int_equal(memtide("%s", words), 0);
	WAIT_FOR(blue_is_replaced(before));
	took = now_ns() - begin;
	be_quiet(false);
	print_message("memtide %s: in force after %.0f ms\n", words, took / 1e6);
	for (int i = 0; i < VMS; i++) {
		now = attached_to(i);
		/* the policy that holds has never been away, and it is another one for blue's */
		assert_int_equal(now.link, before[i].link);
		if (tenants[i] == BLUE) {
			assert_int_equal(now.rate, rate);
			continue;
		}
		assert_int_equal(now.table, before[i].table);
		assert_int_equal(now.rate, before[i].rate);
		assert_true(now.scanned >= before[i].scanned);
	}
	assert_shown("blue", rate);
	assert_shown("green", before[2].rate);
	return took;
}

/* How much ksmd scans of a VM in a pass. */
struct scan {
	uint64_t id;		/* of the VM's cgroup */
	uint64_t pass;		/* at the last look, before its count */
	uint64_t scanned;	/* pages, at the last look */
	uint64_t most;		/* a pass, in the mean of those between two looks */
};

/* Passes that may have a part in what was counted: those that ended, one that goes on, one that is counted late. */
#define PASSES(ended)	((ended) + 2)

static void look_at_scan(struct scan *scan)
{
	uint64_t before = ksmd_value("full_scans"), scanned = hook_count("ksm", scan->id, "scanned"),
		 passes = PASSES(ksmd_value("full_scans") - scan->pass), each = (scanned - scan->scanned) / passes;

	scan->most = each > scan->most ? each : scan->most;
	scan->pass = before;
	scan->scanned = scanned;
}

static void begin_scan(int i, struct scan *scan)
{
	char cgroup[1024];

	cgroup_of(i, cgroup, sizeof(cgroup));
	*scan = (struct scan){ .pass = ksmd_value("full_scans") };
	assert_int_equal(memtide_cgroup_id(cgroup, &scan->id, NULL), 0);
	scan->scanned = hook_count("ksm", scan->id, "scanned");
}

static uint64_t most_of(const struct scan *scans, int tenant)
{
	uint64_t most = 0;

	for (int i = 0; i < VMS; i++) {
		if (tenants[i] == tenant && scans[i].most > most)
			most = scans[i].most;
	}
	return most;
}

/* ksmd scans no more of each of blue's VMs in a pass than @rate, and more of one of green's. */
static void assert_scanned_at(uint64_t rate)
{
	struct scan scans[VMS];

	for (int i = 0; i < VMS; i++)
		begin_scan(i, &scans[i]);
	while (!most_of(scans, BLUE) || most_of(scans, GREEN) <= rate) {
		assert_int_equal(kernel_file_wait("/sys/kernel/mm/ksm/full_scans", ksmd_value("full_scans") + 1), 0);
		for (int i = 0; i < VMS; i++)
			look_at_scan(&scans[i]);
	}
	print_message("ksmd scanned up to %llu pages a pass of a VM of blue's, and %llu of one of green's\n",
		      (unsigned long long)most_of(scans, BLUE), (unsigned long long)most_of(scans, GREEN));
	assert_true(most_of(scans, BLUE) <= rate);
}

static uint64_t slowest_ns;

static void test_rate_of_one_tenant(void **state)
{
	uint64_t by_tenant, by_knob;

	open_world_of_four();
	by_tenant = set_blue("tenant set blue --ksm-rate-pages 1000", 1000);
	by_knob = set_blue("ksm set --tenant blue --knob rate_pages=500 " AT_ONCE, 500);
	slowest_ns = by_tenant > by_knob ? by_tenant : by_knob;
	assert_scanned_at(500);
	assert_nothing_crossed();
}

static void test_rate_within_a_second(void **state)
{
	skip_without_hooks();
	assert_true(slowest_ns > 0);
	if (slowest_ns >= SECOND_NS && world_is_emulated()) {
		print_message("not within a second, which is for real CPUs, and this one is emulated: %.0f ms\n",
			      slowest_ns / 1e6);
		skip();
	}
	assert_true(slowest_ns < SECOND_NS);
}

/* What was blue's is green's the next time: what it had merged with stays blue's, and what it has now is green's. */
static void test_nothing_stays_behind(void **state)
{
	open_world_of_four();
	assert_int_equal(domain_destroy(world.domain[1]), 0);
	assert_int_equal(domain_set_policy(world.domain[1], NEXT_POLICY, VIR_DOMAIN_AFFECT_CONFIG), 0);
	spawn(1, GREEN);
	assert_int_equal(domain_wait(world.domain[1]), 0);
	world_wait_managed(1);
	hurry("green");
	fill(1);
	wait_same_frames(1, 2);
	assert_int_equal(same_frames(0, 1), 0);
	assert_int_equal(same_frames(0, 2), 0);
	assert_nothing_crossed();
	for (int i = 0; i < VMS; i++)
		assert_int_equal(vm_ask(domain_vm(world.domain[i]), NULL, "check"), 0);
}

static int close_world(void **state)
{
	struct frame_watch_seen seen;

	frame_watch_stop(watch, &seen);
	watch = NULL;
	command_socket = NULL;
	return world_close(state);
}

static int run(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_without_tenants_all_merge, close_world),
		cmocka_unit_test(test_merge_inside_a_tenant_only),
		cmocka_unit_test(test_rate_of_one_tenant),
		cmocka_unit_test(test_rate_within_a_second),
		cmocka_unit_test_teardown(test_nothing_stays_behind, close_world),
	};

	cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, close_world);
}

int main(int argc, char **argv)
{
	return apart_run(argc, argv, run);
}
