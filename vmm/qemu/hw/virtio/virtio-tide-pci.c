/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-tide-pci: virtio-tide on PCI.
 *
 * The shared memory regions are in BAR 4.  Under KVM with MSI-X the controller's eventfd is made an irqfd of the
 * configuration vector, so that it reaches the guest without QEMU's main loop.  It is one only while the guest has
 * that vector unmasked; at all other times the main loop waits for the very same eventfd, and raises the interrupt
 * or marks it pending.  So the eventfd stays one and the same, and no call is lost.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "hw/pci/msix.h"
#include "hw/qdev-properties.h"
#include "hw/virtio/virtio-pci.h"
#include "hw/virtio/virtio-tide.h"
#include "system/kvm.h"
#include "trace.h"

#define TIDE_BAR        4
/* The next power of two that has room for both. */
#define TIDE_BAR_SIZE   (2 * VIRTIO_TIDE_STATE_SIZE)
#define DOORBELL_OFFSET VIRTIO_TIDE_STATE_SIZE

QEMU_BUILD_BUG_ON(DOORBELL_OFFSET + VIRTIO_TIDE_PAGE_SIZE > TIDE_BAR_SIZE);

#define TYPE_VIRTIO_TIDE_PCI "virtio-tide-pci-base"
OBJECT_DECLARE_SIMPLE_TYPE(VirtIOTidePCI, VIRTIO_TIDE_PCI)

struct VirtIOTidePCI {
    VirtIOPCIProxy parent_obj;
    VirtIOTide vdev;
    MemoryRegion bar;

    bool routed;            /* KVM has a route to the configuration vector */
    bool irqfd;             /* and the eventfd is wired to it */
    unsigned int vector;
    int virq;
};

static void call_irqfd_off(VirtIOTidePCI *dev)
{
    if (dev->irqfd) {
        kvm_irqchip_remove_irqfd_notifier_gsi(kvm_state, &dev->vdev.pages.call, dev->virq);
        dev->irqfd = false;
        virtio_tide_call_handler(&dev->vdev, true);
        trace_virtio_tide_irqfd(dev->vector, false);
    }
}

/* The guest has unmasked a vector.  Never fails: where there can be no irqfd, the main loop goes on waiting. */
static int call_vector_use(PCIDevice *pci_dev, unsigned int vector, MSIMessage msg)
{
    VirtIOTidePCI *dev = VIRTIO_TIDE_PCI(pci_dev);
    int ret;

    if (vector != dev->vector || dev->irqfd) {
        return 0;
    }
    ret = kvm_irqchip_update_msi_route(kvm_state, dev->virq, msg, pci_dev);
    if (ret < 0) {
        warn_report_once("virtio-tide: cannot update the interrupt route: %s", strerror(-ret));
        return 0;
    }
    kvm_irqchip_commit_routes(kvm_state);

    virtio_tide_call_handler(&dev->vdev, false);
    ret = kvm_irqchip_add_irqfd_notifier_gsi(kvm_state, &dev->vdev.pages.call, NULL, dev->virq);
    if (ret < 0) {
        warn_report_once("virtio-tide: cannot wire the eventfd to the interrupt: %s", strerror(-ret));
        virtio_tide_call_handler(&dev->vdev, true);
        return 0;
    }
    dev->irqfd = true;
    trace_virtio_tide_irqfd(dev->vector, true);
    return 0;
}

static void call_vector_release(PCIDevice *pci_dev, unsigned int vector)
{
    VirtIOTidePCI *dev = VIRTIO_TIDE_PCI(pci_dev);

    if (vector == dev->vector) {
        call_irqfd_off(dev);
    }
}

static void call_route_add(VirtIOTidePCI *dev)
{
    PCIDevice *pci_dev = PCI_DEVICE(dev);
    unsigned int vector = VIRTIO_DEVICE(&dev->vdev)->config_vector;
    KVMRouteChange change;
    int virq;

    if (!kvm_msi_via_irqfd_enabled() || !msix_enabled(pci_dev) || vector >= msix_nr_vectors_allocated(pci_dev)) {
        return;
    }
    change = kvm_irqchip_begin_route_changes(kvm_state);
    virq = kvm_irqchip_add_msi_route(&change, vector, pci_dev);
    if (virq < 0) {
        warn_report_once("virtio-tide: cannot add an interrupt route: %s", strerror(-virq));
        return;
    }
    kvm_irqchip_commit_route_changes(&change);
    dev->vector = vector;
    dev->virq = virq;
    dev->routed = true;
    msix_set_vector_notifiers(pci_dev, call_vector_use, call_vector_release, NULL);
}

