/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The controller's side of one VM's virtio-tide device, by hand: for tests of driver and device, and for benches that
 * want to see every step.  Not a controller: no ledger, no policy, nobody's limits.
 *
 * Functions return 0 or a negative errno and say on stderr what went wrong.
 */
#ifndef TESTS_VM_STEER_H
#define TESTS_VM_STEER_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"
#include "ring.h"

struct steer;

/* Listens on @path, which vm_options.vmm_socket then names. */
int steer_listen(const char *path, struct steer **ret_steer);
/* Takes the device's connection; again after a disconnect. */
int steer_accept(struct steer *steer);
/* Drops the connection but goes on listening, as a controller that died. */
void steer_disconnect(struct steer *steer);
void steer_free(struct steer *steer);

/* Publishes a new state and rings the guest.  Returns its generation in @ret_generation, which may be NULL. */
void steer_set(struct steer *steer, uint64_t target, uint64_t ceiling, uint32_t flags, uint32_t *ret_generation);
/* Says where the next rise of the ceiling comes from, enum virtio_tide_path. */
void steer_path(struct steer *steer, uint32_t path);
/* Waits until the device has carried out the fence of @generation.  -ETIMEDOUT. */
int steer_wait_fence(struct steer *steer, uint32_t generation, unsigned int timeout_ms);
/* Waits until what is given lies between @low and @high, bytes. */
int steer_wait_given(struct steer *steer, uint64_t low, uint64_t high, unsigned int timeout_ms);
/* Waits for the guest's doorbell and takes one event of @type from its ring; others are dropped. */
int steer_wait_event(struct steer *steer, uint32_t type, struct memtide_event *ret_event, unsigned int timeout_ms);
/* Takes the next event of @type that is there already; false: none. */
bool steer_poll_event(struct steer *steer, uint32_t type, struct memtide_event *ret_event);
int steer_counters(struct steer *steer, struct memtide_counters *ret_counters);
/* Asks the guest for fresh statistics and waits for them. */
int steer_stats(struct steer *steer, struct memtide_stats *ret_stats, unsigned int timeout_ms);

/* The mapped state region and its size, for tests that write where a guest could. */
void *steer_region(struct steer *steer, size_t *ret_size);
/* The doorbell's eventfd. */
int steer_doorbell(struct steer *steer);

uint64_t steer_now_ns(void);

#endif /* TESTS_VM_STEER_H */
