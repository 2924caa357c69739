/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-tide: which of the VM's boot RAM has been given, and dropping it on the host.
 *
 * Each page counts once, whatever the guest says: there is a bit for each.  Work is done per unit of 2 MiB, so
 * that a gigabyte costs no more than a few hundred short steps, and dropped in slices that adapt to what the host
 * achieves, so that the main loop comes round every millisecond or so.
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "exec/cpu-common.h"
#include "hw/virtio/virtio-tide-ranges.h"
#include "standard-headers/linux/virtio_tide.h"
#include "trace.h"

#define UNIT_PAGES  (VIRTIO_TIDE_HUGE_SIZE / VIRTIO_TIDE_PAGE_SIZE)
#define UNIT_LONGS  BITS_TO_LONGS(UNIT_PAGES)

/* How long the main loop may be kept from other devices by one madvise. */
#define SLICE_NS        (1 * SCALE_MS)
/*
 * Small discards ruin the page tables for what comes after, so never less than a huge page; and never so much
 * that one slice is long even if the host's speed suddenly drops, as it does from memory that was never touched
 * (no cost at all) to memory in small pages (2 GiB/s and less).
 */
#define SLICE_MIN       VIRTIO_TIDE_HUGE_SIZE
#define SLICE_MAX       (1 * GiB)
#define SLICE_START     (64 * MiB)
/* Taking back only clears bits: this much is about 100 microseconds. */
#define TAKE_MAX        (16 * GiB)

static uint64_t count_blocks(TideRanges *ranges, MemoryRegion *mr, Error **errp)
{
    TideBlock *block;

    if (!memory_region_is_ram(mr) || memory_region_is_rom(mr)) {
        error_setg(errp, "RAM '%s' of this machine cannot be given by its guest", memory_region_name(mr));
        return 0;
    }
    ranges->block = g_renew(TideBlock, ranges->block, ranges->blocks + 1);
    block = &ranges->block[ranges->blocks++];
    block->mr = mr;
    block->bytes = memory_region_size(mr);
    block->first_unit = ranges->units;
    ranges->units += DIV_ROUND_UP(block->bytes, VIRTIO_TIDE_HUGE_SIZE);
    ranges->ram_bytes += block->bytes;
    return block->bytes;
}

bool tide_ranges_init(TideRanges *ranges, MemoryRegion *ram, Error **errp)
{
    MemoryRegion *mr;

    memset(ranges, 0, sizeof(*ranges));
    if (QTAILQ_EMPTY(&ram->subregions)) {
        if (!count_blocks(ranges, ram, errp)) {
            goto fail;
        }
    } else {
        QTAILQ_FOREACH(mr, &ram->subregions, subregions_link) {
            if (!count_blocks(ranges, mr, errp)) {
                goto fail;
            }
        }
    }
    ranges->given = bitmap_new(ranges->units * UNIT_PAGES);
    ranges->given_in_unit = g_new0(uint16_t, ranges->units);
    ranges->slice_bytes = SLICE_START;
    return true;

fail:
    tide_ranges_cleanup(ranges);
    return false;
}

void tide_ranges_cleanup(TideRanges *ranges)
{
    g_free(ranges->block);
    g_free(ranges->given);
    g_free(ranges->given_in_unit);
    memset(ranges, 0, sizeof(*ranges));
}

void tide_ranges_clear(TideRanges *ranges)
{
    bitmap_zero(ranges->given, ranges->units * UNIT_PAGES);
    memset(ranges->given_in_unit, 0, ranges->units * sizeof(*ranges->given_in_unit));
    ranges->given_bytes = 0;
    ranges->given_huge_bytes = 0;
}

static TideBlock *find_block(TideRanges *ranges, MemoryRegion *mr)
{
    unsigned int i;

    for (i = 0; i < ranges->blocks; i++) {
        if (ranges->block[i].mr == mr) {
            return &ranges->block[i];
        }
    }
    return NULL;
}

/*
 * The first piece of a span, as the guest's address space is now.  Without a reference: the address space and its
 * RAM stay while the BQL is held, and nobody keeps a piece of guest physical memory for longer.
 */
