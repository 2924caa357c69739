/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a domain's policy comes to: pure functions on plain structures.  Sizes are bytes.
 */
#ifndef MEMTIDED_DOMAIN_TERMS_H
#define MEMTIDED_DOMAIN_TERMS_H

#include "config.h"
#include "domain-policy.h"

/**
 * domain_terms() - floor, maximum, start and shares of one VM
 * @config: what the configuration says of it; nothing is unset
 * @policy: its domain's, or NULL
 * @tenant_shares: its tenant's, or MEMTIDE_CONFIG_UNSET
 * @most: that the VM may have: its RAM, or what its domain allows if that is less
 *
 * The policy goes before the tenant, and that before the configuration.  The result is in order whatever the three
 * say: maximum <= @most, floor <= start <= maximum, where a floor of the policy's own moves a maximum that is not.
 */
struct memtide_config_vm domain_terms(const struct memtide_config_vm *config,
				      const struct memtide_domain_policy *policy, uint64_t tenant_shares,
				      uint64_t most);

#endif
