/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the device shares with its controller, and the state region also with its guest: two memfds and three
 * eventfds, for as long as the device exists.  The controller may come and go.
 */
#ifndef QEMU_VIRTIO_TIDE_PAGES_H
#define QEMU_VIRTIO_TIDE_PAGES_H

#include "qemu/event_notifier.h"
#include "hw/virtio/tide-vmm.h"

typedef struct TidePages {
    int state_fd;
    int counters_fd;
    void *state;                    /* VIRTIO_TIDE_STATE_SIZE bytes; the guest can write all of it */
    void *shared;                   /* TIDE_COUNTERS_SIZE bytes; the guest can write none of it */
    struct tide_counters counters;  /* in the host's byte order; what was published last, or is to be published */
    EventNotifier doorbell;         /* guest to controller */
    EventNotifier call;             /* controller to guest */
    EventNotifier notify;           /* device to controller */
} TidePages;

bool tide_pages_init(TidePages *pages, Error **errp);

/* For good: neither guest nor controller may be able to reach the state region through this process any more. */
void tide_pages_cleanup(TidePages *pages);

/* Starts the region afresh for a guest after a reset; what the host says in the state record stays. */
void tide_pages_reset(TidePages *pages);

/*
 * The region as it is for a device in another process, VIRTIO_TIDE_HINTS_OFFSET bytes, and the other way round.
 * The hint map is not there: it is about the host's memory.  The VM does not run.
 */
void tide_pages_save(TidePages *pages, void *to);
void tide_pages_load(TidePages *pages, const void *from);

/* Writes pages->counters to the counters page; with @notify, tells the controller.  Under the BQL. */
void tide_pages_publish(TidePages *pages, bool notify);

/* Writes the state record.  Only while no controller does so.  @target in bytes. */
void tide_pages_set_target(TidePages *pages, uint64_t target, uint32_t generation);

/**
 * tide_pages_grant: what the controller has granted, in the host's byte order
 *
 * Returns false if the controller was caught in the middle of writing it, time and again.
 */
bool tide_pages_grant(TidePages *pages, struct tide_grant *grant);

#endif
