// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Merge domains under random attach, replace, detach, eject, move, fork and exit: after a pass of ksmd, no two
 * processes that may not share do.  Arguments: seed, steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hooks.h"
#include "ksmd.h"
#include "tenant.h"

#define GROUPS		3	/* the last one never has a policy */
#define TENANTS		6
#define SAME		256
#define SEED		0x7a9d00000000ULL
#define DOMAINS		3	/* 0, which never merges, 1 and 2 */

enum { OPEN = -1, NEVER = 0 };

struct group {
	const char *name;
	struct hook hook;
	bool attached;
	int domain;
	bool closed;
};

struct guest {
	struct tenant *tenant;
	int group;
	bool closed;	/* was in a group that is */
};

static struct group group[GROUPS] = { { .name = "one" }, { .name = "two" }, { .name = "free" } };
static struct guest guest[TENANTS];
static unsigned int seed = 1, steps = 40;

/* What the kernel is to make of all that has happened. */
static int domain_of(const struct guest *g)
{
	const struct group *where = &group[g->group];

	if (where->attached)
		return where->domain;
	return where->closed || g->closed ? NEVER : OPEN;
}

static bool may_share(const struct guest *a, const struct guest *b)
{
	return domain_of(a) == domain_of(b) && domain_of(a) != NEVER;
}

static void note_closed(void)
{
	for (int i = 0; i < TENANTS; i++)
		guest[i].closed |= guest[i].tenant && group[guest[i].group].closed;
}

static struct guest *free_guest(void)
{
	for (int i = 0; i < TENANTS; i++) {
		if (!guest[i].tenant)
			return &guest[i];
	}
	return NULL;
}

static bool anybody(void)
{
	for (int i = 0; i < TENANTS; i++) {
		if (guest[i].tenant)
			return true;
	}
	return false;
}

static struct guest *some_guest(void)
{
	struct guest *g = &guest[random() % TENANTS];

	return g->tenant ? g : NULL;
}

static void start(void)
{
	struct guest *g = free_guest();

	if (!g)
		return;
	*g = (struct guest){ .group = random() % GROUPS };
	assert_int_equal(tenant_start(group[g->group].name, &g->tenant), 0);
	assert_int_equal(tenant_fill(g->tenant, 0, SAME, SEED), 0);
	assert_int_equal(tenant_fill(g->tenant, SAME, SAME, 0), 0);
}

/* The child writes its memory anew: what fork() shares is not what this is about. */
static void fork_one(void)
{
	struct guest *parent = some_guest(), *child = free_guest();

	if (!parent || !child)
		return;
	*child = *parent;
	assert_int_equal(tenant_fork(parent->tenant, &child->tenant), 0);
	assert_int_equal(tenant_fill(child->tenant, 0, SAME, SEED), 0);
	assert_int_equal(tenant_fill(child->tenant, SAME, SAME, 0), 0);
}

static void end_one(void)
{
	struct guest *g = some_guest();

	if (!g)
		return;
	tenant_stop(g->tenant);
	g->tenant = NULL;
}

static void move_one(void)
{
	struct guest *g = some_guest();

	if (!g)
		return;
	g->group = random() % GROUPS;
	assert_int_equal(tenant_move(g->tenant, group[g->group].name), 0);
}

static void attach_one(void)
{
	struct group *g = &group[random() % (GROUPS - 1)];
	int domain = random() % DOMAINS;
	struct hook new;

	if (!g->attached) {
		assert_int_equal(hook("ksm-minimal", cgroup_id(g->name), domain, &g->hook), 0);
	} else {
		assert_int_equal(hook_load("ksm-minimal", cgroup_id(g->name), domain, false, &new), 0);
		assert_int_equal(hook_replace(&g->hook, &new), 0);
		hook_drop(&g->hook);
		g->hook = new;
	}
	g->attached = true;
	g->closed = true;
	g->domain = domain;
}

static void detach_one(void)
{
	struct group *g = &group[random() % (GROUPS - 1)];

	if (!g->attached)
		return;
	hook_drop(&g->hook);
	g->attached = false;
}

static void eject_all(void)
{
	assert_int_equal(hooks_eject_all(), 0);
	for (int i = 0; i < GROUPS; i++) {
		if (!group[i].attached)
			continue;
		assert_int_equal(hook_wait_ejected(&group[i].hook), 0);
		hook_drop(&group[i].hook);
		group[i].attached = false;
	}
}

static void step(void)
{
	static void (*const acts[])(void) = {
		start, start, start, fork_one, end_one, move_one, move_one, attach_one, attach_one, detach_one, eject_all,
	};

	acts[random() % (sizeof(acts) / sizeof(*acts))]();
	note_closed();
}

static void check(unsigned int number)
{
	int shared;

	for (int a = 0; a < TENANTS; a++) {
		for (int b = 0; b < a; b++) {
			if (!guest[a].tenant || !guest[b].tenant || may_share(&guest[a], &guest[b]))
				continue;
			shared = tenants_share(guest[a].tenant, guest[b].tenant);
			if (shared)
				fail_msg("seed %u, step %u: %d pages shared by guest %d of domain %d and %d of %d", seed, number,
					 shared, a, domain_of(&guest[a]), b, domain_of(&guest[b]));
		}
	}
	for (int i = 0; i < TENANTS; i++) {
		if (guest[i].tenant)
			assert_int_equal(tenant_check(guest[i].tenant, 0, SAME, SEED), 0);
	}
}

static void test_nothing_is_shared_that_may_not_be(void **state)
{
	for (int i = 0; i < GROUPS; i++) {
		cgroup_remove(group[i].name);
		assert_int_equal(cgroup_make(group[i].name), 0);
	}
	assert_int_equal(ksmd_run(true), 0);
	srandom(seed);
	for (unsigned int i = 0; i < steps; i++) {
		/* several changes fall into one pass, or into the middle of one */
		for (unsigned int n = 1 + random() % 3; n; n--)
			step();
		/* ksmd rests where there is nobody */
		if (anybody())
			assert_int_equal(ksmd_passes(1), 0);
		check(i);
	}
	for (int i = 0; i < TENANTS; i++)
		tenant_stop(guest[i].tenant);
	for (int i = 0; i < GROUPS; i++)
		hook_drop(&group[i].hook);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_shared_that_may_not_be),
	};

	if (argc > 1)
		seed = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		steps = strtoul(argv[2], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
