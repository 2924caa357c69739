/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-tide's queues: batches of gives and takes, and reports.
 *
 * All work is done in one bottom half that stops after about a millisecond and comes again, so that neither a
 * large batch nor a guest that floods its queues keeps the main loop from the VM's other devices.  Everything
 * runs under the BQL.  What the guest wrote is read once.
 */

#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "hw/virtio/virtio-tide.h"
#include "trace.h"

/*
 * How long one turn may take before the main loop comes round.  A turn ends with the step that exceeds it, or with
 * the answer to what that step has finished; no step is much longer.
 */
#define TURN_NS             (1 * SCALE_MS)

/* The give queue */

/* Nothing may be dropped now.  In a VM that has stopped the queues may be about to be saved. */
static bool gives_fail(VirtIOTide *s)
{
    return virtio_tide_update_inhibited(s) || !VIRTIO_DEVICE(s)->vm_running;
}

/* The range at batch->next could not be carried out. */
static void batch_fail(VirtIOTide *s, uint32_t status)
{
    TideBatch *batch = &s->batch;

    if (!batch->failed) {
        batch->failed = true;
        batch->status = status;
        batch->done = batch->next;
    }
    s->pages.counters.refused++;
    batch->next++;
}

/* A buffer that breaks the contract breaks the device; there is no place for an answer. */
static bool batch_pop(VirtIOTide *s)
{
    TideBatch *batch = &s->batch;
    VirtQueueElement *elem = virtqueue_pop(s->give_vq, sizeof(*elem));
    size_t size, count;
    unsigned int i;

    if (!elem) {
        return false;
    }
    size = iov_size(elem->out_sg, elem->out_num);
    count = size / sizeof(*batch->range);
    if (!count || size % sizeof(*batch->range) || count > VIRTIO_TIDE_MAX_RANGES ||
        iov_size(elem->in_sg, elem->in_num) < sizeof(struct virtio_tide_result)) {
        virtio_error(VIRTIO_DEVICE(s), "virtio-tide: a buffer of %zu bytes, %zu for the answer", size,
                     iov_size(elem->in_sg, elem->in_num));
        virtqueue_detach_element(s->give_vq, elem, 0);
        g_free(elem);
        return false;
    }

    iov_to_buf(elem->out_sg, elem->out_num, 0, batch->range, size);
    for (i = 0; i < count; i++) {
        struct virtio_tide_range *range = &batch->range[i];

        range->address = le64_to_cpu(range->address);
        range->length = le64_to_cpu(range->length);
        range->kind = le32_to_cpu(range->kind);
    }
    batch->elem = elem;
    batch->count = count;
    batch->next = 0;
    batch->failed = false;
    batch->status = VIRTIO_TIDE_OK;
    batch->group_end = 0;
    return true;
}

static void batch_complete(VirtIOTide *s)
{
    TideBatch *batch = &s->batch;
    VirtQueueElement *elem = g_steal_pointer(&batch->elem);
    struct virtio_tide_result result;

    if (!batch->failed) {
        batch->done = batch->count;
    }
    trace_virtio_tide_batch(batch->count, batch->status, batch->done, s->ranges.given_bytes);
    result.status = cpu_to_le32(batch->status);
    result.done = cpu_to_le32(batch->done);
    iov_from_buf(elem->in_sg, elem->in_num, 0, &result, sizeof(result));

    /* The counters first: a guest that tells the controller of its progress must not be ahead of them. */
    virtio_tide_publish(s, false);
    virtqueue_push(s->give_vq, elem, sizeof(result));
    virtio_notify(VIRTIO_DEVICE(s), s->give_vq);
    g_free(elem);
}

static TideSpan range_span(const struct virtio_tide_range *range)
{
    return (TideSpan) { .address = range->address, .length = range->length };
}

static void group_start(TideBatch *batch, unsigned int spans, unsigned int group_end)
{
    batch->spans = spans;
    batch->group_end = group_end;
    batch->at = 0;
    batch->rest = batch->span[0];
    batch->bytes = 0;
}

bool virtio_tide_has_given(VirtIOTide *s)
{
    TideBatch *batch = &s->batch;

    return s->ranges.given_bytes ||
           (batch->elem && batch->group_end && batch->range[batch->next].kind == VIRTIO_TIDE_GIVE);
}

