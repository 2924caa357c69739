// SPDX-License-Identifier: GPL-2.0-or-later
/* Regions: only memory that cannot be pulled away from under the controller is mapped. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "region.h"

#define SIZE	0x20000

static struct memtide_errtext errtext;

static int memfd(size_t size, int seals)
{
	int fd = memfd_create("test-region", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* Closes @fd. */
static void assert_refused(int fd, int error, const char *words)
{
	struct memtide_region region = {};

	errtext.text[0] = '\0';
	assert_int_equal(memtide_region_map(fd, "state region", SIZE, &region, &errtext), error);
	assert_null(region.start);
	if (!strstr(errtext.text, words))
		fail_msg("\"%s\" does not say \"%s\"", errtext.text, words);
	assert_non_null(strstr(errtext.text, "state region"));
	assert_int_equal(memtide_region_map(fd, "state region", SIZE, &region, NULL), error);
	if (fd >= 0)
		close(fd);
}

static void test_maps(void **state)
{
	struct memtide_region region = {}, other = {};
	int fd = memtide_region_create("test-region", SIZE);

	assert_true(fd >= 0);
	assert_int_equal(memtide_region_map(fd, "state region", SIZE, &region, &errtext), 0);
	assert_int_equal(memtide_region_map(fd, "state region", SIZE, &other, NULL), 0);
	assert_int_equal(region.size, SIZE);
	/* It cannot be pulled away any more, and it needs no descriptor. */
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
	((char *)region.start)[SIZE - 1] = 'x';
	assert_int_equal(((char *)other.start)[SIZE - 1], 'x');
	memtide_region_unmap(&region);
	memtide_region_unmap(&region);
	memtide_region_unmap(&other);
	assert_null(region.start);
}

static void test_seals(void **state)
{
	assert_refused(memfd(SIZE, 0), -EPERM, "F_SEAL_SHRINK");
	assert_refused(memfd(SIZE, F_SEAL_SHRINK), -EPERM, "not sealed");
	assert_refused(memfd(SIZE, F_SEAL_GROW), -EPERM, "not sealed");
	assert_refused(memfd(SIZE, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), -EPERM, "writing");
}

static void test_size(void **state)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW;

	assert_refused(memfd(SIZE - 4096, seals), -EINVAL, "126976 bytes instead of 131072");
	assert_refused(memfd(SIZE + 4096, seals), -EINVAL, "instead of");
	assert_refused(memfd(0, seals), -EINVAL, "has 0 bytes");
}

static void test_other_files(void **state)
{
	int pipes[2], fd;
	FILE *file = tmpfile();
	char path[64];

	assert_refused(-1, -EBADF, "Bad file descriptor");
	assert_refused(eventfd(0, EFD_CLOEXEC), -EINVAL, "not a memfd");
	assert_int_equal(pipe(pipes), 0);
	assert_refused(pipes[0], -EINVAL, "not a memfd");
	close(pipes[1]);
	assert_refused(open("/dev/zero", O_RDWR), -EINVAL, "not a memfd");
	assert_refused(open("/", O_RDONLY), -EINVAL, "not a memfd");
	/* Where temporary files are on tmpfs, the missing seals are what is found. */
	assert_non_null(file);
	assert_int_equal(ftruncate(fileno(file), SIZE), 0);
	fd = memtide_region_map(fileno(file), "state region", SIZE, &(struct memtide_region) {}, NULL);
	assert_true(fd == -EINVAL || fd == -EPERM);
	fclose(file);
	/* Open for reading only. */
	fd = memfd(SIZE, F_SEAL_SHRINK | F_SEAL_GROW);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_refused(open(path, O_RDONLY), -EPERM, "writing");
	close(fd);
}

/* Huge pages may be missing when they are touched. */
static void test_huge_pages(void **state)
{
	int fd = memfd_create("test-region", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

	if (fd < 0) {
		print_message("no huge page files on this kernel: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_refused(fd, -EINVAL, "ordinary pages");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_seals),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_other_files),
		cmocka_unit_test(test_huge_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
