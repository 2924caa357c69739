/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Handing an ops table to the kernel by bare system calls: what the kernel refuses must not depend on libbpf, which
 * refuses some of it by itself.
 */
#ifndef TESTS_HOST_KERNEL_OPS_TABLE_H
#define TESTS_HOST_KERNEL_OPS_TABLE_H

#include <stdint.h>

struct hook;

/*
 * Makes a map for struct @ops and puts a table for cgroup @id into it.  Its only operation is @member: the program in
 * section struct_ops/@member of a loaded @hook.  Nothing is attached.  0 or the kernel's negative errno.
 */
int ops_table_register(const struct hook *hook, const char *ops, const char *member, uint64_t id);

#endif /* TESTS_HOST_KERNEL_OPS_TABLE_H */
