// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtided as a whole: the real program on sockets of its own, and made-up VMs that speak the real protocol.  Most
 * tests run without a policy, so that nothing moves but what the test causes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peers-bed.h"

/* Room for 640 MiB: a has all its memory and is entitled to 115 MiB, b is entitled to all of its own. */
#define PAIR_CONFIG	"budget = 640M\nreserve = 0\npolicy = none\n[default]\nfloor = 64M\n" \
			"[vm a]\nshares = 10\n[vm b]\nshares = 90\n"

/*
 * Asking
 */

static void assert_vm_state(struct fixture *f, const char *vm, const char *state)
{
	json_t *json = controller_vm(f->controller, vm);

	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "state")), state);
	json_decref(json);
}

static void wait_vm_state(struct fixture *f, const char *vm, const char *state)
{
	for (int i = 0; i < PATIENCE_MS / 10; i++) {
		json_t *json = controller_vm(f->controller, vm);
		const char *now = json_string_value(json_object_get(json, "state"));
		bool equal = now && !strcmp(now, state);

		json_decref(json);
		if (equal)
			return;
		poll(NULL, 0, 10);
	}
	fail_msg("%s does not become %s", vm, state);
}

/* Until a VM's or the status's number lies between two. */
static void wait_number(struct fixture *f, const char *vm, const char *name, uint64_t low, uint64_t high)
{
	uint64_t value = 0;

	for (int i = 0; i < PATIENCE_MS / 10; i++) {
		value = vm ? vm_number(f, vm, name) : status_number(f, name);
		if (value >= low && value <= high)
			return;
		poll(NULL, 0, 10);
	}
	fail_msg("%s %s is %" PRIu64 ", not %" PRIu64 " to %" PRIu64, vm ? vm : "status", name, value, low, high);
}

static void set_vm(struct fixture *f, const char *vm, const char *name, uint64_t value)
{
	json_decref(call(f, "vm.set", json_pack("{s:s, s:I}", "vm", vm, name, (json_int_t)value)));
}

/*
 * Setting up
 */

static struct fixture *start(const char *config, int peers)
{
	struct fixture *f = bed_start(config);

	for (int i = 0; i < peers; i++)
		start_peer(f, i);
	return f;
}

/* a has 512 MiB, b has 128 MiB, and there is no room. */
static struct fixture *start_pair(void)
{
	struct fixture *f = start(PAIR_CONFIG, 2);

	set_vm(f, "b", "maximum", 128 * MIB);
	wait_number(f, "b", "charged", 128 * MIB, 128 * MIB);
	set_vm(f, "b", "maximum", RAM);
	assert_int_equal(status_number(f, "charged"), 640 * MIB);
	assert_int_equal(status_number(f, "deficit"), 0);
	return f;
}

/*
 * Tests
 */

/* What one claims, the other one gives, and the sum stays within the budget. */
static void test_transfer(void **state)
{
	struct fixture *f = start_pair();
	uint64_t begin = peer_now_ns();
	struct memtide_state b;

	assert_int_equal(peer_claim(f->peer[1], 64 * MIB), 0);
	assert_int_equal(peer_wait_ceiling(f->peer[1], 192 * MIB, 192 * MIB, PATIENCE_MS), 0);
	print_message("64 MiB from a donor in %.3f ms\n", (peer_now_ns() - begin) / 1e6);
	assert_int_equal(peer_state(f->peer[1], &b), 0);
	assert_int_equal(b.grant, VIRTIO_TIDE_PATH_DONOR);
	assert_int_equal(vm_number(f, "a", "ceiling"), 448 * MIB);
	assert_int_equal(peer_usable(f->peer[0]), 448 * MIB);
	assert_int_equal(status_number(f, "charged"), 640 * MIB);
	assert_int_equal(peer_use(f->peer[1], 64 * MIB), 64 * MIB);
	bed_stop(f);
}

