// SPDX-License-Identifier: GPL-2.0-or-later
/* See the kernel's Documentation/fault-injection/fault-injection.rst. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"
#include "kernel-file.h"

#define DEBUGFS		"/sys/kernel/debug"
#define TIMES		1000000000	/* more than will fail: the file counts down */

static const char *const kinds[] = { "failslab", "fail_page_alloc" };

static char thread_file[64];
static int nth_fd;

static int set(const char *kind, const char *file, const char *text)
{
	char path[96];

	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", kind, file);
	return kernel_file_write(path, text);
}

static int set_number(const char *kind, const char *file, unsigned int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	return set(kind, file, text);
}

static uint64_t get(const char *kind, const char *file)
{
	char path[96];

	snprintf(path, sizeof(path), DEBUGFS "/%s/%s", kind, file);
	return kernel_file_value(path, NULL);
}

bool faults_possible(void)
{
	return access(DEBUGFS "/failslab/task-filter", F_OK) == 0 && access("/proc/thread-self/fail-nth", F_OK) == 0;
}

/* What may fail, and nothing said of it: a trace in the log is a test that failed. */
static int set_up(unsigned int percent)
{
	int r = 0;

	for (unsigned int i = 0; i < 2 && !r; i++) {
		r = set(kinds[i], "task-filter", "Y");
		r = r ? r : set(kinds[i], "ignore-gfp-wait", "N");
		r = r ? r : set_number(kinds[i], "verbose", 0);
		r = r ? r : set_number(kinds[i], "interval", 1);
		r = r ? r : set_number(kinds[i], "times", TIMES);
		r = r ? r : set_number(kinds[i], "probability", percent);
	}
	/* single pages, and those of processes, too */
	r = r ? r : set("fail_page_alloc", "ignore-gfp-highmem", "N");
	return r ? r : set_number("fail_page_alloc", "min-order", 0);
}

/* The kernel thread's number, or zero. */
static unsigned int thread_id(const char *name)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	unsigned int id = 0;
	char path[64], comm[32];

	while (dir && !id && (entry = readdir(dir))) {
		unsigned int candidate = strtoul(entry->d_name, NULL, 10);
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%u/comm", candidate);
		f = candidate ? fopen(path, "re") : NULL;
		if (f && fgets(comm, sizeof(comm), f) && strcspn(comm, "\n") == strlen(name) &&
		    strncmp(comm, name, strlen(name)) == 0)
			id = candidate;
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return id;
}

int faults_start(const char *name, unsigned int one_in)
{
	unsigned int id = thread_id(name);
	int r;

	if (!id)
		return -ESRCH;
	snprintf(thread_file, sizeof(thread_file), "/proc/%u/make-it-fail", id);
	r = set_up(100 / one_in);
	return r ? r : kernel_file_write(thread_file, "1");
}

int faults_stop(uint64_t *ret_failed)
{
	int r = kernel_file_write(thread_file, "0");
	uint64_t failed = 0;

	for (unsigned int i = 0; i < 2 && !r; i++) {
		failed += TIMES - get(kinds[i], "times");
		r = set_number(kinds[i], "probability", 0);
	}
	if (!r)
		*ret_failed = failed;
	return r;
}

int fault_nth(unsigned int nth)
{
	int r = set_up(0), length;
	char text[16];

	if (r)
		return r;
	/* stays open: opening allocates, and is not what is to fail */
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	length = snprintf(text, sizeof(text), "%u", nth);
	return nth_fd < 0 || write(nth_fd, text, length) != length ? -errno : 0;
}

bool fault_nth_failed(void)
{
	char left[16] = "";
	/* what it still counts down */
	bool failed = pread(nth_fd, left, sizeof(left) - 1, 0) > 0 && strtoul(left, NULL, 10) == 0;

	if (write(nth_fd, "0", 1) != 1)
		perror("fail-nth");
	close(nth_fd);
	return failed;
}
