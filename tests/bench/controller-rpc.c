// SPDX-License-Identifier: GPL-2.0-or-later
/* See controller-rpc.h. */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller-rpc.h"

#define ASK	"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"status\"}\n"

static json_t *status(const char *dir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	json_t *answer = NULL, *result;
	FILE *file;
	int fd;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control.sock", dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return NULL;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    send(fd, ASK, sizeof(ASK) - 1, MSG_NOSIGNAL) < 0 || !(file = fdopen(fd, "r"))) {
		close(fd);
		return NULL;
	}
	answer = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
	fclose(file);
	result = json_incref(json_object_get(answer, "result"));
	json_decref(answer);
	return result;
}

int rpc_wait(const char *dir, unsigned int timeout_ms)
{
	for (unsigned int i = 0; i < timeout_ms; i += 10) {
		json_t *json = status(dir);

		json_decref(json);
		if (json)
			return 0;
		poll(NULL, 0, 10);
	}
	return -ETIMEDOUT;
}

uint64_t rpc_status_number(const char *dir, const char *name)
{
	json_t *json = status(dir);
	uint64_t value = json ? (uint64_t)json_integer_value(json_object_get(json, name)) : UINT64_MAX;

	json_decref(json);
	return value;
}

void rpc_decide(const char *dir, double *ret_p99_ms, size_t *ret_n)
{
	json_t *json = status(dir), *decide = json_object_get(json, "decide");

	*ret_p99_ms = json_number_value(json_object_get(decide, "p99_ms"));
	*ret_n = (size_t)json_integer_value(json_object_get(decide, "n"));
	json_decref(json);
}
