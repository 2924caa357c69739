// SPDX-License-Identifier: GPL-2.0-or-later
/* Whole domains: where their policy is, what they say of their memory, and whether the two agree. */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "domain.h"
#include "source-file.h"

#define POLICY(content)	\
	"<metadata><memtide:policy xmlns:memtide='urn:memtide:policy:1'>" content "</memtide:policy></metadata>"
#define DOMAIN(content)	\
	"<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n" content "\n</domain>"

static struct memtide_errtext errtext;

static int read_domain(const char *text, struct memtide_domain *ret_domain)
{
	errtext.text[0] = '\0';
	return memtide_domain_read(text, strlen(text), ret_domain, &errtext);
}

static void take(const char *text, struct memtide_domain *ret_domain)
{
	if (read_domain(text, ret_domain))
		fail_msg("%s\nfor: %s", errtext.text, text);
}

static void assert_refused(const char *text, const char *words)
{
	static struct memtide_domain domain, before;

	memset(&domain, 0x55, sizeof(domain));
	before = domain;
	if (read_domain(text, &domain) != -EINVAL)
		fail_msg("not refused: %s", text);
	assert_string_equal(errtext.text, words);
	assert_memory_equal(&domain, &before, sizeof(domain));
}

/* The domain is read, and its policy does not fit it. */
static void assert_conflict(const char *text, const char *words)
{
	struct memtide_domain domain;

	take(text, &domain);
	assert_true(domain.has_policy);
	if (memtide_domain_check(&domain.policy, &domain.limits, &errtext) != -EINVAL)
		fail_msg("no conflict in: %s", text);
	assert_string_equal(errtext.text, words);
	assert_int_equal(memtide_domain_check(&domain.policy, &domain.limits, NULL), -EINVAL);
}

static void assert_agrees(const char *text)
{
	struct memtide_domain domain;

	take(text, &domain);
	assert_true(domain.has_policy);
	if (memtide_domain_check(&domain.policy, &domain.limits, &errtext))
		fail_msg("%s\nfor: %s", errtext.text, text);
}

static void test_names(void **state)
{
	struct memtide_domain domain;

	take(DOMAIN("<name>web1</name><uuid>4a2b6e1c-0000-4000-8000-0123456789ab</uuid>"), &domain);
	assert_string_equal(domain.name, "web1");
	assert_string_equal(domain.uuid, "4a2b6e1c-0000-4000-8000-0123456789ab");
	assert_false(domain.has_policy);
	take("<domain><uuid>4a2b6e1c</uuid></domain>", &domain);
	assert_string_equal(domain.name, "");
	assert_string_equal(domain.uuid, "");
	assert_refused("<network/>", "line 1, <network>: not <domain>, which is what belongs here");
}

