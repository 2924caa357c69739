/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies for the kernel's hooks (struct_ops), on cgroups.  What is attached stays so when the process ends: its
 * link is pinned as MEMTIDE_PIN_DIRECTORY/FAMILY-CGROUP, CGROUP being the cgroup's id, and next to it
 * FAMILY-CGROUP-file is a symbolic link to the policy's file.
 *
 * All of this needs root, blocks, and words errors as policy.h does.
 */
#ifndef MEMTIDE_POLICY_ATTACH_H
#define MEMTIDE_POLICY_ATTACH_H

#include <stdbool.h>
#include <stddef.h>

#include "policy.h"

#define MEMTIDE_PIN_DIRECTORY	"/sys/fs/bpf/memtide"
#define MEMTIDE_TIDE_SYSFS	"/sys/kernel/tide"

/* Whether this kernel has memtide's hooks at all. */
bool memtide_kernel_has_hooks(void);

/**
 * memtide_policy_attach() - load a policy and attach it to a cgroup, with all its families but balance
 * @policy: opened, its knobs set; of no use afterwards but for memtide_policy_log() and memtide_policy_close()
 * @cgroup: see memtide_cgroup_id()
 *
 * Everything is attached, or nothing.  -EBUSY where a policy of a family is attached there already, -EOPNOTSUPP
 * on a kernel without the hooks or a cgroup without memory controller, -EINVAL for what the hooks do not take: a
 * map that allocates, a program that sleeps.
 */
int memtide_policy_attach(struct memtide_policy *policy, const char *cgroup, struct memtide_errtext *errtext);

/**
 * memtide_policy_replace() - put a policy in the place of the one that is attached, in one step
 *
 * As memtide_policy_attach().  On failure the one before stays in force; of several families the first may be
 * replaced then.  -ENOENT where none is attached, -ENOLINK where it has been ejected.
 */
int memtide_policy_replace(struct memtide_policy *policy, const char *cgroup, struct memtide_errtext *errtext);

/**
 * memtide_policy_detach() - detach what is attached to a cgroup
 * @which: a family, or a policy's own name, in which '-' is as good as '_'; NULL for the only one that is there
 * @ret_nr: how many policies that were: of several families, some may have the same name
 *
 * -ENOENT if there is none, -ENOTUNIQ if it does not say which, -EPERM if it was not attached through this file:
 * only who holds its link can detach it.
 */
int memtide_policy_detach(const char *which, const char *cgroup, size_t *ret_nr, struct memtide_errtext *errtext);

/* Eject every policy on this host, whoever attached it; how many there were in @ret_nr. */
int memtide_policy_eject_all(size_t *ret_nr, struct memtide_errtext *errtext);

#endif /* MEMTIDE_POLICY_ATTACH_H */
