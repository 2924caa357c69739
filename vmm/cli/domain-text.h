/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Elements put into a document, taken out of it, and the document written as text, all with the line breaks and
 * quotes that libvirt uses.
 */
#ifndef MEMTIDE_DOMAIN_TEXT_H
#define MEMTIDE_DOMAIN_TEXT_H

#include <libxml/tree.h>

/* Put @node, which is in no document, behind the last child of @parent, or before @next, on a line of its own. */
void domain_text_append(xmlNode *parent, xmlNode *node);
void domain_text_insert(xmlNode *next, xmlNode *node);

/* Take @node out, with its line, and free it. */
void domain_text_remove(xmlNode *node);

/* Whether there is nothing but blanks in @node. */
int domain_text_is_empty(const xmlNode *node);

/* The root of @doc, for free(); NULL without memory. */
char *domain_text_write(xmlDoc *doc);

#endif /* MEMTIDE_DOMAIN_TEXT_H */
