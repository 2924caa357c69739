// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * XML from outside.  libxml2 would report to standard error and expand, load and guess a great deal; all of that
 * is switched off per parser, so that no setting of the process is touched.
 */
#include "domain-xml.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/xmlerror.h>

/*
 * Not XML_PARSE_NOENT, XML_PARSE_DTDLOAD, XML_PARSE_XINCLUDE or XML_PARSE_HUGE.  An encoding that the document
 * declares is ignored: it is UTF-8 or nothing, so iconv is not in the way of what comes from outside.
 */
#define OPTIONS	(XML_PARSE_NONET | XML_PARSE_NOCDATA | XML_PARSE_IGNORE_ENC | XML_PARSE_BIG_LINES)

#define MESSAGE	200	/* of libxml2's words, the first so many bytes */

#if LIBXML_VERSION >= 21200
typedef const xmlError *error_arg;
#else
typedef xmlErrorPtr error_arg;
#endif

/* What happens during a parse.  Only the first error is kept: the ones behind it may be its children. */
struct xml_parse {
	int error;
	struct memtide_errtext errtext;
};

static void on_error(void *data, error_arg error)
{
	xmlParserCtxt *context = data;
	struct xml_parse *parse = context->_private;
	char words[MESSAGE];

	/* Wrong namespaces are of no interest in what is not ours, and show in what is. */
	if (parse->error || error->level < XML_ERR_FATAL)
		return;
	domain_xml_quote(error->message ?: "", words, sizeof(words));
	if (error->code == XML_ERR_NO_MEMORY)
		parse->error = memtide_errtext_set(&parse->errtext, -ENOMEM, "no memory for the document");
	else
		parse->error = memtide_errtext_set(&parse->errtext, -EINVAL, "line %d: not well-formed XML: %s",
						   error->line, words);
	xmlStopParser(context);
}

/* Called at the beginning of a DOCTYPE, before anything that it declares is read. */
static void on_doctype(void *data, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
	xmlParserCtxt *context = data;
	struct xml_parse *parse = context->_private;

	if (!parse->error)
		parse->error = memtide_errtext_set(&parse->errtext, -EINVAL,
						   "line %d, <!DOCTYPE>: not taken, since it can declare "
						   "entities: leave it out, libvirt needs none",
						   context->input->line);
	xmlStopParser(context);
}

static int parse_with(xmlParserCtxt *context, const char *text, size_t size, xmlDoc **ret_doc,
		      struct memtide_errtext *errtext)
{
	struct xml_parse parse = {};
	xmlDoc *doc;

	context->_private = &parse;
	context->sax->serror = on_error;
	context->sax->internalSubset = on_doctype;
	doc = xmlCtxtReadMemory(context, text, size, NULL, NULL, OPTIONS);
	if (!parse.error && (!doc || !xmlDocGetRootElement(doc)))
		parse.error = memtide_errtext_set(&parse.errtext, -EINVAL, "line 1: there is no element");
	if (parse.error) {
		xmlFreeDoc(doc);
		return memtide_errtext_set(errtext, parse.error, "%s", parse.errtext.text);
	}
	*ret_doc = doc;
	return 0;
}

/* The library's own tables, once; they are never taken down, since others in the process may use them. */
static void initialize(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, xmlInitParser);
}

int domain_xml_open(const char *text, size_t size, xmlDoc **ret_doc, struct memtide_errtext *errtext)
{
	xmlParserCtxt *context;
	int r;

	initialize();
	r = domain_bytes_check(text, size, errtext);
	if (r)
		return r;
	context = xmlNewParserCtxt();
	if (!context)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory for the document");
	r = parse_with(context, text, size, ret_doc, errtext);
	xmlFreeParserCtxt(context);
	return r;
}

/*
 * Words
 */

unsigned int domain_xml_line(const xmlNode *node)
{
	long line = xmlGetLineNo((xmlNode *)node);

	return line < 0 || line > INT_MAX ? 0 : line;
}

