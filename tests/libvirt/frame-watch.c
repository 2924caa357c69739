// SPDX-License-Identifier: GPL-2.0-or-later
/* See frame-watch.h. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "frame-watch.h"
#include "frames.h"

/* Frames of a machine with 256 GiB, a byte each; only what is used takes memory. */
#define TABLE		(1UL << 26)
/* A look that finds more has found enough. */
#define CROSSINGS_MAX	16
/* How many times as long as a look is the time to the next: VMs boot meanwhile, on the same CPU. */
#define IDLE_PARTS	4
#define PAUSE_MS	20

struct watched {
	char name[64];
	int tenant;
	pid_t pid;		/* zero: it has no process */
	struct frame *frames;	/* of this look */
	size_t nr;
};

struct frame_watch {
	pthread_t thread;
	pthread_mutex_t lock;
	bool over;
	bool pause;
	struct watched vms[FRAME_WATCH_VMS];
	unsigned int nr;
	uint8_t *owners;	/* by frame number, a bit for each VM; all zero between looks */
	struct frame_watch_seen seen;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

/*
 * Processes
 */

static size_t read_file(const char *pid, const char *file, char *ret_text, size_t size)
{
	char path[64];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.16s/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, ret_text, size - 1);
		close(fd);
	}
	n = n > 0 ? n : 0;
	ret_text[n] = '\0';
	return (size_t)n;
}

/* QEMU's own command line has it: before it is executed, libvirtd's child has libvirtd's memory, and its words. */
static bool is_process_of(const char *pid, const char *name)
{
	char text[512], guest[96];
	size_t size = read_file(pid, "cmdline", text, sizeof(text));

	snprintf(guest, sizeof(guest), "guest=%s,", name);
	return memmem(text, size, guest, strlen(guest));
}

static uint64_t age_ms(pid_t pid)
{
	unsigned long long ticks = 0;
	char text[1024], number[16];
	const char *rest;

	snprintf(number, sizeof(number), "%d", pid);
	read_file(number, "stat", text, sizeof(text));
	rest = strrchr(text, ')');
	/* From proc(5): the 22nd field, of which the second ends with the bracket. */
	if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
			    "%llu", &ticks) != 1)
		return 0;
	return now_ms() - ticks * 1000 / (unsigned long long)sysconf(_SC_CLK_TCK);
}

static void find_processes(struct frame_watch *w)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		for (unsigned int i = 0; isdigit((unsigned char)entry->d_name[0]) && i < w->nr; i++) {
			if (!w->vms[i].pid && is_process_of(entry->d_name, w->vms[i].name))
				w->vms[i].pid = atoi(entry->d_name);
		}
	}
	if (proc)
		closedir(proc);
}

/*
 * A look
 */

static void read_vm(struct frame_watch *w, struct watched *vm)
{
	bool first = !vm->frames;
	uint64_t age;

	free(vm->frames);
	vm->frames = NULL;
	vm->nr = 0;
	if (!vm->pid)
		return;
	if (frames_anonymous(vm->pid, &vm->frames, &vm->nr) || !vm->nr) {
		free(vm->frames);
		vm->frames = NULL;
		vm->pid = 0;
		return;
	}
	age = first ? age_ms(vm->pid) : 0;
	if (age > w->seen.latest_ms)
		w->seen.latest_ms = age;
}

static uint8_t *owners_of(const struct frame_watch *w, uint64_t number)
{
	if (number >= TABLE) {
		fprintf(stderr, "frame watch: frame %#" PRIx64 " is beyond the table\n", number);
		abort();
	}
	return &w->owners[number];
}

/* VMs change while they are looked at: whether both have had the page in that frame at one time. */
static bool is_shared(const struct watched *a, const struct frame *page, const struct watched *b, uint64_t *ret_address)
{
	for (size_t i = 0; i < b->nr; i++) {
		if (b->frames[i].number != page->number)
			continue;
		*ret_address = b->frames[i].address;
		if (frame_at(a->pid, page->address) == page->number &&
		    frame_at(b->pid, *ret_address) == page->number &&
		    frame_at(a->pid, page->address) == page->number)
			return true;
	}
	return false;
}

static void note_crossing(struct frame_watch *w, const struct watched *a, const struct frame *page, uint8_t owners)
{
	for (unsigned int i = 0; i < w->nr; i++) {
		const struct watched *b = &w->vms[i];
		uint64_t address;

		if (!(owners & 1 << i) || b->tenant == a->tenant || !is_shared(a, page, b, &address))
			continue;
		if (!w->seen.crossings++)
			snprintf(w->seen.first, sizeof(w->seen.first), "frame %#" PRIx64 ": %s at %#" PRIx64 ", %s at "
				 "%#" PRIx64, page->number, a->name, page->address, b->name, address);
	}
}

