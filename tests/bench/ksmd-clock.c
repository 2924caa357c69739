// SPDX-License-Identifier: GPL-2.0-or-later
/* See ksmd-clock.h. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ksmd-clock.h"

static pid_t find_ksmd(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	while (proc && !found && (entry = readdir(proc))) {
		char path[300], name[16] = "";
		pid_t pid = atoi(entry->d_name);
		FILE *f;

		if (!pid)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f) && strcmp(name, "ksmd\n") == 0)
			found = pid;
		if (f)
			fclose(f);
	}
	if (proc)
		closedir(proc);
	return found;
}

uint64_t ksmd_cpu_ns(void)
{
	static clockid_t clock;
	struct timespec t;

	if (!clock) {
		pid_t pid = find_ksmd();

		if (!pid || clock_getcpuclockid(pid, &clock))
			return 0;
	}
	return clock_gettime(clock, &t) ? 0 : t.tv_sec * 1000000000ULL + t.tv_nsec;
}
