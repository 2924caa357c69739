// SPDX-License-Identifier: GPL-2.0-or-later
#include "ledger-bed.h"

#include <errno.h>

const struct memtide_ledger_terms bed_enforced = {
	.ram = 2 * GIB, .maximum = 2 * GIB, .floor = 256 * MIB, .start = 512 * MIB, .shares = 100,
	.enforced = true,
};
const struct memtide_ledger_terms bed_throttle = {
	.ram = 2 * GIB, .maximum = 2 * GIB, .floor = 256 * MIB, .start = 512 * MIB, .shares = 100,
	.enforced = true, .throttle = true,
};
const struct memtide_ledger_terms bed_free_running = {
	.ram = 2 * GIB, .maximum = 2 * GIB, .floor = 256 * MIB, .start = 512 * MIB, .shares = 100,
};

static const struct bed empty = { .counters = { .epoch = 1, .ram_bytes = 2 * GIB } };

void bed_check(struct bed *bed)
{
	const char *wrong = memtide_ledger_check(&bed->ledger, bed->vm.ledger ? &bed->vm : NULL);

	if (!wrong && bed->other.ledger)
		wrong = memtide_ledger_check(&bed->ledger, &bed->other);
	if (wrong)
		fail_msg("%s", wrong);
}

static void expect_step(struct bed *bed, int step, int line)
{
	int next = (int)memtide_ledger_next(&bed->vm, &bed->action);

	if (next != step)
		fail_msg("line %d: step %d instead of %d", line, next, step);
}

static void write_limit(struct bed *bed, uint64_t written)
{
	memtide_ledger_limit_begin(&bed->vm, &bed->action);
	memtide_ledger_limit_done(&bed->vm, written);
}

void bed_limit_at(struct bed *bed, int step, uint64_t written, int line)
{
	expect_step(bed, step, line);
	write_limit(bed, written);
	bed_check(bed);
}

void bed_expect_steps(struct bed *bed, const int *steps, size_t nr_steps, int line)
{
	for (size_t i = 0; i < nr_steps; i++) {
		expect_step(bed, steps[i], line);
		if (steps[i] == LIMIT_UP || steps[i] == LIMIT_DOWN)
			write_limit(bed, bed->action.limit);
		else
			memtide_ledger_done(&bed->vm, &bed->action);
		bed_check(bed);
	}
}

void bed_decide_at(struct bed *bed, uint64_t ceiling, int line)
{
	assert_int_equal(memtide_ledger_set(&bed->vm, ceiling, MEMTIDE_LEDGER_ORDINARY), 0);
	bed_expect_steps(bed, (const int[]) { RECORD, PUBLISH }, 2, line);
}

void bed_settle_at(struct bed *bed, uint64_t charged, int line)
{
	bed_expect_steps(bed, (const int[]) { LIMIT_DOWN, RECORD }, 2, line);
	if (bed->ledger.charged != charged)
		fail_msg("line %d: charged %llu instead of %llu", line, (unsigned long long)bed->ledger.charged,
			 (unsigned long long)charged);
}

void bed_observe_use(struct bed *bed, uint64_t in_use)
{
	memtide_ledger_observe(&bed->vm, &bed->counters, in_use);
	bed_check(bed);
}

void bed_observe(struct bed *bed)
{
	bed_observe_use(bed, UNKNOWN);
}

void bed_fence_of(struct bed *bed, uint32_t generation, uint64_t given, uint64_t huge)
{
	bed->counters.given_bytes = given;
	bed->counters.given_huge_bytes = huge;
	bed->counters.fence_given_bytes = given;
	bed->counters.fence_generation = generation;
	bed->counters.flags |= TIDE_COUNTERS_FENCED;
	bed_observe(bed);
}

void bed_fence(struct bed *bed, uint64_t given)
{
	bed_fence_of(bed, bed->vm.published, given, given);
}

void bed_reset(struct bed *bed)
{
	bed->counters = (struct memtide_counters) { .epoch = bed->counters.epoch + 1, .ram_bytes = 2 * GIB };
	bed_observe(bed);
}

void bed_driver(struct bed *bed)
{
	bed->counters.flags |= TIDE_COUNTERS_DRIVER_OK;
	bed_observe(bed);
}

void bed_make(struct bed *bed, const struct memtide_ledger_terms *terms)
{
	*bed = empty;
	memtide_ledger_init(&bed->ledger, 4 * GIB, 256 * MIB);
	assert_int_equal(memtide_ledger_admit(&bed->ledger, &bed->vm, terms), 0);
	bed_driver(bed);
	bed_expect(bed, RECORD);
	if (terms->enforced)
		bed_expect(bed, LIMIT_DOWN);
	bed_expect(bed, PUBLISH, NONE);
	assert_int_equal(bed->ledger.charged, 2 * GIB);
}

void bed_make_low(struct bed *bed, const struct memtide_ledger_terms *terms)
{
	bed_make(bed, terms);
	bed_decide(bed, GIB);
	bed_fence(bed, GIB);
	if (terms->enforced)
		bed_expect(bed, LIMIT_DOWN);
	bed_expect(bed, RECORD, NONE);
	assert_int_equal(bed->ledger.charged, GIB);
}

void bed_make_throttled(struct bed *bed)
{
	*bed = empty;
	memtide_ledger_init(&bed->ledger, GIB, 0);
	assert_int_equal(memtide_ledger_admit(&bed->ledger, &bed->vm, &bed_enforced), -ENOSPC);
	assert_int_equal(memtide_ledger_admit(&bed->ledger, &bed->vm, &bed_throttle), 0);
	bed_check(bed);
}

void bed_recover(struct bed *bed, const struct memtide_ledger_terms *terms, const struct memtide_grant *grant,
		 uint64_t limit)
{
	memtide_ledger_init(&bed->ledger, 4 * GIB, 0);
	assert_int_equal(memtide_ledger_recover(&bed->ledger, &bed->vm, terms, &bed->counters, grant, limit), 0);
	bed_check(bed);
}
