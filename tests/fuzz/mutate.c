// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See mutate.h.  Some mutations know XML just well enough to find a tag or an attribute, so that what comes out is
 * often still well-formed and gets further than to the parser.
 */
#include "mutate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain-policy.h"

#include "../unit/unit.h"

/*
 * Documents
 */

/* Take @old bytes at @at out and put @size bytes in their place. */
static void splice(struct document *document, size_t at, size_t old, const char *text, size_t size)
{
	size_t total = document->size - old + size;

	if (total > document->room) {
		document->room = total * 2;
		document->text = realloc(document->text, document->room);
		if (!document->text)
			abort();
	}
	memmove(document->text + at + size, document->text + at + old, document->size - at - old);
	memcpy(document->text + at, text, size);
	document->size = total;
}

static void insert(struct document *document, size_t at, const char *text)
{
	splice(document, at, 0, text, strlen(text));
}

void document_set(struct document *document, const char *text, size_t size)
{
	splice(document, 0, document->size, text, size);
}

void document_free(struct document *document)
{
	free(document->text);
	*document = (struct document) {};
}

/* A place in the document, its end included. */
static size_t any_place(const struct document *document, uint64_t *seed)
{
	return unit_below(seed, document->size + 1);
}

/* A place that has @c, or the end. */
static size_t find_any(const struct document *document, char c, uint64_t *seed)
{
	size_t at = any_place(document, seed);
	const char *found = memchr(document->text + at, c, document->size - at);

	if (!found)
		found = memchr(document->text, c, document->size);
	return found ? (size_t)(found - document->text) : document->size;
}

/* From @at on, how long it is up to and with @c; 0 without. */
static size_t up_to(const struct document *document, size_t at, char c)
{
	const char *found = at < document->size ? memchr(document->text + at, c, document->size - at) : NULL;

	return found ? found + 1 - (document->text + at) : 0;
}

#define ANY(list, seed)	((list)[unit_below(seed, ARRAY_SIZE(list))])

/*
 * Bytes
 */

static void flip_bits(struct document *document, const struct bait *bait, uint64_t *seed)
{
	for (uint64_t n = 1 + unit_below(seed, 8); n && document->size; n--)
		document->text[unit_below(seed, document->size)] ^= 1 << unit_below(seed, 8);
}

static void put_bytes(struct document *document, const struct bait *bait, uint64_t *seed)
{
	char bytes[16];
	size_t n = 1 + unit_below(seed, sizeof(bytes));

	for (size_t i = 0; i < n; i++)
		bytes[i] = unit_random(seed);
	splice(document, any_place(document, seed), 0, bytes, n);
}

static void put_markup(struct document *document, const struct bait *bait, uint64_t *seed)
{
	static const char *const pieces[] = {
		"<", ">", "/>", "</", "\"", "'", "&", ";", "=", "<!--", "-->", "--", "<![CDATA[", "]]>", "<?x ?>",
		"<?xml ?>", "<!", "&#0;", "&#x110000;", "&#xd800;", "&amp;", "&lt;", "&nothing;", "%p;", "\r",
		"\t", "\xc2\x85", "\xe2\x80\xa8", "\xef\xbf\xbe", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80",
		"\xef\xbb\xbf",
	};

	insert(document, any_place(document, seed), ANY(pieces, seed));
}

static void cut(struct document *document, const struct bait *bait, uint64_t *seed)
{
	document->size = any_place(document, seed);
}

static void drop_range(struct document *document, const struct bait *bait, uint64_t *seed)
{
	size_t at = any_place(document, seed), size = unit_below(seed, 200);

	if (size > document->size - at)
		size = document->size - at;
	splice(document, at, size, "", 0);
}

static void repeat_range(struct document *document, const struct bait *bait, uint64_t *seed)
{
	size_t from = any_place(document, seed), size = unit_below(seed, 400);
	char copy[400];

	if (size > document->size - from)
		size = document->size - from;
	memcpy(copy, document->text + from, size);
	splice(document, any_place(document, seed), 0, copy, size);
}

