/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rounds over very many VMs: the daemon's own code and the real policy, in this process, on VMs that are memory.
 */
#ifndef TESTS_BENCH_CONTROLLER_ROUND_H
#define TESTS_BENCH_CONTROLLER_ROUND_H

struct report;

/* Puts round_10k_ms and round_10k_all_ms into @report. */
void measure_rounds(struct report *report);

#endif
