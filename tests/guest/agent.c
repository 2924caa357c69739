// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The lab's hand inside a test guest: reads commands, a line each, from a virtio console port and answers with
 * "ok LENGTH\n" or "error LENGTH\n" and LENGTH bytes.  It makes real load with real memory (load.c), reads and writes
 * files of the kernel, and loads modules; what a test wants to know it works out itself, on the other side.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hostile.h"
#include "load.h"
#include "twins.h"

#define LINE_MAX_BYTES	4096
#define ARGS_MAX	8
#define FILE_MAX_BYTES	(256 * 1024)

struct command {
	const char *name;
	int args;
	int (*run)(char **arg);
};

static int port;

static void send_all(const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(port, data, length);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			exit(1);
		if (n > 0) {
			data += n;
			length -= n;
		}
	}
}

static void answer(const char *word, const char *data, size_t length)
{
	char head[32];
	int n = snprintf(head, sizeof(head), "%s %zu\n", word, length);

	send_all(head, n);
	send_all(data, length);
}

__attribute__((format(printf, 1, 2))) static int ok(const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	answer("ok", text, strlen(text));
	return 0;
}

static int cmd_read(char **arg)
{
	char *data = malloc(FILE_MAX_BYTES);
	size_t used = 0;
	ssize_t n = -1;
	int fd = open(arg[0], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int err;

	while (fd >= 0 && (n = read(fd, data + used, FILE_MAX_BYTES - used)) > 0)
		used += n;
	err = errno;
	if (fd >= 0)
		close(fd);
	if (fd < 0 || (n < 0 && err != EAGAIN)) {
		free(data);
		return -err;
	}
	answer("ok", data, used);
	free(data);
	return 0;
}

static int cmd_write(char **arg)
{
	int fd = open(arg[0], O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, arg[1], strlen(arg[1]));
	close(fd);
	return n < 0 ? -errno : ok("%zd", n);
}

static int cmd_insmod(char **arg)
{
	int fd = open(arg[0], O_RDONLY | O_CLOEXEC);
	long r;

	if (fd < 0)
		return -errno;
	r = syscall(SYS_finit_module, fd, arg[1] ? arg[1] : "", 0);
	r = r < 0 ? -errno : 0;
	close(fd);
	return r ? r : ok("loaded");
}

static int cmd_rmmod(char **arg)
{
	if (syscall(SYS_delete_module, arg[0], O_NONBLOCK) < 0)
		return -errno;
	return ok("unloaded");
}

static int cmd_fill(char **arg)
{
	uint64_t ns;
	int r = fill_memory(strtoull(arg[0], NULL, 0), &ns);

	return r ? r : ok("%" PRIu64, ns);
}

static int cmd_check(char **arg)
{
	uint64_t bad;

	if (check_memory(&bad))
		return -EIO;
	return ok("intact");
}

static int cmd_keep(char **arg)
{
	keep_memory(strtoul(arg[0], NULL, 0));
	return ok("kept");
}

static int cmd_burst(char **arg)
{
	int r = burst_start(strtoull(arg[0], NULL, 0), strtoul(arg[1], NULL, 0));

	return r ? r : ok("started");
}

static int cmd_burst_wait(char **arg)
{
	uint64_t ns;
	int r = burst_wait(&ns);

	return r ? r : ok("%" PRIu64, ns);
}

static int cmd_load(char **arg)
{
	int r = load_start(strtoull(arg[0], NULL, 0), arg[1], strtod(arg[2], NULL));

	return r ? r : ok("started");
}

static int cmd_pace(char **arg)
{
	load_pace(strtoul(arg[0], NULL, 0));
	return ok("set");
}

static int cmd_ops(char **arg)
{
	return ok("%" PRIu64 " %d", load_operations(), load_alive());
}

static int cmd_mount(char **arg)
{
	int r = load_mount(arg[0], arg[1]);

	return r ? r : ok("mounted");
}

static int cmd_garbage(char **arg)
{
	int r = hostile_garbage(strtoul(arg[0], NULL, 0));

	return r ? r : ok("done");
}

static int cmd_flood(char **arg)
{
	int r = hostile_flood(strtoull(arg[0], NULL, 0));

	return r ? r : ok("done");
}

static int cmd_claim(char **arg)
{
	int r = hostile_claim(strtoull(arg[0], NULL, 0), strtoul(arg[1], NULL, 0));

	return r ? r : ok("done");
}

static int cmd_retouch(char **arg)
{
	int r = hostile_retouch(strtoull(arg[0], NULL, 0));

	return r ? r : ok("done");
}

static int cmd_twins(char **arg)
{
	struct twins twins = {
		.common_bytes = strtoull(arg[0], NULL, 0), .own_bytes = strtoull(arg[1], NULL, 0),
		.busy_bytes = strtoull(arg[2], NULL, 0), .churn_bytes = strtoull(arg[3], NULL, 0),
		.period_s = strtoul(arg[4], NULL, 0), .seed = strtoull(arg[5], NULL, 0),
	};
	int r = twins_start(&twins);

	return r ? r : ok("started");
}

static int cmd_log(char **arg)
{
	char *data = malloc(FILE_MAX_BYTES);
	int n = klogctl(3, data, FILE_MAX_BYTES);

	if (n >= 0)
		answer("ok", data, n);
	free(data);
	return n < 0 ? -errno : 0;
}

static int cmd_poweroff(char **arg)
{
	ok("bye");
	sync();
	reboot(RB_POWER_OFF);
	return -errno;
}

static const struct command commands[] = {
	{ "read", 1, cmd_read },		/* PATH */
	{ "write", 2, cmd_write },		/* PATH VALUE */
	{ "insmod", 1, cmd_insmod },		/* PATH [PARAMETERS] */
	{ "rmmod", 1, cmd_rmmod },		/* NAME */
	{ "fill", 1, cmd_fill },		/* BYTES: more memory with known content -> nanoseconds */
	{ "check", 0, cmd_check },		/* is all of it still there? */
	{ "keep", 1, cmd_keep },		/* COUNT: frees all but the first COUNT fills */
	{ "burst", 2, cmd_burst },		/* BYTES MS: a process that touches and holds */
	{ "burst-wait", 0, cmd_burst_wait },	/* -> nanoseconds it took to touch, or error when it was killed */
	{ "mount", 2, cmd_mount },		/* DEVICE DIR: ext4, read only */
	{ "load", 3, cmd_load },		/* ANON-BYTES DIR THETA: a process that works, see load.h */
	{ "pace", 1, cmd_pace },		/* 0 pauses the load, 1 lets it run */
	{ "ops", 0, cmd_ops },			/* -> operations done, and whether it lives */
	{ "garbage", 1, cmd_garbage },		/* ROUNDS: random bytes all over the device's region */
	{ "flood", 1, cmd_flood },		/* COUNT: writes to the doorbell */
	{ "claim", 2, cmd_claim },		/* BYTES COUNT: pressure that is not there */
	{ "retouch", 1, cmd_retouch },		/* BYTES: writes to memory that was given, at least so much */
	{ "twins", 6, cmd_twins },		/* COMMON OWN BUSY CHURN PERIOD-S SEED, see twins.h */
	{ "log", 0, cmd_log },			/* the kernel log */
	{ "poweroff", 0, cmd_poweroff },
};

static int run_line(char *line)
{
	char *arg[ARGS_MAX + 1] = { NULL }, *save = NULL, *word;
	int n = 0;

	for (word = strtok_r(line, " ", &save); word && n < ARGS_MAX; word = strtok_r(NULL, " ", &save))
		arg[n++] = word;
	if (!n)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, arg[0]) == 0)
			return n - 1 < commands[i].args ? -EINVAL : commands[i].run(arg + 1);
	}
	return -ENOSYS;
}

int main(int argc, char **argv)
{
	static char line[LINE_MAX_BYTES];
	size_t used = 0;
	char *end;

	if (argc != 2) {
		fprintf(stderr, "usage: agent PORT\n");
		return 2;
	}
	port = open(argv[1], O_RDWR | O_CLOEXEC);
	if (port < 0) {
		perror(argv[1]);
		return 1;
	}
	load_protect(getpid());
	ok("ready");
	for (;;) {
		ssize_t n = read(port, line + used, sizeof(line) - 1 - used);

		if (n <= 0) {
			/* nobody at the other end yet, or any more: the port polls as readable with nothing to read */
			usleep(10000);
			continue;
		}
		used += n;
		line[used] = '\0';
		while ((end = strchr(line, '\n'))) {
			int r;

			*end = '\0';
			r = run_line(line);
			if (r < 0)
				answer("error", strerror(-r), strlen(strerror(-r)));
			used -= end + 1 - line;
			memmove(line, end + 1, used + 1);
		}
		if (used == sizeof(line) - 1)
			used = 0;
	}
}
