// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The keys that a configuration file may have, by the kind of section that they belong in.
 */
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "config-internal.h"

const struct config_key config_keys[] = {
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

_Static_assert(sizeof(config_keys) / sizeof(config_keys[0]) == CONFIG_NR_KEYS, "as many as config_lines has room for");

size_t config_find_key(enum config_kind kind, const char *name)
{
	size_t i = 0;

	while (i < CONFIG_NR_KEYS && (config_keys[i].kind != kind || strcmp(config_keys[i].name, name)))
		i++;
	return i;
}

/*
 * Hints: the known word that takes the fewest changed, added or dropped letters, if it takes few.
 */

static unsigned int word_distance(const char *a, const char *b)
{
	unsigned int row[CONFIG_SECTION_MAX + 2], before, above, change;
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > CONFIG_SECTION_MAX || b_length > CONFIG_SECTION_MAX)
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

const char *config_nearest_key(const char *name, enum config_kind kind)
{
	const char *nearest = NULL;
	unsigned int best = 3, distance;

	for (size_t i = 0; i < CONFIG_NR_KEYS; i++) {
		distance = word_distance(name, config_keys[i].name);
		if (config_keys[i].kind == kind && distance < best) {
			best = distance;
			nearest = config_keys[i].name;
		}
	}
	return nearest;
}
