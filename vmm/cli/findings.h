/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Findings: what a check has seen, whether that is as it should be, and how to mend it.  For the commands that look at
 * something and say all that is wrong with it at once.
 */
#ifndef MEMTIDE_FINDINGS_H
#define MEMTIDE_FINDINGS_H

#include <jansson.h>
#include <stdbool.h>

enum verdict {
	FINE,
	NOTE,		/* works, at a cost */
	WRONG,		/* does not work, or not as it should */
	UNKNOWN,	/* could not be looked at */
};

/* @findings is a JSON array of { check, verdict, found, why, mend }. */
struct report {
	json_t *findings;
	bool wrong;
};

/**
 * find() - add a finding
 * @check: what was looked at, one word that stays the same
 * @mend: what to do, as a command where there is one; "" where there is nothing to do
 * @format: what was found, with its value
 */
__attribute__((format(printf, 5, 6)))
void find(struct report *report, const char *check, enum verdict verdict, const char *mend, const char *format, ...);

/* The same, with why it matters. */
__attribute__((format(printf, 6, 7)))
void find_because(struct report *report, const char *check, enum verdict verdict, const char *why, const char *mend,
		  const char *format, ...);

/*
 * A few lines for each to standard output; @all: those that are as they should be as well.  What mends several in a row
 * stands below the last of them.
 */
void print_findings(const json_t *findings, bool all);

#endif /* MEMTIDE_FINDINGS_H */
