// SPDX-License-Identifier: GPL-2.0-or-later
/* The control protocol: what is asked wrongly is answered in words, and whatever is said the daemon goes on. */
#include "unit.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control-socket.h"
#include "control.h"
#include "manager.h"

struct fixture {
	struct manager *manager;
	struct loop_timer timer;
	char dir[32];
	char path[64];
	int socket;
};

static struct fixture fixture;

static void stop_expired(struct loop_timer *timer)
{
	loop_stop(fixture.manager->loop);
}

/* Let the daemon work until there is something to read, or for a while. */
static void run_daemon(unsigned int ms)
{
	struct pollfd answer = { .fd = fixture.socket, .events = POLLIN };

	for (unsigned int i = 0; i < ms && poll(&answer, 1, 0) == 0; i++) {
		loop_timer_set(fixture.manager->loop, &fixture.timer, loop_clock() + NSEC_PER_MSEC);
		assert_int_equal(loop_run(fixture.manager->loop), 0);
	}
}

static int connect_client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture.path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int set_up(void **state)
{
	struct manager_options options = { .same_process = true };
	struct memtide_errtext errtext = { .text = "" };
	struct memtide_config config;

	strcpy(fixture.dir, "/tmp/memtide-unit-XXXXXX");
	if (!mkdtemp(fixture.dir))
		return -1;
	snprintf(fixture.path, sizeof(fixture.path), "%s/control.sock", fixture.dir);
	if (memtide_config_parse("[daemon]\nbudget = 1G\npolicy = none\n", "test", &config, &errtext) < 0 ||
	    manager_new(&options, &config, &fixture.manager, &errtext) < 0 ||
	    control_server_new(fixture.manager, fixture.path, &fixture.manager->control, &errtext) < 0 ||
	    loop_timer_register(fixture.manager->loop, &fixture.timer, stop_expired) < 0) {
		print_message("%s\n", errtext.text);
		return -1;
	}
	fixture.socket = connect_client();
	return 0;
}

static int tear_down(void **state)
{
	char lock[80];

	close(fixture.socket);
	loop_timer_unregister(fixture.manager->loop, &fixture.timer);
	manager_free(fixture.manager);
	snprintf(lock, sizeof(lock), "%s.lock", fixture.path);
	unlink(lock);
	return rmdir(fixture.dir);
}

