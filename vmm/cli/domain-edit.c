// SPDX-License-Identifier: GPL-2.0-or-later
/* See domain-edit.h. */
#include "domain-edit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "domain-pci.h"
#include "domain-text.h"
#include "domain-xml.h"

#define RECORD_PREFIX	"memtide-enabled"
#define DEVICE_ID	"memtide"	/* of chardev and device; libvirt's own are not called so */

/* How soon a device looks for a controller that was away: rarely enough to cost nothing, in milliseconds. */
#define RECONNECT_MS	1000

/* What <policy> is added as: what docs/domain-xml.md explains, none of it in force. */
static const char policy_template[] =
	"<memtide:policy xmlns:memtide='" MEMTIDE_POLICY_NAMESPACE "'>\n"
	"      <!-- as memtided's configuration says, but for what is taken out of these comments -->\n"
	"      <!-- <memtide:tenant>blue</memtide:tenant> -->\n"
	"      <!-- <memtide:floor>512MiB</memtide:floor> -->\n"
	"      <!-- <memtide:maximum>2GiB</memtide:maximum> -->\n"
	"      <!-- <memtide:shares>100</memtide:shares> -->\n"
	"      <!-- <memtide:ksm mode='off'/> -->\n"
	"      <!-- <memtide:thp mode='pressure'/> -->\n"
	"    </memtide:policy>";

static const xmlChar *chars(const char *text)
{
	return (const xmlChar *)text;
}

/* Its value, "" if there is none, cut at @size. */
static void copy_attribute(const xmlNode *node, const char *name, char *ret_text, size_t size)
{
	xmlChar *value = node ? xmlGetNoNsProp((xmlNode *)node, chars(name)) : NULL;

	snprintf(ret_text, size, "%s", value ? (const char *)value : "");
	xmlFree(value);
}

static void copy_content(const xmlNode *node, char *ret_text, size_t size)
{
	xmlChar *value = node ? xmlNodeGetContent((xmlNode *)node) : NULL;

	snprintf(ret_text, size, "%s", value ? (const char *)value : "");
	xmlFree(value);
}

/* Parse @xml, edit it, write it: what all that edits has in common. */
static int edit(const char *xml, int (*change)(xmlNode *domain, void *data, struct memtide_errtext *errtext),
		void *data, char **ret_xml, struct memtide_errtext *errtext)
{
	xmlDoc *doc;
	xmlNode *domain;
	char *text;
	int r;

	r = domain_xml_open(xml, strlen(xml), &doc, errtext);
	if (r)
		return r;
	domain = xmlDocGetRootElement(doc);
	if (!domain_xml_is(domain, NULL, "domain"))
		r = domain_xml_error(domain, errtext, "not <domain>, which is what belongs here");
	else if (change)
		r = change(domain, data, errtext);
	text = r ? NULL : domain_text_write(doc);
	xmlFreeDoc(doc);
	if (r)
		return r;
	if (!text)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory for the document");
	*ret_xml = text;
	return 0;
}

int domain_edit_nothing(const char *xml, char **ret_xml, struct memtide_errtext *errtext)
{
	return edit(xml, NULL, NULL, ret_xml, errtext);
}

static int remove_interfaces(xmlNode *domain, void *data, struct memtide_errtext *errtext)
{
	xmlNode *devices = domain_xml_child(domain, NULL, "devices"), *interface;

	while (devices && (interface = domain_xml_child(devices, NULL, "interface")))
		domain_text_remove(interface);
	return 0;
}

int domain_edit_offline(const char *xml, char **ret_xml, struct memtide_errtext *errtext)
{
	return edit(xml, remove_interfaces, NULL, ret_xml, errtext);
}

/*
 * What is there
 */

static xmlNode *find_emulator(const xmlNode *domain)
{
	const xmlNode *devices = domain_xml_child(domain, NULL, "devices");

	return devices ? domain_xml_child(devices, NULL, "emulator") : NULL;
}

static xmlNode *find_in_metadata(const xmlNode *domain, const char *space, const char *name)
{
	const xmlNode *metadata = domain_xml_child(domain, NULL, "metadata");

	return metadata ? domain_xml_child(metadata, space, name) : NULL;
}

static xmlNode *find_record(const xmlNode *domain)
{
	return find_in_metadata(domain, MEMTIDE_ENABLED_NAMESPACE, "enabled");
}

