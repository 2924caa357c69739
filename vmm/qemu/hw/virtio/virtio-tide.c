/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-tide: a guest gives memory to its host and takes it back.
 *
 * This file is the device: queues, batches, inhibition, properties.  What is given is accounted for in
 * virtio-tide-ranges.c, the shared memory is in virtio-tide-pages.c, the controller's socket in virtio-tide-vmm.c.
 *
 * All work is done in one bottom half that stops after about a millisecond and comes again, so that neither a
 * large batch nor a guest that floods its queues keeps the main loop from the VM's other devices.  Everything
 * runs under the BQL.  What the guest wrote is read once.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "exec/address-spaces.h"
#include "hw/boards.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "hw/virtio/virtio-tide.h"
#include "migration/blocker.h"
#include "migration/misc.h"
#include "trace.h"

/*
 * How long one turn may take before the main loop comes round.  A turn ends with the step that exceeds it, or with
 * the answer to what that step has finished; no step is much longer.
 */
#define TURN_NS             (1 * SCALE_MS)
/* How often to look whether discarding is possible again: nothing tells.  Only while it is not. */
#define INHIBITED_POLL_MS   1000
/* A host that fails to drop memory (it is locked, say) is tried again after this, then ever less often. */
#define RETRY_MIN_MS        1000
#define RETRY_MAX_MS        64000
/* Batches are large: a few of them keep both sides busy. */
#define GIVE_QUEUE_SIZE     256
#define REPORT_QUEUE_SIZE   64

/* Counters and inhibition */

static void publish(VirtIOTide *s, bool notify)
{
    struct tide_counters *counters = &s->pages.counters;

    counters->given_bytes = s->ranges.given_bytes;
    counters->given_huge_bytes = s->ranges.given_huge_bytes;
    counters->discard_ns = s->ranges.discard_ns;
    tide_pages_publish(&s->pages, notify);
}

static void set_flag(VirtIOTide *s, uint32_t flag, bool on)
{
    uint32_t flags = on ? s->pages.counters.flags | flag : s->pages.counters.flags & ~flag;

    if (flags != s->pages.counters.flags) {
        s->pages.counters.flags = flags;
        publish(s, true);
    }
}

/*
 * VFIO without coordination and others need all RAM to stay where it is; migration might read what is being
 * dropped; and where the host has just failed to drop memory it would fail again, with an error message each
 * time.
 */
static bool discards_impossible(VirtIOTide *s)
{
    return s->inhibit || s->discard_failed || ram_block_discard_is_disabled() || migration_is_running();
}

static void look_again(VirtIOTide *s)
{
    int64_t wait_ms = s->discard_failed ? s->retry_ms : INHIBITED_POLL_MS;

    timer_mod(s->inhibited_timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + wait_ms);
}

/* Tells guest and controller of a change.  Returns whether gives and reports fail for now. */
static bool update_inhibited(VirtIOTide *s)
{
    bool inhibited = discards_impossible(s);

    if (inhibited != s->inhibited) {
        s->inhibited = inhibited;
        trace_virtio_tide_inhibited(inhibited);
        set_flag(s, TIDE_COUNTERS_INHIBITED, inhibited);
        virtio_notify_config(VIRTIO_DEVICE(s));
        if (inhibited) {
            look_again(s);
        } else {
            timer_del(s->inhibited_timer);
        }
    }
    return inhibited;
}

static void inhibited_poll(void *opaque)
{
    VirtIOTide *s = opaque;

    s->discard_failed = false;
    if (update_inhibited(s)) {
        look_again(s);
    }
}

static void discard_has_failed(VirtIOTide *s)
{
    s->discard_failed = true;
    s->retry_ms = MIN(MAX(2 * s->retry_ms, RETRY_MIN_MS), RETRY_MAX_MS);
    update_inhibited(s);
}

/*
 * Plugging a VFIO device changes the memory map some time after discards were disabled.  No interrupt from in
 * here: raising one may write to memory.
 */
static void memory_map_changed(MemoryListener *listener)
{
    VirtIOTide *s = container_of(listener, VirtIOTide, listener);

    if (discards_impossible(s) != s->inhibited) {
        qemu_bh_schedule(s->bh);
    }
}

