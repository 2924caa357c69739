// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a QEMU says that it has, what a domain needs of it by its command line, its network cards and libvirt's
 * capabilities, and what of that is not there.
 */
#include <errno.h>

#include "domain-argv.h"
#include "domain-caps.h"
#include "emulator.h"
#include "unit.h"

static struct memtide_errtext errtext;

/* Names that are in the order of @expected, as JSON. */
static void assert_json(json_t *value, const char *expected)
{
	json_t *other = json_loads(expected, 0, NULL);

	assert_non_null(other);
	if (!json_equal(value, other)) {
		char *text = json_dumps(value, JSON_COMPACT);

		fail_msg("%s is not %s", text, expected);
	}
	json_decref(other);
	json_decref(value);
}

/*
 * The emulator
 */

static void test_devices(void **state)
{
	json_t *has = json_object();

	emulator_read_devices("Storage devices:\n"
			      "name \"floppy\", bus floppy-bus, desc \"virtual floppy drive\"\n"
			      "name \"ich9-ahci\", bus PCI, alias \"ahci\"\n"
			      "\n"
			      "Misc devices:\n"
			      "name \"virtio-tide-pci\", bus PCI, alias \"virtio-tide\", desc \"x, alias \"", has);
	assert_json(has, "{\"device\": [\"floppy\", \"ich9-ahci\", \"ahci\", \"virtio-tide-pci\", \"virtio-tide\"]}");
}

static void test_netdevs(void **state)
{
	json_t *has = json_object();

	emulator_read_netdevs("Available netdev backend types:\nsocket\ntap\nuser\n", has);
	assert_json(has, "{\"netdev\": [\"socket\", \"tap\", \"user\"]}");
}

/* As QEMU 10 answers, cut to a few of each. */
static const char answers[] =
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 13, \"minor\": 0, \"major\": 10}}, \"capabilities\": "
	"[\"oob\"]}}\n"
	"{\"return\": {}, \"id\": 0}\n"
	"{\"return\": {\"qemu\": {\"micro\": 13, \"minor\": 0, \"major\": 10}, \"package\": \"\"}, \"id\": 1}\n"
	"{\"return\": [{\"name\": \"pc-q35-10.0\", \"alias\": \"q35\"}, {\"name\": \"none\"}], \"id\": 2}\n"
	"{\"return\": [{\"name\": \"max\"}, {\"name\": \"host\"}], \"id\": 3}\n"
	"{\"return\": [{\"name\": \"memory-backend-ram\", \"parent\": \"memory-backend\"}], \"id\": 4}\n"
	"{\"return\": [{\"name\": \"tcg-accel\", \"parent\": \"accel\"}, {\"name\": \"kvm-accel\", \"parent\": "
	"\"accel\"}], \"id\": 5}\n"
	"{\"return\": {\"enabled\": false, \"present\": true}, \"id\": 6}\n"
	"{\"id\": 7, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command query-tpm-types has not "
	"been found\"}}\n"
	"{\"return\": [{\"name\": \"blockdev-add\", \"ret-type\": \"0\", \"meta-type\": \"command\", "
	"\"arg-type\": \"1\"},{\"name\": \"1\", \"meta-type\": \"object\", \"tag\": \"driver\", \"members\": "
	"[{\"name\": \"driver\", \"type\": \"2\"}]},"
	"{\"name\": \"2\", \"meta-type\": \"enum\", \"members\": [{\"name\": \"qcow2\"}, {\"name\": \"file\"}], "
	"\"values\": [\"qcow2\", \"file\"]},"
	"{\"name\": \"chardev-add\", \"meta-type\": \"command\", \"arg-type\": \"3\"},"
	"{\"name\": \"3\", \"meta-type\": \"object\", \"members\": [{\"name\": \"id\", \"type\": \"str\"}, "
	"{\"name\": \"backend\", \"type\": \"4\"}]},"
	"{\"name\": \"4\", \"meta-type\": \"object\", \"tag\": \"type\", \"members\": [{\"name\": \"type\", "
	"\"type\": \"5\"}]},{\"name\": \"5\", \"meta-type\": \"enum\", \"values\": [\"socket\", \"pty\"]},"
	"{\"name\": \"query-audiodevs\", \"meta-type\": \"command\", \"ret-type\": \"[6]\"},"
	"{\"name\": \"[6]\", \"meta-type\": \"array\", \"element-type\": \"6\"},"
	"{\"name\": \"6\", \"meta-type\": \"object\", \"members\": [{\"name\": \"driver\", \"type\": \"7\"}]},"
	"{\"name\": \"7\", \"meta-type\": \"enum\", \"values\": [\"none\"]}"
	"], \"id\": 8}\n"
	"{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"SHUTDOWN\", \"data\": {\"guest\": "
	"false}}\n"
	"{\"return\": {}, \"id\": 9}\n";

