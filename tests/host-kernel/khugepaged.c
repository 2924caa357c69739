// SPDX-License-Identifier: GPL-2.0-or-later
/* See khugepaged.h. */
#include <errno.h>
#include <stdio.h>

#include "kernel-file.h"
#include "khugepaged.h"
#include "setting.h"
#include "tenant.h"

#define THP		"/sys/kernel/mm/transparent_hugepage/"
#define KHUGEPAGED	THP "khugepaged/"
#define FOLIOS_64K	THP "hugepages-64kB/"

#define PASSES_MAX	100

int khugepaged_run(void)
{
	static const struct {
		const char *path;
		const char *value;
	} settings[] = {
		{ THP "enabled", "madvise" },
		{ THP "defrag", "madvise" },
		{ FOLIOS_64K "enabled", "never" },
		/* not zero: on one CPU nobody else would get to run */
		{ KHUGEPAGED "scan_sleep_millisecs", "10" },
		{ KHUGEPAGED "alloc_sleep_millisecs", "10" },
		{ KHUGEPAGED "pages_to_scan", "65536" },
		{ KHUGEPAGED "max_ptes_none", "511" },
		{ KHUGEPAGED "max_ptes_shared", "511" },
	};
	int r = 0;

	for (unsigned int i = 0; i < sizeof(settings) / sizeof(*settings) && !r; i++)
		r = setting_change(settings[i].path, settings[i].value);
	return r;
}

int khugepaged_passes(unsigned int passes)
{
	/* the one that is under way does not count */
	return kernel_file_wait(KHUGEPAGED "full_scans", kernel_file_value(KHUGEPAGED "full_scans", NULL) + passes + 1);
}

int khugepaged_makes(const struct tenant *t, unsigned int huge)
{
	int r = 0;

	/* a page that somebody else holds for a moment is left to the next pass */
	for (unsigned int i = 0; i < PASSES_MAX && !r; i++) {
		if (tenant_huge(t) >= huge)
			return 0;
		r = khugepaged_passes(1);
	}
	fprintf(stderr, "khugepaged: %u huge pages, not %u\n", (unsigned int)tenant_huge(t), huge);
	return -ETIMEDOUT;
}

int folios_64k_set(const char *who)
{
	return setting_change(FOLIOS_64K "enabled", who);
}

uint64_t folios_64k_made(void)
{
	return kernel_file_value(FOLIOS_64K "stats/anon_fault_alloc", NULL);
}
