// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/tide/exits: the last exit records.  They outlive their policies, for whoever looks
 * when a policy has gone.
 *
 * One line a record, the newest first, as many of the last 32 as fit a page:
 *
 *	SEQUENCE FAMILY CGROUP NAME KIND REASON
 *
 * SEQUENCE counts all records, from 1.  CGROUP is a cgroup's id.  KIND is "detached", "replaced",
 * "cgroup", "tally", "oom" or "admin", as in enum tide_exit_kind.  REASON is the rest of the line,
 * "-" where there is nothing to say.
 */
#include <linux/kernel.h>
#include <linux/sysfs.h>

#include "internal.h"

#define TIDE_EXITS	32

static const char *const tide_exit_kinds[] = {
	[TIDE_EXIT_NONE] = "none",
	[TIDE_EXIT_DETACHED] = "detached",
	[TIDE_EXIT_REPLACED] = "replaced",
	[TIDE_EXIT_CGROUP] = "cgroup",
	[TIDE_EXIT_TALLY] = "tally",
	[TIDE_EXIT_OOM] = "oom",
	[TIDE_EXIT_ADMIN] = "admin",
};

/* Protects the records and their number; nothing is taken under it. */
static DEFINE_MUTEX(tide_exits_mutex);
static struct tide_exit tide_exits[TIDE_EXITS];
static u64 tide_nr_exits;

/**
 * tide_exits_add - keep an exit record, in the place of the oldest
 * @exit: the record
 *
 * May sleep.
 */
void tide_exits_add(const struct tide_exit *exit)
{
	mutex_lock(&tide_exits_mutex);
	tide_exits[tide_nr_exits++ % TIDE_EXITS] = *exit;
	mutex_unlock(&tide_exits_mutex);
}

/* The line of record @sequence.  Returns its length. */
static int tide_exits_line(u64 sequence, char *line, size_t size)
{
	const struct tide_exit *exit = &tide_exits[(sequence - 1) % TIDE_EXITS];

	return scnprintf(line, size, "%llu %s %llu %s %s %s\n", sequence,
			 tide_families[exit->family]->name, exit->cgroup_id, exit->name,
			 tide_exit_kinds[exit->kind], *exit->reason ? exit->reason : "-");
}

static ssize_t exits_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	char line[64 + TIDE_NAME_LEN + TIDE_REASON_LEN];
	u64 sequence, oldest;
	int len = 0;

	mutex_lock(&tide_exits_mutex);
	oldest = tide_nr_exits > TIDE_EXITS ? tide_nr_exits - TIDE_EXITS + 1 : 1;
	for (sequence = tide_nr_exits; sequence >= oldest; sequence--) {
		if (len + tide_exits_line(sequence, line, sizeof(line)) >= PAGE_SIZE)
			break;
		len += sysfs_emit_at(buf, len, "%s", line);
	}
	mutex_unlock(&tide_exits_mutex);
	return len;
}

struct kobj_attribute tide_exits_attr = __ATTR_RO(exits);
