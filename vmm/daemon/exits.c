// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See exits.h.  Read as text, which is what a trace buffer gives without a reader for its binary format: exit
 * records are rare.
 */
#include "exits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel-write.h"
#include "policy-attach.h"

#define INSTANCE	"/sys/kernel/tracing/instances/memtide"
#define EVENT		"events/tide/tide_exit"
/* Some hundred records for each CPU. */
#define BUFFER_KIB	"64"
/* More than the kernel formats at a time, so that no line is cut. */
#define READ_SIZE	16384

int exits_open(void)
{
	int fd, r;

	if (!memtide_kernel_has_hooks())
		return -ENOENT;
	if (mkdir(INSTANCE, 0700) && errno != EEXIST)
		return -errno;
	/* of no matter if it fails: the buffer is larger then, or wakes later */
	memtide_kernel_write(INSTANCE "/buffer_size_kb", BUFFER_KIB);
	memtide_kernel_write(INSTANCE "/buffer_percent", "0");
	r = memtide_kernel_write(INSTANCE "/" EVENT "/enable", "1");
	if (r)
		return r;
	fd = open(INSTANCE "/trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

bool exits_parse(const char *line, struct exit_record *ret_record)
{
	const char *fields = strstr(line, ": tide_exit: ");
	struct exit_record record = {};
	int end = 0;

	if (!fields || sscanf(fields, ": tide_exit: kind=%" SCNu32 " family=%" SCNu32 " cgroup=%" SCNu64
			      " name=%15s reason=%n", &record.kind, &record.family, &record.cgroup_id, record.name,
			      &end) != 4 || !end)
		return false;
	snprintf(record.reason, sizeof(record.reason), "%.*s", (int)strcspn(fields + end, "\n"), fields + end);
	*ret_record = record;
	return true;
}

void exits_read(int fd, void (*tell)(const struct exit_record *record, void *ctx), void *ctx)
{
	char text[READ_SIZE + 1], *save, *line;
	struct exit_record record;
	ssize_t n;

	while ((n = read(fd, text, READ_SIZE)) > 0) {
		text[n] = '\0';
		for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			if (exits_parse(line, &record))
				tell(&record, ctx);
	}
}

const char *exits_family(const struct exit_record *record)
{
	/* as enum tide_family in the kernel's tide.h; part of its ABI */
	static const char *const names[] = { "ksm", "thp" };

	return record->family < sizeof(names) / sizeof(names[0]) ? names[record->family] : "unknown";
}
