// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What ksm-tenant is worth: three guests of one tenant, with memory that they have in common, memory of their
 * own, and memory that is equal in all of them but is rewritten again and again, are run for the same time with
 *
 *	stock		ksmd with its scan-time advisor, which is to go through all memory within TARGET_S
 *	ksmtuned	ksmd under the rules of ksmtuned, see ksmtuned.h
 *	tenant		ksm-tenant attached to the cgroup above the guests', one domain, as it comes.  The advisor is
 *			off: ksmd goes at the speed at which the advisor starts, and the policy says when
 *
 * Measured the same way in all of them: what is saved from the difference of what the VMs have mapped and what
 * their cgroups are charged for, so that merges which ksmd still counts but which are broken do not count;
 * merges that were broken by writes from the kernel's event counter; CPU time from ksmd's own clock.
 *
 * Runs where the hooks are, as root with cgroup v2: in the lab's nested host.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hooks.h"
#include "kernel-file.h"
#include "ksmd-clock.h"
#include "ksmd.h"
#include "ksmtuned.h"
#include "report.h"
#include "steer.h"
#include "vm.h"

#define GUESTS		3
#define RAM		(144 * MIB)
#define COMMON		(56 * MIB)
#define OWN		(8 * MIB)
#define BUSY		(2 * MIB)
#define CHURN		(3 * MIB)
/* Longer than a few passes of stock ksmd, or it would never merge what churns: there was nothing to be gained. */
#define CHURN_S		90
/*
 * The advisor's own 200 s are for hosts with a thousand times the memory.  Here it would fall back on its
 * least, 10 % of a CPU: passes of some seconds on hardware, and of minutes under emulation.  This gives about
 * the same on both.
 */
#define TARGET_S	20
#define SECONDS		480
#define SECONDS_MIN	60
#define SAY_S		20
#define CGROUP		"/sys/fs/cgroup/memtide-ksm"
#define DOMAIN		1
#define PACE_PAGES	500	/* the kernel's advisor_min_pages_to_scan */
#define PACE_MS		20	/* and its sleep_millisecs */

static const char *const guest_names[GUESTS] = { "one", "two", "three" };

struct run {
	const char *mode;
	char cgroup[128];	/* the tenant's */
	struct vm *vm[GUESTS];
	struct ksmtuned tuned;
	struct hook hook;
	unsigned int seconds;
};

struct outcome {
	double saved_mib;	/* mean over the second half */
	double saved_all_mib;	/* mean over all of it */
	double saved_end_mib;
	double cpu_s;
	double broken;
};

struct mode {
	const char *name;
	int (*start)(struct run *run);
	int (*tick)(struct run *run, unsigned int second);	/* or NULL */
};

static uint64_t of_guests(const struct run *run, const char *key)
{
	uint64_t sum = 0;
	char path[64];

	for (int i = 0; i < GUESTS; i++) {
		snprintf(path, sizeof(path), "/proc/%d/status", vm_pid(run->vm[i]));
		sum += kernel_file_value(path, key);
	}
	return sum;
}

/* Anonymous memory that the VMs have mapped, less what it takes. */
static double saved_mib(const struct run *run)
{
	char path[192];
	uint64_t mapped = of_guests(run, "RssAnon"), charged;

	snprintf(path, sizeof(path), "%s/memory.stat", run->cgroup);
	charged = kernel_file_value(path, "anon");
	return ((double)mapped - charged) / MIB;
}

static uint64_t broken(void)
{
	return kernel_file_value("/proc/vmstat", "cow_ksm");
}

/* Modes. */

static int start_stock(struct run *run)
{
	int r = ksmd_set("sleep_millisecs", PACE_MS);

	r = r ? r : ksmd_write("advisor_mode", "scan-time");
	r = r ? r : ksmd_set("advisor_target_scan_time", TARGET_S);
	return r ? r : ksmd_set("run", 1);
}

