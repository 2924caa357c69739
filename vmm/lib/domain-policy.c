// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The policy element, read: a table of elements, each with the attributes that it takes and a function for its
 * value.
 *
 * How versions meet: an element of our namespace that is not in the table is an error, unless it says of itself
 * that it may be skipped; so a policy never holds by half without its author having said so.  What belongs to
 * other namespaces is ignored, as libvirt does.  Attributes have no such way out: what may be skipped comes as an
 * element.
 */
#include "domain-policy.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain-xml.h"
#include "ledger.h"
#include "size.h"

#define DIGITS		"0123456789"
#define LETTERS		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define UNSET		MEMTIDE_DOMAIN_UNSET
#define RATE_MAX	2147483647	/* knob rate_pages of ksm-tenant */
#define DIGITS_MAX	10		/* of a number, all of which have fewer */

enum policy_element {
	ELEMENT_TENANT,
	ELEMENT_FLOOR,
	ELEMENT_MAXIMUM,
	ELEMENT_SHARES,
	ELEMENT_BALANCE,
	ELEMENT_KSM,
	ELEMENT_THP,
	ELEMENT_HOST,
	NR_ELEMENTS,
};

struct policy_reader {
	struct memtide_domain_policy policy;
	unsigned int line[NR_ELEMENTS];		/* of the first of each, 0: none yet */
	struct memtide_errtext *errtext;
};

struct policy_kind {
	const char *name;
	const char *attributes[3];
	bool empty;		/* takes no text */
	int (*read)(struct policy_reader *reader, const xmlNode *node);
};

static const char *const donates[] = { "normal", "first", "last", NULL };
static const char *const ksms[] = { "", "off", "tenant", NULL };
static const char *const thps[] = { "", "never", "always", "pressure", NULL };

/*
 * Values.  Each is given as text, and @what is its name in errors: "" for an element's own, or "mode = " for an
 * attribute's.
 */

/* Letters, digits and a few signs, as a file, a cgroup or a person could be called. */
static bool is_name(const char *text)
{
	size_t length = strlen(text);

	return length && length < MEMTIDE_DOMAIN_NAME && isalnum((unsigned char)text[0]) &&
	       strspn(text, DIGITS LETTERS "._-") == length;
}

static bool is_knob_name(const char *text)
{
	size_t length = strlen(text);

	return length && length < MEMTIDE_DOMAIN_NAME && !isdigit((unsigned char)text[0]) &&
	       strspn(text, DIGITS LETTERS "_") == length;
}

/* In form; what a knob really takes is for its policy to say. */
static bool is_knob_value(const char *text)
{
	size_t length = strlen(text), sign = text[0] == '-';

	if (!strcmp(text, "true") || !strcmp(text, "false"))
		return true;
	return length > sign && length - sign <= 30 && isdigit((unsigned char)text[sign]) &&
	       strspn(text + sign, DIGITS LETTERS " ") == length - sign;
}

/* What libvirt and memtide would take for different sizes: "512MB". */
static bool is_decimal_unit(const char *text)
{
	const char *unit = text + strspn(text, DIGITS ". \t");

	return unit != text && *unit && strchr("KkMmGgTt", *unit) && (unit[1] == 'B' || unit[1] == 'b') &&
	       !unit[2];
}

static int read_size(struct policy_reader *reader, const xmlNode *node, const char *what, const char *text,
		     uint64_t *ret_bytes)
{
	char quoted[DOMAIN_QUOTE];
	uint64_t bytes = 0;
	int r = memtide_size_parse(text, &bytes);

	domain_xml_quote(text, quoted, sizeof(quoted));
	if (r == -ENODATA)
		return domain_xml_error(node, reader->errtext, "%s\"%s\": a size needs a unit, as in %sMiB", what,
					quoted, quoted);
	if (is_decimal_unit(text))
		return domain_xml_error(node, reader->errtext,
					"%s\"%s\": a power of 1000 in libvirt, and memtide counts in powers of "
					"1024: write KiB, MiB, GiB or TiB", what, quoted);
	if (r == -ERANGE || (!r && bytes > MEMTIDE_LEDGER_BYTES))
		return domain_xml_error(node, reader->errtext, "%s\"%s\": more than the limit of 256TiB", what,
					quoted);
	if (r)
		return domain_xml_error(node, reader->errtext,
					"%s\"%s\": not a size, write one as 384MiB or 1.5GiB", what, quoted);
	*ret_bytes = bytes;
	return 0;
}

