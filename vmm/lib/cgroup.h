/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which cgroup is a VM's, and what it says.
 */
#ifndef MEMTIDE_CGROUP_H
#define MEMTIDE_CGROUP_H

#include <stdint.h>
#include <sys/types.h>

#define MEMTIDE_CGROUP_PATH_MAX		1024
#define MEMTIDE_CGROUP_WHY_MAX		160

/*
 * The nearest cgroup above process @pid that has memory files and holds that process and its descendants alone.
 * @ret_path gets its directory.  Returns 0, or -ENOENT with the reason in @ret_why in words that fit "not
 * enforced: ...".
 */
int memtide_cgroup_find(pid_t pid, char ret_path[static MEMTIDE_CGROUP_PATH_MAX],
			char ret_why[static MEMTIDE_CGROUP_WHY_MAX]);

/* The one number in file @name of cgroup @path ("max" is UINT64_MAX).  0 or negative errno. */
int memtide_cgroup_read(const char *path, const char *name, uint64_t *ret_value);

/*
 * What cgroup @path holds and cannot drop at once: memory.current without clean page cache, which a VM's disk
 * images leave there and which goes as soon as somebody wants the memory.  0 or negative errno.
 */
int memtide_cgroup_in_use(const char *path, uint64_t *ret_bytes);

/* Number @name of its memory.stat.  0 or negative errno; a name that is not there is 0. */
int memtide_cgroup_stat(const char *path, const char *name, uint64_t *ret_value);

/*
 * Microseconds in which something in cgroup @path waited for memory ("some" of memory.pressure), since it is there.
 * 0 or negative errno.
 */
int memtide_cgroup_stalled(const char *path, uint64_t *ret_us);

/* Write @value, UINT64_MAX as "max".  May block for seconds while the kernel reclaims. */
int memtide_cgroup_write(const char *path, const char *name, uint64_t value);

/* Resident memory of @pid in bytes, from statm.  0 or negative errno. */
int memtide_process_resident(pid_t pid, uint64_t *ret_bytes);

#endif
