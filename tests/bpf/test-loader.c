// SPDX-License-Identifier: GPL-2.0-or-later
/* The loader: what an object says of itself, knobs and their bounds, words for what goes wrong, rounds. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy-attach.h"
#include "table.h"

static struct memtide_errtext errtext;

static struct memtide_policy *open_policy(const char *name)
{
	struct memtide_policy *policy;

	if (memtide_policy_open(policy_file(name), &policy, &errtext))
		fail_msg("%s", errtext.text);
	return policy;
}

static void assert_words(const char *words)
{
	if (!strstr(errtext.text, words))
		fail_msg("\"%s\" is not in: %s", words, errtext.text);
}

static const struct memtide_knob *find_knob(const struct memtide_policy *policy, const char *name)
{
	size_t nr;
	const struct memtide_knob *knob = memtide_policy_knobs(policy, &nr);

	for (size_t i = 0; i < nr; i++)
		if (!strcmp(knob[i].name, name))
			return &knob[i];
	fail_msg("no knob %s", name);
	return NULL;
}

static void test_describes_itself(void **state)
{
	struct memtide_policy *policy = open_policy("fair");
	const struct memtide_knob *knob = find_knob(policy, "idle_tax_percent");

	assert_string_equal(memtide_policy_name(policy), "fair");
	assert_string_equal(memtide_policy_family_names(policy), "balance");
	assert_true(strlen(memtide_policy_about(policy)) > 10);
	assert_int_equal(knob->type, MEMTIDE_KNOB_UNSIGNED);
	assert_int_equal(knob->min, 0);
	assert_int_equal(knob->max, 100);
	assert_true(strlen(knob->about) > 10);
	memtide_policy_close(policy);
}

static void test_every_kind_of_knob(void **state)
{
	struct memtide_policy *policy = open_policy("minimal");
	char text[24];

	assert_int_equal(find_knob(policy, "flag")->type, MEMTIDE_KNOB_BOOL);
	assert_int_equal(find_knob(policy, "offset")->type, MEMTIDE_KNOB_SIGNED);
	assert_int_equal((int64_t)find_knob(policy, "offset")->value, -5);
	assert_int_equal((int64_t)find_knob(policy, "offset")->min, -300);
	assert_string_equal(memtide_knob_format(find_knob(policy, "offset"), -300, text), "-300");
	/* Without tags the type is the range. */
	assert_int_equal(find_knob(policy, "plain")->max, 255);
	assert_string_equal(find_knob(policy, "plain")->about, "");
	memtide_policy_close(policy);
}

static void test_set_values_arrive(void **state)
{
	struct memtide_policy *policy =
		load_policy("minimal", "flag", "false", "offset", "-300", "bytes", "64MiB", "plain", "0x10", NULL);

	run_round(policy, 1);
	assert_int_equal(memtide_policy_table(policy)->state[0], 0);
	assert_int_equal((int64_t)memtide_policy_table(policy)->state[1], -300);
	assert_int_equal(memtide_policy_table(policy)->state[2], 64 * MIB);
	assert_int_equal(memtide_policy_table(policy)->state[3], 16);
	memtide_policy_close(policy);
}

static void test_wrong_knobs_are_named(void **state)
{
	struct memtide_policy *policy = open_policy("minimal");

	assert_int_equal(memtide_policy_set_knob(policy, "nope", "1", &errtext), -ENOENT);
	assert_words("nope");
	assert_words("flag, offset, bytes, plain");
	assert_int_equal(memtide_policy_set_knob(policy, "offset", "301", &errtext), -ERANGE);
	assert_words("from -300 to 300 (default -5)");
	assert_int_equal(memtide_policy_set_knob(policy, "bytes", "-1", &errtext), -ERANGE);
	assert_int_equal(memtide_policy_set_knob(policy, "bytes", "20000000T", &errtext), -ERANGE);
	assert_int_equal(memtide_policy_set_knob(policy, "bytes", "1.5M", &errtext), -EINVAL);
	assert_int_equal(memtide_policy_set_knob(policy, "bytes", "", &errtext), -EINVAL);
	assert_int_equal(memtide_policy_set_knob(policy, "flag", "yes", &errtext), -EINVAL);
	assert_words("true or false");
	assert_int_equal(find_knob(policy, "offset")->value, (uint64_t)-5);
	memtide_policy_close(policy);
}

static void test_knobs_are_constants_once_loaded(void **state)
{
	struct memtide_policy *policy = load_policy("minimal", NULL);

	assert_int_equal(memtide_policy_set_knob(policy, "flag", "false", &errtext), -EBUSY);
	memtide_policy_close(policy);
}

