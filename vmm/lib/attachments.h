/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which policies are attached to which cgroups, and with which knobs.  All of it comes from the kernel: sysfs
 * says what is in force and what came of it, the pinned link leads to the policy's programs and from there to
 * its knobs.  So there is no list that could be out of date.
 */
#ifndef MEMTIDE_ATTACHMENTS_H
#define MEMTIDE_ATTACHMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy.h"

#define MEMTIDE_MAX_COUNTS	16

struct memtide_attachments;

/* One number of a policy's tally, such as "scanned". */
struct memtide_count {
	char name[32];
	uint64_t value;
};

/**
 * struct memtide_attachment - a policy on a cgroup
 * @family: "ksm" or "thp"
 * @name: the policy's own; "" if it is in force no more
 * @cgroup_id: the cgroup's id
 * @cgroup: its folder; "" if it is gone, or without the privilege to look
 * @state: in the kernel's words: "attached", or "ejected: ..." with the reason
 * @in_force: whether it is attached
 * @counts: its tally, in the kernel's order
 * @nr_counts: how many
 * @pin: the pinned link; "" if memtide has not attached it
 * @file: the object file that it was loaded from; "" if not known
 * @knobs: with the values in force, as far as they are known; only name, type, size and value mean something
 * @nr_knobs: how many
 */
struct memtide_attachment {
	char family[16];
	char name[16];
	uint64_t cgroup_id;
	char cgroup[1024];
	char state[128];
	bool in_force;
	struct memtide_count counts[MEMTIDE_MAX_COUNTS];
	size_t nr_counts;
	char pin[128];
	char file[1024];
	const struct memtide_knob *knobs;
	size_t nr_knobs;
};

/**
 * memtide_attachments_read() - look
 * @ret: for memtide_attachments_free()
 *
 * Who is not root sees what sysfs shows.  A kernel without the hooks has none, which is no error.  0 or -ENOMEM.
 */
int memtide_attachments_read(struct memtide_attachments **ret);

/* The same for what is attached to one cgroup; costs nothing for each of the others. */
int memtide_attachments_read_of(uint64_t cgroup_id, struct memtide_attachments **ret);

void memtide_attachments_free(struct memtide_attachments *all);

/* All of them, in no order; their number in @ret_nr. */
const struct memtide_attachment *memtide_attachments_list(const struct memtide_attachments *all, size_t *ret_nr);

/* A knob of an attached policy by its name, or NULL. */
const struct memtide_knob *memtide_attachment_knob(const struct memtide_attachment *attachment, const char *name);

#endif /* MEMTIDE_ATTACHMENTS_H */
