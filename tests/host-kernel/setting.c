// SPDX-License-Identifier: GPL-2.0-or-later
/* See setting.h. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-file.h"
#include "setting.h"

#define SETTINGS_MAX	16

static struct {
	char path[128];
	char before[64];
} settings[SETTINGS_MAX];
static unsigned int nr;

static bool is_known(const char *path)
{
	for (unsigned int i = 0; i < nr; i++) {
		if (!strcmp(settings[i].path, path))
			return true;
	}
	return false;
}

static void restore_at_exit(void)
{
	settings_restore();
}

static int remember(const char *path)
{
	static bool registered;
	int r;

	if (is_known(path))
		return 0;
	if (!registered && atexit(restore_at_exit))
		return -ENOMEM;
	registered = true;
	if (nr == SETTINGS_MAX)
		return -ENOSPC;
	r = kernel_file_setting(path, settings[nr].before, sizeof(settings[nr].before));
	if (r)
		return r;
	snprintf(settings[nr++].path, sizeof(settings->path), "%s", path);
	return 0;
}

int setting_change(const char *path, const char *value)
{
	int r = remember(path);

	return r ? r : kernel_file_write(path, value);
}

int settings_restore(void)
{
	int r = 0, failed;

	while (nr) {
		nr--;
		failed = kernel_file_write(settings[nr].path, settings[nr].before);
		r = failed ? failed : r;
	}
	return r;
}
