/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cgroup's id, by which the kernel's policies are attached, and its folder, by which people know it.  cgroup v2
 * only.
 */
#ifndef MEMTIDE_CGROUP_ID_H
#define MEMTIDE_CGROUP_ID_H

#include <stddef.h>
#include <stdint.h>

#include "errtext.h"

#define MEMTIDE_CGROUP_ROOT	"/sys/fs/cgroup"

/**
 * memtide_cgroup_id() - from a folder to its id
 * @path: the folder, or what /proc/PID/cgroup says behind "0::"
 * @ret_id: the id
 *
 * -ENOENT if there is none, -EINVAL if it is no cgroup of version 2.
 */
int memtide_cgroup_id(const char *path, uint64_t *ret_id, struct memtide_errtext *errtext);

/**
 * memtide_cgroup_path() - from an id to its folder
 * @ret_path: "" on failure
 *
 * -ENOENT where there is none any more, -EPERM without CAP_DAC_READ_SEARCH, -ENAMETOOLONG.
 */
int memtide_cgroup_path(uint64_t id, char *ret_path, size_t size);

#endif /* MEMTIDE_CGROUP_ID_H */
