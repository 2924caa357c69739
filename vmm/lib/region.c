// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory files that another process presents.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "region.h"

#define SIZE_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW)

static int check_file(int fd, const char *what, size_t size, struct memtide_errtext *errtext)
{
	struct statfs fs;
	struct stat st;
	int seals;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return memtide_errtext_set(errtext, -errno, "%s: %s", what, strerror(errno));
	/* A huge page that is not to be had would be a SIGBUS. */
	if (!S_ISREG(st.st_mode) || fs.f_type != TMPFS_MAGIC)
		return memtide_errtext_set(errtext, -EINVAL, "%s: not a memfd of ordinary pages", what);
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0)
		return memtide_errtext_set(errtext, -EINVAL, "%s: not a memfd: %s", what, strerror(errno));
	if ((seals & SIZE_SEALS) != SIZE_SEALS)
		return memtide_errtext_set(errtext, -EPERM,
					   "%s: its size is not sealed, it needs F_SEAL_SHRINK and F_SEAL_GROW",
					   what);
	/* The size is looked at after the seals, so it stays what is found here. */
	if (fstat(fd, &st) < 0)
		return memtide_errtext_set(errtext, -errno, "%s: %s", what, strerror(errno));
	if ((size_t)st.st_size != size)
		return memtide_errtext_set(errtext, -EINVAL, "%s: has %lld bytes instead of %zu", what,
					   (long long)st.st_size, size);
	return 0;
}

int memtide_region_map(int fd, const char *what, size_t size, struct memtide_region *ret_region,
		       struct memtide_errtext *errtext)
{
	void *start;
	int r;

	r = check_file(fd, what, size, errtext);
	if (r < 0)
		return r;
	/* Populated, so that the event loop does not wait for a page later. */
	start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (start == MAP_FAILED) {
		r = errno == EACCES ? -EPERM : -errno;
		return memtide_errtext_set(errtext, r, "%s: cannot be mapped for writing: %s", what,
					   strerror(errno));
	}
	ret_region->start = start;
	ret_region->size = size;
	return 0;
}

void memtide_region_unmap(struct memtide_region *region)
{
	if (region->start)
		munmap(region->start, region->size);
	region->start = NULL;
	region->size = 0;
}

int memtide_region_create(const char *name, size_t size)
{
	int fd, r;

	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, size) < 0 || fcntl(fd, F_ADD_SEALS, SIZE_SEALS) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}
