// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The demo: three VMs of 2 GiB share a budget of 3 GiB.  Each keeps an anonymous part below its floor and reads files
 * through its page cache, skewed as real readers are (Zipf), so that memory turns into work done and too little of it
 * costs work, not life.  The load moves from VM to VM, and one VM bursts with anonymous memory within a second.  The
 * same is run with static limits, with the proxmox policy and with fair.
 *
 * Everything is real: guests, load, disk, controller, and libvirt, which has the VMs as domains with their policies in
 * their XML.  What is checked is checked from outside, by the host's view of the guests' memory.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apart.h"
#include "controller.h"
#include "demo-view.h"
#include "domain.h"
#include "report.h"
#include "steer.h"
#include "vm.h"

#define BUDGET		(3 * GIB)
#define MAXIMUM		(2 * GIB)
#define FLOOR		(384 * MIB)
#define STATIC_SIZE	(BUDGET / DEMO_VMS)
#define ANON		(96 * MIB)
#define BURST		(320 * MIB)	/* with ANON well inside floor + a third of what is left: the entitlement */
#define BURST_HOLD_MS	4000
#define THETA		"0.8"
#define DISK_IOPS	3000		/* a volume of Amazon EBS type gp3 as it comes: what is missed costs */
#define DISK_BYTES	(125 * MIB)	/* a second */
/* Each VM works, and the first one again.  A cache fills at DISK_BYTES: a phase has to last longer than that takes. */
#define PHASES		4
#define PHASE_SECONDS	60
#define START_SECONDS	600
#define MODES_MAX	8
#define EVENTS		4
#define MEMTIDE_FOLDER	"/run/memtide"	/* where the hook looks for memtided */
#define POLICY_MAX	512

struct demo_options {
	const char *disk, *json_file;
	const char *modes[MODES_MAX];
	int nr_modes;
	unsigned int seconds;
	bool plain;
};

static const char *const vm_names[DEMO_VMS] = { "vm1", "vm2", "vm3" };

struct outcome {
	const char *mode;
	double work;
	uint64_t oom_kills, swapped, moved, bursts_failed;
	uint64_t excess;	/* the most by which resident memory was above the sum of ceilings, bytes */
	double relief_p50_ms, relief_max_ms;
};

struct run {
	const char *mode;
	bool managed;
	bool plain;
	unsigned int seconds;
	struct libvirtd *libvirtd;
	struct controller *controller;
	struct domain *domain[DEMO_VMS];
	struct vm *vm[DEMO_VMS];	/* their guests */
	uint64_t ops[DEMO_VMS];
	char *event[EVENTS];
	int64_t log_next;
	uint64_t moved_before;	/* bytes, to bring the VMs down to the budget: not part of the story */
	int bursting;		/* number of the VM, or -1 */
	struct demo_view view;
	struct outcome outcome;
};