int domain_xml_error(const xmlNode *node, struct memtide_errtext *errtext, const char *format, ...)
{
	char words[MEMTIDE_ERRTEXT_SIZE], name[DOMAIN_QUOTE];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	return memtide_errtext_set(errtext, -EINVAL, "line %u, <%s>: %s", domain_xml_line(node),
				   domain_xml_quote((const char *)node->name, name, sizeof(name)), words);
}

const char *domain_xml_quote(const char *text, char *ret_text, size_t size)
{
	const size_t most = size - sizeof("...");
	size_t used = 0, whole = strlen(text);

	/* libxml2 ends its messages with a newline */
	while (whole && text[whole - 1] == '\n')
		whole--;
	for (size_t i = 0; i < whole;) {
		int length = whole - i < 4 ? (int)(whole - i) : 4;
		int c = xmlGetUTF8Char((const unsigned char *)text + i, &length);

		if (c < 0)
			length = 1;
		if (used + length > most) {
			memcpy(ret_text + used, "...", 3);
			used += 3;
			break;
		}
		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			ret_text[used++] = c == '\n' || c == '\t' ? ' ' : '?';
		else
			memcpy(ret_text + used, text + i, length), used += length;
		i += length;
	}
	ret_text[used] = '\0';
	return ret_text;
}

/*
 * Nodes
 */

bool domain_xml_is(const xmlNode *node, const char *space, const char *name)
{
	const char *own = node->ns ? (const char *)node->ns->href : NULL;

	if (node->type != XML_ELEMENT_NODE || strcmp((const char *)node->name, name))
		return false;
	return space ? own && !strcmp(own, space) : !own || !*own;
}

xmlNode *domain_xml_child(const xmlNode *node, const char *space, const char *name)
{
	for (xmlNode *child = node->children; child; child = child->next)
		if (domain_xml_is(child, space, name))
			return child;
	return NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Gather text behind what there is in @text, without blanks at its beginning.  False if it does not fit. */
static bool gather(char text[static DOMAIN_TEXT], size_t *used, const char *more)
{
	if (!more)
		return true;
	for (; *more; more++) {
		if (!*used && is_blank(*more))
			continue;
		if (*used == DOMAIN_TEXT - 1)
			return false;
		text[(*used)++] = *more;
	}
	return true;
}

int domain_xml_text(const xmlNode *node, char ret_text[static DOMAIN_TEXT], struct memtide_errtext *errtext)
{
	char quoted[DOMAIN_QUOTE];
	size_t used = 0;

	for (const xmlNode *child = node->children; child; child = child->next) {
		if (child->type == XML_ELEMENT_NODE)
			return domain_xml_error(node, errtext, "takes a value, and no element <%s>",
						domain_xml_quote((const char *)child->name, quoted,
								 sizeof(quoted)));
		if (child->type == XML_TEXT_NODE &&
		    !gather(ret_text, &used, (const char *)child->content))
			return domain_xml_error(node, errtext, "its value has more than %d bytes",
						DOMAIN_TEXT - 1);
	}
	while (used && is_blank(ret_text[used - 1]))
		used--;
	ret_text[used] = '\0';
	return 0;
}

int domain_xml_attribute(const xmlNode *node, const char *name, char ret_text[static DOMAIN_TEXT],
			 struct memtide_errtext *errtext)
{
	xmlChar *value = xmlGetNoNsProp((xmlNode *)node, (const xmlChar *)name);
	size_t length = value ? strlen((const char *)value) : 0;
	int r = value != NULL;

	ret_text[0] = '\0';
	if (length >= DOMAIN_TEXT)
		r = domain_xml_error(node, errtext, "%s has more than %d bytes", name, DOMAIN_TEXT - 1);
	else if (value)
		memcpy(ret_text, value, length + 1);
	xmlFree(value);
	return r;
}

bool domain_xml_attribute_is(const xmlNode *node, const char *name, const char *value)
{
	char text[DOMAIN_TEXT];

	return domain_xml_attribute(node, name, text, NULL) > 0 && !strcmp(text, value);
}
