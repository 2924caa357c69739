// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A domain's XML edited for memtide: what is added, where, and that all of it and nothing else is taken back.  On
 * literals, and on domains/, which are as libvirt returns what virt-install and virt-manager make.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "domain-edit.h"
#include "domain.h"
#include "source-file.h"
#include "unit.h"

#define OURS	"/usr/libexec/memtide/qemu-system-x86_64"
#define STOCK	"/usr/bin/qemu-system-x86_64"
#define SOCKET	"/run/memtide/vmm.sock"

static struct memtide_errtext errtext, note;

static char *enabled(const char *xml, const char *emulator)
{
	char *after;

	if (domain_edit_enable(xml, emulator, SOCKET, &after, &errtext))
		fail_msg("%s: %s", errtext.text, xml);
	return after;
}

static char *disabled(const char *xml, bool keep)
{
	char *after;

	if (domain_edit_disable(xml, keep, &after, &note, &errtext))
		fail_msg("%s: %s", errtext.text, xml);
	return after;
}

static void assert_has(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("\"%s\" is not in: %s", words, text);
}

static char *replaced(const char *text, const char *old, const char *new)
{
	const char *at = strstr(text, old);
	size_t size = strlen(text) + strlen(new) + 1;
	char *after = malloc(size);

	assert_non_null(at);
	snprintf(after, size, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
	return after;
}

#define HEAD							\
	"<domain type='kvm'>\n"					\
	"  <name>web1</name>\n"
#define BODY							\
	"  <memory unit='GiB'>2</memory>\n"			\
	"  <os>\n"						\
	"    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>\n"	\
	"  </os>\n"						\
	"  <features>\n"					\
	"    <acpi/>\n"						\
	"  </features>\n"					\
	"  <devices>\n"						\
	"    <emulator>" STOCK "</emulator>\n"			\
	"  </devices>\n"
#define TAIL							\
	"</domain>\n"

/* All of it, to the letter. */
static void test_enable(void **state)
{
	char *after = enabled(HEAD BODY TAIL, OURS), *back;

	assert_string_equal(after,
		"<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' type='kvm'>\n"
		"  <name>web1</name>\n"
		"  <metadata>\n"
		"    <memtide:policy xmlns:memtide='urn:memtide:policy:1'>\n"
		"      <!-- as memtided's configuration says, but for what is taken out of these comments -->\n"
		"      <!-- <memtide:tenant>blue</memtide:tenant> -->\n"
		"      <!-- <memtide:floor>512MiB</memtide:floor> -->\n"
		"      <!-- <memtide:maximum>2GiB</memtide:maximum> -->\n"
		"      <!-- <memtide:shares>100</memtide:shares> -->\n"
		"      <!-- <memtide:ksm mode='off'/> -->\n"
		"      <!-- <memtide:thp mode='pressure'/> -->\n"
		"    </memtide:policy>\n"
		"    <memtide-enabled:enabled xmlns:memtide-enabled='urn:memtide:enabled:1' policy='template' "
		"emulator='" OURS "' emulator-before='" STOCK "' device='memtide' metadata='added'/>\n"
		"  </metadata>\n"
		"  <memory unit='GiB'>2</memory>\n"
		"  <os>\n"
		"    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>\n"
		"  </os>\n"
		"  <features>\n"
		"    <acpi/>\n"
		"  </features>\n"
		"  <devices>\n"
		"    <emulator>" OURS "</emulator>\n"
		"  </devices>\n"
		"  <qemu:commandline>\n"
		"    <qemu:arg value='-chardev'/>\n"
		"    <qemu:arg value='socket,id=memtide,path=/run/memtide/vmm.sock,reconnect-ms=1000'/>\n"
		"    <qemu:arg value='-device'/>\n"
		"    <qemu:arg value='virtio-tide-pci,id=memtide,chardev=memtide,bus=pcie.0,addr=0x1e'/>\n"
		"  </qemu:commandline>\n"
		"</domain>\n");
	back = disabled(after, false);
	assert_string_equal(back, HEAD BODY TAIL);
	assert_string_equal(note.text, "");
	free(back);
	free(after);
}

/* The emulator has the device already: it stays, and there is nothing of it to take back. */
static void test_emulator_stays(void **state)
{
	char *after = enabled(HEAD BODY TAIL, NULL), *back;

	assert_has(after, "<emulator>" STOCK "</emulator>");
	assert_null(strstr(after, "emulator-before"));
	back = disabled(after, false);
	assert_string_equal(back, HEAD BODY TAIL);
	free(back);
	free(after);
	after = enabled(HEAD BODY TAIL, STOCK);
	assert_null(strstr(after, "emulator-before"));
	free(after);
}

/* One that was there, and empty, is there again. */
static void test_empty_metadata(void **state)
{
	char *after = enabled(HEAD "  <metadata/>\n" BODY TAIL, OURS), *back = disabled(after, false);

	assert_string_equal(back, HEAD "  <metadata/>\n" BODY TAIL);
	free(back);
	free(after);
}

/* Of two emulators in a row the stock one comes back. */
static void test_emulator_twice(void **state)
{
	char *first = enabled(HEAD BODY TAIL, OURS), *second = enabled(first, "/opt/qemu"), *back;

	assert_has(second, "<emulator>/opt/qemu</emulator>");
	assert_has(second, "emulator='/opt/qemu' emulator-before='" STOCK "'");
	back = disabled(second, false);
	assert_string_equal(back, HEAD BODY TAIL);
	free(back);
	free(second);
	free(first);
}

/* What an administrator has changed since stays, and is named. */
static void test_changed_since(void **state)
{
	char *after = enabled(HEAD BODY TAIL, OURS), *changed, *back;

	changed = replaced(after, "<emulator>" OURS, "<emulator>/opt/mine");
	back = disabled(changed, false);
	assert_has(back, "<emulator>/opt/mine</emulator>");
	assert_string_equal(note.text, "the emulator has been changed since, and stays /opt/mine");
	free(back);
	free(changed);

	changed = replaced(after, "<!-- <memtide:floor>512MiB</memtide:floor> -->",
			   "<memtide:floor>1GiB</memtide:floor>");
	back = disabled(changed, false);
	assert_has(back, "<memtide:floor>1GiB</memtide:floor>");
	assert_has(note.text, "<policy> stays");
	assert_null(strstr(back, "memtide-enabled"));
	free(back);
	free(changed);

	changed = replaced(after, "addr=0x1e", "addr=0x9,report=off");
	back = disabled(changed, true);
	assert_null(strstr(back, "qemu:"));
	assert_has(back, "<memtide:policy");
	assert_string_equal(note.text, "");
	free(back);
	free(changed);

	changed = replaced(after, "virtio-tide-pci,id=memtide,chardev=memtide,", "edu,");
	back = disabled(changed, false);
	assert_has(back, "<qemu:arg value='edu,bus=pcie.0,addr=0x1e'/>");
	assert_string_equal(note.text, "there is no device any more of chardev memtide");
	free(back);
	free(changed);
	free(after);
}

static void test_refused(void **state)
{
	char *after;

	assert_int_equal(domain_edit_disable(HEAD BODY TAIL, false, &after, &note, &errtext), -ENOENT);
	assert_has(errtext.text, "there is nothing to take back");
	assert_int_equal(domain_edit_enable("<network/>", OURS, SOCKET, &after, &errtext), -EINVAL);
	assert_string_equal(errtext.text, "line 1, <network>: not <domain>, which is what belongs here");
	assert_int_equal(domain_edit_enable("<domain/>", OURS, SOCKET, &after, &errtext), -EINVAL);
	assert_has(errtext.text, "it has no <emulator>");
	assert_int_equal(domain_edit_enable("<domain>", OURS, SOCKET, &after, &errtext), -EINVAL);
	assert_has(errtext.text, "not well-formed XML");
}

/* Quotes and entities come out as libvirt writes them, and comments as they were. */
static void test_text(void **state)
{
	static const char text[] =
		"<domain type='kvm'>\n"
		"  <description>a &lt;b&gt; &amp; c's</description>\n"
		"  <!-- \"don't\" <a b=\"c\"> -->\n"
		"  <graphics passwd='it&apos;s &quot;&lt;&gt;&amp;'/>\n"
		"</domain>\n";
	char *after;

	assert_int_equal(domain_edit_nothing(text, &after, &errtext), 0);
	assert_string_equal(after, text);
	free(after);
}

static void test_offline(void **state)
{
	char *after;

	assert_int_equal(domain_edit_offline("<domain>\n  <devices>\n    <interface type='user'/>\n    <disk/>\n"
					     "    <interface type='bridge'><source bridge='br0'/></interface>\n"
					     "  </devices>\n</domain>\n", &after, &errtext), 0);
	assert_string_equal(after, "<domain>\n  <devices>\n    <disk/>\n  </devices>\n</domain>\n");
	free(after);
}

static void test_facts(void **state)
{
	struct domain_facts facts;

	assert_int_equal(domain_facts_read(HEAD BODY TAIL, &facts, &errtext), 0);
	assert_string_equal(facts.name, "web1");
	assert_string_equal(facts.type, "kvm");
	assert_string_equal(facts.arch, "x86_64");
	assert_string_equal(facts.machine, "pc-q35-7.2");
	assert_string_equal(facts.emulator, STOCK);
	assert_true(facts.acpi);
	assert_false(facts.device);
	assert_false(facts.enabled);
}

/*
 * Whole domains
 */

static char *read_domain(const char *name)
{
	return source_file("tests/unit/domains", name);
}

/* Where the device goes in each; NULL: there by hand. */
static const struct {
	const char *file;
	const char *place;
} places[] = {
	{ "arguments.xml", "bus=pcie.0,addr=0x19" },	/* 0x1e and 0x1c are its own */
	{ "by-hand.xml", NULL },
	{ "desktop-q35.xml", "bus=pcie.0,addr=0x1e" },
	{ "huge.xml", "bus=pcie.0,addr=0x1e" },
	{ "no-acpi.xml", "bus=pci.0,addr=0x1f" },
	{ "old-i440fx.xml", "bus=pci.0,addr=0x1f" },
	{ "passthrough.xml", "bus=pcie.0,addr=0x1e" },	/* the 0x1e in it is the host's */
	{ "server-q35.xml", "bus=pcie.0,addr=0x1e" },
	{ "windows.xml", "bus=pcie.0,addr=0x1e" },
};

static void check_domain(const char *file, const char *place)
{
	char *text = read_domain(file), *before, *after, *again, *back;
	struct memtide_domain domain;

	assert_int_equal(domain_edit_nothing(text, &before, &errtext), 0);
	after = enabled(text, OURS);
	assert_has(after, "<emulator>" OURS "</emulator>");
	if (place)
		assert_has(after, place);
	else
		assert_null(strstr(after, "memtide,chardev=memtide"));
	again = enabled(after, OURS);
	assert_string_equal(again, after);
	/* memtide's own reader takes it */
	if (memtide_domain_read(after, strlen(after), &domain, &errtext))
		fail_msg("%s: %s", file, errtext.text);
	assert_true(domain.has_policy);
	assert_true(domain.limits.tide_device);
	back = disabled(after, false);
	assert_string_equal(back, before);
	assert_string_equal(note.text, "");
	free(back);
	free(again);
	free(after);
	free(before);
	free(text);
}

static void test_domains(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		check_domain(places[i].file, places[i].place);
}

/* But for its namespaces, a document of libvirt's comes out as it went in. */
static void test_form(void **state)
{
	char *text = read_domain("old-i440fx.xml"), *after;

	assert_int_equal(domain_edit_nothing(text, &after, &errtext), 0);
	assert_string_equal(after, text);
	free(after);
	free(text);
}

static void test_no_place(void **state)
{
	char *text = read_domain("full-i440fx.xml"), *after;

	assert_int_equal(domain_edit_enable(text, OURS, SOCKET, &after, &errtext), -ENOSPC);
	assert_has(errtext.text, "all 29 slots of pci.0 are taken");
	free(text);
	text = read_domain("arm.xml");
	assert_int_equal(domain_edit_enable(text, OURS, SOCKET, &after, &errtext), -EINVAL);
	assert_string_equal(errtext.text, "machine \"virt-7.2\" of aarch64 has no place for a device: q35 and "
					  "i440fx (pc) have");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_enable),
		cmocka_unit_test(test_emulator_stays),
		cmocka_unit_test(test_empty_metadata),
		cmocka_unit_test(test_emulator_twice),
		cmocka_unit_test(test_changed_since),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_offline),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