/* It starts ksmd when it thinks so. */
static int start_ksmtuned(struct run *run)
{
	/* a host on which the guests have what they were promised, and no more: on a larger one it would do nothing */
	run->tuned = (struct ksmtuned){ .total_bytes = GUESTS * RAM };
	return ksmd_set("run", 0);
}

static int tick_ksmtuned(struct run *run, unsigned int second)
{
	struct ksmtuned *tuned = &run->tuned;
	uint64_t charged, free_bytes;
	char path[192];
	int r;

	if (!second || second % KSMTUNED_INTERVAL_S)
		return 0;
	snprintf(path, sizeof(path), "%s/memory.stat", run->cgroup);
	charged = kernel_file_value(path, "anon");
	free_bytes = charged < tuned->total_bytes ? tuned->total_bytes - charged : 0;
	if (!ksmtuned_adjust(tuned, free_bytes, of_guests(run, "VmRSS")))
		return ksmd_set("run", 0);
	r = ksmd_set("pages_to_scan", tuned->pages);
	r = r ? r : ksmd_set("sleep_millisecs", ksmtuned_sleep_ms(tuned));
	return r ? r : ksmd_set("run", 1);
}

static int start_tenant(struct run *run)
{
	struct stat st;
	int r = stat(run->cgroup, &st) ? -errno : 0;

	r = r ? r : hook("ksm-tenant", st.st_ino, DOMAIN, &run->hook);
	r = r ? r : ksmd_set("pages_to_scan", PACE_PAGES);
	r = r ? r : ksmd_set("sleep_millisecs", PACE_MS);
	return r ? r : ksmd_set("run", 1);
}

/* What a policy leaves behind comes last: its cgroup is closed, and the hooks stay on. */
static const struct mode modes[] = {
	{ "stock", start_stock, NULL },
	{ "ksmtuned", start_ksmtuned, tick_ksmtuned },
	{ "tenant", start_tenant, NULL },
};

#define MODES	(sizeof(modes) / sizeof(modes[0]))

/* One run. */

static int make_cgroup(const char *path)
{
	char control[256];

	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	snprintf(control, sizeof(control), "%s/cgroup.subtree_control", path);
	return kernel_file_write(control, "+memory");
}

static int start_guests(struct run *run)
{
	char cgroup[GUESTS][192];
	int r = make_cgroup(CGROUP);

	snprintf(run->cgroup, sizeof(run->cgroup), CGROUP "/%s", run->mode);
	r = r ? r : make_cgroup(run->cgroup);
	for (int i = 0; i < GUESTS && !r; i++) {
		struct vm_options o = { .name = guest_names[i], .memory_bytes = RAM, .cgroup = cgroup[i] };

		snprintf(cgroup[i], sizeof(cgroup[i]), "%s/%s", run->cgroup, o.name);
		mkdir(cgroup[i], 0755);
		r = vm_spawn(&o, &run->vm[i]);
	}
	for (int i = 0; i < GUESTS && !r; i++)
		r = vm_wait(run->vm[i]);
	for (int i = 0; i < GUESTS && !r; i++)
		r = vm_tell(run->vm[i], "twins %llu %llu %llu %llu %d %d", COMMON, OWN, BUSY, CHURN, CHURN_S, i + 1);
	for (int i = 0; i < GUESTS && !r; i++)
		r = vm_hear(run->vm[i], NULL);
	return r;
}

static void say(const struct run *run, unsigned int second, double saved, double cpu_s, uint64_t broken_so_far)
{
	double mapped = (double)of_guests(run, "RssAnon") / MIB;

	fprintf(stderr, "ksm: %-8s %4u s: %6.1f of %.1f MiB saved, ksmd %6.2f s, %6" PRIu64 " merges broken, %" PRIu64
		" passes, %" PRIu64 " pages a batch\n", run->mode, second, saved, mapped, cpu_s, broken_so_far,
		ksmd_value("full_scans"), ksmd_value("pages_to_scan"));
}

