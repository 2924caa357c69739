// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From the text of a configuration file to what it says, by libinih, which splits lines.
 *
 * libinih neither tells its callback the line nor refuses what is too long for it, so the lines go to it through a
 * reader of ours that counts them and watches their length.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ini.h>

#include "config-internal.h"
#include "control.h"
#include "size.h"

int config_error(struct config_parser *parser, const char *format, ...)
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

int config_no_memory(struct config_parser *parser)
{
	if (!parser->error)
		parser->error = memtide_errtext_set(&parser->errtext, -ENOMEM, "%s: out of memory", parser->name);
	return -ENOMEM;
}

static int unknown_key(struct config_parser *parser, const char *section, const char *name, enum config_kind kind)
{
	const char *nearest = config_nearest_key(name, kind);

	if (nearest)
		return config_error(parser, "unknown key \"%s\" in [%s], did you mean \"%s\"?", name, section,
				    nearest);
	nearest = config_nearest_key(name, kind == CONFIG_VM ? CONFIG_DAEMON : CONFIG_VM);
	if (nearest && !strcmp(nearest, name))
		return config_error(parser, "key \"%s\" does not belong in [%s] but in %s", name, section,
				    kind == CONFIG_VM ? "[daemon]" : "[default] or [vm NAME]");
	return config_error(parser, "unknown key \"%s\" in [%s]", name, section);
}

/* libinih: one key and its value.  Returns 0 for an error. */
static int parser_handle(void *data, const char *section, const char *name, const char *value)
{
	struct config_parser *parser = data;
	struct config_lines *lines;
	enum config_kind kind;
	void *fields = NULL;
	size_t i;

	if (parser->error || config_find_section(parser, section, &kind, &fields, &lines) < 0)
		return 0;
	i = config_find_key(kind, name);
	if (i == CONFIG_NR_KEYS)
		return unknown_key(parser, section, name, kind) == 0;
	if (lines->line[i])
		return config_error(parser, "%s is given twice in [%s], first in line %u", name, section,
				    lines->line[i]) == 0;
	lines->line[i] = parser->line;
	return config_parse_value(parser, &config_keys[i], value, (char *)fields + config_keys[i].offset) == 0;
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
			config_error(parser, "%zu characters, the limit for a line is %d", length, size - 3);
			return NULL;
		}
		if (*text == '[' && memchr(text, ']', length) &&
		    (const char *)memchr(text, ']', length) - text - 1 > CONFIG_SECTION_MAX) {
			config_error(parser,
				     "a section's name is longer than %d characters, write [vm UUID] instead",
				     CONFIG_SECTION_MAX);
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
	size_t i = config_find_key(kind, name);

	return i < CONFIG_NR_KEYS ? lines->line[i] : 0;
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
	return config_error(parser, "%s = %s is above %s = %s of line %u, lower it or raise that", low_name,
			    memtide_size_format(low, low_text), high_name, memtide_size_format(high, high_text),
			    high_line);
}

static int check_vm(struct config_parser *parser, const struct memtide_config_vm *vm,
		    const struct config_lines *lines)
{
	int r;

	if (vm->maximum == 0) {
		parser->line = line_of(lines, CONFIG_VM, "maximum");
		return config_error(parser, "maximum = 0: a VM needs some memory, write a size or leave it out");
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
			.maximum = MEMTIDE_CONFIG_UNSET,
			.start = MEMTIDE_CONFIG_UNSET,
			.shares = 100,
		},
	};
	if (config_replace_string(parser, "fair", &config->policy) < 0 ||
	    config_replace_string(parser, MEMTIDE_POLICY_PATH, &config->policy_path) < 0 ||
	    config_replace_string(parser, MEMTIDE_VMM_PATH, &config->vmm_socket) < 0 ||
	    config_replace_string(parser, MEMTIDE_CONTROL_PATH, &config->control_socket) < 0 ||
	    config_replace_string(parser, "/var/lib/memtide", &config->state_directory) < 0 ||
	    config_replace_string(parser, "auto", &config->machine_cgroup) < 0 ||
	    config_replace_string(parser, "qemu:///system", &config->libvirt_uri) < 0)
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
		return config_no_memory(parser);
	/* libinih goes on after a line that it cannot split; what is said of the next ones follows from that. */
	if (r > 0 && (!parser->error || (unsigned int)r < parser->error_line)) {
		parser->error = 0;
		parser->line = r;
		return config_error(parser, "neither \"[section]\" nor \"key = value\" nor a comment");
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
