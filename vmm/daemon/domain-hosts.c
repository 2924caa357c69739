// SPDX-License-Identifier: GPL-2.0-or-later
#include "domain-hosts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void add_host(struct domain_hosts *hosts, const char *policy, bool optional)
{
	struct memtide_domain_host *host = &hosts->hosts[hosts->nr_hosts++];

	*host = (struct memtide_domain_host){ .optional = optional };
	snprintf(host->policy, sizeof(host->policy), "%s", policy);
}

/* Of the host that was added last. */
static void add_knob(struct domain_hosts *hosts, const char *name, uint64_t value)
{
	struct memtide_domain_knob *knob = &hosts->knobs[hosts->nr_knobs++];

	*knob = (struct memtide_domain_knob){ .host = (unsigned int)hosts->nr_hosts - 1 };
	snprintf(knob->name, sizeof(knob->name), "%s", name);
	snprintf(knob->value, sizeof(knob->value), "%" PRIu64, value);
}

static bool any_ksm(const struct memtide_domain_host *hosts, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (!strncmp(hosts[i].policy, "ksm-", 4))
			return true;
	return false;
}

bool domain_hosts_ksm(const struct domain_hosts *hosts)
{
	return any_ksm(hosts->hosts, hosts->nr_hosts);
}

/* One that it names itself stands instead of what it would inherit. */
static bool names_ksm(const struct memtide_domain_policy *policy)
{
	return policy && any_ksm(policy->hosts, policy->nr_hosts);
}

static void add_ksm(struct domain_hosts *hosts, const struct memtide_domain_policy *policy, uint32_t tenant,
		    bool tenant_off, uint64_t tenant_rate_pages)
{
	enum memtide_domain_ksm ksm = policy ? policy->ksm : MEMTIDE_KSM_INHERITED;
	uint64_t rate_pages = policy && policy->ksm_rate_pages ? policy->ksm_rate_pages : tenant_rate_pages;

	if (ksm == MEMTIDE_KSM_INHERITED && tenant && !names_ksm(policy))
		ksm = tenant_off ? MEMTIDE_KSM_OFF : MEMTIDE_KSM_TENANT;
	if (ksm == MEMTIDE_KSM_OFF)
		add_host(hosts, "ksm-off", true);
	/* Without a number it would be in the domain that never merges, or in everybody's. */
	if (ksm != MEMTIDE_KSM_TENANT || !tenant)
		return;
	add_host(hosts, "ksm-tenant", true);
	add_knob(hosts, "domain", tenant);
	if (rate_pages)
		add_knob(hosts, "rate_pages", rate_pages);
}

static void add_thp(struct domain_hosts *hosts, enum memtide_domain_thp thp)
{
	char name[MEMTIDE_DOMAIN_NAME];

	if (thp == MEMTIDE_THP_INHERITED)
		return;
	snprintf(name, sizeof(name), "thp-%s", memtide_domain_thp_name(thp));
	add_host(hosts, name, true);
}

void domain_hosts(const struct memtide_domain_policy *policy, uint32_t tenant, bool tenant_off,
		  uint64_t tenant_rate_pages, struct domain_hosts *ret_hosts)
{
	struct domain_hosts *hosts = ret_hosts;

	memset(hosts, 0, sizeof(*hosts));
	add_ksm(hosts, policy, tenant, tenant_off, tenant_rate_pages);
	if (!policy)
		return;
	add_thp(hosts, policy->thp);
	for (size_t i = 0; i < policy->nr_hosts; i++) {
		add_host(hosts, policy->hosts[i].policy, policy->hosts[i].optional);
		for (size_t k = 0; k < policy->nr_knobs; k++) {
			if (policy->knobs[k].host != i)
				continue;
			hosts->knobs[hosts->nr_knobs] = policy->knobs[k];
			hosts->knobs[hosts->nr_knobs++].host = (unsigned int)hosts->nr_hosts - 1;
		}
	}
}
