// SPDX-License-Identifier: GPL-2.0-or-later
#include "device-side.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static int make_memory(const char *name, size_t size, bool sealed)
{
	int fd, r;

	if (sealed)
		return memtide_region_create(name, size);
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static int map(int fd, size_t size, struct memtide_region *ret_region)
{
	void *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (start == MAP_FAILED)
		return -errno;
	*ret_region = (struct memtide_region){ .start = start, .size = size };
	return 0;
}

static int make_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

static int make_descriptors(struct memtide_device_side *side, bool sealed)
{
	side->fd[TIDE_VMM_FD_STATE] = make_memory("memtide-state", VIRTIO_TIDE_STATE_SIZE, sealed);
	side->fd[TIDE_VMM_FD_COUNTERS] = make_memory("memtide-counters", TIDE_COUNTERS_SIZE, sealed);
	for (int i = TIDE_VMM_FD_DOORBELL; i < TIDE_VMM_FDS; i++)
		side->fd[i] = make_eventfd();
	for (int i = 0; i < TIDE_VMM_FDS; i++)
		if (side->fd[i] < 0)
			return side->fd[i];
	return 0;
}

int memtide_device_side_make(struct memtide_device_side *ret_side, bool sealed)
{
	struct memtide_device_side side = { .state.start = NULL };
	int r = make_descriptors(&side, sealed);

	if (!r)
		r = map(side.fd[TIDE_VMM_FD_STATE], VIRTIO_TIDE_STATE_SIZE, &side.state);
	if (!r)
		r = map(side.fd[TIDE_VMM_FD_COUNTERS], TIDE_COUNTERS_SIZE, &side.counters);
	if (r < 0) {
		memtide_device_side_close(&side);
		return r;
	}
	memtide_device_side_begin(&side);
	*ret_side = side;
	return 0;
}

void memtide_device_side_close(struct memtide_device_side *side)
{
	memtide_region_unmap(&side->state);
	memtide_region_unmap(&side->counters);
	/* 0: all zero, nothing was made. */
	for (int i = 0; i < TIDE_VMM_FDS; i++) {
		if (side->fd[i] > 0)
			close(side->fd[i]);
		side->fd[i] = -1;
	}
}

void *memtide_device_side_at(const struct memtide_device_side *side, size_t offset)
{
	return (char *)side->state.start + offset;
}

void memtide_device_side_begin(struct memtide_device_side *side)
{
	memtide_ring_produce_from(&side->to_host, memtide_device_side_at(side, VIRTIO_TIDE_TO_HOST_OFFSET));
	memtide_ring_consume_from(&side->from_host, memtide_device_side_at(side, VIRTIO_TIDE_TO_GUEST_OFFSET));
}

void memtide_device_side_ring(const struct memtide_device_side *side, int which)
{
	uint64_t one = 1;

	/* A full counter means that it was rung and nobody has looked yet. */
	if (write(side->fd[which], &one, sizeof(one)) < 0)
		return;
}
