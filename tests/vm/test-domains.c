// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvirt's domains: the real hook, called as libvirt calls it, and the real memtided, with made-up VMs.  What a
 * domain's policy says holds for its VM, whoever is killed in between; and no failure keeps a VM from starting but
 * the two that are meant to.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "domains-bed.h"

/*
 * From start to end
 */

static void test_start_to_end(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	print_message("prepare with room took %" PRIu64 " ms\n", hook_took_ms);
	assert_string_equal(hook_output, "");
	assert_phase(f, "a", "prepared");
	/* Its maximum is held for it. */
	assert_int_equal(domain_number(f, "a", "held"), 384 * MIB);
	assert_int_equal(status_number(f, "charged"), 384 * MIB);
	assert_hook(&a, "start", 0);
	start_peer_as(f, 0, false);
	assert_policy_of_a(f);
	assert_phase(f, "a", "running");
	assert_int_equal(domain_number(f, "a", "held"), 0);
	assert_int_equal(domain_number(f, "a", "vm"), vm_number(f, "a", "id"));
	assert_hook(&a, "started", 0);
	assert_policy_of_a(f);
	peer_kill(f->peer[0]);
	assert_hook(&a, "stopped", 0);
	assert_hook(&a, "release", 0);
	assert_int_equal(nr_domains(f), 0);
	assert_int_equal(status_number(f, "charged"), 0);
	stop(f);
}

/* QEMU never comes: what was held is free again. */
static void test_start_fails(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	assert_hook(&a, "stopped", 0);
	assert_int_equal(nr_domains(f), 0);
	assert_int_equal(status_number(f, "charged"), 0);
	assert_hook(&a, "release", 0);
	stop(f);
}

/* No hook is called by libvirt then, or none that is heard. */
static void test_crash(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	start_peer(f, 0);
	peer_kill(f->peer[0]);
	wait_no_domain(f);
	stop(f);
}

/* A VM that was there before its domain was known gets its policy when it is. */
static void test_found_running(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	start_peer(f, 0);
	assert_int_equal(vm_number(f, "a", "floor"), 64 * MIB);
	assert_hook(&a, "reconnect", 0);
	assert_policy_of_a(f);
	stop(f);
}

/* Without a device it is charged all of its memory for as long as its process lives. */
static void test_without_device(void **state)
{
	struct hook_domain plain = b;
	struct fixture *f = start(CONFIG("4G"));
	pid_t pid = start_process();

	plain.no_device = 1;
	assert_hook(&plain, "prepare", 0);
	write_pid(f, "b", pid);
	assert_hook(&plain, "started", 0);
	assert_phase(f, "b", "running");
	assert_int_equal(domain_number(f, "b", "pid"), pid);
	assert_int_equal(status_number(f, "charged"), RAM);
	kill_and_restart(f);
	assert_int_equal(status_number(f, "charged"), RAM);
	end_process(pid);
	wait_no_domain(f);
	assert_int_equal(status_number(f, "charged"), 0);
	stop(f);
}

/*
 * Refusing
 */

static void test_floors(void **state)
{
	struct hook_domain greedy = b;
	struct fixture *f = start(CONFIG("512M"));

	greedy.policy = "<memtide:floor>448MiB</memtide:floor>";
	assert_hook(&a, "prepare", 0);
	assert_hook(&greedy, "prepare", 1);
	print_message("%s", hook_output);
	assert_non_null(strstr(hook_output, "does not start b"));
	assert_non_null(strstr(hook_output, "floor of 448 MiB and the others' of 128 MiB do not fit the budget of 512 MiB"));
	assert_int_equal(nr_domains(f), 1);
	assert_hook(&greedy, "stopped", 0);
	/* Once the other one is gone there is room for it. */
	assert_hook(&a, "release", 0);
	assert_hook(&greedy, "prepare", 0);
	stop(f);
}

static void test_floors_warn(void **state)
{
	struct hook_domain greedy = b;
	struct fixture *f = start("floor-admission = warn\n" CONFIG("512M"));

	greedy.policy = "<memtide:floor>448MiB</memtide:floor>";
	assert_hook(&a, "prepare", 0);
	start_peer(f, 0);
	assert_hook(&greedy, "prepare", 0);
	assert_non_null(strstr(hook_output, "do not fit the budget"));
	start_peer_as(f, 1, false);
	assert_int_equal(vm_number(f, "b", "floor"), 384 * MIB);
	stop(f);
}