static void test_answers(void **state)
{
	json_t *has = json_object();

	assert_int_equal(emulator_read_answers(answers, has), 0);
	assert_json(has, "{\"version\": \"10.0.13\", \"machine\": [\"pc-q35-10.0\", \"q35\", \"none\"], "
		    "\"cpu\": [\"max\", \"host\"], \"object\": [\"memory-backend-ram\"], \"accel\": [\"tcg\", "
		    "\"kvm\"], \"block\": [\"qcow2\", \"file\"], \"chardev\": [\"socket\", \"pty\"], \"audio\": "
		    "[\"none\"], \"tpm\": []}");
	has = json_object();
	assert_int_equal(emulator_read_answers("Hello\n{\"return\"", has), -EPROTO);
	json_decref(has);
}

static void test_lacks(void **state)
{
	json_t *has = json_loads("{\"version\": \"10.0.0\", \"device\": [\"a\", \"b\"], \"tpm\": []}", 0, NULL);
	json_t *uses = json_loads("{\"device\": [\"b\", \"c\", \"d\"], \"tpm\": [\"emulator\"], \"netdev\": "
				  "[\"tap\"]}", 0, NULL);

	assert_true(emulator_has(has, "device", "a"));
	assert_false(emulator_has(has, "device", "c"));
	assert_false(emulator_has(has, "nothing", "c"));
	/* of network back ends nothing is known */
	assert_json(emulator_lacks(uses, has), "{\"device\": [\"c\", \"d\"], \"tpm\": [\"emulator\"]}");
	assert_json(emulator_lacks(has, has), "{}");
	json_decref(uses);
	json_decref(has);
}

static void test_asking(void **state)
{
	json_t *has;

	assert_int_equal(emulator_ask("/nowhere/qemu", &has, &errtext), -ENOENT);
	assert_string_equal(errtext.text, "/nowhere/qemu: No such file or directory; docs/qemu-package.md says "
					  "how to build it, --emulator PATH where it is");
	assert_int_equal(emulator_ask("/bin/true", &has, &errtext), -EPROTO);
	assert_string_equal(errtext.text, "/bin/true is no QEMU: it does not say its version over QMP");
	assert_int_equal(emulator_ask("/bin/false", &has, &errtext), -EIO);
	assert_string_equal(errtext.text, "/bin/false ended with 1");
}

/*
 * The command line
 */

/* As libvirt 9 prints it. */
static const char command_line[] =
	"LC_ALL=C \\\n"
	"PATH=/usr/local/sbin:/usr/bin \\\n"
	"HOME=/var/lib/libvirt/qemu/domain--1-it \\\n"
	"/usr/bin/qemu-system-x86_64 \\\n"
	"-name 'guest=it'\\''s,debug-threads=on' \\\n"
	"-S \\\n"
	"-object '{\"qom-type\":\"secret\",\"id\":\"masterKey0\",\"format\":\"raw\"}' \\\n"
	"-machine pc-q35-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram \\\n"
	"-accel kvm \\\n"
	"-cpu Skylake-Client-IBRS,ss=on,vmx=on \\\n"
	"-m 2048 \\\n"
	"-object '{\"qom-type\":\"memory-backend-ram\",\"id\":\"pc.ram\",\"size\":2147483648}' \\\n"
	"-no-acpi \\\n"
	"-chardev socket,id=charmonitor,fd=21,server=on,wait=off \\\n"
	"-mon chardev=charmonitor,id=monitor,mode=control \\\n"
	"-device '{\"driver\":\"pcie-root-port\",\"id\":\"pci.1\",\"bus\":\"pcie.0\",\"addr\":\"0x2\"}' \\\n"
	"-blockdev '{\"node-name\":\"a\",\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"b\"}}' \\\n"
	"-device virtio-blk-pci,bus=pci.1,drive=a \\\n"
	"-device virtio-blk-pci,bus=pci.2,drive=b \\\n"
	"-audiodev '{\"id\":\"audio1\",\"driver\":\"spice\"}' \\\n"
	"-audiodev id=audio2,driver=none \\\n"
	"-netdev tap,fd=3,id=hostnet0,vhost=on \\\n"
	"-chardev pty,id=charserial0 \\\n"
	"-tpmdev emulator,id=tpm-tpm0,chardev=chrtpm \\\n"
	"-msg timestamp=on\n";

static void test_split(void **state)
{
	char **argv;

	assert_int_equal(domain_argv_split(command_line, &argv), 0);
	assert_string_equal(argv[0], "/usr/bin/qemu-system-x86_64");
	assert_string_equal(argv[2], "guest=it's,debug-threads=on");
	assert_string_equal(argv[3], "-S");
	assert_true(domain_argv_has(argv, "-no-acpi"));
	assert_false(domain_argv_has(argv, "-acpi"));
	domain_argv_free(argv);
	assert_int_equal(domain_argv_split("A=b qemu \"a \\\" b\" c\\ d", &argv), 0);
	assert_string_equal(argv[0], "qemu");
	assert_string_equal(argv[1], "a \" b");
	assert_string_equal(argv[2], "c d");
	assert_null(argv[3]);
	domain_argv_free(argv);
	assert_int_equal(domain_argv_split("qemu 'a", &argv), -EINVAL);
	assert_int_equal(domain_argv_split("", &argv), -EINVAL);
	assert_int_equal(domain_argv_split("A=b", &argv), -EINVAL);
}

