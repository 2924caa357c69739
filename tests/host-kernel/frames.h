/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The physical frames in which a process has its memory.  Nothing else tells whether two processes share a page:
 * counters say how much is shared, and not with whom.  Needs root.
 */
#ifndef TESTS_HOST_KERNEL_FRAMES_H
#define TESTS_HOST_KERNEL_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FRAME_SIZE	4096UL

/* A page of a process. */
struct frame {
	uint64_t address;
	uint64_t number;
};

/*
 * Reads the frame numbers of @pages pages from @address on into @ret_numbers, zero where none is mapped.  0, or -EIO
 * where the process has gone.
 */
int frames_read(pid_t pid, uint64_t address, size_t pages, uint64_t *ret_numbers);
/* The same of the pages at @addresses. */
int frames_at(pid_t pid, const uint64_t *addresses, size_t pages, uint64_t *ret_numbers);
/* Of one page; zero also where the process has gone. */
uint64_t frame_at(pid_t pid, uint64_t address);
/* The page of zeros, which everybody has who has read what he never wrote; zero if it cannot be told. */
uint64_t frame_of_zeros(void);
/*
 * All of a process's anonymous memory without a name, by address: a VM's RAM, and whatever else ksmd may be told to
 * merge.  Pages of files, of memory that is shared on purpose, and the one of zeros are none of it.  Allocated in
 * @ret_frames.
 * 0, -EIO where the process has gone, or -ENOMEM.
 */
int frames_anonymous(pid_t pid, struct frame **ret_frames, size_t *ret_nr);

#endif /* TESTS_HOST_KERNEL_FRAMES_H */
