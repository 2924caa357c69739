// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Cgroup v2 only.  On v1, or where a VM shares its cgroup with anything else, a VM is managed and not enforced.
 */
#include "cgroup.h"

#include "kernel-write.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A VM has its QEMU and a handful of helpers; a cgroup with more processes is not one VM's. */
#define MAX_PROCESSES	64
/* How far up a process's parents are followed. */
#define MAX_PARENTS	16

static int read_text(const char *path, char *text, size_t size)
{
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	return (int)n;
}

int memtide_cgroup_read(const char *path, const char *name, uint64_t *ret_value)
{
	char file[MEMTIDE_CGROUP_PATH_MAX + 64], text[64], *end;
	unsigned long long value;
	int r;

	snprintf(file, sizeof(file), "%s/%s", path, name);
	r = read_text(file, text, sizeof(text));
	if (r < 0)
		return r;
	if (!strcmp(text, "max\n")) {
		*ret_value = UINT64_MAX;
		return 0;
	}
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

static uint64_t stat_value(const char *text, const char *name)
{
	size_t size = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, size) && line[size] == ' ')
			return strtoull(line + size, NULL, 10);
	}
	return 0;
}

/* Room for all of memory.stat. */
#define STAT_SIZE	8192

static int read_stat(const char *path, char text[static STAT_SIZE])
{
	char file[MEMTIDE_CGROUP_PATH_MAX + 64];

	snprintf(file, sizeof(file), "%s/memory.stat", path);
	return read_text(file, text, STAT_SIZE);
}

int memtide_cgroup_stat(const char *path, const char *name, uint64_t *ret_value)
{
	char text[STAT_SIZE];
	int r = read_stat(path, text);

	if (r >= 0)
		*ret_value = stat_value(text, name);
	return r < 0 ? r : 0;
}

int memtide_cgroup_stalled(const char *path, uint64_t *ret_us)
{
	char file[MEMTIDE_CGROUP_PATH_MAX + 64], text[256], *total;
	int r;

	snprintf(file, sizeof(file), "%s/memory.pressure", path);
	r = read_text(file, text, sizeof(text));
	if (r < 0)
		return r;
	/* The first line is that of "some". */
	total = strstr(text, "total=");
	return total && sscanf(total, "total=%" SCNu64, ret_us) == 1 ? 0 : -EINVAL;
}

int memtide_cgroup_in_use(const char *path, uint64_t *ret_bytes)
{
	uint64_t current, cache, busy;
	char text[STAT_SIZE];
	int r;

	r = memtide_cgroup_read(path, "memory.current", &current);
	if (r >= 0)
		r = read_stat(path, text);
	if (r < 0)
		return r;
	cache = stat_value(text, "active_file") + stat_value(text, "inactive_file");
	busy = stat_value(text, "file_dirty") + stat_value(text, "file_writeback");
	cache -= busy < cache ? busy : cache;
	*ret_bytes = current - (cache < current ? cache : current);
	return 0;
}

int memtide_cgroup_write(const char *path, const char *name, uint64_t value)
{
	char file[MEMTIDE_CGROUP_PATH_MAX + 64], text[32] = "max";

	snprintf(file, sizeof(file), "%s/%s", path, name);
	if (value != UINT64_MAX)
		snprintf(text, sizeof(text), "%" PRIu64, value);
	return memtide_kernel_write(file, text);
}

int memtide_process_resident(pid_t pid, uint64_t *ret_bytes)
{
	char file[64], text[128];
	unsigned long long size, resident;
	int r;

	snprintf(file, sizeof(file), "/proc/%d/statm", (int)pid);
	r = read_text(file, text, sizeof(text));
	if (r < 0)
		return r;
	if (sscanf(text, "%llu %llu", &size, &resident) != 2)
		return -EINVAL;
	*ret_bytes = resident * (uint64_t)sysconf(_SC_PAGESIZE);
	return 0;
}

/* Where cgroup v2 is mounted.  In the hybrid layout that is below /sys/fs/cgroup and has no memory controller. */
static int find_mount(char *ret_mount, size_t size)
{
	char line[1024], mount[MEMTIDE_CGROUP_PATH_MAX];
	FILE *file;
	int r = -ENOENT;

	file = fopen("/proc/self/mountinfo", "re");
	if (!file)
		return -errno;
	while (r && fgets(line, sizeof(line), file)) {
		if (strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %1023s", mount) == 1 &&
		    strlen(mount) < size) {
			memcpy(ret_mount, mount, strlen(mount) + 1);
			r = 0;
		}
	}
	fclose(file);
	return r;
}

