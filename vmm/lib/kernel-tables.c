// SPDX-License-Identifier: GPL-2.0-or-later
/* See kernel-tables.h. */
#include "kernel-tables.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* What the kernel's register_bpf_struct_ops() puts around a table NAME, as the value of its maps. */
#define VALUE_PREFIX	"bpf_struct_ops_"
#define VALUE_DATA	"data"
/* The kernel's BPF_STRUCT_OPS_MAX_NR_MEMBERS. */
#define MAX_MEMBERS	64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kernel_tables found;	/* under lock until its btf is set, and constant from then on */

static const struct btf_type *without_modifiers(const struct btf *btf, __u32 id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	while (t && (btf_is_mod(t) || btf_is_typedef(t)))
		t = btf__type_by_id(btf, t->type);
	return t;
}

/* The id of a type of ours that is like @t; 0 where none is needed. */
static int add_type(struct btf *own, const struct btf *kernel, const struct btf_type *t)
{
	if (t && btf_is_int(t))
		return btf__add_int(own, btf__name_by_offset(kernel, t->name_off), t->size, btf_int_encoding(t));
	if (t && btf_is_ptr(t))
		return btf__add_ptr(own, 0);
	return 0;
}

/* A struct's fields follow it without anything in between. */
static int copy_table(struct btf *own, const struct btf *kernel, __u32 id)
{
	const struct btf_type *t = btf__type_by_id(kernel, id);
	const struct btf_member *members = btf_members(t);
	int types[MAX_MEMBERS], nr = btf_vlen(t), table, r = 0;

	nr = nr < MAX_MEMBERS ? nr : MAX_MEMBERS;
	for (int i = 0; i < nr && r >= 0; i++)
		r = types[i] = btf_member_bitfield_size(t, i) ? 0 :
			       add_type(own, kernel, without_modifiers(kernel, members[i].type));
	table = r < 0 ? r : btf__add_struct(own, btf__name_by_offset(kernel, t->name_off), t->size);
	for (int i = 0; i < nr && table > 0 && r >= 0; i++)
		if (types[i])
			r = btf__add_field(own, btf__name_by_offset(kernel, members[i].name_off), types[i],
					   btf_member_bit_offset(t, i), 0);
	return r < 0 ? r : table;
}

/* @value is what a map of @ret's table has. */
static int read_table(struct btf *own, const struct btf *kernel, __u32 value, struct kernel_table *ret)
{
	const struct btf_type *t = btf__type_by_id(kernel, value);
	const struct btf_member *member = btf_members(t);
	int r;

	for (int i = 0; i < btf_vlen(t); i++, member++) {
		if (strcmp(btf__name_by_offset(kernel, member->name_off), VALUE_DATA) ||
		    !btf_is_struct(btf__type_by_id(kernel, member->type)))
			continue;
		r = copy_table(own, kernel, member->type);
		if (r < 0)
			return r;
		*ret = (struct kernel_table) { .value_type = value, .offset = member->offset / 8, .type = (__u32)r };
		return 0;
	}
	return 0;
}

/* In one walk: there are far more types than families. */
static int find_tables(struct btf *own, const struct btf *kernel, struct kernel_table list[static POLICY_MAX_OPS])
{
	const size_t prefix = strlen(VALUE_PREFIX);
	__u32 nr = btf__type_cnt(kernel);
	int r = 0;

	for (__u32 id = 1; id < nr && !r; id++) {
		const struct btf_type *t = btf__type_by_id(kernel, id);
		const char *name = btf_is_struct(t) ? btf__name_by_offset(kernel, t->name_off) : "";

		if (strncmp(name, VALUE_PREFIX, prefix))
			continue;
		for (size_t i = 0; policy_families[i].name && !r; i++)
			if (!strcmp(name + prefix, policy_families[i].ops))
				r = read_table(own, kernel, id, &list[i]);
	}
	return r;
}

/* Under the lock. */
static int read_once(void)
{
	struct kernel_table list[POLICY_MAX_OPS] = {};
	struct btf *kernel, *own;
	int r;

	if (found.btf)
		return 0;
	policy_listen_to_libbpf();
	kernel = btf__load_vmlinux_btf();
	if (!kernel)
		return -errno;
	own = btf__new_empty();
	r = own ? find_tables(own, kernel, list) : -errno;
	btf__free(kernel);
	if (r) {
		btf__free(own);
		return r;
	}
	memcpy(found.list, list, sizeof(list));
	found.btf = own;
	return 0;
}

int kernel_tables_read(const struct kernel_tables **ret)
{
	int r;

	pthread_mutex_lock(&lock);
	r = read_once();
	pthread_mutex_unlock(&lock);
	if (!r)
		*ret = &found;
	return r;
}

const struct kernel_table *kernel_table_of_family(const struct kernel_tables *tables,
						  const struct policy_family *family)
{
	const struct kernel_table *table = &tables->list[family - policy_families];

	return table->value_type ? table : NULL;
}

const struct kernel_table *kernel_table_of_value(const struct kernel_tables *tables, __u32 value_type)
{
	for (size_t i = 0; value_type && i < POLICY_MAX_OPS; i++)
		if (tables->list[i].value_type == value_type)
			return &tables->list[i];
	return NULL;
}