/*
 * Elements and attributes
 */

/* One tag of the document: at, and its length with the brackets; length 0 if there is none. */
static size_t any_tag(const struct document *document, uint64_t *seed, size_t *ret_at)
{
	*ret_at = find_any(document, '<', seed);
	return up_to(document, *ret_at, '>');
}

static void drop_tag(struct document *document, const struct bait *bait, uint64_t *seed)
{
	size_t at, size = any_tag(document, seed, &at);

	splice(document, at, size, "", 0);
}

/* A line is mostly one element. */
static size_t any_line(const struct document *document, uint64_t *seed, size_t *ret_at)
{
	size_t at = find_any(document, '\n', seed);

	*ret_at = at < document->size ? at + 1 : at;
	return up_to(document, *ret_at, '\n');
}

static void drop_line(struct document *document, const struct bait *bait, uint64_t *seed)
{
	size_t at, size = any_line(document, seed, &at);

	splice(document, at, size, "", 0);
}

static void repeat_line(struct document *document, const struct bait *bait, uint64_t *seed)
{
	size_t at, size = any_line(document, seed, &at), to;
	char *copy = malloc(size + 1);

	if (!copy)
		abort();
	memcpy(copy, document->text + at, size);
	for (uint64_t n = 1 + unit_below(seed, 20); n; n--) {
		to = find_any(document, '\n', seed);
		splice(document, to < document->size ? to + 1 : to, 0, copy, size);
	}
	free(copy);
}

static const char *const names[] = {
	"tenant", "floor", "maximum", "shares", "balance", "ksm", "thp", "host", "knob", "policy", "guest",
	"memory", "currentMemory", "memtune", "hard_limit", "soft_limit", "memoryBacking", "nosharepages",
	"hugepages", "locked", "source", "access", "hostdev", "memballoon", "launchSecurity", "metadata", "domain",
	"devices", "numa", "cpu", "memtide:policy", "memtide:floor", "memtide:guest", "memtide:host", "x:y",
	"xml:id", "", "1", "\xc3\xa4",
};

/* Both tags of an element, where its name stands twice in a line, else one. */
static void rename_element(struct document *document, const struct bait *bait, uint64_t *seed)
{
	size_t at = find_any(document, '<', seed) + 1, size;
	const char *name = ANY(names, seed);
	char old[64], *other;

	if (at < document->size && document->text[at] == '/')
		at++;
	for (size = 0; at + size < document->size && !strchr(" />\n=", document->text[at + size]); size++)
		;
	if (at >= document->size || !size || size >= sizeof(old))
		return;
	memcpy(old, document->text + at, size);
	splice(document, at, size, name, strlen(name));
	at += strlen(name);
	other = memmem(document->text + at, document->size - at, old, size);
	if (other)
		splice(document, other - document->text, size, name, strlen(name));
}

static const char *const values[] = {
	"", " ", "0", "1", "-1", "+1", "1GiB", "1.5G", "0.0", "512MB", "99999999999999999999999999",
	"18446744073709551615B", "18446744073709551616B", "256T", "257T", "1e9", "0x10", "1000000", "1000001",
	"2147483647", "2147483648", "off", "tenant", "never", "always", "pressure", "first", "last", "normal",
	"yes", "no", "maybe", "true", "false", "blue", "ksm-tenant", "ksm-off", "thp-never", "../../../etc/passwd",
	"/etc/passwd", "none", "virtio", "memfd", "shared", "hostdev", "pci", "KiB", "GB", "E",
	"urn:memtide:policy:1", "urn:memtide:policy:2", "%s%n%s", "\xf0\x9f\x8c\x8a",
	"00000000000000000000000000000000000100", "a\nb", "\x1b[31m", "1\t G", "9007199254740991", "&#49;GiB",
	"&#x1b;", "<![CDATA[1GiB]]>", "1<!-- -->GiB",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	"111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111"
	"111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111GiB",
};