static void test_uses(void **state)
{
	char **argv;

	assert_int_equal(domain_argv_split(command_line, &argv), 0);
	assert_json(domain_argv_uses(argv),
		    "{\"object\": [\"secret\", \"memory-backend-ram\"], \"machine\": [\"pc-q35-7.2\"], \"accel\": "
		    "[\"kvm\"], \"cpu\": [\"Skylake-Client-IBRS\"], \"chardev\": [\"socket\", \"pty\"], "
		    "\"device\": [\"pcie-root-port\", \"virtio-blk-pci\"], \"block\": [\"qcow2\", \"file\"], "
		    "\"audio\": [\"spice\", \"none\"], \"netdev\": [\"tap\"], \"tpm\": [\"emulator\"]}");
	domain_argv_free(argv);
}

static void assert_interfaces(const char *type, const char *interfaces, const char *expected)
{
	json_t *uses = json_object();
	char xml[4096];

	snprintf(xml, sizeof(xml), "<domain type='%s'><devices>%s</devices></domain>", type, interfaces);
	assert_int_equal(domain_xml_uses(xml, uses, &errtext), 0);
	assert_json(uses, expected);
}

static void test_interfaces(void **state)
{
	assert_interfaces("kvm", "", "{}");
	assert_interfaces("kvm", "<interface type='network'><model type='virtio'/></interface>",
			  "{\"netdev\": [\"tap\"], \"vhost\": [\"vhost-net\"], \"device\": [\"virtio-net-pci\"]}");
	assert_interfaces("qemu", "<interface type='bridge'><model type='virtio'/></interface>",
			  "{\"netdev\": [\"tap\"], \"device\": [\"virtio-net-pci\"]}");
	assert_interfaces("qemu", "<interface type='bridge'><model type='virtio'/><driver name='vhost'/></interface>",
			  "{\"netdev\": [\"tap\"], \"vhost\": [\"vhost-net\"], \"device\": [\"virtio-net-pci\"]}");
	assert_interfaces("kvm", "<interface type='bridge'><model type='virtio'/><driver name='qemu'/></interface>",
			  "{\"netdev\": [\"tap\"], \"device\": [\"virtio-net-pci\"]}");
	assert_interfaces("kvm", "<interface type='user'><model type='e1000e'/></interface>"
			  "<interface type='user'><backend type='passt'/><model type='rtl8139'/></interface>",
			  "{\"netdev\": [\"user\", \"stream\"], \"device\": [\"e1000e\", \"rtl8139\"]}");
	assert_interfaces("kvm", "<interface type='hostdev'/>", "{\"device\": [\"vfio-pci\"]}");
	assert_interfaces("kvm", "<interface type='vhostuser'><model type='virtio-non-transitional'/></interface>",
			  "{\"netdev\": [\"vhost-user\"], \"device\": [\"virtio-net-pci-non-transitional\"]}");
}

/*
 * libvirt's capabilities
 */

#define CAPABILITIES										\
	"<domainCapabilities><devices>"								\
	"<graphics supported='yes'><enum name='type'><value>vnc</value></enum></graphics>"	\
	"<video supported='yes'><enum name='modelType'><value>vga</value></enum></video>"	\
	"<tpm supported='no'/>"									\
	"<disk supported='yes'><enum name='diskDevice'><value>disk</value></enum></disk>"	\
	"</devices></domainCapabilities>"

static void assert_caps(const char *devices, const char *expected)
{
	char xml[4096];
	json_t *lacks;

	snprintf(xml, sizeof(xml), "<domain><devices>%s</devices></domain>", devices);
	assert_int_equal(domain_caps_lacks(xml, CAPABILITIES, &lacks, &errtext), 0);
	assert_json(lacks, expected);
}

static void test_capabilities(void **state)
{
	assert_caps("<graphics type='vnc'/><video><model type='vga'/></video>", "{}");
	assert_caps("<graphics type='vnc'/><graphics type='spice'/>", "{\"graphics\": [\"spice\"]}");
	assert_caps("<video><model type='qxl'/></video>", "{\"video\": [\"qxl\"]}");
	assert_caps("<tpm model='tpm-crb'><backend type='emulator'/></tpm>", "{\"tpm\": [\"tpm-crb\", \"emulator\"]}");
	/* nothing is said of these */
	assert_caps("<disk><target bus='usb'/></disk><redirdev bus='usb'/>", "{}");
	assert_int_equal(domain_caps_lacks("<domain", CAPABILITIES, NULL, &errtext), -EINVAL);
	assert_int_equal(domain_caps_lacks("<domain/>", "", NULL, &errtext), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_netdevs),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_lacks),
		cmocka_unit_test(test_asking),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_uses),
		cmocka_unit_test(test_interfaces),
		cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
