// SPDX-License-Identifier: GPL-2.0-or-later
#include "control-reply.h"

#include "control.h"
#include "control-socket.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer than anything the daemon has to say but a verifier's log, which comes as data. */
#define MESSAGE_MAX	1024

void control_later(const struct control_request *request, struct control_later *ret_later)
{
	*ret_later = (struct control_later){
		.client = control_client_number(request->client), .id = json_incref(request->id),
	};
}

bool control_later_find(struct manager *manager, const struct control_later *later,
			struct control_request *ret_request)
{
	struct control_client *client = later->client ? control_client_find(manager, later->client) : NULL;

	if (!client)
		return false;
	*ret_request = (struct control_request){ .client = client, .id = later->id };
	return true;
}

void control_later_drop(struct control_later *later)
{
	json_decref(later->id);
	*later = (struct control_later){ 0 };
}

static void send_json(const struct control_request *request, json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);
	size_t size = text ? strlen(text) : 0;

	if (text && size < MEMTIDE_CONTROL_LINE_MAX)
		control_client_send(request->client, text, size);
	else
		control_reply_error(request, MEMTIDE_ERROR_BUSY, "the answer does not fit a line");
	free(text);
	json_decref(json);
}

static json_t *envelope(const struct control_request *request)
{
	json_t *json = json_object();

	json_object_set_new(json, "jsonrpc", json_string("2.0"));
	json_object_set(json, "id", request->id ? request->id : json_null());
	return json;
}

void control_reply_begin(const struct control_request *request, struct json_text *json)
{
	*json = (struct json_text){ 0 };
	json_text_begin(json, NULL, '{');
	json_text_string(json, "jsonrpc", "2.0");
	if (request->id)
		json_text_value(json, "id", request->id);
	json_text_begin(json, "result", '{');
}

void control_reply_end(const struct control_request *request, struct json_text *json)
{
	json_text_end(json, '}');
	json_text_end(json, '}');
	if (request->id && !json->failed && json->used < MEMTIDE_CONTROL_LINE_MAX)
		control_client_send(request->client, json->text, json->used);
	else if (request->id)
		control_reply_error(request, MEMTIDE_ERROR_BUSY, "the answer does not fit a line");
	free(json->text);
}

void control_reply(const struct control_request *request, json_t *result)
{
	json_t *json;

	if (!request->id) {
		json_decref(result);
		return;
	}
	json = envelope(request);
	json_object_set_new(json, "result", result);
	send_json(request, json);
}

void control_reply_error_data(const struct control_request *request, int code, const char *message, json_t *data)
{
	json_t *json = envelope(request), *error = json_object();

	json_object_set_new(error, "code", json_integer(code));
	json_object_set_new(error, "message", json_stringn_nocheck(message, strlen(message)));
	if (data)
		json_object_set_new(error, "data", data);
	json_object_set_new(json, "error", error);
	send_json(request, json);
}

void control_reply_error(const struct control_request *request, int code, const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	control_reply_error_data(request, code, message, NULL);
}
