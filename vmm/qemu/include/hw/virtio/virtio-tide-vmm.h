/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device's end of the vmm socket: says hello on every connect and hears whether the VM is managed.
 */
#ifndef QEMU_VIRTIO_TIDE_VMM_H
#define QEMU_VIRTIO_TIDE_VMM_H

#include "chardev/char-fe.h"
#include "hw/virtio/virtio-tide-pages.h"

typedef struct TideVmm {
    CharBackend chr;                /* a property: may have no chardev behind it */
    TidePages *pages;
    bool managed;                   /* a controller is connected and has answered that it manages this VM */
    struct tide_vmm_answer answer;
    size_t answered;                /* bytes of it that have come */
    char *refusal;                  /* what the last refusal said, so that it is not repeated on every reconnect */
} TideVmm;

void tide_vmm_start(TideVmm *vmm, TidePages *pages);
void tide_vmm_stop(TideVmm *vmm);

#endif
