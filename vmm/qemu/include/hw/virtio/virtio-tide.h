/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-tide: a guest gives memory to its host and takes it back.
 *
 * The device without its transport.  The wire contract is in standard-headers/linux/virtio_tide.h, the one with
 * the controller in tide-vmm.h.
 */
#ifndef QEMU_VIRTIO_TIDE_H
#define QEMU_VIRTIO_TIDE_H

#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-tide-pages.h"
#include "hw/virtio/virtio-tide-ranges.h"
#include "hw/virtio/virtio-tide-vmm.h"
#include "qom/object.h"
#include "standard-headers/linux/virtio_tide.h"

#define TYPE_VIRTIO_TIDE "virtio-tide-device"
OBJECT_DECLARE_SIMPLE_TYPE(VirtIOTide, VIRTIO_TIDE)

/* A buffer of the give queue that is being carried out, one bounded step after the other. */
typedef struct TideBatch {
    VirtQueueElement *elem;             /* NULL: none */
    struct virtio_tide_range *range;    /* our copy of what the guest wrote, in the host's byte order */
    unsigned int count;
    unsigned int next;                  /* the first range that is not settled */
    bool failed;
    uint32_t status;
    unsigned int done;

    /*
     * The gives from @next to @group_end are carried out together, sorted and joined.  A take is a group of its
     * own with a single span.  Spans before @at are done, of @span[@at] only @rest is left.
     */
    unsigned int group_end;             /* 0: no group is being worked on */
    TideSpan *span;
    unsigned int spans;
    unsigned int at;
    TideSpan rest;
    uint64_t bytes;                     /* given or taken back by this group so far */
} TideBatch;

/* A buffer of the report queue that is being carried out. */
typedef struct TideReport {
    VirtQueueElement *elem;             /* NULL: none */
    unsigned int next;                  /* the first entry that is not begun */
    TidePiece rest;                     /* what is left of the one before it */
} TideReport;

/* What goes along when the VM migrates or is saved, beside what virtio itself has to say. */
typedef struct TideSaved {
    uint32_t region_bytes;              /* always sizeof(region): a stream with another size is not ours */
    uint32_t generation;                /* the newest one that the guest may have seen */
    uint8_t region[VIRTIO_TIDE_HINTS_OFFSET];
} TideSaved;

struct VirtIOTide {
    VirtIODevice parent_obj;

    VirtQueue *give_vq;
    VirtQueue *report_vq;
    QEMUBH *bh;
    TideBatch batch;
    TideReport report;

    TideRanges ranges;
    TidePages pages;
    TideVmm vmm;
    MemoryRegion state_mr;
    MemoryRegion doorbell_mr;

    uint64_t host_features;
    uint64_t target;                    /* asked for through the property; 0: never */
    uint32_t generation;                /* of the last state record written here */

    bool inhibit;                       /* by the administrator */
    bool discard_failed;                /* less than @retry_ms ago */
    unsigned int retry_ms;
    bool inhibited;                     /* for any reason, as last told to guest and controller */
    QEMUTimer *inhibited_timer;         /* while inhibited */
    MemoryListener listener;
    Error *migration_blocker;           /* while something is given, or about to be */
    TideSaved saved;                    /* only while it is saved or loaded */

    /*
     * The transport's way to raise the configuration-change interrupt straight from pages.call, without QEMU's
     * main loop.  It uses virtio_tide_call_handler() where and while it cannot.  May be NULL.
     */
    void (*wire_call)(VirtIOTide *tide, bool wire);
};

/* Whether the main loop waits for pages.call and raises the interrupt. */
void virtio_tide_call_handler(VirtIOTide *tide, bool on);

/* Of the device, for its queues.  Counters as they are now, @notify: the controller is told of it. */
void virtio_tide_publish(VirtIOTide *s, bool notify);
/* Tells guest and controller of a change.  Returns whether gives and reports fail for now. */
bool virtio_tide_update_inhibited(VirtIOTide *s);
/* The host has failed to drop memory, and would fail again. */
void virtio_tide_discard_has_failed(VirtIOTide *s);
/* The newest generation of the state record that the guest may have seen, whoever has written it. */
uint32_t virtio_tide_generation(VirtIOTide *s);
bool virtio_tide_check_target(VirtIOTide *s, uint64_t target, Error **errp);

/*
 * virtio-tide-migration.c: memory that is given is not migrated, so nothing is while some is.  Returns false if
 * that is not possible now: then nothing may be given.  Undone when all of it is back.
 */
bool virtio_tide_block_migration(VirtIOTide *s, Error **errp);
void virtio_tide_unblock_migration(VirtIOTide *s);
extern const VMStateDescription vmstate_virtio_tide;
extern const VMStateDescription vmstate_virtio_tide_device;

/* virtio-tide-queues.c: the bottom half, and what is begun of each queue is given up. */
void virtio_tide_work(void *opaque);
/* Whether the guest has given something that is not back, or is giving it now. */
bool virtio_tide_has_given(VirtIOTide *s);
/* The VM has stopped: all that is begun goes back to the guest now.  What is left of gives fails. */
void virtio_tide_finish(VirtIOTide *s);
void virtio_tide_batch_drop(VirtIOTide *s);
void virtio_tide_report_drop(VirtIOTide *s);

#endif