static uint64_t number(json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* What a VM's XML says of it; with static limits nobody reads one. */
static const char *policy_of(const struct run *run, char *text, size_t size)
{
	if (!run->managed)
		return NULL;
	snprintf(text, size, "<memtide:policy xmlns:memtide='" DOMAIN_POLICY_URI "'><memtide:floor>%lluMiB</memtide:floor>"
		 "<memtide:maximum>%lluMiB</memtide:maximum></memtide:policy>", FLOOR / MIB, MAXIMUM / MIB);
	return text;
}

static int define_vms(struct run *run, const char *disk)
{
	char policy[POLICY_MAX];
	int r = 0;

	for (int i = 0; i < DEMO_VMS && !r; i++) {
		struct vm_options o = {
			.name = vm_names[i], .memory_bytes = run->managed ? MAXIMUM : STATIC_SIZE, .tide = run->managed,
			.disk = disk, .disk_iops = DISK_IOPS, .disk_bytes = DISK_BYTES,
			.modules = run->managed ? "virtio_tide" : NULL, .counts_oom = true,
		};

		if (run->managed)
			o.vmm_socket = controller_vmm_socket(run->controller);
		r = domain_define(run->libvirtd, &o, policy_of(run, policy, sizeof(policy)), &run->domain[i]);
	}
	return r;
}

static int start_vms(struct run *run, const char *disk)
{
	int r = define_vms(run, disk);

	for (int i = 0; i < DEMO_VMS && !r; i++) {
		r = domain_spawn(run->domain[i]);
		run->vm[i] = domain_vm(run->domain[i]);
	}
	for (int i = 0; i < DEMO_VMS && !r; i++) {
		r = domain_wait(run->domain[i]);
		r = r ? r : vm_ask(run->vm[i], NULL, "mount /dev/vda /data");
		r = r ? r : vm_ask(run->vm[i], NULL, "load %llu /data %s", ANON, THETA);
	}
	return r;
}

/*
 * Waits until the controller knows that each driver is there, and has brought the VMs down from what they hold at their
 * start to the budget: with a policy that takes 100 MiB every ten seconds that is minutes.
 */
static int wait_managed(struct run *run)
{
	for (int try = 0; try < START_SECONDS * 10; try++) {
		json_t *status, *vm;
		int managed = 0, foreign = 0;
		uint64_t deficit;
		size_t i;

		if (controller_call(run->controller, "status", NULL, &status))
			return -EIO;
		deficit = number(status, "deficit");
		run->moved_before = number(status, "moved_bytes");
		json_array_foreach(json_object_get(status, "vms"), i, vm) {
			const char *state = json_string_value(json_object_get(vm, "state"));

			managed += state && strcmp(state, "managed") == 0;
			foreign += number(vm, "floor") != FLOOR;
		}
		json_decref(status);
		if (managed == DEMO_VMS && foreign) {
			fprintf(stderr, "demo: %d of the VMs do not have the floor in their XML\n", foreign);
			return -ENODATA;
		}
		if (managed == DEMO_VMS && !deficit)
			return 0;
		if (try % 100 == 99)
			fprintf(stderr, "demo: %d of %d drivers are there, %" PRIu64 " MiB above the budget\n", managed,
				DEMO_VMS, deficit >> 20);
		poll(NULL, 0, 100);
	}
	fprintf(stderr, "demo: the VMs do not come down to the budget within %d s\n", START_SECONDS);
	return -ETIMEDOUT;
}

static void add_event(struct run *run, const char *text)
{
	free(run->event[EVENTS - 1]);
	memmove(run->event + 1, run->event, (EVENTS - 1) * sizeof(run->event[0]));
	run->event[0] = strdup(text);
	for (int i = 0; i < EVENTS; i++)
		run->view.event[i] = run->event[i];
}

static void watch_log(struct run *run)
{
	json_t *result, *entry;
	size_t i;

	if (controller_call(run->controller, "log", json_pack("{s:I}", "after", (json_int_t)run->log_next), &result))
		return;
	json_array_foreach(json_object_get(result, "entries"), i, entry) {
		const char *text = json_string_value(json_object_get(entry, "message"));

		if (text)
			add_event(run, text);
	}
	run->log_next = number(result, "next");
	json_decref(result);
}

static void watch_relief(struct run *run, json_t *status)
{
	static const char *const paths[] = { "donor", "reserve", "credit" };
	json_t *relief = json_object_get(status, "relief");

	run->view.relief_p50_ms = run->view.relief_max_ms = 0;
	for (size_t i = 0; i < 3; i++) {
		json_t *path = json_object_get(relief, paths[i]);
		double p50 = json_number_value(json_object_get(path, "p50_ms"));
		double max = json_number_value(json_object_get(path, "max_ms"));

		if (!run->view.relief_p50_ms)
			run->view.relief_p50_ms = p50;
		if (max > run->view.relief_max_ms)
			run->view.relief_max_ms = max;
	}
}

/* Ceilings are read before and after the resident sizes, and the larger one counts: they may move in between. */
static uint64_t ceilings(struct run *run, bool fill_view)
{
	json_t *status, *vm;
	uint64_t sum = 0;
	size_t i;

	if (!run->managed)
		return BUDGET;
	if (controller_call(run->controller, "status", NULL, &status))
		return 0;
	sum = number(status, "charged");
	if (fill_view) {
		run->view.moved = number(status, "moved_bytes");
		watch_relief(run, status);
		json_array_foreach(json_object_get(status, "vms"), i, vm) {
			for (int v = 0; v < DEMO_VMS; v++) {
				if (strcmp(json_string_value(json_object_get(vm, "name")), vm_names[v]))
					continue;
				run->view.vm[v].usable = number(vm, "usable");
				run->view.vm[v].ceiling = number(vm, "ceiling");
			}
		}
	}
	json_decref(status);
	return sum;
}

static int sample(struct run *run, double elapsed)
{
	uint64_t before = ceilings(run, true), after, resident = 0, oom;
	int r;

	for (int i = 0; i < DEMO_VMS; i++) {
		struct demo_vm_view *v = &run->view.vm[i];
		uint64_t ops;

		r = vm_resident(run->vm[i], &v->resident);
		r = r ? r : vm_ask_number(run->vm[i], &ops, "ops");
		if (r)
			return r;
		resident += v->resident;
		v->ops = elapsed > 0.1 ? (ops - run->ops[i]) / elapsed : 0;
		run->ops[i] = ops;
		if (!run->managed)
			v->usable = v->ceiling = STATIC_SIZE;
		r = vm_file_value(run->vm[i], "/proc/vmstat", "oom_kill", &oom);
		if (r)
			return r;
		run->view.oom_kills = i ? run->view.oom_kills + oom : oom;
	}
	after = ceilings(run, false);
	before = before > after ? before : after;
	if (run->managed && resident > before && resident - before > run->outcome.excess)
		run->outcome.excess = resident - before;
	if (run->managed)
		watch_log(run);
	return 0;
}

static int burst_step(struct run *run, unsigned int second, unsigned int phase)
{
	int victim = 2, r;
	uint64_t ns;

	/* once while it works and once while another does */
	if (run->bursting < 0 && second % phase == phase / 3 && (second / phase == 1 || second / phase == 2)) {
		run->bursting = victim;
		return vm_ask(run->vm[victim], NULL, "burst %llu %d", BURST, BURST_HOLD_MS);
	}
	if (run->bursting < 0 || second % phase < phase / 3 + 1 + BURST_HOLD_MS / 1000)
		return 0;
	run->bursting = -1;
	r = vm_ask_number(run->vm[victim], &ns, "burst-wait");
	if (r == -EREMOTEIO)
		run->outcome.bursts_failed++;
	return r == -EREMOTEIO ? 0 : r;
}

/* Plays the story: PHASES phases, in each of them one VM works. */
static int play(struct run *run)
{
	unsigned int phase = run->seconds / PHASES, second = 0, active = DEMO_VMS;
	uint64_t start = steer_now_ns(), last = start;
	int r = 0;

	while (!r && second < phase * PHASES) {
		uint64_t now = steer_now_ns(), next;

		second = (now - start) / 1000000000;
		if (second >= phase * PHASES)
			break;
		if (second / phase % DEMO_VMS != active) {
			active = second / phase % DEMO_VMS;
			for (unsigned int i = 0; i < DEMO_VMS && !r; i++) {
				r = vm_ask(run->vm[i], NULL, "pace %d", i == active);
				run->view.vm[i].active = i == active;
			}
		}
		r = r ? r : burst_step(run, second, phase);
		r = r ? r : sample(run, (now - last) / 1e9);
		last = now;
		run->view.second = second;
		run->view.vm[2].burst = run->bursting == 2;
		if (!r)
			demo_draw(&run->view, run->plain);
		next = start + (second + 1) * 1000000000ULL;
		now = steer_now_ns();
		if (next > now)
			poll(NULL, 0, (next - now) / 1000000 + 1);
	}
	demo_draw_end(run->plain);
	return r;
}

static int finish(struct run *run)
{
	struct outcome *o = &run->outcome;
	int r = sample(run, 1);

	for (int i = 0; i < DEMO_VMS && !r; i++) {
		uint64_t in, out;

		o->work += run->ops[i];
		r = vm_file_value(run->vm[i], "/proc/vmstat", "pswpin", &in);
		r = r ? r : vm_file_value(run->vm[i], "/proc/vmstat", "pswpout", &out);
		if (!r)
			o->swapped += in + out;
	}
	o->mode = run->mode;
	o->moved = run->view.moved - run->moved_before;
	o->oom_kills = run->view.oom_kills;
	o->relief_p50_ms = run->view.relief_p50_ms;
	o->relief_max_ms = run->view.relief_max_ms;
	return r;
}

/* What is the host's; what is a VM's is in its XML. */
static int start_controller(struct run *run)
{
	char config[512];

	snprintf(config, sizeof(config), "budget = %lluM\nreserve = 128M\npolicy = %s\nadmission = throttle\n"
		 "[default]\nstart = %lluM\n", BUDGET / MIB, run->mode, STATIC_SIZE / MIB - 64);
	return controller_start_in(MEMTIDE_FOLDER, config, &run->controller);
}

static int play_mode(struct libvirtd *libvirtd, const char *mode, const struct demo_options *options,
		     struct outcome *ret_outcome)
{
	struct run run = { .mode = mode, .managed = strcmp(mode, "static") != 0, .plain = options->plain,
			   .seconds = options->seconds, .libvirtd = libvirtd, .bursting = -1 };
	int r = 0;

	run.view = (struct demo_view){ .mode = mode, .seconds = options->seconds, .budget = BUDGET, .maximum = MAXIMUM };
	for (int i = 0; i < DEMO_VMS; i++)
		run.view.vm[i].name = vm_names[i];
	fprintf(stderr, "demo: starting three VMs with %s\n", run.managed ? mode : "static limits of 1 GiB each");
	if (run.managed)
		r = start_controller(&run);
	r = r ? r : start_vms(&run, options->disk);
	if (run.managed)
		r = r ? r : wait_managed(&run);
	r = r ? r : play(&run);
	r = r ? r : finish(&run);
	for (int i = 0; i < DEMO_VMS; i++) {
		int bad = domain_free(run.domain[i]);

		r = r ? r : bad;
	}
	if (run.controller && controller_stop(run.controller))
		r = r ? r : -EBADMSG;
	for (int i = 0; i < EVENTS; i++)
		free(run.event[i]);
	*ret_outcome = run.outcome;
	return r;
}

static const struct outcome *outcome_of(const struct outcome *o, int n, const char *mode)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(o[i].mode, mode) == 0)
			return &o[i];
	}
	return NULL;
}

