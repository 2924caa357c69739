// SPDX-License-Identifier: GPL-2.0-or-later
/* Exit records: they are read from a trace as the kernel writes it, and nothing else is taken for one. */
#include "unit.h"

#include <string.h>

#include "exits.h"

static void test_reads(void **state)
{
	struct exit_record record;

	assert_true(exits_parse("     kworker/u4:1-35      [000] .....    12.345678: tide_exit: kind=4 family=0 "
				"cgroup=8589934634 name=ksm_tenant reason=1100 merges broken for 1024 made", &record));
	assert_int_equal(record.kind, EXIT_TALLY);
	assert_int_equal(record.family, 0);
	assert_string_equal(exits_family(&record), "ksm");
	assert_int_equal(record.cgroup_id, 8589934634);
	assert_string_equal(record.name, "ksm_tenant");
	assert_string_equal(record.reason, "1100 merges broken for 1024 made");

	assert_true(exits_parse("stress-77 [001] ..... 2.5: tide_exit: kind=5 family=1 cgroup=77 name=thp_pressure "
				"reason=its cgroup ran out of memory", &record));
	assert_string_equal(exits_family(&record), "thp");

	/* Nothing to say, and a family that is newer. */
	assert_true(exits_parse("<...>-1 [001] d..1. 1.0: tide_exit: kind=1 family=9 cgroup=1 name=a reason=", &record));
	assert_string_equal(record.reason, "");
	assert_string_equal(exits_family(&record), "unknown");
}

static void test_refuses(void **state)
{
	static const char *const lines[] = {
		"", "CPU:0 [LOST 3 EVENTS]", "x-1 [000] ..... 1.0: tide_ksm_unshared: mm=1 address=0x1000 err=0",
		"x-1 [000] ..... 1.0: tide_exit: kind=4", "x-1 [000] ..... 1.0: tide_exit: kind=4 family=0 cgroup=7 name=a",
	};
	struct exit_record record = { .kind = 77 };

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_false(exits_parse(lines[i], &record));
	assert_int_equal(record.kind, 77);
}

static void test_cuts_what_is_too_long(void **state)
{
	struct exit_record record;
	char line[512] = "x-1 [000] ..... 1.0: tide_exit: kind=6 family=0 cgroup=1 name=a reason=";

	memset(line + strlen(line), 'r', 200);
	assert_true(exits_parse(line, &record));
	assert_int_equal(strlen(record.reason), sizeof(record.reason) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_cuts_what_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
