/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was last written into a limit of a cgroup, kept in an extended attribute of that cgroup: it outlives the
 * daemon and ends with the cgroup.  A limit that says anything else has been set by somebody else.
 */
#ifndef MEMTIDED_LIMIT_MARK_H
#define MEMTIDED_LIMIT_MARK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether @value, which file @name of cgroup @path has now, is what limit_mark_put() announced, or what there was
 * before that.  True as well where nothing was ever announced, or where the kernel (before 5.7) keeps no attributes.
 */
bool limit_mark_ours(const char *path, const char *name, uint64_t value);

/* @name is about to be written: @now is in it, @next will be. */
void limit_mark_put(const char *path, const char *name, uint64_t now, uint64_t next);

/* Whatever is in it from now on is fine. */
void limit_mark_remove(const char *path, const char *name);

#endif
