/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the host has: its memory, its pressure, and a budget that follows both.
 */
#ifndef MEMTIDED_HOST_H
#define MEMTIDED_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

/* Bytes.  @saved is what KSM saves: slack that is never granted away. */
struct host_memory {
	uint64_t total;
	uint64_t available;
	uint64_t saved;
};

struct host {
	struct loop_source pressure;	/* PSI trigger; fd -1: none */
	struct host_memory memory;
	uint64_t budget;		/* the last automatic one, 0: none yet */
	uint64_t pressed_ns;		/* last pressure */
};

/* 0 or negative errno. */
int host_read_memory(struct host_memory *ret);

/* A trigger on the host's memory pressure, as a descriptor to poll for POLLPRI, or negative errno. */
int host_open_pressure(void);

/**
 * host_budget() - what guests may hold in all
 * @memory: just read
 * @resident: what all VMs' processes hold now
 * @overhead: of that, what is not guest memory
 * @before: the budget so far, 0: none
 * @pressed: the host is under pressure
 *
 * Falls at once and rises by steps; a multiple of 64 MiB.  Pure.
 */
uint64_t host_budget(const struct host_memory *memory, uint64_t resident, uint64_t overhead, uint64_t before,
		     bool pressed);

#endif
