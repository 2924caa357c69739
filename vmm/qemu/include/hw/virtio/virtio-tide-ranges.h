/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of the VM's boot RAM has been given, and dropping it on the host.
 *
 * Knows guest physical addresses, RAM blocks and time; nothing of queues, batches or the controller.  Everything
 * here is called under the BQL.
 */
#ifndef QEMU_VIRTIO_TIDE_RANGES_H
#define QEMU_VIRTIO_TIDE_RANGES_H

#include "exec/memory.h"

/* Guest physical, in bytes. */
typedef struct TideSpan {
    uint64_t address;
    uint64_t length;
} TideSpan;

/* A RAM block of the machine.  Its pages have bits of their own from unit @first_unit on. */
typedef struct TideBlock {
    MemoryRegion *mr;
    uint64_t bytes;
    uint64_t first_unit;
} TideBlock;

/* A piece of one block, in bytes. */
typedef struct TidePiece {
    TideBlock *block;
    uint64_t offset;
    uint64_t length;
} TidePiece;

typedef struct TideRanges {
    TideBlock *block;
    unsigned int blocks;
    uint64_t units;             /* of VIRTIO_TIDE_HUGE_SIZE, over all blocks */
    unsigned long *given;       /* a bit for each VIRTIO_TIDE_PAGE_SIZE */
    uint16_t *given_in_unit;    /* how many of these are set, for each unit */

    uint64_t ram_bytes;
    uint64_t given_bytes;
    uint64_t given_huge_bytes;  /* in units that are given whole */

    uint64_t slice_bytes;       /* what can be dropped in about a millisecond */
    uint64_t discard_ns;        /* time spent dropping */
} TideRanges;

/**
 * tide_ranges_init: start accounting for the machine's boot RAM, nothing given
 * @ram: the machine's RAM: one RAM region, or a container of them (NUMA)
 */
bool tide_ranges_init(TideRanges *ranges, MemoryRegion *ram, Error **errp);
void tide_ranges_cleanup(TideRanges *ranges);

/* Nothing is given any more. */
void tide_ranges_clear(TideRanges *ranges);

/**
 * tide_ranges_check: whether all of a span is boot RAM that may be written
 * @span: as the guest said it
 * @drop: it is also to be dropped, which needs the alignment of the host's pages
 */
bool tide_ranges_check(TideRanges *ranges, TideSpan span, bool drop);

/**
 * tide_spans_merge: sort by address and join what touches or overlaps
 *
 * Returns how many spans are left.
 */
unsigned int tide_spans_merge(TideSpan *spans, unsigned int count);

/**
 * tide_ranges_give: drop the first part of a span, about a millisecond's worth, and mark it as given
 * @span: checked; what is left of it afterwards
 * @gave: rises by the bytes that had not been given before
 *
 * Returns 0, or a negative errno with nothing done.
 */
int tide_ranges_give(TideRanges *ranges, TideSpan *span, uint64_t *gave);

/**
 * tide_ranges_take: the first part of a span is not given any more; many gigabytes at once
 * @span: checked; what is left of it afterwards
 *
 * Returns the bytes that had been given.
 */
uint64_t tide_ranges_take(TideRanges *ranges, TideSpan *span);

/**
 * tide_ranges_find_host: the piece of boot RAM at a host address
 *
 * Returns false if it is not boot RAM from end to end, or cannot be dropped for its alignment.
 */
bool tide_ranges_find_host(TideRanges *ranges, void *host, size_t length, TidePiece *piece);

/**
 * tide_ranges_drop: drop the first part of a piece, about a millisecond's worth, marking nothing
 * @piece: what is left of it afterwards
 *
 * Returns 0, or a negative errno with nothing done.
 */
int tide_ranges_drop(TideRanges *ranges, TidePiece *piece);

#endif