static void test_wrong_policy(void **state)
{
	static const struct {
		const char *policy, *words;
	} wrong[] = {
		{ "<memtide:floor>512</memtide:floor>", "a size needs a unit" },
		{ "<memtide:floor>1GiB</memtide:floor>", "above the domain's <memory>" },
		{ "<memtide:flour>1MiB</memtide:flour>", "flour" },
	};
	struct hook_domain bad = a;
	struct fixture *f = start(CONFIG("4G"));

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		bad.policy = wrong[i].policy;
		assert_hook(&bad, "prepare", 1);
		assert_non_null(strstr(hook_output, wrong[i].words));
		assert_non_null(strstr(hook_output, "line "));
		/* What runs is never refused. */
		assert_hook(&bad, "reconnect", 0);
		assert_hook(&bad, "started", 0);
		assert_hook(&bad, "stopped", 0);
		assert_hook(&bad, "release", 0);
	}
	assert_int_equal(nr_domains(f), 0);
	stop(f);
}

/*
 * Failing
 */

static const char *const operations[] = { "prepare", "start", "started", "reconnect", "attach", "stopped", "release" };

#define NR_OPERATIONS	(sizeof(operations) / sizeof(operations[0]))

static void assert_all_succeed(uint64_t most_ms)
{
	for (size_t i = 0; i < NR_OPERATIONS; i++) {
		assert_hook(&a, operations[i], 0);
		if (hook_took_ms > most_ms)
			fail_msg("%s took %" PRIu64 " ms", operations[i], hook_took_ms);
	}
}

static void test_no_daemon(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	controller_kill(f->controller);
	assert_all_succeed(SLACK_MS);
	assert_hook(&a, "prepare", 0);
	assert_non_null(strstr(hook_output, "memtided is not running"));
	hook_config = "/nowhere/memtided.conf";
	assert_all_succeed(SLACK_MS);
	assert_int_equal(controller_restart(f->controller, NULL), 0);
	stop(f);
}

/* Listens like a daemon, and does with clients as @answer says. */
static int fake_daemon(char *path, char *config, const char *time)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FILE *file;

	strcpy(path, "/tmp/memtide-fake-XXXXXX");
	assert_non_null(mkdtemp(path));
	sprintf(config, "%s/memtided.conf", path);
	sprintf(address.sun_path, "%s/control.sock", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	file = fopen(config, "we");
	assert_non_null(file);
	fprintf(file, "[daemon]\ncontrol-socket = %s\nhook-time = %s\n", address.sun_path, time);
	fclose(file);
	hook_config = config;
	return fd;
}

static void fake_gone(int fd, const char *path)
{
	char file[128];

	close(fd);
	snprintf(file, sizeof(file), "%s/memtided.conf", path);
	unlink(file);
	snprintf(file, sizeof(file), "%s/control.sock", path);
	unlink(file);
	rmdir(path);
}

/* One that hangs: connections are taken by the kernel until its queue is full, and then not even that. */
static void test_hung_daemon(void **state)
{
	char path[64], config[96];
	int fd = fake_daemon(path, config, "200ms");

	assert_all_succeed(200 + SLACK_MS);
	assert_hook(&a, "prepare", 0);
	assert_true(hook_took_ms >= 150);
	assert_non_null(strstr(hook_output, "in time"));
	fake_gone(fd, path);
}

static void test_nonsense(void **state)
{
	static const char *const answers[] = {
		"", "\n", "x\n", "{}\n", "[]\n", "{\"result\": 7}\n", "{\"result\": {}}\n",
		"{\"result\": {\"verdict\": \"dance\", \"missing\": \"x\"}}\n",
		"{\"result\": {\"verdict\": 1}}\n", "{\"error\": {\"code\": 2, \"message\": \"not allowed\"}}\n",
		"{\"error\": 7}\n", "{\"result\": {\"verdict\": \"start\", \"mess",
	};
	char path[64], config[96];
	int fd = fake_daemon(path, config, "10s");

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		pid_t pid = fork();

		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;) {
				int client = accept(fd, NULL, NULL);
				char request[65536];

				if (recv(client, request, sizeof(request), 0) > 0 &&
				    send(client, answers[i], strlen(answers[i]), MSG_NOSIGNAL) < 0)
					_exit(1);
				close(client);
			}
		}
		for (size_t o = 0; o < NR_OPERATIONS; o++)
			assert_hook(&a, operations[o], 0);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	fake_gone(fd, path);
}

