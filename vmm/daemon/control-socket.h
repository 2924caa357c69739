/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: lines in, lines out, and who may say what.  What the methods do is in control-methods.c.
 */
#ifndef MEMTIDED_CONTROL_SOCKET_H
#define MEMTIDED_CONTROL_SOCKET_H

#include "decision-log.h"
#include "errtext.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct control_client;
struct control_server;
struct manager;

int control_server_new(struct manager *manager, const char *path, struct control_server **ret,
		       struct memtide_errtext *errtext);
void control_server_free(struct control_server *server);

/*
 * The daemon's manager; whether this client may do more than read; whether it wants the decision log as it grows.
 */
struct manager *control_client_manager(const struct control_client *client);
bool control_client_may_write(const struct control_client *client);
void control_client_follow(struct control_client *client);

/*
 * For answers that come later: a client's number, which is never used again, and the client that has it, or NULL
 * if it has hung up.
 */
uint64_t control_client_number(const struct control_client *client);
struct control_client *control_client_find(struct manager *manager, uint64_t number);

/*
 * Queue @text, which is @size bytes, and a newline.  A client that does not read is hung up on at the end of the
 * turn.
 */
void control_client_send(struct control_client *client, const char *text, size_t size);

#endif
