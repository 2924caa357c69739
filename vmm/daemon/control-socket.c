// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Clients of the control socket.  Each has a bound on what it may say without a newline, on what it may leave
 * unread, and on how much of it is served in one turn.
 */
#include "control-socket.h"

#include "control.h"
#include "control-methods.h"
#include "control-show.h"
#include "loop.h"
#include "manager.h"
#include "socket.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CLIENTS	64
#define FIRST_BUFFER	4096
/* A client that follows the log and does not read loses its connection, not the daemon its memory. */
#define MAX_UNREAD	(4 * MEMTIDE_CONTROL_LINE_MAX)
#define LINES_A_TURN	32

struct control_client {
	struct loop_source source;	/* first */
	struct control_server *server;
	struct control_client *next;
	uint64_t number;
	bool may_write;
	bool follows;
	bool closing;		/* hung up on; freed by its own ready() or at the end */
	char *in;
	size_t in_used, in_size;
	char *out;
	size_t out_used, out_size;
};

struct control_server {
	struct loop_source source;	/* first */
	struct manager *manager;
	struct socket_listener listener;
	struct control_client *clients;
	unsigned int nr_clients;
	uint64_t numbers;
};

struct manager *control_client_manager(const struct control_client *client)
{
	return client->server->manager;
}

bool control_client_may_write(const struct control_client *client)
{
	return client->may_write;
}

uint64_t control_client_number(const struct control_client *client)
{
	return client->number;
}

struct control_client *control_client_find(struct manager *manager, uint64_t number)
{
	struct control_client *client = manager->control ? manager->control->clients : NULL;

	while (client && (client->number != number || client->closing))
		client = client->next;
	return client;
}

void control_client_follow(struct control_client *client)
{
	client->follows = true;
}

static void client_free(struct control_client *client)
{
	struct control_client **at = &client->server->clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	client->server->nr_clients--;
	loop_remove(client->server->manager->loop, &client->source);
	close(client->source.fd);
	free(client->in);
	free(client->out);
	free(client);
}

/* Others may be walking the list: only its own ready(), which the shutdown causes, frees it. */
static void client_hang_up(struct control_client *client)
{
	client->closing = true;
	shutdown(client->source.fd, SHUT_RDWR);
}

