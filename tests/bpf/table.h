/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rounds over tables of literals: a policy, loaded for real, and rows to fill in by hand.
 */
#ifndef TESTS_BPF_TABLE_H
#define TESTS_BPF_TABLE_H

#include <linux/types.h>
#include <stdint.h>

#include "policy.h"
#include "tide_balance.h"

#define MIB	(UINT64_C(1) << 20)
#define GIB	(UINT64_C(1) << 30)

/* Where the build has put a policy: memtide's own, or one of the tests'.  A path stays what it is. */
const char *policy_file(const char *name);

/*
 * Load policy @name with knobs, given as NAME, VALUE, ..., NULL.  Skips the test where this process may not
 * load BPF programs; fails it for any other reason.
 */
struct memtide_policy *load_policy(const char *name, ...) __attribute__((sentinel));

/*
 * Row @i as a managed VM of @size bytes in everything, with @floor and @maximum, 100 shares, all its memory in
 * use.
 */
struct balance_vm *put_vm(struct balance_table *table, uint32_t i, uint64_t size, uint64_t floor,
			  uint64_t maximum);

/* One round at @time_ms; host.charged is summed up from the rows.  Fails the test if it does not run. */
void run_round(struct memtide_policy *policy, uint64_t time_ms);

/* Make every answer so: what was asked for has been done. */
void carry_out(struct balance_table *table);

/* The sum of ceilings once all answers are carried out. */
uint64_t sum_answers(const struct balance_table *table);

#endif /* TESTS_BPF_TABLE_H */
