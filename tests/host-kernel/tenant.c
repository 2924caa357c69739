// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The process behind a tenant reads commands from a socket and answers with a number each.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "frames.h"
#include "kernel-file.h"
#include "tenant.h"

#define ROOT		"/sys/fs/cgroup/memtide-hooks"
#define PAGE		4096UL
#define WORDS		(PAGE / sizeof(uint64_t))
#define SIZE		(TENANT_PAGES * PAGE)
#define HUGE_SIZE	(TENANT_HUGE_PAGES * PAGE)

enum op {
	OP_FILL,
	OP_CHECK,
	OP_WRITE,
	OP_FORK,
	OP_RENEW,
	OP_ADVISE,
};

struct command {
	enum op op;
	unsigned int first, count;
	uint64_t seed;	/* or advice */
};

struct tenant {
	pid_t pid;
	int fd;
	uint64_t *memory;	/* at the same address in the process */
	bool child;		/* of another tenant: not ours to wait for */
};

static void cgroup_path(char *path, size_t size, const char *name, const char *file)
{
	snprintf(path, size, ROOT "%s%s%s%s", *name ? "/" : "", name, file ? "/" : "", file ? file : "");
}

int cgroup_write(const char *name, const char *file, const char *value)
{
	char path[256];

	cgroup_path(path, sizeof(path), name, file);
	return kernel_file_write(path, value);
}

void cgroup_policy(const char *name, const char *family, char *ret_text, size_t size)
{
	char path[256];

	cgroup_path(path, sizeof(path), name, "memory.policies");
	kernel_file_text(path, family, ret_text, size);
}

int cgroup_make(const char *name)
{
	char path[256];

	if (mkdir(ROOT, 0755) == 0 || errno == EEXIST)
		kernel_file_write(ROOT "/cgroup.subtree_control", "+memory");
	cgroup_path(path, sizeof(path), name, NULL);
	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	return 0;
}

int cgroup_remove(const char *name)
{
	char path[256];

	cgroup_path(path, sizeof(path), name, NULL);
	return rmdir(path) ? -errno : 0;
}

void cgroups_remove(const char *const *names, size_t nr)
{
	while (nr)
		cgroup_remove(names[--nr]);
}

uint64_t cgroup_id(const char *name)
{
	struct stat st;
	char path[256];

	cgroup_path(path, sizeof(path), name, NULL);
	return stat(path, &st) ? 0 : st.st_ino;
}

/* The process. */

static bool huge;	/* what its memory is for */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void fill_page(uint64_t *page, uint64_t value)
{
	for (unsigned int i = 0; i < WORDS; i++)
		page[i] = value;
}

static bool page_is(const uint64_t *page, uint64_t value)
{
	for (unsigned int i = 0; i < WORDS; i++) {
		if (page[i] != value)
			return false;
	}
	return true;
}

static int compare_ns(const void *a, const void *b)
{
	int64_t difference = *(const int64_t *)a - *(const int64_t *)b;

	return (difference > 0) - (difference < 0);
}

static int64_t write_pages(uint64_t *memory, unsigned int first, unsigned int count)
{
	static int64_t ns[TENANT_PAGES];

	for (unsigned int i = 0; i < count; i++) {
		volatile uint64_t *page = memory + (first + i) * WORDS;
		uint64_t start = now_ns();

		page[WORDS - 1]++;
		ns[i] = now_ns() - start;
	}
	qsort(ns, count, sizeof(*ns), compare_ns);
	return ns[count / 2];
}

static void serve(int fd, uint64_t *memory);

/* The child gets a socket of its own, and the parent passes the other end on. */
static int64_t fork_child(int fd, uint64_t *memory)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (pid == 0)
		serve(pair[1], memory);
	close(pair[1]);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pair[0], sizeof(int));
	if (pid > 0 && sendmsg(fd, &message, 0) != 1)
		pid = -1;
	close(pair[0]);
	return pid > 0 ? pid : -EIO;
}

static int renew(uint64_t *memory)
{
	int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	if (mmap(memory, SIZE, prot, flags, -1, 0) == MAP_FAILED)
		return -errno;
	if (huge)
		return madvise(memory, SIZE, MADV_HUGEPAGE) ? -errno : 0;
	return madvise(memory, SIZE, MADV_NOHUGEPAGE) || madvise(memory, SIZE, MADV_MERGEABLE) ? -errno : 0;
}

static int64_t obey(int fd, uint64_t *memory, const struct command *c)
{
	switch (c->op) {
	case OP_FILL:
		for (unsigned int i = c->first; i < c->first + c->count; i++)
			fill_page(memory + i * WORDS, c->seed ? c->seed + i : 0);
		return 0;
	case OP_CHECK:
		for (unsigned int i = c->first; i < c->first + c->count; i++) {
			if (!page_is(memory + i * WORDS, c->seed ? c->seed + i : 0))
				return -EBADMSG;
		}
		return 0;
	case OP_WRITE:
		return write_pages(memory, c->first, c->count);
	case OP_FORK:
		return fork_child(fd, memory);
	case OP_RENEW:
		return renew(memory);
	case OP_ADVISE:
		return madvise(memory + c->first * WORDS, c->count * PAGE, c->seed) ? -errno : 0;
	}
	return -EINVAL;
}