static bool find_piece(TideRanges *ranges, const TideSpan *span, TidePiece *piece)
{
    MemoryRegionSection section;
    bool found = false;

    section = memory_region_find(get_system_memory(), span->address, span->length);
    if (!section.mr) {
        return false;
    }
    piece->block = find_block(ranges, section.mr);
    if (piece->block && !section.readonly && section.offset_within_address_space == span->address) {
        piece->offset = section.offset_within_region;
        piece->length = int128_get64(section.size);
        found = piece->length != 0;
    }
    memory_region_unref(section.mr);
    return found;
}

/* What the host can drop at once is a multiple of this. */
static uint64_t piece_grain(const TidePiece *piece)
{
    return MAX(qemu_ram_pagesize(piece->block->mr->ram_block), VIRTIO_TIDE_PAGE_SIZE);
}

bool tide_ranges_check(TideRanges *ranges, TideSpan span, bool drop)
{
    TidePiece piece;

    if (!span.length || !QEMU_IS_ALIGNED(span.address | span.length, VIRTIO_TIDE_PAGE_SIZE) ||
        span.length > ranges->ram_bytes || span.address > UINT64_MAX - span.length) {
        return false;
    }
    while (span.length) {
        if (!find_piece(ranges, &span, &piece) ||
            !QEMU_IS_ALIGNED(piece.offset | piece.length, drop ? piece_grain(&piece) : VIRTIO_TIDE_PAGE_SIZE)) {
            return false;
        }
        span.address += piece.length;
        span.length -= piece.length;
    }
    return true;
}

static int compare_spans(const void *a, const void *b)
{
    const TideSpan *left = a, *right = b;

    return left->address < right->address ? -1 : left->address > right->address;
}

unsigned int tide_spans_merge(TideSpan *spans, unsigned int count)
{
    unsigned int from, to = 0;

    qsort(spans, count, sizeof(*spans), compare_spans);
    for (from = 1; from < count; from++) {
        uint64_t end = spans[to].address + spans[to].length;

        if (spans[from].address <= end) {
            end = MAX(end, spans[from].address + spans[from].length);
            spans[to].length = end - spans[to].address;
        } else {
            spans[++to] = spans[from];
        }
    }
    return count ? to + 1 : 0;
}

/* Sets or clears the bits of @pages pages from page @first of a unit on.  Returns how many have changed. */
static unsigned int mark_in_unit(TideRanges *ranges, uint64_t unit, unsigned int first, unsigned int pages,
                                 bool given)
{
    unsigned long *map = ranges->given + unit * UNIT_LONGS;
    unsigned int was = ranges->given_in_unit[unit], changed;

    if (was == (given ? UNIT_PAGES : 0)) {
        return 0;
    }
    if (pages == UNIT_PAGES) {
        changed = given ? UNIT_PAGES - was : was;
        memset(map, given ? 0xff : 0, UNIT_LONGS * sizeof(*map));
    } else {
        changed = bitmap_count_one_with_offset(map, first, pages);
        if (given) {
            changed = pages - changed;
            bitmap_set(map, first, pages);
        } else {
            bitmap_clear(map, first, pages);
        }
    }

    if (given) {
        ranges->given_in_unit[unit] = was + changed;
        if (was + changed == UNIT_PAGES) {
            ranges->given_huge_bytes += VIRTIO_TIDE_HUGE_SIZE;
        }
    } else {
        ranges->given_in_unit[unit] = was - changed;
        if (was == UNIT_PAGES && changed) {
            ranges->given_huge_bytes -= VIRTIO_TIDE_HUGE_SIZE;
        }
    }
    return changed;
}

/* Returns how many bytes have changed. */
static uint64_t mark(TideRanges *ranges, const TidePiece *piece, bool given)
{
    uint64_t page = piece->block->first_unit * UNIT_PAGES + piece->offset / VIRTIO_TIDE_PAGE_SIZE;
    uint64_t left = piece->length / VIRTIO_TIDE_PAGE_SIZE;
    uint64_t changed = 0;

    while (left) {
        unsigned int first = page % UNIT_PAGES;
        unsigned int pages = MIN(left, UNIT_PAGES - first);

        changed += mark_in_unit(ranges, page / UNIT_PAGES, first, pages, given);
        page += pages;
        left -= pages;
    }
    changed *= VIRTIO_TIDE_PAGE_SIZE;
    if (given) {
        ranges->given_bytes += changed;
    } else {
        ranges->given_bytes -= changed;
    }
    return changed;
}

