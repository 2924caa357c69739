// SPDX-License-Identifier: GPL-2.0-or-later
/* See kernel-file.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel-file.h"

#define WAIT_TRIES	60000	/* a look each 2 ms */

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

uint64_t kernel_file_part_value(const char *path, const char *head, const char *key)
{
	size_t length = key ? strlen(key) : 0;
	FILE *f = fopen(path, "re");
	uint64_t value = 0;
	bool in_part = !head;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		const char *number = line + length;

		if (!in_part) {
			in_part = !strncmp(line, head, strlen(head));
			continue;
		}
		if (key && (strncmp(line, key, length) || !strchr(": \t", *number) || !*number))
			continue;
		value = strtoull(number + strspn(number, ": \t"), NULL, 10) * (strstr(number, " kB") ? 1024 : 1);
		break;
	}
	if (f)
		fclose(f);
	return value;
}

uint64_t kernel_file_value(const char *path, const char *key)
{
	return kernel_file_part_value(path, NULL, key);
}

int kernel_file_setting(const char *path, char *ret_text, size_t size)
{
	FILE *f = fopen(path, "re");
	char line[256] = "", *start, *end;

	if (!f || !fgets(line, sizeof(line), f)) {
		fprintf(stderr, "cannot read %s: %s\n", path, f ? "it is empty" : strerror(errno));
		if (f)
			fclose(f);
		return -EIO;
	}
	fclose(f);
	start = strchr(line, '[');
	start = start ? start + 1 : line;
	end = start + strcspn(start, "]\n");
	*end = '\0';
	snprintf(ret_text, size, "%s", start);
	return 0;
}

int kernel_file_wait(const char *path, uint64_t least)
{
	for (unsigned int i = 0; i < WAIT_TRIES; i++) {
		if (kernel_file_value(path, NULL) >= least)
			return 0;
		poll(NULL, 0, 2);
	}
	fprintf(stderr, "%s does not come to %llu\n", path, (unsigned long long)least);
	return -ETIMEDOUT;
}

void kernel_file_text(const char *path, const char *key, char *ret_text, size_t size)
{
	size_t length = strlen(key);
	FILE *f = fopen(path, "re");
	char line[256];

	*ret_text = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, length) || line[length] != ' ')
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(ret_text, size, "%s", line + length + 1);
		break;
	}
	if (f)
		fclose(f);
}
