// SPDX-License-Identifier: GPL-2.0-or-later
/* See domain-pci.h. */
#include "domain-pci.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain-edit.h"
#include "domain-xml.h"

#define SLOTS	32

/*
 * libvirt takes the lowest slot that is free, so ours is the highest; slot 31 of q35 has the chipset (qemuDomainPCI-
 * ValidateChipsetQ35 in libvirt).  Where it looks for a slot for USB and sound of that chipset (29, 26, 27) comes last.
 */
static const unsigned char order_q35[] = {
	30, 28, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 27, 26, 29,
};
/* Slots 1 and 2 have the chipset and, as a rule, the graphics card. */
static const unsigned char order_i440fx[] = {
	31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3,
};

static const struct root {
	const char *bus;
	const char *machine;		/* its names begin with that */
	const char *machine_alias;
	const unsigned char *order;
	size_t nr;
} roots[] = {
	{ "pcie.0", "pc-q35-", "q35", order_q35, sizeof(order_q35) },
	{ "pci.0", "pc-i440fx-", "pc", order_i440fx, sizeof(order_i440fx) },
};

/* Attribute as a number, decimal or with 0x; UINT_MAX if there is none. */
static unsigned int number(const xmlNode *node, const char *name)
{
	char text[DOMAIN_TEXT], *end;
	unsigned long value;

	if (domain_xml_attribute(node, name, text, NULL) <= 0)
		return UINT32_MAX;
	value = strtoul(text, &end, 0);
	return *end || value > UINT32_MAX ? UINT32_MAX : value;
}

static const struct root *find_root(const xmlNode *domain, struct memtide_errtext *errtext)
{
	const xmlNode *os = domain_xml_child(domain, NULL, "os");
	const xmlNode *type = os ? domain_xml_child(os, NULL, "type") : NULL;
	char machine[DOMAIN_TEXT] = "", arch[DOMAIN_TEXT] = "";

	if (type) {
		domain_xml_attribute(type, "machine", machine, NULL);
		domain_xml_attribute(type, "arch", arch, NULL);
	}
	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
		if (!strncmp(machine, roots[i].machine, strlen(roots[i].machine)) ||
		    !strcmp(machine, roots[i].machine_alias))
			return &roots[i];
	memtide_errtext_set(errtext, -EINVAL, "machine \"%s\"%s%s has no place for a device: q35 and i440fx (pc) have",
			    machine, *arch ? " of " : "", arch);
	return NULL;
}

/* Devices of the domain's own; an address further inside belongs to the host. */
static uint32_t used_by_devices(const xmlNode *domain)
{
	const xmlNode *devices = domain_xml_child(domain, NULL, "devices");
	uint32_t used = 0;

	for (const xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
		const xmlNode *address = domain_xml_child(node, NULL, "address");

		if (address && domain_xml_attribute_is(address, "type", "pci") && !number(address, "bus") &&
		    number(address, "slot") < SLOTS)
			used |= 1U << number(address, "slot");
	}
	return used;
}

/* "addr=0x1e.0" in what follows -device, as text or JSON; SLOTS if it has no address on @bus. */
static unsigned int slot_of_argument(const char *value, const char *bus)
{
	json_t *object = *value == '{' ? json_loads(value, 0, NULL) : NULL;
	unsigned int slot = SLOTS;
	const char *address;
	char pattern[32];

	if (object) {
		address = json_string_value(json_object_get(object, "addr"));
		if (address && !strcmp(json_string_value(json_object_get(object, "bus")) ?: bus, bus))
			slot = strtoul(address, NULL, 16);
	} else {
		snprintf(pattern, sizeof(pattern), ",bus=%s", bus);
		address = strstr(value, ",addr=");
		if (address && (strstr(value, pattern) || !strstr(value, ",bus=")))
			slot = strtoul(address + 6, NULL, 16);
	}
	json_decref(object);
	return slot;
}

static uint32_t used_by_arguments(const xmlNode *domain, const char *bus)
{
	const xmlNode *line = domain_xml_child(domain, DOMAIN_QEMU_NAMESPACE, "commandline");
	uint32_t used = 0;

	for (const xmlNode *node = line ? line->children : NULL; node; node = node->next) {
		xmlChar *value = node->type == XML_ELEMENT_NODE ?
			xmlGetNoNsProp((xmlNode *)node, (const xmlChar *)"value") : NULL;
		unsigned int slot = value ? slot_of_argument((const char *)value, bus) : SLOTS;

		if (slot < SLOTS)
			used |= 1U << slot;
		xmlFree(value);
	}
	return used;
}

int domain_pci_find(const xmlNode *domain, struct domain_pci_place *ret_place, struct memtide_errtext *errtext)
{
	const struct root *root = find_root(domain, errtext);
	uint32_t used;

	if (!root)
		return -EINVAL;
	used = used_by_devices(domain) | used_by_arguments(domain, root->bus);
	for (size_t i = 0; i < root->nr; i++)
		if (!(used & 1U << root->order[i])) {
			*ret_place = (struct domain_pci_place) { .bus = root->bus, .slot = root->order[i] };
			return 0;
		}
	return memtide_errtext_set(errtext, -ENOSPC, "all %zu slots of %s are taken: take a device out, or put one on "
				   "another bus (<controller type='pci'>)", root->nr, root->bus);
}
