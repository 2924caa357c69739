// SPDX-License-Identifier: GPL-2.0-or-later
/* What a domain's policy comes to: who has the last word, and that the result is in order. */
#include "unit.h"

#include "domain-terms.h"

#define UNSET	MEMTIDE_CONFIG_UNSET

static const struct memtide_config_vm config = {
	.floor = 256 * MIB, .maximum = 2 * GIB, .start = 512 * MIB, .shares = 100,
};

static const struct memtide_domain_policy empty = {
	.floor.value = UNSET, .maximum.value = UNSET, .shares.value = UNSET,
};

static void assert_terms(const struct memtide_config_vm *terms, uint64_t floor, uint64_t start, uint64_t maximum,
			 uint64_t shares)
{
	assert_int_equal(terms->floor, floor);
	assert_int_equal(terms->start, start);
	assert_int_equal(terms->maximum, maximum);
	assert_int_equal(terms->shares, shares);
}

static void test_nothing_said(void **state)
{
	struct memtide_config_vm terms = domain_terms(&config, NULL, UNSET, 4 * GIB);

	assert_terms(&terms, 256 * MIB, 512 * MIB, 2 * GIB, 100);
	terms = domain_terms(&config, &empty, UNSET, 4 * GIB);
	assert_terms(&terms, 256 * MIB, 512 * MIB, 2 * GIB, 100);
}

static void test_last_word(void **state)
{
	struct memtide_domain_policy policy = empty;
	struct memtide_config_vm terms = domain_terms(&config, &policy, 300, 4 * GIB);

	assert_int_equal(terms.shares, 300);
	policy.shares.value = 7;
	policy.floor.value = GIB;
	policy.maximum.value = 3 * GIB;
	terms = domain_terms(&config, &policy, 300, 4 * GIB);
	assert_terms(&terms, GIB, GIB, 3 * GIB, 7);
}

static void test_in_order(void **state)
{
	struct memtide_domain_policy policy = empty;
	struct memtide_config_vm terms;

	/* A floor of its own moves the configuration's maximum. */
	policy.floor.value = 3 * GIB;
	terms = domain_terms(&config, &policy, UNSET, 4 * GIB);
	assert_terms(&terms, 3 * GIB, 3 * GIB, 3 * GIB, 100);
	/* ... but not beyond what there is. */
	terms = domain_terms(&config, &policy, UNSET, GIB);
	assert_terms(&terms, GIB, GIB, GIB, 100);
	/* A maximum of its own moves the configuration's floor and start. */
	policy = empty;
	policy.maximum.value = 128 * MIB;
	terms = domain_terms(&config, &policy, UNSET, 4 * GIB);
	assert_terms(&terms, 128 * MIB, 128 * MIB, 128 * MIB, 100);
	policy.maximum.value = 8 * GIB;
	terms = domain_terms(&config, &policy, UNSET, 4 * GIB);
	assert_terms(&terms, 256 * MIB, 512 * MIB, 4 * GIB, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_said),
		cmocka_unit_test(test_last_word),
		cmocka_unit_test(test_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
