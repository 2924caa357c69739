// SPDX-License-Identifier: GPL-2.0-or-later
/* Configuration: what is written holds; what is wrong is refused with its line, its value and how to mend it. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "control.h"

static struct memtide_errtext errtext;

static void parse(const char *text, struct memtide_config *ret_config)
{
	if (memtide_config_parse(text, "test.conf", ret_config, &errtext))
		fail_msg("%s", errtext.text);
}

/* @words is the whole error. */
static void assert_refused(const char *text, const char *words)
{
	struct memtide_config config = { .nr_vms = 77 };

	if (!memtide_config_parse(text, "test.conf", &config, &errtext))
		fail_msg("taken: %s", text);
	assert_string_equal(errtext.text, words);
	assert_int_equal(config.nr_vms, 77);
	assert_int_equal(memtide_config_parse(text, "test.conf", &config, NULL), -EINVAL);
}

static void test_without_a_file(void **state)
{
	struct memtide_config config;

	assert_int_equal(memtide_config_load(NULL, &config, &errtext), 0);
	assert_true(config.budget_auto);
	assert_string_equal(config.policy, "fair");
	assert_string_equal(config.control_socket, MEMTIDE_CONTROL_PATH);
	assert_string_equal(config.vmm_socket, MEMTIDE_VMM_PATH);
	assert_null(config.group);
	assert_int_equal(config.reserve, 256 * MIB);
	assert_int_equal(config.log_size, 16 * MIB);
	assert_int_equal(config.defaults.floor, 256 * MIB);
	assert_int_equal(config.defaults.shares, 100);
	assert_int_equal(config.nr_vms, 0);
	assert_false(config.dry_run);
	memtide_config_free(&config);
	memtide_config_free(&config);
}

static void test_everything(void **state)
{
	struct memtide_config config;

	parse("# for a test\n"
	      "[daemon]\n"
	      "budget = 3G ; three\n"
	      "  reserve=64MiB\n"
	      "\tpolicy = /opt/policies/own.bpf.o\n"
	      "policy-path = /usr/lib/memtide:/opt/policies\r\n"
	      "vmm-socket = /run/a.sock\n"
	      "control-socket = /run/b.sock\n"
	      "group = memtide\n"
	      "log-size = 1M\n"
	      "admission = Refuse\n"
	      "offenders = kill\n"
	      "dry-run = yes\n"
	      "\n"
	      "[default]\n"
	      "floor = 384M\n"
	      "maximum = 2G\n"
	      "start = 512M\n"
	      "shares = 50\n"
	      "; one of its own\n"
	      "[vm web 1]\n"
	      "floor = 1G\n"
	      "[vm db]\n"
	      "shares = 1000000\n"
	      "[vm web 1]\n"
	      "shares = 7", &config);
	assert_false(config.budget_auto);
	assert_int_equal(config.budget, 3 * GIB);
	assert_int_equal(config.reserve, 64 * MIB);
	assert_string_equal(config.policy, "/opt/policies/own.bpf.o");
	assert_string_equal(config.policy_path, "/usr/lib/memtide:/opt/policies");
	assert_string_equal(config.vmm_socket, "/run/a.sock");
	assert_string_equal(config.control_socket, "/run/b.sock");
	assert_string_equal(config.group, "memtide");
	assert_int_equal(config.log_size, MIB);
	assert_int_equal(config.admission, MEMTIDE_ADMISSION_REFUSE);
	assert_int_equal(config.offenders, MEMTIDE_OFFENDERS_KILL);
	assert_true(config.dry_run);
	assert_int_equal(config.defaults.start, 512 * MIB);
	assert_int_equal(config.nr_vms, 2);
	assert_string_equal(config.vms[0].name, "web 1");
	assert_int_equal(config.vms[0].floor, GIB);
	assert_int_equal(config.vms[0].shares, 7);
	assert_true(config.vms[0].maximum == MEMTIDE_CONFIG_UNSET);
	assert_int_equal(config.vms[1].shares, 1000000);
	memtide_config_free(&config);
}