/* Documents that nobody can read: too large, none at all, broken without a policy in it. */
static void test_documents(void **state)
{
	static const char *const broken[] = { "", "<domain>", "no XML", "<domain><name>a</name></domain>",
					      "<domain><memory unit='dog years'>1</memory></domain>" };
	struct fixture *f = start(CONFIG("4G"));
	size_t size = 5 * MIB;
	char *large = malloc(size), *xml = hook_xml(&a);

	for (size_t i = 0; i < NR_OPERATIONS; i++)
		for (size_t j = 0; j < sizeof(broken) / sizeof(broken[0]); j++)
			assert_int_equal(hook_call_bytes("a", operations[i], broken[j], -1), 0);
	memset(large, ' ', size);
	memcpy(large, xml, strlen(xml));
	assert_int_equal(hook_call_bytes("a", "prepare", large, size), 0);
	assert_int_equal(nr_domains(f), 0);
	/* Broken with a policy in it: that may be what is wrong. */
	memcpy(large, xml, strlen(xml) - 3);
	assert_int_equal(hook_call_bytes("a", "prepare", large, strlen(xml) - 3), 1);
	free(large);
	free(xml);
	stop(f);
}

static void test_unknown_operations(void **state)
{
	static const char *const unknown[] = { "migrate", "restore", "save", "dance", "" };
	struct fixture *f = start(CONFIG("4G"));

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		assert_hook(&a, unknown[i], 0);
		assert_string_equal(hook_output, "");
	}
	assert_int_equal(nr_domains(f), 0);
	stop(f);
}

/*
 * Making room
 */

/* Who has more than it is entitled to gives it, and the answer comes when it is there. */
static void test_room(void **state)
{
	struct hook_domain big = a;
	struct fixture *f = start("hook-time = 30s\n" CONFIG("640M"));

	big.policy = "";
	assert_hook(&big, "prepare", 0);
	start_peer(f, 0);
	assert_int_equal(peer_usable(f->peer[0]), RAM);
	assert_hook(&b, "prepare", 0);
	print_message("room of 192 MiB from a donor: prepare took %" PRIu64 " ms\n", hook_took_ms);
	assert_true(hook_took_ms < 15000);
	assert_int_equal(domain_number(f, "b", "held"), 320 * MIB);
	assert_int_equal(vm_number(f, "a", "ceiling"), 320 * MIB);
	assert_int_equal(status_number(f, "charged"), 640 * MIB);
	assert_int_equal(status_number(f, "deficit"), 0);
	/* Nobody else gets it meanwhile. */
	assert_int_equal(peer_claim(f->peer[0], 64 * MIB), 0);
	while (!peer_denials(f->peer[0]))
		poll(NULL, 0, 1);
	assert_int_equal(domain_number(f, "b", "held"), 320 * MIB);
	stop(f);
}

/* A donor that does not answer: the VM starts with what there is when the time is up. */
static void test_no_room(void **state)
{
	struct hook_domain big = a;
	struct fixture *f = start("hook-time = 3s\n" CONFIG("640M"));

	big.policy = "";
	assert_hook(&big, "prepare", 0);
	start_peer(f, 0);
	peer_set_manner(f->peer[0], PEER_MUTE);
	assert_hook(&b, "prepare", 0);
	assert_true(hook_took_ms >= 1500 && hook_took_ms < 3000 + SLACK_MS);
	assert_non_null(strstr(hook_output, "less than it is entitled to"));
	assert_int_equal(domain_number(f, "b", "held"), 128 * MIB);
	stop(f);
}

/* Nobody has more than it is entitled to: there is nothing to wait for. */
static void test_nobody_gives(void **state)
{
	struct hook_domain big = a;
	struct fixture *f = start("hook-time = 30s\n" CONFIG("640M"));

	big.policy = "<memtide:floor>512MiB</memtide:floor>";
	assert_hook(&big, "prepare", 0);
	start_peer(f, 0);
	assert_hook(&b, "prepare", 0);
	assert_true(hook_took_ms < 15000);
	assert_int_equal(domain_number(f, "b", "held"), 128 * MIB);
	stop(f);
}

