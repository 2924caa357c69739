// SPDX-License-Identifier: GPL-2.0-or-later
/* The policy element: each element, unit and default, and what is said where something is wrong. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "domain-policy.h"

#define POLICY(content)	\
	"<memtide:policy xmlns:memtide='urn:memtide:policy:1' xmlns:x='urn:x'>\n" content "\n</memtide:policy>"

static struct memtide_errtext errtext;

static int read_policy(const char *text, struct memtide_domain_policy *ret_policy)
{
	memset(ret_policy, 0x55, sizeof(*ret_policy));
	errtext.text[0] = '\0';
	return memtide_domain_policy_read(text, strlen(text), ret_policy, &errtext);
}

static void take(const char *text, struct memtide_domain_policy *ret_policy)
{
	if (read_policy(text, ret_policy))
		fail_msg("%s\nfor: %s", errtext.text, text);
}

static void assert_refused(const char *text, const char *words)
{
	static struct memtide_domain_policy policy, before;
	int r = read_policy(text, &policy);

	memset(&before, 0x55, sizeof(before));
	if (r != -EINVAL)
		fail_msg("%d instead of %d for: %s", r, -EINVAL, text);
	assert_string_equal(errtext.text, words);
	assert_memory_equal(&policy, &before, sizeof(policy));
	/* Words are not compulsory. */
	assert_int_equal(memtide_domain_policy_read(text, strlen(text), &policy, NULL), -EINVAL);
}

static void test_defaults(void **state)
{
	static const char *const empty[] = {
		POLICY(""), "<policy xmlns='urn:memtide:policy:1'/>", "<policy/>",
		"<?xml version='1.0' encoding='UTF-8'?>\n<!-- a comment -->\n<policy><!-- nothing --></policy>\n",
		"<policy optional='no'/>",
	};
	struct memtide_domain_policy policy;

	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		take(empty[i], &policy);
		assert_string_equal(policy.tenant, "");
		assert_int_equal(policy.floor.value, MEMTIDE_DOMAIN_UNSET);
		assert_int_equal(policy.floor.line, 0);
		assert_int_equal(policy.maximum.value, MEMTIDE_DOMAIN_UNSET);
		assert_int_equal(policy.shares.value, MEMTIDE_DOMAIN_UNSET);
		assert_int_equal(policy.donate, MEMTIDE_DONATE_NORMAL);
		assert_int_equal(policy.headroom, 0);
		assert_int_equal(policy.ksm, MEMTIDE_KSM_INHERITED);
		assert_int_equal(policy.ksm_rate_pages, 0);
		assert_int_equal(policy.thp, MEMTIDE_THP_INHERITED);
		assert_int_equal(policy.nr_hosts, 0);
		assert_int_equal(policy.nr_knobs, 0);
		assert_int_equal(policy.nr_skipped, 0);
	}
}