static void test_wrong_values(void **state)
{
	assert_refused("[daemon]\nbudget = 3\n",
		       "test.conf:2: budget = 3: a size needs a unit, as in 3M");
	assert_refused("[daemon]\nbudget = lots\n",
		       "test.conf:2: budget = lots: not a size, write one as 384M or 1.5G");
	assert_refused("[daemon]\nbudget = 0\n",
		       "test.conf:2: budget = 0: no VM could have any memory, write a size or auto");
	assert_refused("[daemon]\n\n\nreserve = 300T\n",
		       "test.conf:4: reserve = 300T: more than the limit of 256T");
	assert_refused("[daemon]\nlog-size = 1K\n", "test.conf:2: log-size = 1K: out of range 64K to 1G");
	assert_refused("[daemon]\nlog-size = 1025M\n", "test.conf:2: log-size = 1025M: out of range 64K to 1G");
	assert_refused("[daemon]\nadmission = maybe\n",
		       "test.conf:2: admission = maybe: write refuse or throttle");
	assert_refused("[daemon]\noffenders = hang\n", "test.conf:2: offenders = hang: write throttle or kill");
	assert_refused("[daemon]\ndry-run = perhaps\n", "test.conf:2: dry-run = perhaps: write yes or no");
	assert_refused("[daemon]\npolicy =\n",
		       "test.conf:2: policy has no value, write one or leave the line out");
	assert_refused("[daemon]\nvmm-socket = run/x\n",
		       "test.conf:2: vmm-socket = run/x: not an absolute path, it has to begin with /");
	assert_refused("[daemon]\npolicy-path = /a:b\n",
		       "test.conf:2: policy-path = /a:b: \"b\" is not an absolute path");
	assert_refused("[default]\nshares = 0\n", "test.conf:2: shares = 0: not a whole number from 1 to 1000000");
	assert_refused("[default]\nshares = 1000001\n",
		       "test.conf:2: shares = 1000001: not a whole number from 1 to 1000000");
	assert_refused("[default]\nshares = 10%\n",
		       "test.conf:2: shares = 10%: not a whole number from 1 to 1000000");
	assert_refused("[vm a]\nmaximum = 0\n",
		       "test.conf:2: maximum = 0: a VM needs some memory, write a size or leave it out");
}

static void test_long_socket(void **state)
{
	char text[200], words[300], path[120];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[108] = '\0';
	snprintf(text, sizeof(text), "[daemon]\nvmm-socket = %s\n", path);
	snprintf(words, sizeof(words), "test.conf:2: vmm-socket = %s: 108 characters, the limit is 107", path);
	assert_refused(text, words);
}

static void test_wrong_names(void **state)
{
	assert_refused("[daemon]\nbugdet = 3G\n",
		       "test.conf:2: unknown key \"bugdet\" in [daemon], did you mean \"budget\"?");
	assert_refused("[daemon]\nvmm_socket = /x\n",
		       "test.conf:2: unknown key \"vmm_socket\" in [daemon], did you mean \"vmm-socket\"?");
	assert_refused("[daemon]\ncolour = blue\n", "test.conf:2: unknown key \"colour\" in [daemon]");
	assert_refused("[daemon]\nfloor = 1G\n",
		       "test.conf:2: key \"floor\" does not belong in [daemon] but in [default] or [vm NAME]");
	assert_refused("[vm a]\nbudget = 1G\n",
		       "test.conf:2: key \"budget\" does not belong in [vm a] but in [daemon]");
	assert_refused("[deamon]\nbudget = 3G\n",
		       "test.conf:2: unknown section [deamon], known are [daemon], [default], [tenant NAME] and [vm NAME]");
	assert_refused("[vm]\nfloor = 3G\n",
		       "test.conf:2: unknown section [vm], known are [daemon], [default], [tenant NAME] and [vm NAME]");
	assert_refused("budget = 3G\n", "test.conf:1: a key before the first section, begin with [daemon]");
}

static void test_wrong_lines(void **state)
{
	char text[600], name[300];

	assert_refused("[daemon]\nbudget\n",
		       "test.conf:2: neither \"[section]\" nor \"key = value\" nor a comment");
	assert_refused("[daemon\nbudget = 1G\n",
		       "test.conf:1: neither \"[section]\" nor \"key = value\" nor a comment");
	assert_refused("[daemon]\nbudget = 3G\nbudget = 4G\n",
		       "test.conf:3: budget is given twice in [daemon], first in line 2");
	/* For libinih the second line would go on with the first one. */
	assert_refused("[daemon]\npolicy = fair\n  and square\n",
		       "test.conf:3: neither \"[section]\" nor \"key = value\" nor a comment");
	memset(name, 'n', sizeof(name));
	name[60] = '\0';
	snprintf(text, sizeof(text), "[vm %s]\nfloor = 1G\n", name);
	assert_refused(text,
		       "test.conf:1: a section's name is longer than 49 characters, write [vm UUID] instead");
	name[60] = 'n';
	name[299] = '\0';
	snprintf(text, sizeof(text), "[daemon]\npolicy = %s\n", name);
	assert_refused(text, "test.conf:2: 308 characters, the limit for a line is 197");
}

