/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A domain's XML, edited for memtide: XML in, XML out, and nothing of libvirt.  What is written out has the form of
 * `virsh dumpxml`, so that two versions can be compared line by line.
 *
 * Whatever domain_edit_enable() does is in an element of the metadata, so that domain_edit_disable() can take back
 * that and nothing else:
 *
 *	<memtide-enabled:enabled xmlns:memtide-enabled="urn:memtide:enabled:1" emulator="/usr/libexec/..."
 *		emulator-before="/usr/bin/..." device="memtide" policy="template" metadata="added"/>
 *
 * each attribute only where that was done.
 */
#ifndef MEMTIDE_DOMAIN_EDIT_H
#define MEMTIDE_DOMAIN_EDIT_H

#include <stdbool.h>

#include "errtext.h"

#define DOMAIN_QEMU_NAMESPACE	"http://libvirt.org/schemas/domain/qemu/1.0"

/**
 * struct domain_facts - what has to be known of a domain to edit it, or to ask libvirt about it
 *
 * Strings are "" where the domain does not say, and cut where they are too long to make sense.
 */
struct domain_facts {
	char name[256];
	char type[32];		/* "kvm", "qemu" */
	char arch[32];
	char machine[128];
	char emulator[512];
	bool acpi;
	bool device;		/* a virtio-tide device, whoever put it there */
	bool enabled;		/* domain_edit_enable() has been at it */
};

/* 0, -EINVAL, -EFBIG or -ENOMEM. */
int domain_facts_read(const char *xml, struct domain_facts *ret_facts, struct memtide_errtext *errtext);

/**
 * domain_edit_enable() - what a domain needs to have its memory managed
 * @xml: as libvirt returns it
 * @emulator: NULL: it keeps the one that it has
 * @socket: memtided's
 * @ret_xml: for free(); untouched on failure
 * @errtext: value, limit and mend
 *
 * Adds what is not there: emulator, device and its chardev, a <policy> to fill in.  Changes nothing in a domain that
 * has all of it.  0, -EINVAL, -EFBIG, -ENOSPC if the first PCI bus is full, or -ENOMEM.
 */
int domain_edit_enable(const char *xml, const char *emulator, const char *socket, char **ret_xml,
		       struct memtide_errtext *errtext);

/**
 * domain_edit_disable() - take back what domain_edit_enable() has done
 * @xml: as libvirt returns it
 * @keep_policy: leave the <policy> as well if it is still as it was added; one that has been filled in stays anyway
 * @ret_xml: for free(); untouched on failure
 * @ret_note: what is left because somebody else has changed it since, "" if nothing is
 * @errtext: value, limit and mend
 *
 * 0, -ENOENT if it has done nothing, -EINVAL, -EFBIG or -ENOMEM.
 */
int domain_edit_disable(const char *xml, bool keep_policy, char **ret_xml, struct memtide_errtext *ret_note,
			struct memtide_errtext *errtext);

/* The same document in the form of the others, to compare them with. */
int domain_edit_nothing(const char *xml, char **ret_xml, struct memtide_errtext *errtext);

/*
 * Without its network cards: libvirt makes a tap device for each when it is asked for a command line, and fails where
 * it may not.
 */
int domain_edit_offline(const char *xml, char **ret_xml, struct memtide_errtext *errtext);

#endif /* MEMTIDE_DOMAIN_EDIT_H */
