// SPDX-License-Identifier: GPL-2.0-or-later
/* See frames.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frames.h"

/* From the kernel's Documentation/admin-guide/mm/pagemap.rst. */
#define PM_PRESENT	(1ULL << 63)
#define PM_FILE		(1ULL << 61)	/* or shared memory */
#define PM_FRAME	((1ULL << 55) - 1)

#define CHUNK		16384		/* pages that are read at once */

struct list {
	struct frame *frames;
	size_t nr;
	size_t room;
};

static int open_map(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int read_entries(int fd, uint64_t address, size_t pages, uint64_t *ret_entries)
{
	ssize_t size = pages * sizeof(*ret_entries);

	return pread(fd, ret_entries, size, address / FRAME_SIZE * sizeof(*ret_entries)) == size ? 0 : -EIO;
}

static void take_numbers(uint64_t *entries, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		entries[i] = entries[i] & PM_PRESENT ? entries[i] & PM_FRAME : 0;
}

int frames_read(pid_t pid, uint64_t address, size_t pages, uint64_t *ret_numbers)
{
	int fd = open_map(pid), r = fd < 0 ? -EIO : read_entries(fd, address, pages, ret_numbers);

	if (fd >= 0)
		close(fd);
	if (!r)
		take_numbers(ret_numbers, pages);
	return r;
}

int frames_at(pid_t pid, const uint64_t *addresses, size_t pages, uint64_t *ret_numbers)
{
	int fd = open_map(pid), r = fd < 0 ? -EIO : 0;

	for (size_t i = 0; !r && i < pages; i++)
		r = read_entries(fd, addresses[i], 1, &ret_numbers[i]);
	if (fd >= 0)
		close(fd);
	if (!r)
		take_numbers(ret_numbers, pages);
	return r;
}

uint64_t frame_at(pid_t pid, uint64_t address)
{
	uint64_t number;

	return frames_read(pid, address, 1, &number) ? 0 : number;
}

uint64_t frame_of_zeros(void)
{
	int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	volatile char *page = mmap(NULL, FRAME_SIZE, prot, flags, -1, 0);
	uint64_t number = 0;

	if (page == MAP_FAILED)
		return 0;
	if (!*page)
		number = frame_at(getpid(), (uintptr_t)page);
	munmap((void *)page, FRAME_SIZE);
	return number;
}

static int add(struct list *list, uint64_t address, uint64_t number)
{
	if (list->nr == list->room) {
		size_t room = list->room ? 2 * list->room : CHUNK;
		struct frame *frames = reallocarray(list->frames, room, sizeof(*frames));

		if (!frames)
			return -ENOMEM;
		list->frames = frames;
		list->room = room;
	}
	list->frames[list->nr++] = (struct frame){ address, number };
	return 0;
}

static int add_mapping(struct list *list, int fd, uint64_t start, uint64_t end, uint64_t zeros)
{
	static __thread uint64_t entries[CHUNK];
	int r = 0;

	for (uint64_t pages; !r && start < end; start += pages * FRAME_SIZE) {
		pages = (end - start) / FRAME_SIZE;
		pages = pages < CHUNK ? pages : CHUNK;
		r = read_entries(fd, start, pages, entries);
		for (uint64_t i = 0; !r && i < pages; i++) {
			uint64_t number = entries[i] & PM_FRAME;

			if ((entries[i] & (PM_PRESENT | PM_FILE)) == PM_PRESENT && number != zeros)
				r = add(list, start + i * FRAME_SIZE, number);
		}
	}
	return r;
}

int frames_anonymous(pid_t pid, struct frame **ret_frames, size_t *ret_nr)
{
	uint64_t start, end, inode, zeros = frame_of_zeros();
	struct list list = { .nr = 0 };
	char line[512], mode[5];
	int fd, named, r = 0;
	FILE *maps;

	snprintf(line, sizeof(line), "/proc/%d/maps", pid);
	maps = fopen(line, "re");
	fd = open_map(pid);
	if (!maps || fd < 0)
		r = -EIO;
	while (!r && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*s %" SCNu64 " %n", &start, &end, mode, &inode,
			   &named) == 4 && mode[0] == 'r' && mode[3] == 'p' && !inode && !line[named])
			r = add_mapping(&list, fd, start, end, zeros);
	}
	if (fd >= 0)
		close(fd);
	if (maps)
		fclose(maps);
	if (r) {
		free(list.frames);
		return r;
	}
	*ret_frames = list.frames;
	*ret_nr = list.nr;
	return 0;
}
