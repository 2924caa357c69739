/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-tide: the vmm socket.
 *
 * The device introduces its VM and hands over descriptors; the controller answers once.  After that the socket
 * only tells each side that the other one is there.  When it closes nothing changes: the VM keeps its memory
 * and its ceiling, and the chardev connects again.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/uuid.h"
#include "system/system.h"
#include "hw/virtio/virtio-tide-vmm.h"
#include "standard-headers/linux/virtio_tide.h"
#include "trace.h"

static void say_hello(TideVmm *vmm)
{
    TidePages *pages = vmm->pages;
    int fds[TIDE_VMM_FDS] = {
        [TIDE_VMM_FD_STATE] = pages->state_fd,
        [TIDE_VMM_FD_COUNTERS] = pages->counters_fd,
        [TIDE_VMM_FD_DOORBELL] = event_notifier_get_fd(&pages->doorbell),
        [TIDE_VMM_FD_CALL] = event_notifier_get_fd(&pages->call),
        [TIDE_VMM_FD_NOTIFY] = event_notifier_get_fd(&pages->notify),
    };
    struct tide_vmm_hello hello = {
        .magic = cpu_to_le32(TIDE_VMM_MAGIC),
        .version = cpu_to_le32(TIDE_VMM_VERSION),
        .size = cpu_to_le32(sizeof(hello)),
        .fds = cpu_to_le32(TIDE_VMM_FDS),
        .ram_bytes = cpu_to_le64(pages->counters.ram_bytes),
        .state_bytes = cpu_to_le64(VIRTIO_TIDE_STATE_SIZE),
        .counters_bytes = cpu_to_le64(TIDE_COUNTERS_SIZE),
    };

    if (qemu_uuid_set) {
        memcpy(hello.uuid, qemu_uuid.data, sizeof(hello.uuid));
    }
    pstrcpy(hello.name, sizeof(hello.name), qemu_get_vm_name() ?: "");

    if (qemu_chr_fe_set_msgfds(&vmm->chr, fds, TIDE_VMM_FDS) < 0) {
        warn_report_once("virtio-tide: chardev cannot pass file descriptors: it has to be a Unix socket");
        return;
    }
    /* A new connection has room for this; if not, the other end is no controller. */
    if (qemu_chr_fe_write(&vmm->chr, (uint8_t *)&hello, sizeof(hello)) != sizeof(hello)) {
        warn_report_once("virtio-tide: cannot write to the controller's socket");
        qemu_chr_fe_disconnect(&vmm->chr);
        return;
    }
    trace_virtio_tide_hello(hello.name);
}

static void take_answer(TideVmm *vmm)
{
    struct tide_vmm_answer *answer = &vmm->answer;
    uint32_t status = le32_to_cpu(answer->status);

    if (le32_to_cpu(answer->magic) != TIDE_VMM_MAGIC) {
        warn_report_once("virtio-tide: what answered on the chardev is no controller");
        qemu_chr_fe_disconnect(&vmm->chr);
        return;
    }
    trace_virtio_tide_answer(status);
    answer->text[sizeof(answer->text) - 1] = '\0';
    if (!status) {
        vmm->managed = true;
        g_clear_pointer(&vmm->refusal, g_free);
    } else if (g_strcmp0(vmm->refusal, answer->text)) {
        warn_report("virtio-tide: the controller does not manage this VM: %s (%s)",
                    answer->text, strerror(status));
        g_free(vmm->refusal);
        vmm->refusal = g_strdup(answer->text);
    }
}

static int chr_can_read(void *opaque)
{
    return sizeof(struct tide_vmm_answer);
}

static void chr_read(void *opaque, const uint8_t *buf, int size)
{
    TideVmm *vmm = opaque;
    size_t part = MIN(size, sizeof(vmm->answer) - vmm->answered);

    if (!part) {
        return;     /* nothing is to be said after the answer */
    }
    memcpy((uint8_t *)&vmm->answer + vmm->answered, buf, part);
    vmm->answered += part;
    if (vmm->answered == sizeof(vmm->answer)) {
        take_answer(vmm);
    }
}

static void chr_event(void *opaque, QEMUChrEvent event)
{
    TideVmm *vmm = opaque;

    switch (event) {
    case CHR_EVENT_OPENED:
        vmm->managed = false;
        vmm->answered = 0;
        say_hello(vmm);
        break;
    case CHR_EVENT_CLOSED:
        trace_virtio_tide_closed(vmm->managed);
        vmm->managed = false;
        break;
    default:
        break;
    }
}

void tide_vmm_start(TideVmm *vmm, TidePages *pages)
{
    vmm->pages = pages;
    if (qemu_chr_fe_backend_connected(&vmm->chr)) {
        qemu_chr_fe_set_handlers(&vmm->chr, chr_can_read, chr_read, chr_event, NULL, vmm, NULL, true);
    }
}

void tide_vmm_stop(TideVmm *vmm)
{
    qemu_chr_fe_deinit(&vmm->chr, false);
    vmm->managed = false;
    g_clear_pointer(&vmm->refusal, g_free);
}
