// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /proc and /sys of the host, and what they mean for the budget.
 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The budget moves in pieces of this, so that what other programs do from second to second does not show. */
#define BUDGET_UNIT	(UINT64_C(64) << 20)
/* Kept for the host itself beside what it uses now: watermarks, page tables, what starts next. */
#define HOST_KEEPS_SHIFT	5	/* 1/32 of its memory */
/* Under pressure the budget gives way by this part of the host's memory each time. */
#define PRESSURE_SHIFT	6
/* A rise covers this part of the way at a time. */
#define RISE_SHIFT	3
/* 150 ms of stall in a second; without CAP_SYS_RESOURCE the kernel takes windows of whole two seconds only. */
#define PRESSURE_TRIGGER	"some 150000 1000000"
#define PRESSURE_TRIGGER_SLOW	"some 300000 2000000"

static uint64_t meminfo_value(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

static ssize_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		n = -errno;
	else
		text[n] = '\0';
	close(fd);
	return n;
}

int host_read_memory(struct host_memory *ret)
{
	struct host_memory memory = { 0 };
	char text[4096];
	ssize_t n;

	n = read_file("/proc/meminfo", text, sizeof(text));
	if (n < 0)
		return (int)n;
	memory.total = meminfo_value(text, "MemTotal:");
	memory.available = meminfo_value(text, "MemAvailable:");
	if (!memory.total)
		return -EINVAL;
	/* Without KSM nothing is saved. */
	if (read_file("/sys/kernel/mm/ksm/pages_sharing", text, sizeof(text)) > 0)
		memory.saved = strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
	*ret = memory;
	return 0;
}

int host_open_pressure(void)
{
	int fd, r;

	fd = open("/proc/pressure/memory", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, PRESSURE_TRIGGER, sizeof(PRESSURE_TRIGGER)) < 0 &&
	    write(fd, PRESSURE_TRIGGER_SLOW, sizeof(PRESSURE_TRIGGER_SLOW)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

uint64_t host_budget(const struct host_memory *memory, uint64_t resident, uint64_t overhead, uint64_t before,
		     bool pressed)
{
	uint64_t keep = memory->total >> HOST_KEEPS_SHIFT;
	uint64_t most = less(memory->total, keep + overhead);
	uint64_t budget = less(memory->available + resident, keep + overhead + memory->saved);

	if (budget > most)
		budget = most;
	if (pressed && before)
		budget = less(budget < before ? budget : before, memory->total >> PRESSURE_SHIFT);
	else if (before && budget > before)
		budget = before + ((budget - before) >> RISE_SHIFT) + BUDGET_UNIT - 1;
	budget -= budget % BUDGET_UNIT;
	return budget > most ? most - most % BUDGET_UNIT : budget;
}
