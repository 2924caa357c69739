/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd for tests: settings under which a pass takes no longer than it must, and waiting for passes.
 */
#ifndef TESTS_HOST_KERNEL_KSMD_H
#define TESTS_HOST_KERNEL_KSMD_H

#include <stdbool.h>
#include <stdint.h>

/* Runs without sleeping between batches, and with or without the zero page.  0 or a negative errno. */
int ksmd_run(bool use_zero_pages);
/* Waits until @passes more whole passes have begun and ended.  -ETIMEDOUT. */
int ksmd_passes(unsigned int passes);
/* Waits until nothing is merged any more, since all who shared have ended.  -ETIMEDOUT. */
int ksmd_settle(void);
/* A number from /sys/kernel/mm/ksm, or zero. */
uint64_t ksmd_value(const char *file);
int ksmd_set(const char *file, uint64_t value);
int ksmd_write(const char *file, const char *text);
/* A line "KEY number" of /sys/kernel/tide/ksm/domains/@domain/stats, or zero. */
uint64_t ksmd_domain(uint64_t domain, const char *key);

#endif /* TESTS_HOST_KERNEL_KSMD_H */
