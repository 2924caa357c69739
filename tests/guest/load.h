/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Load inside a test guest: memory with known content, bursts of anonymous memory, and a process that does work
 * which more page cache makes faster.
 */
#ifndef TESTS_GUEST_LOAD_H
#define TESTS_GUEST_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What page @page of fill number @fill begins with; the rest of it is zero.  The same in every guest. */
static inline uint64_t fill_word(uint64_t fill, uint64_t page)
{
	return (fill << 48 ^ page) * 0x9e3779b97f4a7c15ULL | 1;
}

/* Maps and fills @bytes more with a pattern.  Returns 0 and the time it took, or -ENOMEM. */
int fill_memory(uint64_t bytes, uint64_t *ret_ns);
/* Compares everything that fill_memory() filled.  Returns 0, or -EIO and the first wrong offset. */
int check_memory(uint64_t *ret_offset);
/* Frees all but the first @count. */
void keep_memory(unsigned int count);

/* A child that touches @bytes at once, holds them for @hold_ms and exits. */
int burst_start(uint64_t bytes, unsigned int hold_ms);
/* Waits for it.  Returns 0 and how long touching took, or -EINTR when it was killed. */
int burst_wait(uint64_t *ret_ns);

int load_mount(const char *device, const char *dir);
/*
 * A child that keeps @anon_bytes touched and reads blocks of the files in @dir, block k of all with a probability
 * proportional to 1 / (k + 1)^@theta (Zipf), in an order that has nothing to do with their place.  Starts paused.
 */
int load_start(uint64_t anon_bytes, const char *dir, double theta);
void load_pace(unsigned int pace);
uint64_t load_operations(void);
bool load_alive(void);

/* Keeps the OOM killer away from @pid. */
void load_protect(pid_t pid);

#endif /* TESTS_GUEST_LOAD_H */
