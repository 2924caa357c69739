// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Another program, run for what it prints; and two texts, compared by one.
 */
#include <errno.h>
#include <string.h>

#include "child.h"
#include "text-diff.h"
#include "unit.h"

static struct memtide_errtext errtext;

static int run(const char *script, const char *input, unsigned int seconds, char **ret_output)
{
	char *const argv[] = { "sh", "-c", (char *)script, NULL };

	return child_run(argv, input, seconds, ret_output, &errtext);
}

static void test_output(void **state)
{
	char *output;

	assert_int_equal(run("cat; echo err >&2; exit 3", "in\n", 30, &output), 3);
	assert_string_equal(output, "in\n");
	free(output);
	assert_int_equal(run("cat", NULL, 30, &output), 0);
	assert_string_equal(output, "");
	free(output);
	/* more than a pipe holds */
	assert_int_equal(run("dd if=/dev/zero bs=1000 count=1000 2>/dev/null | tr '\\0' x", NULL, 30, &output), 0);
	assert_int_equal(strlen(output), 1000000);
	free(output);
}

static void test_failures(void **state)
{
	char *const nowhere[] = { "/nowhere/program", NULL };
	char *output, input[CHILD_INPUT_MAX + 2];

	assert_int_equal(child_run(nowhere, NULL, 30, &output, &errtext), -ENOENT);
	assert_string_equal(errtext.text, "cannot run /nowhere/program: No such file or directory");
	assert_int_equal(run("echo first >&2; echo last >&2; exit 4", NULL, 30, &output), -EIO);
	assert_string_equal(errtext.text, "sh ended with 4: last");
	assert_int_equal(run("kill -9 $$", NULL, 30, &output), -ECHILD);
	assert_string_equal(errtext.text, "sh was ended by signal 9 (Killed)");
	assert_int_equal(run("exec sleep 100", NULL, 0, &output), -ETIMEDOUT);
	memset(input, 'x', sizeof(input));
	input[sizeof(input) - 1] = '\0';
	assert_int_equal(run("cat", input, 30, &output), -E2BIG);
}

static void test_diff(void **state)
{
	char *text;

	assert_int_equal(text_diff("a\nb\n", "a\nc\n", "old", "new", &text, &errtext), 1);
	assert_string_equal(text, "--- old\n+++ new\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n");
	free(text);
	assert_int_equal(text_diff("a\n", "a\n", "old", "new", &text, &errtext), 0);
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_diff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
