// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a document has to be before libxml2 sees it: not too long, UTF-8, and without the things for which libxml2
 * takes minutes where it should take milliseconds.
 */
#include "domain-xml.h"

#include <errno.h>
#include <string.h>

/*
 * libxml2 2.9 compares each attribute of an element with all others: 100,000 of them, not 1 MB, take it 15 s.  No
 * element of libvirt's has more than twenty.
 */
#define ATTRIBUTES_MAX	256
/* And it looks through all declared namespaces for each prefix.  A domain has one for each program. */
#define NAMESPACES_MAX	256

enum where {
	IN_TEXT,
	IN_TAG,
	IN_VALUE,
	IN_COMMENT,
	IN_CDATA,
	IN_INSTRUCTION,
};

struct scan {
	const char *text;
	size_t size;
	size_t at;
	unsigned int line;
	enum where where;
	char quote;
	unsigned int attributes;	/* of this tag */
	unsigned int namespaces;	/* of the whole document */
};

/* Go behind @word if it comes next. */
static bool skip_word(struct scan *scan, const char *word)
{
	size_t length = strlen(word);

	if (scan->size - scan->at < length || memcmp(scan->text + scan->at, word, length))
		return false;
	scan->at += length;
	return true;
}

static void enter(struct scan *scan)
{
	if (skip_word(scan, "<!--"))
		scan->where = IN_COMMENT;
	else if (skip_word(scan, "<![CDATA["))
		scan->where = IN_CDATA;
	else if (skip_word(scan, "<?"))
		scan->where = IN_INSTRUCTION;
	else if (skip_word(scan, "<"))
		scan->where = IN_TAG;
	else
		scan->at++;
	scan->attributes = 0;
}

static void leave(struct scan *scan, const char *end)
{
	if (skip_word(scan, end))
		scan->where = IN_TEXT;
	else
		scan->at++;
}

static void go_on_in_tag(struct scan *scan, char c)
{
	if (skip_word(scan, "xmlns")) {
		scan->namespaces++;
		return;
	}
	scan->at++;
	if (c == '>') {
		scan->where = IN_TEXT;
	} else if (c == '"' || c == '\'') {
		scan->where = IN_VALUE;
		scan->quote = c;
		scan->attributes++;
	}
}

/* The next character, as XML goes; what is not well-formed ends the parse in the same place. */
static void step(struct scan *scan)
{
	char c = scan->text[scan->at];

	scan->line += c == '\n';
	switch (scan->where) {
	case IN_TEXT:
		enter(scan);
		break;
	case IN_TAG:
		go_on_in_tag(scan, c);
		break;
	case IN_VALUE:
		scan->at++;
		if (c == scan->quote)
			scan->where = IN_TAG;
		break;
	case IN_COMMENT:
		leave(scan, "-->");
		break;
	case IN_CDATA:
		leave(scan, "]]>");
		break;
	case IN_INSTRUCTION:
		leave(scan, "?>");
		break;
	}
}

/* What libxml2 takes for UTF-16, EBCDIC and so on either has zero bytes or is no UTF-8. */
static int check_encoding(const char *text, size_t size, struct memtide_errtext *errtext)
{
	unsigned int line = 1;

	for (size_t i = 0; i < size;) {
		int length = size - i < 4 ? (int)(size - i) : 4;
		unsigned char byte = text[i];

		line += byte == '\n';
		if (byte && byte < 0x80)
			length = 1;
		else if (!byte || xmlGetUTF8Char((const unsigned char *)text + i, &length) < 0)
			return memtide_errtext_set(errtext, -EINVAL,
						   "line %u: the document is not in UTF-8 (byte 0x%02x at offset "
						   "%zu): convert it", line, byte, i);
		i += length;
	}
	return 0;
}

int domain_bytes_check(const char *text, size_t size, struct memtide_errtext *errtext)
{
	struct scan scan = { .text = text, .size = size, .line = 1 };
	int r;

	if (size > MEMTIDE_DOMAIN_BYTES_MAX)
		return memtide_errtext_set(errtext, -EFBIG, "the document has %zu bytes, the limit is %d", size,
					   MEMTIDE_DOMAIN_BYTES_MAX);
	r = check_encoding(text, size, errtext);
	if (r)
		return r;
	while (scan.at < size) {
		step(&scan);
		if (scan.attributes > ATTRIBUTES_MAX)
			return memtide_errtext_set(errtext, -EINVAL,
						   "line %u: an element has more than %d attributes", scan.line,
						   ATTRIBUTES_MAX);
		if (scan.namespaces > NAMESPACES_MAX)
			return memtide_errtext_set(errtext, -EINVAL,
						   "line %u: the document declares more than %d namespaces",
						   scan.line,
						   NAMESPACES_MAX);
	}
	return 0;
}