/* What is free is granted at once and counts as reserve. */
static void test_reserve(void **state)
{
	struct fixture *f = start("budget = 1G\nreserve = 128M\npolicy = none\n[default]\nfloor = 64M\n", 2);
	struct memtide_state s;

	set_vm(f, "b", "maximum", 128 * MIB);
	wait_number(f, "b", "charged", 128 * MIB, 128 * MIB);
	set_vm(f, "b", "maximum", RAM);
	assert_int_equal(peer_claim(f->peer[1], 32 * MIB), 0);
	assert_int_equal(peer_wait_ceiling(f->peer[1], 160 * MIB, 160 * MIB, PATIENCE_MS), 0);
	assert_int_equal(peer_state(f->peer[1], &s), 0);
	assert_int_equal(s.grant, VIRTIO_TIDE_PATH_RESERVE);
	bed_stop(f);
}

/* After kill -9 the VMs come back with what they had, and nothing was taken meanwhile. */
static void test_restart(void **state)
{
	struct fixture *f = start_pair();
	struct memtide_grant grant;

	assert_int_equal(peer_claim(f->peer[1], 64 * MIB), 0);
	assert_int_equal(peer_wait_ceiling(f->peer[1], 192 * MIB, 192 * MIB, PATIENCE_MS), 0);
	controller_kill(f->controller);
	assert_int_equal(peer_usable(f->peer[0]), 448 * MIB);
	assert_int_equal(peer_grant(f->peer[1], &grant), 0);
	assert_int_equal(grant.ceiling, 192 * MIB);
	assert_int_equal(controller_restart(f->controller, NULL), 0);
	wait_connections(f, 0, 2);
	wait_connections(f, 1, 2);
	assert_int_equal(vm_number(f, "a", "ceiling"), 448 * MIB);
	assert_int_equal(vm_number(f, "b", "ceiling"), 192 * MIB);
	wait_number(f, NULL, "charged", 640 * MIB, 640 * MIB);
	assert_vm_state(f, "a", "managed");
	/* It goes on as if nothing had happened. */
	assert_int_equal(peer_claim(f->peer[1], 32 * MIB), 0);
	assert_int_equal(peer_wait_ceiling(f->peer[1], 224 * MIB, 224 * MIB, PATIENCE_MS), 0);
	assert_int_equal(peer_usable(f->peer[0]), 416 * MIB);
	bed_stop(f);
}

/* A restart in the middle of a transfer charges the larger of what was and what is to be. */
static void test_restart_mid_transfer(void **state)
{
	struct fixture *f = start_pair();

	peer_set_manner(f->peer[0], PEER_MUTE);
	assert_int_equal(peer_claim(f->peer[1], 64 * MIB), 0);
	assert_int_equal(peer_wait_ceiling(f->peer[0], 448 * MIB, 448 * MIB, PATIENCE_MS), 0);
	kill_and_restart(f);
	wait_connections(f, 0, 2);
	wait_connections(f, 1, 2);
	assert_int_equal(vm_number(f, "a", "charged"), 512 * MIB);
	assert_int_equal(vm_number(f, "b", "ceiling"), 128 * MIB);
	peer_set_manner(f->peer[0], PEER_HONEST);
	wait_number(f, "a", "charged", 448 * MIB, 448 * MIB);
	bed_stop(f);
}

/* Somebody else's uuid is refused in words, and its owner loses nothing. */
static void test_second_uuid(void **state)
{
	struct fixture *f = start_pair();
	struct peer_options options = { .name = "thief", .uuid_end = 1, .ram = RAM };
	struct memtide_errtext words;
	struct peer *thief;

	assert_int_equal(peer_new(&options, &thief), 0);
	assert_int_equal(peer_spawn(thief, controller_vmm_socket(f->controller), &words), -EEXIST);
	assert_non_null(strstr(words.text, "belongs to a"));
	assert_int_equal(vm_number(f, "a", "ceiling"), 512 * MIB);
	/* Once its process is dead the uuid is free. */
	peer_kill(f->peer[0]);
	wait_number(f, NULL, "nr_vms", 1, 1);
	assert_int_equal(peer_spawn(thief, controller_vmm_socket(f->controller), &words), 0);
	peer_free(thief);
	bed_stop(f);
}

/* One process is one VM. */
static void test_two_in_a_process(void **state)
{
	struct fixture *f = start(PAIR_CONFIG, 0);
	struct peer_options options = { .name = "a", .uuid_end = 1, .ram = RAM };
	struct memtide_errtext words;
	struct peer *first, *second;

	assert_int_equal(peer_new(&options, &first), 0);
	options.name = "b";
	options.uuid_end = 2;
	assert_int_equal(peer_new(&options, &second), 0);
	assert_int_equal(peer_connect(first, controller_vmm_socket(f->controller), &words), 0);
	assert_int_equal(peer_connect(second, controller_vmm_socket(f->controller), &words), -EEXIST);
	peer_free(second);
	peer_free(first);
	bed_stop(f);
}