static void set_attribute(struct document *document, const struct bait *bait, uint64_t *seed)
{
	size_t at = find_any(document, '\'', seed) + 1, size = up_to(document, at, '\'');
	const char *value = ANY(values, seed);

	if (size)
		splice(document, at, size - 1, value, strlen(value));
}

static void set_text(struct document *document, const struct bait *bait, uint64_t *seed)
{
	size_t at = find_any(document, '>', seed) + 1, size = up_to(document, at, '<');
	const char *value = ANY(values, seed);

	if (size)
		splice(document, at, size - 1, value, strlen(value));
}

static void add_attribute(struct document *document, const struct bait *bait, uint64_t *seed)
{
	static const char *const attributes[] = {
		" optional='yes'", " optional='no'", " optional=''", " mode='off'", " mode='tenant'",
		" rate-pages='7'",
		" donate='last'", " headroom='1M'", " policy='a'", " name='a'", " value='1'", " unit='GB'",
		" type='memfd'",
		" x='1'", " xmlns='urn:x'", " xmlns=''", " xmlns:memtide='urn:x'",
		" xmlns:x='urn:memtide:policy:1'",
		" memtide:mode='off'", " xml:lang='de'", " xml:base='file:///'", " xmlns:xml='urn:x'",
	};
	size_t at, size = any_tag(document, seed, &at);

	if (size < 3)
		return;
	size -= document->text[at + size - 2] == '/' ? 2 : 1;
	insert(document, at + size, ANY(attributes, seed));
}

static void drop_attribute(struct document *document, const struct bait *bait, uint64_t *seed)
{
	size_t equals = find_any(document, '=', seed), end, at = equals;

	while (at && document->text[at - 1] != ' ')
		at--;
	end = equals + 1 < document->size ? up_to(document, equals + 2, '\'') : 0;
	if (end && at)
		splice(document, at, equals + 2 + end - at, "", 0);
}

static void add_element(struct document *document, const struct bait *bait, uint64_t *seed)
{
	static const char *const elements[] = {
		"<memtide:guest optional='yes'><memtide:floor>x</memtide:floor></memtide:guest>",
		"<memtide:guest/>", "<x:y xmlns:x='urn:x'>text<z/></x:y>", "<floor>1M</floor>",
		"<memtide:floor>1GiB</memtide:floor>", "<memtide:maximum optional='yes'>2 GiB</memtide:maximum>",
		"<memtide:shares>7</memtide:shares>", "<memtide:tenant>red</memtide:tenant>",
		"<memtide:ksm mode='tenant'/>", "<memtide:thp mode='always'/>", "<memtide:balance/>",
		"<memtide:host policy='site'><memtide:knob name='a' value='1'/></memtide:host>",
		"<memtide:knob name='b' value='2' optional='yes'/>", "<memtide:host policy='ksm-off'/>",
		"<memtide:policy xmlns:memtide='urn:memtide:policy:1'/>",
		"<memoryBacking><nosharepages/></memoryBacking>", "<memtune><hard_limit>1</hard_limit></memtune>",
		"<launchSecurity/>", "<!-- comment -->", "<?pi?>",
		"<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='file:///etc/passwd' parse='text'/>",
	};
	size_t at = find_any(document, '>', seed);

	insert(document, at < document->size ? at + 1 : at, ANY(elements, seed));
}

/* Around what there is room for: host policies and their knobs, each with a name of its own. */
static void add_many(struct document *document, const struct bait *bait, uint64_t *seed)
{
	static const char *const prefixes[] = { "memtide:", "" };
	const char *prefix = ANY(prefixes, seed);
	unsigned int hosts = 1 + unit_below(seed, 20), knobs = unit_below(seed, 2) ? unit_below(seed, 80) : 0;
	const char *end = memmem(document->text, document->size, "policy>\n", 8);
	size_t at = end ? (size_t)(end - document->text) : document->size;
	char text[120];

	while (at && document->text[at - 1] != '\n')
		at--;
	for (unsigned int i = 0; i < hosts; i++) {
		snprintf(text, sizeof(text), "</%shost>\n", prefix);
		insert(document, at, text);
		for (unsigned int j = 0; j < knobs; j++) {
			snprintf(text, sizeof(text), "<%sknob name='k%u' value='%u'/>", prefix, j, i);
			insert(document, at, text);
		}
		snprintf(text, sizeof(text), "<%shost policy='p%u'>", prefix, i);
		insert(document, at, text);
	}
}

