/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory as KSM finds it in guests of one kind: a part that is the same in all of them, and parts that are not. */
#ifndef TESTS_GUEST_TWINS_H
#define TESTS_GUEST_TWINS_H

#include <stdint.h>

struct twins {
	uint64_t common_bytes;	/* the same in all guests, for good */
	uint64_t own_bytes;	/* as it is nowhere else, for good */
	uint64_t busy_bytes;	/* the guest's own too, and all of it is written to each second */
	uint64_t churn_bytes;	/* the same in all guests, and rewritten page after page */
	unsigned int period_s;	/* ... within so many seconds, evenly */
	uint64_t seed;		/* another one in each guest */
};

/* Starts a process that has it, and returns once all of it has been touched.  0 or a negative errno. */
int twins_start(const struct twins *twins);

#endif /* TESTS_GUEST_TWINS_H */
