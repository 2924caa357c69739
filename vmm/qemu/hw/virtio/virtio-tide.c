/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-tide: a guest gives memory to its host and takes it back.
 *
 * This file is the device: inhibition, properties, realize.  What comes through its queues is carried out in
 * virtio-tide-queues.c, what is given is accounted for in virtio-tide-ranges.c, the shared memory is in
 * virtio-tide-pages.c, the controller's socket in virtio-tide-vmm.c, migration in virtio-tide-migration.c.
 * Everything runs under the BQL.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
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

/* How often to look whether discarding is possible again: nothing tells.  Only while it is not. */
#define INHIBITED_POLL_MS   1000
/* A host that fails to drop memory (it is locked, say) is tried again after this, then ever less often. */
#define RETRY_MIN_MS        1000
#define RETRY_MAX_MS        64000
/* Batches are large: a few of them keep both sides busy. */
#define GIVE_QUEUE_SIZE     256
#define REPORT_QUEUE_SIZE   64

/* Counters and inhibition */

void virtio_tide_publish(VirtIOTide *s, bool notify)
{
    struct tide_counters *counters = &s->pages.counters;

    /* First: who finds that nothing is given any more may migrate the VM at once. */
    virtio_tide_unblock_migration(s);
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
        virtio_tide_publish(s, true);
    }
}

/*
 * VFIO without coordination and others need all RAM to stay where it is; migration might read what is being
 * dropped, or not have brought it yet; and where the host has just failed to drop memory it would fail again, with
 * an error message each time.
 */
static bool discards_impossible(VirtIOTide *s)
{
    return s->inhibit || s->discard_failed || ram_block_discard_is_disabled() || migration_is_running() ||
           migration_in_incoming_postcopy();
}

static void look_again(VirtIOTide *s)
{
    int64_t wait_ms = s->discard_failed ? s->retry_ms : INHIBITED_POLL_MS;

    timer_mod(s->inhibited_timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + wait_ms);
}

/* Tells guest and controller of a change.  Returns whether gives and reports fail for now. */
bool virtio_tide_update_inhibited(VirtIOTide *s)
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
    if (virtio_tide_update_inhibited(s)) {
        look_again(s);
    }
}

void virtio_tide_discard_has_failed(VirtIOTide *s)
{
    s->discard_failed = true;
    s->retry_ms = MIN(MAX(2 * s->retry_ms, RETRY_MIN_MS), RETRY_MAX_MS);
    virtio_tide_update_inhibited(s);
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

uint32_t virtio_tide_generation(VirtIOTide *s)
{
    struct tide_grant grant;

    return tide_pages_grant(&s->pages, &grant) ? MAX(s->generation, grant.generation) : s->generation;
}

static void publish_target(VirtIOTide *s)
{
    s->generation = virtio_tide_generation(s);
    s->generation = s->generation == UINT32_MAX ? 1 : s->generation + 1;
    tide_pages_set_target(&s->pages, s->target, s->generation);
    trace_virtio_tide_target(s->target, s->generation);
    virtio_notify_config(VIRTIO_DEVICE(s));
}

bool virtio_tide_check_target(VirtIOTide *s, uint64_t target, Error **errp)
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
    if (!virtio_tide_check_target(s, target, errp)) {
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
        virtio_tide_update_inhibited(s);
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
        if (ok) {
            /* Of a VM that comes from elsewhere; else it is too early, and nothing happens. */
            virtio_notify_config(vdev);
        }
    }
    if (!vdev->vm_running) {
        virtio_tide_finish(s);
    } else if (ok) {
        qemu_bh_schedule(s->bh);
    }
}

static void virtio_tide_reset(VirtIODevice *vdev)
{
    VirtIOTide *s = VIRTIO_TIDE(vdev);
    struct tide_counters *counters = &s->pages.counters;

    virtio_tide_batch_drop(s);
    virtio_tide_report_drop(s);
    tide_ranges_clear(&s->ranges);
    tide_pages_reset(&s->pages);

    counters->epoch++;
    counters->flags &= ~(TIDE_COUNTERS_DRIVER_OK | TIDE_COUNTERS_FENCED);
    virtio_tide_publish(s, true);
    trace_virtio_tide_reset(counters->epoch);

    if (s->target && !held_by_controller(s)) {
        publish_target(s);      /* the guest may have overwritten it */
    }
}

static void virtio_tide_queue_reset(VirtIODevice *vdev, uint32_t queue)
{
    VirtIOTide *s = VIRTIO_TIDE(vdev);

    if (queue == VIRTIO_TIDE_VQ_GIVE) {
        virtio_tide_batch_drop(s);
    } else if (queue == VIRTIO_TIDE_VQ_REPORT) {
        virtio_tide_report_drop(s);
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
    if (s->target && !virtio_tide_check_target(s, s->target, errp)) {
        goto fail_ranges;
    }
    /* With -only-migratable nothing could ever be given. */
    if (!virtio_tide_block_migration(s, errp)) {
        goto fail_ranges;
    }
    virtio_tide_unblock_migration(s);
    if (!tide_pages_init(&s->pages, errp)) {
        goto fail_ranges;
    }
    s->pages.counters.ram_bytes = s->ranges.ram_bytes;
    s->saved.region_bytes = sizeof(s->saved.region);
    create_regions(s);

    virtio_init(vdev, VIRTIO_ID_TIDE, sizeof(struct virtio_tide_config));
    s->give_vq = virtio_add_queue(vdev, GIVE_QUEUE_SIZE, handle_output);
    if (virtio_has_feature(s->host_features, VIRTIO_TIDE_F_REPORT)) {
        s->report_vq = virtio_add_queue(vdev, REPORT_QUEUE_SIZE, handle_output);
    }
    s->bh = virtio_bh_new_guarded(dev, virtio_tide_work, s);
    s->batch.range = g_new(struct virtio_tide_range, VIRTIO_TIDE_MAX_RANGES);
    s->batch.span = g_new(TideSpan, VIRTIO_TIDE_MAX_RANGES);
    s->inhibited_timer = timer_new_ms(QEMU_CLOCK_REALTIME, inhibited_poll, s);
    s->listener = (MemoryListener) { .name = "virtio-tide", .commit = memory_map_changed };
    memory_listener_register(&s->listener, &address_space_memory);

    virtio_tide_call_handler(s, true);
    virtio_tide_update_inhibited(s);
    virtio_tide_publish(s, false);
    tide_vmm_start(&s->vmm, &s->pages);
    return;

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
    virtio_tide_batch_drop(s);
    virtio_tide_report_drop(s);
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
    dc->vmsd = &vmstate_virtio_tide;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    vdc->realize = virtio_tide_realize;
    vdc->unrealize = virtio_tide_unrealize;
    vdc->get_config = virtio_tide_get_config;
    vdc->get_features = virtio_tide_get_features;
    vdc->set_status = virtio_tide_set_status;
    vdc->reset = virtio_tide_reset;
    vdc->queue_reset = virtio_tide_queue_reset;
    vdc->vmsd = &vmstate_virtio_tide_device;
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