static bool has_device(const xmlNode *domain)
{
	struct memtide_domain_limits limits;

	return !domain_limits_from(domain, &limits, NULL) && limits.tide_device;
}

int domain_facts_read(const char *xml, struct domain_facts *ret_facts, struct memtide_errtext *errtext)
{
	const xmlNode *domain, *os, *type, *features;
	struct domain_facts facts = {};
	xmlDoc *doc;
	int r;

	r = domain_xml_open(xml, strlen(xml), &doc, errtext);
	if (r)
		return r;
	domain = xmlDocGetRootElement(doc);
	os = domain_xml_child(domain, NULL, "os");
	type = os ? domain_xml_child(os, NULL, "type") : NULL;
	features = domain_xml_child(domain, NULL, "features");
	copy_content(domain_xml_child(domain, NULL, "name"), facts.name, sizeof(facts.name));
	copy_attribute(domain, "type", facts.type, sizeof(facts.type));
	copy_attribute(type, "arch", facts.arch, sizeof(facts.arch));
	copy_attribute(type, "machine", facts.machine, sizeof(facts.machine));
	copy_content(find_emulator(domain), facts.emulator, sizeof(facts.emulator));
	facts.acpi = features && domain_xml_child(features, NULL, "acpi");
	facts.device = has_device(domain);
	facts.enabled = find_record(domain);
	xmlFreeDoc(doc);
	*ret_facts = facts;
	return 0;
}

/*
 * Enabling
 */

struct enable {
	const char *emulator;
	const char *socket;
};

/* <metadata>, made where libvirt has it if there is none. */
static xmlNode *need_metadata(xmlNode *domain)
{
	static const char *const behind[] = { "maxMemory", "memory", "currentMemory", "vcpu", "os", "devices" };
	xmlNode *metadata = domain_xml_child(domain, NULL, "metadata"), *next = NULL;

	if (metadata)
		return metadata;
	for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]) && !next; i++)
		next = domain_xml_child(domain, NULL, behind[i]);
	metadata = xmlNewDocNode(domain->doc, NULL, chars("metadata"), NULL);
	if (metadata && next)
		domain_text_insert(next, metadata);
	else if (metadata)
		domain_text_append(domain, metadata);
	return metadata;
}

static xmlNode *need_record(xmlNode *domain)
{
	xmlNode *record = find_record(domain), *metadata;

	if (record)
		return record;
	metadata = need_metadata(domain);
	record = metadata ? xmlNewDocNode(domain->doc, NULL, chars("enabled"), NULL) : NULL;
	if (!record)
		return NULL;
	xmlSetNs(record, xmlNewNs(record, chars(MEMTIDE_ENABLED_NAMESPACE), chars(RECORD_PREFIX)));
	domain_text_append(metadata, record);
	return record;
}

static int record_that(xmlNode *domain, const char *name, const char *value, struct memtide_errtext *errtext)
{
	xmlNode *record = need_record(domain);

	if (!record || !xmlSetProp(record, chars(name), chars(value)))
		return memtide_errtext_set(errtext, -ENOMEM, "no memory for the document");
	return 0;
}

static int enable_emulator(xmlNode *domain, const char *path, struct memtide_errtext *errtext)
{
	xmlNode *emulator = find_emulator(domain), *record = find_record(domain);
	char before[512];
	int r;

	if (!emulator)
		return domain_xml_error(domain, errtext, "it has no <emulator>: libvirt writes one for each "
							 "domain that it knows");
	copy_content(emulator, before, sizeof(before));
	if (!path || !strcmp(before, path))
		return 0;
	/* of two changes in a row the first one knows what was there before */
	r = record_that(domain, "emulator", path, errtext);
	if (!r && (!record || !xmlHasProp(record, chars("emulator-before"))))
		r = record_that(domain, "emulator-before", before, errtext);
	xmlNodeSetContent(emulator, NULL);
	xmlNodeAddContent(emulator, chars(path));
	return r;
}

static xmlNs *need_qemu_namespace(xmlNode *domain)
{
	xmlNs *space = xmlSearchNsByHref(domain->doc, domain, chars(DOMAIN_QEMU_NAMESPACE));

	return space ?: xmlNewNs(domain, chars(DOMAIN_QEMU_NAMESPACE), chars("qemu"));
}

static int add_argument(xmlNode *line, const char *value)
{
	xmlNode *argument = xmlNewDocNode(line->doc, line->ns, chars("arg"), NULL);

	if (!argument || !xmlSetProp(argument, chars("value"), chars(value)))
		return -ENOMEM;
	domain_text_append(line, argument);
	return 0;
}

