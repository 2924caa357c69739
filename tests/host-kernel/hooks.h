/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attaching policies for tests, with plain libbpf: what the kernel does must not depend on memtide's own loader.
 */
#ifndef TESTS_HOST_KERNEL_HOOKS_H
#define TESTS_HOST_KERNEL_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What becomes of a policy: enum tide_exit_kind in the kernel's include/linux/tide_ops.h. */
enum exit_kind {
	EXIT_NONE,
	EXIT_DETACHED,
	EXIT_REPLACED,
	EXIT_CGROUP,
	EXIT_TALLY,
	EXIT_OOM,
	EXIT_ADMIN,
};

struct bpf_link;
struct bpf_object;

/* A policy that is attached. */
struct hook {
	struct bpf_object *object;
	struct bpf_link *link;
};

/* The object file of policy @name, one of the tests' or one that is shipped; a path stays what it is. */
void hook_file(const char *name, char *ret_path, size_t size);
/*
 * Loads policy @name for cgroup @id.  @domain is set where the family has one.
 * Returns 0 or the kernel's negative errno; what libbpf says goes to stderr only when @quiet is false.
 */
int hook_load(const char *name, uint64_t id, uint64_t domain, bool quiet, struct hook *ret_hook);
int hook_attach(struct hook *hook);
/* Both. */
int hook(const char *name, uint64_t id, uint64_t domain, struct hook *ret_hook);
/* Puts @new in @hook's place, on @hook's link, which @new has from then on. */
int hook_replace(struct hook *hook, struct hook *new);
/* The policy's .data, in which it has one variable, mapped until the test ends; NULL without. */
void *hook_data(const struct hook *hook);
/* Detaches only. */
int hook_detach(struct hook *hook);
/* Detaches and unloads.  One that was never loaded is fine. */
void hook_drop(struct hook *hook);
/* Whether a policy of @family is attached to cgroup @id. */
bool hook_exists(const char *family, uint64_t id);
/* What the kernel counts as @key for the policy of @family that is attached to cgroup @id; zero without one. */
uint64_t hook_count(const char *family, uint64_t id, const char *key);
/* Has the kernel eject all policies. */
int hooks_eject_all(void);
/* Waits until the link hangs up: the kernel has ejected the policy.  -ETIMEDOUT. */
int hook_wait_ejected(const struct hook *hook);

#endif /* TESTS_HOST_KERNEL_HOOKS_H */
