/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which policies for the host's kernel a domain's policy comes to, with which knobs: a pure function.
 */
#ifndef MEMTIDED_DOMAIN_HOSTS_H
#define MEMTIDED_DOMAIN_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "domain-policy.h"

/* <ksm> and <thp> stand for one each, and ksm-tenant has up to two knobs. */
#define DOMAIN_HOSTS	(MEMTIDE_DOMAIN_HOSTS + 2)
#define DOMAIN_KNOBS	(MEMTIDE_DOMAIN_KNOBS + 2)

/**
 * struct domain_hosts - policies for the kernel
 * @hosts: each name once.  Of those that are not optional a start is refused where this host does not have them; what
 *	<ksm> and <thp> stand for is optional, because the document is right all the same
 * @knobs: theirs, in the order of @hosts
 */
struct domain_hosts {
	struct memtide_domain_host hosts[DOMAIN_HOSTS];
	size_t nr_hosts;
	struct memtide_domain_knob knobs[DOMAIN_KNOBS];
	size_t nr_knobs;
};

/**
 * domain_hosts() - what is to be attached to the domain's cgroup
 * @policy: its policy, or NULL
 * @tenant: the number of its tenant, 0: it has none
 * @tenant_off: <ksm> of its tenant, where it has none of its own
 * @tenant_rate_pages: the same, 0: no limit
 */
void domain_hosts(const struct memtide_domain_policy *policy, uint32_t tenant, bool tenant_off,
		  uint64_t tenant_rate_pages, struct domain_hosts *ret_hosts);

/* Whether it says anything about which pages merge. */
bool domain_hosts_ksm(const struct domain_hosts *hosts);

#endif
