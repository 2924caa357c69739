// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is written behind a key: sizes, numbers, words, paths.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "config-internal.h"
#include "ledger.h"
#include "size.h"

#define LOG_SIZE_MIN	(64ULL << 10)
#define LOG_SIZE_MAX	(1ULL << 30)
/* Less is not worth asking for; more than virsh's users wait, and libvirt itself waits without end. */
#define HOOK_MS_MIN	100
#define HOOK_MS_MAX	60000

static int parse_size(struct config_parser *parser, const char *key, const char *value, uint64_t *ret_bytes)
{
	uint64_t bytes;
	int r;

	r = memtide_size_parse(value, &bytes);
	if (r == -ENODATA)
		return config_error(parser, "%s = %s: a size needs a unit, as in %sM", key, value, value);
	if (r == -ERANGE || (!r && bytes > MEMTIDE_LEDGER_BYTES))
		return config_error(parser, "%s = %s: more than the limit of 256T", key, value);
	if (r < 0)
		return config_error(parser, "%s = %s: not a size, write one as 384M or 1.5G", key, value);
	*ret_bytes = bytes;
	return 0;
}

static int parse_budget(struct config_parser *parser, const char *key, const char *value)
{
	int r;

	if (!strcasecmp(value, "auto")) {
		parser->config.budget_auto = true;
		return 0;
	}
	r = parse_size(parser, key, value, &parser->config.budget);
	if (r < 0)
		return r;
	if (!parser->config.budget)
		return config_error(parser, "%s = %s: no VM could have any memory, write a size or auto", key,
				    value);
	parser->config.budget_auto = false;
	return 0;
}

static int parse_log_size(struct config_parser *parser, const char *key, const char *value, uint64_t *ret_bytes)
{
	uint64_t bytes;
	int r;

	r = parse_size(parser, key, value, &bytes);
	if (r < 0)
		return r;
	if (bytes < LOG_SIZE_MIN || bytes > LOG_SIZE_MAX)
		return config_error(parser, "%s = %s: out of range 64K to 1G", key, value);
	*ret_bytes = bytes;
	return 0;
}

/* @what it is: "a whole number", of what if it has a unit.  From 1 to @most. */
static int parse_number(struct config_parser *parser, const char *key, const char *value, const char *what,
			uint64_t most, uint64_t *ret_number)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(value, &end, 10);
	if (!isdigit((unsigned char)*value) || *end || errno || !number || number > most)
		return config_error(parser, "%s = %s: not %s from 1 to %" PRIu64, key, value, what, most);
	*ret_number = number;
	return 0;
}

static int parse_hook_time(struct config_parser *parser, const char *key, const char *value, uint64_t *ret_ms)
{
	unsigned long long time;
	char *end;

	errno = 0;
	time = strtoull(value, &end, 10);
	if (!isdigit((unsigned char)*value) || errno || (strcmp(end, "ms") && strcmp(end, "s")))
		return config_error(parser, "%s = %s: not a time, write one as 500ms or 5s", key, value);
	if (!strcmp(end, "s"))
		time = time > HOOK_MS_MAX ? time : time * 1000;
	if (time < HOOK_MS_MIN || time > HOOK_MS_MAX)
		return config_error(parser, "%s = %s: out of range 100ms to 60s", key, value);
	*ret_ms = time;
	return 0;
}

static int parse_bool(struct config_parser *parser, const char *key, const char *value, bool *ret_bool)
{
	if (!strcasecmp(value, "yes") || !strcasecmp(value, "true") || !strcasecmp(value, "on"))
		*ret_bool = true;
	else if (!strcasecmp(value, "no") || !strcasecmp(value, "false") || !strcasecmp(value, "off"))
		*ret_bool = false;
	else
		return config_error(parser, "%s = %s: write yes or no", key, value);
	return 0;
}

static int parse_choice(struct config_parser *parser, const char *key, const char *value,
			const char *const words[2], int *ret_choice)
{
	for (int i = 0; i < 2; i++) {
		if (!strcasecmp(value, words[i])) {
			*ret_choice = i;
			return 0;
		}
	}
	return config_error(parser, "%s = %s: write %s or %s", key, value, words[0], words[1]);
}

int config_replace_string(struct config_parser *parser, const char *value, char **ret_string)
{
	char *copy = strdup(value);

	if (!copy)
		return config_no_memory(parser);
	free(*ret_string);
	*ret_string = copy;
	return 0;
}

