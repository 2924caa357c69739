/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request over the control socket, and answering it.
 */
#ifndef MEMTIDED_CONTROL_REPLY_H
#define MEMTIDED_CONTROL_REPLY_H

#include <jansson.h>

#include "control.h"
#include "json-text.h"

/* Of a line, for what is around the entries of a list. */
#define LINE_ROOM	(MEMTIDE_CONTROL_LINE_MAX - 64 * 1024)

struct control_client;
struct manager;

struct control_request {
	struct control_client *client;
	json_t *id;		/* borrowed; NULL: a notification, which is not answered */
	json_t *params;		/* borrowed; an object or NULL */
};

/* A request that is answered in a later turn; begins as zeroes, which is none. */
struct control_later {
	uint64_t client;
	json_t *id;
};

/* Keep what is needed for answering @request later. */
void control_later(const struct control_request *request, struct control_later *ret_later);
/* The request again.  Returns false where there is none, or its client has hung up. */
bool control_later_find(struct manager *manager, const struct control_later *later,
			struct control_request *ret_request);
/* It is answered, or never will be. */
void control_later_drop(struct control_later *later);

/*
 * Each of these answers @request for good.  @result is consumed; @data may be NULL, else it is consumed.
 */

/* The members of the result are put in between; @json need not be set before, and is gone afterwards. */
void control_reply_begin(const struct control_request *request, struct json_text *json);
void control_reply_end(const struct control_request *request, struct json_text *json);

void control_reply(const struct control_request *request, json_t *result);
__attribute__((format(printf, 3, 4)))
void control_reply_error(const struct control_request *request, int code, const char *format, ...);
void control_reply_error_data(const struct control_request *request, int code, const char *message, json_t *data);

#endif