static void test_everything(void **state)
{
	struct memtide_domain_policy policy;

	take(POLICY("<memtide:host policy='site-a'>\n"
		    "  <memtide:knob name='slow_ms' value='-5'/>\n"
		    "  <memtide:knob name='on' value='true'/>\n"
		    "</memtide:host>\n"
		    "<memtide:thp mode='pressure'/>\n"
		    "<memtide:ksm mode='tenant' rate-pages='25600'/>\n"
		    "<memtide:balance donate='last' headroom='256MiB'/>\n"
		    "<memtide:shares>200</memtide:shares>\n"
		    "<memtide:maximum>3GiB</memtide:maximum>\n"
		    "<memtide:floor>1GiB</memtide:floor>\n"
		    "<memtide:tenant>blue</memtide:tenant>\n"
		    "<memtide:host policy='site-b' optional='yes'>\n"
		    "  <memtide:knob name='size' value='64 MiB'/>\n"
		    "</memtide:host>"), &policy);
	assert_int_equal(policy.line, 1);
	assert_string_equal(policy.tenant, "blue");
	assert_int_equal(policy.tenant_line, 12);
	assert_int_equal(policy.floor.value, GIB);
	assert_int_equal(policy.floor.line, 11);
	assert_int_equal(policy.maximum.value, 3 * GIB);
	assert_int_equal(policy.shares.value, 200);
	assert_int_equal(policy.donate, MEMTIDE_DONATE_LAST);
	assert_int_equal(policy.headroom, 256 * MIB);
	assert_int_equal(policy.ksm, MEMTIDE_KSM_TENANT);
	assert_int_equal(policy.ksm_rate_pages, 25600);
	assert_int_equal(policy.thp, MEMTIDE_THP_PRESSURE);
	assert_int_equal(policy.nr_hosts, 2);
	assert_string_equal(policy.hosts[0].policy, "site-a");
	assert_false(policy.hosts[0].optional);
	assert_int_equal(policy.hosts[0].line, 2);
	assert_string_equal(policy.hosts[1].policy, "site-b");
	assert_true(policy.hosts[1].optional);
	assert_int_equal(policy.nr_knobs, 3);
	assert_int_equal(policy.knobs[0].host, 0);
	assert_string_equal(policy.knobs[0].name, "slow_ms");
	assert_string_equal(policy.knobs[0].value, "-5");
	assert_string_equal(policy.knobs[1].value, "true");
	assert_int_equal(policy.knobs[2].host, 1);
	assert_string_equal(policy.knobs[2].value, "64 MiB");
	assert_int_equal(policy.knobs[2].line, 14);
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} sizes[] = {
		{ "0", 0 }, { "0.0", 0 }, { "4096B", 4096 }, { "64K", 64 * KIB }, { "64KiB", 64 * KIB },
		{ "384M", 384 * MIB }, { "384mib", 384 * MIB }, { "1.5GiB", 1536 * MIB }, { "1.5 G", 1536 * MIB },
		{ " \n 2T\t", 2048 * GIB }, { "256TiB", 1ULL << 48 }, { "1<!-- one -->GiB", GIB },
		{ "<![CDATA[1GiB]]>", GIB }, { "1&#71;", GIB },
	};
	struct memtide_domain_policy policy;
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(text, sizeof(text), POLICY("<memtide:floor>%s</memtide:floor>"), sizes[i].text);
		take(text, &policy);
		assert_int_equal(policy.floor.value, sizes[i].bytes);
	}
}

static void test_words(void **state)
{
	struct memtide_domain_policy policy;

	take(POLICY("<memtide:ksm mode='off'/><memtide:thp mode='never'/><memtide:balance donate='first'/>"),
	     &policy);
	assert_string_equal(memtide_domain_ksm_name(policy.ksm), "off");
	assert_string_equal(memtide_domain_thp_name(policy.thp), "never");
	assert_string_equal(memtide_donate_name(policy.donate), "first");
	take(POLICY("<memtide:thp mode='always'/><memtide:balance donate='normal'/>"), &policy);
	assert_string_equal(memtide_domain_ksm_name(policy.ksm), "");
	assert_string_equal(memtide_domain_thp_name(policy.thp), "always");
	assert_string_equal(memtide_donate_name(policy.donate), "normal");
}

