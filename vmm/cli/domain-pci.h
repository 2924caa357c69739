/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A place for a device that libvirt does not know of: it sees to the addresses of its own devices only.  Pure.
 */
#ifndef MEMTIDE_DOMAIN_PCI_H
#define MEMTIDE_DOMAIN_PCI_H

#include <libxml/tree.h>

#include "errtext.h"

/**
 * struct domain_pci_place - where a device goes
 * @bus: as QEMU calls it: "pci.0" or "pcie.0"
 * @slot: on it
 */
struct domain_pci_place {
	const char *bus;
	unsigned int slot;
};

/**
 * domain_pci_find() - find a place on the first bus
 * @domain: the root of a domain's XML as libvirt returns it, which has an address for each device
 * @ret_place: far from where libvirt puts what comes later; untouched on failure
 * @errtext: value, limit and mend
 *
 * On a machine of type q35 that is a place on the root complex and not behind a root port: nobody is to pull the device
 * out while the VM runs.  Returns 0, -EINVAL if the machine has no such bus, or -ENOSPC.
 */
int domain_pci_find(const xmlNode *domain, struct domain_pci_place *ret_place, struct memtide_errtext *errtext);

#endif /* MEMTIDE_DOMAIN_PCI_H */