static void test_where_the_policy_is(void **state)
{
	struct memtide_domain domain;

	take(DOMAIN("<metadata>\n<app:x xmlns:app='urn:app'><policy/></app:x>\n"
		    "<p:policy xmlns:p='urn:memtide:policy:1'><p:floor>1GiB</p:floor></p:policy></metadata>"),
	     &domain);
	assert_true(domain.has_policy);
	assert_int_equal(domain.policy.floor.value, GIB);
	assert_int_equal(domain.policy.line, 4);
	/* not in the metadata, not ours */
	take(DOMAIN("<policy xmlns='urn:memtide:policy:1'>x</policy><metadata><policy/></metadata>"), &domain);
	assert_false(domain.has_policy);
	take("<domain xmlns:m='urn:memtide:policy:1'><metadata><m:policy><m:shares>7</m:shares></m:policy>"
	     "</metadata></domain>", &domain);
	assert_int_equal(domain.policy.shares.value, 7);

	assert_refused(DOMAIN("<metadata>\n<policy xmlns='urn:memtide:policy:1'/>\n"
			      "<policy xmlns='urn:memtide:policy:1'/></metadata>"),
		       "line 4, <policy>: is given twice, first in line 3");
	/* memtide's own notes of what it has changed */
	take(DOMAIN("<metadata><e:enabled xmlns:e='urn:memtide:enabled:1' device='memtide'/></metadata>"), &domain);
	assert_false(domain.has_policy);
	assert_refused(DOMAIN("<metadata><e:disabled xmlns:e='urn:memtide:enabled:1'/></metadata>"),
		       "line 2, <disabled>: of namespace urn:memtide:enabled:1, of which this version of memtide "
		       "knows <policy> of urn:memtide:policy:1 only");
	assert_refused(DOMAIN("<metadata><policy xmlns='urn:memtide:policy:2'/></metadata>"),
		       "line 2, <policy>: of namespace urn:memtide:policy:2, of which this version of memtide "
		       "knows <policy> of urn:memtide:policy:1 only");
	assert_refused(DOMAIN("<metadata><memtide:policy/></metadata>"),
		       "line 2, <memtide:policy>: prefix memtide is not declared, add "
		       "xmlns:memtide='urn:memtide:policy:1'");
	assert_refused(DOMAIN(POLICY("\n<floor>1GiB</floor>")),
		       "line 3, <floor>: is in no namespace: give it the prefix that its <policy> has");
}

/* Whatever its policy says, or cannot say. */
static void test_limits_alone(void **state)
{
	static const char wrong[] = DOMAIN("<name>web1</name><memory unit='GiB'>4</memory>" POLICY("<memtide:flor/>"));
	static const char worse[] = DOMAIN("<memory unit='parsec'>4</memory>" POLICY("<memtide:flor/>"));
	struct memtide_domain domain;

	assert_int_equal(read_domain(wrong, &domain), -EINVAL);
	assert_int_equal(memtide_domain_read_limits(wrong, strlen(wrong), &domain, &errtext), 0);
	assert_string_equal(domain.name, "web1");
	assert_int_equal(domain.limits.memory.value, 4 * GIB);
	assert_false(domain.has_policy);
	assert_int_equal(memtide_domain_read_limits(worse, strlen(worse), &domain, &errtext), -EINVAL);
}

static void test_sizes(void **state)
{
	static const struct {
		const char *unit;
		uint64_t bytes;
	} units[] = {
		{ "", 3 * KIB }, { "unit='KiB'", 3 * KIB }, { "unit='k'", 3 * KIB }, { "unit='KB'", 3000 },
		{ "unit='b'", 3 }, { "unit='bytes'", 3 }, { "unit='MiB'", 3 * MIB }, { "unit='M'", 3 * MIB },
		{ "unit='mb'", 3000000 }, { "unit='GiB'", 3 * GIB }, { "unit='GB'", 3000000000 },
		{ "unit='T'", 3072 * GIB },
	};
	struct memtide_domain domain;
	char text[200];

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		snprintf(text, sizeof(text), "<domain><memory %s> 3 </memory></domain>", units[i].unit);
		take(text, &domain);
		assert_int_equal(domain.limits.memory.value, units[i].bytes);
	}
	take(DOMAIN("<memory unit='GiB'>4</memory>\n<currentMemory unit='GiB'>3</currentMemory>\n<memtune>\n"
		    "<hard_limit unit='GiB'>5</hard_limit><soft_limit unit='G'>2</soft_limit></memtune>"),
	     &domain);
	assert_int_equal(domain.limits.memory.value, 4 * GIB);
	assert_int_equal(domain.limits.memory.line, 2);
	assert_int_equal(domain.limits.current.value, 3 * GIB);
	assert_int_equal(domain.limits.current.line, 3);
	assert_int_equal(domain.limits.hard_limit.value, 5 * GIB);
	assert_int_equal(domain.limits.soft_limit.value, 2 * GIB);
	assert_int_equal(memtide_domain_most(&domain.limits), 2 * GIB);

	take(DOMAIN("<memtune><hard_limit unit='KiB'>9007199254740991</hard_limit></memtune>"), &domain);
	assert_int_equal(domain.limits.hard_limit.value, MEMTIDE_DOMAIN_UNSET);
	assert_int_equal(domain.limits.memory.value, MEMTIDE_DOMAIN_UNSET);
	assert_int_equal(memtide_domain_most(&domain.limits), MEMTIDE_DOMAIN_UNSET);

	assert_refused(DOMAIN("<memory>some</memory>"), "line 2, <memory>: \"some\": not a whole number");
	assert_refused(DOMAIN("<memory unit='pages'>1</memory>"),
		       "line 2, <memory>: unit = \"pages\": write KiB, MiB, GiB or TiB");
}