static void test_wrong_sizes(void **state)
{
	assert_refused(POLICY("<memtide:floor>512</memtide:floor>"),
		       "line 2, <floor>: \"512\": a size needs a unit, as in 512MiB");
	assert_refused(POLICY("<memtide:floor>512MB</memtide:floor>"),
		       "line 2, <floor>: \"512MB\": a power of 1000 in libvirt, and memtide counts in powers of "
		       "1024: write KiB, MiB, GiB or TiB");
	assert_refused(POLICY("\n<memtide:maximum>lots</memtide:maximum>"),
		       "line 3, <maximum>: \"lots\": not a size, write one as 384MiB or 1.5GiB");
	assert_refused(POLICY("<memtide:floor/>"),
		       "line 2, <floor>: \"\": not a size, write one as 384MiB or 1.5GiB");
	assert_refused(POLICY("<memtide:floor>-1M</memtide:floor>"),
		       "line 2, <floor>: \"-1M\": not a size, write one as 384MiB or 1.5GiB");
	assert_refused(POLICY("<memtide:floor>257T</memtide:floor>"),
		       "line 2, <floor>: \"257T\": more than the limit of 256TiB");
	assert_refused(POLICY("<memtide:maximum>0</memtide:maximum>"),
		       "line 2, <maximum>: 0: a VM needs some memory, write a size or leave it out");
	assert_refused(POLICY("<memtide:balance\nheadroom='1'/>"),
		       "line 3, <balance>: headroom = \"1\": a size needs a unit, as in 1MiB");
	assert_refused(POLICY("<memtide:floor>1<x:y/>M</memtide:floor>"),
		       "line 2, <floor>: takes a value, and no element <y>");
	assert_refused(POLICY("<memtide:maximum>1GiB</memtide:maximum>\n<memtide:floor>1.5GiB</memtide:floor>"),
		       "line 3, <floor>: 1.5 GiB is above <maximum> = 1 GiB in line 2, lower it or raise that");
}

static void test_wrong_values(void **state)
{
	assert_refused(POLICY("<memtide:shares>0</memtide:shares>"),
		       "line 2, <shares>: \"0\": not a whole number from 1 to 1000000");
	assert_refused(POLICY("<memtide:shares>1000001</memtide:shares>"),
		       "line 2, <shares>: \"1000001\": not a whole number from 1 to 1000000");
	assert_refused(POLICY("<memtide:shares>1.5</memtide:shares>"),
		       "line 2, <shares>: \"1.5\": not a whole number from 1 to 1000000");
	assert_refused(POLICY("<memtide:tenant>-blue</memtide:tenant>"),
		       "line 2, <tenant>: \"-blue\": a tenant's name has 1 to 63 letters, digits, dots, dashes "
		       "and underscores, and begins with a letter or digit");
	assert_refused(POLICY("<memtide:tenant>../../x</memtide:tenant>"),
		       "line 2, <tenant>: \"../../x\": a tenant's name has 1 to 63 letters, digits, dots, dashes "
		       "and underscores, and begins with a letter or digit");
	assert_refused(POLICY("<memtide:balance donate='never'/>"),
		       "line 2, <balance>: donate = \"never\": write normal, first or last");
	assert_refused(POLICY("<memtide:ksm/>"), "line 2, <ksm>: has no mode, write mode='...'");
	assert_refused(POLICY("<memtide:ksm mode=''/>"), "line 2, <ksm>: mode = \"\": write off or tenant");
	assert_refused(POLICY("<memtide:ksm mode='all'/>"), "line 2, <ksm>: mode = \"all\": write off or tenant");
	assert_refused(POLICY("<memtide:ksm mode='off' rate-pages='1'/>"),
		       "line 2, <ksm>: rate-pages is for mode='tenant', without it nothing is scanned: leave it "
		       "out");
	assert_refused(POLICY("<memtide:ksm mode='tenant' rate-pages='2147483648'/>"),
		       "line 2, <ksm>: rate-pages = \"2147483648\": not a whole number from 1 to 2147483647");
	assert_refused(POLICY("<memtide:ksm mode='tenant'/>"),
		       "line 2, <ksm>: mode = \"tenant\" needs a <tenant>, whose VMs share pages: add one, or "
		       "write mode='off'");
	assert_refused(POLICY("<memtide:thp mode='madvise'/>"),
		       "line 2, <thp>: mode = \"madvise\": write never, always or pressure");
	assert_refused(POLICY("<memtide:thp mode='never'>now</memtide:thp>"),
		       "line 2, <thp>: \"now\": takes attributes and no text");
	assert_refused(POLICY("<memtide:thp mode='never' optional='maybe'/>"),
		       "line 2, <thp>: optional = \"maybe\": write yes or no");
	/* What a terminal or JSON would choke on does not get there. */
	assert_refused(POLICY("<memtide:tenant>a\tb&#x9b;1m\xf0\x9f\x8c\x8a</memtide:tenant>"),
		       "line 2, <tenant>: \"a b?1m\xf0\x9f\x8c\x8a\": a tenant's name has 1 to 63 letters, "
		       "digits, dots, dashes and underscores, and begins with a letter or digit");
}