static void test_no_seals(void **state)
{
	struct fixture *f = start(PAIR_CONFIG, 0);
	struct peer_options options = { .name = "a", .uuid_end = 1, .ram = RAM, .no_seals = true };
	struct memtide_errtext words;
	struct peer *peer;

	assert_int_equal(peer_new(&options, &peer), 0);
	assert_int_equal(peer_spawn(peer, controller_vmm_socket(f->controller), &words), -EPERM);
	assert_non_null(strstr(words.text, "seal"));
	assert_int_equal(status_number(f, "nr_vms"), 0);
	peer_free(peer);
	bed_stop(f);
}

/* A guest that writes nonsense into every byte of its region harms itself alone. */
static void test_garbage(void **state)
{
	struct fixture *f = start_pair();
	uint32_t *region = peer_region(f->peer[0]), random = 1;
	uint64_t charged = status_number(f, "charged");

	for (int turn = 0; turn < 200; turn++) {
		for (size_t i = 0; i < VIRTIO_TIDE_STATE_SIZE / sizeof(*region); i++) {
			random = random * 1664525 + 1013904223;
			region[i] = turn % 4 ? random : turn % 8 ? UINT32_MAX : 0;
		}
		peer_ring(f->peer[0]);
	}
	assert_int_equal(status_number(f, "charged"), charged);
	assert_int_equal(vm_number(f, "b", "ceiling"), 128 * MIB);
	/* A reset of the VM mends it. */
	peer_reset(f->peer[0], true);
	wait_vm_state(f, "a", "managed");
	assert_int_equal(peer_claim(f->peer[1], 32 * MIB), 0);
	assert_int_equal(peer_wait_ceiling(f->peer[1], 160 * MIB, 160 * MIB, PATIENCE_MS), 0);
	bed_stop(f);
}

static uint64_t cpu_ticks(pid_t pid)
{
	char path[64];
	unsigned long user = 0, system = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(
		fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
	fclose(file);
	return user + system;
}

static void *flood(void *arg)
{
	struct fixture *f = arg;
	uint64_t until = peer_now_ns() + UINT64_C(1000000000);

	while (peer_now_ns() < until)
		peer_event(f->peer[0], VIRTIO_TIDE_EV_PRESSURE, 1, VIRTIO_TIDE_URGENCY_OOM, 0);
	return NULL;
}

/* A guest that rings without end costs a bounded part of a CPU and delays nobody. */
static void test_flood(void **state)
{
	struct fixture *f = start_pair();
	uint64_t before = cpu_ticks(controller_pid(f->controller)), begin, ticks;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, flood, f), 0);
	wait_number(f, "a", "doorbell_floods", 1, UINT64_MAX);
	/* a is at its maximum: it is refused; b's claims are served from a meanwhile only if a may be a donor. */
	begin = peer_now_ns();
	json_decref(call(f, "status", NULL));
	print_message("status in %.3f ms while flooded\n", (peer_now_ns() - begin) / 1e6);
	assert_true(peer_now_ns() - begin < 200 * 1000000);
	pthread_join(thread, NULL);
	ticks = cpu_ticks(controller_pid(f->controller)) - before;
	print_message("%" PRIu64 " ms of CPU in a second of flooding\n", ticks * 1000 / sysconf(_SC_CLK_TCK));
	assert_true(ticks * 1000 / sysconf(_SC_CLK_TCK) < 250);
	assert_int_equal(vm_number(f, "b", "ceiling"), 128 * MIB);
	bed_stop(f);
}

/* A donor that dies in the middle: what it had goes to the one who waits. */
static void test_vanish(void **state)
{
	struct fixture *f = start_pair();

	peer_set_manner(f->peer[0], PEER_MUTE);
	assert_int_equal(peer_claim(f->peer[1], 64 * MIB), 0);
	assert_int_equal(peer_wait_ceiling(f->peer[0], 448 * MIB, 448 * MIB, PATIENCE_MS), 0);
	assert_int_equal(vm_number(f, "b", "ceiling"), 128 * MIB);
	peer_kill(f->peer[0]);
	assert_int_equal(peer_wait_ceiling(f->peer[1], 192 * MIB, 192 * MIB, PATIENCE_MS), 0);
	assert_int_equal(status_number(f, "nr_vms"), 1);
	bed_stop(f);
}