/* Ends when the test does.  The test's other descriptors go: links of policies end with the last one. */
static void serve(int fd, uint64_t *memory)
{
	struct command command;
	int64_t answer;

	dup2(fd, STDERR_FILENO + 1);
	fd = STDERR_FILENO + 1;
	close_range(fd + 1, ~0U, 0);
	while (read(fd, &command, sizeof(command)) == sizeof(command)) {
		answer = obey(fd, memory, &command);
		if (write(fd, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

/* The caller's side. */

static int64_t ask(struct tenant *t, enum op op, unsigned int first, unsigned int count, uint64_t seed)
{
	struct command command = { op, first, count, seed };
	int64_t answer;

	if (send(t->fd, &command, sizeof(command), MSG_NOSIGNAL) != sizeof(command) ||
	    read(t->fd, &answer, sizeof(answer)) != sizeof(answer))
		return -EPIPE;
	return answer;
}

int tenant_move(struct tenant *t, const char *name)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", t->pid);
	return cgroup_write(name, "cgroup.procs", pid);
}

/* Room for a tenant's memory, or MAP_FAILED. */
static void *reserve(void)
{
	char *room = mmap(NULL, SIZE + HUGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before = -(uintptr_t)room % HUGE_SIZE;

	if (room == MAP_FAILED)
		return room;
	if (before)
		munmap(room, before);
	munmap(room + before + SIZE, HUGE_SIZE - before);
	return room + before;
}

static int start(const char *name, bool is_huge, struct tenant **ret_tenant)
{
	struct tenant *t = calloc(1, sizeof(*t));
	int pair[2], r;

	if (!t || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		free(t);
		return -errno;
	}
	t->memory = reserve();
	t->fd = pair[0];
	t->pid = t->memory == MAP_FAILED ? -1 : fork();
	if (t->pid == 0) {
		huge = is_huge;
		serve(pair[1], t->memory);
	}
	r = t->pid < 0 ? -errno : tenant_move(t, name);
	close(pair[1]);
	if (t->memory != MAP_FAILED)
		munmap(t->memory, SIZE);
	/* in its cgroup, so that what is in force there holds from the first page on */
	if (!r)
		r = tenant_renew(t);
	if (r) {
		fprintf(stderr, "no tenant in cgroup %s: %s\n", name, strerror(-r));
		tenant_stop(t);
		return r;
	}
	*ret_tenant = t;
	return 0;
}

int tenant_start(const char *name, struct tenant **ret_tenant)
{
	return start(name, false, ret_tenant);
}

int tenant_start_huge(const char *name, struct tenant **ret_tenant)
{
	return start(name, true, ret_tenant);
}

int tenant_fork(struct tenant *t, struct tenant **ret_child)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct command command = { .op = OP_FORK };
	struct tenant *child = calloc(1, sizeof(*child));
	int64_t pid;

	if (!child || write(t->fd, &command, sizeof(command)) != sizeof(command) ||
	    recvmsg(t->fd, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message) ||
	    read(t->fd, &pid, sizeof(pid)) != sizeof(pid) || pid <= 0) {
		free(child);
		return -EPIPE;
	}
	memcpy(&child->fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	child->pid = pid;
	child->memory = t->memory;
	child->child = true;
	*ret_child = child;
	return 0;
}

void tenant_stop(struct tenant *t)
{
	if (!t)
		return;
	close(t->fd);
	if (t->pid > 0) {
		kill(t->pid, SIGKILL);
		if (!t->child)
			waitpid(t->pid, NULL, 0);
	}
	free(t);
}

void tenants_stop(struct tenant **tenants, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		tenant_stop(tenants[i]);
		tenants[i] = NULL;
	}
}

int tenant_fill(struct tenant *t, unsigned int first, unsigned int count, uint64_t seed)
{
	return ask(t, OP_FILL, first, count, seed);
}

int tenant_check(struct tenant *t, unsigned int first, unsigned int count, uint64_t seed)
{
	return ask(t, OP_CHECK, first, count, seed);
}

int64_t tenant_write_ns(struct tenant *t, unsigned int first, unsigned int count)
{
	return ask(t, OP_WRITE, first, count, 0);
}

int tenant_renew(struct tenant *t)
{
	return ask(t, OP_RENEW, 0, 0, 0);
}

int tenant_advise(struct tenant *t, unsigned int first, unsigned int count, int advice)
{
	return ask(t, OP_ADVISE, first, count, advice);
}

uint64_t tenant_address(const struct tenant *t)
{
	return (uintptr_t)t->memory;
}

uint64_t tenant_smaps(const struct tenant *t, const char *key)
{
	char path[64], head[32];

	snprintf(path, sizeof(path), "/proc/%d/smaps", t->pid);
	snprintf(head, sizeof(head), "%" PRIx64 "-", tenant_address(t));
	return kernel_file_part_value(path, head, key);
}

uint64_t tenant_huge(const struct tenant *t)
{
	return tenant_smaps(t, "AnonHugePages") / HUGE_SIZE;
}

static int compare_frames(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int tenants_share(const struct tenant *a, const struct tenant *b)
{
	static uint64_t frames_a[TENANT_PAGES], frames_b[TENANT_PAGES];
	int shared = 0;

	if (frames_read(a->pid, tenant_address(a), TENANT_PAGES, frames_a) ||
	    frames_read(b->pid, tenant_address(b), TENANT_PAGES, frames_b))
		return -EIO;
	qsort(frames_b, TENANT_PAGES, sizeof(*frames_b), compare_frames);
	for (unsigned int i = 0; i < TENANT_PAGES; i++) {
		if (frames_a[i] && bsearch(&frames_a[i], frames_b, TENANT_PAGES, sizeof(*frames_b), compare_frames))
			shared++;
	}
	return shared;
}