static void test_hosts(void **state)
{
	assert_refused(POLICY("<memtide:host/>"), "line 2, <host>: has no policy, write policy='...'");
	assert_refused(POLICY("<memtide:host policy='/tmp/evil.bpf.o'/>"),
		       "line 2, <host>: policy = \"/tmp/evil.bpf.o\": a policy's name has 1 to 63 letters, "
		       "digits, dots, dashes and underscores; files are not taken, put it into the policy path");
	assert_refused(POLICY("<memtide:host policy='a'/>\n<memtide:host policy='a'/>"),
		       "line 3, <host>: policy a is given twice, first in line 2");
	assert_refused(POLICY("<memtide:host policy='a'>x</memtide:host>"),
		       "line 2, <host>: \"x\": text is of no use here");
	assert_refused(POLICY("<memtide:host policy='a'>\n<memtide:knob name='k' value='1'/>\n"
			      "<memtide:knob name='k' value='2'/></memtide:host>"),
		       "line 4, <knob>: k is given twice for policy a, first in line 3");
	assert_refused(POLICY("<memtide:host policy='a'><memtide:knob value='1'/></memtide:host>"),
		       "line 2, <knob>: has no name, write name='...'");
	assert_refused(POLICY("<memtide:host policy='a'><memtide:knob name='1k' value='1'/></memtide:host>"),
		       "line 2, <knob>: name = \"1k\": a knob's name has 1 to 63 letters, digits and underscores, "
		       "and does not begin with a digit");
	assert_refused(POLICY("<memtide:host policy='a'><memtide:knob name='k' value='fast'/></memtide:host>"),
		       "line 2, <knob>: value = \"fast\": write a whole number, one with a unit such as 64M, true "
		       "or false");
	assert_refused(POLICY("<memtide:ksm mode='off'/>\n<memtide:host policy='ksm-tenant'/>"),
		       "line 3, <host>: policy ksm-tenant and <ksm> in line 2 are of one family, of which a VM "
		       "has one policy: leave one out");
	assert_refused(POLICY("<memtide:host policy='thp-mine'/>\n<memtide:thp mode='never'/>"),
		       "line 2, <host>: policy thp-mine and <thp> in line 3 are of one family, of which a VM has "
		       "one policy: leave one out");
}

/* As many as there is room for are taken, one more is not. */
static void test_counts(void **state)
{
	struct memtide_domain_policy policy;
	char text[8192] = "<policy>", one[80];

	for (int i = 0; i < MEMTIDE_DOMAIN_HOSTS; i++) {
		snprintf(one, sizeof(one), "<host policy='p%d'>", i);
		strcat(text, one);
		for (int j = 0; j < MEMTIDE_DOMAIN_KNOBS / MEMTIDE_DOMAIN_HOSTS; j++) {
			snprintf(one, sizeof(one), "<knob name='k%d' value='%d'/>", j, i);
			strcat(text, one);
		}
		strcat(text, "</host>");
	}
	snprintf(one, sizeof(one), "%s", "</policy>");
	strcat(text, one);
	take(text, &policy);
	assert_int_equal(policy.nr_hosts, MEMTIDE_DOMAIN_HOSTS);
	assert_int_equal(policy.nr_knobs, MEMTIDE_DOMAIN_KNOBS);
	text[strlen(text) - strlen(one)] = '\0';
	strcat(text, "<host policy='more'/></policy>");
	assert_refused(text, "line 1, <host>: more than 16 host policies");
	strcpy(strstr(text, "</host>"), "<knob name='more' value='1'/></host></policy>");
	for (int i = 4; i < MEMTIDE_DOMAIN_KNOBS; i++) {
		text[strlen(text) - strlen("</host></policy>")] = '\0';
		snprintf(one, sizeof(one), "<knob name='m%d' value='1'/></host></policy>", i);
		strcat(text, one);
	}
	assert_refused(text, "line 1, <knob>: more than 64 knobs in one policy");
}

