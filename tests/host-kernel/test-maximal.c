// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Policies that answer at random, in both families at once, while memory is written, mapped anew, forked, merged and made
 * huge: content stays what it was, and tenants of two domains share nothing.  What the kernel says of it is judged from its
 * log.  Arguments: seed, steps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hooks.h"
#include "khugepaged.h"
#include "ksmd.h"
#include "setting.h"
#include "tenant.h"

#define GROUPS		2
#define TENANTS		6
#define PART		(TENANT_PAGES / 4)
#define SEED		0x3a80000000ULL

static const char *const families[] = { "ksm", "thp" };
static const char *const policies[] = { "ksm-maximal", "thp-maximal" };
#define FAMILIES	(sizeof(families) / sizeof(*families))

struct group {
	const char *name;
	struct hook hook[FAMILIES];
};

struct guest {
	struct tenant *tenant;
	int group;
	bool huge;		/* and not mergeable */
	uint64_t seed[4];	/* of each part; zero is untouched */
};

static struct group group[GROUPS] = { { .name = "maximal-one" }, { .name = "maximal-two" } };
static struct guest guest[TENANTS];
static unsigned int seed = 1, steps = 60;

/* A policy whose tally was bad is gone; so is none's that never was there. */
static bool in_force(int g, unsigned int family)
{
	return hook_exists(families[family], cgroup_id(group[g].name));
}

static void attach(int g, unsigned int family)
{
	struct group *where = &group[g];
	struct hook new;
	int r;

	if (in_force(g, family)) {
		assert_int_equal(hook_load(policies[family], cgroup_id(where->name), g + 1, false, &new), 0);
		r = hook_replace(&where->hook[family], &new);
		if (!r) {
			hook_drop(&where->hook[family]);
			where->hook[family] = new;
			return;
		}
		/* ejected meanwhile */
		hook_drop(&new);
	}
	hook_drop(&where->hook[family]);
	assert_int_equal(hook(policies[family], cgroup_id(where->name), g + 1, &where->hook[family]), 0);
}

static struct guest *some_guest(bool living)
{
	struct guest *g = &guest[random() % TENANTS];

	return !g->tenant == !living ? g : NULL;
}

static void fill(struct guest *g)
{
	unsigned int part = random() % 4;
	/* few contents, so that there is something to merge; zero pages among them */
	uint64_t content = SEED + random() % 3;

	assert_int_equal(tenant_fill(g->tenant, part * PART, PART, content), 0);
	g->seed[part] = content;
}

static void start(void)
{
	struct guest *g = some_guest(false);
	const char *name;

	if (!g)
		return;
	*g = (struct guest){ .group = random() % GROUPS, .huge = random() % 2 };
	name = group[g->group].name;
	assert_int_equal(g->huge ? tenant_start_huge(name, &g->tenant) : tenant_start(name, &g->tenant), 0);
	fill(g);
}

static void write_one(void)
{
	struct guest *g = some_guest(true);

	if (g)
		fill(g);
}

static void renew_one(void)
{
	struct guest *g = some_guest(true);

	if (!g || !g->huge)
		return;
	assert_int_equal(tenant_renew(g->tenant), 0);
	memset(g->seed, 0, sizeof(g->seed));
	fill(g);
}

static void fork_one(void)
{
	struct guest *parent = some_guest(true), *child = some_guest(false);

	if (!parent || !child)
		return;
	*child = *parent;
	assert_int_equal(tenant_fork(parent->tenant, &child->tenant), 0);
	fill(child);
}

static void end_one(void)
{
	struct guest *g = some_guest(true);

	if (!g)
		return;
	tenant_stop(g->tenant);
	g->tenant = NULL;
}

static void attach_one(void)
{
	attach(random() % GROUPS, random() % FAMILIES);
}

static void step(void)
{
	static void (*const acts[])(void) = {
		start, start, write_one, write_one, write_one, renew_one, fork_one, end_one, attach_one,
	};

	acts[random() % (sizeof(acts) / sizeof(*acts))]();
}

static void check(unsigned int number)
{
	for (int i = 0; i < TENANTS; i++) {
		for (unsigned int part = 0; guest[i].tenant && part < 4; part++) {
			if (guest[i].seed[part] &&
			    tenant_check(guest[i].tenant, part * PART, PART, guest[i].seed[part]))
				fail_msg("seed %u, step %u: guest %d, part %u has other content", seed, number, i, part);
		}
		for (int k = 0; k < i; k++) {
			if (guest[i].tenant && guest[k].tenant && guest[i].group != guest[k].group)
				assert_int_equal(tenants_share(guest[i].tenant, guest[k].tenant), 0);
		}
	}
}

static void test_answers_at_random(void **state)
{
	for (int g = 0; g < GROUPS; g++) {
		cgroup_remove(group[g].name);
		assert_int_equal(cgroup_make(group[g].name), 0);
		for (unsigned int family = 0; family < FAMILIES; family++)
			attach(g, family);
	}
	assert_int_equal(ksmd_run(true), 0);
	assert_int_equal(khugepaged_run(), 0);
	assert_int_equal(folios_64k_set("madvise"), 0);
	srandom(seed);
	for (unsigned int i = 0; i < steps; i++) {
		for (unsigned int n = 1 + random() % 4; n; n--)
			step();
		check(i);
	}
	for (int i = 0; i < TENANTS; i++)
		tenant_stop(guest[i].tenant);
	for (int g = 0; g < GROUPS; g++) {
		for (unsigned int family = 0; family < FAMILIES; family++)
			hook_drop(&group[g].hook[family]);
		cgroup_remove(group[g].name);
	}
	assert_int_equal(settings_restore(), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_at_random),
	};

	if (argc > 1)
		seed = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		steps = strtoul(argv[2], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
