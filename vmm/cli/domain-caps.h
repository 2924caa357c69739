/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a domain needs, in libvirt's words, against what libvirt says that a QEMU can do
 * (virConnectGetDomainCapabilities()).  This holds for a QEMU on another host as well, and before libvirt makes a
 * command line.  Pure.
 */
#ifndef MEMTIDE_DOMAIN_CAPS_H
#define MEMTIDE_DOMAIN_CAPS_H

#include <jansson.h>

#include "errtext.h"

/**
 * domain_caps_lacks() - what of a domain a QEMU cannot do
 * @xml: of the domain
 * @capabilities: <domainCapabilities>
 * @ret_lacks: { "graphics": [ "vnc" ], ... }, without members if it can do all of it; for json_decref()
 *
 * What the capabilities do not speak of is passed over.  0, -EINVAL, -EFBIG or -ENOMEM.
 */
int domain_caps_lacks(const char *xml, const char *capabilities, json_t **ret_lacks, struct memtide_errtext *errtext);

#endif /* MEMTIDE_DOMAIN_CAPS_H */
