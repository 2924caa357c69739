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

/* Domain b as in @one, without a device, runs as process @pid. */
static void run_plain(const struct hook_domain *one, pid_t pid)
{
	struct hook_domain plain = *one;

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
	run_plain(&b, pid);
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
	uint64_t id;

	run_plain(&b, pid);
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
	id = vm_number(f, "b", "id");
	peer_kill(f->peer[1]);
	assert_int_equal(vm_number(f, "b", "pid"), pid);
	assert_int_equal(start_stand_in(f, 0, NULL), 0);
	assert_int_equal(status_number(f, "nr_vms"), 1);
	assert_int_equal(vm_number(f, "b", "id"), id);
	assert_int_equal(vm_number(f, "b", "ceiling"), 256 * MIB);
	assert_int_equal(peer_wait_ceiling(f->peer[1], 256 * MIB, 256 * MIB, PATIENCE_MS), 0);
	wait_charged(f, 256 * MIB);
	assert_vm_text(f, "state", "managed");
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

static void set_by_hand(struct fixture *f, uint64_t bytes)
{
	json_decref(call(f, "domain.by_hand", json_pack("{s:s, s:I}", "uuid", UUID_B, "balloon", (json_int_t)bytes)));
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

	run_plain(&b, pid);
	assert_int_equal(start_stand_in(f, 0, NULL), 0);
	peer_set_needs(f->peer[1], 64 * MIB);
	vm_call(f, "vm.set", 160 * MIB);
	wait_charged(f, 160 * MIB);
	/* also beyond what it had been allowed */
	set_by_hand(f, 192 * MIB);
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

/* A guest can write what its balloon says: it gets no more by that than its policy's maximum, and what there is room for. */
static void test_set_by_hand_has_bounds(void **state)
{
	static const struct hook_domain bounded = {
		.name = "b", .uuid_end = 2, .memory_mib = RAM_MIB,
		.policy = "<memtide:maximum>448MiB</memtide:maximum>",
	};
	struct fixture *f = start(CONFIG("768M"));
	pid_t pid = start_process();

	run_plain(&bounded, pid);
	assert_int_equal(start_stand_in(f, 0, NULL), 0);
	set_by_hand(f, RAM);
	assert_vm_text(f, "why", "its balloon was set to 512 MiB, of which it may have 448 MiB");
	assert_int_equal(vm_number(f, "b", "ceiling"), 448 * MIB);
	vm_call(f, "vm.adopt", 0);
	vm_call(f, "vm.set", 256 * MIB);
	wait_charged(f, 256 * MIB);
	start_peer(f, 0);
	wait_charged(f, 768 * MIB);
	set_by_hand(f, 300 * MIB);
	assert_vm_text(f, "why", "its balloon was set to 300 MiB, of which it may have 256 MiB");
	assert_int_equal(status_number(f, "deficit"), 0);
	kill_and_restart(f);
	wait_connections(f, 1, 2);
	assert_vm_text(f, "why", "its balloon was set to 300 MiB, of which it may have 256 MiB");
	assert_int_equal(vm_number(f, "b", "ceiling"), 256 * MIB);
	end_process(pid);
	stop(f);
}

/* Whoever is turned away leaves its domain charged as before. */
static void test_turned_away(void **state)
{
	struct fixture *f = start(CONFIG("448M") "[daemon]\nadmission = refuse\n");
	struct peer_options options = {
		.name = "a", .uuid_end = 1, .ram = RAM, .needs = 32 * MIB, .no_driver = true,
	};
	struct memtide_errtext words;

	assert_hook(&a, "prepare", 0);
	assert_int_equal(status_number(f, "charged"), 384 * MIB);
	assert_int_equal(peer_new(&options, &f->peer[0]), 0);
	assert_int_equal(peer_spawn(f->peer[0], controller_vmm_socket(f->controller), &words), -ENOSPC);
	assert_int_equal(status_number(f, "nr_vms"), 0);
	assert_int_equal(status_number(f, "charged"), 384 * MIB);
	stop(f);
}

/* What an administrator has released stays so when the stand-in is started again. */
static void test_released(void **state)
{
	struct fixture *f = start(CONFIG("4G"));
	pid_t pid = start_process();

	run_plain(&b, pid);
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
		cmocka_unit_test(test_set_by_hand_has_bounds),
		cmocka_unit_test(test_turned_away),
		cmocka_unit_test(test_released),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
