/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON written straight into a line, for answers about a thousand VMs: there a tree of objects costs ten times as
 * much as the text that is made of it.  Requests are parsed by jansson, and so is whatever has no fixed shape.
 */
#ifndef MEMTIDED_JSON_TEXT_H
#define MEMTIDED_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct json_text - begins as zeroes
 * @text: @used bytes, no zero behind them; for free()
 * @failed: there was no memory, and something is missing
 *
 * To take back what was put last, set @used to what it was before.
 */
struct json_text {
	char *text;
	size_t used;
	size_t size;
	bool failed;
};

/*
 * Put one value.  @name is that of a member, written as it is; NULL in an array and at the top.
 */

/* @bracket is '{' or '['.  json_text_end() wants its counterpart. */
void json_text_begin(struct json_text *json, const char *name, char bracket);
void json_text_end(struct json_text *json, char bracket);

/* Any bytes; those that are no UTF-8 become question marks.  NULL is null. */
void json_text_string(struct json_text *json, const char *name, const char *value);
/* Counters run to 2^64 and the numbers of JSON's readers do not: the highest bit is dropped. */
void json_text_number(struct json_text *json, const char *name, uint64_t value);
/* Nanoseconds as milliseconds with their fraction. */
void json_text_ms(struct json_text *json, const char *name, uint64_t ns);
void json_text_bool(struct json_text *json, const char *name, bool value);
void json_text_null(struct json_text *json, const char *name);
void json_text_value(struct json_text *json, const char *name, const json_t *value);

#endif
