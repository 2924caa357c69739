/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A made-up VM that speaks the real protocol: sealed memfds, eventfds and a hello on the vmm socket, and behind
 * them a guest that is arithmetic.  What memtided sees is what a QEMU with the device shows it, without a QEMU.
 *
 * A peer is used in the process that made it, for benches with very many of them; or it gets a process of its own
 * with peer_spawn(), because for memtided a VM is a process.  Its memory is shared with that process: the
 * functions below work on either side.
 *
 * Functions return 0 or a negative errno.
 */
#ifndef TESTS_VM_PEER_H
#define TESTS_VM_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "errtext.h"
#include "record.h"

enum peer_manner {
	PEER_HONEST,	/* gives what it is asked for, as far as it can, and fences */
	PEER_MUTE,	/* reads nothing and says nothing */
	PEER_LIAR,	/* fences at once and gives nothing; has nothing available, it says */
};

struct peer_options {
	const char *name;
	uint32_t uuid_end;	/* the UUID's last four bytes, the others are fixed; 0: no UUID */
	uint64_t ram;		/* bytes */
	uint64_t needs;		/* of these it cannot give */
	enum peer_manner manner;
	bool no_driver;		/* at first */
	bool no_seals;		/* on its memfds */
	enum tide_vmm_kind kind;
	uid_t uid;		/* of its process, which stays in the socket's group; 0: as ours */
};

struct peer;

/* Memory and eventfds; nobody knows of it yet. */
int peer_new(const struct peer_options *options, struct peer **ret_peer);
/* Ends its process if it has one.  NULL is fine. */
void peer_free(struct peer *peer);

/* Connect in this process and wait for the answer.  @errtext gets the controller's words. */
int peer_connect(struct peer *peer, const char *vmm_socket, struct memtide_errtext *errtext);
void peer_disconnect(struct peer *peer);
/* The eventfd that the controller rings. */
int peer_call_fd(const struct peer *peer);
/* Do what the state record says.  After the call eventfd was readable. */
void peer_serve(struct peer *peer);

/*
 * Give it a process of its own, which connects, serves, and connects again for as long as it lives.  Returns what
 * the controller answered the first time.
 */
int peer_spawn(struct peer *peer, const char *vmm_socket, struct memtide_errtext *errtext);
/* SIGKILL, as a QEMU that crashed. */
void peer_kill(struct peer *peer);
pid_t peer_pid(const struct peer *peer);
/* How often it was accepted. */
unsigned int peer_connections(const struct peer *peer);

/* Events to the controller, and its doorbell. */
int peer_event(struct peer *peer, uint32_t type, uint64_t a, uint64_t b, uint64_t c);
int peer_claim(struct peer *peer, uint64_t bytes);
void peer_ring(struct peer *peer);

/* Use @bytes more memory, up to the ceiling: takes it back.  Returns how much that was. */
uint64_t peer_use(struct peer *peer, uint64_t bytes);
/* How much it cannot give from now on. */
void peer_set_needs(struct peer *peer, uint64_t bytes);
void peer_set_manner(struct peer *peer, enum peer_manner manner);
/* A reset of the VM: a new epoch, all memory is the guest's again, with or without a driver. */
void peer_reset(struct peer *peer, bool driver);

uint64_t peer_usable(struct peer *peer);
unsigned int peer_denials(const struct peer *peer);
/* What the controller published and recorded. */
int peer_state(struct peer *peer, struct memtide_state *ret_state);
int peer_grant(struct peer *peer, struct memtide_grant *ret_grant);
/* The whole guest region, to write nonsense into; its size is VIRTIO_TIDE_STATE_SIZE. */
void *peer_region(struct peer *peer);

/* Wait until the published ceiling is from @low to @high, bytes.  -ETIMEDOUT. */
int peer_wait_ceiling(struct peer *peer, uint64_t low, uint64_t high, unsigned int timeout_ms);

uint64_t peer_now_ns(void);

#endif /* TESTS_VM_PEER_H */
