// SPDX-License-Identifier: GPL-2.0-or-later
#include "domain-terms.h"

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static bool is_set(const struct memtide_domain_value *value)
{
	return value->value != MEMTIDE_DOMAIN_UNSET;
}

struct memtide_config_vm domain_terms(const struct memtide_config_vm *config,
				      const struct memtide_domain_policy *policy, uint64_t tenant_shares,
				      uint64_t most)
{
	struct memtide_config_vm terms = *config;

	if (tenant_shares != MEMTIDE_CONFIG_UNSET)
		terms.shares = tenant_shares;
	if (policy && is_set(&policy->shares))
		terms.shares = policy->shares.value;
	if (policy && is_set(&policy->floor)) {
		terms.floor = min64(policy->floor.value, most);
		terms.maximum = max64(terms.maximum, terms.floor);
	}
	if (policy && is_set(&policy->maximum))
		terms.maximum = policy->maximum.value;
	terms.maximum = min64(terms.maximum, most);
	terms.floor = min64(terms.floor, terms.maximum);
	terms.start = min64(max64(terms.start, terms.floor), terms.maximum);
	return terms;
}
