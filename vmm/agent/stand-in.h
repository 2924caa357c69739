/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Standing in for the device of a domain that has none: what a virtio-tide device and its driver would say to memtided
 * is said here, over the same regions and doorbells, and memtided's ledger, rounds and relief know no difference.  How
 * memory is taken and given back then is another matter (means.h).
 *
 * One thread, libvirt's default event loop.
 */
#ifndef AGENT_STAND_IN_H
#define AGENT_STAND_IN_H

#include <stdbool.h>
#include <stdint.h>

struct agent_domain;
struct stand_in;

/*
 * @domain is known to memtided and runs, or something of it has changed: from now on its stand_in is what it needs,
 * NULL where that is none.  Harmless at any time.
 */
void stand_in_want(struct agent_domain *domain);
/* It has ended. */
void stand_in_gone(struct agent_domain *domain);

/* libvirt's event: its balloon is at @kib now, by whoever's doing.  Also of domains without a stand-in. */
void stand_in_balloon_changed(struct agent_domain *domain, uint64_t kib);
/* Its guest starts anew. */
void stand_in_rebooted(struct agent_domain *domain);

#endif