static void test_obstacles(void **state)
{
	static const struct {
		const char *text;
		enum memtide_obstacle obstacle;
		const char *name;
	} cases[] = {
		{ "<devices><hostdev mode='subsystem' type='pci'/></devices>", MEMTIDE_OBSTACLE_VFIO, "vfio" },
		{ "<devices><hostdev mode='subsystem' type='mdev' model='vfio-pci'/></devices>",
		  MEMTIDE_OBSTACLE_VFIO, "vfio" },
		{ "<devices><interface type='hostdev'/></devices>", MEMTIDE_OBSTACLE_VFIO, "vfio" },
		{ "<devices><interface type='vdpa'/></devices>", MEMTIDE_OBSTACLE_VFIO, "vfio" },
		{ "<devices><disk type='nvme'/></devices>", MEMTIDE_OBSTACLE_VFIO, "vfio" },
		{ "<devices><disk type='vhostvdpa'/></devices>", MEMTIDE_OBSTACLE_VFIO, "vfio" },
		{ "<memoryBacking><hugepages/></memoryBacking>", MEMTIDE_OBSTACLE_HUGETLB, "hugepages" },
		{ "<memoryBacking><locked/></memoryBacking>", MEMTIDE_OBSTACLE_LOCKED, "locked" },
		{ "<memoryBacking><access mode='shared'/></memoryBacking>", MEMTIDE_OBSTACLE_SHARED, "shared" },
		{ "<cpu><numa><cell id='0' memAccess='shared'/></numa></cpu>", MEMTIDE_OBSTACLE_SHARED, "shared" },
		{ "<memoryBacking><source type='memfd'/></memoryBacking>", MEMTIDE_OBSTACLE_FILE, "file" },
		{ "<memoryBacking><source type='file'/></memoryBacking>", MEMTIDE_OBSTACLE_FILE, "file" },
		{ "<launchSecurity type='sev'/>", MEMTIDE_OBSTACLE_ENCRYPTED, "encrypted" },
		{ "<launchSecurity type='tdx'/>", MEMTIDE_OBSTACLE_ENCRYPTED, "encrypted" },
	};
	struct memtide_domain domain;
	char text[400];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), DOMAIN("\n%s"), cases[i].text);
		take(text, &domain);
		assert_false(memtide_domain_reclaimable(&domain.limits));
		for (int j = 0; j < MEMTIDE_OBSTACLES; j++)
			assert_true(!domain.limits.obstacles[j].element == (j != (int)cases[i].obstacle));
		assert_int_equal(domain.limits.obstacles[cases[i].obstacle].line, 3);
		assert_string_equal(memtide_obstacle_name(cases[i].obstacle), cases[i].name);
		assert_true(strlen(memtide_obstacle_text(cases[i].obstacle)) > 10);
	}
}