static int find_path(pid_t pid, char *ret_path, size_t size)
{
	char file[64], text[4096], *line, *save = NULL;
	int r;

	snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
	r = read_text(file, text, sizeof(text));
	if (r < 0)
		return r;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "0::/", 4) || strstr(line, "/../"))
			continue;
		if ((size_t)snprintf(ret_path, size, "%s", line + 3) >= size)
			return -ENAMETOOLONG;
		return 0;
	}
	return -ENOENT;
}

static pid_t parent_of(pid_t pid)
{
	char file[64], text[512], *after_name;
	int parent;

	snprintf(file, sizeof(file), "/proc/%d/stat", (int)pid);
	if (read_text(file, text, sizeof(text)) < 0)
		return 0;
	after_name = strrchr(text, ')');
	if (!after_name || sscanf(after_name + 1, " %*c %d", &parent) != 1)
		return 0;
	return parent;
}

static bool descends_from(pid_t pid, pid_t ancestor)
{
	for (int i = 0; i < MAX_PARENTS && pid > 1; i++) {
		if (pid == ancestor)
			return true;
		pid = parent_of(pid);
	}
	return false;
}

/* The processes in @path and below; stops at MAX_PROCESSES, which is too many for one VM. */
static int collect(const char *path, pid_t *pids, int used, int depth)
{
	char file[MEMTIDE_CGROUP_PATH_MAX + 300];
	struct dirent *entry;
	FILE *procs;
	DIR *dir;
	int pid;

	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	procs = fopen(file, "re");
	if (procs) {
		/* A threaded child refuses to be read; its processes are listed by the domain above it. */
		while (used < MAX_PROCESSES && fscanf(procs, "%d", &pid) == 1)
			pids[used++] = pid;
		fclose(procs);
	}
	dir = depth > 0 ? opendir(path) : NULL;
	while (dir && used < MAX_PROCESSES && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if ((size_t)snprintf(file, MEMTIDE_CGROUP_PATH_MAX, "%s/%s", path, entry->d_name) < MEMTIDE_CGROUP_PATH_MAX)
			used = collect(file, pids, used, depth - 1);
	}
	if (dir)
		closedir(dir);
	return used;
}

static bool holds_alone(const char *path, pid_t pid, char *ret_why, size_t size)
{
	pid_t pids[MAX_PROCESSES];
	int used = collect(path, pids, 0, 4);
	bool found = false;

	if (used == MAX_PROCESSES) {
		snprintf(ret_why, size, "its cgroup holds many other processes");
		return false;
	}
	for (int i = 0; i < used; i++) {
		/* In another pid namespace a process reads as 0. */
		if (pids[i] <= 0 || !descends_from(pids[i], pid)) {
			snprintf(ret_why, size, "its cgroup holds other processes, such as %d", (int)pids[i]);
			return false;
		}
		found |= pids[i] == pid;
	}
	if (!found)
		snprintf(ret_why, size, "its cgroup does not list it");
	return found;
}

int memtide_cgroup_find(pid_t pid, char ret_path[static MEMTIDE_CGROUP_PATH_MAX],
			char ret_why[static MEMTIDE_CGROUP_WHY_MAX])
{
	char mount[MEMTIDE_CGROUP_PATH_MAX / 2], below[MEMTIDE_CGROUP_PATH_MAX / 2], path[MEMTIDE_CGROUP_PATH_MAX + 16],
		file[sizeof(path) + 16];
	char *slash;

	if (find_mount(mount, sizeof(mount)) < 0) {
		snprintf(ret_why, MEMTIDE_CGROUP_WHY_MAX, "cgroup v2 is not mounted");
		return -ENOENT;
	}
	if (find_path(pid, below, sizeof(below)) < 0) {
		snprintf(ret_why, MEMTIDE_CGROUP_WHY_MAX, "process %d has no cgroup v2", (int)pid);
		return -ENOENT;
	}
	/* The root has no limits: stop before it. */
	for (; (slash = strrchr(below, '/')) && slash[1]; *slash = '\0') {
		snprintf(path, sizeof(path), "%s%s", mount, below);
		snprintf(file, sizeof(file), "%s/memory.high", path);
		if (access(file, F_OK) < 0)
			continue;
		if (strlen(path) >= MEMTIDE_CGROUP_PATH_MAX || !holds_alone(path, pid, ret_why, MEMTIDE_CGROUP_WHY_MAX))
			return -ENOENT;
		if (access(file, W_OK) < 0) {
			snprintf(ret_why, MEMTIDE_CGROUP_WHY_MAX, "memory.high may not be written: %s", strerror(errno));
			return -ENOENT;
		}
		memcpy(ret_path, path, strlen(path) + 1);
		return 0;
	}
	snprintf(ret_why, MEMTIDE_CGROUP_WHY_MAX, "no cgroup of its own with memory.high (cgroup v1, or the root)");
	return -ENOENT;
}
