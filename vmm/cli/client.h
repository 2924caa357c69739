/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket's client: calls and replies.  The protocol is in vmm/lib/control.h.
 */
#ifndef MEMTIDE_CLIENT_H
#define MEMTIDE_CLIENT_H

#include <jansson.h>
#include <stddef.h>

#include "reply.h"

struct client;

/**
 * client_connect() - connect to the daemon
 * @path: its control socket
 * @ret_client: for client_close()
 *
 * Returns 0 or a negative errno; client_connect_words() says what to do about it.
 */
int client_connect(const char *path, struct client **ret_client);
void client_close(struct client *client);

/* One sentence for people on a failed connect: what, and how to mend it. */
const char *client_connect_words(const char *path, int error, char *ret_text, size_t size);

/**
 * client_call() - one call
 * @method: see vmm/lib/control.h
 * @params: an object; the reference is taken over
 *
 * Returns the whole reply, with "result" or "error", or NULL with errno set: EPROTO if it is no reply,
 * ECONNRESET if the daemon hung up.
 */
json_t *client_call(struct client *client, const char *method, json_t *params);

/* The next notification, waited for; NULL with errno set when the daemon hung up or a signal came. */
json_t *client_next(struct client *client);

struct cli;

/**
 * client_ask() - connect, call once, hang up
 *
 * Returns the reply's "result", to be released by the caller.  On failure prints the daemon's words, with
 * --json the error object, and returns NULL.
 */
json_t *client_ask(const struct cli *cli, const char *method, json_t *params);

/*
 * Ask a list method of control.h until nothing of @member is left out any more.  The result with all of it; NULL as
 * above.
 */
json_t *client_ask_list(const struct cli *cli, const char *method, const char *member);

/* The same as client_ask() over a connection that stays. */
json_t *client_ask_on(struct client *client, const struct cli *cli, const char *method, json_t *params);

#endif /* MEMTIDE_CLIENT_H */