/* The claimant dies while its donor gives: the room is nobody's. */
static void test_claimant_vanishes(void **state)
{
	struct fixture *f = start_pair();

	peer_set_manner(f->peer[0], PEER_MUTE);
	assert_int_equal(peer_claim(f->peer[1], 64 * MIB), 0);
	assert_int_equal(peer_wait_ceiling(f->peer[0], 448 * MIB, 448 * MIB, PATIENCE_MS), 0);
	peer_kill(f->peer[1]);
	peer_set_manner(f->peer[0], PEER_HONEST);
	wait_number(f, NULL, "nr_vms", 1, 1);
	wait_number(f, "a", "charged", 448 * MIB, 448 * MIB);
	bed_stop(f);
}

/* No fence in time: marked, charged as before, and taken up again when it speaks. */
static void test_unanswering(void **state)
{
	struct fixture *f = start_pair();

	peer_set_manner(f->peer[0], PEER_MUTE);
	assert_int_equal(peer_claim(f->peer[1], 64 * MIB), 0);
	wait_vm_state(f, "a", "unanswering");
	assert_int_equal(vm_number(f, "a", "charged"), 512 * MIB);
	assert_int_equal(vm_number(f, "b", "ceiling"), 128 * MIB);
	assert_true(peer_denials(f->peer[1]) > 0);
	peer_set_manner(f->peer[0], PEER_HONEST);
	peer_ring(f->peer[0]);
	wait_number(f, "a", "usable", RAM, RAM);
	bed_stop(f);
}

/* A guest without a driver is charged all it has; with one it is managed. */
static void test_reset(void **state)
{
	struct fixture *f = start_pair();

	peer_reset(f->peer[1], false);
	wait_vm_state(f, "b", "starting");
	assert_int_equal(vm_number(f, "b", "charged"), RAM);
	assert_int_equal(status_number(f, "deficit"), 384 * MIB);
	peer_reset(f->peer[1], true);
	wait_vm_state(f, "b", "managed");
	bed_stop(f);
}

static void test_pause(void **state)
{
	struct fixture *f = start_pair();
	unsigned int denials = peer_denials(f->peer[1]);

	json_decref(call(f, "pause", NULL));
	assert_int_equal(peer_claim(f->peer[1], 64 * MIB), 0);
	while (peer_denials(f->peer[1]) == denials)
		poll(NULL, 0, 1);
	assert_int_equal(vm_number(f, "b", "ceiling"), 128 * MIB);
	json_decref(call(f, "resume", NULL));
	assert_int_equal(peer_claim(f->peer[1], 64 * MIB), 0);
	assert_int_equal(peer_wait_ceiling(f->peer[1], 192 * MIB, 192 * MIB, PATIENCE_MS), 0);
	bed_stop(f);
}

/* All memory back needs room; then it is left alone, also by a daemon that was started again. */
static void test_release(void **state)
{
	struct fixture *f = start("budget = 1G\nreserve = 0\npolicy = none\n[default]\nfloor = 64M\n", 2);
	struct memtide_state s;

	set_vm(f, "a", "maximum", 256 * MIB);
	wait_number(f, "a", "usable", 256 * MIB, 256 * MIB);
	set_vm(f, "a", "maximum", RAM);
	json_decref(call(f, "vm.release", json_pack("{s:s}", "vm", "a")));
	for (int i = 0; i < PATIENCE_MS && peer_usable(f->peer[0]) != RAM; i++)
		poll(NULL, 0, 1);
	assert_int_equal(peer_usable(f->peer[0]), RAM);
	assert_vm_state(f, "a", "released");
	assert_int_equal(vm_number(f, "a", "charged"), RAM);
	assert_int_equal(controller_call(f->controller, "vm.adopt", json_pack("{s:s}", "vm", "b"), NULL),
			 -EREMOTEIO);

	kill_and_restart(f);
	wait_connections(f, 0, 2);
	wait_vm_state(f, "a", "released");
	json_decref(call(f, "vm.adopt", json_pack("{s:s}", "vm", "a")));
	wait_vm_state(f, "a", "managed");
	assert_int_equal(peer_state(f->peer[0], &s), 0);
	assert_int_equal(s.flags & VIRTIO_TIDE_STATE_RELEASE, 0);
	bed_stop(f);
}

