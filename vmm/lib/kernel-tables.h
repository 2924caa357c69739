/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ops tables that this kernel has, as it lays them out.  For the parts of the policy loader, as
 * policy-internal.h is.
 *
 * A kernel's types are some 130,000, in 6 MiB, and it takes longer to go through them than to load a policy.  Its ops
 * tables do not change while it runs, so a process looks for them once, and keeps these only.
 */
#ifndef MEMTIDE_KERNEL_TABLES_H
#define MEMTIDE_KERNEL_TABLES_H

#include <bpf/btf.h>
#include <linux/types.h>
#include <stddef.h>

#include "policy-internal.h"

/**
 * struct kernel_table - an ops table in the kernel
 * @value_type: what a map of it has as value, in the kernel's BTF; 0 where the kernel has no such table
 * @offset: of the ops table in such a value
 * @type: the ops table, in the BTF of struct kernel_tables; of its members those that are integers or pointers
 */
struct kernel_table {
	__u32 value_type;
	size_t offset;
	__u32 type;
};

/**
 * struct kernel_tables - all of them
 * @btf: these tables and nothing else
 * @list: one for each of policy_families
 */
struct kernel_tables {
	struct btf *btf;
	struct kernel_table list[POLICY_MAX_OPS];
};

/*
 * Those of this kernel; they stay for good, and do not change.  0, or a negative errno where the kernel does not
 * describe its types.  From any thread.
 */
int kernel_tables_read(const struct kernel_tables **ret);

/* The table of a family, or that which a map of @value_type has; NULL where the kernel has none. */
const struct kernel_table *kernel_table_of_family(const struct kernel_tables *tables,
						  const struct policy_family *family);
const struct kernel_table *kernel_table_of_value(const struct kernel_tables *tables, __u32 value_type);

#endif /* MEMTIDE_KERNEL_TABLES_H */
