// SPDX-License-Identifier: GPL-2.0-or-later
#include "by-hand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/libvirt.h>

#include "agent.h"
#include "call.h"
#include "log.h"

#define CALL_MS		2000
/* A balloon that has not moved for so long is where it was to be. */
#define SETTLED_MS	2000

struct by_hand {
	uint64_t bytes;		/* where it was last */
	uint64_t told;		/* what memtided has heard of; 0: nothing */
	int timer;
};

int by_hand_tell(const struct agent_domain *domain, uint64_t bytes)
{
	struct memtide_errtext errtext = { .text = "" };
	json_t *result = NULL;
	int r;

	r = memtide_call_until(domain->agent->config.control_socket, "domain.by_hand",
			       json_pack("{s:s, s:I}", "uuid", domain->uuid, "balloon", (json_int_t)bytes),
			       memtide_call_now_ms() + CALL_MS, &result, &errtext);
	if (r < 0)
		log_warning("%s: its balloon was set by hand, and memtided does not know: %s", domain->name, errtext.text);
	json_decref(result);
	return r;
}

bool by_hand_is_configured(virDomainPtr handle, uint64_t ram, uint64_t bytes)
{
	char *xml = virDomainGetXMLDesc(handle, VIR_DOMAIN_XML_INACTIVE);
	struct memtide_domain config;
	bool is = bytes >= ram;

	if (xml && !memtide_domain_read(xml, strlen(xml), &config, NULL))
		is |= bytes == config.limits.current.value;
	free(xml);
	return is;
}

static void settled(int timer, void *opaque)
{
	struct agent_domain *domain = opaque;
	struct by_hand *by_hand = domain->by_hand;
	uint64_t ram = domain->about.limits.memory.value;
	virDomainInfo info;

	virEventUpdateTimeout(timer, -1);
	if (domain->stand_in)
		return;
	if (by_hand->bytes == by_hand->told || by_hand_is_configured(domain->handle, ram, by_hand->bytes))
		return;
	/* A later event is about to come. */
	if (virDomainGetInfo(domain->handle, &info) < 0 || (uint64_t)info.memory << 10 != by_hand->bytes)
		return;
	if (!by_hand_tell(domain, by_hand->bytes))
		by_hand->told = by_hand->bytes;
}

static struct by_hand *by_hand_of(struct agent_domain *domain)
{
	if (domain->by_hand)
		return domain->by_hand;
	domain->by_hand = calloc(1, sizeof(*domain->by_hand));
	if (domain->by_hand)
		domain->by_hand->timer = virEventAddTimeout(-1, settled, domain, NULL);
	return domain->by_hand;
}

void by_hand_balloon_changed(struct agent_domain *domain, uint64_t bytes)
{
	struct by_hand *by_hand = by_hand_of(domain);

	if (!by_hand)
		return;
	by_hand->bytes = bytes;
	virEventUpdateTimeout(by_hand->timer, SETTLED_MS);
}

void by_hand_left(struct agent_domain *domain, uint64_t bytes)
{
	struct by_hand *by_hand = by_hand_of(domain);

	if (by_hand)
		by_hand->told = bytes;
}

void by_hand_gone(struct agent_domain *domain)
{
	if (domain->by_hand)
		virEventRemoveTimeout(domain->by_hand->timer);
	free(domain->by_hand);
	domain->by_hand = NULL;
}
