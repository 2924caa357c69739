// SPDX-License-Identifier: GPL-2.0-or-later
#include "call.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "connect.h"
#include "control.h"

/* A daemon that is flooded has no place for another client for a moment. */
#define AGAIN_MS	10

uint64_t memtide_call_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* 0 once @events have come, or -ETIMEDOUT.  @fd may be -1: just let time pass, at most @most_ms. */
static int wait_for(int fd, short events, uint64_t until_ms, int most_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	uint64_t now_ms = memtide_call_now_ms();
	int wait_ms;

	if (now_ms >= until_ms)
		return -ETIMEDOUT;
	wait_ms = until_ms - now_ms > (uint64_t)most_ms ? most_ms : (int)(until_ms - now_ms);
	if (poll(&poll_fd, 1, wait_ms) < 0 && errno != EINTR)
		return -errno;
	return poll_fd.revents || fd < 0 ? 0 : -EAGAIN;
}

static int wait_until(int fd, short events, uint64_t until_ms)
{
	int r;

	do {
		r = wait_for(fd, events, until_ms, 60000);
	} while (r == -EAGAIN);
	return r;
}

static int connect_until(const char *path, uint64_t until_ms)
{
	int fd, r;

	/* A socket of this kind is connected at once, or its queue is full. */
	while ((fd = memtide_connect(path, SOCK_NONBLOCK)) == -EAGAIN || fd == -EINTR) {
		r = wait_for(-1, 0, until_ms, AGAIN_MS);
		if (r < 0)
			return r;
	}
	return fd;
}

static int send_until(int fd, const char *text, size_t size, uint64_t until_ms)
{
	while (size) {
		ssize_t n = send(fd, text, size, MSG_NOSIGNAL);
		int r;

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			size -= (size_t)n;
			continue;
		}
		r = wait_until(fd, POLLOUT, until_ms);
		if (r < 0)
			return r;
	}
	return 0;
}

/* One line, without its newline; for free(). */
static int receive_until(int fd, uint64_t until_ms, char **ret_line)
{
	char *line = malloc(MEMTIDE_CONTROL_LINE_MAX);
	size_t used = 0;
	int r = line ? 0 : -ENOMEM;

	while (!r && (!used || line[used - 1] != '\n')) {
		ssize_t n = recv(fd, line + used, MEMTIDE_CONTROL_LINE_MAX - used, 0);

		if (n > 0)
			used += (size_t)n;
		else if (!n)
			r = used == MEMTIDE_CONTROL_LINE_MAX ? -EPROTO : -ECONNRESET;
		else if (errno == EAGAIN || errno == EINTR)
			r = wait_until(fd, POLLIN, until_ms);
		else
			r = -errno;
	}
	if (r) {
		free(line);
		return r;
	}
	line[used - 1] = '\0';
	*ret_line = line;
	return 0;
}

/* What a caller may do something about has a number of its own. */
static int number_of(const json_t *error)
{
	switch (json_integer_value(json_object_get(error, "code"))) {
	case MEMTIDE_ERROR_NO_VM:
		return -ESRCH;
	case MEMTIDE_ERROR_BUSY:
		return -EBUSY;
	case MEMTIDE_ERROR_LEDGER:
		return -ENOSPC;
	default:
		return -EREMOTEIO;
	}
}

static int take_apart(const char *line, json_t **ret_result, struct memtide_errtext *errtext)
{
	json_t *reply = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	json_t *result = json_object_get(reply, "result");
	const json_t *error = json_object_get(reply, "error");
	const char *words = json_string_value(json_object_get(error, "message"));
	int r = 0;

	if (words)
		r = memtide_errtext_set(errtext, number_of(error), "%s", words);
	else if (!json_is_object(result))
		r = memtide_errtext_set(errtext, -EPROTO, "memtided's answer makes no sense");
	else
		*ret_result = json_incref(result);
	json_decref(reply);
	return r;
}

static char *request_line(const char *method, json_t *params)
{
	json_t *request = json_pack("{s:s, s:i, s:s, s:o}", "jsonrpc", "2.0", "id", 1, "method", method, "params",
				    params);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL, *line = NULL;

	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	json_decref(request);
	return line;
}

int memtide_call_until(const char *socket, const char *method, json_t *params, uint64_t until_ms, json_t **ret_result,
		       struct memtide_errtext *errtext)
{
	char *line = request_line(method, params), *answer = NULL;
	int fd = -1, r = line ? 0 : -ENOMEM;

	if (!r) {
		fd = connect_until(socket, until_ms);
		r = fd < 0 ? fd : send_until(fd, line, strlen(line), until_ms);
	}
	if (!r)
		r = receive_until(fd, until_ms, &answer);
	if (fd >= 0)
		close(fd);
	free(line);
	if (r == -ETIMEDOUT)
		return memtide_errtext_set(errtext, r, "memtided does not answer in time (%s)", socket);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return memtide_errtext_set(errtext, r, "memtided is not running (%s: %s)", socket, strerror(-r));
	if (r)
		return memtide_errtext_set(errtext, r, "memtided cannot be asked (%s: %s)", socket, strerror(-r));
	r = take_apart(answer, ret_result, errtext);
	free(answer);
	return r;
}
