/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the library: XML from outside, opened so that reading it has no side effects, and what the readers of
 * policy and limits share.
 */
#ifndef MEMTIDE_DOMAIN_XML_H
#define MEMTIDE_DOMAIN_XML_H

#include <stdbool.h>
#include <stddef.h>

#include <libxml/tree.h>

#include "domain-limits.h"
#include "domain-policy.h"
#include "errtext.h"

#define DOMAIN_QUOTE	48	/* room for what domain_xml_quote() writes */
#define DOMAIN_TEXT	160	/* room for any value that makes sense here, and its end */

/* Whether libxml2 may see @text at all: its size, its encoding, the number of attributes.  -EFBIG or -EINVAL. */
int domain_bytes_check(const char *text, size_t size, struct memtide_errtext *errtext);

/*
 * Parse @text, at most MEMTIDE_DOMAIN_BYTES_MAX of it, as UTF-8.  For xmlFreeDoc().  No entity is expanded,
 * nothing is loaded, a DOCTYPE is refused before it is looked into, and libxml2 bounds the depth at 256.
 */
int domain_xml_open(const char *text, size_t size, xmlDoc **ret_doc, struct memtide_errtext *errtext);

unsigned int domain_xml_line(const xmlNode *node);

/* -EINVAL, worded as "line N, <element>: ...". */
__attribute__((format(printf, 3, 4)))
int domain_xml_error(const xmlNode *node, struct memtide_errtext *errtext, const char *format, ...);

/*
 * @text for use in a message: at most @size - 1 bytes of whole characters, with ... where it was longer, without
 * control characters, since messages end up in terminals and in JSON.  Returns @ret_text.
 */
const char *domain_xml_quote(const char *text, char *ret_text, size_t size);

/* Whether @node is an element of this name and namespace; NULL: without one. */
bool domain_xml_is(const xmlNode *node, const char *space, const char *name);

/* The first child element of that kind, or NULL. */
xmlNode *domain_xml_child(const xmlNode *node, const char *space, const char *name);

/*
 * The text in @node without the blanks around it.  -EINVAL if there is an element in it, or if it does not fit.
 */
int domain_xml_text(const xmlNode *node, char ret_text[static DOMAIN_TEXT], struct memtide_errtext *errtext);

/* An attribute of no namespace.  0 and "" if there is none, 1 if there is one, -EINVAL if it is too long. */
int domain_xml_attribute(const xmlNode *node, const char *name, char ret_text[static DOMAIN_TEXT],
			 struct memtide_errtext *errtext);

/* Whether it has that value; one that is too long has none. */
bool domain_xml_attribute_is(const xmlNode *node, const char *name, const char *value);

/* Read @element, which is a <policy> of our namespace. */
int domain_policy_from(xmlNode *element, struct memtide_domain_policy *ret_policy,
		       struct memtide_errtext *errtext);

/* Check @element against the schema: whatever domain_policy_from() has taken has to be valid. */
int domain_schema_check(xmlNode *element, struct memtide_errtext *errtext);

/* Read what @domain, the root of a domain's XML, says of its memory. */
int domain_limits_from(const xmlNode *domain, struct memtide_domain_limits *ret_limits,
		       struct memtide_errtext *errtext);

#endif /* MEMTIDE_DOMAIN_XML_H */
