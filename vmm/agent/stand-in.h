/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stand-ins: a domain without a virtio-tide device, presented to memtided as if it had one.
 */
#ifndef MEMTIDE_AGENT_STAND_IN_H
#define MEMTIDE_AGENT_STAND_IN_H

#include <stdint.h>

struct agent;
struct agent_domain;

/* Once, before anything else; 0 or a negative errno.  And at the end, when no domain has a stand-in any more. */
int stand_in_init(struct agent *agent);
void stand_in_fini(struct agent *agent);

/*
 * memtided knows @domain as @domain->about has it: at first, when its policy has changed, and when memtided, libvirt or
 * both have come back.  Often without anything new.
 */
void stand_in_want(struct agent_domain *domain);
/* It has ended, or the agent ends: nothing of it may be used any more, and @domain->stand_in is to be NULL. */
void stand_in_gone(struct agent_domain *domain);

/* libvirt tells that its balloon has another size, and that its guest has rebooted. */
void stand_in_balloon_changed(struct agent_domain *domain, uint64_t kib);
void stand_in_rebooted(struct agent_domain *domain);

#endif
