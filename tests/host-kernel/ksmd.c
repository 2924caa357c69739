// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "kernel-file.h"
#include "ksmd.h"

#define SETTLE_TRIES	60000	/* a look each 2 ms: far longer than a pass over some MiB takes */

int ksmd_write(const char *file, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", file);
	return kernel_file_write(path, text);
}

int ksmd_set(const char *file, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return ksmd_write(file, text);
}

uint64_t ksmd_value(const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", file);
	return kernel_file_value(path, NULL);
}

uint64_t ksmd_domain(uint64_t domain, const char *key)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/kernel/tide/ksm/domains/%" PRIu64 "/stats", domain);
	return kernel_file_value(path, key);
}

int ksmd_run(bool use_zero_pages)
{
	int r = ksmd_set("sleep_millisecs", 0);

	r = r ? r : ksmd_set("pages_to_scan", 1000);
	r = r ? r : ksmd_set("smart_scan", 0);
	r = r ? r : ksmd_set("use_zero_pages", use_zero_pages);
	return r ? r : ksmd_set("run", 1);
}

int ksmd_settle(void)
{
	for (unsigned int i = 0; i < SETTLE_TRIES; i++) {
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
	return kernel_file_wait("/sys/kernel/mm/ksm/full_scans", ksmd_value("full_scans") + passes + 1);
}
