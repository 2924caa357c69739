// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where in a domain there is room for one more device.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "domain-pci.h"
#include "domain-xml.h"
#include "unit.h"

static struct memtide_errtext errtext;

static int find(const char *machine, const char *devices, const char *arguments, struct domain_pci_place *place)
{
	static char text[16384];
	xmlDoc *doc;
	int r;

	snprintf(text, sizeof(text), "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
		 "<os><type arch='x86_64' machine='%s'>hvm</type></os><devices>%s</devices>"
		 "<qemu:commandline>%s</qemu:commandline></domain>", machine, devices, arguments);
	assert_int_equal(domain_xml_open(text, strlen(text), &doc, &errtext), 0);
	r = domain_pci_find(xmlDocGetRootElement(doc), place, &errtext);
	xmlFreeDoc(doc);
	return r;
}

static void assert_slot(const char *machine, const char *devices, const char *arguments, const char *bus,
			unsigned int slot)
{
	struct domain_pci_place place;

	assert_int_equal(find(machine, devices, arguments, &place), 0);
	assert_string_equal(place.bus, bus);
	assert_int_equal(place.slot, slot);
}

#define AT(bus, slot)	"<disk><address type='pci' domain='0x0000' bus='" bus "' slot='" slot "'/></disk>"
#define ARGUMENT(value)	"<qemu:arg value='-device'/><qemu:arg value='" value "'/>"

static void test_machines(void **state)
{
	assert_slot("pc-q35-7.2", "", "", "pcie.0", 30);
	assert_slot("q35", "", "", "pcie.0", 30);
	assert_slot("pc-i440fx-7.2", "", "", "pci.0", 31);
	assert_slot("pc", "", "", "pci.0", 31);
	assert_int_equal(find("microvm", "", "", NULL), -EINVAL);
	assert_string_equal(errtext.text,
			    "machine \"microvm\" of x86_64 has no place for a device: q35 and i440fx (pc) have");
	assert_int_equal(find("isapc", "", "", NULL), -EINVAL);
}

static void test_devices(void **state)
{
	assert_slot("q35", AT("0x00", "0x1e"), "", "pcie.0", 28);
	/* libvirt's own places for USB and sound of the chipset are not taken as long as there are others */
	assert_slot("q35", AT("0x00", "0x1e") AT("0x00", "0x1c"), "", "pcie.0", 25);
	assert_slot("q35", AT("0x01", "0x1e"), "", "pcie.0", 30);
	assert_slot("q35", "<hostdev><source><address type='pci' bus='0x00' slot='0x1e'/></source></hostdev>", "",
		    "pcie.0", 30);
	assert_slot("q35", "<disk><address type='drive' bus='0' slot='30'/></disk>", "", "pcie.0", 30);
	assert_slot("pc", AT("0x00", "31"), "", "pci.0", 30);
}

static void test_arguments(void **state)
{
	assert_slot("q35", "", ARGUMENT("edu,addr=0x1e"), "pcie.0", 28);
	assert_slot("q35", "", ARGUMENT("edu,bus=pcie.0,addr=1e.0"), "pcie.0", 28);
	assert_slot("q35", "", ARGUMENT("edu,bus=root1,addr=0x1e"), "pcie.0", 30);
	assert_slot("q35", "", ARGUMENT("{\"driver\":\"edu\",\"bus\":\"pcie.0\",\"addr\":\"0x1e\"}"), "pcie.0", 28);
	assert_slot("q35", "", ARGUMENT("{\"driver\":\"edu\",\"bus\":\"root1\",\"addr\":\"0x1e\"}"), "pcie.0", 30);
}

static void test_full(void **state)
{
	char devices[16384] = "";
	size_t used = 0;

	for (int slot = 3; slot < 32; slot++)
		used += sprintf(devices + used, "<disk><address type='pci' bus='0x00' slot='0x%02x'/></disk>", slot);
	assert_int_equal(find("pc", devices, "", NULL), -ENOSPC);
	assert_string_equal(errtext.text, "all 29 slots of pci.0 are taken: take a device out, or put one on "
					  "another bus (<controller type='pci'>)");
	/* the last one that q35 has is one of those for USB */
	used = 0;
	for (int slot = 1; slot < 32; slot++)
		if (slot != 29)
			used += sprintf(devices + used, "<disk><address type='pci' bus='0x00' slot='%d'/></disk>",
					slot);
	assert_slot("q35", devices, "", "pcie.0", 29);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machines),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
