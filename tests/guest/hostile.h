/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a hostile guest does with its virtio-tide device, past any driver. */
#ifndef TESTS_GUEST_HOSTILE_H
#define TESTS_GUEST_HOSTILE_H

#include <stdint.h>

/* Writes pseudo-random bytes over the whole state region, @rounds times.  0 or a negative errno. */
int hostile_garbage(unsigned int rounds);
/* Writes to the doorbell @count times. */
int hostile_flood(uint64_t count);
/* Claims pressure for @bytes, @count times, with a doorbell each, and statistics of a guest in need. */
int hostile_claim(uint64_t bytes, unsigned int count);
/*
 * Writes to every page that the driver has given, so that the host has to provide it again; over and over until @bytes
 * of them are there at once, since the driver marks what it has given a moment later.  0 or a negative errno.
 */
int hostile_retouch(uint64_t bytes);

#endif /* TESTS_GUEST_HOSTILE_H */
