// SPDX-License-Identifier: GPL-2.0-or-later
#include "json-text.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE	1024
#define NUMBER_MAX	24	/* digits of 2^64, a point, and room */

static bool make_room(struct json_text *json, size_t more)
{
	size_t size = json->size ? json->size : FIRST_SIZE;
	char *text;

	if (json->size - json->used >= more)
		return true;
	while (size - json->used < more)
		size *= 2;
	text = realloc(json->text, size);
	if (!text) {
		json->failed = true;
		return false;
	}
	json->text = text;
	json->size = size;
	return true;
}

static void put(struct json_text *json, const char *text, size_t size)
{
	if (!make_room(json, size))
		return;
	memcpy(json->text + json->used, text, size);
	json->used += size;
}

/* What stands before a value: a comma if it is not the first, and its name. */
static void put_name(struct json_text *json, const char *name)
{
	size_t size = name ? strlen(name) : 0;
	char *at;

	if (!make_room(json, size + 4))
		return;
	at = json->text + json->used;
	if (json->used && at[-1] != '{' && at[-1] != '[')
		*at++ = ',';
	if (name) {
		*at++ = '"';
		memcpy(at, name, size);
		at += size;
		*at++ = '"';
		*at++ = ':';
	}
	json->used = (size_t)(at - json->text);
}

void json_text_begin(struct json_text *json, const char *name, char bracket)
{
	put_name(json, name);
	put(json, &bracket, 1);
}

void json_text_end(struct json_text *json, char bracket)
{
	put(json, &bracket, 1);
}

void json_text_value(struct json_text *json, const char *name, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);

	put_name(json, name);
	if (text)
		put(json, text, strlen(text));
	else
		json->failed = true;
	free(text);
}

static bool is_plain(char c)
{
	return c >= ' ' && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* Escapes, and names that people give in their own letters. */
static void put_unusual(struct json_text *json, const char *name, const char *value, size_t size)
{
	json_t *string = json_stringn(value, size);
	char *ascii = string ? NULL : malloc(size + 1);

	if (ascii) {
		for (size_t i = 0; i < size; i++)
			ascii[i] = (unsigned char)value[i] < 0x80 ? value[i] : '?';
		string = json_stringn(ascii, size);
		free(ascii);
	}
	json_text_value(json, name, string);
	json_decref(string);
}

void json_text_string(struct json_text *json, const char *name, const char *value)
{
	size_t size = 0;

	if (!value) {
		json_text_null(json, name);
		return;
	}
	while (is_plain(value[size]))
		size++;
	if (value[size]) {
		put_unusual(json, name, value, strlen(value));
		return;
	}
	put_name(json, name);
	put(json, "\"", 1);
	put(json, value, size);
	put(json, "\"", 1);
}

/* At least @digits of them.  Returns where they begin, before @end. */
static char *digits_of(char *end, uint64_t value, int digits)
{
	for (; digits > 0 || value; digits--) {
		*--end = (char)('0' + value % 10);
		value /= 10;
	}
	return end;
}

void json_text_number(struct json_text *json, const char *name, uint64_t value)
{
	char digits[NUMBER_MAX], *end = digits + sizeof(digits), *begin = digits_of(end, value & INT64_MAX, 1);

	put_name(json, name);
	put(json, begin, (size_t)(end - begin));
}

void json_text_ms(struct json_text *json, const char *name, uint64_t ns)
{
	char digits[NUMBER_MAX], *end = digits + sizeof(digits), *begin = digits_of(end, ns % 1000000, 6);

	while (end > begin + 1 && end[-1] == '0')
		end--;
	*--begin = '.';
	begin = digits_of(begin, ns / 1000000, 1);
	put_name(json, name);
	put(json, begin, (size_t)(end - begin));
}

void json_text_bool(struct json_text *json, const char *name, bool value)
{
	put_name(json, name);
	put(json, value ? "true" : "false", value ? 4 : 5);
}

void json_text_null(struct json_text *json, const char *name)
{
	put_name(json, name);
	put(json, "null", 4);
}