static int summary(const struct outcome *o, int n, const char *json_file)
{
	const struct outcome *fair = outcome_of(o, n, "fair"), *limits = outcome_of(o, n, "static"),
			     *proxmox = outcome_of(o, n, "proxmox");
	struct report *report = report_new("demo");

	printf("%-10s %12s %12s %10s %10s %14s %10s\n", "mode", "operations", "moved MiB", "OOM kills", "swapped", "relief ms (max)",
	       "excess MiB");
	for (int i = 0; i < n; i++)
		printf("%-10s %12.0f %12" PRIu64 " %10" PRIu64 " %10" PRIu64 " %7.2f %7.2f %10" PRIu64 "\n", o[i].mode, o[i].work,
		       o[i].moved >> 20, o[i].oom_kills + o[i].bursts_failed, o[i].swapped, o[i].relief_p50_ms,
		       o[i].relief_max_ms, o[i].excess >> 20);
	putchar('\n');
	if (fair && limits) {
		report_add_pair(report, "work", "ops", fair->work, limits->work);
		report_expect(report, "work", true, 1.1);
	}
	if (fair && proxmox) {
		report_add_pair(report, "work_proxmox", "ops", fair->work, proxmox->work);
		report_expect(report, "work_proxmox", true, 1.02);
	}
	if (fair) {
		report_add(report, "oom_kills", "kills", fair->oom_kills + fair->bursts_failed);
		report_expect(report, "oom_kills", false, 0);
		report_add(report, "swapped", "pages", fair->swapped);
		report_expect(report, "swapped", false, 0);
		report_add(report, "budget_excess_mib", "MiB", fair->excess / (double)MIB);
		report_expect(report, "budget_excess_mib", false, 0);
		report_add(report, "moved_mib", "MiB", fair->moved / (double)MIB);
		report_expect(report, "moved_mib", true, 1024);
		report_add(report, "relief_p50", "ms", fair->relief_p50_ms);
	}
	return report_finish(report, json_file) ? 3 : 0;
}

