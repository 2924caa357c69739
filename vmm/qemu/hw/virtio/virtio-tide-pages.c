/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-tide: the memory and the eventfds that the device shares with its controller.
 *
 * Both memfds are sealed, so that the controller can map them without fear of SIGBUS.  The device writes the
 * counters and reads the grant; in the state region it writes only what has to be there without a controller.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/memfd.h"
#include "qapi/error.h"
#include "hw/virtio/virtio-tide-pages.h"
#include "standard-headers/linux/virtio_tide.h"

#define SEALS   (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* A record that is never found at rest is as good as locked: its writer died in the middle of it. */
#define READ_TRIES  1000

QEMU_BUILD_BUG_ON(sizeof(struct tide_counters) > TIDE_GRANT_OFFSET);
QEMU_BUILD_BUG_ON(TIDE_GRANT_OFFSET + sizeof(struct tide_grant) > TIDE_COUNTERS_SIZE);

static void *create_shared(const char *name, size_t size, int *ret_fd, Error **errp)
{
    int fd = qemu_memfd_create(name, size, false, 0, SEALS, errp);
    void *ptr;

    if (fd < 0) {
        return NULL;
    }
    ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ptr == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map %s", name);
        close(fd);
        return NULL;
    }
    *ret_fd = fd;
    return ptr;
}

bool tide_pages_init(TidePages *pages, Error **errp)
{
    EventNotifier *notifier[] = { &pages->doorbell, &pages->call, &pages->notify };
    unsigned int i;
    int ret;

    pages->state = create_shared("virtio-tide-state", VIRTIO_TIDE_STATE_SIZE, &pages->state_fd, errp);
    if (!pages->state) {
        return false;
    }
    pages->shared = create_shared("virtio-tide-counters", TIDE_COUNTERS_SIZE, &pages->counters_fd, errp);
    if (!pages->shared) {
        goto fail_state;
    }
    for (i = 0; i < ARRAY_SIZE(notifier); i++) {
        ret = event_notifier_init(notifier[i], false);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "cannot create an eventfd");
            goto fail_notifiers;
        }
    }
    return true;

fail_notifiers:
    while (i) {
        event_notifier_cleanup(notifier[--i]);
    }
    munmap(pages->shared, TIDE_COUNTERS_SIZE);
    close(pages->counters_fd);
fail_state:
    munmap(pages->state, VIRTIO_TIDE_STATE_SIZE);
    close(pages->state_fd);
    pages->state = NULL;
    return false;
}

void tide_pages_cleanup(TidePages *pages)
{
    if (!pages->state) {
        return;
    }
    event_notifier_cleanup(&pages->doorbell);
    event_notifier_cleanup(&pages->call);
    event_notifier_cleanup(&pages->notify);
    munmap(pages->shared, TIDE_COUNTERS_SIZE);
    close(pages->counters_fd);
    munmap(pages->state, VIRTIO_TIDE_STATE_SIZE);
    close(pages->state_fd);
    pages->state = NULL;
}

static void write_header(TidePages *pages)
{
    struct virtio_tide_header header = {
        .magic = cpu_to_le32(VIRTIO_TIDE_MAGIC),
        .version = cpu_to_le32(VIRTIO_TIDE_VERSION),
        .size = cpu_to_le32(VIRTIO_TIDE_STATE_SIZE),
    };

    memset(pages->state, 0, VIRTIO_TIDE_STATE_OFFSET);
    memcpy(pages->state + VIRTIO_TIDE_HEADER_OFFSET, &header, sizeof(header));
}

void tide_pages_reset(TidePages *pages)
{
    write_header(pages);
    memset(pages->state + VIRTIO_TIDE_STATS_OFFSET, 0, VIRTIO_TIDE_STATE_SIZE - VIRTIO_TIDE_STATS_OFFSET);
}

/*
 * The write side of a sequence counter: @record goes to @to, with the counter in its first word.  Pairs with the
 * readers' two reads of the counter and the barriers between them, in controller, driver and tide_pages_grant().
 */
static void write_record(void *to, const void *record, size_t size, uint32_t seq)
{
    uint32_t *counter = to;

    qatomic_set(counter, cpu_to_le32(seq | 1));
    smp_wmb();
    memcpy(to + sizeof(seq), record + sizeof(seq), size - sizeof(seq));
    smp_wmb();
    qatomic_set(counter, cpu_to_le32((seq | 1) + 1));
}