static void say(const char *text, size_t size)
{
	assert_int_equal(send(fixture.socket, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

static json_t *hear(void)
{
	static char line[MEMTIDE_CONTROL_LINE_MAX + 1];
	size_t used = 0;
	json_t *json;

	do {
		ssize_t n;

		run_daemon(2000);
		n = recv(fixture.socket, line + used, 1, MSG_DONTWAIT);
		assert_int_equal(n, 1);
		used++;
	} while (line[used - 1] != '\n');
	json = json_loadb(line, used, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "jsonrpc")), "2.0");
	return json;
}

static json_t *ask(const char *line)
{
	say(line, strlen(line));
	say("\n", 1);
	return hear();
}

static void test_errors(void **state)
{
	static const struct {
		const char *line;
		int code;
		const char *word;
	} wrong[] = {
		{ "nonsense", -32700, "JSON" },
		{ "{\"id\": 1", -32700, "JSON" },
		{ "[1, 2]", -32600, "object" },
		{ "{\"id\": 1}", -32600, "method" },
		{ "{\"id\": 1, \"method\": 7}", -32600, "method" },
		{ "{\"id\": 1, \"method\": \"status\", \"params\": []}", -32600, "params" },
		{ "{\"id\": 1, \"method\": \"fly\"}", MEMTIDE_ERROR_METHOD, "fly" },
		{ "{\"id\": 1, \"method\": \"vm.show\"}", MEMTIDE_ERROR_PARAMS, "vm" },
		{ "{\"id\": 1, \"method\": \"vm.show\", \"params\": {\"vm\": {}}}", MEMTIDE_ERROR_PARAMS, "vm" },
		{ "{\"id\": 1, \"method\": \"vm.show\", \"params\": {\"vm\": \"web\"}}", MEMTIDE_ERROR_NO_VM,
		  "web" },
		{ "{\"id\": 1, \"method\": \"vm.set\", \"params\": {\"vm\": 9}}", MEMTIDE_ERROR_NO_VM, "id" },
		{ "{\"id\": 1, \"method\": \"policy.load\"}", MEMTIDE_ERROR_PARAMS, "policy" },
		{ "{\"id\": 1, \"method\": \"policy.load\", \"params\": {\"policy\": \"nowhere\"}}",
		  MEMTIDE_ERROR_POLICY, "nowhere" },
		{ "{\"id\": 1, \"method\": \"policy.load\", \"params\": {\"policy\": \"/dev/null\"}}",
		  MEMTIDE_ERROR_POLICY, "" },
		{ "{\"id\": 1, \"method\": \"policy.load\", \"params\": {\"policy\": \"x\", \"knobs\": {\"a\": "
		  "[]}}}",
		  MEMTIDE_ERROR_PARAMS, "\"a\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		json_t *json = ask(wrong[i].line), *error = json_object_get(json, "error");

		if (json_integer_value(json_object_get(error, "code")) != wrong[i].code ||
		    !strstr(json_string_value(json_object_get(error, "message")), wrong[i].word))
			fail_msg("%s is answered by %s", wrong[i].line, json_dumps(json, 0));
		json_decref(json);
	}
}

static void test_status(void **state)
{
	json_t *json = ask("{\"jsonrpc\": \"2.0\", \"id\": \"seven\", \"method\": \"status\", \"params\": {}}");
	json_t *result = json_object_get(json, "result");

	assert_string_equal(json_string_value(json_object_get(json, "id")), "seven");
	assert_int_equal(json_integer_value(json_object_get(result, "budget")), GIB);
	assert_string_equal(json_string_value(json_object_get(result, "budget_mode")), "fixed");
	assert_true(json_is_null(json_object_get(result, "policy")));
	assert_int_equal(json_array_size(json_object_get(result, "vms")), 0);
	json_decref(json);
}

/* Lines come in pieces and in packs, and a notification is not answered. */
static void test_lines(void **state)
{
	static const char pack[] = "{\"method\": \"status\"}\n\n{\"id\": 1, \"method\": \"pause\"}\n{\"id\": 2, "
				   "\"method\": \"resume\"}\n";
	json_t *json;

	for (size_t i = 0; i < sizeof(pack) - 1; i += 7) {
		say(pack + i, i + 7 < sizeof(pack) ? 7 : sizeof(pack) - 1 - i);
		run_daemon(1);
	}
	json = hear();
	assert_int_equal(json_integer_value(json_object_get(json, "id")), 1);
	assert_true(json_is_true(json_object_get(json_object_get(json, "result"), "paused")));
	json_decref(json);
	json = hear();
	assert_int_equal(json_integer_value(json_object_get(json, "id")), 2);
	assert_true(json_is_false(json_object_get(json_object_get(json, "result"), "paused")));
	json_decref(json);
}

/* More lines than one turn serves are all answered. */
static void test_many_lines(void **state)
{
	for (int i = 0; i < 200; i++)
		say("{\"id\": 1, \"method\": \"vm.list\"}\n", 31);
	for (int i = 0; i < 200; i++)
		json_decref(hear());
}

static void test_log(void **state)
{
	json_t *json, *entries, *params;
	json_int_t next;

	json_decref(ask("{\"id\": 1, \"method\": \"pause\"}"));
	json = ask("{\"id\": 1, \"method\": \"log\", \"params\": {\"follow\": true}}");
	entries = json_object_get(json_object_get(json, "result"), "entries");
	next = json_integer_value(json_object_get(json_object_get(json, "result"), "next"));
	assert_true(json_array_size(entries) > 0);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(entries, json_array_size(entries) - 1), "seq")),
		next);
	json_decref(json);
	/* The entry comes as a notification, before or after the answer. */
	say("{\"id\": 5, \"method\": \"resume\"}\n", 30);
	for (int i = 0; i < 2; i++) {
		json = hear();
		if (json_object_get(json, "method")) {
			assert_string_equal(json_string_value(json_object_get(json, "method")), "log");
			params = json_object_get(json, "params");
			assert_int_equal(json_integer_value(json_object_get(params, "seq")), next + 1);
		} else {
			assert_int_equal(json_integer_value(json_object_get(json, "id")), 5);
		}
		json_decref(json);
	}
}

/* Who says too much without a newline, or reads nothing, is hung up on; the others are served. */
static void test_bounds(void **state)
{
	static char line[64 * 1024];
	int other = fixture.socket;
	ssize_t n = 1;

	memset(line, ' ', sizeof(line));
	for (int i = 0; i < 40 && n > 0; i++) {
		n = send(fixture.socket, line, sizeof(line), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			n = 1;
		run_daemon(2);
	}
	assert_int_equal(n, -1);
	fixture.socket = connect_client();
	json_decref(ask("{\"id\": 1, \"method\": \"status\"}"));
	close(other);
}

static void test_garbage(void **state)
{
	uint64_t seed = 3;
	char line[256];

	for (int turn = 0; turn < 2000; turn++) {
		size_t size = unit_below(&seed, sizeof(line) - 1) + 1;

		for (size_t i = 0; i < size; i++)
			line[i] = "{}[]\":,0n\\u\1\377 tfme"[unit_below(&seed, 19)];
		line[size] = '\0';
		if (!strchr(line, '\n') && send(fixture.socket, line, size, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
			say("\n", 1);
		while (recv(fixture.socket, line, sizeof(line), MSG_DONTWAIT) > 0)
			;
		loop_timer_set(fixture.manager->loop, &fixture.timer, loop_clock());
		assert_int_equal(loop_run(fixture.manager->loop), 0);
	}
	close(fixture.socket);
	fixture.socket = connect_client();
	json_decref(ask("{\"id\": 1, \"method\": \"status\"}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_status, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_log, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_garbage, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
