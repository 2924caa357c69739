// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of domains that run.  It follows libvirt's events, and after each coming back of its daemon what that has.
 */
#include "agent.h"
#include "domain-json.h"
#include "domain-pid.h"
#include "log.h"
#include "stand-in.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct agent_domain *domains_find(const struct agent *agent, const char *uuid)
{
	struct agent_domain *domain = agent->domains;

	while (domain && strcmp(domain->uuid, uuid))
		domain = domain->next;
	return domain;
}

static bool uuid_of(virDomainPtr handle, char ret_uuid[static 37])
{
	char text[VIR_UUID_STRING_BUFLEN] = "";

	return !virDomainGetUUIDString(handle, text) && memtide_domain_uuid(text, ret_uuid);
}

struct agent_domain *domains_of(const struct agent *agent, virDomainPtr handle)
{
	char uuid[37];

	return uuid_of(handle, uuid) ? domains_find(agent, uuid) : NULL;
}

/*
 * One domain
 */

static void use_handle(struct agent_domain *domain, virDomainPtr handle)
{
	virDomainRef(handle);
	if (domain->handle)
		virDomainFree(domain->handle);
	domain->handle = handle;
}

static void add(struct agent *agent, virDomainPtr handle, const char *uuid)
{
	struct agent_domain *domain = calloc(1, sizeof(*domain));

	if (!domain) {
		log_error("no memory for domain %s", virDomainGetName(handle));
		return;
	}
	domain->agent = agent;
	snprintf(domain->name, sizeof(domain->name), "%s", virDomainGetName(handle));
	snprintf(domain->uuid, sizeof(domain->uuid), "%s", uuid);
	use_handle(domain, handle);
	domain->id = (int)virDomainGetID(handle);
	domain->pid = memtide_domain_pid(domain->name);
	domain->next = agent->domains;
	agent->domains = domain;
	log_debug("%s runs (process %d)", domain->name, (int)domain->pid);
	telling_want(domain);
}

static void forget(struct agent_domain *domain)
{
	struct agent_domain **at = &domain->agent->domains;

	while (*at != domain)
		at = &(*at)->next;
	*at = domain->next;
	stand_in_gone(domain);
	virDomainFree(domain->handle);
	json_decref(domain->refused);
	free(domain);
}

static void end(struct agent_domain *domain)
{
	log_debug("%s has ended", domain->name);
	telling_ended(domain);
	forget(domain);
}

/* The number is libvirt's, and it begins again with 1 where its daemon has lost its files. */
static bool is_same_run(const struct agent_domain *domain, virDomainPtr handle)
{
	pid_t pid = memtide_domain_pid(domain->name);

	return domain->id == (int)virDomainGetID(handle) && (!pid || !domain->pid || pid == domain->pid);
}

/*
 * What libvirt says
 */

void domains_started(struct agent *agent, virDomainPtr handle)
{
	struct agent_domain *domain;
	char uuid[37];

	if (!uuid_of(handle, uuid))
		return;
	domain = domains_find(agent, uuid);
	if (domain && is_same_run(domain, handle)) {
		use_handle(domain, handle);
		telling_want(domain);
		return;
	}
	if (domain)
		end(domain);
	add(agent, handle, uuid);
}

/* An event may be of the run before: it has waited while stock was taken. */
static bool still_runs(const struct agent_domain *domain)
{
	virDomainPtr now = domain->agent->libvirt.handle ?
			   virDomainLookupByUUIDString(domain->agent->libvirt.handle, domain->uuid) : NULL;
	bool runs = now && (int)virDomainGetID(now) == domain->id;

	if (now)
		virDomainFree(now);
	return runs;
}

void domains_stopped(struct agent *agent, virDomainPtr handle)
{
	struct agent_domain *domain = domains_of(agent, handle);

	if (domain && !still_runs(domain))
		end(domain);
}

static bool is_among(const struct agent_domain *domain, virDomainPtr *handles, int nr)
{
	char uuid[37];

	for (int i = 0; i < nr; i++)
		if (uuid_of(handles[i], uuid) && !strcmp(uuid, domain->uuid))
			return true;
	return false;
}

int domains_take_stock(struct agent *agent)
{
	struct agent_domain *domain, *next;
	virDomainPtr *handles = NULL;
	int nr;

	nr = virConnectListAllDomains(agent->libvirt.handle, &handles, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
	if (nr < 0)
		return -EIO;
	for (domain = agent->domains; domain; domain = next) {
		next = domain->next;
		if (!is_among(domain, handles, nr))
			end(domain);
	}
	for (int i = 0; i < nr; i++) {
		domains_started(agent, handles[i]);
		virDomainFree(handles[i]);
	}
	free(handles);
	return 0;
}

void domains_forget(struct agent *agent)
{
	while (agent->domains)
		forget(agent->domains);
}
