/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A latency histogram with logarithmic buckets: fixed size, no allocation, any percentile within 6.25 % of the
 * true value from above.  (Debian packages no HdrHistogram for C.)
 */
#ifndef MEMTIDE_HISTOGRAM_H
#define MEMTIDE_HISTOGRAM_H

#include <stdint.h>

#define MEMTIDE_HISTOGRAM_SUB_BITS	4	/* 16 buckets for each power of two: 1/16 is the relative error */
#define MEMTIDE_HISTOGRAM_BUCKETS	((64 - MEMTIDE_HISTOGRAM_SUB_BITS + 1) << MEMTIDE_HISTOGRAM_SUB_BITS)

/* All zero is an empty histogram. */
struct memtide_histogram {
	uint64_t count;
	uint64_t max;
	uint32_t bucket[MEMTIDE_HISTOGRAM_BUCKETS];
};

/**
 * memtide_histogram_add() - count one value
 * @histogram: not locked here
 * @value: in the caller's unit, any
 */
void memtide_histogram_add(struct memtide_histogram *histogram, uint64_t value);

/* memtide_histogram_merge() - add all values of @from to @histogram */
void memtide_histogram_merge(struct memtide_histogram *histogram, const struct memtide_histogram *from);

/**
 * memtide_histogram_at() - the value below or at which a share of all values lies
 * @histogram: not locked here
 * @permille: 0 to 1000; 500 is the median, 990 the 99th percentile, 1000 the maximum, which is exact
 *
 * Returns the upper end of the bucket, never above the maximum seen; 0 without values.
 */
uint64_t memtide_histogram_at(const struct memtide_histogram *histogram, unsigned int permille);

#endif /* MEMTIDE_HISTOGRAM_H */
