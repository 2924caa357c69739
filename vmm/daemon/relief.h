/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The path of a VM under pressure, which does not wait for a round: what the ledger has free is granted in the
 * turn in which the doorbell rang; where that is too little, donors are asked, and who waits is granted what they
 * give.
 */
#ifndef MEMTIDED_RELIEF_H
#define MEMTIDED_RELIEF_H

#include <stdint.h>

#include "loop.h"

struct manager;
struct vm;

struct relief {
	struct vm *first;	/* who waits, in order of asking */
	struct vm **last;
	struct loop_timer timer;	/* to look for answers of donors, and to end waiting */
	uint64_t last_search_ns;
	uint64_t search_until_ns;	/* answers to refreshes are waited for until then; 0: none */
};

int relief_init(struct manager *manager);
void relief_fini(struct manager *manager);

/* @vm claims @wanted bytes above its ceiling. */
void relief_claim(struct vm *vm, uint64_t wanted);

/* @vm's pressure is over, or it is gone. */
void relief_forget(struct vm *vm);

/* Nobody is granted anything any more: those who wait are told. */
void relief_pause(struct manager *manager);

/* There may be room now: grant to those that wait. */
void relief_room(struct manager *manager);

/* A domain that is about to start waits for room: ask who may give, as for a VM under pressure. */
void relief_search(struct manager *manager);

/* A guest has answered a refresh that donors are searched with. */
void relief_answered(struct manager *manager);

#endif