static int read_number(struct policy_reader *reader, const xmlNode *node, const char *what, const char *text,
		       uint64_t most, uint64_t *ret_number)
{
	char quoted[DOMAIN_QUOTE];
	unsigned long long number;
	size_t digits = strspn(text, DIGITS);

	number = strtoull(text, NULL, 10);
	if (!digits || digits > DIGITS_MAX || text[digits] || !number || number > most)
		return domain_xml_error(node, reader->errtext, "%s\"%s\": not a whole number from 1 to %" PRIu64,
					what, domain_xml_quote(text, quoted, sizeof(quoted)), most);
	*ret_number = number;
	return 0;
}

/* One of @words, of which those that are "" are not for people; its index. */
static int read_word(struct policy_reader *reader, const xmlNode *node, const char *what, const char *text,
		     const char *const *words)
{
	char quoted[DOMAIN_QUOTE], list[80] = "";

	for (int i = 0; words[i]; i++) {
		size_t used = strlen(list);
		const char *comma = !used ? "" : words[i + 1] ? ", " : " or ";

		if (*words[i] && !strcmp(words[i], text))
			return i;
		if (*words[i])
			snprintf(list + used, sizeof(list) - used, "%s%s", comma, words[i]);
	}
	return domain_xml_error(node, reader->errtext, "%s\"%s\": write %s", what,
				domain_xml_quote(text, quoted, sizeof(quoted)), list);
}

/* An attribute that has to be there. */
static int need_attribute(struct policy_reader *reader, const xmlNode *node, const char *name,
			  char ret_text[static DOMAIN_TEXT])
{
	int r = domain_xml_attribute(node, name, ret_text, reader->errtext);

	if (!r)
		return domain_xml_error(node, reader->errtext, "has no %s, write %s='...'", name, name);
	return r < 0 ? r : 0;
}

/*
 * Elements
 */

static int read_tenant(struct policy_reader *reader, const xmlNode *node)
{
	char text[DOMAIN_TEXT], quoted[DOMAIN_QUOTE];
	int r = domain_xml_text(node, text, reader->errtext);

	if (r)
		return r;
	if (!is_name(text))
		return domain_xml_error(node, reader->errtext,
					"\"%s\": a tenant's name has 1 to %d letters, digits, dots, dashes and "
					"underscores, and begins with a letter or digit",
					domain_xml_quote(text, quoted, sizeof(quoted)), MEMTIDE_DOMAIN_NAME - 1);
	memcpy(reader->policy.tenant, text, strlen(text) + 1);
	reader->policy.tenant_line = domain_xml_line(node);
	return 0;
}

static int read_size_element(struct policy_reader *reader, const xmlNode *node,
			     struct memtide_domain_value *ret_value)
{
	char text[DOMAIN_TEXT];
	int r = domain_xml_text(node, text, reader->errtext);

	if (!r)
		r = read_size(reader, node, "", text, &ret_value->value);
	if (!r)
		ret_value->line = domain_xml_line(node);
	return r;
}

static int read_floor(struct policy_reader *reader, const xmlNode *node)
{
	return read_size_element(reader, node, &reader->policy.floor);
}

static int read_maximum(struct policy_reader *reader, const xmlNode *node)
{
	int r = read_size_element(reader, node, &reader->policy.maximum);

	if (!r && !reader->policy.maximum.value)
		return domain_xml_error(node, reader->errtext,
					"0: a VM needs some memory, write a size or leave it out");
	return r;
}

static int read_shares(struct policy_reader *reader, const xmlNode *node)
{
	char text[DOMAIN_TEXT];
	int r = domain_xml_text(node, text, reader->errtext);

	if (!r)
		r = read_number(reader, node, "", text, MEMTIDE_LEDGER_SHARES, &reader->policy.shares.value);
	if (!r)
		reader->policy.shares.line = domain_xml_line(node);
	return r;
}

