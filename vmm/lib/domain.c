// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The XML of a whole domain.
 */
#include "domain.h"

#include <string.h>

#include "domain-xml.h"

#define OUR_NAMESPACES	"urn:memtide:"	/* of any kind and version */

/* Text of a child of the domain that is for information only: "" if it is not there or makes no sense. */
static void read_label(const xmlNode *domain, const char *name, char *ret_text, size_t size)
{
	const xmlNode *child = domain_xml_child(domain, NULL, name);
	xmlChar *text = child ? xmlNodeGetContent((xmlNode *)child) : NULL;

	ret_text[0] = '\0';
	if (text)
		domain_xml_quote((const char *)text, ret_text, size);
	xmlFree(text);
}

/* A UUID is looked up by its text, so it is whole or not there. */
static void read_uuid(const xmlNode *domain, char ret_uuid[static 37])
{
	const xmlNode *child = domain_xml_child(domain, NULL, "uuid");
	char text[DOMAIN_TEXT];

	ret_uuid[0] = '\0';
	if (child && !domain_xml_text(child, text, NULL) && strlen(text) == 36 &&
	    strspn(text, "0123456789abcdefABCDEF-") == 36)
		memcpy(ret_uuid, text, 37);
}

/* What was meant for memtide but cannot be read by this version must not be passed over in silence. */
static int check_stranger(const xmlNode *node, struct memtide_errtext *errtext)
{
	const char *space = node->ns ? (const char *)node->ns->href : NULL;
	char quoted[DOMAIN_QUOTE];

	if (node->type != XML_ELEMENT_NODE || domain_xml_is(node, MEMTIDE_ENABLED_NAMESPACE, "enabled"))
		return 0;
	if (space && !strncmp(space, OUR_NAMESPACES, strlen(OUR_NAMESPACES)))
		return domain_xml_error(node, errtext,
					"of namespace %s, of which this version of memtide knows <policy> of "
					MEMTIDE_POLICY_NAMESPACE " only",
					domain_xml_quote(space, quoted, sizeof(quoted)));
	if (!space && !strncmp((const char *)node->name, "memtide:", 8))
		return domain_xml_error(node, errtext, "prefix memtide is not declared, add xmlns:memtide='"
					MEMTIDE_POLICY_NAMESPACE "'");
	return 0;
}

static int find_policy(xmlNode *domain, xmlNode **ret_element, struct memtide_errtext *errtext)
{
	const xmlNode *metadata = domain_xml_child(domain, NULL, "metadata");
	xmlNode *found = NULL;
	int r = 0;

	for (xmlNode *node = metadata ? metadata->children : NULL; node && !r; node = node->next) {
		if (!domain_xml_is(node, MEMTIDE_POLICY_NAMESPACE, "policy"))
			r = check_stranger(node, errtext);
		else if (found)
			r = domain_xml_error(node, errtext, "is given twice, first in line %u",
					     domain_xml_line(found));
		else
			found = node;
	}
	if (!r)
		*ret_element = found;
	return r;
}

static int read_all_but_policy(xmlNode *root, struct memtide_domain *domain, struct memtide_errtext *errtext)
{
	if (!domain_xml_is(root, NULL, "domain"))
		return domain_xml_error(root, errtext, "not <domain>, which is what belongs here");
	read_label(root, "name", domain->name, sizeof(domain->name));
	read_uuid(root, domain->uuid);
	return domain_limits_from(root, &domain->limits, errtext);
}

static int read_domain(xmlNode *root, struct memtide_domain *domain, struct memtide_errtext *errtext)
{
	xmlNode *element = NULL;
	int r;

	r = read_all_but_policy(root, domain, errtext);
	if (!r)
		r = find_policy(root, &element, errtext);
	domain->has_policy = element;
	return r || !element ? r : domain_policy_from(element, &domain->policy, errtext);
}

static int read_text(const char *text, size_t size,
		     int (*read)(xmlNode *root, struct memtide_domain *domain, struct memtide_errtext *errtext),
		     struct memtide_domain *ret_domain, struct memtide_errtext *errtext)
{
	struct memtide_domain domain = {};
	xmlDoc *doc;
	int r;

	r = domain_xml_open(text, size, &doc, errtext);
	if (r)
		return r;
	r = read(xmlDocGetRootElement(doc), &domain, errtext);
	xmlFreeDoc(doc);
	if (!r)
		*ret_domain = domain;
	return r;
}

int memtide_domain_read(const char *text, size_t size, struct memtide_domain *ret_domain,
			struct memtide_errtext *errtext)
{
	return read_text(text, size, read_domain, ret_domain, errtext);
}

int memtide_domain_read_limits(const char *text, size_t size, struct memtide_domain *ret_domain,
			       struct memtide_errtext *errtext)
{
	return read_text(text, size, read_all_but_policy, ret_domain, errtext);
}