static void test_no_obstacles(void **state)
{
	struct memtide_domain domain;

	take(DOMAIN("<devices><hostdev mode='subsystem' type='usb'/><hostdev type='scsi'/><disk type='file'/>"
		    "<interface type='network'/><memballoon model='virtio'/>"
		    "<hostdev mode='subsystem' type='mdev' model='vfio-ccw'/></devices>"
		    "<memoryBacking><source type='anonymous'/><access mode='private'/></memoryBacking>"), &domain);
	assert_true(memtide_domain_reclaimable(&domain.limits));
	assert_int_equal(domain.limits.no_balloon, 0);
	assert_int_equal(domain.limits.nosharepages, 0);
	assert_false(domain.limits.tide_device);

	take(DOMAIN("<memoryBacking>\n<nosharepages/></memoryBacking>\n"
		    "<devices><memballoon model='none'/></devices>"
		    "<qemu:commandline><qemu:arg value='-device'/><qemu:arg value='virtio-tide-pci,chardev=tide'/>"
		    "</qemu:commandline>"), &domain);
	assert_true(memtide_domain_reclaimable(&domain.limits));
	assert_int_equal(domain.limits.nosharepages, 3);
	assert_int_equal(domain.limits.no_balloon, 4);
	assert_true(domain.limits.tide_device);
}

#define FLOOR_2	POLICY("<memtide:floor>2GiB</memtide:floor>")
#define MAX_2	POLICY("<memtide:maximum>2GiB</memtide:maximum>")

static void test_size_conflicts(void **state)
{
	assert_conflict(DOMAIN(FLOOR_2 "\n<memory unit='GiB'>1</memory>"),
			"line 2, <floor>: 2 GiB is above the domain's <memory> = 1 GiB in line 3, lower it or "
			"raise that");
	assert_conflict(DOMAIN(MAX_2 "\n<memory unit='GiB'>1</memory>"),
			"line 2, <maximum>: 2 GiB is above the domain's <memory> = 1 GiB in line 3, lower it or "
			"raise that");
	assert_conflict(DOMAIN(MAX_2 "\n<memory unit='GiB'>4</memory>\n"
			       "<currentMemory unit='MiB'>1536</currentMemory>"),
			"line 2, <maximum>: 2 GiB is above the domain's <currentMemory> = 1.5 GiB in line 4, "
			"lower it or raise that");
	assert_conflict(DOMAIN(FLOOR_2 "\n<memtune>\n<hard_limit unit='GiB'>1</hard_limit></memtune>"),
			"line 2, <floor>: 2 GiB is above the domain's <hard_limit> = 1 GiB in line 4, lower it or "
			"raise that");
	assert_conflict(DOMAIN(FLOOR_2 "\n<memtune>\n<soft_limit unit='GiB'>1</soft_limit></memtune>"),
			"line 2, <floor>: 2 GiB is above the domain's <soft_limit> = 1 GiB in line 4, lower it or "
			"raise that");
	assert_agrees(DOMAIN(FLOOR_2 "<memory unit='GiB'>2</memory><memtune><hard_limit unit='GiB'>2</hard_limit>"
			     "</memtune>"));
	assert_agrees(DOMAIN(FLOOR_2));
	assert_agrees(DOMAIN(POLICY("") "<memory unit='MiB'>1</memory>"));
}

static void test_taking_conflicts(void **state)
{
	assert_conflict(DOMAIN(MAX_2 "\n<memory unit='GiB'>4</memory>\n<devices>\n"
			       "<hostdev type='pci'/></devices>"),
			"line 2, <maximum>: 2 GiB of the domain's 4 GiB cannot be had, since no memory can be "
			"taken from it: a device of the host has all its memory pinned (<hostdev type='pci'> in "
			"line 5); leave <maximum> out");
	assert_conflict(DOMAIN(MAX_2 "\n<memory unit='GiB'>4</memory>\n<devices>\n"
			       "<memballoon model='none'/></devices>"),
			"line 2, <maximum>: 2 GiB of the domain's 4 GiB cannot be had, since nothing can ask the "
			"guest for memory: <memballoon model='none'> in line 5 and no virtio-tide device; add one "
			"of them, or leave <maximum> out");
	/* A floor is kept by leaving the VM alone, and a maximum that takes nothing is fine. */
	assert_agrees(DOMAIN(FLOOR_2 "<memory unit='GiB'>4</memory><devices><hostdev type='pci'/></devices>"));
	assert_agrees(DOMAIN(MAX_2 "<memory unit='GiB'>2</memory><devices><hostdev type='pci'/></devices>"));
	assert_agrees(DOMAIN(MAX_2 "<memory unit='GiB'>4</memory>"
			     "<devices><memballoon model='virtio'/></devices>"));
	assert_agrees(DOMAIN(MAX_2 "<memory unit='GiB'>4</memory><devices><memballoon model='none'/></devices>"
			     "<qemu:commandline><qemu:arg value='virtio-tide-pci'/></qemu:commandline>"));
}

