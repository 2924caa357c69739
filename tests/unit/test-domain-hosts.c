// SPDX-License-Identifier: GPL-2.0-or-later
/* Which policies for the host's kernel a domain comes to. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "domain-hosts.h"

/* All of it in one line: "ksm-tenant(domain=3 rate_pages=100)? thp-never?", ? for optional. */
static const char *in_words(const struct memtide_domain_policy *policy, uint32_t tenant, bool off, uint64_t rate)
{
	static char text[1024];
	struct domain_hosts hosts;
	int used = 0;

	text[0] = '\0';
	domain_hosts(policy, tenant, off, rate, &hosts);
	for (size_t i = 0; i < hosts.nr_hosts; i++) {
		const char *open = "(", *close = "";

		used += sprintf(text + used, "%s%s", i ? " " : "", hosts.hosts[i].policy);
		for (size_t k = 0; k < hosts.nr_knobs; k++) {
			if (hosts.knobs[k].host != i)
				continue;
			used += sprintf(text + used, "%s%s=%s", open, hosts.knobs[k].name, hosts.knobs[k].value);
			open = " ";
			close = ")";
		}
		used += sprintf(text + used, "%s%s", close, hosts.hosts[i].optional ? "?" : "");
	}
	return text;
}

static void test_ksm(void **state)
{
	struct memtide_domain_policy policy = { .line = 1 };

	assert_string_equal(in_words(NULL, 0, false, 0), "");
	assert_string_equal(in_words(&policy, 0, false, 0), "");
	/* Inherited from the tenant. */
	assert_string_equal(in_words(&policy, 3, false, 0), "ksm-tenant(domain=3)?");
	assert_string_equal(in_words(&policy, 3, false, 100), "ksm-tenant(domain=3 rate_pages=100)?");
	assert_string_equal(in_words(&policy, 3, true, 100), "ksm-off?");
	/* Its own goes before that. */
	policy.ksm = MEMTIDE_KSM_OFF;
	assert_string_equal(in_words(&policy, 3, false, 100), "ksm-off?");
	assert_string_equal(in_words(&policy, 0, false, 0), "ksm-off?");
	policy.ksm = MEMTIDE_KSM_TENANT;
	policy.ksm_rate_pages = 7;
	assert_string_equal(in_words(&policy, 3, true, 100), "ksm-tenant(domain=3 rate_pages=7)?");
	policy.ksm_rate_pages = 0;
	assert_string_equal(in_words(&policy, 3, true, 100), "ksm-tenant(domain=3 rate_pages=100)?");
	/* Nobody's pages are in domain 0 with a policy that merges. */
	assert_string_equal(in_words(&policy, 0, false, 0), "");
}

static void test_thp(void **state)
{
	struct memtide_domain_policy policy = { .thp = MEMTIDE_THP_NEVER };

	assert_string_equal(in_words(&policy, 0, false, 0), "thp-never?");
	policy.thp = MEMTIDE_THP_ALWAYS;
	assert_string_equal(in_words(&policy, 0, false, 0), "thp-always?");
	policy.thp = MEMTIDE_THP_PRESSURE;
	assert_string_equal(in_words(&policy, 2, true, 0), "ksm-off? thp-pressure?");
}

static void test_named(void **state)
{
	struct memtide_domain_policy policy = {
		.thp = MEMTIDE_THP_NEVER,
		.hosts = { { .policy = "one", .optional = true }, { .policy = "two" } },
		.nr_hosts = 2,
		.knobs = {
			{ .host = 1, .name = "x", .value = "64M" }, { .host = 0, .name = "y", .value = "true" },
			{ .host = 1, .name = "z", .value = "0x7" },
		},
		.nr_knobs = 3,
	};

	assert_string_equal(in_words(&policy, 9, false, 0),
			    "ksm-tenant(domain=9)? thp-never? one(y=true)? two(x=64M z=0x7)");
	/* A ksm policy of its own stands instead of the inherited one. */
	strcpy(policy.hosts[1].policy, "ksm-own");
	assert_string_equal(in_words(&policy, 9, false, 0), "thp-never? one(y=true)? ksm-own(x=64M z=0x7)");
}

/* As many as there can be. */
static void test_full(void **state)
{
	struct memtide_domain_policy policy = {
		.thp = MEMTIDE_THP_NEVER, .ksm = MEMTIDE_KSM_TENANT, .ksm_rate_pages = 1,
		.nr_hosts = MEMTIDE_DOMAIN_HOSTS, .nr_knobs = MEMTIDE_DOMAIN_KNOBS,
	};
	struct domain_hosts hosts;

	for (unsigned int i = 0; i < MEMTIDE_DOMAIN_HOSTS; i++)
		sprintf(policy.hosts[i].policy, "p%u", i);
	domain_hosts(&policy, 1, false, 0, &hosts);
	assert_int_equal(hosts.nr_hosts, DOMAIN_HOSTS);
	assert_int_equal(hosts.nr_knobs, DOMAIN_KNOBS);
	assert_true(domain_hosts_ksm(&hosts));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ksm),
		cmocka_unit_test(test_thp),
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