/* Who would rather give, and who would rather not: both hold as much beyond what they are entitled to. */
static void donate(const char *of_a, uint64_t a_keeps, uint64_t b_keeps)
{
	struct hook_domain donor = a, claimant = c;
	struct fixture *f = start(CONFIG("1152M"));

	donor.policy = of_a;
	assert_hook(&donor, "prepare", 0);
	start_peer(f, 0);
	assert_hook(&b, "prepare", 0);
	start_peer(f, 1);
	claimant.policy = "<memtide:maximum>128MiB</memtide:maximum>";
	assert_hook(&claimant, "prepare", 0);
	start_peer(f, 2);
	wait_charged(f, 1152 * MIB);
	json_decref(call(f, "vm.set", json_pack("{s:s, s:I}", "vm", "c", "maximum", (json_int_t)RAM)));
	assert_int_equal(peer_claim(f->peer[2], 64 * MIB), 0);
	assert_int_equal(peer_wait_ceiling(f->peer[2], 192 * MIB, 192 * MIB, PATIENCE_MS), 0);
	assert_int_equal(vm_number(f, "a", "ceiling"), a_keeps);
	assert_int_equal(vm_number(f, "b", "ceiling"), b_keeps);
	stop(f);
}

static void test_donors_in_order(void **state)
{
	donate("<memtide:balance donate='last'/>", 512 * MIB, 448 * MIB);
	donate("<memtide:balance donate='first'/>", 448 * MIB, 512 * MIB);
}

/*
 * By hand, and live
 */

static void test_by_hand(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	start_peer(f, 0);
	json_decref(call(f, "vm.set", json_pack("{s:s, s:I}", "vm", "a", "floor", (json_int_t)(192 * MIB))));
	assert_hook(&a, "reconnect", 0);
	assert_int_equal(vm_number(f, "a", "floor"), 192 * MIB);
	kill(controller_pid(f->controller), SIGHUP);
	json_decref(call(f, "domain.metadata", json_pack("{s:s, s:{s:I}}", "uuid", "42424242-4242-4242-4242-424200000001",
							 "policy", "floor", (json_int_t)(256 * MIB))));
	assert_int_equal(vm_number(f, "a", "floor"), 192 * MIB);
	/* Given back, it is as its policy says by now. */
	json_decref(call(f, "vm.release", json_pack("{s:s}", "vm", "a")));
	json_decref(call(f, "vm.adopt", json_pack("{s:s}", "vm", "a")));
	assert_int_equal(vm_number(f, "a", "floor"), 256 * MIB);
	stop(f);
}

static void test_metadata(void **state)
{
	struct fixture *f = start(CONFIG("1G"));

	assert_hook(&a, "prepare", 0);
	start_peer(f, 0);
	assert_int_equal(set_policy(f, json_pack("{s:I, s:i}", "floor", (json_int_t)(192 * MIB), "shares", 300)), 0);
	assert_int_equal(vm_number(f, "a", "floor"), 192 * MIB);
	assert_int_equal(vm_number(f, "a", "maximum"), RAM);
	assert_int_equal(vm_number(f, "a", "shares"), 300);
	/* What does not fit changes nothing. */
	assert_hook(&b, "prepare", 0);
	json_decref(call(f, "status", NULL));
	assert_int_equal(set_policy(f, json_pack("{s:I, s:I}", "floor", (json_int_t)(256 * MIB), "maximum", (json_int_t)MIB)),
			 -EREMOTEIO);
	assert_int_equal(vm_number(f, "a", "floor"), 192 * MIB);
	kill_and_restart(f);
	wait_connections(f, 0, 2);
	assert_int_equal(vm_number(f, "a", "floor"), 192 * MIB);
	assert_int_equal(vm_number(f, "a", "shares"), 300);
	/* None any more: as the configuration says. */
	assert_int_equal(set_policy(f, json_null()), 0);
	assert_int_equal(vm_number(f, "a", "floor"), 64 * MIB);
	stop(f);
}

/*
 * kill -9 between any two steps
 */

static void test_killed_before_hello(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	kill_and_restart(f);
	assert_phase(f, "a", "prepared");
	assert_int_equal(domain_number(f, "a", "held"), 384 * MIB);
	start_peer(f, 0);
	assert_policy_of_a(f);
	stop(f);
}

static void test_killed_while_running(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	start_peer(f, 0);
	kill_and_restart(f);
	wait_connections(f, 0, 2);
	assert_policy_of_a(f);
	assert_phase(f, "a", "running");
	assert_hook(&a, "started", 0);
	kill_and_restart(f);
	wait_connections(f, 0, 3);
	assert_policy_of_a(f);
	peer_kill(f->peer[0]);
	wait_no_domain(f);
	assert_int_equal(status_number(f, "charged"), 0);
	stop(f);
}

