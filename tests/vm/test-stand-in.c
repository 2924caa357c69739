// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stand-ins: domains without a device, for which another process speaks.  The real memtided, made-up stand-ins, and
 * processes in the place of QEMU's.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domains-bed.h"

#define UUID_B	"42424242-4242-4242-4242-424200000002"

/* Domain b, without a device, runs as process @pid. */
static void run_plain(pid_t pid)
{
	struct hook_domain plain = b;

	plain.no_device = 1;
	assert_hook(&plain, "prepare", 0);
	write_pid("b", pid);
	assert_hook(&plain, "started", 0);
}

static int start_stand_in(struct fixture *f, uid_t uid, struct memtide_errtext *words)
{
	struct peer_options options = {
		.name = "b", .uuid_end = 2, .ram = RAM, .needs = 32 * MIB, .kind = TIDE_VMM_BALLOON, .uid = uid,
	};

	peer_free(f->peer[1]);
	assert_int_equal(peer_new(&options, &f->peer[1]), 0);
	return peer_spawn(f->peer[1], controller_vmm_socket(f->controller), words);
}

static void assert_vm_text(struct fixture *f, const char *name, const char *expected)
{
	json_t *vm = controller_vm(f->controller, "b");

	assert_non_null(vm);
	assert_string_equal(text(vm, name), expected);
	json_decref(vm);
}

static void vm_call(struct fixture *f, const char *method, uint64_t maximum)
{
	json_t *params = json_pack("{s:s}", "vm", "b");

	if (maximum)
		json_object_set_new(params, "maximum", json_integer((json_int_t)maximum));
	json_decref(call(f, method, params));
}

static void test_who_may(void **state)
{
	struct fixture *f = start(CONFIG("4G"));
	struct memtide_errtext words;
	pid_t pid = start_process();
	char path[128];

	/* nobody knows of the domain */
	assert_int_equal(start_stand_in(f, 0, &words), -ESRCH);
	assert_string_equal(words.text, "no domain of this UUID is known to run");
	run_plain(pid);
	if (!geteuid()) {
		/* a QEMU of another VM, say */
		snprintf(path, sizeof(path), "%s", controller_vmm_socket(f->controller));
		*strrchr(path, '/') = '\0';
		assert_int_equal(chmod(path, 0711), 0);
		assert_int_equal(start_stand_in(f, 65534, &words), -EPERM);
		assert_string_equal(words.text, "user 65534 may not stand in for VMs");
	}
	assert_int_equal(start_stand_in(f, 0, &words), 0);
	end_process(pid);
	stop(f);
}

/* The VM's process is the domain's; what was held for the domain is the VM's, and comes down as any other's. */
static void test_from_start_to_end(void **state)
{
	struct fixture *f = start(CONFIG("4G"));
	pid_t pid = start_process();

	run_plain(pid);
	assert_int_equal(status_number(f, "charged"), RAM);
	assert_int_equal(start_stand_in(f, 0, NULL), 0);
	assert_vm_text(f, "device", "virtio-balloon");
	assert_vm_text(f, "state", "managed");
	assert_int_equal(vm_number(f, "b", "pid"), pid);
	assert_int_equal(domain_number(f, "b", "vm"), vm_number(f, "b", "id"));
	assert_int_equal(status_number(f, "charged"), RAM);
	vm_call(f, "vm.set", 256 * MIB);
	assert_int_equal(peer_wait_ceiling(f->peer[1], 256 * MIB, 256 * MIB, PATIENCE_MS), 0);
	wait_charged(f, 256 * MIB);
	/* the stand-in's end is not the VM's, nor is memtided's */
	peer_kill(f->peer[1]);
	assert_int_equal(vm_number(f, "b", "pid"), pid);
	assert_int_equal(start_stand_in(f, 0, NULL), 0);
	assert_int_equal(status_number(f, "nr_vms"), 1);
	kill_and_restart(f);
	wait_connections(f, 1, 2);
	assert_vm_text(f, "state", "managed");
	assert_int_equal(vm_number(f, "b", "pid"), pid);
	end_process(pid);
	wait_no_domain(f);
	assert_int_equal(status_number(f, "nr_vms"), 0);
	assert_int_equal(status_number(f, "charged"), 0);
	stop(f);
}

static void assert_left_alone(struct fixture *f)
{
	assert_vm_text(f, "state", "released");
	assert_vm_text(f, "why", "its balloon was set to 192 MiB");
	wait_charged(f, 192 * MIB);
}

/* What was set by hand is left alone, whoever is started again, until the VM is adopted. */
static void test_set_by_hand(void **state)
{
	struct fixture *f = start(CONFIG("4G"));
	pid_t pid = start_process();

	run_plain(pid);
	assert_int_equal(start_stand_in(f, 0, NULL), 0);
	peer_set_needs(f->peer[1], 64 * MIB);
	vm_call(f, "vm.set", 160 * MIB);
	wait_charged(f, 160 * MIB);
	/* also beyond what it had been allowed */
	json_decref(call(f, "domain.by_hand", json_pack("{s:s, s:I}", "uuid", UUID_B, "balloon",
							(json_int_t)(192 * MIB))));
	assert_left_alone(f);
	kill_and_restart(f);
	wait_connections(f, 1, 2);
	assert_left_alone(f);
	peer_kill(f->peer[1]);
	assert_int_equal(start_stand_in(f, 0, NULL), 0);
	assert_left_alone(f);
	vm_call(f, "vm.adopt", 0);
	assert_vm_text(f, "state", "managed");
	assert_int_equal(vm_number(f, "b", "maximum"), RAM);
	end_process(pid);
	stop(f);
}

/* What an administrator has released stays so when the stand-in is started again. */
static void test_released(void **state)
{
	struct fixture *f = start(CONFIG("4G"));
	pid_t pid = start_process();

	run_plain(pid);
	assert_int_equal(start_stand_in(f, 0, NULL), 0);
	vm_call(f, "vm.release", 0);
	peer_kill(f->peer[1]);
	assert_int_equal(start_stand_in(f, 0, NULL), 0);
	assert_vm_text(f, "state", "released");
	end_process(pid);
	stop(f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_may),
		cmocka_unit_test(test_from_start_to_end),
		cmocka_unit_test(test_set_by_hand),
		cmocka_unit_test(test_released),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
