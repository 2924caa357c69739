// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide domain, as a user calls it, against a real libvirtd with real domains: what is checked, refused by name,
 * changed and taken back, and that a changed domain starts with the device.
 */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "apart.h"
#include "command.h"
#include "session.h"

#define NAME	"web1"
#define FLOOR(size)	"<memtide:policy xmlns:memtide='urn:memtide:policy:1'><memtide:floor>" size "</memtide:floor>" \
			"</memtide:policy>"

static struct session *session;
static virConnectPtr connection;

static void say_nothing(void *data, virErrorPtr error)
{
}

static int start(void **state)
{
	session_start(&session);
	virSetErrorFunc(NULL, say_nothing);
	connection = virConnectOpen(session_uri(session));
	if (!connection)
		fail_msg("%s: %s", session_uri(session), virGetLastErrorMessage());
	return 0;
}

static int stop(void **state)
{
	if (connection)
		virConnectClose(connection);
	session_stop(session);
	return 0;
}

/*
 * Domains
 */

static virDomainPtr look_up(void)
{
	virDomainPtr domain = virDomainLookupByName(connection, NAME);

	assert_non_null(domain);
	return domain;
}

static char *domain_xml(void)
{
	virDomainPtr domain = look_up();
	char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);

	assert_non_null(xml);
	virDomainFree(domain);
	return xml;
}

/* Put @metadata and @arguments into a small domain of @machine with @emulator. */
static void define(const char *emulator, const char *machine, const char *features, const char *metadata,
		   const char *arguments)
{
	virDomainPtr domain;
	char xml[8192], *text;

	snprintf(xml, sizeof(xml),
		 "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
		 "<name>" NAME "</name><metadata>%s</metadata>"
		 "<memory unit='MiB'>64</memory>"
		 "<os><type arch='x86_64' machine='%s'>hvm</type></os>"
		 "<features>%s</features><devices><emulator>%s</emulator>"
		 "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
		 "<input type='tablet' bus='usb'/><memballoon model='none'/></devices>"
		 "<qemu:commandline>%s</qemu:commandline></domain>", metadata, machine, features, emulator, arguments);
	domain = virDomainDefineXML(connection, xml);
	if (!domain)
		fail_msg("%s", virGetLastErrorMessage());
	virDomainFree(domain);
	/* libvirt orders the controllers that it has added when it reads them again */
	text = domain_xml();
	domain = virDomainDefineXML(connection, text);
	assert_non_null(domain);
	virDomainFree(domain);
	free(text);
}

static void define_plain(const char *emulator)
{
	define(emulator, "q35", "<acpi/>", "", "");
}

/* Both as domain_xml() returns them; cmocka would cut what it shows. */
static void assert_same(const char *now, const char *before)
{
	size_t same = 0;

	while (now[same] && now[same] == before[same])
		same++;
	if (now[same] || before[same])
		fail_msg("differs from \"%.200s\": \"%.200s\"", before + same, now + same);
}

/* Whatever became of it. */
static int remove_domain(void **state)
{
	virDomainPtr domain = virDomainLookupByName(connection, NAME);

	if (!domain)
		return 0;
	if (virDomainIsActive(domain) == 1)
		virDomainDestroy(domain);
	virDomainUndefine(domain);
	virDomainFree(domain);
	return 0;
}

/* Fails the test if `memtide domain VERB NAME OPTIONS` does not end with @status. */
static void call(int status, const char *verb, const char *options)
{
	int r = memtide("domain %s " NAME " --connect '%s' %s", verb, session_uri(session), options);

	if (r != status)
		fail_msg("%s %s ended with %d, not %d: %s", verb, options, r, status, command_output);
}

static void call_with(int status, const char *verb, const char *emulator, const char *options)
{
	char words[256];

	snprintf(words, sizeof(words), "--emulator %s %s", emulator, options);
	call(status, verb, words);
}

/*
 * Tests
 */

