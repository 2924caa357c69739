// SPDX-License-Identifier: GPL-2.0-or-later
/* See ksmtuned.h. */
#include "ksmtuned.h"

#define PAGES_BOOST		300
#define PAGES_DECAY		(-50)
#define PAGES_MIN		64
#define PAGES_MAX		1250
#define THRESHOLD_PERCENT	20
#define SLEEP_MS		10
#define SLEEP_FOR_BYTES		(16ULL << 30)

bool ksmtuned_adjust(struct ksmtuned *tuned, uint64_t free_bytes, uint64_t committed_bytes)
{
	uint64_t threshold = tuned->total_bytes * THRESHOLD_PERCENT / 100;

	if (committed_bytes + threshold < tuned->total_bytes && free_bytes > threshold)
		return false;
	tuned->pages += free_bytes < threshold ? PAGES_BOOST : PAGES_DECAY;
	if (tuned->pages < PAGES_MIN)
		tuned->pages = PAGES_MIN;
	if (tuned->pages > PAGES_MAX)
		tuned->pages = PAGES_MAX;
	return true;
}

unsigned int ksmtuned_sleep_ms(const struct ksmtuned *tuned)
{
	uint64_t ms = SLEEP_MS * SLEEP_FOR_BYTES / tuned->total_bytes;

	return ms > SLEEP_MS ? ms : SLEEP_MS;
}
