// SPDX-License-Identifier: GPL-2.0-or-later
/* Decision log: it keeps the newest entries, as many as its memory holds, and what came of those it still has. */
#include "unit.h"

#include <linux/types.h>
#include <stdio.h>

#include "decision-log.h"
#include "tide_balance.h"

#define BYTES	(64 * KIB)	/* the least that can be configured */
#define MSEC	UINT64_C(1000000)

static unsigned int heard;

static uint64_t add(struct decision_log *log, uint64_t now_ns)
{
	struct decision *entry = decision_log_draft(log, DECISION_VM, now_ns);

	entry->achieved = DECISION_UNDER_WAY;
	snprintf(entry->message, sizeof(entry->message), "at %llu", (unsigned long long)now_ns);
	return decision_log_add(log, LOG_LEVEL_DEBUG);
}

static struct decision_log *new_log(size_t bytes)
{
	struct decision_log *log;

	assert_int_equal(decision_log_new(bytes, &log), 0);
	return log;
}

/* Fill @log until its first entry is gone.  Returns how many it keeps. */
static uint64_t fill(struct decision_log *log)
{
	uint64_t seq = 0;

	while (!seq || decision_log_from(log, 1)->seq == 1)
		seq = add(log, MSEC);
	return seq - 1;
}

static void test_keeps_the_newest(void **state)
{
	struct decision_log *log = new_log(BYTES);
	uint64_t kept, next, n = 0;

	assert_null(decision_log_from(log, 0));
	kept = fill(log);
	for (int i = 0; i < 1000; i++)
		add(log, MSEC);
	next = decision_log_next(log);
	for (const struct decision *entry = decision_log_from(log, 0); entry;
	     entry = decision_log_from(log, entry->seq + 1))
		assert_int_equal(entry->seq, next - kept + n++);
	assert_int_equal(n, kept);
	assert_null(decision_log_from(log, next));
	assert_null(decision_log_from(log, UINT64_MAX));
	decision_log_free(log);
}

static void test_uses_its_memory(void **state)
{
	const size_t sizes[] = { BYTES, BYTES + 1, 100 * KIB, MIB };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct decision_log *log = new_log(sizes[i]);
		uint64_t most = sizes[i] / sizeof(struct decision), kept = fill(log);

		/* One place is the next draft's, and one may go for the log itself. */
		assert_in_range(kept, most - 2, most - 1);
		decision_log_free(log);
	}
}

static void test_a_draft_is_no_entry(void **state)
{
	struct decision_log *log = new_log(BYTES);
	uint64_t kept = fill(log), next = decision_log_next(log);

	decision_log_draft(log, DECISION_ERROR, 0);
	for (uint64_t seq = next - kept; seq < next; seq++) {
		assert_int_equal(decision_log_from(log, seq)->seq, seq);
		assert_int_equal(decision_log_from(log, seq)->kind, DECISION_VM);
	}
	assert_null(decision_log_from(log, next));
	decision_log_free(log);
}

static void listen(void *arg, const struct decision *entry)
{
	assert_ptr_equal(arg, &heard);
	heard++;
}

static void test_ends(void **state)
{
	struct decision_log *log = new_log(BYTES);
	uint64_t seq;

	heard = 0;
	decision_log_set_listener(log, listen, &heard);
	seq = add(log, 7 * MSEC);
	decision_log_end(log, seq, 5, 10 * MSEC);
	assert_int_equal(heard, 2);
	assert_int_equal(decision_log_from(log, seq)->achieved, 5);
	assert_int_equal(decision_log_from(log, seq)->took_ms, 3);
	/* Once, of an entry that is there. */
	decision_log_end(log, seq, 6, 20 * MSEC);
	decision_log_end(log, 0, 6, 20 * MSEC);
	decision_log_end(log, seq + 1, 6, 20 * MSEC);
	assert_int_equal(heard, 2);
	assert_int_equal(decision_log_from(log, seq)->achieved, 5);
	/* Whatever is in its place now is not what has ended. */
	seq = add(log, MSEC);
	fill(log);
	for (uint64_t i = decision_log_next(log); i; i--)
		add(log, MSEC);
	heard = 0;
	decision_log_end(log, seq, 6, 20 * MSEC);
	assert_int_equal(heard, 0);
	decision_log_free(log);
}

static void test_words(void **state)
{
	struct decision_log *log = new_log(BYTES);
	struct decision *entry = decision_log_draft(log, DECISION_DECISION, MSEC);
	char text[DECISION_MESSAGE_MAX];

	entry->reason = BALANCE_GROW_PRESSURE;
	assert_string_equal(decision_words(entry, text), "");
	entry->has_inputs = true;
	entry->rule = 3;
	entry->target_before = 512 * MIB;
	entry->target = entry->ceiling_before = entry->ceiling = GIB;
	assert_string_equal(decision_words(entry, text),
			    "target 512 to 1024 MiB, ceiling 1024 to 1024 MiB: grow-pressure, rule 3 (usable 0, "
			    "available 0, entitled to 0 MiB, 0 refaults/s)");
	snprintf(entry->message, sizeof(entry->message), "in its own words");
	assert_string_equal(decision_words(entry, text), "in its own words");
	decision_log_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keeps_the_newest),
		cmocka_unit_test(test_uses_its_memory),
		cmocka_unit_test(test_a_draft_is_no_entry),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
