// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attaching: where a policy may be attached and where not, what is refused, what replacing does.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hooks.h"
#include "kernel-file.h"
#include "ksm-steered.h"
#include "ops-table.h"
#include "tenant.h"

static struct hook first, second;

static int setup(void **state)
{
	return cgroup_make("red") || cgroup_make("blue");
}

static int teardown(void **state)
{
	hook_drop(&first);
	hook_drop(&second);
	cgroup_remove("red/inner");
	cgroup_remove("red");
	cgroup_remove("blue");
	return 0;
}

static bool listed(const char *group)
{
	return hook_exists("ksm", cgroup_id(group));
}

static void test_attaches_and_detaches(void **state)
{
	assert_int_equal(hook("ksm-minimal", cgroup_id("red"), 1, &first), 0);
	assert_true(listed("red"));
	hook_drop(&first);
	assert_false(listed("red"));
	assert_int_equal(hook("ksm-minimal", cgroup_id("red"), 1, &first), 0);
}

static void test_one_policy_a_cgroup(void **state)
{
	assert_int_equal(hook("ksm-minimal", cgroup_id("red"), 1, &first), 0);
	assert_int_equal(hook("ksm-minimal", cgroup_id("red"), 2, &second), -EBUSY);
	assert_int_equal(hook("ksm-minimal", cgroup_id("blue"), 1, &second), 0);
}

/* Of each family a cgroup may have one, and they come and go by themselves. */
static void test_families_do_not_mind_each_other(void **state)
{
	assert_int_equal(hook("ksm-minimal", cgroup_id("red"), 1, &first), 0);
	assert_int_equal(hook("thp-minimal", cgroup_id("red"), 0, &second), 0);
	assert_true(hook_exists("ksm", cgroup_id("red")));
	assert_true(hook_exists("thp", cgroup_id("red")));
	hook_drop(&first);
	assert_false(hook_exists("ksm", cgroup_id("red")));
	assert_true(hook_exists("thp", cgroup_id("red")));
	assert_int_equal(hook("thp-never", cgroup_id("red"), 0, &first), -EBUSY);
	/* a link has the family that it was made with */
	assert_int_equal(hook_load("ksm-minimal", cgroup_id("red"), 1, false, &first), 0);
	assert_int_not_equal(hook_replace(&second, &first), 0);
	assert_true(hook_exists("thp", cgroup_id("red")));
}

static void test_cgroup_must_exist(void **state)
{
	assert_int_equal(hook("ksm-minimal", 1ULL << 40, 1, &first), -ENOENT);
	assert_int_equal(hook("ksm-minimal", 0, 1, &first), -EINVAL);
}

static void test_cgroup_needs_the_memory_controller(void **state)
{
	assert_int_equal(cgroup_make("red/inner"), 0);
	assert_int_equal(hook("ksm-minimal", cgroup_id("red/inner"), 1, &first), -EOPNOTSUPP);
	assert_int_equal(cgroup_write("red", "cgroup.subtree_control", "+memory"), 0);
	assert_int_equal(hook("ksm-minimal", cgroup_id("red/inner"), 1, &first), 0);
}

static void test_replaces_in_one_step(void **state)
{
	struct ksm_steering *steering;
	struct hook other;

	assert_int_equal(hook("ksm-steered", cgroup_id("red"), 1, &first), 0);
	steering = hook_data(&first);
	assert_int_equal(hook_load("ksm-minimal", cgroup_id("blue"), 1, false, &other), 0);
	assert_int_equal(hook_replace(&first, &other), -EINVAL);
	hook_drop(&other);
	assert_int_equal(steering->exit_kind, EXIT_NONE);

	assert_int_equal(hook_load("ksm-minimal", cgroup_id("red"), 1, false, &second), 0);
	assert_int_equal(hook_replace(&first, &second), 0);
	assert_int_equal(steering->exit_kind, EXIT_REPLACED);
	assert_true(listed("red"));
}

static void test_cgroup_goes_away(void **state)
{
	struct ksm_steering *steering;

	assert_int_equal(hook("ksm-steered", cgroup_id("red"), 1, &first), 0);
	steering = hook_data(&first);
	assert_int_equal(cgroup_remove("red"), 0);
	assert_int_equal(hook_wait_ejected(&first), 0);
	assert_int_equal(steering->exit_kind, EXIT_CGROUP);
}

static void test_detaching_is_recorded(void **state)
{
	struct ksm_steering *steering;

	assert_int_equal(hook("ksm-steered", cgroup_id("red"), 1, &first), 0);
	steering = hook_data(&first);
	assert_int_equal(hook_detach(&first), 0);
	assert_int_equal(steering->exit_kind, EXIT_DETACHED);
}

static void assert_policy(const char *group, const char *says)
{
	char text[64];

	cgroup_policy(group, "ksm", text, sizeof(text));
	assert_string_equal(text, says);
}