static void test_release_needs_room(void **state)
{
	struct fixture *f = start_pair();

	assert_int_equal(controller_call(f->controller, "vm.release", json_pack("{s:s}", "vm", "b"), NULL),
			 -EREMOTEIO);
	assert_int_equal(vm_number(f, "b", "ceiling"), 128 * MIB);
	assert_vm_state(f, "b", "managed");
	bed_stop(f);
}

/*
 * Three VMs with the real policy: one claims without end, fences without giving and says that it has nothing.  The
 * other two use what they are entitled to, and keep it.
 */
static void test_liar(void **state)
{
	struct fixture *f = start("budget = 768M\nreserve = 32M\npolicy = fair\n[default]\nfloor = 64M\n", 3);
	uint64_t entitled, until;

	for (int i = 0; i < 2; i++)
		peer_set_needs(f->peer[i], 192 * MIB);
	wait_number(f, NULL, "deficit", 0, 0);
	entitled = vm_number(f, "c", "entitlement");
	peer_set_manner(f->peer[2], PEER_LIAR);
	until = peer_now_ns() + UINT64_C(5000000000);
	while (peer_now_ns() < until) {
		peer_claim(f->peer[2], 256 * MIB);
		poll(NULL, 0, 5);
		assert_true(status_number(f, "deficit") == 0);
		for (int i = 0; i < 2; i++)
			assert_true(vm_number(f, names[i], "ceiling") >= 192 * MIB);
	}
	/* Nor has it kept the others from being asked how they are: they say so only then. */
	for (int i = 0; i < 2; i++)
		assert_in_range(vm_number(f, names[i], "stats_age_ms"), 0, 4000);
	print_message("the liar is entitled to %" PRIu64 " MiB and has %" PRIu64 " MiB\n", entitled / MIB,
		      vm_number(f, "c", "ceiling") / MIB);
	/*
	 * What is lent of free memory ends where it is not used; and when the others claim what is theirs they get
	 * it.
	 */
	assert_true(vm_number(f, "c", "charged") <= entitled + 32 * MIB);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(peer_claim(f->peer[i], RAM), 0);
		assert_int_equal(peer_wait_ceiling(f->peer[i], entitled, RAM, PATIENCE_MS), 0);
	}
	assert_true(vm_number(f, "c", "charged") <= entitled);
	bed_stop(f);
}

/*
 * Being started wrongly
 */

static int run_daemon(const char *config, char *text, size_t size)
{
	char path[512], file[] = "/tmp/memtide-config-XXXXXX";
	int out[2], status, fd = mkstemp(file);
	ssize_t n, used = 0;
	pid_t pid;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, config, strlen(config)), (ssize_t)strlen(config));
	close(fd);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	snprintf(path, sizeof(path), "%s/vmm/daemon/memtided", getenv("LAB_BUILD"));
	pid = fork();
	if (!pid) {
		dup2(out[1], 2);
		execl(path, "memtided", "--config", file, NULL);
		_exit(127);
	}
	close(out[1]);
	while (used + 1 < (ssize_t)size && (n = read(out[0], text + used, size - 1 - (size_t)used)) > 0)
		used += n;
	text[used] = '\0';
	close(out[0]);
	waitpid(pid, &status, 0);
	unlink(file);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_wrong_config(void **state)
{
	static const struct {
		const char *config;
		const char *word;
	} wrong[] = {
		{ "[daemon]\nbudjet = 1G\n", "budjet" },
		{ "[daemon]\nbudget = 1024\n", "unit" },
		{ "[demon]\nbudget = 1G\n", "demon" },
		{ "[daemon]\nbudget = 1G\npolicy = nowhere\nvmm-socket = /tmp/x\n", "nowhere" },
		{ "[vm a]\nfloor = 2G\nmaximum = 1G\n", "maximum" },
	};
	char text[4096];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(run_daemon(wrong[i].config, text, sizeof(text)), 1);
		print_message("%s", text);
		assert_non_null(strstr(text, wrong[i].word));
	}
}

