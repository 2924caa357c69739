// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The schema, compiled in: what is installed for people to look at cannot differ from what holds.
 *
 * libxml2 says of a document that does not fit little more than that, and takes quadratic time to say it.  So the
 * reader in domain-policy.c comes first, which has words and bounds, and the schema is what it is measured by.
 */
#include "domain-xml.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <libxml/relaxng.h>

static const char schema_text[] =
#include "memtide-policy-rng.h"
;

#if LIBXML_VERSION >= 21200
typedef const xmlError *error_arg;
#else
typedef xmlErrorPtr error_arg;
#endif

/* The first error that has a line. */
struct schema_error {
	int line;
	char words[200];
};

static void on_error(void *data, error_arg error)
{
	struct schema_error *first = data;

	if (first->line)
		return;
	first->line = error->line;
	domain_xml_quote(error->message ?: "", first->words, sizeof(first->words));
}

/* libxml2 fills its table of types when it is first needed, and takes no lock for that. */
static void initialize_types(void)
{
	xmlRelaxNGInitTypes();
}

static xmlRelaxNG *load_schema(struct memtide_errtext *errtext)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct schema_error error = {};
	xmlRelaxNGParserCtxt *context;
	xmlRelaxNG *schema;

	pthread_once(&once, initialize_types);
	context = xmlRelaxNGNewMemParserCtxt(schema_text, sizeof(schema_text) - 1);
	if (!context) {
		memtide_errtext_set(errtext, -ENOMEM, "no memory for the schema");
		return NULL;
	}
	xmlRelaxNGSetParserStructuredErrors(context, on_error, &error);
	schema = xmlRelaxNGParse(context);
	if (!schema)
		memtide_errtext_set(errtext, -ENOMEM, "cannot load the schema: %s",
				    error.words[0] ? error.words : "no memory");
	xmlRelaxNGFreeParserCtxt(context);
	return schema;
}

static bool is_ours(const xmlNode *node)
{
	return node->ns && !strcmp((const char *)node->ns->href, MEMTIDE_POLICY_NAMESPACE);
}

/* What the reader has not skipped: a number of elements that it has bounded. */
static bool is_known(const xmlNode *node, bool in_host)
{
	static const char *const names[] = {
		"tenant", "floor", "maximum", "shares", "balance", "ksm", "thp", "host",
	};
	const char *name = (const char *)node->name;

	if (!is_ours(node))
		return false;
	if (in_host)
		return !strcmp(name, "knob");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static void prune(xmlNode *element, bool in_host)
{
	xmlNode *next;

	for (xmlNode *child = element->children; child; child = next) {
		next = child->next;
		if (child->type != XML_ELEMENT_NODE)
			continue;
		if (!is_known(child, in_host)) {
			xmlUnlinkNode(child);
			xmlFreeNode(child);
		} else if (!in_host && !strcmp((const char *)child->name, "host")) {
			prune(child, true);
		}
	}
}

/* A document that has nothing but @element. */
static xmlDoc *copy_of(xmlNode *element)
{
	xmlDoc *doc = xmlNewDoc(NULL);
	xmlNode *copy = doc ? xmlDocCopyNode(element, doc, 1) : NULL;

	if (!copy) {
		xmlFreeDoc(doc);
		return NULL;
	}
	xmlDocSetRootElement(doc, copy);
	prune(copy, false);
	return doc;
}

static int validate(xmlRelaxNG *schema, xmlDoc *doc, struct memtide_errtext *errtext)
{
	xmlRelaxNGValidCtxt *context = xmlRelaxNGNewValidCtxt(schema);
	struct schema_error error = {};
	int r;

	if (!context)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory for the schema");
	xmlRelaxNGSetValidStructuredErrors(context, on_error, &error);
	r = xmlRelaxNGValidateDoc(context, doc);
	xmlRelaxNGFreeValidCtxt(context);
	if (r < 0)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory to check the policy against the schema");
	if (r)
		return memtide_errtext_set(errtext, -EINVAL, "line %d, <policy>: against the schema: %s",
					   error.line,
					   error.words);
	return 0;
}

int domain_schema_check(xmlNode *element, struct memtide_errtext *errtext)
{
	xmlRelaxNG *schema = load_schema(errtext);
	xmlDoc *doc;
	int r;

	if (!schema)
		return -ENOMEM;
	doc = copy_of(element);
	r = doc ? validate(schema, doc, errtext) :
		memtide_errtext_set(errtext, -ENOMEM, "no memory to check the policy against the schema");
	xmlFreeDoc(doc);
	xmlRelaxNGFree(schema);
	return r;
}
