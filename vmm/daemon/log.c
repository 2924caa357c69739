// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lines for people.  What a guest can cause is logged by decision-log.c, which bounds how much of it comes here.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES	1024

static int log_fd = -1;
static bool log_fd_is_socket;
static bool log_journal;
static enum log_level log_max = LOG_LEVEL_INFO;
static unsigned long log_dropped;

/* Who says it, where journald does not know by itself: "<4>", or "memtided: ". */
static size_t begin(enum log_level level, char *line, size_t size)
{
	return (size_t)(log_journal ? snprintf(line, size, "<%d>", (int)level) :
				      snprintf(line, size, "%s: ", program_invocation_short_name));
}

/*
 * A description of our own for what standard error is connected to, so that making it non-blocking does not change
 * it for the others that write there.  A socket cannot be reopened, and is written to with MSG_DONTWAIT instead.
 */
static int open_stderr(bool *ret_socket)
{
	struct stat st;
	int fd;

	if (fstat(STDERR_FILENO, &st) < 0)
		return -errno;
	*ret_socket = S_ISSOCK(st.st_mode);
	if (*ret_socket)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	/* Without /proc, or not allowed to reopen: better a logger that might block than none. */
	if (fd < 0)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

int log_open(const char *path)
{
	bool is_socket = false;
	int fd;

	if (path) {
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
		if (fd < 0)
			return -errno;
	} else {
		fd = open_stderr(&is_socket);
		if (fd < 0)
			return fd;
	}
	if (log_fd >= 0)
		close(log_fd);
	log_fd = fd;
	log_fd_is_socket = is_socket;
	log_journal = !path && getenv("JOURNAL_STREAM");
	return 0;
}

void log_set_level(enum log_level level)
{
	log_max = level;
}

static void put(const char *text, size_t size)
{
	ssize_t n;

	if (log_fd_is_socket)
		n = send(log_fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		n = write(log_fd < 0 ? STDERR_FILENO : log_fd, text, size);
	if (n < 0)
		log_dropped++;
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list args;
	size_t used;
	int n;

	if (level > log_max)
		return;
	if (log_dropped) {
		used = begin(LOG_LEVEL_WARNING, line, sizeof(line));
		used += (size_t)snprintf(line + used, sizeof(line) - used,
					 "%lu lines were dropped because nobody read them\n", log_dropped);
		log_dropped = 0;
		put(line, used);
	}
	used = begin(level, line, sizeof(line));
	va_start(args, format);
	n = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	used += (size_t)n;
	if (used > sizeof(line) - 2)
		used = sizeof(line) - 2;
	line[used++] = '\n';
	put(line, used);
}