static void usage(FILE *to)
{
	fputs("usage: demo --disk IMAGE [--seconds N] [--policy static|NAME]... [--plain] [--json FILE]\n"
	      "Plays N seconds (default 240) with each policy; without --policy: static, proxmox, fair.\n", to);
}

/* Returns -1, or what to end with. */
static int parse_options(int argc, char **argv, struct demo_options *o)
{
	static const struct option options[] = {
		{ "disk", required_argument, NULL, 'd' },
		{ "seconds", required_argument, NULL, 's' },
		{ "policy", required_argument, NULL, 'p' },
		{ "plain", no_argument, NULL, 'l' },
		{ "json", required_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'd') {
			o->disk = optarg;
		} else if (c == 's') {
			o->seconds = strtoul(optarg, NULL, 10);
		} else if (c == 'p' && o->nr_modes < MODES_MAX) {
			o->modes[o->nr_modes++] = optarg;
		} else if (c == 'l') {
			o->plain = true;
		} else if (c == 'j') {
			o->json_file = optarg;
		} else {
			usage(c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	if (!o->disk || o->seconds < 10 * PHASES) {
		fprintf(stderr, "demo: %s\n", o->disk ? "--seconds must be at least 40" : "--disk is missing");
		return 2;
	}
	return -1;
}

static int play_modes(const struct demo_options *options, struct outcome *outcomes)
{
	struct libvirtd *libvirtd;
	int r = libvirtd_start(&libvirtd), bad;

	if (r) {
		fprintf(stderr, "demo: libvirtd does not start: %s\n", strerror(-r));
		return r;
	}
	for (int i = 0; i < options->nr_modes && !r; i++) {
		r = play_mode(libvirtd, options->modes[i], options, &outcomes[i]);
		if (r)
			fprintf(stderr, "demo: %s failed: %s\n", options->modes[i], strerror(-r));
	}
	bad = libvirtd_stop(libvirtd);
	return r ? r : bad;
}

static int run_demo(int argc, char **argv)
{
	static const char *const modes[] = { "static", "proxmox", "fair" };
	struct demo_options options = { .seconds = PHASES * PHASE_SECONDS };
	struct outcome outcomes[MODES_MAX];
	int r = parse_options(argc, argv, &options);

	if (r >= 0)
		return r;
	if (!options.nr_modes) {
		options.nr_modes = sizeof(modes) / sizeof(modes[0]);
		memcpy(options.modes, modes, sizeof(modes));
	}
	if (apart_refusal()) {
		fprintf(stderr, "demo: its VMs are libvirt's, and there is no libvirt for it: %s; %s\n", apart_refusal(),
			apart_mend());
		return 1;
	}
	return play_modes(&options, outcomes) ? 1 : summary(outcomes, options.nr_modes, options.json_file);
}

int main(int argc, char **argv)
{
	return apart_run(argc, argv, run_demo);
}
