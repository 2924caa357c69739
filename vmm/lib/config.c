// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration file: a table of keys, and libinih that splits lines.
 *
 * libinih neither tells its callback the line nor refuses what is too long for it, so the lines go to it through a
 * reader of ours that counts them and watches their length.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>
#include <unistd.h>

#include <ini.h>

#include "config.h"
#include "control.h"
#include "ledger.h"
#include "size.h"

#define FILE_MAX_BYTES	(1024 * 1024)	/* ten thousand VMs with four lines each are half of that */
#define SECTION_MAX	49		/* what libinih, as Debian builds it, keeps of a name */
#define LOG_SIZE_MIN	(64ULL << 10)
#define LOG_SIZE_MAX	(1ULL << 30)
/* Less is not worth asking for; more than virsh's users wait, and libvirt itself waits without end. */
#define HOOK_MS_MIN	100
#define HOOK_MS_MAX	60000
#define UNSET		MEMTIDE_CONFIG_UNSET

enum config_kind {
	CONFIG_DAEMON,
	CONFIG_VM,	/* [default] as well */
	CONFIG_TENANT,
};

enum config_type {
	TYPE_SIZE,
	TYPE_BUDGET,
	TYPE_LOG_SIZE,
	TYPE_SHARES,
	TYPE_NAME,
	TYPE_PATHS,
	TYPE_SOCKET,
	TYPE_BOOL,
	TYPE_ADMISSION,
	TYPE_OFFENDERS,
	TYPE_FLOORS,
	TYPE_HOOK_TIME,
	TYPE_DIRECTORY,
	TYPE_MACHINE,
	TYPE_URI,
	TYPE_KSM,
	TYPE_PAGES,
};

struct config_key {
	const char *name;
	enum config_kind kind;
	enum config_type type;
	size_t offset;
};

static const struct config_key keys[] = {
	{ "budget", CONFIG_DAEMON, TYPE_BUDGET, 0 },
	{ "reserve", CONFIG_DAEMON, TYPE_SIZE, offsetof(struct memtide_config, reserve) },
	{ "policy", CONFIG_DAEMON, TYPE_NAME, offsetof(struct memtide_config, policy) },
	{ "policy-path", CONFIG_DAEMON, TYPE_PATHS, offsetof(struct memtide_config, policy_path) },
	{ "vmm-socket", CONFIG_DAEMON, TYPE_SOCKET, offsetof(struct memtide_config, vmm_socket) },
	{ "control-socket", CONFIG_DAEMON, TYPE_SOCKET, offsetof(struct memtide_config, control_socket) },
	{ "group", CONFIG_DAEMON, TYPE_NAME, offsetof(struct memtide_config, group) },
	{ "log-size", CONFIG_DAEMON, TYPE_LOG_SIZE, offsetof(struct memtide_config, log_size) },
	{ "admission", CONFIG_DAEMON, TYPE_ADMISSION, offsetof(struct memtide_config, admission) },
	{ "offenders", CONFIG_DAEMON, TYPE_OFFENDERS, offsetof(struct memtide_config, offenders) },
	{ "dry-run", CONFIG_DAEMON, TYPE_BOOL, offsetof(struct memtide_config, dry_run) },
	{ "floor-admission", CONFIG_DAEMON, TYPE_FLOORS, offsetof(struct memtide_config, floors) },
	{ "hook-time", CONFIG_DAEMON, TYPE_HOOK_TIME, offsetof(struct memtide_config, hook_ms) },
	{ "state-directory", CONFIG_DAEMON, TYPE_DIRECTORY, offsetof(struct memtide_config, state_directory) },
	{ "machine-cgroup", CONFIG_DAEMON, TYPE_MACHINE, offsetof(struct memtide_config, machine_cgroup) },
	{ "libvirt-uri", CONFIG_DAEMON, TYPE_URI, offsetof(struct memtide_config, libvirt_uri) },
	{ "budget", CONFIG_TENANT, TYPE_SIZE, offsetof(struct memtide_config_tenant, budget) },
	{ "shares", CONFIG_TENANT, TYPE_SHARES, offsetof(struct memtide_config_tenant, shares) },
	{ "ksm", CONFIG_TENANT, TYPE_KSM, offsetof(struct memtide_config_tenant, ksm_off) },
	{ "ksm-rate-pages", CONFIG_TENANT, TYPE_PAGES, offsetof(struct memtide_config_tenant, ksm_rate_pages) },
	{ "floor", CONFIG_VM, TYPE_SIZE, offsetof(struct memtide_config_vm, floor) },
	{ "maximum", CONFIG_VM, TYPE_SIZE, offsetof(struct memtide_config_vm, maximum) },
	{ "start", CONFIG_VM, TYPE_SIZE, offsetof(struct memtide_config_vm, start) },
	{ "shares", CONFIG_VM, TYPE_SHARES, offsetof(struct memtide_config_vm, shares) },
};