static void client_flush(struct control_client *client)
{
	size_t sent = 0;
	ssize_t n = 0;

	while (sent < client->out_used) {
		n = send(client->source.fd, client->out + sent, client->out_used - sent,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			break;
		sent += (size_t)n;
	}
	if (n < 0 && errno != EAGAIN)
		client_hang_up(client);
	client->out_used -= sent;
	memmove(client->out, client->out + sent, client->out_used);
	if (!client->out_used) {
		free(client->out);
		client->out = NULL;
		client->out_size = 0;
	}
}

static bool make_room(char **buffer, size_t *size, size_t need)
{
	size_t new_size = *size ? *size : FIRST_BUFFER;
	char *grown;

	if (need <= *size)
		return true;
	while (new_size < need)
		new_size *= 2;
	grown = realloc(*buffer, new_size);
	if (!grown)
		return false;
	*buffer = grown;
	*size = new_size;
	return true;
}

void control_client_send(struct control_client *client, const char *text, size_t size)
{
	if (client->closing)
		return;
	if (client->out_used + size + 1 > MAX_UNREAD ||
	    !make_room(&client->out, &client->out_size, client->out_used + size + 1)) {
		client_hang_up(client);
		return;
	}
	memcpy(client->out + client->out_used, text, size);
	client->out[client->out_used + size] = '\n';
	client->out_used += size + 1;
	client_flush(client);
}

/* Serve what is there of whole lines.  Returns how many. */
static unsigned int serve_lines(struct control_client *client, unsigned int max)
{
	unsigned int lines = 0;
	size_t begin = 0;

	while (lines < max && !client->closing) {
		char *end = memchr(client->in + begin, '\n', client->in_used - begin);

		if (!end)
			break;
		control_handle(client, client->in + begin, (size_t)(end - client->in) - begin);
		begin = (size_t)(end - client->in) + 1;
		lines++;
	}
	client->in_used -= begin;
	memmove(client->in, client->in + begin, client->in_used);
	return lines;
}

/* More is there than a turn may take: a poll that is armed anew reports it again. */
static void come_back(struct control_client *client)
{
	struct loop *loop = client->server->manager->loop;

	loop_remove(loop, &client->source);
	if (loop_add(loop, &client->source, POLLIN | POLLOUT | POLLRDHUP) < 0)
		client_hang_up(client);
}

/* Returns whether there may be more. */
static bool client_read(struct control_client *client)
{
	unsigned int lines = 0;
	ssize_t n;

	while (lines < LINES_A_TURN && !client->closing) {
		if (client->in_used >= MEMTIDE_CONTROL_LINE_MAX ||
		    !make_room(&client->in, &client->in_size, client->in_used + FIRST_BUFFER)) {
			client_hang_up(client);
			return false;
		}
		n = recv(client->source.fd, client->in + client->in_used, client->in_size - client->in_used,
			 MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return lines + serve_lines(client, LINES_A_TURN - lines) >= LINES_A_TURN;
		if (n <= 0) {
			client->closing = true;
			return false;
		}
		client->in_used += (size_t)n;
		lines += serve_lines(client, LINES_A_TURN - lines);
	}
	return true;
}

static void client_ready(struct loop_source *source, uint32_t events)
{
	struct control_client *client = (struct control_client *)source;

	if (!client->closing && client->out_used)
		client_flush(client);
	/* Who does not take answers is not asked for more questions. */
	if (!client->closing && !client->out_used && client_read(client) && !client->closing)
		come_back(client);
	if (client->closing || events & (POLLERR | POLLHUP))
		client_free(client);
}

static bool may_read(const struct manager *manager, int fd, const struct socket_peer *peer)
{
	return manager->config.group && socket_peer_in_group(fd, peer, manager->config.group);
}

static void client_new(struct control_server *server, int fd, const struct socket_peer *peer)
{
	static const char refused[] = "{\"jsonrpc\": \"2.0\", \"id\": null, \"error\": {\"code\": 2, \"message\": "
				      "\"not allowed: neither root nor in the group of the configuration\"}}\n";
	bool may_write = peer->uid == 0 || peer->uid == geteuid();
	struct control_client *client;

	if (!may_write && !may_read(server->manager, fd, peer)) {
		if (send(fd, refused, sizeof(refused) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			log_debug("a client that may not call anything did not wait for the answer");
		close(fd);
		return;
	}
	client = server->nr_clients < MAX_CLIENTS ? calloc(1, sizeof(*client)) : NULL;
	if (!client) {
		close(fd);
		return;
	}
	client->server = server;
	client->number = ++server->numbers;
	client->may_write = may_write;
	client->source.fd = fd;
	client->source.ready = client_ready;
	client->next = server->clients;
	server->clients = client;
	server->nr_clients++;
	if (loop_add(server->manager->loop, &client->source, POLLIN | POLLOUT | POLLRDHUP) < 0)
		client_free(client);
}

static void accept_ready(struct loop_source *source, uint32_t events)
{
	struct control_server *server = (struct control_server *)source;
	struct socket_peer peer;
	int fd;

	while ((fd = socket_accept(&server->listener, &peer)) != -EAGAIN) {
		if (fd >= 0)
			client_new(server, fd, &peer);
		else if (fd != -ECONNABORTED && fd != -EINTR)
			break;
	}
}

static void entry_added(void *arg, const struct decision *entry)
{
	struct control_server *server = arg;
	struct json_text json = { 0 };

	for (struct control_client *client = server->clients; client; client = client->next) {
		if (!client->follows || client->closing)
			continue;
		if (!json.used)
			show_news(&json, entry);
		if (!json.failed)
			control_client_send(client, json.text, json.used);
	}
	free(json.text);
}

int control_server_new(struct manager *manager, const char *path, struct control_server **ret,
		       struct memtide_errtext *errtext)
{
	struct control_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory");
	server->manager = manager;
	r = socket_listen(path, manager->config.group ? 0660 : 0600, manager->config.group, &server->listener,
			  errtext);
	if (r < 0) {
		free(server);
		return r;
	}
	server->source.fd = server->listener.fd;
	server->source.ready = accept_ready;
	r = loop_add(manager->loop, &server->source, POLLIN);
	if (r < 0) {
		control_server_free(server);
		return memtide_errtext_set(errtext, r, "cannot listen on %s: %s", path, strerror(-r));
	}
	decision_log_set_listener(manager->log, entry_added, server);
	*ret = server;
	return 0;
}

void control_server_free(struct control_server *server)
{
	if (!server)
		return;
	decision_log_set_listener(server->manager->log, NULL, NULL);
	while (server->clients)
		client_free(server->clients);
	loop_remove(server->manager->loop, &server->source);
	socket_unlisten(&server->listener);
	server->manager->control = NULL;
	free(server);
}