static int measure(struct run *run, const struct mode *mode, struct outcome *o)
{
	uint64_t start = steer_now_ns(), cpu = ksmd_cpu_ns(), before = broken();
	unsigned int half = run->seconds / 2;
	int r = mode->start(run);

	for (unsigned int second = 0; !r && second <= run->seconds; second++) {
		uint64_t until = start + second * 1000000000ULL, now = steer_now_ns();

		if (until > now)
			poll(NULL, 0, (until - now) / 1000000 + 1);
		o->saved_end_mib = saved_mib(run);
		o->saved_all_mib += o->saved_end_mib / (run->seconds + 1);
		if (second > half)
			o->saved_mib += o->saved_end_mib / (run->seconds - half);
		o->cpu_s = (ksmd_cpu_ns() - cpu) / 1e9;
		o->broken = broken() - before;
		if (second % SAY_S == 0)
			say(run, second, o->saved_end_mib, o->cpu_s, o->broken);
		r = mode->tick ? mode->tick(run, second) : 0;
	}
	return r;
}

static int play(const struct mode *mode, unsigned int seconds, struct outcome *ret_outcome)
{
	struct run run = { .mode = mode->name, .seconds = seconds };
	struct outcome o = { 0 };
	int r = ksmd_set("run", 0);

	r = r ? r : ksmd_write("advisor_mode", "none");
	r = r ? r : start_guests(&run);
	r = r ? r : measure(&run, mode, &o);
	ksmd_set("run", 0);
	if (run.hook.link)
		hook_drop(&run.hook);
	for (int i = 0; i < GUESTS; i++) {
		int bad = vm_stop(run.vm[i]);

		r = r ? r : bad;
	}
	*ret_outcome = o;
	return r;
}

static int summary(const struct outcome *stock, const struct outcome *tuned, const struct outcome *tenant,
		   const char *json_file)
{
	struct report *report = report_new("ksm");

	report_add_pair(report, "saved", "MiB", tenant->saved_mib, stock->saved_mib);
	report_expect(report, "saved", true, 0.95);
	report_add_pair(report, "cpu", "s", tenant->cpu_s, stock->cpu_s);
	report_expect(report, "cpu", false, 0.5);
	report_add_pair(report, "broken", "merges", tenant->broken, stock->broken);
	report_expect(report, "broken", false, 0.5);
	report_add_pair(report, "saved_all", "MiB", tenant->saved_all_mib, stock->saved_all_mib);
	report_add_pair(report, "saved_end", "MiB", tenant->saved_end_mib, stock->saved_end_mib);
	report_add_pair(report, "ksmtuned_saved", "MiB", tuned->saved_mib, stock->saved_mib);
	report_add_pair(report, "ksmtuned_cpu", "s", tuned->cpu_s, stock->cpu_s);
	report_add_pair(report, "ksmtuned_broken", "merges", tuned->broken, stock->broken);
	return report_finish(report, json_file) ? 3 : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "seconds", required_argument, NULL, 's' },
		{ }
	};
	struct outcome outcome[MODES];
	unsigned int seconds = SECONDS;
	const char *json_file = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'j')
			json_file = optarg;
		else if (c == 's')
			seconds = strtoul(optarg, NULL, 10);
		if (c == '?' || seconds < SECONDS_MIN) {
			fprintf(stderr, "usage: %s [--json FILE] [--seconds N]\nN seconds each, at least %d\n", argv[0],
				SECONDS_MIN);
			return 2;
		}
	}
	for (size_t i = 0; i < MODES; i++) {
		int r = play(&modes[i], seconds, &outcome[i]);

		if (r) {
			fprintf(stderr, "ksm: %s: %s\n", modes[i].name, strerror(-r));
			return 1;
		}
	}
	return summary(&outcome[0], &outcome[1], &outcome[2], json_file);
}