#define SHARES_PAGES	POLICY("<memtide:tenant>blue</memtide:tenant><memtide:ksm mode='tenant'/>")

static void test_merging_conflicts(void **state)
{
	assert_conflict(DOMAIN(SHARES_PAGES "\n<memoryBacking>\n<nosharepages/></memoryBacking>"),
			"line 2, <ksm>: mode = \"tenant\" would share pages, which the domain's <nosharepages> in "
			"line 4 forbids: leave one of the two out");
	assert_conflict(DOMAIN(POLICY("<memtide:host policy='ksm-tenant'/>")
			       "\n<memoryBacking>\n<nosharepages/></memoryBacking>"),
			"line 2, <host>: a ksm policy would share pages, which the domain's <nosharepages> in "
			"line 4 forbids: leave one of the two out");
	assert_conflict(DOMAIN(SHARES_PAGES "\n<memoryBacking>\n<hugepages/></memoryBacking>"),
			"line 2, <ksm>: mode = \"tenant\" cannot share pages: its memory is from the host's pool "
			"of huge pages (<hugepages> in line 4); write <ksm mode='off'> or leave it out");
	assert_conflict(DOMAIN(SHARES_PAGES "\n<launchSecurity type='sev'/>"),
			"line 2, <ksm>: mode = \"tenant\" cannot share pages: its memory is encrypted "
			"(<launchSecurity> in line 3); write <ksm mode='off'> or leave it out");
	assert_agrees(DOMAIN(POLICY("<memtide:ksm mode='off'/>")
			     "<memoryBacking><nosharepages/></memoryBacking>"));
	assert_agrees(DOMAIN(POLICY("<memtide:host policy='ksm-off'/>")
			     "<memoryBacking><nosharepages/></memoryBacking>"));
	assert_agrees(DOMAIN(SHARES_PAGES "<devices><hostdev type='pci'/></devices>"));
}

