// SPDX-License-Identifier: GPL-2.0-or-later
#include "source-file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

#define SIZE_MOST	65536

char *source_file(const char *folder, const char *name)
{
	char path[1024], *text = calloc(1, SIZE_MOST);
	FILE *file;

	snprintf(path, sizeof(path), SOURCE_ROOT "/%s/%s", folder, name);
	file = fopen(path, "re");
	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	assert_non_null(text);
	assert_in_range(fread(text, 1, SIZE_MOST, file), 1, SIZE_MOST - 1);
	fclose(file);
	return text;
}