static int parse_socket(struct config_parser *parser, const char *key, const char *value, char **ret_path)
{
	const size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (*value != '/')
		return config_error(parser, "%s = %s: not an absolute path, it has to begin with /", key, value);
	if (strlen(value) > max)
		return config_error(parser, "%s = %s: %zu characters, the limit is %zu", key, value, strlen(value),
				    max);
	return config_replace_string(parser, value, ret_path);
}

static int parse_directory(struct config_parser *parser, const char *key, const char *value, char **ret_path)
{
	if (*value != '/')
		return config_error(parser, "%s = %s: not an absolute path, it has to begin with /", key, value);
	return config_replace_string(parser, value, ret_path);
}

static int parse_machine(struct config_parser *parser, const char *key, const char *value, char **ret_path)
{
	if (*value != '/' && strcmp(value, "auto") && strcmp(value, "none"))
		return config_error(parser, "%s = %s: write auto, none or an absolute path", key, value);
	return config_replace_string(parser, value, ret_path);
}

/* What is behind the scheme is libvirt's to know. */
static int parse_uri(struct config_parser *parser, const char *key, const char *value, char **ret_uri)
{
	if (!isalpha((unsigned char)*value) || !strstr(value, "://"))
		return config_error(parser, "%s = %s: not a URI, write one as qemu:///system", key, value);
	return config_replace_string(parser, value, ret_uri);
}

/* Every directory of a list has to be absolute. */
static int parse_paths(struct config_parser *parser, const char *key, const char *value, char **ret_paths)
{
	const char *path = value;

	for (;;) {
		if (*path != '/')
			return config_error(parser, "%s = %s: \"%s\" is not an absolute path", key, value, path);
		path = strchr(path, ':');
		if (!path)
			return config_replace_string(parser, value, ret_paths);
		path++;
	}
}

int config_parse_value(struct config_parser *parser, const struct config_key *key, const char *value, void *ret_field)
{
	static const char *const admissions[] = { "refuse", "throttle" };
	static const char *const offenders[] = { "throttle", "kill" };
	static const char *const floors[] = { "refuse", "warn" };
	static const char *const ksm[] = { "tenant", "off" };
	int choice = 0, r;

	if (!*value)
		return config_error(parser, "%s has no value, write one or leave the line out", key->name);
	switch (key->type) {
	case TYPE_SIZE:
		return parse_size(parser, key->name, value, ret_field);
	case TYPE_BUDGET:
		return parse_budget(parser, key->name, value);
	case TYPE_LOG_SIZE:
		return parse_log_size(parser, key->name, value, ret_field);
	case TYPE_SHARES:
		return parse_number(parser, key->name, value, "a whole number", MEMTIDE_LEDGER_SHARES, ret_field);
	case TYPE_NAME:
		return config_replace_string(parser, value, ret_field);
	case TYPE_PATHS:
		return parse_paths(parser, key->name, value, ret_field);
	case TYPE_SOCKET:
		return parse_socket(parser, key->name, value, ret_field);
	case TYPE_BOOL:
		return parse_bool(parser, key->name, value, ret_field);
	case TYPE_ADMISSION:
		r = parse_choice(parser, key->name, value, admissions, &choice);
		parser->config.admission = choice;
		return r;
	case TYPE_OFFENDERS:
		r = parse_choice(parser, key->name, value, offenders, &choice);
		parser->config.offenders = choice;
		return r;
	case TYPE_FLOORS:
		r = parse_choice(parser, key->name, value, floors, &choice);
		parser->config.floors = choice;
		return r;
	case TYPE_HOOK_TIME:
		return parse_hook_time(parser, key->name, value, ret_field);
	case TYPE_DIRECTORY:
		return parse_directory(parser, key->name, value, ret_field);
	case TYPE_MACHINE:
		return parse_machine(parser, key->name, value, ret_field);
	case TYPE_URI:
		return parse_uri(parser, key->name, value, ret_field);
	case TYPE_KSM:
		r = parse_choice(parser, key->name, value, ksm, &choice);
		*(bool *)ret_field = choice;
		return r;
	case TYPE_PAGES:
		return parse_number(parser, key->name, value, "a whole number of pages", INT_MAX, ret_field);
	}
	return -EINVAL;
}
