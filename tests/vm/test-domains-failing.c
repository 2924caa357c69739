// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The libvirt hook keeps no VM from starting, whatever is the matter: memtided is gone, hangs or talks nonsense,
 * nobody can read the document or knows the operation.  It is called as libvirt calls it.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domains-bed.h"

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
	assert_true(hook_took_ms >= 100);
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

/* [PATTERN]: only the tests whose names match. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_daemon),
		cmocka_unit_test(test_hung_daemon),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_unknown_operations),
	};

	signal(SIGPIPE, SIG_IGN);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