/* Documents that are wrong before anything in them is read. */
static void test_documents(void **state)
{
	static struct memtide_domain domain;
	char *text;

	assert_refused("", "line 1: not well-formed XML: Document is empty");
	assert_refused("<domain>\n<name>x</domain>",
		       "line 2: not well-formed XML: Opening and ending tag mismatch: name line 2 and domain");
	assert_refused("<domain>&amp;&e;</domain>", "line 1: not well-formed XML: Entity 'e' not defined");
	assert_refused("<?xml version='1.0'?>\n<!DOCTYPE domain [<!ENTITY a 'b'>]>\n<domain>&a;</domain>",
		       "line 2, <!DOCTYPE>: not taken, since it can declare entities: leave it out, libvirt needs "
		       "none");
	assert_refused("<!DOCTYPE domain SYSTEM 'file:///etc/passwd'>\n<domain/>",
		       "line 1, <!DOCTYPE>: not taken, since it can declare entities: leave it out, libvirt needs "
		       "none");
	assert_refused("<domain>\n\xff</domain>",
		       "line 2: the document is not in UTF-8 (byte 0xff at offset 9): convert it");
	assert_int_equal(memtide_domain_read("<domain>\0</domain>", 18, &domain, &errtext), -EINVAL);
	assert_string_equal(errtext.text,
			    "line 1: the document is not in UTF-8 (byte 0x00 at offset 8): convert it");
	/* What is declared is not what counts: the bytes are. */
	take("<?xml version='1.0' encoding='UTF-16'?><domain><name>\xc3\xa4</name></domain>", &domain);
	assert_string_equal(domain.name, "\xc3\xa4");
	/* Not terminated, and with nothing behind it. */
	assert_int_equal(memtide_domain_read("<domain/>garbage", 9, &domain, &errtext), 0);

	text = malloc(MEMTIDE_DOMAIN_BYTES_MAX + 1);
	assert_non_null(text);
	memset(text, ' ', MEMTIDE_DOMAIN_BYTES_MAX + 1);
	memcpy(text, "<domain/>", 9);
	assert_int_equal(memtide_domain_read(text, MEMTIDE_DOMAIN_BYTES_MAX, &domain, &errtext), 0);
	assert_int_equal(memtide_domain_read(text, MEMTIDE_DOMAIN_BYTES_MAX + 1, &domain, &errtext), -EFBIG);
	assert_string_equal(errtext.text, "the document has 4194305 bytes, the limit is 4194304");
	free(text);
}

static void test_bounds(void **state)
{
	char text[20000] = "";

	for (int i = 0; i < 300; i++)
		strcat(text, "<domain>");
	for (int i = 0; i < 300; i++)
		strcat(text, "</domain>");
	assert_int_equal(read_domain(text, &(struct memtide_domain) {}), -EINVAL);
	assert_non_null(strstr(errtext.text, "depth"));

	strcpy(text, "<domain");
	for (int i = 0; i < 257; i++)
		sprintf(text + strlen(text), " a%d=\">\"", i);
	strcat(text, "/>");
	assert_refused(text, "line 1: an element has more than 256 attributes");

	strcpy(text, "<domain>");
	for (int i = 0; i < 257; i++)
		strcat(text, "<a xmlns:b='c'/>");
	strcat(text, "</domain>");
	assert_refused(text, "line 1: the document declares more than 256 namespaces");

	/* What only looks like it. */
	strcpy(text, "<domain><!-- <a \"don't -->");
	for (int i = 0; i < 300; i++)
		strcat(text, "<![CDATA[<xmlns \"]]><?xmlns '?><!-- xmlns' -->xmlns\"\"");
	strcat(text, "</domain>");
	take(text, &(struct memtide_domain) {});
}

/*
 * Files
 */

static void test_examples(void **state)
{
	DIR *folder = opendir(SOURCE_ROOT "/libvirt-hooks/examples");
	struct dirent *entry;
	size_t nr = 0;
	char *text;

	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		if (!strstr(entry->d_name, ".xml"))
			continue;
		text = source_file("libvirt-hooks/examples", entry->d_name);
		assert_agrees(text);
		free(text);
		nr++;
	}
	closedir(folder);
	assert_true(nr >= 7);
}

/* What docs/domain-xml.md shows as XML. */
static void test_documentation(void **state)
{
	char *text = source_file("docs", "domain-xml.md"), *block = text, *end;
	size_t nr = 0;

	while ((block = strstr(block, "```xml\n"))) {
		block += 7;
		end = strstr(block, "```\n");
		assert_non_null(end);
		*end = '\0';
		assert_agrees(block);
		block = end + 1;
		nr++;
	}
	assert_int_equal(nr, 1);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_where_the_policy_is),
		cmocka_unit_test(test_limits_alone),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_obstacles),
		cmocka_unit_test(test_no_obstacles),
		cmocka_unit_test(test_size_conflicts),
		cmocka_unit_test(test_taking_conflicts),
		cmocka_unit_test(test_merging_conflicts),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_documentation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
