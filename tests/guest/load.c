// SPDX-License-Identifier: GPL-2.0-or-later
/* See load.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define PAGE		4096UL
#define BLOCK		(1024 * 1024UL)	/* one read: what a file server asks for at once */
#define FILES_MAX	64
#define REGIONS_MAX	128

struct region {
	uint64_t *start;
	uint64_t bytes;
};

/* Shared with the children, which may die at any moment. */
struct shared {
	uint64_t operations;
	uint64_t burst_ns;
	uint32_t pace;
};

static struct region regions[REGIONS_MAX];
static unsigned int nr_regions;
static struct shared *shared;
static pid_t load_pid, burst_pid;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

int fill_memory(uint64_t bytes, uint64_t *ret_ns)
{
	struct region *r = &regions[nr_regions];
	uint64_t start;

	if (nr_regions == REGIONS_MAX)
		return -ENOSPC;
	r->start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->start == MAP_FAILED)
		return -ENOMEM;
	madvise(r->start, bytes, MADV_HUGEPAGE);
	r->bytes = bytes;
	start = now_ns();
	for (uint64_t page = 0; page < bytes / PAGE; page++)
		r->start[page * PAGE / 8] = fill_word(nr_regions, page);
	*ret_ns = now_ns() - start;
	nr_regions++;
	return 0;
}

int check_memory(uint64_t *ret_offset)
{
	for (unsigned int i = 0; i < nr_regions; i++) {
		for (uint64_t page = 0; page < regions[i].bytes / PAGE; page++) {
			if (regions[i].start[page * PAGE / 8] != fill_word(i, page)) {
				*ret_offset = page * PAGE;
				return -EIO;
			}
		}
	}
	return 0;
}

void keep_memory(unsigned int count)
{
	while (nr_regions > count) {
		nr_regions--;
		munmap(regions[nr_regions].start, regions[nr_regions].bytes);
	}
}

static int share(void)
{
	if (shared)
		return 0;
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		shared = NULL;
		return -ENOMEM;
	}
	return 0;
}

static void set_oom_score(pid_t pid, const char *value)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	fd = open(path, O_WRONLY);
	if (fd >= 0) {
		if (write(fd, value, strlen(value)) < 0)
			perror(path);
		close(fd);
	}
}

void load_protect(pid_t pid)
{
	set_oom_score(pid, "-1000");
}

static char *touch(uint64_t bytes)
{
	char *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED)
		_exit(3);
	for (uint64_t at = 0; at < bytes; at += PAGE)
		start[at] = 1;
	return start;
}

int burst_start(uint64_t bytes, unsigned int hold_ms)
{
	struct timespec hold = { hold_ms / 1000, hold_ms % 1000 * 1000000L };
	uint64_t start;

	if (share() || burst_pid > 0)
		return -EBUSY;
	burst_pid = fork();
	if (burst_pid < 0)
		return -errno;
	if (burst_pid)
		return 0;
	set_oom_score(getpid(), "500");
	start = now_ns();
	touch(bytes);
	shared->burst_ns = now_ns() - start;
	nanosleep(&hold, NULL);
	_exit(0);
}

int burst_wait(uint64_t *ret_ns)
{
	int status;

	if (burst_pid <= 0)
		return -ECHILD;
	if (waitpid(burst_pid, &status, 0) < 0)
		return -errno;
	burst_pid = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return -EINTR;
	*ret_ns = shared->burst_ns;
	return 0;
}

int load_mount(const char *device, const char *dir)
{
	mkdir(dir, 0755);
	return mount(device, dir, "ext4", MS_RDONLY | MS_NOATIME, "") < 0 ? -errno : 0;
}

struct files {
	int fd[FILES_MAX];
	uint64_t first[FILES_MAX + 1];	/* number of its first block among all */
	unsigned int count;
};

static int open_files(const char *path, struct files *f)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	struct stat st;

	if (!dir)
		return -errno;
	while ((e = readdir(dir)) && f->count < FILES_MAX) {
		int fd = openat(dirfd(dir), e->d_name, O_RDONLY);

		if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size < (off_t)BLOCK) {
			if (fd >= 0)
				close(fd);
			continue;
		}
		posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
		f->fd[f->count++] = fd;
		f->first[f->count] = f->first[f->count - 1] + st.st_size / BLOCK;
	}
	closedir(dir);
	return f->count ? 0 : -ENOENT;
}

/* The sum of the first weights, for each block: a search in it turns a uniform number into a Zipf rank. */
static double *zipf_table(uint64_t blocks, double theta)
{
	double *sum = malloc(blocks * sizeof(*sum)), total = 0;

	if (!sum)
		_exit(3);
	for (uint64_t k = 0; k < blocks; k++)
		sum[k] = total += pow((double)(k + 1), -theta);
	return sum;
}

static uint64_t zipf_rank(const double *sum, uint64_t blocks, double uniform)
{
	double at = uniform * sum[blocks - 1];
	uint64_t low = 0, high = blocks - 1;

	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (sum[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void read_block(const struct files *f, uint64_t block)
{
	static char data[BLOCK];
	unsigned int i = 0;

	while (block >= f->first[i + 1])
		i++;
	if (pread(f->fd[i], data, BLOCK, (block - f->first[i]) * BLOCK) < 0)
		_exit(4);
}

static void wait_for_pace(void)
{
	while (!__atomic_load_n(&shared->pace, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &shared->pace, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	return b ? common_divisor(b, a % b) : a;
}

static void work(uint64_t anon_bytes, const struct files *f, double theta)
{
	uint64_t blocks = f->first[f->count], stride = blocks / 2 + 1, seed = 88172645463325252ULL;
	double *sum = zipf_table(blocks, theta);
	char *anon = touch(anon_bytes);

	/* spreads the ranks over all files */
	while (common_divisor(stride, blocks) != 1)
		stride++;
	for (;;) {
		wait_for_pace();
		seed ^= seed << 13;	/* xorshift64, Marsaglia 2003 */
		seed ^= seed >> 7;
		seed ^= seed << 17;
		read_block(f, zipf_rank(sum, blocks, (seed >> 11) * 0x1p-53) * stride % blocks);
		anon[seed % anon_bytes] = 2;
		__atomic_fetch_add(&shared->operations, 1, __ATOMIC_RELAXED);
	}
}

int load_start(uint64_t anon_bytes, const char *dir, double theta)
{
	struct files f = { .count = 0 };
	int r;

	if (share() || load_pid > 0)
		return -EBUSY;
	r = open_files(dir, &f);
	if (r)
		return r;
	load_pid = fork();
	if (load_pid < 0)
		return -errno;
	if (!load_pid)
		work(anon_bytes ? anon_bytes : PAGE, &f, theta);
	return 0;
}

void load_pace(unsigned int pace)
{
	if (share())
		return;
	__atomic_store_n(&shared->pace, pace, __ATOMIC_RELEASE);
	syscall(SYS_futex, &shared->pace, FUTEX_WAKE, 1, NULL, NULL, 0);
}

uint64_t load_operations(void)
{
	return shared ? __atomic_load_n(&shared->operations, __ATOMIC_RELAXED) : 0;
}

bool load_alive(void)
{
	if (load_pid > 0 && waitpid(load_pid, NULL, WNOHANG) == load_pid)
		load_pid = -1;
	return load_pid > 0;
}
