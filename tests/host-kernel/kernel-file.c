// SPDX-License-Identifier: GPL-2.0-or-later
/* See kernel-file.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel-file.h"

int kernel_file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	if (r)
		fprintf(stderr, "cannot write '%s' to %s: %s\n", text, path, strerror(-r));
	return r;
}

uint64_t kernel_file_value(const char *path, const char *key)
{
	size_t length = key ? strlen(key) : 0;
	FILE *f = fopen(path, "re");
	uint64_t value = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		const char *number = line + length;

		if (key && (strncmp(line, key, length) || !strchr(": \t", *number) || !*number))
			continue;
		value = strtoull(number + strspn(number, ": \t"), NULL, 10) * (strstr(number, " kB") ? 1024 : 1);
		break;
	}
	if (f)
		fclose(f);
	return value;
}
