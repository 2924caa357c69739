/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device's side of what a VM shares with the controller: two pieces of memory and three eventfds, which are sent
 * with its hello.  For who speaks in the place of a device: stand-ins, and the tests' made-up VMs.  What is in there is
 * the caller's, by record.h and ring.h.
 */
#ifndef MEMTIDE_DEVICE_SIDE_H
#define MEMTIDE_DEVICE_SIDE_H

#include <stdbool.h>
#include <stddef.h>

#include <hw/virtio/tide-vmm.h>

#include "region.h"
#include "ring.h"

struct memtide_device_side {
	int fd[TIDE_VMM_FDS];			/* by enum tide_vmm_fd; -1: none */
	struct memtide_region state;		/* the guest's region */
	struct memtide_region counters;
	struct memtide_ring_producer to_host;
	struct memtide_ring_consumer from_host;
};

/**
 * memtide_device_side_make() - make and map all of it, empty
 * @ret_side: to be closed on success only
 * @sealed: its memory keeps its size, which a controller asks for
 *
 * Returns 0 or a negative errno.
 */
int memtide_device_side_make(struct memtide_device_side *ret_side, bool sealed);

/* memtide_device_side_close() - harmless on one that is all zero, or closed */
void memtide_device_side_close(struct memtide_device_side *side);

/* memtide_device_side_at() - what is at @offset of the guest's region */
void *memtide_device_side_at(const struct memtide_device_side *side, size_t offset);

/* memtide_device_side_begin() - both rings as they are at the guest's start */
void memtide_device_side_begin(struct memtide_device_side *side);

/* memtide_device_side_ring() - ring the eventfd @which, one of enum tide_vmm_fd; any thread */
void memtide_device_side_ring(const struct memtide_device_side *side, int which);

#endif /* MEMTIDE_DEVICE_SIDE_H */