#define NR_KEYS	(sizeof(keys) / sizeof(keys[0]))

/* The line in which each key was given, 0: not at all. */
struct config_lines {
	unsigned int line[NR_KEYS];
};

struct config_parser {
	struct memtide_config config;
	const char *name;		/* of the file, for errors */
	const char *rest;		/* of the text */
	unsigned int line;
	struct config_lines lines;	/* [daemon] and [default] */
	struct config_lines *vm_lines;	/* as config.vms */
	struct config_lines *tenant_lines;	/* as config.tenants */
	int error;			/* the first one, and its line */
	unsigned int error_line;
	struct memtide_errtext errtext;
};

/* Only the first error is kept: the ones behind it may be its children. */
__attribute__((format(printf, 2, 3)))
static int parser_error(struct config_parser *parser, const char *format, ...)
{
	char words[MEMTIDE_ERRTEXT_SIZE];
	va_list args;

	if (parser->error)
		return -EINVAL;
	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	parser->error = memtide_errtext_set(&parser->errtext, -EINVAL, "%s:%u: %s", parser->name, parser->line,
					    words);
	parser->error_line = parser->line;
	return -EINVAL;
}

static int parser_no_memory(struct config_parser *parser)
{
	if (!parser->error)
		parser->error = memtide_errtext_set(&parser->errtext, -ENOMEM, "%s: out of memory", parser->name);
	return -ENOMEM;
}

/*
 * Hints: the known word that takes the fewest changed, added or dropped letters, if it takes few.
 */

static unsigned int word_distance(const char *a, const char *b)
{
	unsigned int row[SECTION_MAX + 2], before, above, change;
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > SECTION_MAX || b_length > SECTION_MAX)
		return UINT_MAX;
	for (size_t j = 0; j <= b_length; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		before = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			above = row[j];
			change = before + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
			if (row[j - 1] + 1 < change)
				change = row[j - 1] + 1;
			if (above + 1 < change)
				change = above + 1;
			row[j] = change;
			before = above;
		}
	}
	return row[b_length];
}

static const char *nearest_key(const char *name, enum config_kind kind)
{
	const char *nearest = NULL;
	unsigned int best = 3, distance;

	for (size_t i = 0; i < NR_KEYS; i++) {
		distance = word_distance(name, keys[i].name);
		if (keys[i].kind == kind && distance < best) {
			best = distance;
			nearest = keys[i].name;
		}
	}
	return nearest;
}

/*
 * Values
 */

