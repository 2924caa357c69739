/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocations that fail, on a kernel with fault injection (the debug kernel): slabs and pages, of one kernel thread or of
 * the test itself.  One kind at a time.
 */
#ifndef TESTS_HOST_KERNEL_FAULTS_H
#define TESTS_HOST_KERNEL_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether this kernel can. */
bool faults_possible(void);
/* From now on one in @one_in allocations of the kernel thread @name fails.  0 or a negative errno. */
int faults_start(const char *name, unsigned int one_in);
/* Ends that, and says how many failed. */
int faults_stop(uint64_t *ret_failed);

/* Has the @nth allocation of this thread fail, counted from 1.  0 or a negative errno. */
int fault_nth(unsigned int nth);
/* Ends that.  Whether there were so many, so that it did fail. */
bool fault_nth_failed(void);

#endif /* TESTS_HOST_KERNEL_FAULTS_H */
