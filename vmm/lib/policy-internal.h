/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the policy loader share: policy.c (the object file, families, balance), policy-knob.c (knobs)
 * and policy-attach.c (host policies on cgroups).  For nobody else.
 */
#ifndef MEMTIDE_POLICY_INTERNAL_H
#define MEMTIDE_POLICY_INTERNAL_H

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/types.h>

#include "policy.h"

/* Families of hooks in the host's kernel that a policy file may implement together. */
#define POLICY_MAX_OPS	8
/* Of the names of all these families, with what is between them. */
#define POLICY_NAMES_SIZE	80

/**
 * struct policy_family - a family of hooks in the host's kernel
 * @bit: enum memtide_family
 * @name: as in /sys/kernel/tide and in messages
 * @ops: its ops table, a struct of the kernel's
 */
struct policy_family {
	enum memtide_family bit;
	const char *name;
	const char *ops;
};

/* The last one has no name. */
extern const struct policy_family policy_families[];

/**
 * struct policy_ops - an ops table in an object file
 * @family: whose it is
 * @map: libbpf's handle
 * @type: its struct, as the object knows it, in the object's BTF
 * @data: libbpf's, becomes the map's value on loading: data members as they are, pointers to programs
 * @size: of @data
 */
struct policy_ops {
	const struct policy_family *family;
	struct bpf_map *map;
	__u32 type;
	unsigned char *data;
	size_t size;
};

/**
 * struct policy_knobs - knobs, and the bytes behind them
 * @list: in the order of declaration
 * @variables: of each, its bytes in .rodata, or NULL if it is a member of an ops table only
 * @nr: of both
 */
struct policy_knobs {
	struct memtide_knob *list;
	unsigned char **variables;
	size_t nr;
};

struct memtide_policy {
	char *path;
	char *name;
	const char *about;
	unsigned int families;
	char family_names[64];
	struct bpf_object *object;
	struct policy_ops ops[POLICY_MAX_OPS];
	size_t nr_ops;
	struct policy_knobs knobs;
	char *log;
	bool loaded;
	int run_fd;
	struct balance_table *table;
	size_t table_size;
	uint64_t runs;
	uint64_t run_ns;
};

/* policy.c */

/* "ksm, thp": the families that have hooks; returns @ret_names. */
const char *policy_hook_families(char ret_names[static POLICY_NAMES_SIZE]);

/* Start to keep libbpf's words of this thread. */
void policy_listen_to_libbpf(void);
/* libbpf's first line since then, without its prefix: the cause comes first, what follows from it later. */
const char *policy_libbpf_words(void);

/* Load what belongs to @families (enum memtide_family) and nothing else. */
int policy_load_families(struct memtide_policy *policy, unsigned int families, struct memtide_errtext *errtext);

/* policy-knob.c */

/* The text of a declaration tag that begins with @prefix, on type @id or (0) on any; NULL if there is none. */
const char *policy_find_tag(const struct btf *btf, __u32 id, int component, const char *prefix);

/* The integer member @name of struct @type, or NULL. */
const struct btf_member *policy_find_member(const struct btf *btf, __u32 type, const char *name, size_t *ret_size);

/* Write @value into member @name of @ops, if it has one; -ENOENT if not. */
int policy_set_member(const struct btf *btf, const struct policy_ops *ops, const char *name, uint64_t value);

/* Add the `const volatile` variables of @size bytes of .rodata at @rodata; @whose is for error messages. */
int policy_read_variables(struct policy_knobs *knobs, const struct btf *btf, unsigned char *rodata, size_t size,
			  const char *whose, struct memtide_errtext *errtext);

/*
 * Add the integer members of an ops table of struct @type, @size bytes at @data, that no knob has the name of
 * yet.
 */
int policy_read_members(struct policy_knobs *knobs, const struct btf *btf, __u32 type, const unsigned char *data,
			size_t size, const char *whose, struct memtide_errtext *errtext);

/* All knobs of an object file: variables, and data members of its ops tables. */
int policy_read_knobs(struct memtide_policy *policy, struct memtide_errtext *errtext);

void policy_knobs_free(struct policy_knobs *knobs);

#endif /* MEMTIDE_POLICY_INTERNAL_H */
