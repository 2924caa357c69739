// SPDX-License-Identifier: GPL-2.0-or-later
/* See report.h. */
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "report.h"

#define METRICS_MAX	32

struct metric {
	const char *name;
	const char *unit;
	double *value;
	double *ratio;
	double *peer;
	size_t n;		/* samples in each array */
	size_t n_reported;	/* what stands behind a value that was set */
	size_t n_peer;
	bool expected;
	bool at_least;
	double limit;
};

struct report {
	const char *bench;
	struct metric metric[METRICS_MAX];
	size_t count;
};

struct report *report_new(const char *bench)
{
	struct report *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	r->bench = bench;
	return r;
}

static struct metric *find(struct report *r, const char *name)
{
	for (size_t i = 0; i < r->count; i++) {
		if (strcmp(r->metric[i].name, name) == 0)
			return &r->metric[i];
	}
	if (r->count == METRICS_MAX)
		abort();
	r->metric[r->count].name = name;
	return &r->metric[r->count++];
}

static void append(double **array, size_t n, double value)
{
	double *grown = realloc(*array, (n + 1) * sizeof(double));

	if (!grown)
		abort();
	*array = grown;
	grown[n] = value;
}

void report_add(struct report *r, const char *name, const char *unit, double value)
{
	struct metric *m = find(r, name);

	m->unit = unit;
	append(&m->value, m->n++, value);
	m->n_reported = m->n;
}

void report_add_pair(struct report *r, const char *name, const char *unit, double value, double peer)
{
	struct metric *m = find(r, name);

	report_add(r, name, unit, value);
	append(&m->peer, m->n_peer, peer);
	append(&m->ratio, m->n_peer++, peer != 0 ? value / peer : 0);
}

void report_set(struct report *r, const char *name, const char *unit, double value, size_t n)
{
	report_add(r, name, unit, value);
	find(r, name)->n_reported = n;
}

void report_expect(struct report *r, const char *name, bool at_least, double limit)
{
	struct metric *m = find(r, name);

	m->expected = true;
	m->at_least = at_least;
	m->limit = limit;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double report_quantile(double *sample, size_t n, double share)
{
	if (!n)
		return 0;
	qsort(sample, n, sizeof(double), compare);
	if (share == 0.5 && n % 2 == 0)
		return (sample[n / 2 - 1] + sample[n / 2]) / 2;
	return sample[(size_t)floor(share * (n - 1) + 0.5)];
}

static json_t *machine(void)
{
	char line[256], model[128] = "unknown";
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "model name : %127[^\n]", model);
	if (f)
		fclose(f);
	return json_pack("{s:s,s:I,s:I,s:s}", "cpu", model, "cpus", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "memory_mib",
			 (json_int_t)(sysconf(_SC_PHYS_PAGES) / 256), "accel", getenv("LAB_ACCEL") ? getenv("LAB_ACCEL") : "none");
}

static json_t *versions(void)
{
	const char *guest = getenv("LAB_RELEASE"), *qemu = getenv("LAB_QEMU_VERSION");
	struct utsname u;

	uname(&u);
	return json_pack("{s:s,s:s,s:s,s:s}", "host_kernel", u.release, "guest_kernel", guest ? guest : "none", "qemu",
			 qemu ? qemu : "none", "memtide", MEMTIDE_VERSION);
}

static bool short_of(const struct metric *m, double value, double ratio)
{
	double measured = m->n_peer ? ratio : value;

	return m->expected && (m->at_least ? !(measured >= m->limit) : !(measured <= m->limit));
}

static int put(struct metric *m, json_t *metrics)
{
	double value = report_quantile(m->value, m->n, 0.5), peer = report_quantile(m->peer, m->n_peer, 0.5);
	double ratio = report_quantile(m->ratio, m->n_peer, 0.5);
	double spread = report_quantile(m->value, m->n, 0.75) - report_quantile(m->value, m->n, 0.25);
	bool bad = short_of(m, value, ratio);
	json_t *o = json_pack("{s:f,s:s,s:I,s:f}", "value", value, "unit", m->unit ? m->unit : "", "n",
			      (json_int_t)m->n_reported, "spread", spread);

	printf("%-22s %12.4g %-8s", m->name, value, m->unit ? m->unit : "");
	if (m->n_peer) {
		json_object_set_new(o, "peer", json_real(peer));
		json_object_set_new(o, "ratio", json_real(ratio));
		printf(" peer %10.4g  ratio %8.3g", peer, ratio);
	} else {
		printf(" %32s", "");
	}
	if (m->expected)
		printf("  %s %g%s", m->at_least ? ">=" : "<=", m->limit, bad ? "  FALLS SHORT" : "");
	printf("  (n=%zu, spread %.3g)\n", m->n_reported, spread);
	json_object_set_new(metrics, m->name, o);
	return bad;
}

int report_finish(struct report *r, const char *json_file)
{
	json_t *metrics = json_object(), *object;
	int bad = 0;

	for (size_t i = 0; i < r->count; i++)
		bad += put(&r->metric[i], metrics);
	object = json_pack("{s:s,s:o,s:o,s:o}", "bench", r->bench, "machine", machine(), "versions", versions(), "metrics",
			   metrics);
	if (json_file && json_dump_file(object, json_file, JSON_INDENT(2)))
		fprintf(stderr, "%s: cannot write %s\n", r->bench, json_file);
	json_decref(object);
	for (size_t i = 0; i < r->count; i++) {
		free(r->metric[i].value);
		free(r->metric[i].peer);
		free(r->metric[i].ratio);
	}
	free(r);
	return bad;
}

void bench_parse(int argc, char **argv, unsigned int default_runs, struct bench_options *o)
{
	static const struct option options[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "runs", required_argument, NULL, 'r' },
		{ }
	};
	int c;

	*o = (struct bench_options){ .runs = default_runs };
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 'j':
			o->json_file = optarg;
			break;
		case 'r':
			o->runs = strtoul(optarg, NULL, 10);
			if (o->runs)
				break;
			/* fallthrough */
		default:
			fprintf(stderr, "usage: %s [--json FILE] [--runs N]\n", argv[0]);
			exit(2);
		}
	}
}