static void open_cgroup(const char *group)
{
	char id[32];

	snprintf(id, sizeof(id), "%llu", (unsigned long long)cgroup_id(group));
	assert_int_equal(kernel_file_write("/sys/kernel/tide/ksm/open", id), 0);
}

static void test_the_nearest_holds_and_is_shown(void **state)
{
	assert_int_equal(cgroup_write("red", "cgroup.subtree_control", "+memory"), 0);
	assert_int_equal(cgroup_make("red/inner"), 0);
	open_cgroup("red");
	open_cgroup("red/inner");
	assert_policy("red", "- none open");
	assert_policy("red/inner", "- none open");

	assert_int_equal(hook("ksm-minimal", cgroup_id("red"), 1, &first), 0);
	assert_policy("red", "ksm_minimal own closed");
	assert_policy("red/inner", "ksm_minimal inherited closed");
	assert_int_equal(hook("ksm-steered", cgroup_id("red/inner"), 1, &second), 0);
	assert_policy("red", "ksm_minimal own closed");
	assert_policy("red/inner", "ksm_steered own closed");

	hook_drop(&second);
	assert_policy("red/inner", "ksm_minimal inherited closed");
	hook_drop(&first);
	assert_policy("red", "- none closed");
	assert_policy("red/inner", "- none closed");
}

/* What comes of loading and attaching policy @name; the verifier's words are not shown. */
static int refused(const char *name)
{
	int r = hook_load(name, cgroup_id("red"), 1, true, &first);

	return r ? r : hook_attach(&first);
}

static void test_refuses_what_sleeps(void **state)
{
	assert_int_equal(refused("ksm-sleepable"), -EINVAL);
	hook_drop(&first);
	assert_int_equal(refused("thp-sleepable"), -EINVAL);
}

static void test_refuses_maps_that_allocate(void **state)
{
	assert_int_equal(refused("ksm-alloc-map"), -EINVAL);
	hook_drop(&first);
	assert_int_equal(refused("thp-allocates"), -EINVAL);
}

/* The kernel does that, whoever asks it. */
static void test_refuses_maps_that_allocate_by_itself(void **state)
{
	uint64_t id = cgroup_id("red");

	assert_int_equal(hook_load("thp-allocates", id, 0, false, &first), 0);
	assert_int_equal(ops_table_register(&first, "tide_thp_ops", "orders", id), -EINVAL);
	assert_int_equal(hook_load("thp-maximal", id, 0, false, &second), 0);
	assert_int_equal(ops_table_register(&second, "tide_thp_ops", "orders", id), 0);
}

static void test_refuses_timers(void **state)
{
	assert_int_equal(refused("ksm-timer"), -EINVAL);
}

static void test_refuses_new_objects(void **state)
{
	assert_int_equal(refused("ksm-obj-new"), -EACCES);
}

/* Its exit status, and what it says. */
static int bpftool_register(const char *name, char *ret_said, size_t size)
{
	char path[512], command[640];
	size_t length;
	FILE *f;

	hook_file(name, path, sizeof(path));
	snprintf(command, sizeof(command), BPFTOOL " struct_ops register '%s' 2>&1", path);
	f = popen(command, "re");
	assert_non_null(f);
	length = fread(ret_said, 1, size - 1, f);
	ret_said[length] = '\0';
	return pclose(f);
}

/* Whether a policy allocates is the kernel's to find out, not that of whoever loads it. */
static void test_refuses_bpftool_as_well(void **state)
{
	static const struct {
		const char *name;
		const char *says;
	} bad[] = {
		{ "ksm-alloc-map", "can't register" },
		{ "ksm-timer", "bpf_timer_init" },
		{ "ksm-obj-new", "bpf_obj_new" },
	};
	char said[8192];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_not_equal(bpftool_register(bad[i].name, said, sizeof(said)), 0);
		if (!strstr(said, bad[i].says))
			fail_msg("\"%s\" is not in: %s", bad[i].says, said);
	}
}

static void test_refuses_what_does_not_verify(void **state)
{
	assert_int_not_equal(refused("ksm-unverifiable"), 0);
}

static void test_arguments_are_read_only(void **state)
{
	assert_int_not_equal(refused("ksm-writes"), 0);
}

static void test_refuses_a_policy_without_a_name(void **state)
{
	assert_int_equal(refused("ksm-nameless"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_attaches_and_detaches, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_policy_a_cgroup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_families_do_not_mind_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cgroup_must_exist, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cgroup_needs_the_memory_controller, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaces_in_one_step, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cgroup_goes_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_detaching_is_recorded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_nearest_holds_and_is_shown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_what_sleeps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_maps_that_allocate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_maps_that_allocate_by_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_timers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_new_objects, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_bpftool_as_well, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_what_does_not_verify, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arguments_are_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses_a_policy_without_a_name, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
