// SPDX-License-Identifier: GPL-2.0-or-later
/* See ops-table.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "hooks.h"
#include "ops-table.h"

/* Where member @name of a structure is, in bytes, and its type; a negative errno without one. */
static int find_member(const struct btf *btf, uint32_t type, const char *name, uint32_t *ret_type)
{
	const struct btf_type *t = btf__type_by_id(btf, type);

	for (int i = 0; t && i < btf_vlen(t); i++) {
		const struct btf_member *m = btf_members(t) + i;

		if (strcmp(btf__name_by_offset(btf, m->name_off), name))
			continue;
		*ret_type = m->type;
		return btf_member_bit_offset(t, i) / 8;
	}
	return -ENOENT;
}

/* The program whose section is struct_ops/@member. */
static long program_fd(const struct hook *hook, const char *member)
{
	struct bpf_program *program;
	char section[64];

	snprintf(section, sizeof(section), "struct_ops/%s", member);
	bpf_object__for_each_program(program, hook->object) {
		if (!strcmp(bpf_program__section_name(program), section))
			return bpf_program__fd(program);
	}
	return -ENOENT;
}

/* The map's value: the kernel's own members, and behind them the table. */
static int fill(const struct btf *btf, uint32_t value_type, char *value, long program, const char *member, uint64_t id)
{
	int table, at, name;
	uint32_t type, unused;

	table = find_member(btf, value_type, "data", &type);
	if (table < 0)
		return table;
	at = find_member(btf, type, member, &unused);
	name = find_member(btf, type, "name", &unused);
	if (at < 0 || name < 0)
		return -ENOENT;
	memcpy(value + table + at, &program, sizeof(program));
	strcpy(value + table + name, "bare");
	at = find_member(btf, type, "cgroup_id", &unused);
	if (at < 0)
		return at;
	memcpy(value + table + at, &id, sizeof(id));
	return 0;
}

static int register_table(const struct hook *hook, const struct btf *btf, uint32_t value_type, const char *member,
			  uint64_t id)
{
	/* the value is a structure of the kernel's, but an object of programs has types to begin with */
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_LINK, .btf_vmlinux_value_type_id = value_type,
		    .btf_fd = bpf_object__btf_fd(hook->object));
	size_t size = btf__resolve_size(btf, value_type);
	char *value = calloc(1, size);
	long program = program_fd(hook, member);
	uint32_t zero = 0;
	int fd, r;

	r = program < 0 ? program : value ? fill(btf, value_type, value, program, member, id) : -ENOMEM;
	fd = r ? r : bpf_map_create(BPF_MAP_TYPE_STRUCT_OPS, "bare", sizeof(zero), size, 1, &opts);
	r = fd < 0 ? fd : bpf_map_update_elem(fd, &zero, value, 0);
	if (fd >= 0)
		close(fd);
	free(value);
	return r;
}

int ops_table_register(const struct hook *hook, const char *ops, const char *member, uint64_t id)
{
	struct btf *btf = btf__load_vmlinux_btf();
	char name[64];
	int type, r;

	if (!btf)
		return -errno;
	snprintf(name, sizeof(name), "bpf_struct_ops_%s", ops);
	type = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);
	r = type < 0 ? type : register_table(hook, btf, type, member, id);
	btf__free(btf);
	return r;
}
