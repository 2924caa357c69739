/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared memory that another process presents: checked so that nothing this process later does with it can be made
 * to fail (SIGBUS), then mapped.
 */
#ifndef MEMTIDE_REGION_H
#define MEMTIDE_REGION_H

#include <stddef.h>

#include "errtext.h"

struct memtide_region {
	void *start;	/* NULL: not mapped */
	size_t size;	/* bytes */
};

/**
 * memtide_region_map() - check a memfd and map it, readable and writable
 * @fd: as it was received; stays the caller's and may be closed afterwards
 * @what: what it is, for the error's words
 * @size: bytes that it must have exactly; not zero
 * @ret_region: untouched on failure
 * @errtext: words for an error, may be NULL
 *
 * Returns 0, -EINVAL (no memfd of ordinary pages, or not of this size), -EPERM (its size is not sealed, or it
 * cannot be written to), or what mmap() says.  Any thread; the pages are made present, so this may take a
 * while.
 */
int memtide_region_map(int fd, const char *what, size_t size, struct memtide_region *ret_region,
		       struct memtide_errtext *errtext);

/* memtide_region_unmap() - harmless on one that is not mapped */
void memtide_region_unmap(struct memtide_region *region);

/**
 * memtide_region_create() - make a memfd that memtide_region_map() takes (tests and fake peers)
 * @name: shown in /proc
 * @size: bytes
 *
 * Returns the descriptor, close-on-exec, or a negative errno.
 */
int memtide_region_create(const char *name, size_t size);

#endif /* MEMTIDE_REGION_H */