static int read_balance(struct policy_reader *reader, const xmlNode *node)
{
	char text[DOMAIN_TEXT];
	int r;

	r = domain_xml_attribute(node, "donate", text, reader->errtext);
	if (r > 0) {
		r = read_word(reader, node, "donate = ", text, donates);
		if (r >= 0)
			reader->policy.donate = r;
	}
	if (r < 0)
		return r;
	r = domain_xml_attribute(node, "headroom", text, reader->errtext);
	if (r <= 0)
		return r;
	return read_size(reader, node, "headroom = ", text, &reader->policy.headroom);
}

static int read_ksm(struct policy_reader *reader, const xmlNode *node)
{
	char text[DOMAIN_TEXT];
	uint64_t rate = 0;
	int r;

	r = need_attribute(reader, node, "mode", text);
	if (!r)
		r = read_word(reader, node, "mode = ", text, ksms);
	if (r < 0)
		return r;
	reader->policy.ksm = r;
	reader->policy.ksm_line = domain_xml_line(node);
	r = domain_xml_attribute(node, "rate-pages", text, reader->errtext);
	if (r <= 0)
		return r;
	if (reader->policy.ksm != MEMTIDE_KSM_TENANT)
		return domain_xml_error(node, reader->errtext,
					"rate-pages is for mode='tenant', without it nothing is scanned: leave it "
					"out");
	r = read_number(reader, node, "rate-pages = ", text, RATE_MAX, &rate);
	reader->policy.ksm_rate_pages = rate;
	return r;
}

static int read_thp(struct policy_reader *reader, const xmlNode *node)
{
	char text[DOMAIN_TEXT];
	int r;

	r = need_attribute(reader, node, "mode", text);
	if (!r)
		r = read_word(reader, node, "mode = ", text, thps);
	if (r < 0)
		return r;
	reader->policy.thp = r;
	reader->policy.thp_line = domain_xml_line(node);
	return 0;
}

static int read_host(struct policy_reader *reader, const xmlNode *node);

static const struct policy_kind kinds[NR_ELEMENTS] = {
	[ELEMENT_TENANT] = { "tenant", { }, false, read_tenant },
	[ELEMENT_FLOOR] = { "floor", { }, false, read_floor },
	[ELEMENT_MAXIMUM] = { "maximum", { }, false, read_maximum },
	[ELEMENT_SHARES] = { "shares", { }, false, read_shares },
	[ELEMENT_BALANCE] = { "balance", { "donate", "headroom" }, true, read_balance },
	[ELEMENT_KSM] = { "ksm", { "mode", "rate-pages" }, true, read_ksm },
	[ELEMENT_THP] = { "thp", { "mode" }, true, read_thp },
	[ELEMENT_HOST] = { "host", { "policy" }, false, read_host },
};

#define KNOWN_ELEMENTS	"tenant, floor, maximum, shares, balance, ksm, thp and host"

/*
 * What all elements have in common
 */

static bool is_ours(const xmlNs *ns)
{
	return ns && !strcmp((const char *)ns->href, MEMTIDE_POLICY_NAMESPACE);
}

static bool has_space(const xmlNs *ns)
{
	return ns && ns->href && *ns->href;
}

/* Its attributes: "optional", those of @known, and whatever other programs put there. */
static int check_attributes(struct policy_reader *reader, const xmlNode *node, const char *const known[3],
			    bool *ret_optional)
{
	char text[DOMAIN_TEXT], quoted[DOMAIN_QUOTE];
	int r;

	for (const xmlAttr *attr = node->properties; attr; attr = attr->next) {
		const char *name = (const char *)attr->name;
		bool found = !strcmp(name, "optional");

		if (has_space(attr->ns) && !is_ours(attr->ns))
			continue;
		for (size_t i = 0; i < 3 && known[i]; i++)
			found |= !strcmp(name, known[i]);
		if (!found || attr->ns)
			return domain_xml_error(node, reader->errtext,
						"attribute \"%s\" is not known%s, leave it out",
						domain_xml_quote(name, quoted, sizeof(quoted)),
						found ? " with a prefix" : " to this version of memtide");
	}
	r = domain_xml_attribute(node, "optional", text, reader->errtext);
	*ret_optional = r > 0 && !strcmp(text, "yes");
	if (r > 0 && !*ret_optional && strcmp(text, "no"))
		return domain_xml_error(node, reader->errtext, "optional = \"%s\": write yes or no",
					domain_xml_quote(text, quoted, sizeof(quoted)));
	return r < 0 ? r : 0;
}

