// SPDX-License-Identifier: GPL-2.0-or-later
/* See hostile.h.  The device's memory is reached through sysfs, as any process of root's can. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kernel-page-flags.h>
#include <linux/virtio_tide.h>

#include "hostile.h"

#define PCI		"/sys/bus/pci/devices"
#define TIDE_DEVICE	(0x1040 + VIRTIO_ID_TIDE)	/* PCI ids of modern virtio devices, virtio 1.2, 4.1.2.1 */
#define DOORBELL	VIRTIO_TIDE_STATE_SIZE		/* the second region lies behind the first */
#define BAR_BYTES	(2 * VIRTIO_TIDE_STATE_SIZE)
#define PAGE_BYTES	4096

static unsigned char *bar;

static unsigned int read_id(const char *device)
{
	char path[512];
	unsigned int id = 0;
	FILE *f;

	snprintf(path, sizeof(path), PCI "/%s/device", device);
	f = fopen(path, "re");
	if (f && fscanf(f, "%x", &id) != 1)
		id = 0;
	if (f)
		fclose(f);
	return id;
}

static int map_bar(void)
{
	DIR *dir = opendir(PCI);
	struct dirent *e;
	char path[512] = "";
	int fd;

	if (bar)
		return 0;
	while (dir && (e = readdir(dir))) {
		if (read_id(e->d_name) == TIDE_DEVICE)
			snprintf(path, sizeof(path), PCI "/%s/resource4", e->d_name);
	}
	if (dir)
		closedir(dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	bar = mmap(NULL, BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (bar == MAP_FAILED) {
		bar = NULL;
		return -errno;
	}
	return 0;
}

static void ring_doorbell(void)
{
	*(volatile uint32_t *)(bar + DOORBELL) = 1;
}

int hostile_garbage(unsigned int rounds)
{
	uint64_t seed = 88172645463325252ULL;
	int r = map_bar();

	for (unsigned int round = 0; round < rounds && !r; round++) {
		for (size_t at = 0; at < VIRTIO_TIDE_STATE_SIZE; at += 8) {
			seed ^= seed << 13;	/* xorshift64, Marsaglia 2003 */
			seed ^= seed >> 7;
			seed ^= seed << 17;
			*(volatile uint64_t *)(bar + at) = seed;
		}
		ring_doorbell();
	}
	return r;
}

int hostile_flood(uint64_t count)
{
	int r = map_bar();

	while (!r && count--)
		ring_doorbell();
	return r;
}

int hostile_claim(uint64_t bytes, unsigned int count)
{
	struct virtio_tide_ring *ring;
	struct virtio_tide_stats *stats;
	int r = map_bar();

	if (r)
		return r;
	ring = (void *)(bar + VIRTIO_TIDE_TO_HOST_OFFSET);
	stats = (void *)(bar + VIRTIO_TIDE_STATS_OFFSET);
	while (count--) {
		struct virtio_tide_event *e = &ring->record[ring->head % VIRTIO_TIDE_RING_RECORDS];

		*(volatile __le64 *)&stats->free = 0;
		*(volatile __le64 *)&stats->available = 0;
		stats->refault_file += 100000;
		stats->alloc_stall += 1000;
		*e = (struct virtio_tide_event){ .type = VIRTIO_TIDE_EV_PRESSURE, .a = bytes, .b = VIRTIO_TIDE_URGENCY_OOM };
		__atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
		ring_doorbell();
		usleep(1000);
	}
	return 0;
}

/* One pass over all pages.  Returns how many bytes were given and are touched now, or a negative errno. */
static int64_t retouch(int flags, int mem)
{
	uint64_t flag[512], pfn = 0;
	int64_t bytes = 0;
	ssize_t n;

	if (lseek(flags, 0, SEEK_SET) < 0)
		return -errno;
	while ((n = read(flags, flag, sizeof(flag))) > 0) {
		for (size_t i = 0; i < n / sizeof(flag[0]); i++, pfn++) {
			if (!(flag[i] & 1ULL << KPF_OFFLINE))
				continue;
			if (pwrite(mem, "retouched", 9, pfn * PAGE_BYTES) < 0)
				return -errno;
			bytes += PAGE_BYTES;
		}
	}
	return n < 0 ? -errno : bytes;
}

int hostile_retouch(uint64_t bytes)
{
	int flags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC), mem = open("/dev/mem", O_WRONLY | O_CLOEXEC);
	int64_t touched = flags < 0 || mem < 0 ? -errno : 0;

	while (touched >= 0 && (uint64_t)touched < bytes) {
		touched = retouch(flags, mem);
		usleep(10000);
	}
	if (flags >= 0)
		close(flags);
	if (mem >= 0)
		close(mem);
	return touched < 0 ? touched : 0;
}