static uint8_t tenant_bits(const struct frame_watch *w, int tenant)
{
	uint8_t bits = 0;

	for (unsigned int i = 0; i < w->nr; i++)
		bits |= w->vms[i].tenant == tenant ? 1 << i : 0;
	return bits;
}

/* Pages that another VM of its tenant has as well. */
static uint64_t look_at(struct frame_watch *w, unsigned int which)
{
	const struct watched *vm = &w->vms[which];
	uint8_t own = tenant_bits(w, vm->tenant);
	uint64_t enough = w->seen.crossings + CROSSINGS_MAX, inside = 0;

	for (size_t i = 0; i < vm->nr; i++) {
		uint8_t owners = *owners_of(w, vm->frames[i].number);

		inside += (owners & own) != 1 << which;
		if ((owners & ~own) && w->seen.crossings < enough)
			note_crossing(w, vm, &vm->frames[i], owners);
	}
	return inside;
}

static void compare(struct frame_watch *w)
{
	uint64_t pages = 0, inside = 0;
	bool two = false;

	for (unsigned int i = 0; i < w->nr; i++) {
		for (size_t k = 0; k < w->vms[i].nr; k++)
			*owners_of(w, w->vms[i].frames[k].number) |= 1 << i;
		pages += w->vms[i].nr;
		for (unsigned int k = 0; k < i; k++)
			two |= w->vms[i].nr && w->vms[k].nr && w->vms[i].tenant != w->vms[k].tenant;
	}
	for (unsigned int i = 0; i < w->nr; i++)
		inside += look_at(w, i);
	for (unsigned int i = 0; i < w->nr; i++) {
		for (size_t k = 0; k < w->vms[i].nr; k++)
			*owners_of(w, w->vms[i].frames[k].number) = 0;
	}
	w->seen.looks += two;
	w->seen.pages = pages > w->seen.pages ? pages : w->seen.pages;
	w->seen.inside = inside > w->seen.inside ? inside : w->seen.inside;
}

static void look(struct frame_watch *w)
{
	bool missing = false;

	for (unsigned int i = 0; i < w->nr; i++)
		missing |= !w->vms[i].pid;
	if (missing)
		find_processes(w);
	for (unsigned int i = 0; i < w->nr; i++)
		read_vm(w, &w->vms[i]);
	compare(w);
}

static void *run(void *argument)
{
	struct frame_watch *w = argument;
	bool over = false;

	while (!over) {
		uint64_t begin = now_ms();

		pthread_mutex_lock(&w->lock);
		over = w->over;
		if (!w->pause)
			look(w);
		pthread_mutex_unlock(&w->lock);
		if (!over)
			poll(NULL, 0, (int)((now_ms() - begin) * IDLE_PARTS + PAUSE_MS));
	}
	return NULL;
}

int frame_watch_start(struct frame_watch **ret_watch)
{
	int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	struct frame_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->owners = mmap(NULL, TABLE, prot, flags, -1, 0);
	r = w->owners == MAP_FAILED ? -errno : 0;
	pthread_mutex_init(&w->lock, NULL);
	if (!r)
		r = -pthread_create(&w->thread, NULL, run, w);
	if (r) {
		if (w->owners != MAP_FAILED)
			munmap(w->owners, TABLE);
		free(w);
		return r;
	}
	*ret_watch = w;
	return 0;
}

void frame_watch_vm(struct frame_watch *w, const char *name, int tenant)
{
	unsigned int i = 0;

	pthread_mutex_lock(&w->lock);
	while (i < w->nr && strcmp(w->vms[i].name, name))
		i++;
	if (i == FRAME_WATCH_VMS)
		abort();
	snprintf(w->vms[i].name, sizeof(w->vms[i].name), "%s", name);
	w->vms[i].tenant = tenant;
	w->nr = i < w->nr ? w->nr : i + 1;
	pthread_mutex_unlock(&w->lock);
}

void frame_watch_pause(struct frame_watch *w, bool pause)
{
	pthread_mutex_lock(&w->lock);
	w->pause = pause;
	pthread_mutex_unlock(&w->lock);
}

void frame_watch_read(struct frame_watch *w, struct frame_watch_seen *ret_seen)
{
	pthread_mutex_lock(&w->lock);
	*ret_seen = w->seen;
	pthread_mutex_unlock(&w->lock);
}

void frame_watch_stop(struct frame_watch *w, struct frame_watch_seen *ret_seen)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->over = true;
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	*ret_seen = w->seen;
	for (unsigned int i = 0; i < w->nr; i++)
		free(w->vms[i].frames);
	munmap(w->owners, TABLE);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
