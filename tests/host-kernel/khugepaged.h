/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Huge pages for tests: khugepaged at a pace at which a pass takes no longer than it must, waiting for passes, and what
 * sysfs allows and counts.  What is changed is put back by settings_restore().
 */
#ifndef TESTS_HOST_KERNEL_KHUGEPAGED_H
#define TESTS_HOST_KERNEL_KHUGEPAGED_H

#include <stdint.h>

/*
 * khugepaged hardly rests between passes, and makes huge what has one page, or what is shared but for one.  Huge pages
 * are for who asks for them by madvise(), and no other size is for anybody.  0 or a negative errno.
 */
int khugepaged_run(void);
/* Waits until @passes more whole passes have begun and ended; there are none without a process to scan.  -ETIMEDOUT. */
int khugepaged_passes(unsigned int passes);

struct tenant;

/* Waits, pass by pass, until a tenant has so many huge pages.  -ETIMEDOUT. */
int khugepaged_makes(const struct tenant *tenant, unsigned int huge);

/* Who may have folios of 64 KiB: "madvise", "never". */
int folios_64k_set(const char *who);
/* How many page faults have made one, since the host was started. */
uint64_t folios_64k_made(void);

#endif /* TESTS_HOST_KERNEL_KHUGEPAGED_H */
