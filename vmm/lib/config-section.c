// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The sections of a configuration file: what their names mean, and the VMs and tenants that have one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config-internal.h"

const struct memtide_config_vm config_vm_unset = {
	.floor = MEMTIDE_CONFIG_UNSET,
	.maximum = MEMTIDE_CONFIG_UNSET,
	.start = MEMTIDE_CONFIG_UNSET,
	.shares = MEMTIDE_CONFIG_UNSET,
};

static const struct memtide_config_tenant tenant_unset = {
	.budget = MEMTIDE_CONFIG_UNSET,
	.shares = MEMTIDE_CONFIG_UNSET,
};

/*
 * Room for one more in an array of @nr elements of @size bytes, and in that of their lines.  Returns where the array is
 * now, or NULL.
 */
static void *grow(struct config_parser *parser, void *array, size_t nr, size_t size, struct config_lines **lines)
{
	struct config_lines *more = reallocarray(*lines, nr + 1, sizeof(*more));
	void *grown = NULL;

	if (more) {
		*lines = more;
		more[nr] = (struct config_lines) {};
		grown = reallocarray(array, nr + 1, size);
	}
	if (!grown)
		config_no_memory(parser);
	return grown;
}

/* Returns the section of VM @name, a new one if there is none, or NULL. */
static struct memtide_config_vm *find_vm(struct config_parser *parser, const char *name)
{
	struct memtide_config *config = &parser->config;
	struct memtide_config_vm *vms;

	/* A section's keys come one after another, so the last one is nearly always it. */
	for (size_t i = config->nr_vms; i-- > 0;) {
		if (!strcmp(config->vms[i].name, name))
			return &config->vms[i];
	}
	vms = grow(parser, config->vms, config->nr_vms, sizeof(*vms), &parser->vm_lines);
	if (!vms)
		return NULL;
	config->vms = vms;
	vms[config->nr_vms] = config_vm_unset;
	vms[config->nr_vms].name = strdup(name);
	if (!vms[config->nr_vms].name) {
		config_no_memory(parser);
		return NULL;
	}
	return &vms[config->nr_vms++];
}

static struct memtide_config_tenant *find_tenant(struct config_parser *parser, const char *name)
{
	struct memtide_config *config = &parser->config;
	struct memtide_config_tenant *tenants;

	for (size_t i = config->nr_tenants; i-- > 0;) {
		if (!strcmp(config->tenants[i].name, name))
			return &config->tenants[i];
	}
	tenants = grow(parser, config->tenants, config->nr_tenants, sizeof(*tenants), &parser->tenant_lines);
	if (!tenants)
		return NULL;
	config->tenants = tenants;
	tenants[config->nr_tenants] = tenant_unset;
	tenants[config->nr_tenants].name = strdup(name);
	if (!tenants[config->nr_tenants].name) {
		config_no_memory(parser);
		return NULL;
	}
	return &tenants[config->nr_tenants++];
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

int config_find_section(struct config_parser *parser, const char *section, enum config_kind *ret_kind,
			void **ret_fields, struct config_lines **ret_lines)
{
	struct memtide_config_tenant *tenant;
	struct memtide_config_vm *vm;
	const char *name;

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
		vm = find_vm(parser, name);
		if (!vm)
			return -ENOMEM;
		*ret_fields = vm;
		*ret_lines = &parser->vm_lines[vm - parser->config.vms];
		return 0;
	}
	name = section_name(section, "tenant");
	if (name) {
		tenant = find_tenant(parser, name);
		if (!tenant)
			return -ENOMEM;
		*ret_kind = CONFIG_TENANT;
		*ret_fields = tenant;
		*ret_lines = &parser->tenant_lines[tenant - parser->config.tenants];
		return 0;
	}
	if (!*section)
		return config_error(parser, "a key before the first section, begin with [daemon]");
	return config_error(parser, "unknown section [%s], known are [daemon], [default], [tenant NAME] and [vm NAME]",
			    section);
}
