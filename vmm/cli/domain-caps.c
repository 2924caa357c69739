// SPDX-License-Identifier: GPL-2.0-or-later
/* See domain-caps.h. */
#include "domain-caps.h"

#include <stdbool.h>
#include <string.h>

#include "domain-xml.h"
#include "emulator.h"

/*
 * Where the two say the same: in a domain <devices><ELEMENT><CHILD ATTRIBUTE='...'/>, or ATTRIBUTE of ELEMENT itself;
 * in the capabilities <devices><ELEMENT><enum name='ENUMERATION'>.
 */
static const struct rule {
	const char *element;
	const char *child;
	const char *attribute;
	const char *enumeration;
} rules[] = {
	{ "graphics", NULL, "type", "type" },
	{ "video", "model", "type", "modelType" },
	{ "disk", "target", "bus", "bus" },
	{ "hostdev", NULL, "type", "subsysType" },
	{ "filesystem", "driver", "type", "driverType" },
	{ "rng", "backend", "model", "backendModel" },
	{ "tpm", NULL, "model", "model" },
	{ "tpm", "backend", "type", "backendModel" },
	{ "redirdev", NULL, "bus", "bus" },
	{ "channel", NULL, "type", "type" },
};

/* Whether the section of @rule allows @value; it does where it says nothing of it. */
static bool allows(const xmlNode *capabilities, const struct rule *rule, const char *value)
{
	const xmlNode *devices = domain_xml_child(capabilities, NULL, "devices");
	const xmlNode *section = devices ? domain_xml_child(devices, NULL, rule->element) : NULL;
	char text[DOMAIN_TEXT];

	if (!section)
		return true;
	if (domain_xml_attribute_is(section, "supported", "no"))
		return false;
	for (const xmlNode *list = section->children; list; list = list->next) {
		if (!domain_xml_is(list, NULL, "enum") || !domain_xml_attribute_is(list, "name", rule->enumeration))
			continue;
		for (const xmlNode *node = list->children; node; node = node->next)
			if (domain_xml_is(node, NULL, "value") && !domain_xml_text(node, text, NULL) &&
			    !strcmp(text, value))
				return true;
		return false;
	}
	return true;
}

static void check_device(const xmlNode *device, const xmlNode *capabilities, json_t *lacks)
{
	char value[DOMAIN_TEXT];

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *rule = &rules[i];
		const xmlNode *node = device;

		if (!domain_xml_is(device, NULL, rule->element))
			continue;
		if (rule->child)
			node = domain_xml_child(device, NULL, rule->child);
		if (node && domain_xml_attribute(node, rule->attribute, value, NULL) > 0 &&
		    !allows(capabilities, rule, value))
			emulator_add(lacks, rule->element, value);
	}
}

int domain_caps_lacks(const char *xml, const char *capabilities, json_t **ret_lacks, struct memtide_errtext *errtext)
{
	xmlDoc *domain = NULL, *able = NULL;
	const xmlNode *devices;
	json_t *lacks;
	int r;

	r = domain_xml_open(xml, strlen(xml), &domain, errtext);
	if (!r)
		r = domain_xml_open(capabilities, strlen(capabilities), &able, errtext);
	if (!r) {
		lacks = json_object();
		devices = domain_xml_child(xmlDocGetRootElement(domain), NULL, "devices");
		for (const xmlNode *node = devices ? devices->children : NULL; node; node = node->next)
			check_device(node, xmlDocGetRootElement(able), lacks);
		*ret_lacks = lacks;
	}
	xmlFreeDoc(domain);
	xmlFreeDoc(able);
	return r;
}