/* The read side: false if the record was being written time and again.  @to has a copy then, too. */
static bool read_record(void *to, const void *record, size_t size)
{
    const uint32_t *counter = record;
    uint32_t seq;
    int i;

    for (i = 0; i < READ_TRIES; i++) {
        /* Pairs with the writer's writes of the counter around those of the record. */
        seq = qatomic_read(counter);
        smp_rmb();
        memcpy(to, record, size);
        smp_rmb();
        if (!(le32_to_cpu(seq) & 1) && seq == qatomic_read(counter)) {
            return true;
        }
    }
    return false;
}

/* The controller goes on writing its record meanwhile. */
void tide_pages_save(TidePages *pages, void *to)
{
    memcpy(to, pages->state, VIRTIO_TIDE_HINTS_OFFSET);
    read_record(to + VIRTIO_TIDE_STATE_OFFSET, pages->state + VIRTIO_TIDE_STATE_OFFSET,
                sizeof(struct virtio_tide_state));
}

void tide_pages_load(TidePages *pages, const void *from)
{
    struct virtio_tide_state *state = pages->state + VIRTIO_TIDE_STATE_OFFSET;

    write_header(pages);
    memcpy(pages->state + VIRTIO_TIDE_STATS_OFFSET, from + VIRTIO_TIDE_STATS_OFFSET,
           VIRTIO_TIDE_HINTS_OFFSET - VIRTIO_TIDE_STATS_OFFSET);
    write_record(state, from + VIRTIO_TIDE_STATE_OFFSET, sizeof(*state), le32_to_cpu(qatomic_read(&state->seq)));
}

void tide_pages_publish(TidePages *pages, bool notify)
{
    struct tide_counters *now = &pages->counters;
    struct tide_counters record;

    now->notify += notify;
    record = (struct tide_counters) {
        .flags = cpu_to_le32(now->flags),
        .epoch = cpu_to_le64(now->epoch),
        .ram_bytes = cpu_to_le64(now->ram_bytes),
        .given_bytes = cpu_to_le64(now->given_bytes),
        .given_huge_bytes = cpu_to_le64(now->given_huge_bytes),
        .fence_generation = cpu_to_le32(now->fence_generation),
        .notify = cpu_to_le32(now->notify),
        .fence_given_bytes = cpu_to_le64(now->fence_given_bytes),
        .gives = cpu_to_le64(now->gives),
        .takes = cpu_to_le64(now->takes),
        .gave_bytes = cpu_to_le64(now->gave_bytes),
        .took_bytes = cpu_to_le64(now->took_bytes),
        .discard_ns = cpu_to_le64(now->discard_ns),
        .reports = cpu_to_le64(now->reports),
        .reported_bytes = cpu_to_le64(now->reported_bytes),
        .refused = cpu_to_le64(now->refused),
    };
    write_record(pages->shared, &record, sizeof(record), now->seq);
    now->seq += 2;
    if (notify) {
        event_notifier_set(&pages->notify);
    }
}

void tide_pages_set_target(TidePages *pages, uint64_t target, uint32_t generation)
{
    struct virtio_tide_state *state = pages->state + VIRTIO_TIDE_STATE_OFFSET;
    struct virtio_tide_state record = {
        .generation = cpu_to_le32(generation),
        .target = cpu_to_le64(target),
        .ceiling = cpu_to_le64(target),
        .refresh = qatomic_read(&state->refresh),
    };

    /* The guest may have put anything into the counter; going on from there is as good as any other start. */
    write_record(state, &record, sizeof(record), le32_to_cpu(qatomic_read(&state->seq)));
}

bool tide_pages_grant(TidePages *pages, struct tide_grant *grant)
{
    if (!read_record(grant, pages->shared + TIDE_GRANT_OFFSET, sizeof(*grant))) {
        return false;
    }
    grant->flags = le32_to_cpu(grant->flags);
    grant->generation = le32_to_cpu(grant->generation);
    grant->epoch = le64_to_cpu(grant->epoch);
    grant->ceiling = le64_to_cpu(grant->ceiling);
    grant->charged = le64_to_cpu(grant->charged);
    grant->target = le64_to_cpu(grant->target);
    grant->floor = le64_to_cpu(grant->floor);
    return true;
}
