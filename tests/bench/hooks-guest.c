// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The only process of a guest whose clock counts instructions (see hooks.c): faults memory in, lets ksmd scan,
 * and tells the console what each round took, a line "hooks: NAME INSTRUCTIONS" each.
 *
 * With the argument "minimal" it attaches the minimal policy of each family to the root first, and in the end
 * has one more round counted: that each operation was called as often as it should be.  Counting costs
 * something, so no round that is measured is counted.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "hooks.h"
#include "kernel-file.h"
#include "ksmd-clock.h"
#include "ksmd.h"

#define PAGE		4096UL
#define PAGES		4096UL
#define RANGE_PAGES	512UL
/* The smallest large folio of anonymous memory: of the faults that ask a policy, those that do least besides. */
#define FOLIO_PAGES	4UL
#define FOLIO_SYSFS	"/sys/kernel/mm/transparent_hugepage/hugepages-16kB/enabled"
/* The same page tables in each round and each guest. */
#define PLACE		((void *)0x100000000)
#define ROUNDS		31
/* Notes checksums, merges, finds what is merged; then KSM's smart scan passes over what finds no twin. */
#define PASSES		8
/* ksmd comes to the end of its pass before it has scanned so many, and rests: a batch is a pass. */
#define BATCH_PAGES	30000
#define REST_MS		20

static const char *const policies[] = { "ksm-minimal", "thp-minimal" };

#define POLICIES	(sizeof(policies) / sizeof(policies[0]))

static struct hook hooks[POLICIES];

static void fail(const char *what, int r)
{
	printf("hooks: error: %s: %s\n", what, strerror(-r));
	fflush(stdout);
	reboot(RB_POWER_OFF);
}