/* An element that is not known where it is. */
static int skip_or_refuse(struct policy_reader *reader, const xmlNode *node, const char *parent, const char *known)
{
	struct memtide_domain_policy *policy = &reader->policy;
	char text[DOMAIN_TEXT];
	int r = domain_xml_attribute(node, "optional", text, reader->errtext);

	if (r < 0)
		return r;
	if (!r || strcmp(text, "yes"))
		return domain_xml_error(node, reader->errtext,
					"not known in <%s> to this version of memtide, which has %s: correct it, "
					"or add optional='yes' if it may be skipped", parent, known);
	if (policy->nr_skipped < MEMTIDE_DOMAIN_SKIPPED) {
		struct memtide_domain_skipped *skipped = &policy->skipped[policy->nr_skipped];

		domain_xml_quote((const char *)node->name, skipped->element, sizeof(skipped->element));
		skipped->line = domain_xml_line(node);
	}
	policy->nr_skipped++;
	return 0;
}

/* 1 for an element that is to be read, 0 for what is of no interest, else an error. */
static int sort_out(struct policy_reader *reader, const xmlNode *node, const char *parent)
{
	char quoted[DOMAIN_QUOTE];
	const char *content = (const char *)node->content;

	switch (node->type) {
	case XML_ELEMENT_NODE:
		if (has_space(node->ns))
			return is_ours(node->ns);
		return domain_xml_error(node, reader->errtext,
					"is in no namespace: give it the prefix that its <%s> has", parent);
	case XML_TEXT_NODE:
	case XML_CDATA_SECTION_NODE:
		if (!content || !content[strspn(content, " \t\r\n")])
			return 0;
		return domain_xml_error(node->parent, reader->errtext, "\"%s\": text is of no use here",
					domain_xml_quote(content + strspn(content, " \t\r\n"), quoted,
							 sizeof(quoted)));
	default:
		return 0;
	}
}

/* An element that takes nothing but attributes. */
static int check_empty(struct policy_reader *reader, const xmlNode *node)
{
	char text[DOMAIN_TEXT], quoted[DOMAIN_QUOTE];
	int r = domain_xml_text(node, text, reader->errtext);

	if (!r && *text)
		return domain_xml_error(node, reader->errtext, "\"%s\": takes attributes and no text",
					domain_xml_quote(text, quoted, sizeof(quoted)));
	return r;
}

/*
 * Host policies
 */

static int read_knob(struct policy_reader *reader, const xmlNode *node, const struct memtide_domain_host *host)
{
	static const char *const attributes[3] = { "name", "value" };
	struct memtide_domain_policy *policy = &reader->policy;
	struct memtide_domain_knob *knob = &policy->knobs[policy->nr_knobs];
	char name[DOMAIN_TEXT], value[DOMAIN_TEXT], quoted[DOMAIN_QUOTE];
	bool optional;
	int r;

	r = check_attributes(reader, node, attributes, &optional);
	if (!r)
		r = check_empty(reader, node);
	if (!r)
		r = need_attribute(reader, node, "name", name);
	if (!r)
		r = need_attribute(reader, node, "value", value);
	if (r)
		return r;
	if (!is_knob_name(name))
		return domain_xml_error(node, reader->errtext,
					"name = \"%s\": a knob's name has 1 to %d letters, digits and "
					"underscores, and does not begin with a digit",
					domain_xml_quote(name, quoted, sizeof(quoted)), MEMTIDE_DOMAIN_NAME - 1);
	if (!is_knob_value(value))
		return domain_xml_error(node, reader->errtext,
					"value = \"%s\": write a whole number, one with a unit such as 64M, true "
					"or false", domain_xml_quote(value, quoted, sizeof(quoted)));
	for (size_t i = 0; i < policy->nr_knobs; i++)
		if (policy->knobs[i].host == policy->nr_hosts && !strcmp(policy->knobs[i].name, name))
			return domain_xml_error(node, reader->errtext,
						"%s is given twice for policy %s, first in line %u", name,
						host->policy, policy->knobs[i].line);
	if (policy->nr_knobs == MEMTIDE_DOMAIN_KNOBS)
		return domain_xml_error(node, reader->errtext, "more than %d knobs in one policy",
					MEMTIDE_DOMAIN_KNOBS);
	*knob = (struct memtide_domain_knob) { .host = policy->nr_hosts, .line = domain_xml_line(node) };
	memcpy(knob->name, name, strlen(name));
	memcpy(knob->value, value, strlen(value));
	policy->nr_knobs++;
	return 0;
}

