// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control socket's client.  Blocking: one command, one thread.
 */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli.h"
#include "connect.h"
#include "control.h"

struct client {
	int fd;
	long long id;		/* of the last call */
	char *line;		/* MEMTIDE_CONTROL_LINE_MAX + 1 bytes */
	size_t used;		/* bytes received in it */
	size_t taken;		/* bytes of the line handed out last, newline included */
};

int client_connect(const char *path, struct client **ret_client)
{
	struct client *client;
	int fd = memtide_connect(path, 0);

	if (fd < 0)
		return fd;
	client = calloc(1, sizeof(*client));
	if (client)
		client->line = malloc(MEMTIDE_CONTROL_LINE_MAX + 1);
	if (!client || !client->line) {
		free(client);
		close(fd);
		return -ENOMEM;
	}
	client->fd = fd;
	*ret_client = client;
	return 0;
}

void client_close(struct client *client)
{
	if (!client)
		return;
	close(client->fd);
	free(client->line);
	free(client);
}

const char *client_connect_words(const char *path, int error, char *ret_text, size_t size)
{
	switch (-error) {
	case ENOENT:
	case ECONNREFUSED:
		snprintf(ret_text, size,
			 "no memtided at %s: start it, or name its control socket with --socket PATH", path);
		break;
	case EACCES:
	case EPERM:
		snprintf(ret_text, size,
			 "not allowed to connect to %s: be root, or a member of the group that memtided's "
			 "configuration names",
			 path);
		break;
	case ENAMETOOLONG:
		snprintf(ret_text, size, "%s has %zu bytes, a socket's path has at most %zu: use a shorter one",
			 path, strlen(path), sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
		break;
	default:
		snprintf(ret_text, size, "cannot connect to %s: %s", path, strerror(-error));
	}
	return ret_text;
}

static int send_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t n = send(fd, text, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		size -= n;
	}
	return 0;
}

/* The next line without its newline, valid until the next call; NULL with errno set. */
static const char *next_line(struct client *client)
{
	char *end;

	memmove(client->line, client->line + client->taken, client->used - client->taken);
	client->used -= client->taken;
	client->taken = 0;
	while (!(end = memchr(client->line, '\n', client->used))) {
		ssize_t n;

		if (client->used == MEMTIDE_CONTROL_LINE_MAX) {
			errno = EMSGSIZE;
			return NULL;
		}
		n = recv(client->fd, client->line + client->used, MEMTIDE_CONTROL_LINE_MAX - client->used, 0);
		if (n == 0)
			errno = ECONNRESET;
		if (n <= 0)
			return NULL;
		client->used += n;
	}
	*end = '\0';
	client->taken = end - client->line + 1;
	return client->line;
}

/* The next line as an object; NULL with errno set. */
static json_t *next_object(struct client *client)
{
	const char *line = next_line(client);
	json_t *object;

	if (!line)
		return NULL;
	object = json_loads(line, 0, NULL);
	if (!json_is_object(object)) {
		json_decref(object);
		errno = EPROTO;
		return NULL;
	}
	return object;
}

json_t *client_call(struct client *client, const char *method, json_t *params)
{
	json_t *call = json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id", (json_int_t)++client->id,
				 "method", method, "params", params ?: json_object());
	char *text = call ? json_dumps(call, JSON_COMPACT) : NULL;
	json_t *reply = NULL;
	int r;

	json_decref(call);
	if (!text) {
		errno = ENOMEM;
		return NULL;
	}
	r = send_all(client->fd, text, strlen(text));
	if (!r)
		r = send_all(client->fd, "\n", 1);
	free(text);
	if (r) {
		errno = -r;
		return NULL;
	}
	/* Notifications may come in between; they are of no interest to who waits for a reply. */
	while ((reply = next_object(client)) && json_integer_value(json_object_get(reply, "id")) != client->id &&
	       !json_object_get(reply, "error"))
		json_decref(reply);
	return reply;
}

json_t *client_next(struct client *client)
{
	return next_object(client);
}

json_t *client_ask_on(struct client *client, const struct cli *cli, const char *method, json_t *params)
{
	json_t *reply = client_call(client, method, params);
	json_t *result;

	if (!reply) {
		if (errno == ECONNRESET)
			cli_failed("memtided at %s hung up before it answered: its log says why", cli->socket);
		else if (errno == EPROTO)
			cli_failed("what answers at %s is not memtided: name its control socket with --socket "
				   "PATH",
				   cli->socket);
		else
			cli_failed("no answer from %s: %m", cli->socket);
		return NULL;
	}
	result = json_incref(json_object_get(reply, "result"));
	if (!result)
		cli_print_error(cli, json_object_get(reply, "error"));
	json_decref(reply);
	return result;
}

json_t *client_ask(const struct cli *cli, const char *method, json_t *params)
{
	struct client *client;
	json_t *result;
	char words[256];
	int r;

	r = client_connect(cli->socket, &client);
	if (r) {
		json_decref(params);
		cli_failed("%s", client_connect_words(cli->socket, r, words, sizeof(words)));
		return NULL;
	}
	result = client_ask_on(client, cli, method, params);
	client_close(client);
	return result;
}

json_t *client_ask_list(const struct cli *cli, const char *method, const char *member)
{
	json_t *all = client_ask(cli, method, NULL), *list = json_object_get(all, member), *more;
	size_t before = 0;
	char left_out[64];

	snprintf(left_out, sizeof(left_out), "%s_left_out", member);
	more = all;
	/* What a part adds nothing to would never end. */
	while (reply_number(more, left_out) && json_array_size(list) > before) {
		before = json_array_size(list);
		if (more != all)
			json_decref(more);
		more = client_ask(cli, method, json_pack("{s:I}", "from", (json_int_t)before));
		if (!more) {
			json_decref(all);
			return NULL;
		}
		json_array_extend(list, json_object_get(more, member));
	}
	if (more != all)
		json_decref(more);
	if (all)
		json_object_del(all, left_out);
	return all;
}