static void test_twice(void **state)
{
	static const char *const elements[] = {
		"<memtide:tenant>a</memtide:tenant>", "<memtide:floor>1M</memtide:floor>",
		"<memtide:maximum>1M</memtide:maximum>", "<memtide:shares>1</memtide:shares>",
		"<memtide:balance/>", "<memtide:ksm mode='off'/>", "<memtide:thp mode='never'/>",
	};
	static const char *const names[] = { "tenant", "floor", "maximum", "shares", "balance", "ksm", "thp" };
	char text[400], words[80];

	for (size_t i = 0; i < ARRAY_SIZE(elements); i++) {
		snprintf(text, sizeof(text), POLICY("%s\n%s"), elements[i], elements[i]);
		snprintf(words, sizeof(words), "line 3, <%s>: is given twice, first in line 2", names[i]);
		assert_refused(text, words);
	}
}

/* An older memtide and a newer document. */
static void test_unknown(void **state)
{
	struct memtide_domain_policy policy;

	assert_refused(POLICY("<memtide:guest/>"),
		       "line 2, <guest>: not known in <policy> to this version of memtide, which has tenant, "
		       "floor, maximum, shares, balance, ksm, thp and host: correct it, or add optional='yes' if "
		       "it may be skipped");
	assert_refused(POLICY("<memtide:guest optional='no'/>"),
		       "line 2, <guest>: not known in <policy> to this version of memtide, which has tenant, "
		       "floor, maximum, shares, balance, ksm, thp and host: correct it, or add optional='yes' if "
		       "it may be skipped");
	assert_refused(POLICY("<memtide:host policy='a'><memtide:when/></memtide:host>"),
		       "line 2, <when>: not known in <host> to this version of memtide, which has knob: correct "
		       "it, or add optional='yes' if it may be skipped");
	assert_refused(POLICY("<memtide:floor when='night'>1G</memtide:floor>"),
		       "line 2, <floor>: attribute \"when\" is not known to this version of memtide, leave it "
		       "out");
	assert_refused(POLICY("<memtide:thp memtide:mode='never'/>"),
		       "line 2, <thp>: attribute \"mode\" is not known with a prefix, leave it out");
	assert_refused("<policy x='1'/>",
		       "line 1, <policy>: attribute \"x\" is not known to this version of memtide, leave it out");

	take(POLICY("<memtide:guest optional='yes' policy='x'>text<memtide:floor>lots</memtide:floor>"
		    "</memtide:guest>\n"
		    "<memtide:floor optional='yes'>1GiB</memtide:floor>\n"
		    "<memtide:host policy='a'><memtide:when optional='yes'><y/></memtide:when></memtide:host>"),
	     &policy);
	assert_int_equal(policy.floor.value, GIB);
	assert_int_equal(policy.nr_skipped, 2);
	assert_string_equal(policy.skipped[0].element, "guest");
	assert_int_equal(policy.skipped[0].line, 2);
	assert_string_equal(policy.skipped[1].element, "when");
	assert_int_equal(policy.skipped[1].line, 4);

	take("<policy><a optional='yes'/><a optional='yes'/><a optional='yes'/><a optional='yes'/>"
	     "<a optional='yes'/><a optional='yes'/><a optional='yes'/><a optional='yes'/><last optional='yes'/>"
	     "</policy>", &policy);
	assert_int_equal(policy.nr_skipped, 9);
	assert_string_equal(policy.skipped[7].element, "a");
}

