// SPDX-License-Identifier: GPL-2.0-or-later
#include "params.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "size.h"

static int put(json_t *params, const char *option, json_t *value)
{
	char name[32];

	snprintf(name, sizeof(name), "%s", option);
	for (char *c = name; *c; c++)
		*c = *c == '-' ? '_' : *c;
	json_object_set_new(params, name, value);
	return CLI_OK;
}

int param_size(json_t *params, const char *option, const char *text)
{
	uint64_t bytes;
	int r;

	if (!text)
		return CLI_OK;
	r = memtide_size_parse(text, &bytes);
	if (r == -ENODATA)
		return cli_usage("--%s %s: a size needs a unit, for example %sM", option, text, text);
	if (r || bytes > INT64_MAX)
		return cli_usage("--%s %s: no size; write it like 384M or 1.5G", option, text);
	return put(params, option, json_integer((json_int_t)bytes));
}

int param_number(json_t *params, const char *option, const char *text, long most)
{
	char *end;
	long number;

	if (!text)
		return CLI_OK;
	errno = 0;
	number = strtol(text, &end, 10);
	if (errno || end == text || *end || number < 1 || number > most)
		return cli_usage("--%s %s: takes a whole number from 1 to %ld", option, text, most);
	return put(params, option, json_integer(number));
}

static int is_none(const char *text)
{
	return text && !strcmp(text, "none");
}

int param_size_or_none(json_t *params, const char *option, const char *text)
{
	return is_none(text) ? put(params, option, json_null()) : param_size(params, option, text);
}

int param_number_or_none(json_t *params, const char *option, const char *text, long most)
{
	return is_none(text) ? put(params, option, json_null()) : param_number(params, option, text, most);
}