static void call_route_remove(VirtIOTidePCI *dev)
{
    if (dev->routed) {
        msix_unset_vector_notifiers(PCI_DEVICE(dev));
        call_irqfd_off(dev);
        kvm_irqchip_release_virq(kvm_state, dev->virq);
        dev->routed = false;
    }
}

/* On each change of DRIVER_OK: from there on the driver has chosen its vectors. */
static void virtio_tide_pci_wire_call(VirtIOTide *tide, bool wire)
{
    VirtIOTidePCI *dev = container_of(tide, VirtIOTidePCI, vdev);

    call_route_remove(dev);
    if (wire) {
        call_route_add(dev);
    }
}

static void virtio_tide_pci_realize(VirtIOPCIProxy *proxy, Error **errp)
{
    VirtIOTidePCI *dev = VIRTIO_TIDE_PCI(proxy);
    DeviceState *vdev = DEVICE(&dev->vdev);

    if (proxy->nvectors == DEV_NVECTORS_UNSPECIFIED) {
        proxy->nvectors = 3;    /* configuration changes and two queues */
    }
    proxy->msix_bar_idx = 1;
    proxy->modern_mem_bar_idx = 2;
    virtio_pci_force_virtio_1(proxy);

    memory_region_init(&dev->bar, OBJECT(dev), "virtio-tide", TIDE_BAR_SIZE);
    pci_register_bar(&proxy->pci_dev, TIDE_BAR,
                     PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_PREFETCH | PCI_BASE_ADDRESS_MEM_TYPE_64,
                     &dev->bar);
    virtio_pci_add_shm_cap(proxy, TIDE_BAR, 0, VIRTIO_TIDE_STATE_SIZE, VIRTIO_TIDE_SHM_STATE);
    virtio_pci_add_shm_cap(proxy, TIDE_BAR, DOORBELL_OFFSET, VIRTIO_TIDE_PAGE_SIZE, VIRTIO_TIDE_SHM_DOORBELL);

    dev->vdev.wire_call = virtio_tide_pci_wire_call;
    if (!qdev_realize(vdev, BUS(&proxy->bus), errp)) {
        return;
    }
    memory_region_add_subregion(&dev->bar, 0, &dev->vdev.state_mr);
    memory_region_add_subregion(&dev->bar, DOORBELL_OFFSET, &dev->vdev.doorbell_mr);
}

static void virtio_tide_pci_init(Object *obj)
{
    static const char *const alias[] = {
        "target", "given", "given-huge", "usable", "fence-generation", "stats", "managed", "inhibit",
    };
    VirtIOTidePCI *dev = VIRTIO_TIDE_PCI(obj);
    unsigned int i;

    virtio_instance_init_common(obj, &dev->vdev, sizeof(dev->vdev), TYPE_VIRTIO_TIDE);
    for (i = 0; i < ARRAY_SIZE(alias); i++) {
        object_property_add_alias(obj, alias[i], OBJECT(&dev->vdev), alias[i]);
    }
}

static const Property virtio_tide_pci_properties[] = {
    DEFINE_PROP_BIT("ioeventfd", VirtIOPCIProxy, flags, VIRTIO_PCI_FLAG_USE_IOEVENTFD_BIT, true),
    DEFINE_PROP_UINT32("vectors", VirtIOPCIProxy, nvectors, DEV_NVECTORS_UNSPECIFIED),
};

static void virtio_tide_pci_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    VirtioPCIClass *vpc = VIRTIO_PCI_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);

    vpc->realize = virtio_tide_pci_realize;
    pc->class_id = PCI_CLASS_OTHERS;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    dc->desc = "gives guest memory to the host and takes it back";
    device_class_set_props(dc, virtio_tide_pci_properties);
}

static const VirtioPCIDeviceTypeInfo virtio_tide_pci_info = {
    .base_name = TYPE_VIRTIO_TIDE_PCI,
    .generic_name = "virtio-tide-pci",
    .instance_size = sizeof(VirtIOTidePCI),
    .instance_init = virtio_tide_pci_init,
    .class_init = virtio_tide_pci_class_init,
};

static void virtio_tide_pci_register_types(void)
{
    virtio_pci_types_register(&virtio_tide_pci_info);
}

type_init(virtio_tide_pci_register_types)
