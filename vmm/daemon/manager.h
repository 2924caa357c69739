/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manager owns everything: the loop, the ledger, the VMs, the policy and the sockets.  All of it belongs to
 * the loop's thread; only jobs of the workers run elsewhere, on memory of their own.
 */
#ifndef MEMTIDED_MANAGER_H
#define MEMTIDED_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "decision-log.h"
#include "domains.h"
#include "histogram.h"
#include "host.h"
#include "ledger.h"
#include "loop.h"
#include "relief.h"
#include "round.h"
#include "tenants.h"
#include "worker.h"

struct control_server;
struct memtide_policy;
struct store;
struct vm;
struct vmm_server;

struct manager_options {
	const char *config_path;	/* NULL: none was named and the usual place has none */
	bool same_process;		/* one process may present many VMs: for benches and tests */
	bool dry_run;			/* in addition to what the configuration says */
};

struct manager {
	struct loop *loop;
	struct manager_options options;
	struct memtide_config config;
	bool dry_run;
	bool paused;
	uint64_t started_ns;

	struct memtide_ledger ledger;
	struct vm **vms;		/* by row of the balance table, BALANCE_MAX_VMS of them */
	uint32_t nr_vms;
	uint64_t next_vm_id;
	struct domains domains;
	struct tenants tenants;

	struct host host;
	struct relief relief;
	struct round round;
	struct memtide_policy *policy;	/* NULL: none, nothing is decided but relief */

	struct decision_log *log;
	uint64_t moved_bytes;		/* by which ceilings were lowered and confirmed */
	struct memtide_histogram relief_ns[VIRTIO_TIDE_PATHS];	/* as the guests measured */
	struct memtide_histogram decide_ns;	/* from wake-up to what was decided on a claim */

	struct worker *limits;
	struct worker *loader;
	struct store *store;
	struct vmm_server *vmm;
	struct control_server *control;
	struct loop_source signals;
	struct loop_source exits;	/* of policies in the kernel; fd -1: none to read */
};

/*
 * Set everything up but the sockets.  @config is taken over, also on failure.  0 or negative errno, worded in
 * @errtext.
 */
int manager_new(const struct manager_options *options, struct memtide_config *config, struct manager **ret,
		struct memtide_errtext *errtext);
/* Open the sockets and serve until a signal ends it. */
int manager_run(struct manager *manager, struct memtide_errtext *errtext);
void manager_free(struct manager *manager);

/* Read the configuration again: all of it holds afterwards, or nothing has changed. */
int manager_reload(struct manager *manager, struct memtide_errtext *errtext);

/* Use @policy from the next round on; the one before it is closed.  NULL for none. */
void manager_set_policy(struct manager *manager, struct memtide_policy *policy);
void manager_set_paused(struct manager *manager, bool paused);

/* Put a VM into the table, or out of it.  -E2BIG: the table is full. */
int manager_add_vm(struct manager *manager, struct vm *vm);
void manager_remove_vm(struct manager *manager, struct vm *vm);

/* The budget or what is charged has changed: whoever waits for room looks again. */
void manager_room_changed(struct manager *manager);
/* The host's budget, from the configuration and from what the host has. */
void manager_update_budget(struct manager *manager, bool host_pressed);

/* A line in the decision log about something other than a VM's memory.  @vm may be NULL. */
__attribute__((format(printf, 5, 6)))
uint64_t manager_note(struct manager *manager, enum decision_kind kind, enum log_level level, const struct vm *vm,
		      const char *format, ...);

#endif