/* Makes a group of the gives from batch->next on, up to the first one that is something else or bad. */
static void give_start(VirtIOTide *s)
{
    TideBatch *batch = &s->batch;
    unsigned int i, spans = 0;

    for (i = batch->next; i < batch->count && batch->range[i].kind == VIRTIO_TIDE_GIVE; i++) {
        TideSpan span = range_span(&batch->range[i]);

        if (!tide_ranges_check(&s->ranges, span, true)) {
            break;
        }
        batch->span[spans++] = span;
    }
    if (!spans) {
        trace_virtio_tide_bad_range(batch->range[i].address, batch->range[i].length);
        batch_fail(s, VIRTIO_TIDE_BAD_RANGE);
        return;
    }
    if (!virtio_tide_block_migration(s, NULL)) {
        batch_fail(s, VIRTIO_TIDE_INHIBITED);
        return;
    }
    group_start(batch, tide_spans_merge(batch->span, spans), i);
}

/*
 * None of the group counts as given, so that "done" tells the guest the truth although its ranges were carried out
 * in another order.  That the content of some is gone already does no harm: it was the guest's to lose.
 */
static void give_undo(VirtIOTide *s, uint32_t status)
{
    TideBatch *batch = &s->batch;
    unsigned int i;

    for (i = 0; i <= batch->at; i++) {
        TideSpan span = batch->span[i];

        if (i == batch->at) {
            span.length -= batch->rest.length;
        }
        while (span.length) {
            tide_ranges_take(&s->ranges, &span);
        }
    }
    batch->group_end = 0;
    batch_fail(s, status);
}

static void give_step(VirtIOTide *s)
{
    TideBatch *batch = &s->batch;

    if (gives_fail(s)) {
        give_undo(s, VIRTIO_TIDE_INHIBITED);
        return;
    }
    if (tide_ranges_give(&s->ranges, &batch->rest, &batch->bytes) < 0) {
        give_undo(s, VIRTIO_TIDE_FAILED);
        virtio_tide_discard_has_failed(s);
        return;
    }
    s->retry_ms = 0;
    if (batch->rest.length) {
        return;
    }
    if (++batch->at < batch->spans) {
        batch->rest = batch->span[batch->at];
        return;
    }
    s->pages.counters.gives += batch->spans;
    s->pages.counters.gave_bytes += batch->bytes;
    batch->next = batch->group_end;
    batch->group_end = 0;
}

static void take_start(VirtIOTide *s)
{
    TideBatch *batch = &s->batch;
    TideSpan span = range_span(&batch->range[batch->next]);

    if (!tide_ranges_check(&s->ranges, span, false)) {
        trace_virtio_tide_bad_range(span.address, span.length);
        batch_fail(s, VIRTIO_TIDE_BAD_RANGE);
        return;
    }
    batch->span[0] = span;
    group_start(batch, 1, batch->next + 1);
}

static void take_step(VirtIOTide *s)
{
    TideBatch *batch = &s->batch;

    batch->bytes += tide_ranges_take(&s->ranges, &batch->rest);
    if (batch->rest.length) {
        return;
    }
    trace_virtio_tide_take(batch->span[0].address, batch->span[0].length, batch->bytes);
    s->pages.counters.takes++;
    s->pages.counters.took_bytes += batch->bytes;
    batch->next = batch->group_end;
    batch->group_end = 0;
}

static void fence(VirtIOTide *s)
{
    TideBatch *batch = &s->batch;
    const struct virtio_tide_range *range = &batch->range[batch->next];
    struct tide_counters *counters = &s->pages.counters;

    if (range->length % VIRTIO_TIDE_PAGE_SIZE || range->address > UINT32_MAX) {
        batch_fail(s, VIRTIO_TIDE_BAD_RANGE);
        return;
    }
    if (range->length > s->ranges.given_bytes) {
        batch_fail(s, VIRTIO_TIDE_NOT_GIVEN);
        return;
    }
    counters->fence_generation = range->address;
    counters->fence_given_bytes = s->ranges.given_bytes;
    counters->flags |= TIDE_COUNTERS_FENCED;
    virtio_tide_publish(s, true);
    trace_virtio_tide_fence(counters->fence_generation, counters->fence_given_bytes);
    batch->next++;
}

