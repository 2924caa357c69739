/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies that the host's kernel has ended, and why: its last exit records.  What memtide or anybody else has
 * detached or replaced is not among them.  To be told when it happens is for memtided.
 */
#ifndef MEMTIDE_ENDED_H
#define MEMTIDE_ENDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct memtide_ended - a policy that was ejected, or whose cgroup is gone
 * @number: of the record, from 1 since the host was started
 * @family: "ksm"
 * @cgroup_id: where it was attached
 * @cgroup: that cgroup's folder; "" if it is gone, or without the privilege to look
 * @name: the policy's own
 * @kind: "cgroup", "tally", "oom", "admin", or what a later kernel has
 * @reason: in the kernel's words
 */
struct memtide_ended {
	uint64_t number;
	char family[16];
	uint64_t cgroup_id;
	char cgroup[1024];
	char name[16];
	char kind[16];
	char reason[64];
};

/**
 * memtide_ended_read() - look
 * @ret: the newest first; for free()
 * @ret_nr: how many; none on a kernel without the hooks
 *
 * 0 or -ENOMEM.
 */
int memtide_ended_read(struct memtide_ended **ret, size_t *ret_nr);

/* One line of the kernel's records.  Whether it is of a policy that the kernel ended; @cgroup stays "".  Pure. */
bool memtide_ended_parse(const char *line, struct memtide_ended *ret_ended);

#endif /* MEMTIDE_ENDED_H */