/* The give queue */

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
    publish(s, false);
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

    if (update_inhibited(s)) {
        give_undo(s, VIRTIO_TIDE_INHIBITED);
        return;
    }
    if (tide_ranges_give(&s->ranges, &batch->rest, &batch->bytes) < 0) {
        give_undo(s, VIRTIO_TIDE_FAILED);
        discard_has_failed(s);
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
    publish(s, true);
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

static void batch_drop(VirtIOTide *s)
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

    publish(s, false);
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
    if (update_inhibited(s)) {
        report_complete(s);
    } else if (length) {
        if (tide_ranges_drop(&s->ranges, &report->rest) < 0) {
            discard_has_failed(s);
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

static void report_drop(VirtIOTide *s)
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

static void work(void *opaque)
{
    VirtIOTide *s = opaque;
    VirtIODevice *vdev = VIRTIO_DEVICE(s);
    int64_t end = get_clock() + TURN_NS;

    update_inhibited(s);
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

static void handle_output(VirtIODevice *vdev, VirtQueue *vq)
{
    qemu_bh_schedule(VIRTIO_TIDE(vdev)->bh);
}

/* The interrupt */

static void call(EventNotifier *notifier)
{
    VirtIOTide *s = container_of(notifier, VirtIOTide, pages.call);

    if (event_notifier_test_and_clear(notifier)) {
        trace_virtio_tide_call();
        virtio_notify_config(VIRTIO_DEVICE(s));
    }
}

void virtio_tide_call_handler(VirtIOTide *tide, bool on)
{
    event_notifier_set_handler(&tide->pages.call, on ? call : NULL);
}

static void wire_call(VirtIOTide *s, bool wire)
{
    if (s->wire_call) {
        s->wire_call(s, wire);
    }
}

/* The target, where there is no controller */

/* A VM that a controller has granted something stays the controller's, also while that is away. */
static bool held_by_controller(VirtIOTide *s)
{
    struct tide_grant grant;

    return s->vmm.managed || !tide_pages_grant(&s->pages, &grant) ||
           (grant.flags & (TIDE_GRANT_VALID | TIDE_GRANT_RELEASED)) == TIDE_GRANT_VALID;
}

static void publish_target(VirtIOTide *s)
{
    struct tide_grant grant;

    if (tide_pages_grant(&s->pages, &grant)) {
        s->generation = MAX(s->generation, grant.generation);
    }
    s->generation = s->generation == UINT32_MAX ? 1 : s->generation + 1;
    tide_pages_set_target(&s->pages, s->target, s->generation);
    trace_virtio_tide_target(s->target, s->generation);
    virtio_notify_config(VIRTIO_DEVICE(s));
}

static bool check_target(VirtIOTide *s, uint64_t target, Error **errp)
{
    if (target < VIRTIO_TIDE_PAGE_SIZE || target > s->ranges.ram_bytes) {
        error_setg(errp, "target has to be between %u bytes and the VM's RAM of %" PRIu64 " bytes",
                   VIRTIO_TIDE_PAGE_SIZE, s->ranges.ram_bytes);
        return false;
    }
    return true;
}

static void set_target(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    VirtIOTide *s = VIRTIO_TIDE(obj);
    uint64_t target;

    if (!visit_type_size(v, name, &target, errp)) {
        return;
    }
    if (!DEVICE(obj)->realized) {
        s->target = target;     /* checked when the VM's RAM is known */
        return;
    }
    if (!check_target(s, target, errp)) {
        return;
    }
    if (held_by_controller(s)) {
        error_setg(errp, "this VM is managed by a controller: set its target there, or release it there first");
        return;
    }
    s->target = QEMU_ALIGN_DOWN(target, VIRTIO_TIDE_PAGE_SIZE);
    publish_target(s);
}

/* What the host asks of the guest now, whoever has said it. */
static void get_target(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    VirtIOTide *s = VIRTIO_TIDE(obj);
    struct tide_grant grant;
    uint64_t target = s->target;

    if (DEVICE(obj)->realized && held_by_controller(s) && tide_pages_grant(&s->pages, &grant)) {
        target = grant.target;
    }
    visit_type_size(v, name, &target, errp);
}

/* Other properties */

static void get_given(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    visit_type_size(v, name, &VIRTIO_TIDE(obj)->ranges.given_bytes, errp);
}

static void get_given_huge(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    visit_type_size(v, name, &VIRTIO_TIDE(obj)->ranges.given_huge_bytes, errp);
}

static void get_usable(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    VirtIOTide *s = VIRTIO_TIDE(obj);
    uint64_t usable = s->ranges.ram_bytes - s->ranges.given_bytes;

    visit_type_size(v, name, &usable, errp);
}

static void get_fence_generation(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    struct tide_counters *counters = &VIRTIO_TIDE(obj)->pages.counters;
    uint32_t generation = counters->flags & TIDE_COUNTERS_FENCED ? counters->fence_generation : 0;

    visit_type_uint32(v, name, &generation, errp);
}

static bool get_managed(Object *obj, Error **errp)
{
    return VIRTIO_TIDE(obj)->vmm.managed;
}

static bool get_inhibit(Object *obj, Error **errp)
{
    return VIRTIO_TIDE(obj)->inhibit;
}

static void set_inhibit(Object *obj, bool value, Error **errp)
{
    VirtIOTide *s = VIRTIO_TIDE(obj);

    s->inhibit = value;
    if (DEVICE(obj)->realized) {
        update_inhibited(s);
    }
}

static void get_stats(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    VirtIOTide *s = VIRTIO_TIDE(obj);
    const struct tide_counters *counters = &s->pages.counters;
    const struct {
        const char *name;
        uint64_t value;
    } stat[] = {
        { "epoch", counters->epoch },
        { "driver-ok", !!(counters->flags & TIDE_COUNTERS_DRIVER_OK) },
        { "inhibited", s->inhibited },
        { "fenced", !!(counters->flags & TIDE_COUNTERS_FENCED) },
        { "fence-generation", counters->fence_generation },
        { "fence-given", counters->fence_given_bytes },
        { "generation", s->generation },
        { "ram", s->ranges.ram_bytes },
        { "given", s->ranges.given_bytes },
        { "given-huge", s->ranges.given_huge_bytes },
        { "gives", counters->gives },
        { "takes", counters->takes },
        { "gave-bytes", counters->gave_bytes },
        { "took-bytes", counters->took_bytes },
        { "discard-ns", s->ranges.discard_ns },
        { "reports", counters->reports },
        { "reported-bytes", counters->reported_bytes },
        { "refused", counters->refused },
        { "notify", counters->notify },
    };
    unsigned int i;

    if (!visit_start_struct(v, name, NULL, 0, errp)) {
        return;
    }
    for (i = 0; i < ARRAY_SIZE(stat); i++) {
        uint64_t value = stat[i].value;

        if (!visit_type_uint64(v, stat[i].name, &value, errp)) {
            goto out;
        }
    }
    visit_check_struct(v, errp);
out:
    visit_end_struct(v, NULL);
}

/* The virtio device */

static void virtio_tide_get_config(VirtIODevice *vdev, uint8_t *data)
{
    VirtIOTide *s = VIRTIO_TIDE(vdev);
    struct virtio_tide_config config = {
        .ram_bytes = cpu_to_le64(s->ranges.ram_bytes),
        .flags = cpu_to_le32(s->inhibited ? VIRTIO_TIDE_CONFIG_INHIBITED : 0),
    };

    memcpy(data, &config, sizeof(config));
}

static uint64_t virtio_tide_get_features(VirtIODevice *vdev, uint64_t features, Error **errp)
{
    return features | VIRTIO_TIDE(vdev)->host_features;
}

/* Also called when the VM is stopped or goes on. */
static void virtio_tide_set_status(VirtIODevice *vdev, uint8_t status)
{
    VirtIOTide *s = VIRTIO_TIDE(vdev);
    bool ok = status & VIRTIO_CONFIG_S_DRIVER_OK;

    if (ok != (bool)(s->pages.counters.flags & TIDE_COUNTERS_DRIVER_OK)) {
        set_flag(s, TIDE_COUNTERS_DRIVER_OK, ok);
        wire_call(s, ok);
    }
    if (ok) {
        qemu_bh_schedule(s->bh);
    }
}

static void virtio_tide_reset(VirtIODevice *vdev)
{
    VirtIOTide *s = VIRTIO_TIDE(vdev);
    struct tide_counters *counters = &s->pages.counters;

    batch_drop(s);
    report_drop(s);
    tide_ranges_clear(&s->ranges);
    tide_pages_reset(&s->pages);

    counters->epoch++;
    counters->flags &= ~(TIDE_COUNTERS_DRIVER_OK | TIDE_COUNTERS_FENCED);
    publish(s, true);
    trace_virtio_tide_reset(counters->epoch);

    if (s->target && !held_by_controller(s)) {
        publish_target(s);      /* the guest may have overwritten it */
    }
}

static void virtio_tide_queue_reset(VirtIODevice *vdev, uint32_t queue)
{
    VirtIOTide *s = VIRTIO_TIDE(vdev);

    if (queue == VIRTIO_TIDE_VQ_GIVE) {
        batch_drop(s);
    } else if (queue == VIRTIO_TIDE_VQ_REPORT) {
        report_drop(s);
    }
}

/* An eventfd does the work; without one, for writes of another width, there is nothing to do. */
static uint64_t doorbell_read(void *opaque, hwaddr addr, unsigned int size)
{
    return 0;
}

static void doorbell_write(void *opaque, hwaddr addr, uint64_t value, unsigned int size)
{
}

static const MemoryRegionOps doorbell_ops = {
    .read = doorbell_read,
    .write = doorbell_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
};

static void create_regions(VirtIOTide *s)
{
    /* By pointer and not by descriptor, so that vhost-user back ends of other devices do not get it. */
    memory_region_init_ram_ptr(&s->state_mr, OBJECT(s), "virtio-tide-state", VIRTIO_TIDE_STATE_SIZE,
                               s->pages.state);
    memory_region_init_io(&s->doorbell_mr, OBJECT(s), &doorbell_ops, s, "virtio-tide-doorbell",
                          VIRTIO_TIDE_PAGE_SIZE);
    memory_region_add_eventfd(&s->doorbell_mr, 0, 4, false, 0, &s->pages.doorbell);
}

static void virtio_tide_realize(DeviceState *dev, Error **errp)
{
    VirtIOTide *s = VIRTIO_TIDE(dev);
    VirtIODevice *vdev = VIRTIO_DEVICE(dev);

    if (object_resolve_path_type("", TYPE_VIRTIO_TIDE, NULL) == NULL) {
        error_setg(errp, "a VM can have one virtio-tide device only");
        return;
    }
    if (!tide_ranges_init(&s->ranges, current_machine->ram, errp)) {
        return;
    }
    if (s->target && !check_target(s, s->target, errp)) {
        goto fail_ranges;
    }
    error_setg(&s->migration_blocker, "virtio-tide cannot be migrated or saved yet: unplug the device first");
    if (migrate_add_blocker(&s->migration_blocker, errp) < 0) {
        goto fail_ranges;
    }
    if (!tide_pages_init(&s->pages, errp)) {
        goto fail_blocker;
    }
    s->pages.counters.ram_bytes = s->ranges.ram_bytes;
    create_regions(s);

    virtio_init(vdev, VIRTIO_ID_TIDE, sizeof(struct virtio_tide_config));
    s->give_vq = virtio_add_queue(vdev, GIVE_QUEUE_SIZE, handle_output);
    if (virtio_has_feature(s->host_features, VIRTIO_TIDE_F_REPORT)) {
        s->report_vq = virtio_add_queue(vdev, REPORT_QUEUE_SIZE, handle_output);
    }
    s->bh = virtio_bh_new_guarded(dev, work, s);
    s->batch.range = g_new(struct virtio_tide_range, VIRTIO_TIDE_MAX_RANGES);
    s->batch.span = g_new(TideSpan, VIRTIO_TIDE_MAX_RANGES);
    s->inhibited_timer = timer_new_ms(QEMU_CLOCK_REALTIME, inhibited_poll, s);
    s->listener = (MemoryListener) { .name = "virtio-tide", .commit = memory_map_changed };
    memory_listener_register(&s->listener, &address_space_memory);

    virtio_tide_call_handler(s, true);
    update_inhibited(s);
    publish(s, false);
    tide_vmm_start(&s->vmm, &s->pages);
    return;

fail_blocker:
    migrate_del_blocker(&s->migration_blocker);
fail_ranges:
    tide_ranges_cleanup(&s->ranges);
}

/* The regions stay mapped until the last user of their memory is gone: see virtio_tide_finalize(). */
static void virtio_tide_unrealize(DeviceState *dev)
{
    VirtIOTide *s = VIRTIO_TIDE(dev);
    VirtIODevice *vdev = VIRTIO_DEVICE(dev);

    tide_vmm_stop(&s->vmm);
    wire_call(s, false);
    virtio_tide_call_handler(s, false);
    memory_listener_unregister(&s->listener);
    memory_region_del_eventfd(&s->doorbell_mr, 0, 4, false, 0, &s->pages.doorbell);
    timer_free(s->inhibited_timer);
    qemu_bh_delete(s->bh);
    batch_drop(s);
    report_drop(s);
    g_free(s->batch.range);
    g_free(s->batch.span);
    if (s->report_vq) {
        virtio_delete_queue(s->report_vq);
    }
    virtio_delete_queue(s->give_vq);
    virtio_cleanup(vdev);
    migrate_del_blocker(&s->migration_blocker);
    tide_ranges_cleanup(&s->ranges);
}

static void virtio_tide_init(Object *obj)
{
    object_property_add(obj, "target", "size", get_target, set_target, NULL, NULL);
    object_property_set_description(obj, "target", "usable memory that the guest is asked to come to, and its "
                                    "ceiling; only without a controller");
    object_property_add(obj, "given", "size", get_given, NULL, NULL, NULL);
    object_property_add(obj, "given-huge", "size", get_given_huge, NULL, NULL, NULL);
    object_property_add(obj, "usable", "size", get_usable, NULL, NULL, NULL);
    object_property_add(obj, "fence-generation", "uint32", get_fence_generation, NULL, NULL, NULL);
    object_property_add(obj, "stats", "struct", get_stats, NULL, NULL, NULL);
    object_property_add_bool(obj, "managed", get_managed, NULL);
    object_property_add_bool(obj, "inhibit", get_inhibit, set_inhibit);
    object_property_set_description(obj, "inhibit", "let gives and reports fail for now");
}

static void virtio_tide_finalize(Object *obj)
{
    tide_pages_cleanup(&VIRTIO_TIDE(obj)->pages);
}

static const Property virtio_tide_properties[] = {
    DEFINE_PROP_CHR("chardev", VirtIOTide, vmm.chr),
    DEFINE_PROP_BIT64("report", VirtIOTide, host_features, VIRTIO_TIDE_F_REPORT, true),
};

static void virtio_tide_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    VirtioDeviceClass *vdc = VIRTIO_DEVICE_CLASS(klass);

    device_class_set_props(dc, virtio_tide_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    vdc->realize = virtio_tide_realize;
    vdc->unrealize = virtio_tide_unrealize;
    vdc->get_config = virtio_tide_get_config;
    vdc->get_features = virtio_tide_get_features;
    vdc->set_status = virtio_tide_set_status;
    vdc->reset = virtio_tide_reset;
    vdc->queue_reset = virtio_tide_queue_reset;
}

static const TypeInfo virtio_tide_info = {
    .name = TYPE_VIRTIO_TIDE,
    .parent = TYPE_VIRTIO_DEVICE,
    .instance_size = sizeof(VirtIOTide),
    .instance_init = virtio_tide_init,
    .instance_finalize = virtio_tide_finalize,
    .class_init = virtio_tide_class_init,
};

static void virtio_tide_register_types(void)
{
    type_register_static(&virtio_tide_info);
}

type_init(virtio_tide_register_types)