/* Half as much or twice as much at most: one slice during which the host did something else says little. */
static void adapt_slice(TideRanges *ranges, uint64_t bytes, uint64_t ns)
{
    uint64_t want = bytes * SLICE_NS / MAX(ns, 1);

    if (bytes < ranges->slice_bytes && want > bytes) {
        return;     /* it was quick because it was short */
    }
    want = MIN(MAX(want, ranges->slice_bytes / 2), ranges->slice_bytes * 2);
    want = MIN(MAX(want, SLICE_MIN), SLICE_MAX);
    ranges->slice_bytes = QEMU_ALIGN_DOWN(want, VIRTIO_TIDE_HUGE_SIZE);
}

/* Cuts @piece to one slice, so that no huge page is dropped in two parts. */
static void cut_slice(TideRanges *ranges, TidePiece *piece)
{
    uint64_t grain = MAX(piece_grain(piece), VIRTIO_TIDE_HUGE_SIZE);
    uint64_t end = piece->offset + ranges->slice_bytes;

    if (ranges->slice_bytes < piece->length) {
        end = MAX(QEMU_ALIGN_DOWN(end, grain), QEMU_ALIGN_UP(piece->offset + 1, grain));
        piece->length = MIN(piece->length, end - piece->offset);
    }
}

static int discard(TideRanges *ranges, const TidePiece *piece)
{
    int64_t start = get_clock(), ns;
    int ret;

    ret = ram_block_discard_range(piece->block->mr->ram_block, piece->offset, piece->length);
    ns = get_clock() - start;
    ranges->discard_ns += ns;
    trace_virtio_tide_discard(memory_region_name(piece->block->mr), piece->offset, piece->length, ns, ret);
    if (ret < 0) {
        return ret;
    }
    adapt_slice(ranges, piece->length, ns);
    return 0;
}

int tide_ranges_give(TideRanges *ranges, TideSpan *span, uint64_t *gave)
{
    TidePiece piece;
    int ret;

    /* The guest may have changed its address space since the span was checked. */
    if (!find_piece(ranges, span, &piece) || !QEMU_IS_ALIGNED(piece.offset | piece.length, piece_grain(&piece))) {
        return -EFAULT;
    }
    cut_slice(ranges, &piece);
    ret = discard(ranges, &piece);
    if (ret < 0) {
        return ret;
    }
    *gave += mark(ranges, &piece, true);
    span->address += piece.length;
    span->length -= piece.length;
    return 0;
}

uint64_t tide_ranges_take(TideRanges *ranges, TideSpan *span)
{
    TidePiece piece;
    uint64_t took = 0;

    if (find_piece(ranges, span, &piece)) {
        piece.length = MIN(piece.length, TAKE_MAX);
        took = mark(ranges, &piece, false);
    } else {
        piece.length = VIRTIO_TIDE_PAGE_SIZE;   /* not there any more: nothing to clear */
    }
    span->address += piece.length;
    span->length -= piece.length;
    return took;
}

bool tide_ranges_find_host(TideRanges *ranges, void *host, size_t length, TidePiece *piece)
{
    ram_addr_t offset;
    RAMBlock *rb = qemu_ram_block_from_host(host, false, &offset);
    unsigned int i;

    for (i = 0; rb && i < ranges->blocks; i++) {
        TideBlock *block = &ranges->block[i];

        if (block->mr->ram_block == rb) {
            *piece = (TidePiece) { .block = block, .offset = offset, .length = length };
            return length && length <= block->bytes && offset <= block->bytes - length &&
                   QEMU_IS_ALIGNED(offset | length, piece_grain(piece));
        }
    }
    return false;
}

int tide_ranges_drop(TideRanges *ranges, TidePiece *piece)
{
    TidePiece slice = *piece;
    int ret;

    cut_slice(ranges, &slice);
    ret = discard(ranges, &slice);
    if (ret < 0) {
        return ret;
    }
    piece->offset += slice.length;
    piece->length -= slice.length;
    return 0;
}