static void test_enable(void **state)
{
	char *before, *after, *back;

	/* the domain's own emulator does not have the device, and ours is another one */
	define_plain(session_emulator_without(session));
	before = domain_xml();
	call_with(1, "diff", session_emulator(session), "");
	assert_says("--- " NAME "\n+++ " NAME ", changed\n");
	assert_says("+    <qemu:arg value='virtio-tide-pci,id=memtide,chardev=memtide,bus=pcie.0,addr=0x1e'/>");
	call_with(0, "enable", session_emulator(session), "--dry-run");
	assert_says("+    <memtide:policy");
	call_with(1, "enable", session_emulator(session), "</dev/null");
	assert_says("add --yes to change it, or --dry-run");
	after = domain_xml();
	assert_same(after, before);
	free(after);

	call_with(0, "enable", session_emulator(session), "--yes");
	assert_says("takes effect at its next start");
	call(0, "diff", "");
	assert_string_equal(command_output, "");
	call(0, "enable", "--yes");
	assert_says("nothing to change");
	call(0, "check", "");
	assert_says("has virtio-tide-pci");
	after = domain_xml();
	assert_non_null(strstr(after, session_emulator(session)));
	free(after);

	call(0, "disable", "--dry-run");
	call(0, "disable", "--yes");
	back = domain_xml();
	assert_same(back, before);
	call(1, "disable", "--yes");
	assert_says("there is nothing to take back");
	free(back);
	free(before);
}

/* An emulator that has the device stays; a policy that was filled in stays as well. */
static void test_own_emulator(void **state)
{
	char *before, *back;

	define(session_emulator(session), "pc", "<acpi/>",
	       FLOOR("32MiB"), "");
	before = domain_xml();
	call(0, "enable", "--yes");
	assert_says("bus=pci.0,addr=0x1f");
	assert_null(strstr(command_output, "<emulator>"));
	call(0, "check", "");
	assert_says("floor 32 MiB");
	call(0, "disable", "--yes");
	back = domain_xml();
	assert_same(back, before);
	free(back);
	free(before);
}

static void test_keep_policy(void **state)
{
	char *after;

	define_plain(session_emulator(session));
	call(0, "enable", "--yes");
	call(0, "disable", "--yes --keep-policy");
	after = domain_xml();
	assert_non_null(strstr(after, "urn:memtide:policy:1"));
	assert_null(strstr(after, "urn:memtide:enabled:1"));
	assert_null(strstr(after, "virtio-tide"));
	free(after);
}

static void test_refused_emulators(void **state)
{
	char *before, *after;

	define(session_emulator_without(session), "q35", "<acpi/>", "",
	       "<qemu:arg value='-device'/><qemu:arg value='qxl-vga'/>"
	       "<qemu:arg value='-chardev'/><qemu:arg value='spicevmc,id=x'/>");
	before = domain_xml();
	call_with(1, "enable", session_emulator(session), "--yes");
	assert_says("the domain uses qxl-vga, which ");
	assert_says("the domain uses spicevmc, which ");
	assert_says("docs/qemu-package.md");
	assert_says(NAME " is left as it is");
	after = domain_xml();
	assert_same(after, before);
	free(after);
	free(before);
	remove_domain(NULL);

	define_plain(session_emulator_without(session));
	call_with(1, "enable", session_emulator_without(session), "--yes");
	assert_says("has no virtio-tide-pci");
	call_with(1, "enable", "/nowhere/qemu", "--yes");
	assert_says("/nowhere/qemu: No such file or directory");
	call_with(1, "check", session_no_emulator(session), "");
	assert_says("/bin/true is no QEMU");
	call_with(2, "enable", "qemu", "--yes");
	assert_says("takes a whole path");
}

static void test_refused_domains(void **state)
{
	virDomainPtr domain;

	define(session_emulator(session), "q35", "<acpi/>",
	       FLOOR("1GiB"), "");
	call(1, "enable", "--yes");
	assert_says("<floor>: 1 GiB is above the domain's <memory> = 64 MiB");
	remove_domain(NULL);
	/* what libvirt makes of a domain without ACPI depends on its version */
	define(session_emulator(session), "q35", "", "", "");
	memtide("domain check " NAME " --connect '%s'", session_uri(session));
	assert_says("<features><acpi/></features> is missing");
	remove_domain(NULL);
	assert_int_equal(memtide("domain check nobody --connect '%s'", session_uri(session)), 1);
	assert_says("no domain nobody: see virsh list --all");
	assert_int_equal(memtide("domain check nobody --connect 'qemu+unix:///session?socket=/nowhere/sock'"), 1);
	assert_says("cannot connect to qemu+unix:///session?socket=/nowhere/sock");

	define_plain(session_emulator(session));
	domain = look_up();
	assert_int_equal(virDomainCreate(domain), 0);
	assert_int_equal(virDomainUndefine(domain), 0);
	call(1, "enable", "--yes");
	assert_says("it is transient");
	assert_int_equal(virDomainDestroy(domain), 0);
	virDomainFree(domain);
}

