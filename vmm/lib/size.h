/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sizes in bytes, as people write and read them: "384M", "1.5G", "64KiB".  Units are powers of 1024 in either
 * spelling; nothing here knows powers of 1000.
 */
#ifndef MEMTIDE_SIZE_H
#define MEMTIDE_SIZE_H

#include <stdint.h>

#define MEMTIDE_SIZE_TEXT	16	/* room for any formatted size and its end */

/**
 * memtide_size_parse() - read a size with its unit
 * @text: digits, an optional fraction, and B, K, M, G or T, the latter four also as KB or KiB; letters in
 *	any case, blanks around it and before the unit allowed.  Only zero needs no unit.
 * @ret_bytes: the size; untouched on failure
 *
 * Returns 0, -EINVAL if it is no size, -ENODATA if only the unit is missing, -ERANGE from 2^64 bytes on.  A
 * fraction that is no whole number of bytes is rounded down.  Any thread.
 */
int memtide_size_parse(const char *text, uint64_t *ret_bytes);

/**
 * memtide_size_format() - write a size for people
 * @bytes: the size
 * @ret_text: gets it in the largest unit that keeps it at one or more, with at most one decimal: "1.5 GiB",
 *	"384 MiB"
 *
 * Returns @ret_text.  Rounds to nearest.  Any thread.
 */
const char *memtide_size_format(uint64_t bytes, char ret_text[static MEMTIDE_SIZE_TEXT]);

#endif /* MEMTIDE_SIZE_H */
