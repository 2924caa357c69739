/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every unit test begins with: cmocka and the headers that it wants before it, and numbers that look
 * random but come out the same for the same seed.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define KIB	(1ULL << 10)
#define MIB	(1ULL << 20)
#define GIB	(1ULL << 30)

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

/* splitmix64 (Steele, Lea, Flood 2014): any seed is a good one, zero as well. */
static inline uint64_t unit_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* From 0 to @below - 1; a little uneven, which does not matter here. */
static inline uint64_t unit_below(uint64_t *seed, uint64_t below)
{
	return unit_random(seed) % below;
}

/* A count from the environment. */
static inline unsigned long unit_count(const char *variable, unsigned long otherwise)
{
	const char *text = getenv(variable);

	return text && *text ? strtoul(text, NULL, 0) : otherwise;
}

#endif /* TESTS_UNIT_H */