static void test_what_is_no_policy(void **state)
{
	struct memtide_policy *policy;

	assert_int_equal(memtide_policy_open("/nowhere/x.bpf.o", &policy, &errtext), -ENOENT);
	assert_words("/nowhere/x.bpf.o");
	assert_int_equal(memtide_policy_open("/proc/self/exe", &policy, &errtext), -EINVAL);
	assert_int_equal(memtide_policy_open("/proc/self/status", &policy, &errtext), -EINVAL);
	assert_int_equal(memtide_policy_open("/", &policy, &errtext), -EINVAL);
	assert_int_equal(memtide_policy_open(policy_file("short-table"), &policy, &errtext), -EINVAL);
	assert_words("128 bytes");
	assert_int_equal(memtide_policy_open(policy_file("bad-knob"), &policy, &errtext), -EINVAL);
	assert_words("percent");
}

static void test_the_verifiers_own_words(void **state)
{
	struct memtide_policy *good = load_policy("minimal", NULL), *policy;

	policy = open_policy("unverifiable");
	assert_true(memtide_policy_load(policy, &errtext) < 0);
	assert_words("does not verify");
	/* The words name what is wrong, and the whole log is there. */
	assert_words("unbounded memory access");
	assert_non_null(strstr(memtide_policy_log(policy), "processed "));
	assert_null(memtide_policy_table(policy));
	memtide_policy_close(policy);
	/* The one that was in use still is. */
	run_round(good, 1);
	memtide_policy_close(good);
}

static void test_giving_up_is_an_error(void **state)
{
	struct memtide_policy *policy = load_policy("gives-up", NULL);
	uint64_t ns = 0;

	put_vm(memtide_policy_table(policy), 0, GIB, MIB, GIB);
	assert_int_equal(memtide_policy_run(policy, &ns, &errtext), -EPROTO);
	assert_words("-7");
	memtide_policy_close(policy);
}

static void test_too_many_rows_are_refused(void **state)
{
	struct memtide_policy *policy = load_policy("minimal", NULL);
	uint64_t ns;

	memtide_policy_table(policy)->host.nr_vms = BALANCE_MAX_VMS + 1;
	assert_int_equal(memtide_policy_run(policy, &ns, &errtext), -EINVAL);
	memtide_policy_close(policy);
}

static void test_a_new_one_starts_from_zero(void **state)
{
	struct memtide_policy *old = load_policy("minimal", NULL), *new;

	run_round(old, 1);
	run_round(old, 2);
	assert_int_equal(memtide_policy_table(old)->state[4], 2);
	new = load_policy("minimal", NULL);
	assert_int_equal(memtide_policy_table(new)->state[4], 0);
	memtide_policy_close(old);
	run_round(new, 3);
	assert_int_equal(memtide_policy_table(new)->state[4], 1);
	assert_int_equal(memtide_policy_runs(new), 1);
	memtide_policy_close(new);
}

/* A policy for the kernel's hooks; attaching it needs a kernel that has them: tests/cli/test-hooks.c. */
static void test_ops_tables_are_families(void **state)
{
	struct memtide_policy *policy = open_policy("ksm-tenant");

	assert_int_equal(memtide_policy_families(policy), MEMTIDE_FAMILY_KSM);
	assert_string_equal(memtide_policy_family_names(policy), "ksm");
	assert_true(strlen(memtide_policy_about(policy)) > 10);
	assert_int_equal(memtide_policy_load(policy, &errtext), -EINVAL);
	assert_words("memtide policy attach ksm-tenant");
	memtide_policy_close(policy);
}

/*
 * Numbers in an ops table are knobs, with the default that the policy gives them, but not those that are the
 * loader's.
 */
static void test_members_are_knobs(void **state)
{
	struct memtide_policy *policy = open_policy("ksm-minimal");
	const struct memtide_knob *domain = find_knob(policy, "domain");
	size_t nr;

	assert_int_equal(domain->size, 8);
	assert_int_equal(domain->initial, 1);
	assert_true(strlen(domain->about) > 10);
	memtide_policy_knobs(policy, &nr);
	assert_int_equal(nr, 1);
	assert_int_equal(memtide_policy_set_knob(policy, "domain", "7", &errtext), 0);
	assert_int_equal(find_knob(policy, "domain")->value, 7);
	assert_int_equal(memtide_policy_set_knob(policy, "cgroup_id", "7", &errtext), -ENOENT);
	assert_words("it has domain");
	memtide_policy_close(policy);
}