static int read_knobs(struct policy_reader *reader, const xmlNode *node, const struct memtide_domain_host *host)
{
	int r = 0;

	for (const xmlNode *child = node->children; child && !r; child = child->next) {
		r = sort_out(reader, child, "host");
		if (r <= 0)
			continue;
		if (!strcmp((const char *)child->name, "knob"))
			r = read_knob(reader, child, host);
		else
			r = skip_or_refuse(reader, child, "host", "knob");
	}
	return r;
}

static int read_host(struct policy_reader *reader, const xmlNode *node)
{
	struct memtide_domain_policy *policy = &reader->policy;
	char text[DOMAIN_TEXT], quoted[DOMAIN_QUOTE];
	struct memtide_domain_host host = {};
	int r;

	r = need_attribute(reader, node, "policy", text);
	if (!r)
		r = check_attributes(reader, node, kinds[ELEMENT_HOST].attributes, &host.optional);
	if (r)
		return r;
	if (!is_name(text))
		return domain_xml_error(node, reader->errtext,
					"policy = \"%s\": a policy's name has 1 to %d letters, digits, dots, "
					"dashes and underscores; files are not taken, put it into the policy path",
					domain_xml_quote(text, quoted, sizeof(quoted)), MEMTIDE_DOMAIN_NAME - 1);
	for (size_t i = 0; i < policy->nr_hosts; i++)
		if (!strcmp(policy->hosts[i].policy, text))
			return domain_xml_error(node, reader->errtext,
						"policy %s is given twice, first in line %u", text,
						policy->hosts[i].line);
	if (policy->nr_hosts == MEMTIDE_DOMAIN_HOSTS)
		return domain_xml_error(node, reader->errtext, "more than %d host policies", MEMTIDE_DOMAIN_HOSTS);
	memcpy(host.policy, text, strlen(text));
	host.line = domain_xml_line(node);
	r = read_knobs(reader, node, &host);
	if (!r)
		policy->hosts[policy->nr_hosts++] = host;
	return r;
}

/*
 * The whole
 */

static int read_element(struct policy_reader *reader, const xmlNode *node)
{
	unsigned int line = domain_xml_line(node);
	bool optional;
	size_t i = 0;
	int r;

	while (i < NR_ELEMENTS && strcmp((const char *)node->name, kinds[i].name))
		i++;
	if (i == NR_ELEMENTS)
		return skip_or_refuse(reader, node, "policy", KNOWN_ELEMENTS);
	if (reader->line[i] && i != ELEMENT_HOST)
		return domain_xml_error(node, reader->errtext, "is given twice, first in line %u",
					reader->line[i]);
	reader->line[i] = line;
	r = check_attributes(reader, node, kinds[i].attributes, &optional);
	if (!r && kinds[i].empty)
		r = check_empty(reader, node);
	return r ? r : kinds[i].read(reader, node);
}

/* @short_form is there and stands for a host policy of the family that @prefix is for. */
static int check_family(struct policy_reader *reader, const char *short_form, unsigned int line,
			const char *prefix)
{
	const struct memtide_domain_policy *policy = &reader->policy;

	for (size_t i = 0; line && i < policy->nr_hosts; i++)
		if (!strncmp(policy->hosts[i].policy, prefix, strlen(prefix)))
			return memtide_errtext_set(reader->errtext, -EINVAL,
						   "line %u, <host>: policy %s and <%s> in line %u are of one "
						   "family, of which a VM has one policy: leave one out",
						   policy->hosts[i].line,
						   policy->hosts[i].policy, short_form, line);
	return 0;
}

