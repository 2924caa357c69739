// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A cgroup's limit: never below what is in use, the newest value last, and errors come back.  On files like a
 * cgroup's.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cgroup.h"
#include "limits.h"
#include "loop.h"

struct fixture {
	struct loop *loop;
	struct worker *worker;
	struct limit *limit;
	char dir[32];
	int error;
	const char *file;
	uint64_t high;
	unsigned int written;
	unsigned int wanted;	/* stop the loop after so many */
};

static void put(const struct fixture *f, const char *name, const char *text)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void limit_written(void *arg, int error, const char *file, uint64_t high)
{
	struct fixture *f = arg;

	f->error = error;
	f->file = file;
	f->high = high;
	f->written++;
	if (f->written >= f->wanted)
		loop_stop(f->loop);
}

static void wait_written(struct fixture *f, unsigned int wanted)
{
	f->wanted = wanted;
	if (f->written < wanted)
		assert_int_equal(loop_run(f->loop), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/memtide-unit-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	put(f, "memory.current", "1000000000\n");
	put(f, "memory.stat", "anon 700000000\nfile 300000000\ninactive_file 200000000\nactive_file 100000000\n"
	    "file_dirty 40000000\nfile_writeback 10000000\n");
	put(f, "memory.high", "max\n");
	put(f, "memory.max", "max\n");
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(worker_new(f->loop, "limits", &f->worker), 0);
	assert_int_equal(limit_new(f->worker, f->dir, limit_written, f, &f->limit), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const files[] = { "memory.current", "memory.stat", "memory.high", "memory.max" };
	struct fixture *f = *state;
	char path[64];

	limit_free(f->limit);
	worker_free(f->worker);
	loop_free(f->loop);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, files[i]);
		unlink(path);
	}
	rmdir(f->dir);
	free(f);
	return 0;
}

static void test_reads(void **state)
{
	struct fixture *f = *state;
	uint64_t value;

	assert_int_equal(memtide_cgroup_read(f->dir, "memory.high", &value), 0);
	assert_int_equal(value, UINT64_MAX);
	assert_int_equal(memtide_cgroup_read(f->dir, "memory.current", &value), 0);
	assert_int_equal(value, 1000000000);
	/* Without page cache, but with what of it is dirty. */
	assert_int_equal(memtide_cgroup_in_use(f->dir, &value), 0);
	assert_int_equal(value, 750000000);
	put(f, "memory.current", "nonsense\n");
	assert_int_equal(memtide_cgroup_in_use(f->dir, &value), -EINVAL);
}

static void test_writes(void **state)
{
	struct fixture *f = *state;
	uint64_t value;

	limit_set_high(f->limit, 900000000, false);
	wait_written(f, 1);
	assert_int_equal(f->error, 0);
	assert_int_equal(f->high, 900000000);
	assert_int_equal(memtide_cgroup_read(f->dir, "memory.high", &value), 0);
	assert_int_equal(value, 900000000);
	/* What is in use may not be cut off. */
	limit_set_high(f->limit, 600000000, false);
	wait_written(f, 2);
	assert_int_equal(f->high, 750000000);
}

/* However many come while one is written, the last one stands in the end. */
static void test_newest_wins(void **state)
{
	struct fixture *f = *state;
	uint64_t value;

	for (uint64_t i = 0; i < 100; i++)
		limit_set_high(f->limit, 900000000 + i, i % 2);
	limit_set_max(f->limit, 2000000000);
	while (f->high != 900000099)
		wait_written(f, f->written + 1);
	assert_in_range(f->written, 1, 100);
	assert_int_equal(memtide_cgroup_read(f->dir, "memory.max", &value), 0);
	assert_int_equal(value, 2000000000);
}

/* Somebody else's value is told and left alone, until it is taken over. */
static void test_set_by_others(void **state)
{
	struct fixture *f = *state;
	uint64_t value;

	if (setxattr(f->dir, "user.memtide.test", "", 0, 0) < 0)
		skip();
	limit_set_high(f->limit, 900000000, false);
	wait_written(f, 1);
	/* rounded down by the kernel: that is still ours */
	put(f, "memory.high", "899960000\n");
	limit_set_high(f->limit, 950000000, false);
	wait_written(f, 2);
	assert_int_equal(f->error, 0);
	put(f, "memory.high", "800000000\n");
	limit_set_high(f->limit, 990000000, true);
	wait_written(f, 3);
	assert_int_equal(f->error, -ESTALE);
	assert_string_equal(f->file, "memory.high");
	assert_int_equal(f->high, 800000000);
	assert_int_equal(memtide_cgroup_read(f->dir, "memory.high", &value), 0);
	assert_int_equal(value, 800000000);
	limit_take_over(f->limit);
	limit_set_high(f->limit, 990000000, true);
	wait_written(f, 4);
	assert_int_equal(f->error, 0);
	assert_int_equal(f->high, 990000000);
	/* what it was before ours is somebody's as well */
	put(f, "memory.high", "800000000\n");
	limit_set_high(f->limit, 995000000, true);
	wait_written(f, 5);
	assert_int_equal(f->error, -ESTALE);
	/* taken over while a write is under way: that one has its way */
	limit_set_high(f->limit, 995000000, true);
	limit_take_over(f->limit);
	wait_written(f, 6);
	assert_int_equal(f->error, 0);
	assert_int_equal(f->high, 995000000);
}

static void test_errors(void **state)
{
	struct fixture *f = *state;
	char path[64];

	snprintf(path, sizeof(path), "%s/memory.stat", f->dir);
	unlink(path);
	limit_set_high(f->limit, 900000000, true);
	wait_written(f, 1);
	assert_int_equal(f->error, -ENOENT);
}

/* Freed while it is being written: nobody is called. */
static void test_forgotten(void **state)
{
	struct fixture *f = *state;
	struct limit *other;

	assert_int_equal(limit_new(f->worker, f->dir, limit_written, f, &other), 0);
	limit_set_high(other, 900000000, true);
	limit_free(other);
	limit_set_high(f->limit, 950000000, false);
	wait_written(f, 1);
	assert_int_equal(f->written, 1);
	assert_int_equal(f->high, 950000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_writes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_newest_wins, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_set_by_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forgotten, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
