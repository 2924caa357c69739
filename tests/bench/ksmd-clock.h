/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What ksmd costs. */
#ifndef TESTS_BENCH_KSMD_CLOCK_H
#define TESTS_BENCH_KSMD_CLOCK_H

#include <stdint.h>

/* CPU time of ksmd since it was started.  Exact while it rests.  Zero where there is no ksmd. */
uint64_t ksmd_cpu_ns(void);

#endif /* TESTS_BENCH_KSMD_CLOCK_H */
