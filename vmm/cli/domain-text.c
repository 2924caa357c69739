// SPDX-License-Identifier: GPL-2.0-or-later
/* See domain-text.h. */
#include "domain-text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <libxml/xmlsave.h>

#define INDENT	2	/* blanks a level, as libvirt writes it */

static int depth_of(const xmlNode *node)
{
	int depth = 0;

	for (node = node->parent; node && node->type == XML_ELEMENT_NODE; node = node->parent)
		depth++;
	return depth;
}

static xmlNode *line_break(int depth)
{
	char text[128];

	snprintf(text, sizeof(text), "\n%*s", depth * INDENT, "");
	return xmlNewText((const xmlChar *)text);
}

static bool is_blank(const xmlNode *node)
{
	return node && node->type == XML_TEXT_NODE && xmlIsBlankNode(node);
}

void domain_text_append(xmlNode *parent, xmlNode *node)
{
	int depth = depth_of(parent) + 1;

	/* what stands before the end tag of @parent is written anew: its own line is not as far in */
	if (is_blank(parent->last)) {
		xmlNode *last = parent->last;

		xmlUnlinkNode(last);
		xmlFreeNode(last);
	}
	xmlAddChild(parent, line_break(depth));
	xmlAddChild(parent, node);
	xmlAddChild(parent, line_break(depth - 1));
}

void domain_text_insert(xmlNode *next, xmlNode *node)
{
	int depth = depth_of(next);

	xmlAddPrevSibling(next, node);
	xmlAddPrevSibling(next, line_break(depth));
}

void domain_text_remove(xmlNode *node)
{
	xmlNode *before = node->prev;

	if (is_blank(before)) {
		xmlUnlinkNode(before);
		xmlFreeNode(before);
	}
	xmlUnlinkNode(node);
	xmlFreeNode(node);
}

int domain_text_is_empty(const xmlNode *node)
{
	for (const xmlNode *child = node->children; child; child = child->next)
		if (!is_blank(child))
			return 0;
	return 1;
}

/*
 * libxml2 writes attributes in "", libvirt in ''.  @text is what libxml2 has written, so that there is no other " in a
 * tag than around a value, and no > in one.
 */
static void write_quoted(const char *text, FILE *out)
{
	bool tag = false, value = false;

	while (*text) {
		const char *end = NULL;

		if (!tag && !strncmp(text, "<!--", 4))
			end = strstr(text, "-->");
		else if (!tag && !strncmp(text, "<?", 2))
			end = strstr(text, "?>");
		if (end) {
			fwrite(text, 1, end - text, out);
			text = end;
			continue;
		}
		if (!value && (*text == '<' || *text == '>'))
			tag = *text == '<';
		if (tag && *text == '"') {
			value = !value;
			fputc('\'', out);
		} else if (value && *text == '\'') {
			fputs("&apos;", out);
		} else {
			fputc(*text, out);
		}
		text++;
	}
}

char *domain_text_write(xmlDoc *doc)
{
	xmlBuffer *buffer = xmlBufferCreate();
	xmlSaveCtxt *save = buffer ? xmlSaveToBuffer(buffer, "UTF-8", XML_SAVE_NO_DECL) : NULL;
	char *text = NULL;
	size_t size;
	FILE *out;

	if (save) {
		xmlSaveTree(save, xmlDocGetRootElement(doc));
		xmlSaveClose(save);
		out = open_memstream(&text, &size);
		if (out) {
			write_quoted((const char *)xmlBufferContent(buffer), out);
			fputc('\n', out);
			fclose(out);
		}
	}
	xmlBufferFree(buffer);
	return text;
}