static void test_socket_in_use(void **state)
{
	struct fixture *f = start(PAIR_CONFIG, 1);
	char config[512], text[4096];

	snprintf(config, sizeof(config),
		 "[daemon]\nbudget = 1G\npolicy = none\nvmm-socket = %s\ncontrol-socket = %s\n",
		 controller_vmm_socket(f->controller), controller_control_socket(f->controller));
	assert_int_equal(run_daemon(config, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "in use"));
	/* The first one did not notice. */
	assert_int_equal(status_number(f, "nr_vms"), 1);
	bed_stop(f);
}

/* A configuration that is wrong changes nothing; one that is right holds at once. */
static void test_reload(void **state)
{
	struct fixture *f = start_pair();
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s", controller_vmm_socket(f->controller));
	*strrchr(path, '/') = '\0';
	strcat(path, "/memtided.conf");
	file = fopen(path, "ae");
	assert_non_null(file);
	fprintf(file, "nonsense = 1\n");
	fclose(file);
	kill(controller_pid(f->controller), SIGHUP);
	for (int i = 0; i < PATIENCE_MS; i++) {
		json_t *log = call(f, "log", NULL);
		json_t *entries = json_object_get(log, "entries");
		json_t *last = json_array_get(entries, json_array_size(entries) - 1);
		bool said = strstr(json_string_value(json_object_get(last, "message")), "not reloaded") != NULL;

		json_decref(log);
		if (said)
			break;
		poll(NULL, 0, 1);
	}
	assert_int_equal(status_number(f, "budget"), 640 * MIB);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file,
		"[daemon]\nvmm-socket = %s\ncontrol-socket = %s\nstate-directory = %s\nbudget = 2G\npolicy = none\n"
		"[default]\nfloor = 96M\n",
		controller_vmm_socket(f->controller), controller_control_socket(f->controller),
		controller_state(f->controller));
	fclose(file);
	kill(controller_pid(f->controller), SIGHUP);
	wait_number(f, NULL, "budget", 2048 * MIB, 2048 * MIB);
	assert_int_equal(vm_number(f, "a", "floor"), 96 * MIB);
	/* Set by hand before: left alone. */
	assert_int_equal(vm_number(f, "b", "floor"), 64 * MIB);
	bed_stop(f);
}

static void test_dry_run(void **state)
{
	struct fixture *f = start("budget = 640M\nreserve = 0\npolicy = fair\ndry-run = yes\n[default]\nfloor = "
				  "64M\n",
				  2);
	struct memtide_state s;

	peer_claim(f->peer[1], 64 * MIB);
	wait_number(f, NULL, "decisions", 1, UINT64_MAX);
	assert_int_equal(peer_state(f->peer[0], &s), 0);
	assert_int_equal(s.generation, 0);
	assert_int_equal(peer_usable(f->peer[0]), RAM);
	bed_stop(f);
}

/* The policy moves idle guests down, and no claim is needed for it. */
static void test_policy(void **state)
{
	struct fixture *f = start("budget = 768M\nreserve = 64M\npolicy = fair\n[default]\nfloor = 64M\n", 2);

	wait_number(f, NULL, "deficit", 0, 0);
	wait_number(f, NULL, "charged", 0, 768 * MIB);
	assert_true(status_number(f, "moved_bytes") > 0);
	assert_int_equal(
		controller_call(f->controller, "policy.load", json_pack("{s:s}", "policy", "nowhere"), NULL),
		-EREMOTEIO);
	json_decref(call(f, "policy.load", json_pack("{s:s}", "policy", "proxmox")));
	json_decref(call(f, "policy.list", NULL));
	bed_stop(f);
}

/* [PATTERN]: only the tests whose names match. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transfer),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_restart_mid_transfer),
		cmocka_unit_test(test_second_uuid),
		cmocka_unit_test(test_two_in_a_process),
		cmocka_unit_test(test_no_seals),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_vanish),
		cmocka_unit_test(test_claimant_vanishes),
		cmocka_unit_test(test_unanswering),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_release_needs_room),
		cmocka_unit_test(test_liar),
		cmocka_unit_test(test_wrong_config),
		cmocka_unit_test(test_socket_in_use),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_dry_run),
		cmocka_unit_test(test_policy),
	};

	signal(SIGPIPE, SIG_IGN);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
