// SPDX-License-Identifier: GPL-2.0-or-later
/* See hook-calls.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hook-calls.h"
#include "libvirtd.h"

#define FOLDER	"/run/memtide/calls"

int hook_calls_begin(void)
{
	int r;

	if (mkdir(FOLDER, 0755) && errno != EEXIST)
		return -errno;
	r = libvirtd_remove_files(FOLDER);
	return r < 0 ? r : hook_calls_install("10-record");
}

int hook_calls_install(const char *name)
{
	return libvirtd_add_hook(RECORD_HOOK, name);
}

int hook_calls_fail(const char *operation, bool fail)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), FOLDER "/fail-%s", operation);
	if (!fail)
		return unlink(path) ? -errno : 0;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static char *read_all(const char *path)
{
	char text[65536];
	FILE *f = fopen(path, "re");
	size_t n = 0;

	if (f) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return strdup(text);
}

char *hook_calls(void)
{
	return read_all(FOLDER "/log");
}

void hook_calls_forget(void)
{
	unlink(FOLDER "/log");
}

char *hook_calls_read(const char *operation, const char *what)
{
	char path[128];

	snprintf(path, sizeof(path), FOLDER "/%s.%s", operation, what);
	return read_all(path);
}