static int add_arguments(xmlNode *domain, const char *chardev, const char *device)
{
	xmlNode *line = domain_xml_child(domain, DOMAIN_QEMU_NAMESPACE, "commandline");
	int r;

	if (!line) {
		xmlNs *space = need_qemu_namespace(domain);

		line = space ? xmlNewDocNode(domain->doc, space, chars("commandline"), NULL) : NULL;
		if (!line)
			return -ENOMEM;
		domain_text_append(domain, line);
	}
	r = add_argument(line, "-chardev");
	if (!r)
		r = add_argument(line, chardev);
	if (!r)
		r = add_argument(line, "-device");
	return r ? r : add_argument(line, device);
}

static int enable_device(xmlNode *domain, const char *socket, struct memtide_errtext *errtext)
{
	char chardev[256], device[128];
	struct domain_pci_place place;
	int r;

	if (has_device(domain))
		return 0;
	r = domain_pci_find(domain, &place, errtext);
	if (r)
		return r;
	snprintf(chardev, sizeof(chardev), "socket,id=" DEVICE_ID ",path=%s,reconnect-ms=%d", socket, RECONNECT_MS);
	snprintf(device, sizeof(device), "virtio-tide-pci,id=" DEVICE_ID ",chardev=" DEVICE_ID ",bus=%s,addr=0x%x",
		 place.bus, place.slot);
	if (add_arguments(domain, chardev, device))
		return memtide_errtext_set(errtext, -ENOMEM, "no memory for the document");
	return record_that(domain, "device", DEVICE_ID, errtext);
}

static int enable_policy(xmlNode *domain, struct memtide_errtext *errtext)
{
	xmlNode *metadata, *policy;
	xmlDoc *doc;
	int r;

	if (find_in_metadata(domain, MEMTIDE_POLICY_NAMESPACE, "policy"))
		return 0;
	r = domain_xml_open(policy_template, sizeof(policy_template) - 1, &doc, errtext);
	if (r)
		return r;
	metadata = need_metadata(domain);
	policy = metadata ? xmlDocCopyNode(xmlDocGetRootElement(doc), domain->doc, 1) : NULL;
	xmlFreeDoc(doc);
	if (!policy)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory for the document");
	domain_text_append(metadata, policy);
	return record_that(domain, "policy", "template", errtext);
}

static int enable(xmlNode *domain, void *data, struct memtide_errtext *errtext)
{
	const struct enable *options = data;
	bool had_metadata = domain_xml_child(domain, NULL, "metadata");
	int r;

	r = enable_policy(domain, errtext);
	if (!r)
		r = enable_emulator(domain, options->emulator, errtext);
	if (!r)
		r = enable_device(domain, options->socket, errtext);
	if (!r && !had_metadata)
		r = record_that(domain, "metadata", "added", errtext);
	return r;
}

int domain_edit_enable(const char *xml, const char *emulator, const char *socket, char **ret_xml,
		       struct memtide_errtext *errtext)
{
	struct enable options = { .emulator = emulator, .socket = socket };

	return edit(xml, enable, &options, ret_xml, errtext);
}

/*
 * Disabling
 */

struct disable {
	bool keep_policy;
	struct memtide_errtext *note;
};

static void add_note(struct memtide_errtext *note, const char *text, const char *value)
{
	size_t used = strlen(note->text);

	snprintf(note->text + used, sizeof(note->text) - used, "%s%s%s", used ? "; " : "", text, value);
}

static void disable_emulator(xmlNode *domain, const xmlNode *record, struct memtide_errtext *note)
{
	xmlNode *emulator = find_emulator(domain);
	char now[512], ours[512], before[512];

	copy_attribute(record, "emulator", ours, sizeof(ours));
	copy_attribute(record, "emulator-before", before, sizeof(before));
	if (!emulator || !*ours || !*before)
		return;
	copy_content(emulator, now, sizeof(now));
	if (strcmp(now, ours)) {
		add_note(note, "the emulator has been changed since, and stays ", now);
		return;
	}
	xmlNodeSetContent(emulator, NULL);
	xmlNodeAddContent(emulator, chars(before));
}