/* It ends while nobody looks. */
static void test_ends_unseen(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	start_peer(f, 0);
	json_decref(call(f, "status", NULL));
	assert_hook(&a, "started", 0);
	controller_kill(f->controller);
	peer_kill(f->peer[0]);
	assert_hook(&a, "stopped", 0);
	assert_hook(&a, "release", 0);
	assert_int_equal(controller_restart(f->controller, NULL), 0);
	assert_int_equal(nr_domains(f), 0);
	assert_int_equal(status_number(f, "charged"), 0);
	stop(f);
}

/* What was answered is in the file, and what is not answered does no harm. */
static void test_killed_after_end(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	assert_hook(&a, "prepare", 0);
	assert_hook(&b, "prepare", 0);
	assert_hook(&a, "release", 0);
	kill_and_restart(f);
	assert_int_equal(nr_domains(f), 1);
	assert_phase(f, "b", "prepared");
	assert_hook(&b, "release", 0);
	kill_and_restart(f);
	assert_int_equal(nr_domains(f), 0);
	stop(f);
}

/*
 * At random moments.
 */

static uint32_t random_now;

static void *kill_daemon(void *arg)
{
	struct fixture *f = arg;
	struct timespec wait = { .tv_nsec = (long)(random_now % 4000) * 1000 };

	/* Until the hook is somewhere between its first step and its last. */
	nanosleep(&wait, NULL);
	kill(controller_pid(f->controller), SIGKILL);
	return NULL;
}

/* The hook succeeds whatever becomes of memtided meanwhile, which is then started again. */
static void hook_and_kill(struct fixture *f, const char *operation)
{
	pthread_t thread;

	random_now = random_now * 1664525 + 1013904223;
	assert_int_equal(pthread_create(&thread, NULL, kill_daemon, f), 0);
	assert_hook(&a, operation, 0);
	pthread_join(thread, NULL);
	kill_and_restart(f);
}

/* What was answered holds; what was not is made up for by what libvirt tells next. */
static void test_killed_at_random(void **state)
{
	const char *count = getenv("DOMAIN_KILLS");
	int rounds = count ? atoi(count) : 10;
	struct fixture *f = start(CONFIG("4G"));

	random_now = (uint32_t)peer_now_ns();
	print_message("begins with %" PRIu32 "\n", random_now);
	for (int i = 0; i < rounds; i++) {
		hook_and_kill(f, "prepare");
		if (nr_domains(f))
			assert_int_equal(domain_number(f, "a", "held"), 384 * MIB);
		start_peer(f, 0);
		hook_and_kill(f, "started");
		wait_connections(f, 0, 2);
		hook_and_kill(f, "reconnect");
		wait_connections(f, 0, 3);
		assert_hook(&a, "reconnect", 0);
		assert_policy_of_a(f);
		wait_charged(f, 384 * MIB);
		peer_free(f->peer[0]);
		f->peer[0] = NULL;
		hook_and_kill(f, "stopped");
		assert_hook(&a, "release", 0);
		wait_no_domain(f);
		wait_charged(f, 0);
	}
	stop(f);
}

/* A file that is no good is passed over. */
static void test_bad_file(void **state)
{
	struct fixture *f = start(CONFIG("4G"));
	char path[256];
	FILE *file;

	assert_hook(&a, "prepare", 0);
	assert_hook(&b, "prepare", 0);
	snprintf(path, sizeof(path), "%s/domains/42424242-4242-4242-4242-424200000001.json",
		 controller_state(f->controller));
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "{ \"boot\": ");
	fclose(file);
	kill_and_restart(f);
	assert_int_equal(nr_domains(f), 1);
	assert_phase(f, "b", "prepared");
	stop(f);
}

/* [PATTERN]: only the tests whose names match. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start_to_end),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_found_running),
		cmocka_unit_test(test_without_device),
		cmocka_unit_test(test_floors),
		cmocka_unit_test(test_floors_warn),
		cmocka_unit_test(test_wrong_policy),
		cmocka_unit_test(test_no_daemon),
		cmocka_unit_test(test_hung_daemon),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_unknown_operations),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_nobody_gives),
		cmocka_unit_test(test_donors_in_order),
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_killed_before_hello),
		cmocka_unit_test(test_killed_while_running),
		cmocka_unit_test(test_ends_unseen),
		cmocka_unit_test(test_killed_after_end),
		cmocka_unit_test(test_killed_at_random),
		cmocka_unit_test(test_bad_file),
	};

	signal(SIGPIPE, SIG_IGN);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