static void test_foreign(void **state)
{
	struct memtide_domain_policy policy;

	take(POLICY("<x:floor x:a='1' b='2'>lots<y/></x:floor>"
		    "<memtide:floor x:note='why'>1GiB</memtide:floor>"
		    "<memtide:host policy='a' xml:space='default'><x:knob/></memtide:host>"), &policy);
	assert_int_equal(policy.floor.value, GIB);
	assert_int_equal(policy.nr_hosts, 1);
	assert_int_equal(policy.nr_skipped, 0);
}

/* What virDomainGetMetadata() makes of it: elements lose their namespace, and its declaration may be left over. */
static void test_without_namespace(void **state)
{
	struct memtide_domain_policy policy;

	take("<policy><floor>1GiB</floor><host policy='a'><knob name='k' value='1'/></host></policy>", &policy);
	assert_int_equal(policy.floor.value, GIB);
	assert_int_equal(policy.nr_knobs, 1);
	take("<policy xmlns:memtide='urn:memtide:policy:1'>\n<floor>1GiB</floor>\n</policy>", &policy);
	assert_int_equal(policy.floor.value, GIB);
	take("<policy xmlns:x='urn:x'><floor x:a='1'>1GiB</floor><x:y/></policy>", &policy);
	assert_int_equal(policy.floor.value, GIB);
	assert_refused("<policy xmlns:memtide='urn:other'/>",
		       "line 1, <policy>: prefix \"memtide\" is there for something else than "
		       "urn:memtide:policy:1");
	assert_refused("<limits/>",
		       "line 1, <limits>: not <policy> of namespace urn:memtide:policy:1, which is what belongs "
		       "here");
	assert_refused("<policy xmlns='urn:memtide:policy:2'/>",
		       "line 1, <policy>: not <policy> of namespace urn:memtide:policy:1, which is what belongs "
		       "here");
}

/*
 * A document of the first version, never to be changed: what is valid stays valid and keeps its meaning.
 */
static const char version_0_1[] =
	"<memtide:policy xmlns:memtide='urn:memtide:policy:1'>\n"
	"  <memtide:tenant>blue</memtide:tenant>\n"
	"  <memtide:floor>512MiB</memtide:floor>\n"
	"  <memtide:maximum>2GiB</memtide:maximum>\n"
	"  <memtide:shares>50</memtide:shares>\n"
	"  <memtide:balance donate='first' headroom='64MiB'/>\n"
	"  <memtide:ksm mode='tenant' rate-pages='1000'/>\n"
	"  <memtide:thp mode='always'/>\n"
	"  <memtide:host policy='oom-mine' optional='yes'>\n"
	"    <memtide:knob name='age_ms' value='0x10'/>\n"
	"  </memtide:host>\n"
	"</memtide:policy>\n";

static void test_old_document(void **state)
{
	struct memtide_domain_policy policy;

	take(version_0_1, &policy);
	assert_string_equal(policy.tenant, "blue");
	assert_int_equal(policy.floor.value, 512 * MIB);
	assert_int_equal(policy.maximum.value, 2 * GIB);
	assert_int_equal(policy.shares.value, 50);
	assert_int_equal(policy.donate, MEMTIDE_DONATE_FIRST);
	assert_int_equal(policy.headroom, 64 * MIB);
	assert_int_equal(policy.ksm, MEMTIDE_KSM_TENANT);
	assert_int_equal(policy.ksm_rate_pages, 1000);
	assert_int_equal(policy.thp, MEMTIDE_THP_ALWAYS);
	assert_int_equal(policy.nr_hosts, 1);
	assert_string_equal(policy.hosts[0].policy, "oom-mine");
	assert_true(policy.hosts[0].optional);
	assert_int_equal(policy.nr_knobs, 1);
	assert_string_equal(policy.knobs[0].name, "age_ms");
	assert_string_equal(policy.knobs[0].value, "0x10");
	assert_int_equal(policy.nr_skipped, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_wrong_sizes),
		cmocka_unit_test(test_wrong_values),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_without_namespace),
		cmocka_unit_test(test_old_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
