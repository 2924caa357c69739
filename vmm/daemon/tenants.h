/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tenants: whose VMs they are.  A tenant is known by its name, as domains and the configuration have it, and has a
 * number, which is its merge domain in the kernel: never 0, never another tenant's, and the same for good.
 */
#ifndef MEMTIDED_TENANTS_H
#define MEMTIDED_TENANTS_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "domain-policy.h"

struct domain;
struct manager;

struct tenant {
	struct tenant *next;
	char name[MEMTIDE_DOMAIN_NAME];
	uint32_t number;
	struct domain *domains;		/* its own, by their tenant_next */
	/* By tenant.set, until the daemon ends: instead of what the configuration says. */
	bool set_by_hand;
	struct memtide_config_tenant by_hand;
};

struct tenants {
	struct tenant *first;
	uint32_t last_number;
};

void tenants_load(struct manager *manager);
void tenants_free(struct manager *manager);

struct tenant *tenant_find(const struct manager *manager, const char *name);
/* The tenant of that name; a new one gets a number, which is in a file before any that is asked for later. */
struct tenant *tenant_get(struct manager *manager, const char *name);
/* That @name has @number is known from elsewhere, in case that the file was lost. */
void tenant_recall(struct manager *manager, const char *name, uint32_t number);

/* What holds for it: by hand, by configuration, or nothing (no limit, shares as without, ksm "tenant"). */
struct memtide_config_tenant tenant_terms(const struct manager *manager, const struct tenant *tenant);

/* @domain's tenant is @tenant, or NULL: none. */
void tenant_join(struct domain *domain, struct tenant *tenant);

/* The sum of its domains' floors, and of what they are charged, without @but, which may be NULL. */
uint64_t tenant_floors(const struct tenant *tenant, const struct domain *but);
uint64_t tenant_charged(const struct tenant *tenant, const struct domain *but);

/* What its budget leaves of guarantees for @domain, and of memory; UINT64_MAX without a budget or tenant. */
uint64_t tenant_floor_left(const struct domain *domain);
uint64_t tenant_room_left(const struct domain *domain);

#endif
