// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See ended.h.  What a line is made of is told in the kernel's mm/tide/exits.c.
 */
#include "ended.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup-id.h"
#include "policy-attach.h"

bool memtide_ended_parse(const char *line, struct memtide_ended *ret_ended)
{
	struct memtide_ended ended = {};

	if (sscanf(line, "%" SCNu64 " %15s %" SCNu64 " %15s %15s %63[^\n]", &ended.number, ended.family,
		   &ended.cgroup_id, ended.name, ended.kind, ended.reason) != 6)
		return false;
	if (!strcmp(ended.kind, "detached") || !strcmp(ended.kind, "replaced"))
		return false;
	*ret_ended = ended;
	return true;
}

int memtide_ended_read(struct memtide_ended **ret, size_t *ret_nr)
{
	FILE *f = fopen(MEMTIDE_TIDE_SYSFS "/exits", "re");
	struct memtide_ended *all = NULL, *more, one;
	char line[256];
	size_t nr = 0;
	int r = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (!memtide_ended_parse(line, &one))
			continue;
		more = reallocarray(all, nr + 1, sizeof(*all));
		if (!more) {
			r = -ENOMEM;
			break;
		}
		memtide_cgroup_path(one.cgroup_id, one.cgroup, sizeof(one.cgroup));
		all = more;
		all[nr++] = one;
	}
	if (f)
		fclose(f);
	if (r) {
		free(all);
		return r;
	}
	*ret = all;
	*ret_nr = nr;
	return 0;
}