static bool is_argument(const xmlNode *node, const char *value, bool whole)
{
	char text[256];

	if (!node || !domain_xml_is(node, DOMAIN_QEMU_NAMESPACE, "arg"))
		return false;
	copy_attribute(node, "value", text, sizeof(text));
	return whole ? !strcmp(text, value) : strstr(text, value) != NULL;
}

/* Take out @option and what follows it, if that has @words in it. */
static bool remove_argument(xmlNode *line, const char *option, const char *words)
{
	xmlNode *next;

	for (xmlNode *node = xmlFirstElementChild(line); node; node = next) {
		next = xmlNextElementSibling(node);
		if (!is_argument(node, option, true) || !is_argument(next, words, false))
			continue;
		domain_text_remove(node);
		domain_text_remove(next);
		return true;
	}
	return false;
}

static bool uses_namespace(const xmlNode *node, const xmlNs *space)
{
	if (node->type != XML_ELEMENT_NODE)
		return false;
	if (node->ns == space)
		return true;
	for (const xmlAttr *attribute = node->properties; attribute; attribute = attribute->next)
		if (attribute->ns == space)
			return true;
	for (const xmlNode *child = node->children; child; child = child->next)
		if (uses_namespace(child, space))
			return true;
	return false;
}

/* libvirt does not keep a namespace that nothing is in. */
static void remove_namespace(xmlNode *domain, const char *href)
{
	for (xmlNs **link = &domain->nsDef; *link; link = &(*link)->next) {
		xmlNs *space = *link;

		if (strcmp((const char *)space->href, href))
			continue;
		if (!uses_namespace(domain, space)) {
			*link = space->next;
			xmlFreeNs(space);
		}
		return;
	}
}

static void disable_device(xmlNode *domain, const xmlNode *record, struct memtide_errtext *note)
{
	xmlNode *line = domain_xml_child(domain, DOMAIN_QEMU_NAMESPACE, "commandline");
	char id[64], words[80];

	copy_attribute(record, "device", id, sizeof(id));
	if (!*id)
		return;
	snprintf(words, sizeof(words), "chardev=%s", id);
	if (!line || !remove_argument(line, "-device", words))
		add_note(note, "there is no device any more of chardev ", id);
	snprintf(words, sizeof(words), "socket,id=%s", id);
	if (line)
		remove_argument(line, "-chardev", words);
	if (line && domain_text_is_empty(line)) {
		domain_text_remove(line);
		remove_namespace(domain, DOMAIN_QEMU_NAMESPACE);
	}
}

static void disable_policy(xmlNode *domain, const xmlNode *record, bool keep, struct memtide_errtext *note)
{
	xmlNode *policy = find_in_metadata(domain, MEMTIDE_POLICY_NAMESPACE, "policy");
	char added[32];

	copy_attribute(record, "policy", added, sizeof(added));
	if (!policy || !*added || keep)
		return;
	if (xmlFirstElementChild(policy))
		add_note(note, "<policy> stays, since it has been filled in: virsh metadata NAME --uri "
			 MEMTIDE_POLICY_NAMESPACE " --config --remove", "");
	else
		domain_text_remove(policy);
}

static int disable(xmlNode *domain, void *data, struct memtide_errtext *errtext)
{
	const struct disable *options = data;
	xmlNode *record = find_record(domain), *metadata;
	bool added_metadata;

	if (!record)
		return memtide_errtext_set(errtext, -ENOENT, "%s", has_device(domain) ?
					   "`memtide domain enable` has changed nothing in it; its virtio-tide "
					   "device was put there by other means, and is taken out with virsh edit" :
					   "`memtide domain enable` has changed nothing in it: there is nothing "
					   "to take back");
	disable_emulator(domain, record, options->note);
	disable_device(domain, record, options->note);
	disable_policy(domain, record, options->keep_policy, options->note);
	metadata = record->parent;
	added_metadata = xmlHasProp(record, chars("metadata"));
	domain_text_remove(record);
	if (!domain_text_is_empty(metadata))
		return 0;
	if (added_metadata)
		domain_text_remove(metadata);
	else
		xmlNodeSetContent(metadata, NULL);
	return 0;
}

int domain_edit_disable(const char *xml, bool keep_policy, char **ret_xml, struct memtide_errtext *ret_note,
			struct memtide_errtext *errtext)
{
	struct memtide_errtext note = {};
	struct disable options = { .keep_policy = keep_policy, .note = &note };
	int r = edit(xml, disable, &options, ret_xml, errtext);

	if (!r)
		*ret_note = note;
	return r;
}
