/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exit records of the policies in the host's kernel: who was ejected, from which cgroup, and why.  They come
 * from the tracepoint tide_exit, in a trace buffer of memtide's own; those that come while nobody reads are kept
 * there.
 */
#ifndef MEMTIDED_EXITS_H
#define MEMTIDED_EXITS_H

#include <stdbool.h>
#include <stdint.h>

/* As enum tide_exit_kind in the kernel's tide_ops.h; part of its ABI. */
enum exit_kind {
	EXIT_DETACHED	= 1,
	EXIT_REPLACED	= 2,
	EXIT_CGROUP	= 3,
	EXIT_TALLY	= 4,
	EXIT_OOM	= 5,
	EXIT_ADMIN	= 6,
};

struct exit_record {
	uint32_t kind;		/* enum exit_kind, or what a later kernel has */
	uint32_t family;
	uint64_t cgroup_id;
	char name[16];
	char reason[64];	/* in the kernel's words, "" where there is nothing to say */
};

/* A descriptor to poll for POLLIN, or a negative errno: -ENOENT on a kernel without the hooks. */
int exits_open(void);

/* Call @tell for every record that has come, oldest first.  Does not block. */
void exits_read(int fd, void (*tell)(const struct exit_record *record, void *ctx), void *ctx);

/* One line of a trace.  Whether it is an exit record.  Pure. */
bool exits_parse(const char *line, struct exit_record *ret_record);

/* "ksm" or "thp", or "unknown" for a family that is newer than this. */
const char *exits_family(const struct exit_record *record);

#endif
