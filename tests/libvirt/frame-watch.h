/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks from a thread, again and again, at the frames in which VMs have their memory: whether two VMs of different
 * tenants ever have a page in the same one.  A VM is looked at as soon as it has a process, and as long.
 */
#ifndef TESTS_LIBVIRT_FRAME_WATCH_H
#define TESTS_LIBVIRT_FRAME_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#define FRAME_WATCH_VMS	8

struct frame_watch;

/**
 * struct frame_watch_seen - what has been seen so far
 * @looks: how often VMs of two tenants were looked at together
 * @pages: of all VMs, the most at once
 * @inside: pages in a frame that another VM of the same tenant has as well, the most at once
 * @latest_ms: the age of a VM's process when it was first looked at, the largest
 * @crossings: pages in a frame that a VM of another tenant has as well; of each look the first few
 * @first: the first of these, in words; ""
 */
struct frame_watch_seen {
	unsigned int looks;
	uint64_t pages;
	uint64_t inside;
	uint64_t latest_ms;
	uint64_t crossings;
	char first[160];
};

/* 0 or a negative errno. */
int frame_watch_start(struct frame_watch **ret_watch);
/* Domain @name is @tenant's, any number, from now on; not while it runs. */
void frame_watch_vm(struct frame_watch *watch, const char *name, int tenant);
/* No looks, until it is told to go on. */
void frame_watch_pause(struct frame_watch *watch, bool pause);
void frame_watch_read(struct frame_watch *watch, struct frame_watch_seen *ret_seen);
/* Ends after one more look; NULL is fine. */
void frame_watch_stop(struct frame_watch *watch, struct frame_watch_seen *ret_seen);

#endif /* TESTS_LIBVIRT_FRAME_WATCH_H */
