// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel says of policies that ended: those that it ended itself are read, all others are left out. */
#include "unit.h"

#include "ended.h"

static void test_reads(void **state)
{
	struct memtide_ended ended;

	assert_true(memtide_ended_parse("12 ksm 8589934634 ksm_tenant tally 1100 merges broken for 1024 made\n", &ended));
	assert_int_equal(ended.number, 12);
	assert_string_equal(ended.family, "ksm");
	assert_int_equal(ended.cgroup_id, 8589934634);
	assert_string_equal(ended.name, "ksm_tenant");
	assert_string_equal(ended.kind, "tally");
	assert_string_equal(ended.reason, "1100 merges broken for 1024 made");

	/* A kind that is newer. */
	assert_true(memtide_ended_parse("13 oom 7 a whim -\n", &ended));
	assert_string_equal(ended.kind, "whim");
}

static void test_leaves_out(void **state)
{
	static const char *const lines[] = {
		"", "\n", "12 ksm 7 a detached -\n", "12 ksm 7 a replaced -\n", "12 ksm 7 a oom", "x ksm 7 a oom -\n",
	};
	struct memtide_ended ended = { .number = 77 };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_false(memtide_ended_parse(lines[i], &ended));
	assert_int_equal(ended.number, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_leaves_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
