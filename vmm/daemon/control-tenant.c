// SPDX-License-Identifier: GPL-2.0-or-later
#include "control-tenant.h"

#include "control.h"
#include "control-reply.h"
#include "control-socket.h"
#include "domains.h"
#include "manager.h"
#include "tenants.h"
#include "vm.h"

#include <inttypes.h>
#include <string.h>

static json_t *number_or_null(uint64_t value)
{
	return value == MEMTIDE_CONFIG_UNSET ? json_null() : json_integer((json_int_t)value);
}

static json_t *domains_json(const struct tenant *tenant)
{
	json_t *list = json_array();

	for (struct domain *domain = tenant->domains; domain; domain = domain->tenant_next)
		json_array_append_new(list, json_string(domain->about.name));
	return list;
}

static json_t *tenant_json(const struct manager *manager, const struct tenant *tenant)
{
	struct memtide_config_tenant terms = tenant_terms(manager, tenant);
	json_t *json = json_pack("{s:s, s:I, s:I, s:I, s:s, s:b}", "name", tenant->name,
				 "number", (json_int_t)tenant->number,
				 "floors", (json_int_t)tenant_floors(tenant, NULL),
				 "charged", (json_int_t)tenant_charged(tenant, NULL),
				 "ksm", terms.ksm_off ? "off" : "tenant", "set_by_hand", tenant->set_by_hand);

	json_object_set_new(json, "budget", number_or_null(terms.budget));
	json_object_set_new(json, "shares", number_or_null(terms.shares));
	json_object_set_new(json, "ksm_rate_pages", terms.ksm_rate_pages ?
			    json_integer((json_int_t)terms.ksm_rate_pages) : json_null());
	json_object_set_new(json, "domains", domains_json(tenant));
	return json;
}

/* NULL: answered already. */
static struct tenant *tenant_param(struct control_request *request)
{
	struct manager *manager = control_client_manager(request->client);
	const char *name = json_string_value(json_object_get(request->params, "tenant"));
	struct tenant *tenant = name ? tenant_find(manager, name) : NULL;

	if (!name)
		control_reply_error(request, MEMTIDE_ERROR_PARAMS, "\"tenant\" is missing: a tenant's name");
	/* One that the configuration has may be without a VM so far. */
	else if (!tenant && memtide_config_tenant(&manager->config, name))
		tenant = tenant_get(manager, name);
	if (name && !tenant)
		control_reply_error(request, MEMTIDE_ERROR_NO_VM,
				    "no tenant is \"%s\": neither in the configuration nor named by a domain so far",
				    name);
	return tenant;
}

void control_tenant_list(struct control_request *request)
{
	struct manager *manager = control_client_manager(request->client);
	json_t *list = json_array();

	for (size_t i = 0; i < manager->config.nr_tenants; i++)
		tenant_get(manager, manager->config.tenants[i].name);
	for (struct tenant *tenant = manager->tenants.first; tenant; tenant = tenant->next)
		json_array_append_new(list, tenant_json(manager, tenant));
	control_reply(request, json_pack("{s:o}", "tenants", list));
}

void control_tenant_show(struct control_request *request)
{
	struct tenant *tenant = tenant_param(request);

	if (tenant)
		control_reply(request, tenant_json(control_client_manager(request->client), tenant));
}

/*
 * Setting
 */

/* A number from @least to @most, or null: none; left alone where it is not given.  false: answered already. */
static bool get_number(struct control_request *request, const char *name, uint64_t least, uint64_t most, uint64_t none,
		       uint64_t *value, bool *given)
{
	const json_t *json = json_object_get(request->params, name);
	json_int_t number = json_integer_value(json);

	if (!json)
		return true;
	if (!json_is_null(json) && (!json_is_integer(json) || number < (json_int_t)least || number > (json_int_t)most)) {
		control_reply_error(request, MEMTIDE_ERROR_PARAMS,
				    "\"%s\" has to be a whole number from %" PRIu64 " to %" PRIu64 ", or null", name,
				    least, most);
		return false;
	}
	*value = json_is_null(json) ? none : (uint64_t)number;
	*given = true;
	return true;
}

static bool get_ksm(struct control_request *request, bool *off, bool *given)
{
	const json_t *json = json_object_get(request->params, "ksm");
	const char *word = json_string_value(json);

	if (!json)
		return true;
	if (!word || (strcmp(word, "off") && strcmp(word, "tenant"))) {
		control_reply_error(request, MEMTIDE_ERROR_PARAMS, "\"ksm\" has to be \"tenant\" or \"off\"");
		return false;
	}
	*off = !strcmp(word, "off");
	*given = true;
	return true;
}

/* Shares reach the VMs at once; what is in force of the budget is looked up when something is to rise. */
static void apply_to_vms(struct tenant *tenant)
{
	for (struct domain *domain = tenant->domains; domain; domain = domain->tenant_next) {
		if (domain->vm && !vm_is_by_hand(domain->vm))
			vm_own_terms(domain->vm, NULL);
		domain_attach(domain);
	}
}

void control_tenant_set(struct control_request *request)
{
	struct manager *manager = control_client_manager(request->client);
	struct tenant *tenant = tenant_param(request);
	struct memtide_config_tenant terms;
	bool given = false;

	if (!tenant)
		return;
	terms = tenant_terms(manager, tenant);
	if (!get_number(request, "budget", 1, MEMTIDE_LEDGER_BYTES, MEMTIDE_CONFIG_UNSET, &terms.budget, &given) ||
	    !get_number(request, "shares", 1, MEMTIDE_LEDGER_SHARES, MEMTIDE_CONFIG_UNSET, &terms.shares, &given) ||
	    !get_number(request, "ksm_rate_pages", 1, INT32_MAX, 0, &terms.ksm_rate_pages, &given) ||
	    !get_ksm(request, &terms.ksm_off, &given))
		return;
	if (!given) {
		control_reply_error(request, MEMTIDE_ERROR_PARAMS,
				    "nothing to set: budget, shares, ksm or ksm_rate_pages");
		return;
	}
	if (terms.budget != MEMTIDE_CONFIG_UNSET && terms.budget < tenant_floors(tenant, NULL)) {
		control_reply_error(request, MEMTIDE_ERROR_LEDGER,
				    "a budget of %" PRIu64 " MiB is less than what its VMs are guaranteed, %" PRIu64
				    " MiB: lower their floors first", terms.budget >> 20,
				    tenant_floors(tenant, NULL) >> 20);
		return;
	}
	terms.name = NULL;
	tenant->by_hand = terms;
	tenant->set_by_hand = true;
	apply_to_vms(tenant);
	manager_note(manager, DECISION_CONTROL, LOG_LEVEL_INFO, NULL, "tenant %s set by hand", tenant->name);
	manager_room_changed(manager);
	control_reply(request, tenant_json(manager, tenant));
}