/* A family whose table has no number for people to set: its knobs are the policy's own. */
static void test_knobs_of_a_thp_policy(void **state)
{
	static const char *const plain[] = { "thp-always", "thp-never", "thp-minimal" };
	struct memtide_policy *policy = open_policy("thp-pressure");
	size_t nr;

	assert_int_equal(memtide_policy_families(policy), MEMTIDE_FAMILY_THP);
	assert_string_equal(memtide_policy_family_names(policy), "thp");
	assert_int_equal(find_knob(policy, "stalled_order")->max, 8);
	assert_int_equal(memtide_policy_set_knob(policy, "enter_permille", "0", &errtext), -ERANGE);
	assert_words("from 1 to 1000 (default 50)");
	assert_int_equal(memtide_policy_load(policy, &errtext), -EINVAL);
	assert_words("memtide policy attach thp-pressure");
	memtide_policy_close(policy);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		policy = open_policy(plain[i]);
		assert_int_equal(memtide_policy_families(policy), MEMTIDE_FAMILY_THP);
		assert_true(strlen(memtide_policy_about(policy)) > 10);
		memtide_policy_knobs(policy, &nr);
		assert_int_equal(nr, 0);
		memtide_policy_close(policy);
	}
}

static void test_two_families_in_a_file(void **state)
{
	struct memtide_policy *policy = open_policy("two-families");
	size_t nr;

	assert_int_equal(memtide_policy_families(policy), MEMTIDE_FAMILY_KSM | MEMTIDE_FAMILY_THP);
	assert_string_equal(memtide_policy_family_names(policy), "ksm,thp");
	memtide_policy_knobs(policy, &nr);
	assert_int_equal(nr, 1);
	assert_int_equal(find_knob(policy, "domain")->value, 1);
	memtide_policy_close(policy);
}

static void test_where_nothing_is_attached(void **state)
{
	struct memtide_policy *policy = open_policy("ksm-minimal");
	size_t nr;

	assert_int_equal(memtide_policy_attach(policy, "/nowhere", &errtext), -ENOENT);
	assert_words("/nowhere");
	assert_int_equal(memtide_policy_attach(policy, "/proc", &errtext), -EINVAL);
	assert_words("no cgroup of version 2");
	memtide_policy_close(policy);
	policy = open_policy("fair");
	assert_int_equal(memtide_policy_attach(policy, "/nowhere", &errtext), -EINVAL);
	assert_words("memtide policy load fair");
	memtide_policy_close(policy);
	assert_int_equal(memtide_policy_detach(NULL, "/nowhere", &nr, &errtext), -ENOENT);
	assert_int_equal(memtide_policy_detach("thp", "/nowhere", &nr, &errtext), -ENOENT);
}

static void test_finds_by_name(void **state)
{
	char *file;

	assert_int_equal(memtide_policy_find("/nowhere::" POLICY_DIRECTORY, "proxmox", &file, &errtext), 0);
	assert_string_equal(file, POLICY_DIRECTORY "/proxmox.bpf.o");
	free(file);
	assert_int_equal(memtide_policy_find(POLICY_DIRECTORY, "nope", &file, &errtext), -ENOENT);
	assert_words("nope");
	assert_int_equal(memtide_policy_find(POLICY_DIRECTORY, "../bpf/fair", &file, &errtext), -EINVAL);
	assert_int_equal(memtide_policy_find(POLICY_DIRECTORY, "", &file, &errtext), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_describes_itself),
		cmocka_unit_test(test_every_kind_of_knob),
		cmocka_unit_test(test_set_values_arrive),
		cmocka_unit_test(test_wrong_knobs_are_named),
		cmocka_unit_test(test_knobs_are_constants_once_loaded),
		cmocka_unit_test(test_what_is_no_policy),
		cmocka_unit_test(test_the_verifiers_own_words),
		cmocka_unit_test(test_giving_up_is_an_error),
		cmocka_unit_test(test_too_many_rows_are_refused),
		cmocka_unit_test(test_a_new_one_starts_from_zero),
		cmocka_unit_test(test_ops_tables_are_families),
		cmocka_unit_test(test_members_are_knobs),
		cmocka_unit_test(test_knobs_of_a_thp_policy),
		cmocka_unit_test(test_two_families_in_a_file),
		cmocka_unit_test(test_where_nothing_is_attached),
		cmocka_unit_test(test_finds_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