/* While it runs it is changed for the next start, and then it has the device. */
static void test_running(void **state)
{
	virDomainPtr domain;
	char *answer;

	define_plain(session_emulator(session));
	domain = look_up();
	assert_int_equal(virDomainCreate(domain), 0);
	call(0, "enable", "--yes");
	assert_says("when it has been shut down and is started again");
	assert_int_equal(virDomainDestroy(domain), 0);
	if (virDomainCreate(domain))
		fail_msg("%s", virGetLastErrorMessage());
	assert_int_equal(virDomainQemuMonitorCommand(domain, "{\"execute\": \"qom-get\", \"arguments\": "
						     "{\"path\": \"/machine/peripheral/memtide\", \"property\": "
						     "\"type\"}}",
						     &answer, 0), 0);
	assert_non_null(strstr(answer, "\"virtio-tide-pci\""));
	free(answer);
	virDomainFree(domain);
}

static void test_json(void **state)
{
	json_t *json;

	define_plain(session_emulator(session));
	json = memtide_json(0, "--json domain check " NAME " --connect '%s'", session_uri(session));
	assert_true(json_array_size(json_object_get(json, "findings")) >= 3);
	json_decref(json);
	json = memtide_json(1, "--json domain diff " NAME " --connect '%s'", session_uri(session));
	assert_true(json_is_true(json_object_get(json, "differs")));
	assert_non_null(strstr(json_string_value(json_object_get(json, "diff")), "virtio-tide-pci"));
	json_decref(json);
	json = memtide_json(1, "--json domain enable " NAME " --connect '%s'", session_uri(session));
	assert_non_null(json_object_get(json, "error"));
	json_decref(json);
	json = memtide_json(0, "--json domain enable " NAME " --connect '%s' --yes", session_uri(session));
	assert_true(json_is_true(json_object_get(json, "changed")));
	assert_true(json_is_false(json_object_get(json, "running")));
	json_decref(json);
	json = memtide_json(1, "--json domain enable " NAME " --connect '%s' --yes --emulator %s", session_uri(session),
			    session_emulator_without(session));
	assert_true(json_array_size(json_object_get(json_object_get(json_object_get(json, "error"), "data"),
						    "findings")));
	json_decref(json);
}

/* Files need no libvirt, but for what only libvirt can say. */
static void test_files(void **state)
{
	memtide("domain check " SOURCE_ROOT "/libvirt-hooks/examples/database.xml "
		"--connect 'qemu+unix:///session?socket=/nowhere/sock' --emulator /nowhere/qemu");
	assert_says("ok       policy");
	assert_says("unknown  libvirt      cannot connect");
	assert_says("wrong    emulator     /nowhere/qemu: No such file or directory");
	assert_int_equal(memtide("domain check /nowhere/x.xml --connect "
				 "'qemu+unix:///session?socket=/nowhere/sock'"), 1);
	assert_says("cannot read /nowhere/x.xml");
	assert_int_equal(memtide("domain enable"), 2);
	assert_int_equal(memtide("domain check x --yes"), 2);
	assert_says("does not take --yes and --dry-run");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_enable, remove_domain),
		cmocka_unit_test_teardown(test_own_emulator, remove_domain),
		cmocka_unit_test_teardown(test_keep_policy, remove_domain),
		cmocka_unit_test_teardown(test_refused_emulators, remove_domain),
		cmocka_unit_test_teardown(test_refused_domains, remove_domain),
		cmocka_unit_test_teardown(test_running, remove_domain),
		cmocka_unit_test_teardown(test_json, remove_domain),
		cmocka_unit_test_teardown(test_files, remove_domain),
	};

	int r = apart_use_other_version();

	if (r) {
		fprintf(stderr, "the libvirt that LAB_LIBVIRT names: %s\n", strerror(-r));
		return 1;
	}
	if (session_missing()) {
		printf("ok 1 - the command on domains # SKIP %s\n1..1\n", session_missing());
		return 0;
	}
	return cmocka_run_group_tests(tests, start, stop);
}
