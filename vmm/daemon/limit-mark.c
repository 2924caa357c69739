// SPDX-License-Identifier: GPL-2.0-or-later
#include "limit-mark.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/xattr.h>

/* Kernels round limits down to pages, of up to 64 KiB. */
#define ROUNDING	(64 << 10)

static void attribute(const char *name, char ret_text[static 64])
{
	snprintf(ret_text, 64, "user.memtide.%.40s", name);
}

static bool same(uint64_t a, uint64_t b)
{
	return (a < b ? b - a : a - b) < ROUNDING;
}

bool limit_mark_ours(const char *path, const char *name, uint64_t value)
{
	char key[64], text[64];
	uint64_t before, after;
	ssize_t n;

	attribute(name, key);
	n = getxattr(path, key, text, sizeof(text) - 1);
	if (n < 0)
		return true;
	text[n] = '\0';
	return sscanf(text, "%" SCNu64 " %" SCNu64, &before, &after) != 2 || same(value, before) || same(value, after);
}

/* Both: the daemon may be killed between this and the write. */
void limit_mark_put(const char *path, const char *name, uint64_t now, uint64_t next)
{
	char key[64], text[64];

	attribute(name, key);
	snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, now, next);
	setxattr(path, key, text, strlen(text), 0);
}

void limit_mark_remove(const char *path, const char *name)
{
	char key[64];

	attribute(name, key);
	removexattr(path, key);
}