static void test_order(void **state)
{
	struct memtide_config config;

	assert_refused("[daemon]\nbudget = 1G\nreserve = 2G\n",
		       "test.conf:3: reserve = 2 GiB is above budget = 1 GiB of line 2, lower it or raise that");
	assert_refused("[default]\nmaximum = 1G\nfloor = 2G\n",
		       "test.conf:3: floor = 2 GiB is above maximum = 1 GiB of line 2, lower it or raise that");
	assert_refused("[vm a]\nfloor = 1G\n[vm b]\nstart = 512M\n[vm a]\nmaximum = 1023M\n",
		       "test.conf:2: floor = 1 GiB is above maximum = 1023 MiB of line 6, lower it or raise that");
	assert_refused("[vm a]\nfloor = 1G\nstart = 512M\n",
		       "test.conf:2: floor = 1 GiB is above start = 512 MiB of line 3, lower it or raise that");
	/* A reserve that nobody asked for gives way. */
	parse("[daemon]\nbudget = 1G\n", &config);
	assert_int_equal(config.reserve, 128 * MIB);
	memtide_config_free(&config);
}

static void test_one_vm(void **state)
{
	static const char uuid[] = "4a2b6e1c-0000-4000-8000-0123456789ab";
	struct memtide_config_vm vm;
	struct memtide_config config;

	parse("[default]\nfloor = 384M\nmaximum = 2G\nshares = 10\n"
	      "[vm web]\nfloor = 1G\nmaximum = 8G\n"
	      "[vm 4A2B6E1C-0000-4000-8000-0123456789AB]\nshares = 99\n"
	      "[vm small]\nmaximum = 128M\n", &config);

	assert_int_equal(memtide_config_vm(&config, "other", NULL, 4 * GIB, &vm, &errtext), 0);
	assert_null(vm.name);
	assert_int_equal(vm.floor, 384 * MIB);
	assert_int_equal(vm.maximum, 2 * GIB);
	assert_int_equal(vm.start, 384 * MIB);
	assert_int_equal(vm.shares, 10);

	/* Nobody gets more than its RAM. */
	assert_int_equal(memtide_config_vm(&config, "web", NULL, 4 * GIB, &vm, &errtext), 0);
	assert_string_equal(vm.name, "web");
	assert_int_equal(vm.floor, GIB);
	assert_int_equal(vm.maximum, 4 * GIB);
	assert_int_equal(vm.start, GIB);

	assert_int_equal(memtide_config_vm(&config, "other", uuid, 4 * GIB, &vm, &errtext), 0);
	assert_int_equal(vm.shares, 99);
	assert_int_equal(memtide_config_vm(&config, "web", uuid, 4 * GIB, &vm, &errtext), 0);
	assert_int_equal(vm.shares, 10);

	/* A general floor gives way, one of its own does not. */
	assert_int_equal(memtide_config_vm(&config, "small", NULL, 4 * GIB, &vm, &errtext), 0);
	assert_int_equal(vm.floor, 128 * MIB);
	assert_int_equal(memtide_config_vm(&config, NULL, NULL, 64 * MIB, &vm, &errtext), 0);
	assert_int_equal(vm.floor, 64 * MIB);
	assert_int_equal(memtide_config_vm(&config, "web", NULL, 512 * MIB, &vm, &errtext), -EINVAL);
	assert_string_equal(errtext.text, "[vm web] floor = 1 GiB: out of range 0 B to 512 MiB for this VM");
	memtide_config_free(&config);
}

static void test_files(void **state)
{
	char path[] = "/tmp/test-config-XXXXXX";
	struct memtide_config config;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "[daemon]\nbudget = 5G\n", 21), 21);
	assert_int_equal(memtide_config_load(path, &config, &errtext), 0);
	assert_int_equal(config.budget, 5 * GIB);
	memtide_config_free(&config);

	assert_int_equal(write(fd, "\0", 1), 1);
	assert_int_equal(memtide_config_load(path, &config, &errtext), -EILSEQ);
	assert_non_null(strstr(errtext.text, "not a text file"));
	assert_int_equal(ftruncate(fd, 2 * MIB), 0);
	assert_int_equal(memtide_config_load(path, &config, &errtext), -EFBIG);
	close(fd);
	unlink(path);
	assert_int_equal(memtide_config_load(path, &config, &errtext), -ENOENT);
	assert_non_null(strstr(errtext.text, path));
	assert_int_equal(memtide_config_load("/", &config, &errtext), -EISDIR);
}