/* Checks across elements. */
static int check_policy(struct policy_reader *reader)
{
	const struct memtide_domain_policy *policy = &reader->policy;
	char floor[MEMTIDE_SIZE_TEXT], maximum[MEMTIDE_SIZE_TEXT];
	int r;

	if (policy->floor.line && policy->maximum.line && policy->floor.value > policy->maximum.value)
		return memtide_errtext_set(reader->errtext, -EINVAL,
					   "line %u, <floor>: %s is above <maximum> = %s in line %u, lower it or "
					   "raise that", policy->floor.line,
					   memtide_size_format(policy->floor.value, floor),
					   memtide_size_format(policy->maximum.value, maximum),
					   policy->maximum.line);
	if (policy->ksm == MEMTIDE_KSM_TENANT && !*policy->tenant)
		return memtide_errtext_set(reader->errtext, -EINVAL,
					   "line %u, <ksm>: mode = \"tenant\" needs a <tenant>, whose VMs share "
					   "pages: add one, or write mode='off'", policy->ksm_line);
	r = check_family(reader, "ksm", policy->ksm_line, "ksm-");
	return r ? r : check_family(reader, "thp", policy->thp_line, "thp-");
}

int domain_policy_from(xmlNode *element, struct memtide_domain_policy *ret_policy, struct memtide_errtext *errtext)
{
	static const char *const attributes[3] = { };
	struct policy_reader reader = {
		.policy = {
			.line = domain_xml_line(element),
			.floor.value = UNSET,
			.maximum.value = UNSET,
			.shares.value = UNSET,
		},
		.errtext = errtext,
	};
	bool optional;
	int r;

	r = check_attributes(&reader, element, attributes, &optional);
	for (const xmlNode *child = element->children; child && !r; child = child->next) {
		r = sort_out(&reader, child, "policy");
		if (r > 0)
			r = read_element(&reader, child);
	}
	if (!r)
		r = check_policy(&reader);
	if (!r)
		r = domain_schema_check(element, errtext);
	if (!r)
		*ret_policy = reader.policy;
	return r;
}

/*
 * The element alone
 */

static xmlNode *next_node(xmlNode *node)
{
	if (node->children)
		return node->children;
	while (node && !node->next)
		node = node->parent;
	return node ? node->next : NULL;
}

/* What libvirt has taken away, or never had, for all elements of @root. */
static int give_namespace(xmlNode *root, struct memtide_errtext *errtext)
{
	const xmlChar *space = (const xmlChar *)MEMTIDE_POLICY_NAMESPACE;
	xmlNs *ns = xmlSearchNsByHref(root->doc, root, space);

	if (!ns)
		ns = xmlNewNs(root, space, (const xmlChar *)"memtide");
	if (!ns)
		return domain_xml_error(root, errtext, "prefix \"memtide\" is there for something else than "
					MEMTIDE_POLICY_NAMESPACE);
	for (xmlNode *node = root; node; node = next_node(node))
		if (node->type == XML_ELEMENT_NODE && !has_space(node->ns))
			xmlSetNs(node, ns);
	return 0;
}

int memtide_domain_policy_read(const char *text, size_t size, struct memtide_domain_policy *ret_policy,
			       struct memtide_errtext *errtext)
{
	xmlNode *root;
	xmlDoc *doc;
	int r;

	r = domain_xml_open(text, size, &doc, errtext);
	if (r)
		return r;
	root = xmlDocGetRootElement(doc);
	if (!domain_xml_is(root, NULL, "policy") && !domain_xml_is(root, MEMTIDE_POLICY_NAMESPACE, "policy"))
		r = domain_xml_error(root, errtext, "not <policy> of namespace " MEMTIDE_POLICY_NAMESPACE
				     ", which is what belongs here");
	if (!r)
		r = give_namespace(root, errtext);
	if (!r)
		r = domain_policy_from(root, ret_policy, errtext);
	xmlFreeDoc(doc);
	return r;
}

const char *memtide_domain_ksm_name(enum memtide_domain_ksm ksm)
{
	return ksms[ksm];
}

const char *memtide_domain_thp_name(enum memtide_domain_thp thp)
{
	return thps[thp];
}

const char *memtide_donate_name(enum memtide_donate donate)
{
	return donates[donate];
}
