// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A histogram with logarithmic buckets.  Values below 16 have a bucket each; above, the four bits after the
 * highest set one choose among 16 buckets of each power of two.
 */
#include "histogram.h"

#define SUB_BITS	MEMTIDE_HISTOGRAM_SUB_BITS
#define SUBS		(1U << SUB_BITS)

static unsigned int bucket_of(uint64_t value)
{
	unsigned int shift;

	if (value < SUBS)
		return value;
	shift = 63 - __builtin_clzll(value) - SUB_BITS;
	return (shift << SUB_BITS) + (unsigned int)(value >> shift);
}

/* The highest value that falls into a bucket. */
static uint64_t bucket_end(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < 2 * SUBS)
		return bucket;
	shift = (bucket >> SUB_BITS) - 1;
	return ((uint64_t)(SUBS + bucket % SUBS) << shift) + ((1ULL << shift) - 1);
}

void memtide_histogram_add(struct memtide_histogram *histogram, uint64_t value)
{
	histogram->bucket[bucket_of(value)]++;
	histogram->count++;
	if (value > histogram->max)
		histogram->max = value;
}

void memtide_histogram_merge(struct memtide_histogram *histogram, const struct memtide_histogram *from)
{
	for (unsigned int i = 0; i < MEMTIDE_HISTOGRAM_BUCKETS; i++)
		histogram->bucket[i] += from->bucket[i];
	histogram->count += from->count;
	if (from->max > histogram->max)
		histogram->max = from->max;
}

uint64_t memtide_histogram_at(const struct memtide_histogram *histogram, unsigned int permille)
{
	/* How many values are to lie below or at the answer: at least one. */
	uint64_t want = (uint64_t)(((unsigned __int128)histogram->count * permille + 999) / 1000);
	uint64_t seen = 0, end;

	if (!histogram->count)
		return 0;
	if (!want)
		want = 1;
	for (unsigned int i = 0; i < MEMTIDE_HISTOGRAM_BUCKETS; i++) {
		seen += histogram->bucket[i];
		if (seen < want)
			continue;
		end = bucket_end(i);
		return end < histogram->max ? end : histogram->max;
	}
	return histogram->max;
}
