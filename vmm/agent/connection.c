// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The connection to libvirt's daemon.  It goes whenever that is restarted, and comes back by itself.
 */
#include "agent.h"
#include "log.h"
#include "stand-in.h"

#include <libvirt/virterror.h>
#include <errno.h>
#include <string.h>

#define WAIT_MIN_MS	1000
#define WAIT_MAX_MS	30000
/* A daemon that hangs is one that is away: seconds between two questions, and how many may stay without an answer. */
#define ALIVE_S		5
#define ALIVE_COUNT	3

/*
 * Events
 */

static int lifecycle(virConnectPtr connection, virDomainPtr handle, int event, int detail, void *opaque)
{
	if (event == VIR_DOMAIN_EVENT_STARTED)
		domains_started(opaque, handle);
	else if (event == VIR_DOMAIN_EVENT_STOPPED)
		domains_stopped(opaque, handle);
	return 0;
}

/* Also where only the persistent domain has been changed: what holds now is looked up. */
static void metadata_change(virConnectPtr connection, virDomainPtr handle, int type, const char *uri, void *opaque)
{
	struct agent_domain *domain = domains_of(opaque, handle);

	if (domain && type == VIR_DOMAIN_METADATA_ELEMENT && uri && !strcmp(uri, MEMTIDE_POLICY_NAMESPACE))
		telling_want(domain);
}

static void balloon_change(virConnectPtr connection, virDomainPtr handle, unsigned long long kib, void *opaque)
{
	struct agent_domain *domain = domains_of(opaque, handle);

	if (domain)
		stand_in_balloon_changed(domain, kib);
}

static void reboot(virConnectPtr connection, virDomainPtr handle, void *opaque)
{
	struct agent_domain *domain = domains_of(opaque, handle);

	if (domain)
		stand_in_rebooted(domain);
}

/* Memory may have come or gone with it, or what keeps memory from being taken. */
static void device_change(virConnectPtr connection, virDomainPtr handle, const char *alias, void *opaque)
{
	struct agent_domain *domain = domains_of(opaque, handle);

	if (domain)
		telling_want(domain);
}

static const struct {
	int id;
	virConnectDomainEventGenericCallback call;
} events[AGENT_EVENTS] = {
	{ VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(lifecycle) },
	{ VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(metadata_change) },
	{ VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(balloon_change) },
	{ VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(device_change) },
	{ VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(device_change) },
	{ VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(reboot) },
};

static int hear(struct agent *agent)
{
	for (int i = 0; i < AGENT_EVENTS; i++)
		agent->libvirt.events[i] = -1;
	for (int i = 0; i < AGENT_EVENTS; i++) {
		agent->libvirt.events[i] = virConnectDomainEventRegisterAny(agent->libvirt.handle, NULL, events[i].id,
									    events[i].call, agent, NULL);
		if (agent->libvirt.events[i] < 0)
			return -EIO;
	}
	return 0;
}

/*
 * Coming and going
 */

/* libvirt is in the middle of it: nothing of the connection may go yet. */
static void closed(virConnectPtr connection, int reason, void *opaque)
{
	struct agent *agent = opaque;

	agent->libvirt.lost = true;
	virEventUpdateTimeout(agent->libvirt.timer, 0);
}

/* Domains keep their handles, and with them what there was of the connection, until there are new ones. */
static void hang_up(struct agent *agent)
{
	virConnectPtr handle = agent->libvirt.handle;

	agent->libvirt.handle = NULL;
	agent->libvirt.lost = false;
	if (!handle)
		return;
	virConnectUnregisterCloseCallback(handle, closed);
	for (int i = 0; i < AGENT_EVENTS; i++)
		if (agent->libvirt.events[i] >= 0)
			virConnectDomainEventDeregisterAny(handle, agent->libvirt.events[i]);
	virConnectClose(handle);
}

virConnectPtr connection_open(const char *uri)
{
	virConnectPtr handle = virConnectOpen(uri);

	/* 1: one that does not know the question */
	if (handle && virConnectSetKeepAlive(handle, ALIVE_S, ALIVE_COUNT) < 0) {
		virConnectClose(handle);
		return NULL;
	}
	return handle;
}

/* Events first, so that nothing is missed between them and the look at what there is. */
static int dial(struct agent *agent)
{
	agent->libvirt.handle = connection_open(agent->config.libvirt_uri);
	if (!agent->libvirt.handle)
		return -ENOTCONN;
	if (hear(agent) < 0 ||
	    virConnectRegisterCloseCallback(agent->libvirt.handle, closed, agent, NULL) < 0)
		return -EIO;
	return domains_take_stock(agent);
}

static void connect_now(struct agent *agent)
{
	if (dial(agent) < 0) {
		if (!agent->libvirt.missed)
			log_warning("libvirt is not there (%s: %s); its domains are looked at when it is",
				    agent->config.libvirt_uri, virGetLastErrorMessage());
		agent->libvirt.missed = true;
		hang_up(agent);
		virEventUpdateTimeout(agent->libvirt.timer, agent->libvirt.wait_ms);
		agent->libvirt.wait_ms = agent->libvirt.wait_ms * 2 < WAIT_MAX_MS ? agent->libvirt.wait_ms * 2 :
										    WAIT_MAX_MS;
		return;
	}
	log_info("libvirt is %s (%s)", agent->libvirt.missed ? "back" : "there", agent->config.libvirt_uri);
	agent->libvirt.missed = false;
	agent->libvirt.wait_ms = WAIT_MIN_MS;
	telling_want_all(agent);
}

static void time_to_connect(int timer, void *opaque)
{
	struct agent *agent = opaque;

	virEventUpdateTimeout(timer, -1);
	if (agent->libvirt.lost) {
		log_warning("libvirt has gone (%s); its domains are looked at when it is back",
			    agent->config.libvirt_uri);
		agent->libvirt.missed = true;
		hang_up(agent);
		virEventUpdateTimeout(timer, WAIT_MIN_MS);
	} else if (!agent->libvirt.handle) {
		connect_now(agent);
	}
}

int connection_start(struct agent *agent)
{
	agent->libvirt.wait_ms = WAIT_MIN_MS;
	agent->libvirt.timer = virEventAddTimeout(0, time_to_connect, agent, NULL);
	return agent->libvirt.timer < 0 ? -EIO : 0;
}

void connection_end(struct agent *agent)
{
	hang_up(agent);
	virEventRemoveTimeout(agent->libvirt.timer);
}
