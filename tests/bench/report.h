/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a bench reports: named metrics with all their samples, printed as a table and written as one JSON object
 *
 *	{ "bench", "machine", "versions", "metrics": { NAME: { "value", "unit", "peer", "ratio", "n", "spread" } } }
 *
 * value is the median of the samples, spread the distance between their quartiles; with peer samples, peer is their
 * median and ratio the median of ours to the peer's of the same run.
 */
#ifndef TESTS_BENCH_REPORT_H
#define TESTS_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>

struct report;

/* @bench is kept by reference.  Never fails: a bench without memory aborts. */
struct report *report_new(const char *bench);
/* One sample of our side.  @name and @unit are kept by reference. */
void report_add(struct report *report, const char *name, const char *unit, double value);
/* One sample of both sides, measured in the same run; @peer names the other one. */
void report_add_pair(struct report *report, const char *name, const char *unit, double value, double peer);
/* A value that is no sample's median: a percentile worked out elsewhere of @n samples. */
void report_set(struct report *report, const char *name, const char *unit, double value, size_t n);
/*
 * What has to hold for @name's value, or its ratio where it has a peer: at least (or at most) @limit.  Metrics that
 * fall short are marked in the table.
 */
void report_expect(struct report *report, const char *name, bool at_least, double limit);
/* Prints the table and writes the object to @json_file, which may be NULL.  Returns how many metrics fell short. */
int report_finish(struct report *report, const char *json_file);

/* The value below which @share of @n samples lie, zero without any; sorts them. */
double report_quantile(double *sample, size_t n, double share);

/* The program's one kind of command line, [--json FILE] [--runs N]; exits on anything else. */
struct bench_options {
	const char *json_file;
	unsigned int runs;
};
void bench_parse(int argc, char **argv, unsigned int default_runs, struct bench_options *ret_options);

#endif /* TESTS_BENCH_REPORT_H */
