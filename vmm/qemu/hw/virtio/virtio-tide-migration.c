/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-tide: migrating and saving its VM.
 *
 * What is given is not migrated: a VM that has given something stays where it is until all of it is back.  Then the
 * device is its queues, which are virtio's, and the state region, which goes along as it is.  The controller on the
 * other side is another one, and nothing of what this one has granted holds there.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "system/system.h"
#include "hw/virtio/virtio-tide.h"
#include "migration/blocker.h"
#include "migration/vmstate.h"

bool virtio_tide_block_migration(VirtIOTide *s, Error **errp)
{
    if (s->migration_blocker) {
        return true;
    }
    error_setg(&s->migration_blocker, "the guest has given memory to the host through virtio-tide: let it have all of "
               "it back first, with \"memtide vm release %s\"", qemu_get_vm_name() ?: "NAME");
    return !migrate_add_blocker(&s->migration_blocker, errp);
}

void virtio_tide_unblock_migration(VirtIOTide *s)
{
    if (!virtio_tide_has_given(s)) {
        migrate_del_blocker(&s->migration_blocker);
    }
}

static int virtio_tide_pre_save(void *opaque)
{
    VirtIOTide *s = opaque;

    s->saved.generation = virtio_tide_generation(s);
    tide_pages_save(&s->pages, s->saved.region);
    return 0;
}

/*
 * For a controller it is as after a reset, and the driver is there when the VM runs: until then an interrupt would be
 * lost.  The guest knows generations up to the saved one, and would take another record of the same for an old one.
 */
static int virtio_tide_post_load(void *opaque, int version_id)
{
    VirtIOTide *s = opaque;
    struct tide_counters *counters = &s->pages.counters;
    Error *err = NULL;

    if (s->target && !virtio_tide_check_target(s, s->target, &err)) {
        error_report_err(err);
        return -EINVAL;
    }
    tide_pages_load(&s->pages, s->saved.region);
    s->generation = s->saved.generation;
    counters->fence_generation = s->saved.generation;
    counters->flags &= ~(TIDE_COUNTERS_DRIVER_OK | TIDE_COUNTERS_FENCED);
    counters->epoch++;
    virtio_tide_publish(s, true);
    return 0;
}

const VMStateDescription vmstate_virtio_tide_device = {
    .name = "virtio-tide-device",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = virtio_tide_pre_save,
    .post_load = virtio_tide_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64_EQUAL(ranges.ram_bytes, VirtIOTide, "the VM's RAM"),
        VMSTATE_UINT64(target, VirtIOTide),
        VMSTATE_UINT32(saved.generation, VirtIOTide),
        VMSTATE_UINT32_EQUAL(saved.region_bytes, VirtIOTide, "the part of the state region that is saved"),
        VMSTATE_BUFFER(saved.region, VirtIOTide),
        VMSTATE_END_OF_LIST()
    },
};

const VMStateDescription vmstate_virtio_tide = {
    .name = "virtio-tide",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_VIRTIO_DEVICE,
        VMSTATE_END_OF_LIST()
    },
};
