// SPDX-License-Identifier: GPL-2.0-or-later
/* Whoever started the daemon is told how far it is, where the environment says how, and nothing breaks elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"
#include "notify.h"

/* A supervisor's socket at @path, which the environment names as @name. */
static int listen_at(const struct sockaddr_un *address, socklen_t size, const char *name)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)address, size), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static void assert_told(int fd, const char *state)
{
	char text[64];
	ssize_t n = recv(fd, text, sizeof(text), 0);

	assert_int_equal(n, strlen(state));
	assert_memory_equal(text, state, n);
}

static void test_file(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char folder[] = "/tmp/memtide-notify.XXXXXX";
	int fd;

	assert_non_null(mkdtemp(folder));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);
	fd = listen_at(&address, sizeof(address), address.sun_path);
	notify_supervisor(NOTIFY_READY);
	notify_supervisor(NOTIFY_STOPPING);
	assert_told(fd, "READY=1");
	assert_told(fd, "STOPPING=1");
	close(fd);
	unlink(address.sun_path);
	rmdir(folder);
}

static void test_abstract(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "@memtide-notify-%d", (int)getpid());
	memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
	fd = listen_at(&address, offsetof(struct sockaddr_un, sun_path) + strlen(name), name);
	notify_supervisor(NOTIFY_READY);
	assert_told(fd, "READY=1");
	close(fd);
}

static void test_nobody(void **state)
{
	char longest[200] = "/";

	unsetenv("NOTIFY_SOCKET");
	notify_supervisor(NOTIFY_READY);
	setenv("NOTIFY_SOCKET", "", 1);
	notify_supervisor(NOTIFY_READY);
	setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
	notify_supervisor(NOTIFY_READY);
	setenv("NOTIFY_SOCKET", "relative", 1);
	notify_supervisor(NOTIFY_READY);
	memset(longest + 1, 'x', sizeof(longest) - 2);
	setenv("NOTIFY_SOCKET", longest, 1);
	notify_supervisor(NOTIFY_READY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_abstract),
		cmocka_unit_test(test_nobody),
	};

	log_open("/dev/null");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
