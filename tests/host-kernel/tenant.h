/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process in a cgroup with memory that KSM may merge, or that may be in huge pages: what a VM is to the host's
 * kernel, without the VM.  What is shared is told from page frame numbers, so this needs root.
 *
 * Functions that return int return 0 or a negative errno and say on stderr what went wrong.
 */
#ifndef TESTS_HOST_KERNEL_TENANT_H
#define TESTS_HOST_KERNEL_TENANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TENANT_PAGES		2048
/* A tenant's memory begins at a multiple of these. */
#define TENANT_HUGE_PAGES	512

struct tenant;

/* Makes the folder of a cgroup below the tests' own, with the memory controller.  -EEXIST is fine. */
int cgroup_make(const char *name);
int cgroup_remove(const char *name);
/* All of them that are there, the last one first. */
void cgroups_remove(const char *const *names, size_t nr);
/* Its id, as policies say it; zero if there is none. */
uint64_t cgroup_id(const char *name);
int cgroup_write(const char *name, const char *file, const char *value);
/* What its memory.policies says of family @family. */
void cgroup_policy(const char *name, const char *family, char *ret_text, size_t size);

/* Starts a process in cgroup @name whose TENANT_PAGES pages are mergeable and untouched. */
int tenant_start(const char *name, struct tenant **ret_tenant);
/* The same, but its pages are not mergeable, and MADV_HUGEPAGE is set on them. */
int tenant_start_huge(const char *name, struct tenant **ret_tenant);
/* A child of @tenant's, by fork(), with the same memory; it stays in the parent's cgroup. */
int tenant_fork(struct tenant *tenant, struct tenant **ret_child);
/* NULL is fine. */
void tenant_stop(struct tenant *tenant);
/* Each of them, of which NULL is left. */
void tenants_stop(struct tenant **tenants, size_t nr);
int tenant_move(struct tenant *tenant, const char *name);

/* Writes pages @first and on: page i gets the content @seed + i.  Seed zero: all zero. */
int tenant_fill(struct tenant *tenant, unsigned int first, unsigned int count, uint64_t seed);
/* Whether they still have it. */
int tenant_check(struct tenant *tenant, unsigned int first, unsigned int count, uint64_t seed);
/* Writes one byte to each of @count pages and returns the time of one write, in ns (the median), or a negative errno. */
int64_t tenant_write_ns(struct tenant *tenant, unsigned int first, unsigned int count);

/*
 * Maps all of its memory anew: untouched, and without page tables, where small pages are not followed by huge ones
 * otherwise.
 */
int tenant_renew(struct tenant *tenant);
/* madvise() of @count pages. */
int tenant_advise(struct tenant *tenant, unsigned int first, unsigned int count, int advice);

/* Where its memory begins, in the process. */
uint64_t tenant_address(const struct tenant *tenant);
/* What smaps says of its memory behind @key, in bytes if it is a size; zero without a process. */
uint64_t tenant_smaps(const struct tenant *tenant, const char *key);

/* How many huge pages its memory is mapped with. */
uint64_t tenant_huge(const struct tenant *tenant);

/* How many of @a's pages have the same frame as one of @b's, the frame of the zero page included; -EIO. */
int tenants_share(const struct tenant *a, const struct tenant *b);

#endif /* TESTS_HOST_KERNEL_TENANT_H */