/* Random lines are taken or refused, with words. */
static void test_garbage(void **state)
{
	static const char *const pieces[] = {
		"[daemon]", "[vm a]", "[default]", "[", "]", "\n", "\n", "\n", "=", " = ", "budget", "floor", "1G",
		"shares", "1", "auto", " ", "\t", ";", "#", "\xef\xbb\xbf", "\x01", "\xff",
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	};
	struct memtide_config config;
	char text[1024];
	uint64_t seed = 6;
	int r;

	for (int round = 0; round < 20000; round++) {
		text[0] = '\0';
		for (uint64_t i = unit_below(&seed, 24); i > 0; i--)
			strcat(text, pieces[unit_below(&seed, ARRAY_SIZE(pieces))]);
		r = memtide_config_parse(text, "test.conf", &config, &errtext);
		if (!r)
			memtide_config_free(&config);
		else if (r != -EINVAL || strncmp(errtext.text, "test.conf:", 10))
			fail_msg("%d \"%s\" for: %s", r, errtext.text, text);
	}
}

static void test_tenants(void **state)
{
	const struct memtide_config_tenant *tenant;
	struct memtide_config config;

	parse("[daemon]\nbudget = 4G\n"
	      "[tenant blue]\nbudget = 3G\nshares = 200\nksm = off\n"
	      "[tenant red.1]\nksm-rate-pages = 25600\n", &config);
	assert_int_equal(config.budget, 4 * GIB);
	assert_int_equal(config.nr_tenants, 2);
	tenant = memtide_config_tenant(&config, "blue");
	assert_non_null(tenant);
	assert_int_equal(tenant->budget, 3 * GIB);
	assert_int_equal(tenant->shares, 200);
	assert_true(tenant->ksm_off);
	tenant = memtide_config_tenant(&config, "red.1");
	assert_int_equal(tenant->budget, MEMTIDE_CONFIG_UNSET);
	assert_int_equal(tenant->shares, MEMTIDE_CONFIG_UNSET);
	assert_false(tenant->ksm_off);
	assert_int_equal(tenant->ksm_rate_pages, 25600);
	assert_null(memtide_config_tenant(&config, "red"));
	memtide_config_free(&config);
	assert_refused("[tenant a]\nfloor = 1G\n",
		       "test.conf:2: key \"floor\" does not belong in [tenant a] but in [default] or [vm NAME]");
	assert_refused("[tenant a]\nksm = on\n", "test.conf:2: ksm = on: write tenant or off");
	assert_refused("[tenant a]\nksm-rate-pages = 0\n",
		       "test.conf:2: ksm-rate-pages = 0: not a whole number of pages from 1 to 2147483647");
}

static void test_domains(void **state)
{
	struct memtide_config config;

	parse("", &config);
	assert_int_equal(config.floors, MEMTIDE_FLOORS_REFUSE);
	assert_int_equal(config.hook_ms, 5000);
	assert_string_equal(config.state_directory, "/var/lib/memtide");
	assert_string_equal(config.machine_cgroup, "auto");
	assert_string_equal(config.libvirt_uri, "qemu:///system");
	memtide_config_free(&config);
	parse("[daemon]\nfloor-admission = warn\nhook-time = 250ms\nstate-directory = /tmp/x\nmachine-cgroup = none\n"
	      "libvirt-uri = test:///default\n", &config);
	assert_int_equal(config.floors, MEMTIDE_FLOORS_WARN);
	assert_int_equal(config.hook_ms, 250);
	assert_string_equal(config.state_directory, "/tmp/x");
	assert_string_equal(config.machine_cgroup, "none");
	assert_string_equal(config.libvirt_uri, "test:///default");
	memtide_config_free(&config);
	assert_refused("[daemon]\nhook-time = 5\n", "test.conf:2: hook-time = 5: not a time, write one as 500ms or 5s");
	assert_refused("[daemon]\nhook-time = 61s\n", "test.conf:2: hook-time = 61s: out of range 100ms to 60s");
	assert_refused("[daemon]\nhook-time = 99ms\n", "test.conf:2: hook-time = 99ms: out of range 100ms to 60s");
	assert_refused("[daemon]\nstate-directory = x\n",
		       "test.conf:2: state-directory = x: not an absolute path, it has to begin with /");
	assert_refused("[daemon]\nmachine-cgroup = x\n",
		       "test.conf:2: machine-cgroup = x: write auto, none or an absolute path");
	assert_refused("[daemon]\nlibvirt-uri = /run/libvirt\n",
		       "test.conf:2: libvirt-uri = /run/libvirt: not a URI, write one as qemu:///system");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_file),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_tenants),
		cmocka_unit_test(test_domains),
		cmocka_unit_test(test_wrong_values),
		cmocka_unit_test(test_long_socket),
		cmocka_unit_test(test_wrong_names),
		cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_one_vm),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
