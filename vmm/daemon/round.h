/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A round: all VMs into the policy's table, the policy over it, its answers checked and carried out.  Runs because
 * something happened, and not more often than it can afford.
 */
#ifndef MEMTIDED_ROUND_H
#define MEMTIDED_ROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

#define ROUND_NOBODY	UINT32_MAX

struct manager;

struct round {
	struct loop_timer timer;	/* the next one */
	struct loop_timer tick;		/* armed while there are VMs */
	uint32_t triggers;		/* bits of enum balance_trigger that wait */
	uint32_t pressed;		/* row that asked, or ROUND_NOBODY */
	bool asked;			/* refreshes are out and the timer waits for answers */
	uint64_t last_ns;		/* start of the last one, 0: none yet */
	uint64_t took_ns;
	uint64_t pauses_until_ns;	/* somebody may not be lowered again before; 0: nobody */
	uint64_t rounds;
	uint64_t decisions;
};

int round_init(struct manager *manager);
void round_fini(struct manager *manager);

/* @trigger is enum balance_trigger; @row with BALANCE_PRESSURE, else ROUND_NOBODY. */
void round_request(struct manager *manager, unsigned int trigger, uint32_t row);

/* Ticks are needed while there are VMs and nothing is paused. */
void round_update_tick(struct manager *manager);

/* Run one now.  For the timer and for benches. */
void round_run(struct manager *manager);

#endif
