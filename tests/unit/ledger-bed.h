/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test bed for the ledger: 4 GiB of budget, a VM of 2 GiB in it, and what the VM's device counts.
 */
#ifndef TESTS_LEDGER_BED_H
#define TESTS_LEDGER_BED_H

#include "unit.h"

#include "ledger.h"

#define UNKNOWN	MEMTIDE_LEDGER_UNKNOWN

/* The steps by their last names. */
enum {
	NONE		= MEMTIDE_LEDGER_NONE,
	RECORD		= MEMTIDE_LEDGER_RECORD,
	PUBLISH		= MEMTIDE_LEDGER_PUBLISH,
	LIMIT_UP	= MEMTIDE_LEDGER_LIMIT_UP,
	LIMIT_DOWN	= MEMTIDE_LEDGER_LIMIT_DOWN,
	WAIT_FENCE	= MEMTIDE_LEDGER_WAIT_FENCE,
	WAIT_LIMIT	= MEMTIDE_LEDGER_WAIT_LIMIT,
	WAIT_FREE	= MEMTIDE_LEDGER_WAIT_FREE,
};

struct bed {
	struct memtide_ledger ledger;
	struct memtide_ledger_vm vm, other;
	struct memtide_counters counters;
	struct memtide_ledger_action action;	/* the last one that was expected */
};

/* RAM and maximum of 2 GiB, a floor of 256 MiB and a start ceiling of 512 MiB. */
extern const struct memtide_ledger_terms bed_enforced, bed_throttle, bed_free_running;

/* Its driver has loaded and its first steps are done: charged 2 GiB. */
void bed_make(struct bed *bed, const struct memtide_ledger_terms *terms);
/* The same, come down to 1 GiB. */
void bed_make_low(struct bed *bed, const struct memtide_ledger_terms *terms);
/* A budget of 1 GiB has no room for its maximum: it has no driver yet and is charged its start ceiling. */
void bed_make_throttled(struct bed *bed);
/* A controller that was killed between two steps starts again, with what the bed's device counts. */
void bed_recover(struct bed *bed, const struct memtide_ledger_terms *terms, const struct memtide_grant *grant,
		 uint64_t limit);

/* What the ledger says of itself is true. */
void bed_check(struct bed *bed);

/* The next steps have to be these; they are carried out. */
#define bed_expect(bed, ...) \
	bed_expect_steps(bed, (const int[]) { __VA_ARGS__ }, ARRAY_SIZE(((const int[]) { __VA_ARGS__ })), __LINE__)
void bed_expect_steps(struct bed *bed, const int *steps, size_t nr_steps, int line);
/* The next one is about the limit, and @written is what becomes of it, or UNKNOWN. */
#define bed_limit(bed, step, written)	bed_limit_at(bed, step, written, __LINE__)
void bed_limit_at(struct bed *bed, int step, uint64_t written, int line);
/* A ceiling is decided on, recorded and published. */
#define bed_decide(bed, ceiling)	bed_decide_at(bed, ceiling, __LINE__)
void bed_decide_at(struct bed *bed, uint64_t ceiling, int line);
/* The limit comes down, and with the record of it the VM is charged @charged. */
#define bed_settle(bed, charged)	bed_settle_at(bed, charged, __LINE__)
void bed_settle_at(struct bed *bed, uint64_t charged, int line);

/* The ledger is told what the device counts, and how much is in use where that is known. */
void bed_observe(struct bed *bed);
void bed_observe_use(struct bed *bed, uint64_t in_use);
/* @given bytes, all in huge pieces, and a fence for the generation last published. */
void bed_fence(struct bed *bed, uint64_t given);
void bed_fence_of(struct bed *bed, uint32_t generation, uint64_t given, uint64_t huge);
/* The device is reset; its driver loads. */
void bed_reset(struct bed *bed);
void bed_driver(struct bed *bed);

#endif /* TESTS_LEDGER_BED_H */