/* One bounded step.  Returns false if there is nothing to do. */
static bool batch_step(VirtIOTide *s)
{
    TideBatch *batch = &s->batch;
    uint32_t kind;

    if (!batch->elem) {
        return batch_pop(s);
    }
    if (batch->next == batch->count) {
        batch_complete(s);
        return true;
    }
    kind = batch->range[batch->next].kind;
    if (batch->group_end) {
        if (kind == VIRTIO_TIDE_GIVE) {
            give_step(s);
        } else {
            take_step(s);
        }
    } else if (kind == VIRTIO_TIDE_TAKE) {
        take_start(s);
    } else if (kind != VIRTIO_TIDE_GIVE && kind != VIRTIO_TIDE_FENCE) {
        batch_fail(s, VIRTIO_TIDE_BAD_KIND);
    } else if (batch->failed) {
        batch->next++;
    } else if (kind == VIRTIO_TIDE_GIVE) {
        give_start(s);
    } else {
        fence(s);
    }
    return true;
}

void virtio_tide_batch_drop(VirtIOTide *s)
{
    if (s->batch.elem) {
        virtqueue_detach_element(s->give_vq, s->batch.elem, 0);
        g_clear_pointer(&s->batch.elem, g_free);
    }
}

/* The report queue */

static void report_complete(VirtIOTide *s)
{
    VirtQueueElement *elem = g_steal_pointer(&s->report.elem);

    virtio_tide_publish(s, false);
    virtqueue_push(s->report_vq, elem, 0);
    virtio_notify(VIRTIO_DEVICE(s), s->report_vq);
    g_free(elem);
}

/* Begins with the next entry.  A bad one is left alone: nobody relies on it having been dropped. */
static void report_next(VirtIOTide *s)
{
    TideReport *report = &s->report;
    struct iovec *iov = &report->elem->in_sg[report->next++];

    if (tide_ranges_find_host(&s->ranges, iov->iov_base, iov->iov_len, &report->rest)) {
        s->pages.counters.reports++;
    } else {
        report->rest.length = 0;
        s->pages.counters.refused++;
    }
}

/* One bounded step.  Returns false if there is nothing to do. */
static bool report_step(VirtIOTide *s)
{
    TideReport *report = &s->report;
    uint64_t length = report->rest.length;

    if (!report->elem) {
        report->elem = s->report_vq ? virtqueue_pop(s->report_vq, sizeof(VirtQueueElement)) : NULL;
        report->next = 0;
        report->rest.length = 0;
        return report->elem;
    }
    if (gives_fail(s)) {
        report_complete(s);
    } else if (length) {
        if (tide_ranges_drop(&s->ranges, &report->rest) < 0) {
            virtio_tide_discard_has_failed(s);
            return true;
        }
        s->pages.counters.reported_bytes += length - report->rest.length;
    } else if (report->next < report->elem->in_num) {
        report_next(s);
    } else {
        report_complete(s);
    }
    return true;
}

void virtio_tide_report_drop(VirtIOTide *s)
{
    if (s->report.elem) {
        virtqueue_detach_element(s->report_vq, s->report.elem, 0);
        g_clear_pointer(&s->report.elem, g_free);
    }
}

/* Both queues */

/* While the device is at work it finds what comes in by itself: a guest that fills the next batch is not held up. */
static void set_notification(VirtIOTide *s, bool on)
{
    virtio_queue_set_notification(s->give_vq, on);
    if (s->report_vq) {
        virtio_queue_set_notification(s->report_vq, on);
    }
}

static bool step(VirtIOTide *s)
{
    return batch_step(s) || report_step(s);
}

void virtio_tide_finish(VirtIOTide *s)
{
    while (s->batch.elem) {
        batch_step(s);
    }
    while (s->report.elem) {
        report_step(s);
    }
}

/*
 * Whether all that is left of the batch is a fence and the answer.  They take no time, and somebody waits for them:
 * not for another round of the main loop, in which a virtual CPU may hold the BQL for as long as a slice takes.
 */
static bool answer_is_due(VirtIOTide *s)
{
    TideBatch *batch = &s->batch;
    unsigned int left = batch->count - batch->next;

    return batch->elem && !batch->group_end &&
           (!left || (left == 1 && batch->range[batch->next].kind == VIRTIO_TIDE_FENCE));
}

void virtio_tide_work(void *opaque)
{
    VirtIOTide *s = opaque;
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    int64_t end = get_clock() + TURN_NS;

    virtio_tide_update_inhibited(s);
    if (!vdev->vm_running || !(vdev->status & VIRTIO_CONFIG_S_DRIVER_OK)) {
        return;     /* set_status() starts it again */
    }
    set_notification(s, false);
    do {
        if (!step(s)) {
            /* Something may have come just before the guest saw that it has to notify. */
            set_notification(s, true);
            if (!step(s)) {
                return;
            }
            set_notification(s, false);
        }
    } while (get_clock() < end || answer_is_due(s));
    qemu_bh_schedule(s->bh);
}
