/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test bed for memtided as a whole: the real program on sockets of its own, and made-up VMs "a", "b" and "c" that
 * speak the real protocol.
 */
#ifndef TESTS_VM_PEERS_BED_H
#define TESTS_VM_PEERS_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller.h"
#include "peer.h"

#define MIB		(UINT64_C(1) << 20)
#define RAM_MIB		512
#define RAM		(RAM_MIB * MIB)
#define PATIENCE_MS	10000
#define PEERS		3

struct fixture {
	struct controller *controller;
	struct peer *peer[PEERS];
};

extern const char *const names[PEERS];

/* Members of an answer; 0 or "" if they are not there. */
uint64_t number(const json_t *json, const char *name);
const char *text(const json_t *json, const char *name);
/* A call that has to succeed; a new reference. */
json_t *call(struct fixture *f, const char *method, json_t *params);
/* Numbers of the status, and of a VM that has to be there. */
uint64_t status_number(struct fixture *f, const char *name);
uint64_t vm_number(struct fixture *f, const char *vm, const char *name);
/* Until the ledger charges that much in all. */
void wait_charged(struct fixture *f, uint64_t bytes);

/* memtided with @config, and no VM so far. */
struct fixture *bed_start(const char *config);
void kill_and_restart(struct fixture *f);
void bed_stop(struct fixture *f);
/* Let peer @which come, before or after its guest is up. */
void start_peer_as(struct fixture *f, int which, bool driver);
void start_peer(struct fixture *f, int which);
void wait_connections(struct fixture *f, int which, unsigned int connections);

#endif
