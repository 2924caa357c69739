// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the hooks in the host's kernel cost, in instructions.  The same program (hooks-guest.c) runs in three
 * guests
 *
 *	plain	the lab's kernel without the hooks
 *	idle	the lab's kernel, nothing attached
 *	minimal	the lab's kernel, with policies that answer what the kernel would do by itself, from every operation
 *
 * and tells what page faults and passes of ksmd take.  Under QEMU's -icount a guest's clock advances by one
 * nanosecond for each instruction, so that its own clock counts them, and what else this machine does makes no
 * difference.  What caches and further CPUs cost is not in these numbers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"
#include "vm.h"

#define ROUNDS_MAX	256
/* Emulated features that instructions are counted with, whatever this machine has. */
#define CPU		"max,la57=off,erms=off,fsrm=off"

/* Faults on single pages, which ask no policy; faults that make large folios, each of which asks; pages ksmd scans. */
enum work { FAULT, FOLIO, KSM, WORKS };

static const struct {
	const char *name;
	const char *idle;
	const char *minimal;
	const char *plain;
} works[WORKS] = {
	[FAULT] = { "fault", "fault_idle_pct", "fault_unasked_pct", "fault_plain" },
	[FOLIO] = { "folio", "folio_idle_pct", "fault_minimal_pct", "folio_plain" },
	[KSM] = { "ksm", "ksm_idle_pct", "ksm_minimal_pct", "ksm_page_plain" },
};

struct guest {
	const char *name;
	const char *kernel;
	char log[512];
	pid_t pid;
	double sample[WORKS][ROUNDS_MAX];
	size_t n[WORKS];
	bool done;
};

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	if (value && *value)
		return value;
	fprintf(stderr, "hooks: %s is not set: run this through './lab bench hooks'\n", name);
	exit(2);
}

static void run_qemu(const struct guest *g)
{
	char *firmware = strdup(environment("LAB_FIRMWARE")), *second = strchr(firmware, ':'), serial[600], append[128];
	const char *qemu = environment("LAB_QEMU");

	if (second)
		*second++ = '\0';
	snprintf(serial, sizeof(serial), "file:%s", g->log);
	snprintf(append, sizeof(append), "console=ttyS0 loglevel=5 panic=-1 mitigations=off -- %s", g->name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl(qemu, qemu, "-L", firmware, "-L", second ? second : firmware, "-name", g->name, "-nodefaults",
	      "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35", "-accel", "tcg", "-icount",
	      "shift=0,sleep=off", "-cpu", CPU, "-smp", "1", "-m", "512", "-serial", serial, "-kernel", g->kernel,
	      "-initrd", environment("LAB_HOOKS_INITRD"), "-append", append, NULL);
	perror(qemu);
	_exit(127);
}

static void start(struct guest *g)
{
	const char *logs = getenv("LAB_LOGS");

	snprintf(g->log, sizeof(g->log), "%s/hooks-%s.log", logs ? logs : ".", g->name);
	g->pid = fork();
	if (!g->pid)
		run_qemu(g);
}

static void read_line(struct guest *g, const char *line)
{
	for (enum work w = 0; w < WORKS; w++) {
		size_t length = strlen(works[w].name);

		if (strncmp(line, works[w].name, length) == 0 && line[length] == ' ' && g->n[w] < ROUNDS_MAX)
			g->sample[w][g->n[w]++] = strtod(line + length, NULL);
	}
	if (strncmp(line, "error", 5) == 0 || strncmp(line, "calls", 5) == 0)
		fprintf(stderr, "hooks: %s: %s\n", g->name, line);
	if (strcmp(line, "done") == 0)
		g->done = true;
}

/* Waits for the guest's end and reads what it has said. */
static int finish(struct guest *g)
{
	char line[512];
	FILE *f;

	waitpid(g->pid, NULL, 0);
	g->done = false;
	f = fopen(g->log, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (strncmp(line, "hooks: ", 7) == 0)
			read_line(g, line + 7);
	}
	if (f)
		fclose(f);
	if (!g->done)
		fprintf(stderr, "hooks: guest %s has not come to its end, see %s\n", g->name, g->log);
	return g->done ? kernel_log_check(g->log) : -EPIPE;
}

static double median(const double *sample, size_t n)
{
	double sorted[ROUNDS_MAX];

	memcpy(sorted, sample, n * sizeof(*sample));
	return report_quantile(sorted, n, 0.5);
}

/* Each round against the plain kernel's median, in percent. */
static void put(struct report *report, const char *metric, enum work w, const struct guest *plain,
		const struct guest *g, double limit)
{
	double base = median(plain->sample[w], plain->n[w]);

	for (size_t i = 0; i < g->n[w]; i++)
		report_add(report, metric, "%", (g->sample[w][i] / base - 1) * 100);
	report_expect(report, metric, false, limit);
}

/* All at once: their clocks do not notice. */
static int run_guests(struct guest *guests, int count)
{
	int r = 0;

	for (int i = 0; i < count; i++)
		start(&guests[i]);
	for (int i = 0; i < count; i++) {
		int bad = finish(&guests[i]);

		r = r ? r : bad;
	}
	return r;
}

int main(int argc, char **argv)
{
	static struct guest guests[] = { { .name = "plain" }, { .name = "idle" }, { .name = "minimal" } };
	struct report *report = report_new("hooks");
	struct bench_options options;
	int r = 0;

	bench_parse(argc, argv, 1, &options);
	guests[0].kernel = environment("LAB_PLAIN_KERNEL");
	guests[1].kernel = guests[2].kernel = environment("LAB_KERNEL");
	for (unsigned int run = 0; run < options.runs && !r; run++)
		r = run_guests(guests, 3);
	if (r) {
		fprintf(stderr, "hooks: %s\n", strerror(-r));
		return 1;
	}
	for (enum work w = 0; w < WORKS; w++) {
		const struct guest *plain = &guests[0];

		put(report, works[w].idle, w, plain, &guests[1], 0.1);
		put(report, works[w].minimal, w, plain, &guests[2], 3);
		report_set(report, works[w].plain, "instr", median(plain->sample[w], plain->n[w]), plain->n[w]);
	}
	return report_finish(report, options.json_file) ? 3 : 0;
}
