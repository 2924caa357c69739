/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a libvirt domain itself says about its memory: how much there may be, and why none of it can be taken.  No
 * policy goes beyond that; see memtide_domain_check() in domain.h.
 *
 * Read from the XML that the hook gets on `prepare`, or from `virsh dumpxml --inactive`.  In the XML of a VM that
 * runs, <currentMemory> is where the balloon is just now, which may be our own doing.
 */
#ifndef MEMTIDE_DOMAIN_LIMITS_H
#define MEMTIDE_DOMAIN_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "domain-policy.h"

/* Why memory cannot be taken from a VM. */
enum memtide_obstacle {
	MEMTIDE_OBSTACLE_VFIO,		/* a device has all of it pinned: hostdev, interface hostdev, NVMe, vDPA */
	MEMTIDE_OBSTACLE_HUGETLB,	/* <hugepages/>: taken from a pool of its own */
	MEMTIDE_OBSTACLE_LOCKED,	/* <locked/> */
	MEMTIDE_OBSTACLE_SHARED,	/* other processes have it mapped, too */
	MEMTIDE_OBSTACLE_FILE,		/* a file or memfd, not anonymous memory */
	MEMTIDE_OBSTACLE_ENCRYPTED,	/* <launchSecurity> */
	MEMTIDE_OBSTACLES,
};

/* Sizes in bytes. */
struct memtide_domain_limits {
	struct memtide_domain_value memory;
	struct memtide_domain_value current;	/* <currentMemory> */
	struct memtide_domain_value hard_limit;	/* <memtune>; unset where it is "unlimited" */
	struct memtide_domain_value soft_limit;
	unsigned int nosharepages;		/* the line, 0 if KSM may merge its pages */
	unsigned int no_balloon;		/* the line of <memballoon model='none'/>, else 0 */
	bool autodeflate;			/* its guest may let its balloon go by itself */
	bool tide_device;			/* a virtio-tide device among <qemu:commandline> */
	struct {
		const char *element;		/* that says so, with its attribute; NULL if there is none */
		unsigned int line;
	} obstacles[MEMTIDE_OBSTACLES];
};

/* The most that the VM may have: the least of its sizes, MEMTIDE_DOMAIN_UNSET if it has none.  Pure. */
uint64_t memtide_domain_most(const struct memtide_domain_limits *limits);

/* Whether memory can be taken from it at all.  Pure. */
bool memtide_domain_reclaimable(const struct memtide_domain_limits *limits);

/* One word for lists, such as "vfio", and half a sentence for people, such as "its memory is locked". */
const char *memtide_obstacle_name(enum memtide_obstacle obstacle);
const char *memtide_obstacle_text(enum memtide_obstacle obstacle);

#endif /* MEMTIDE_DOMAIN_LIMITS_H */
