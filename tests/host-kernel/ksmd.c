// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ksmd.h"

#define PASS_TRIES	60000	/* a look each 2 ms: far longer than a pass over some MiB takes */

int ksmd_set(const char *file, uint64_t value)
{
	char path[64];
	int r = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", file);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	fprintf(f, "%" PRIu64 "\n", value);
	if (fclose(f))
		r = -errno;
	if (r)
		fprintf(stderr, "ksmd: cannot write %" PRIu64 " to %s: %s\n", value, path, strerror(-r));
	return r;
}

static uint64_t read_number(const char *path, const char *key)
{
	size_t length = key ? strlen(key) : 0;
	uint64_t value = 0;
	char line[128];
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (!key || (strncmp(line, key, length) == 0 && line[length] == ' '))
			value = strtoull(line + length, NULL, 10);
	}
	if (f)
		fclose(f);
	return value;
}

uint64_t ksmd_value(const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", file);
	return read_number(path, NULL);
}

uint64_t ksmd_domain(uint64_t domain, const char *key)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/kernel/tide/ksm/domains/%" PRIu64 "/stats", domain);
	return read_number(path, key);
}

int ksmd_run(bool use_zero_pages)
{
	int r = ksmd_set("sleep_millisecs", 0);

	r = r ? r : ksmd_set("pages_to_scan", 1000);
	r = r ? r : ksmd_set("smart_scan", 0);
	r = r ? r : ksmd_set("use_zero_pages", use_zero_pages);
	return r ? r : ksmd_set("run", 1);
}

int ksmd_unmerge(void)
{
	return ksmd_set("run", 2);
}

int ksmd_settle(void)
{
	for (unsigned int i = 0; i < PASS_TRIES; i++) {
		if (!ksmd_value("pages_shared"))
			return 0;
		poll(NULL, 0, 2);
	}
	fprintf(stderr, "ksmd: pages stay merged\n");
	return -ETIMEDOUT;
}

int ksmd_passes(unsigned int passes)
{
	/* the one that is under way does not count */
	uint64_t until = ksmd_value("full_scans") + passes + 1;

	for (unsigned int i = 0; i < PASS_TRIES; i++) {
		if (ksmd_value("full_scans") >= until)
			return 0;
		poll(NULL, 0, 2);
	}
	fprintf(stderr, "ksmd: no %u passes\n", passes);
	return -ETIMEDOUT;
}