/* Attributes or namespaces, each with a name of its own: what libxml2 takes quadratic time for. */
static void add_attributes(struct document *document, const struct bait *bait, uint64_t *seed)
{
	static const unsigned int counts[] = { 10, 255, 256, 257, 100000 };
	const char *kind = unit_below(seed, 2) ? "" : "xmlns:";
	unsigned int nr = ANY(counts, seed);
	size_t at, size = any_tag(document, seed, &at), used = 0;
	char *text = malloc(nr * 20);

	if (!text)
		abort();
	for (unsigned int i = 0; i < nr; i++)
		used += sprintf(text + used, " %sa%u='x'", kind, i);
	if (size >= 3)
		splice(document, at + size - (document->text[at + size - 2] == '/' ? 2 : 1), 0, text, used);
	free(text);
}

/* A tag around what lies between two others, many times over. */
static void nest(struct document *document, const struct bait *bait, uint64_t *seed)
{
	static const char *const openings[] = {
		"<memtide:guest optional='yes'>", "<x>", "<memtide:floor>", "<domain>",
	};
	static const char *const endings[] = { "</memtide:guest>", "</x>", "</memtide:floor>", "</domain>" };
	static const unsigned int depths[] = { 1, 3, 100, 240, 250, 256, 257, 2000 };
	size_t at = find_any(document, '>', seed), which = unit_below(seed, ARRAY_SIZE(openings));
	unsigned int depth = ANY(depths, seed);

	at += at < document->size;
	for (unsigned int i = 0; i < depth; i++)
		insert(document, at, endings[which]);
	for (unsigned int i = 0; i < depth; i++)
		insert(document, at, openings[which]);
}

/*
 * Entities and whatever would have to be opened
 */

static void put_doctype(struct document *document, const struct bait *bait, uint64_t *seed)
{
	static const char laughs[] =
		"<!DOCTYPE domain [<!ENTITY a 'hahahahahahahahaha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
		"<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>"
		"<!ENTITY e '&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;'><!ENTITY f '&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;'>"
		"<!ENTITY g '&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;'><!ENTITY h '&g;&g;&g;&g;&g;&g;&g;&g;&g;&g;'>]>";
	char text[1024];
	size_t at;

	switch (unit_below(seed, 6)) {
	case 0:
		snprintf(text, sizeof(text), "%s", laughs);
		break;
	case 1:
		snprintf(text, sizeof(text), "<!DOCTYPE domain [<!ENTITY h SYSTEM 'file://%s'>]>", bait->file);
		break;
	case 2:
		snprintf(text, sizeof(text), "<!DOCTYPE domain SYSTEM '%s'>", bait->file);
		break;
	case 3:
		snprintf(text, sizeof(text), "<!DOCTYPE domain [<!ENTITY %% p SYSTEM 'file://%s'> %%p;]>",
			 bait->file);
		break;
	case 4:
		snprintf(text, sizeof(text), "<!DOCTYPE domain PUBLIC '-//x//y' '%s'>", bait->address);
		break;
	default:
		snprintf(text, sizeof(text),
			 "<!DOCTYPE domain [<!ENTITY h SYSTEM '%s'><!ATTLIST domain a CDATA '&h;'>]>",
			 bait->address);
		break;
	}
	insert(document, unit_below(seed, 8) ? 0 : any_place(document, seed), text);
	at = find_any(document, '>', seed);
	insert(document, at < document->size ? at + 1 : at, "&h;");
}

