/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the config-*.c files have for each other and for nobody else: the state of parsing one file, and what each of
 * them does in it.
 */
#ifndef MEMTIDE_CONFIG_INTERNAL_H
#define MEMTIDE_CONFIG_INTERNAL_H

#include "config.h"

#define CONFIG_NR_KEYS		24
#define CONFIG_SECTION_MAX	49	/* what libinih, as Debian builds it, keeps of a name */

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

/* The line in which each key was given, 0: not at all. */
struct config_lines {
	unsigned int line[CONFIG_NR_KEYS];
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

/* config-parse.c */

/*
 * Only the first error is kept: the ones behind it may be its children.  Returns -EINVAL, and with no memory -ENOMEM.
 */
__attribute__((format(printf, 2, 3)))
int config_error(struct config_parser *parser, const char *format, ...);
int config_no_memory(struct config_parser *parser);

/* config-key.c */

/* All of them. */
extern const struct config_key config_keys[];

/* The place in config_keys, or CONFIG_NR_KEYS: there is none of that name. */
size_t config_find_key(enum config_kind kind, const char *name);

/* The known one that @name was meant to be, or NULL. */
const char *config_nearest_key(const char *name, enum config_kind kind);

/* config-value.c: each of these returns 0 or what config_error() does. */

/* What @value means for @key, in @ret_field. */
int config_parse_value(struct config_parser *parser, const struct config_key *key, const char *value, void *ret_field);
int config_replace_string(struct config_parser *parser, const char *value, char **ret_string);

/* config-section.c */

/* Nothing is set in it. */
extern const struct memtide_config_vm config_vm_unset;

/* Where a section's values go, and the lines they come from.  0 or what config_error() returns. */
int config_find_section(struct config_parser *parser, const char *section, enum config_kind *ret_kind,
			void **ret_fields, struct config_lines **ret_lines);

#endif /* MEMTIDE_CONFIG_INTERNAL_H */