static int parse_size(struct config_parser *parser, const char *key, const char *value, uint64_t *ret_bytes)
{
	uint64_t bytes;
	int r;

	r = memtide_size_parse(value, &bytes);
	if (r == -ENODATA)
		return parser_error(parser, "%s = %s: a size needs a unit, as in %sM", key, value, value);
	if (r == -ERANGE || (!r && bytes > MEMTIDE_LEDGER_BYTES))
		return parser_error(parser, "%s = %s: more than the limit of 256T", key, value);
	if (r < 0)
		return parser_error(parser, "%s = %s: not a size, write one as 384M or 1.5G", key, value);
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
		return parser_error(parser, "%s = %s: no VM could have any memory, write a size or auto", key,
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
		return parser_error(parser, "%s = %s: out of range 64K to 1G", key, value);
	*ret_bytes = bytes;
	return 0;
}

static int parse_shares(struct config_parser *parser, const char *key, const char *value, uint64_t *ret_shares)
{
	unsigned long long shares;
	char *end;

	errno = 0;
	shares = strtoull(value, &end, 10);
	if (!isdigit((unsigned char)*value) || *end || errno || !shares || shares > MEMTIDE_LEDGER_SHARES)
		return parser_error(parser, "%s = %s: not a whole number from 1 to %d", key, value,
				    MEMTIDE_LEDGER_SHARES);
	*ret_shares = shares;
	return 0;
}

static int parse_pages(struct config_parser *parser, const char *key, const char *value, uint64_t *ret_pages)
{
	unsigned long long pages;
	char *end;

	errno = 0;
	pages = strtoull(value, &end, 10);
	if (!isdigit((unsigned char)*value) || *end || errno || !pages || pages > INT_MAX)
		return parser_error(parser, "%s = %s: not a whole number of pages from 1 to %d", key, value, INT_MAX);
	*ret_pages = pages;
	return 0;
}

static int parse_hook_time(struct config_parser *parser, const char *key, const char *value, uint64_t *ret_ms)
{
	unsigned long long time;
	char *end;

	errno = 0;
	time = strtoull(value, &end, 10);
	if (!isdigit((unsigned char)*value) || errno || (strcmp(end, "ms") && strcmp(end, "s")))
		return parser_error(parser, "%s = %s: not a time, write one as 500ms or 5s", key, value);
	if (!strcmp(end, "s"))
		time = time > HOOK_MS_MAX ? time : time * 1000;
	if (time < HOOK_MS_MIN || time > HOOK_MS_MAX)
		return parser_error(parser, "%s = %s: out of range 100ms to 60s", key, value);
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
		return parser_error(parser, "%s = %s: write yes or no", key, value);
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
	return parser_error(parser, "%s = %s: write %s or %s", key, value, words[0], words[1]);
}

static int replace_string(struct config_parser *parser, const char *value, char **ret_string)
{
	char *copy = strdup(value);

	if (!copy)
		return parser_no_memory(parser);
	free(*ret_string);
	*ret_string = copy;
	return 0;
}

static int parse_socket(struct config_parser *parser, const char *key, const char *value, char **ret_path)
{
	const size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (*value != '/')
		return parser_error(parser, "%s = %s: not an absolute path, it has to begin with /", key, value);
	if (strlen(value) > max)
		return parser_error(parser, "%s = %s: %zu characters, the limit is %zu", key, value, strlen(value),
				    max);
	return replace_string(parser, value, ret_path);
}

static int parse_directory(struct config_parser *parser, const char *key, const char *value, char **ret_path)
{
	if (*value != '/')
		return parser_error(parser, "%s = %s: not an absolute path, it has to begin with /", key, value);
	return replace_string(parser, value, ret_path);
}

static int parse_machine(struct config_parser *parser, const char *key, const char *value, char **ret_path)
{
	if (*value != '/' && strcmp(value, "auto") && strcmp(value, "none"))
		return parser_error(parser, "%s = %s: write auto, none or an absolute path", key, value);
	return replace_string(parser, value, ret_path);
}

/* What is behind the scheme is libvirt's to know. */
static int parse_uri(struct config_parser *parser, const char *key, const char *value, char **ret_uri)
{
	if (!isalpha((unsigned char)*value) || !strstr(value, "://"))
		return parser_error(parser, "%s = %s: not a URI, write one as qemu:///system", key, value);
	return replace_string(parser, value, ret_uri);
}

/* Every directory of a list has to be absolute. */
static int parse_paths(struct config_parser *parser, const char *key, const char *value, char **ret_paths)
{
	const char *path = value;

	for (;;) {
		if (*path != '/')
			return parser_error(parser, "%s = %s: \"%s\" is not an absolute path", key, value, path);
		path = strchr(path, ':');
		if (!path)
			return replace_string(parser, value, ret_paths);
		path++;
	}
}

static int parse_value(struct config_parser *parser, const struct config_key *key, const char *value,
		       void *ret_field)
{
	static const char *const admissions[] = { "refuse", "throttle" };
	static const char *const offenders[] = { "throttle", "kill" };
	static const char *const floors[] = { "refuse", "warn" };
	static const char *const ksm[] = { "tenant", "off" };
	int choice = 0, r;

	if (!*value)
		return parser_error(parser, "%s has no value, write one or leave the line out", key->name);
	switch (key->type) {
	case TYPE_SIZE:
		return parse_size(parser, key->name, value, ret_field);
	case TYPE_BUDGET:
		return parse_budget(parser, key->name, value);
	case TYPE_LOG_SIZE:
		return parse_log_size(parser, key->name, value, ret_field);
	case TYPE_SHARES:
		return parse_shares(parser, key->name, value, ret_field);
	case TYPE_NAME:
		return replace_string(parser, value, ret_field);
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
		return parse_pages(parser, key->name, value, ret_field);
	}
	return -EINVAL;
}

/*
 * Sections
 */

static const struct memtide_config_vm vm_unset = {
	.floor = UNSET,
	.maximum = UNSET,
	.start = UNSET,
	.shares = UNSET,
};

static int find_vm(struct config_parser *parser, const char *name, size_t *ret_index)
{
	struct memtide_config *config = &parser->config;
	struct config_lines *lines;
	struct memtide_config_vm *vms;

	/* A section's keys come one after another, so the last one is nearly always it. */
	for (size_t i = config->nr_vms; i-- > 0;) {
		if (!strcmp(config->vms[i].name, name)) {
			*ret_index = i;
			return 0;
		}
	}
	vms = reallocarray(config->vms, config->nr_vms + 1, sizeof(*vms));
	if (!vms)
		return parser_no_memory(parser);
	config->vms = vms;
	lines = reallocarray(parser->vm_lines, config->nr_vms + 1, sizeof(*lines));
	if (!lines)
		return parser_no_memory(parser);
	parser->vm_lines = lines;
	vms[config->nr_vms] = vm_unset;
	lines[config->nr_vms] = (struct config_lines) {};
	vms[config->nr_vms].name = strdup(name);
	if (!vms[config->nr_vms].name)
		return parser_no_memory(parser);
	*ret_index = config->nr_vms++;
	return 0;
}

static const struct memtide_config_tenant tenant_unset = {
	.budget = UNSET,
	.shares = UNSET,
};

static int find_tenant(struct config_parser *parser, const char *name, size_t *ret_index)
{
	struct memtide_config *config = &parser->config;
	struct memtide_config_tenant *tenants;
	struct config_lines *lines;

	for (size_t i = config->nr_tenants; i-- > 0;) {
		if (!strcmp(config->tenants[i].name, name)) {
			*ret_index = i;
			return 0;
		}
	}
	tenants = reallocarray(config->tenants, config->nr_tenants + 1, sizeof(*tenants));
	if (!tenants)
		return parser_no_memory(parser);
	config->tenants = tenants;
	lines = reallocarray(parser->tenant_lines, config->nr_tenants + 1, sizeof(*lines));
	if (!lines)
		return parser_no_memory(parser);
	parser->tenant_lines = lines;
	tenants[config->nr_tenants] = tenant_unset;
	lines[config->nr_tenants] = (struct config_lines) {};
	tenants[config->nr_tenants].name = strdup(name);
	if (!tenants[config->nr_tenants].name)
		return parser_no_memory(parser);
	*ret_index = config->nr_tenants++;
	return 0;
}

/* What follows @kind and blanks in the name of a section, or NULL. */
static const char *section_name(const char *section, const char *kind)
{
	size_t size = strlen(kind);

	if (strncmp(section, kind, size) || (section[size] != ' ' && section[size] != '\t'))
		return NULL;
	section += size;
	section += strspn(section, " \t");
	return *section ? section : NULL;
}

/* Where a section's values go, and the lines they come from. */
static int find_section(struct config_parser *parser, const char *section, enum config_kind *ret_kind,
			void **ret_fields, struct config_lines **ret_lines)
{
	const char *name;
	size_t index;
	int r;

	*ret_kind = CONFIG_VM;
	*ret_lines = &parser->lines;
	if (!strcmp(section, "daemon")) {
		*ret_kind = CONFIG_DAEMON;
		*ret_fields = &parser->config;
		return 0;
	}
	if (!strcmp(section, "default")) {
		*ret_fields = &parser->config.defaults;
		return 0;
	}
	name = section_name(section, "vm");
	if (name) {
		r = find_vm(parser, name, &index);
		if (r < 0)
			return r;
		*ret_fields = &parser->config.vms[index];
		*ret_lines = &parser->vm_lines[index];
		return 0;
	}
	name = section_name(section, "tenant");
	if (name) {
		r = find_tenant(parser, name, &index);
		if (r < 0)
			return r;
		*ret_kind = CONFIG_TENANT;
		*ret_fields = &parser->config.tenants[index];
		*ret_lines = &parser->tenant_lines[index];
		return 0;
	}
	if (!*section)
		return parser_error(parser, "a key before the first section, begin with [daemon]");
	return parser_error(parser, "unknown section [%s], known are [daemon], [default], [tenant NAME] and [vm NAME]",
			    section);
}

static int unknown_key(struct config_parser *parser, const char *section, const char *name, enum config_kind kind)
{
	const char *nearest = nearest_key(name, kind);

	if (nearest)
		return parser_error(parser, "unknown key \"%s\" in [%s], did you mean \"%s\"?", name, section,
				    nearest);
	nearest = nearest_key(name, kind == CONFIG_VM ? CONFIG_DAEMON : CONFIG_VM);
	if (nearest && !strcmp(nearest, name))
		return parser_error(parser, "key \"%s\" does not belong in [%s] but in %s", name, section,
				    kind == CONFIG_VM ? "[daemon]" : "[default] or [vm NAME]");
	return parser_error(parser, "unknown key \"%s\" in [%s]", name, section);
}

/* libinih: one key and its value.  Returns 0 for an error. */
static int parser_handle(void *data, const char *section, const char *name, const char *value)
{
	struct config_parser *parser = data;
	struct config_lines *lines;
	enum config_kind kind;
	void *fields = NULL;
	size_t i;

	if (parser->error || find_section(parser, section, &kind, &fields, &lines) < 0)
		return 0;
	for (i = 0; i < NR_KEYS; i++) {
		if (keys[i].kind == kind && !strcmp(keys[i].name, name))
			break;
	}
	if (i == NR_KEYS)
		return unknown_key(parser, section, name, kind) == 0;
	if (lines->line[i])
		return parser_error(parser, "%s is given twice in [%s], first in line %u", name, section,
				    lines->line[i]) == 0;
	lines->line[i] = parser->line;
	return parse_value(parser, &keys[i], value, (char *)fields + keys[i].offset) == 0;
}

/* libinih: the next line, as fgets().  Without blanks in front, with which it would go on with the last one. */
static char *parser_read(char *line, int size, void *data)
{
	struct config_parser *parser = data;
	size_t length = strcspn(parser->rest, "\n"), skipped;
	const char *text = parser->rest;

	if (!*text || parser->error)
		return NULL;
	parser->line++;
	parser->rest += length + (text[length] == '\n');
	skipped = strspn(text, " \t\r");
	skipped = skipped < length ? skipped : length;
	text += skipped;
	length -= skipped;
	/* libinih cuts what is too long into two lines, or drops its end. */
	if (*text != '#' && *text != ';') {
		if (length > (size_t)size - 3) {
			parser_error(parser, "%zu characters, the limit for a line is %d", length, size - 3);
			return NULL;
		}
		if (*text == '[' && memchr(text, ']', length) &&
		    (const char *)memchr(text, ']', length) - text - 1 > SECTION_MAX) {
			parser_error(parser,
				     "a section's name is longer than %d characters, write [vm UUID] instead",
				     SECTION_MAX);
			return NULL;
		}
	} else {
		length = 0;
	}
	memcpy(line, text, length);
	memcpy(line + length, "\n", 2);
	return line;
}

/*
 * Checks across keys
 */

static unsigned int line_of(const struct config_lines *lines, enum config_kind kind, const char *name)
{
	for (size_t i = 0; i < NR_KEYS; i++) {
		if (keys[i].kind == kind && !strcmp(keys[i].name, name))
			return lines->line[i];
	}
	return 0;
}

/* @low, if given here, may not be above @high, if given here. */
static int check_order(struct config_parser *parser, const struct config_lines *lines, enum config_kind kind,
		       const char *low_name, uint64_t low, const char *high_name, uint64_t high)
{
	char low_text[MEMTIDE_SIZE_TEXT], high_text[MEMTIDE_SIZE_TEXT];
	unsigned int low_line = line_of(lines, kind, low_name), high_line = line_of(lines, kind, high_name);

	if (!low_line || !high_line || low <= high)
		return 0;
	parser->line = low_line;
	return parser_error(parser, "%s = %s is above %s = %s of line %u, lower it or raise that", low_name,
			    memtide_size_format(low, low_text), high_name, memtide_size_format(high, high_text),
			    high_line);
}

static int check_vm(struct config_parser *parser, const struct memtide_config_vm *vm,
		    const struct config_lines *lines)
{
	int r;

	if (vm->maximum == 0) {
		parser->line = line_of(lines, CONFIG_VM, "maximum");
		return parser_error(parser, "maximum = 0: a VM needs some memory, write a size or leave it out");
	}
	r = check_order(parser, lines, CONFIG_VM, "floor", vm->floor, "maximum", vm->maximum);
	if (r < 0)
		return r;
	r = check_order(parser, lines, CONFIG_VM, "start", vm->start, "maximum", vm->maximum);
	if (r < 0)
		return r;
	return check_order(parser, lines, CONFIG_VM, "floor", vm->floor, "start", vm->start);
}

static int check_config(struct config_parser *parser)
{
	struct memtide_config *config = &parser->config;
	int r = 0;

	if (!config->budget_auto) {
		r = check_order(parser, &parser->lines, CONFIG_DAEMON, "reserve", config->reserve, "budget",
				config->budget);
		if (!line_of(&parser->lines, CONFIG_DAEMON, "reserve") && config->reserve > config->budget / 8)
			config->reserve = config->budget / 8;
	}
	if (!r)
		r = check_vm(parser, &config->defaults, &parser->lines);
	for (size_t i = 0; !r && i < config->nr_vms; i++)
		r = check_vm(parser, &config->vms[i], &parser->vm_lines[i]);
	return r;
}

static int set_defaults(struct config_parser *parser)
{
	struct memtide_config *config = &parser->config;

	*config = (struct memtide_config) {
		.budget_auto = true,
		.reserve = 256ULL << 20,
		.log_size = 16ULL << 20,
		.admission = MEMTIDE_ADMISSION_THROTTLE,
		.offenders = MEMTIDE_OFFENDERS_THROTTLE,
		.floors = MEMTIDE_FLOORS_REFUSE,
		.hook_ms = 5000,
		.defaults = {
			.floor = 256ULL << 20,
			.maximum = UNSET,
			.start = UNSET,
			.shares = 100,
		},
	};
	if (replace_string(parser, "fair", &config->policy) < 0 ||
	    replace_string(parser, MEMTIDE_POLICY_PATH, &config->policy_path) < 0 ||
	    replace_string(parser, MEMTIDE_VMM_PATH, &config->vmm_socket) < 0 ||
	    replace_string(parser, MEMTIDE_CONTROL_PATH, &config->control_socket) < 0 ||
	    replace_string(parser, "/var/lib/memtide", &config->state_directory) < 0 ||
	    replace_string(parser, "auto", &config->machine_cgroup) < 0 ||
	    replace_string(parser, "qemu:///system", &config->libvirt_uri) < 0)
		return parser->error;
	return 0;
}

static int parser_run(struct config_parser *parser)
{
	int r;

	if (set_defaults(parser) < 0)
		return parser->error;
	r = ini_parse_stream(parser_read, parser, parser_handle, parser);
	if (r < 0)
		return parser_no_memory(parser);
	/* libinih goes on after a line that it cannot split; what is said of the next ones follows from that. */
	if (r > 0 && (!parser->error || (unsigned int)r < parser->error_line)) {
		parser->error = 0;
		parser->line = r;
		return parser_error(parser, "neither \"[section]\" nor \"key = value\" nor a comment");
	}
	return parser->error ? parser->error : check_config(parser);
}

int memtide_config_parse(const char *text, const char *name, struct memtide_config *ret_config,
			 struct memtide_errtext *errtext)
{
	struct config_parser parser = { .name = name, .rest = text };
	int r;

	r = parser_run(&parser);
	free(parser.vm_lines);
	free(parser.tenant_lines);
	if (r < 0) {
		memtide_config_free(&parser.config);
		return memtide_errtext_set(errtext, r, "%s", parser.errtext.text);
	}
	*ret_config = parser.config;
	return 0;
}

/* All of a file as one string, to be freed. */
static int read_file(const char *path, char **ret_text, struct memtide_errtext *errtext)
{
	size_t filled = 0;
	char *text;
	ssize_t n;
	int fd, r;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return memtide_errtext_set(errtext, -errno, "%s: %s", path, strerror(errno));
	text = malloc(FILE_MAX_BYTES + 1);
	r = text ? 0 : -ENOMEM;
	while (!r && filled <= FILE_MAX_BYTES) {
		n = read(fd, text + filled, FILE_MAX_BYTES + 1 - filled);
		if (n < 0 && errno != EINTR)
			r = -errno;
		if (n == 0)
			break;
		filled += n > 0 ? n : 0;
	}
	close(fd);
	if (!r && filled > FILE_MAX_BYTES)
		r = -EFBIG;
	if (!r && memchr(text, '\0', filled))
		r = -EILSEQ;
	if (r) {
		free(text);
		return memtide_errtext_set(errtext, r, "%s: %s", path,
					   r == -EFBIG ? "larger than the limit of 1 MiB" :
					   r == -EILSEQ ? "not a text file, it has a zero byte" : strerror(-r));
	}
	text[filled] = '\0';
	*ret_text = text;
	return 0;
}

int memtide_config_load(const char *path, struct memtide_config *ret_config, struct memtide_errtext *errtext)
{
	char *text = NULL;
	int r;

	if (!path)
		return memtide_config_parse("", "defaults", ret_config, errtext);
	r = read_file(path, &text, errtext);
	if (r < 0)
		return r;
	r = memtide_config_parse(text, path, ret_config, errtext);
	free(text);
	return r;
}

void memtide_config_free(struct memtide_config *config)
{
	for (size_t i = 0; i < config->nr_vms; i++)
		free(config->vms[i].name);
	free(config->vms);
	free(config->policy);
	free(config->policy_path);
	free(config->vmm_socket);
	free(config->control_socket);
	free(config->group);
	free(config->state_directory);
	free(config->machine_cgroup);
	free(config->libvirt_uri);
	for (size_t i = 0; i < config->nr_tenants; i++)
		free(config->tenants[i].name);
	free(config->tenants);
	*config = (struct memtide_config) {};
}

static const struct memtide_config_vm *section_of(const struct memtide_config *config, const char *name, bool fold)
{
	for (size_t i = 0; name && i < config->nr_vms; i++) {
		if (fold ? !strcasecmp(config->vms[i].name, name) : !strcmp(config->vms[i].name, name))
			return &config->vms[i];
	}
	return NULL;
}

/* @own, the VM's, must fit; @general is made to. */
static int fit_size(const char *vm, const char *what, uint64_t own, uint64_t general, uint64_t least,
		    uint64_t most, uint64_t *ret_bytes, struct memtide_errtext *errtext)
{
	char own_text[MEMTIDE_SIZE_TEXT], least_text[MEMTIDE_SIZE_TEXT], most_text[MEMTIDE_SIZE_TEXT];

	if (own != UNSET && (own < least || own > most))
		return memtide_errtext_set(errtext, -EINVAL, "[vm %s] %s = %s: out of range %s to %s for this VM",
					   vm, what, memtide_size_format(own, own_text),
					   memtide_size_format(least, least_text),
					   memtide_size_format(most, most_text));
	if (own == UNSET)
		own = general < least ? least : general > most ? most : general;
	*ret_bytes = own;
	return 0;
}

int memtide_config_vm(const struct memtide_config *config, const char *name, const char *uuid, uint64_t ram,
		      struct memtide_config_vm *ret_vm, struct memtide_errtext *errtext)
{
	const struct memtide_config_vm *general = &config->defaults, *own = section_of(config, name, false);
	struct memtide_config_vm vm;
	int r;

	if (!own)
		own = section_of(config, uuid, true);
	if (!own)
		own = &vm_unset;
	vm.name = own->name;
	vm.shares = own->shares != UNSET ? own->shares : general->shares;
	vm.maximum = own->maximum != UNSET ? own->maximum : general->maximum;
	if (vm.maximum > ram)
		vm.maximum = ram;
	r = fit_size(own->name, "floor", own->floor, general->floor, 0, vm.maximum, &vm.floor, errtext);
	if (r < 0)
		return r;
	r = fit_size(own->name, "start", own->start, general->start == UNSET ? 0 : general->start, vm.floor,
		     vm.maximum, &vm.start, errtext);
	if (r < 0)
		return r;
	*ret_vm = vm;
	return 0;
}

const struct memtide_config_tenant *memtide_config_tenant(const struct memtide_config *config, const char *name)
{
	for (size_t i = 0; i < config->nr_tenants; i++)
		if (!strcmp(config->tenants[i].name, name))
			return &config->tenants[i];
	return NULL;
}