static void must(const char *what, int r)
{
	if (r)
		fail(what, r);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static char *map(void)
{
	char *memory = mmap(PLACE, PAGES * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap", -errno);
	return memory;
}

/* Faults in every @step'th page, from page @first on, and returns what a fault takes. */
static double touch(volatile char *memory, unsigned long first, unsigned long step)
{
	unsigned long faults = 0;
	uint64_t spent = now();

	for (unsigned long i = first; i < PAGES; i += step, faults++)
		memory[i * PAGE] = 1;
	return (double)(now() - spent) / faults;
}

/*
 * Faults on single pages.  The kernel looks whether a large folio would do, and finds no room for it, since the first
 * page of each is there already.
 */
static double fault_round(void)
{
	volatile char *memory = map();
	double instructions;

	touch(memory, 0, FOLIO_PAGES);
	must("mTHP", kernel_file_write(FOLIO_SYSFS, "always"));
	/* of the three pages that are left of each folio, the middle one */
	instructions = touch(memory, 2, FOLIO_PAGES);
	must("mTHP", kernel_file_write(FOLIO_SYSFS, "never"));
	munmap((char *)memory, PAGES * PAGE);
	return instructions;
}

/* Faults that make a large folio each. */
static double folio_round(void)
{
	volatile char *memory = map();
	double instructions;

	must("mTHP", kernel_file_write(FOLIO_SYSFS, "always"));
	instructions = touch(memory, 0, FOLIO_PAGES);
	must("mTHP", kernel_file_write(FOLIO_SYSFS, "never"));
	munmap((char *)memory, PAGES * PAGE);
	return instructions;
}

/* Every other page has a twin: pages 1 and 2 of four are equal. */
static void fill(char *memory)
{
	for (unsigned long i = 0; i < PAGES; i++) {
		uint64_t value = ((i % 4 == 2 ? i - 1 : i) + 1) * 0x9e3779b97f4a7c15ULL;
		uint64_t *word = (uint64_t *)(memory + i * PAGE);

		for (unsigned long k = 0; k < PAGE / sizeof(*word); k++)
			word[k] = value;
	}
}

/* Lets ksmd do @passes passes, each of them whole; returns the CPU time that they took. */
static uint64_t scan(unsigned int passes)
{
	uint64_t start = ksmd_cpu_ns(), until = ksmd_value("full_scans") + passes;

	must("ksmd", ksmd_set("run", 1));
	while (ksmd_value("full_scans") < until)
		poll(NULL, 0, 1);
	must("ksmd", ksmd_set("run", 0));
	return ksmd_cpu_ns() - start;
}

static double ksm_round(void)
{
	char *memory = map();
	double instructions;

	if (madvise(memory, PAGES * PAGE, MADV_MERGEABLE))
		fail("MADV_MERGEABLE", -errno);
	fill(memory);
	instructions = scan(PASSES);
	if (ksmd_value("pages_sharing") != PAGES / 4)
		fail("pages that should be merged are not", -EBADMSG);
	munmap(memory, PAGES * PAGE);
	/* forgets them */
	scan(1);
	return instructions / (PAGES * PASSES);
}

/* How often the operation @name was called, of the policies that are attached. */
static uint64_t calls(const char *name)
{
	struct bpf_program *program;

	for (size_t i = 0; i < POLICIES; i++) {
		bpf_object__for_each_program(program, hooks[i].object) {
			struct bpf_prog_info info = { 0 };
			uint32_t size = sizeof(info);

			if (strcmp(bpf_program__name(program), name) == 0 &&
			    !bpf_prog_get_info_by_fd(bpf_program__fd(program), &info, &size))
				return info.run_cnt;
		}
	}
	fail(name, -ENOENT);
	return 0;
}

/* What the kernel says that it asked the policy of family ksm. */
static uint64_t tally(const char *count)
{
	return kernel_file_value("/sys/kernel/tide/policies/ksm-1/counts", count);
}

static void expect_calls(const char *operation, uint64_t least, uint64_t most)
{
	uint64_t n = calls(operation);

	printf("hooks: calls of %s: %" PRIu64 ", %" PRIu64 " expected\n", operation, n, least);
	if (!n || n < least || n > most)
		fail(operation, -EBADMSG);
}

static void expect_no_calls(const char *operation)
{
	if (calls(operation))
		fail(operation, -EBADMSG);
}

/* The programs' counts begin at zero here. */
static void count_round(void)
{
	uint64_t candidates = tally("candidates");
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (fd < 0)
		fail("counting", fd);
	fault_round();
	expect_no_calls("thp_minimal_orders");
	folio_round();
	ksm_round();
	candidates = tally("candidates") - candidates;
	expect_calls("ksm_minimal_visit", PASSES + 1, PASSES + 1);
	/* not in a first visit, which goes through all of the memory */
	expect_calls("ksm_minimal_range", (PASSES - 1) * PAGES / RANGE_PAGES, (PASSES - 1) * PAGES / RANGE_PAGES);
	expect_calls("ksm_minimal_merge", candidates, candidates);
	expect_calls("ksm_minimal_merged", PAGES / 2, PAGES / 2);
	/* and in batches in which no pass was due */
	expect_calls("ksm_minimal_pace", PASSES + 1, UINT64_MAX);
	expect_calls("thp_minimal_orders", PAGES / FOLIO_PAGES, PAGES / FOLIO_PAGES);
	close(fd);
}

static void set_up(void)
{
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL) || mount("sysfs", "/sys", "sysfs", 0, NULL) ||
	    mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL))
		fail("mount", -errno);
	must("THP", kernel_file_write("/sys/kernel/mm/transparent_hugepage/enabled", "never"));
	must("ksmd", ksmd_set("pages_to_scan", BATCH_PAGES));
	must("ksmd", ksmd_set("sleep_millisecs", REST_MS));
}

/* A cgroup below the one that has the policies, as it is with VMs. */
static void enter_cgroup(void)
{
	must("cgroup", kernel_file_write("/sys/fs/cgroup/cgroup.subtree_control", "+memory"));
	mkdir("/sys/fs/cgroup/bench", 0755);
	must("cgroup", kernel_file_write("/sys/fs/cgroup/bench/cgroup.procs", "0"));
}

int main(int argc, char **argv)
{
	bool minimal = argc > 1 && strcmp(argv[1], "minimal") == 0;

	set_up();
	enter_cgroup();
	for (size_t i = 0; minimal && i < POLICIES; i++)
		must(policies[i], hook(policies[i], 1 /* the root */, 1, &hooks[i]));
	for (int i = 0; i < ROUNDS; i++)
		printf("hooks: fault %.3f\n", fault_round());
	for (int i = 0; i < ROUNDS; i++)
		printf("hooks: folio %.3f\n", folio_round());
	for (int i = 0; i < ROUNDS; i++)
		printf("hooks: ksm %.3f\n", ksm_round());
	if (minimal)
		count_round();
	printf("hooks: done\n");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}