static void put_reference(struct document *document, const struct bait *bait, uint64_t *seed)
{
	char text[1024];

	switch (unit_below(seed, 4)) {
	case 0:
		snprintf(text, sizeof(text), "<?xml-stylesheet href='file://%s'?>", bait->file);
		break;
	case 1:
		snprintf(text, sizeof(text),
			 "<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='%s' parse='text'/>",
			 bait->file);
		break;
	case 2:
		snprintf(text, sizeof(text),
			 "<x:y xmlns:x='urn:x' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' "
			 "xsi:schemaLocation='urn:x %s'/>", bait->address);
		break;
	default:
		snprintf(text, sizeof(text), "<?oasis-xml-catalog catalog='%s'?>", bait->file);
		break;
	}
	insert(document, unit_below(seed, 2) ? 0 : find_any(document, '<', seed), text);
}

/*
 * Encodings
 */

static void declare_encoding(struct document *document, const struct bait *bait, uint64_t *seed)
{
	static const char *const encodings[] = {
		"UTF-8", "UTF-16", "UTF-16LE", "UTF-32", "ISO-8859-1", "ISO-2022-CN-EXT", "UTF-7", "EBCDIC-US",
		"IBM037", "SHIFT_JIS", "nothing", "", "HTML", "../../etc",
	};
	char text[80];

	snprintf(text, sizeof(text), "<?xml version='1.%d' encoding='%s'?>", (int)unit_below(seed, 3),
		 ANY(encodings, seed));
	insert(document, 0, text);
}

/* Into two or four bytes each, either end first, with or without a mark. */
static void widen(struct document *document, const struct bait *bait, uint64_t *seed)
{
	size_t width = unit_below(seed, 2) ? 2 : 4, at = unit_below(seed, 2) ? 0 : width - 1;
	size_t size = document->size, mark = unit_below(seed, 2);
	char *wide;

	if (size > 100000)
		return;
	wide = calloc(size + 1, width);
	if (!wide)
		abort();
	if (mark) {
		wide[at ? width - 2 : 0] = at ? 0xfe : 0xff;
		wide[at ? width - 1 : 1] = at ? 0xff : 0xfe;
	}
	for (size_t i = 0; i < size; i++)
		wide[(i + mark) * width + at] = document->text[i];
	document_set(document, wide, (size + mark) * width);
	free(wide);
}

/*
 * Size
 */

static void make_huge(struct document *document, const struct bait *bait, uint64_t *seed)
{
	static const char *const pieces[] = {
		" ", "\n", "x", "<a/>", "<x:y xmlns:x='urn:x'/>", "<memtide:guest optional='yes'/>", "<!-- -->",
		" a='1'", "&#65;", "<memtide:host policy='a'/>", "<![CDATA[x]]>", "<hostdev/>", "<a>",
		"<b c='&#65;'>x</b>", "<?p?>", "<floor>1GiB</floor>",
	};
	const char *piece = ANY(pieces, seed);
	size_t length = strlen(piece), nr, at = find_any(document, '>', seed);
	char *text;

	/* Around the limit in one of four, which takes most of the time. */
	nr = unit_below(seed, 4) ? 100000 : MEMTIDE_DOMAIN_BYTES_MAX - document->size + unit_below(seed, 3) - 1;
	nr /= length;
	text = malloc(nr * length);
	if (!text)
		abort();
	for (size_t i = 0; i < nr; i++)
		memcpy(text + i * length, piece, length);
	at += at < document->size && unit_below(seed, 4);
	splice(document, at, 0, text, nr * length);
	free(text);
}

static void (*const mutations[])(struct document *, const struct bait *, uint64_t *) = {
	flip_bits, put_bytes, put_markup, cut, drop_range, repeat_range,
	drop_tag, drop_line, repeat_line, rename_element, rename_element,
	set_attribute, set_attribute, set_attribute, set_text, set_text, set_text,
	add_attribute, add_attribute, drop_attribute, add_element, add_element, add_many, add_attributes, nest,
	put_doctype, put_reference, declare_encoding, widen,
};

void mutate(struct document *document, const struct bait *bait, uint64_t *seed)
{
	if (document->size < 1000000 && !unit_below(seed, 300))
		make_huge(document, bait, seed);
	else
		ANY(mutations, seed)(document, bait, seed);
}
