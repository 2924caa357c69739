// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See cgroup-id.h.  The id of a cgroup is its folder's inode number, and all that its file handle consists of:
 * so the way back is open_by_handle_at(), without a search.
 */
#include "cgroup-id.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* FILEID_KERNFS in the kernel's include/linux/exportfs.h; part of the handles that user space gets, so ABI. */
#define HANDLE_KERNFS	0xfe

static int id_of(const char *path, uint64_t *ret_id)
{
	struct statfs fs;
	struct stat st;

	if (statfs(path, &fs) || stat(path, &st))
		return -errno;
	if (fs.f_type != CGROUP2_SUPER_MAGIC || !S_ISDIR(st.st_mode))
		return -EINVAL;
	*ret_id = st.st_ino;
	return 0;
}

int memtide_cgroup_id(const char *path, uint64_t *ret_id, struct memtide_errtext *errtext)
{
	char below[4096];
	int r = id_of(path, ret_id);

	if (!r)
		return 0;
	if (*path == '/' && snprintf(below, sizeof(below), MEMTIDE_CGROUP_ROOT "%s", path) < (int)sizeof(below) &&
	    !id_of(below, ret_id))
		return 0;
	if (r == -EINVAL)
		return memtide_errtext_set(errtext, r,
					   "%.200s is no cgroup of version 2: name a folder below "
					   MEMTIDE_CGROUP_ROOT ", where a cgroup2 file system has to be mounted",
					   path);
	return memtide_errtext_set(errtext, r, "no cgroup %.200s: %s", path, strerror(-r));
}

static int open_by_id(uint64_t id)
{
	union {
		struct file_handle handle;
		char bytes[sizeof(struct file_handle) + sizeof(id)];
	} handle = { .handle = { .handle_bytes = sizeof(id), .handle_type = HANDLE_KERNFS } };
	int root, fd, error;

	root = open(MEMTIDE_CGROUP_ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	memcpy(handle.handle.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(root, &handle.handle, O_PATH | O_CLOEXEC);
	error = -errno;
	close(root);
	if (fd >= 0)
		return fd;
	return error == -ESTALE ? -ENOENT : error;
}

int memtide_cgroup_path(uint64_t id, char *ret_path, size_t size)
{
	int fd = open_by_id(id);
	char link[32];
	ssize_t n;

	*ret_path = '\0';
	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, ret_path, size);
	close(fd);
	if (n < 0 || (size_t)n == size) {
		*ret_path = '\0';
		return n < 0 ? -errno : -ENAMETOOLONG;
	}
	ret_path[n] = '\0';
	return 0;
}
