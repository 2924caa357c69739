// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Their table and its file.
 */
#include "tenants.h"

#include "domains.h"
#include "manager.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME	"tenants.json"

static const struct memtide_config_tenant unset = {
	.budget = MEMTIDE_CONFIG_UNSET,
	.shares = MEMTIDE_CONFIG_UNSET,
};

struct tenant *tenant_find(const struct manager *manager, const char *name)
{
	struct tenant *tenant = manager->tenants.first;

	while (tenant && strcmp(tenant->name, name))
		tenant = tenant->next;
	return tenant;
}

static struct tenant *tenant_by_number(const struct manager *manager, uint32_t number)
{
	struct tenant *tenant = manager->tenants.first;

	while (tenant && tenant->number != number)
		tenant = tenant->next;
	return tenant;
}

static struct tenant *tenant_new(struct manager *manager, const char *name, uint32_t number)
{
	struct tenant *tenant = calloc(1, sizeof(*tenant));

	if (!tenant)
		return NULL;
	snprintf(tenant->name, sizeof(tenant->name), "%s", name);
	tenant->number = number;
	if (number > manager->tenants.last_number)
		manager->tenants.last_number = number;
	tenant->next = manager->tenants.first;
	manager->tenants.first = tenant;
	return tenant;
}

/* Numbers of tenants that have no VM any more stay theirs: their pages may still be merged somewhere. */
static void save(struct manager *manager)
{
	json_t *numbers = json_object();

	for (struct tenant *tenant = manager->tenants.first; tenant; tenant = tenant->next)
		json_object_set_new(numbers, tenant->name, json_integer(tenant->number));
	numbers = json_pack("{s:o}", "numbers", numbers);
	if (numbers)
		store_put(manager->store, FILE_NAME, numbers, true, NULL, NULL);
}

struct tenant *tenant_get(struct manager *manager, const char *name)
{
	struct tenant *tenant = tenant_find(manager, name);

	if (tenant || manager->tenants.last_number == UINT32_MAX)
		return tenant;
	tenant = tenant_new(manager, name, manager->tenants.last_number + 1);
	if (tenant)
		save(manager);
	return tenant;
}

void tenant_recall(struct manager *manager, const char *name, uint32_t number)
{
	if (number && !tenant_find(manager, name) && !tenant_by_number(manager, number) &&
	    tenant_new(manager, name, number))
		save(manager);
}

void tenants_load(struct manager *manager)
{
	json_t *json = store_get(manager->store, FILE_NAME), *number;
	const char *name;

	json_object_foreach(json_object_get(json, "numbers"), name, number) {
		json_int_t value = json_integer_value(number);

		if (value < 1 || value > UINT32_MAX || strlen(name) >= MEMTIDE_DOMAIN_NAME ||
		    tenant_by_number(manager, (uint32_t)value))
			continue;
		tenant_new(manager, name, (uint32_t)value);
	}
	json_decref(json);
}

void tenants_free(struct manager *manager)
{
	while (manager->tenants.first) {
		struct tenant *tenant = manager->tenants.first;

		manager->tenants.first = tenant->next;
		free(tenant);
	}
}

struct memtide_config_tenant tenant_terms(const struct manager *manager, const struct tenant *tenant)
{
	const struct memtide_config_tenant *config = memtide_config_tenant(&manager->config, tenant->name);

	if (tenant->set_by_hand)
		return tenant->by_hand;
	return config ? *config : unset;
}

void tenant_join(struct domain *domain, struct tenant *tenant)
{
	if (domain->tenant) {
		struct domain **at = &domain->tenant->domains;

		while (*at != domain)
			at = &(*at)->tenant_next;
		*at = domain->tenant_next;
	}
	domain->tenant = tenant;
	if (tenant) {
		domain->tenant_next = tenant->domains;
		tenant->domains = domain;
	}
}

/* Of a domain's VM, or of what stands in for it. */
static const struct memtide_ledger_vm *entry_of(const struct domain *domain)
{
	return domain->vm ? &domain->vm->ledger : &domain->held;
}

uint64_t tenant_floors(const struct tenant *tenant, const struct domain *but)
{
	uint64_t floors = 0;

	for (const struct domain *domain = tenant->domains; domain; domain = domain->tenant_next)
		if (domain != but && entry_of(domain)->ledger)
			floors += entry_of(domain)->terms.floor;
	return floors;
}

uint64_t tenant_charged(const struct tenant *tenant, const struct domain *but)
{
	uint64_t charged = 0;

	for (const struct domain *domain = tenant->domains; domain; domain = domain->tenant_next)
		if (domain != but)
			charged += entry_of(domain)->charged;
	return charged;
}

static uint64_t budget_of(const struct domain *domain)
{
	return domain->tenant ? tenant_terms(domain->manager, domain->tenant).budget : MEMTIDE_CONFIG_UNSET;
}

static uint64_t left_of(uint64_t budget, uint64_t used)
{
	return budget > used ? budget - used : 0;
}

uint64_t tenant_floor_left(const struct domain *domain)
{
	uint64_t budget = budget_of(domain);

	return budget == MEMTIDE_CONFIG_UNSET ? UINT64_MAX : left_of(budget, tenant_floors(domain->tenant, domain));
}

uint64_t tenant_room_left(const struct domain *domain)
{
	uint64_t budget = budget_of(domain);

	return budget == MEMTIDE_CONFIG_UNSET ? UINT64_MAX : left_of(budget, tenant_charged(domain->tenant, domain));
}
