/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Balloons that somebody else has set, with `virsh setmem` or in another way: memtided hears of it, and leaves the VM
 * alone until it is adopted.
 */
#ifndef AGENT_BY_HAND_H
#define AGENT_BY_HAND_H

#include <stdbool.h>
#include <stdint.h>

#include <libvirt/libvirt.h>

struct agent_domain;

/* Its balloon was set to @bytes.  0, or negative errno: memtided was not to be reached. */
int by_hand_tell(const struct agent_domain *domain, uint64_t bytes);

/*
 * @bytes is where libvirt itself puts the balloon of a domain of @ram bytes at the start, or where one is that nobody
 * has inflated.  Any thread.
 */
bool by_hand_is_configured(virDomainPtr handle, uint64_t ram, uint64_t bytes);

/* libvirt's event, of a domain whose balloon memtide does not touch: it has a virtio-tide device, or no policy. */
void by_hand_balloon_changed(struct agent_domain *domain, uint64_t bytes);
/* Where memtide has left it, which libvirt may tell of later, is nobody's doing. */
void by_hand_left(struct agent_domain *domain, uint64_t bytes);
/* It has ended. */
void by_hand_gone(struct agent_domain *domain);

#endif
