/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ledger: how much memory each VM may hold, so that the sum stays within the host's budget.  It knows no
 * descriptors, no clock and no policy.  Every change of a ceiling goes through it, and it says in which order the
 * steps of a change are to be taken; the controller takes them and reports back.
 *
 * What a VM is charged for is never less than the largest of
 *	- its ceiling, which is what it is to have when all steps are done,
 *	- what it has been promised: the highest ceiling that the guest may still believe in, and all its memory
 *	  while no driver has confirmed less,
 *	- the limit of its cgroup, where it has one,
 *	- memory that it has given but that is not yet seen to be free.
 * So a charge rises at once when a rise is decided, and falls when the last of these has fallen.
 *
 * Lowering:	RECORD, PUBLISH, WAIT_FENCE, LIMIT_DOWN (, WAIT_FREE), RECORD: the charge falls with this
 * Raising:	room is reserved; RECORD, LIMIT_UP, PUBLISH
 *
 * A decision may be replaced by another one at any moment, in the middle of its steps: memtide_ledger_next()
 * always works out the next step from what is true now.
 *
 * How a controller uses it:
 *
 *	memtide_ledger_set(), or _observe() after a notification, or any other change; then
 *	for (;;) {
 *		switch (memtide_ledger_next(vm, &action)) {
 *		case RECORD:	 write the grant record;		memtide_ledger_done(vm, &action); continue;
 *		case PUBLISH:	 write the state record, ring;		memtide_ledger_done(vm, &action); continue;
 *		case LIMIT_UP:
 *		case LIMIT_DOWN: memtide_ledger_limit_begin(vm, &action); hand the write to a helper, which later
 *				 comes back with memtide_ledger_limit_done(vm, what is in force now);	continue;
 *		default:	 wait: for a notification, a helper, or to look at the memory in use again; break;
 *		}
 *	}
 *
 * All sizes are bytes of guest memory, without QEMU's overhead (the controller adds it to a cgroup's limit and
 * takes it off what it reads there).  Every operation takes constant time.  Not locked: one thread.  A failing
 * function has changed nothing.
 */
#ifndef MEMTIDE_LEDGER_H
#define MEMTIDE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"

#define MEMTIDE_LEDGER_VMS	16384		/* as many as a balance table has rows */
#define MEMTIDE_LEDGER_BYTES	(1ULL << 48)	/* the most for one VM or a budget, so that no sum overflows */
#define MEMTIDE_LEDGER_UNKNOWN	UINT64_MAX	/* a size that nobody can tell, or a limit that is not set */
#define MEMTIDE_LEDGER_SHARES	1000000		/* the most shares of one VM */

/* What a VM is taken in with, and what an administrator may change. */
struct memtide_ledger_terms {
	uint64_t ram;		/* the VM's RAM, as the device counts it */
	uint64_t maximum;	/* the most it may ever have, <= ram */
	uint64_t floor;		/* its guarantee, <= maximum */
	uint64_t start;		/* its ceiling where it must start throttled; floor to maximum */
	uint32_t shares;	/* 1 to MEMTIDE_LEDGER_SHARES */
	bool enforced;		/* it has a cgroup whose limit follows the ceiling */
	bool throttle;		/* where there is no room for its maximum, its limit alone may hold it */
};

enum memtide_ledger_state {
	MEMTIDE_LEDGER_STARTING,	/* no driver (yet, or again) */
	MEMTIDE_LEDGER_MANAGED,
	MEMTIDE_LEDGER_INHIBITED,	/* the device refuses gives for now */
	MEMTIDE_LEDGER_UNANSWERING,	/* the controller found that the driver does not answer */
	MEMTIDE_LEDGER_RELEASED,	/* the administrator took it out of management */
};

enum memtide_ledger_step {
	MEMTIDE_LEDGER_NONE,		/* nothing is under way */
	MEMTIDE_LEDGER_RECORD,		/* write .generation, .ceiling, .charged to the grant record */
	MEMTIDE_LEDGER_LIMIT_UP,	/* raise the cgroup's limit to .limit */
	MEMTIDE_LEDGER_PUBLISH,		/* write .generation and .ceiling to the state record and wake the guest */
	MEMTIDE_LEDGER_WAIT_FENCE,	/* until the device's counters show that the guest has come down */
	MEMTIDE_LEDGER_LIMIT_DOWN,	/* lower the cgroup's limit to .limit, or to its use if that is more */
	MEMTIDE_LEDGER_WAIT_LIMIT,	/* a limit is being written */
	MEMTIDE_LEDGER_WAIT_FREE,	/* given memory is not seen to be free yet, or a limit could not be
					   written as asked: observe again after a while */
};

struct memtide_ledger_action {
	enum memtide_ledger_step step;
	uint32_t generation;
	uint64_t ceiling;
	uint64_t charged;
	uint64_t limit;
};

/* Which room a rise may use. */
enum memtide_ledger_purse {
	MEMTIDE_LEDGER_ORDINARY,	/* what is free beyond the reserve */
	MEMTIDE_LEDGER_RELIEF,		/* the reserve as well: a VM is under pressure */
};

/* Why the charges may be above the budget.  Nothing that the ledger decides itself makes it so. */
enum memtide_ledger_cause {
	MEMTIDE_LEDGER_NO_DEFICIT,
	MEMTIDE_LEDGER_BUDGET_FELL,
	MEMTIDE_LEDGER_FOUND_RUNNING,	/* VMs that were there before the controller */
	MEMTIDE_LEDGER_DRIVER_LOST,	/* reset, inhibited or unanswering, and nothing else to hold the VM */
	MEMTIDE_LEDGER_LIMIT_LOST,	/* a cgroup's limit went away, or is above what was asked */
	MEMTIDE_LEDGER_OVERUSE,		/* a VM without a limit holds more than it was promised */
	MEMTIDE_LEDGER_SET_BY_HAND,	/* an administrator has given a VM more, past the ledger */
};

/* Read what you like; only the ledger writes. */
struct memtide_ledger {
	uint64_t budget;
	uint64_t reserve;	/* of the budget, kept for MEMTIDE_LEDGER_RELIEF */
	uint64_t charged;	/* sum over all VMs, as are the next three */
	uint64_t ceilings;
	uint64_t floors;
	uint64_t shares;
	uint32_t nr_vms;
	enum memtide_ledger_cause cause;
};

/* One VM's entry; embed it where the VM is kept.  Read what you like; only the ledger writes. */
struct memtide_ledger_vm {
	struct memtide_ledger *ledger;	/* NULL: not in one */
	struct memtide_ledger_terms terms;
	uint64_t ceiling;	/* what it is to have */
	uint64_t charged;	/* what it is charged for */
	uint64_t promised;	/* the most that the guest may still believe in */
	uint64_t held;		/* the most that may still be in use; not above the ceiling: all is free */
	uint64_t limit;		/* of the cgroup, as last reported; MEMTIDE_LEDGER_UNKNOWN: never written */
	uint64_t limit_coming;	/* being written; MEMTIDE_LEDGER_UNKNOWN: none */
	uint64_t usable;	/* by the device's count at the last observation */
	uint64_t epoch;		/* of the device, at the last observation */
	uint32_t generation;	/* of the present decision */
	uint32_t fence_from;	/* the first generation with the present ceiling */
	uint32_t published;	/* the generation that the guest has; 0: none */
	bool driver;		/* the device's counters say so, as for the next one */
	bool inhibited;
	bool unanswering;	/* as reported, as is the next one */
	bool released;
	bool limit_waits;	/* its last write did not reach what was asked: not again before the next look */
	bool throttled;		/* charged less than it believes in, because the limit alone holds it */
	struct {
		uint32_t generation;
		uint64_t ceiling;
		uint64_t charged;
	} recorded;		/* the grant record; generation 0: none written */
};

/**
 * memtide_ledger_init() - an empty ledger
 * @ledger: set up
 * @budget: what all VMs together may hold, up to MEMTIDE_LEDGER_BYTES
 * @reserve: of the budget; all of it if it is more than the budget
 */
void memtide_ledger_init(struct memtide_ledger *ledger, uint64_t budget, uint64_t reserve);

/* memtide_ledger_set_budget() - below the charges this makes a deficit, and nothing rises until it is gone */
void memtide_ledger_set_budget(struct memtide_ledger *ledger, uint64_t budget, uint64_t reserve);

/* memtide_ledger_deficit() - by how much the charges are above the budget */
uint64_t memtide_ledger_deficit(const struct memtide_ledger *ledger);

/* memtide_ledger_room() - by how much charges may rise in all */
uint64_t memtide_ledger_room(const struct memtide_ledger *ledger, enum memtide_ledger_purse purse);

/**
 * memtide_ledger_admit() - take in a VM that is about to start
 * @ledger: where
 * @vm: its entry, whose former content is lost; must stay in place until memtide_ledger_remove()
 * @terms: copied
 *
 * It is charged its maximum (all its RAM where nothing enforces a maximum).  Where there is no room for that and
 * @terms allow it, it is charged @terms->start and marked throttled: then do not let it start before the step
 * LIMIT_DOWN, which is the first after RECORD, is done.
 *
 * Returns 0; -EINVAL: @terms are wrong; -E2BIG: too many VMs; -EDQUOT: the floors' sum would not fit the budget;
 * -ENOSPC: no room to start.
 */
int memtide_ledger_admit(struct memtide_ledger *ledger, struct memtide_ledger_vm *vm,
			 const struct memtide_ledger_terms *terms);

/**
 * memtide_ledger_recover() - take in a VM that is running already, after a restart or with a new controller
 * @ledger: where
 * @vm: its entry, as for memtide_ledger_admit()
 * @terms: copied
 * @counters: of its device
 * @grant: what an earlier controller wrote, or NULL
 * @limit: of its cgroup as it is now, or MEMTIDE_LEDGER_UNKNOWN
 *
 * Of what the grant, the device and the cgroup say the largest is charged; the maximum, unless the grant is for
 * this epoch and the guest has sent a fence in it.  Where @terms allow that its limit alone holds a VM, a limit
 * that is found does so, and the VM is marked throttled.  There is no refusing what runs: this may make a deficit,
 * and the sum of the floors may come to exceed the budget.
 *
 * Returns 0, -EINVAL or -E2BIG.
 */
int memtide_ledger_recover(struct memtide_ledger *ledger, struct memtide_ledger_vm *vm,
			   const struct memtide_ledger_terms *terms, const struct memtide_counters *counters,
			   const struct memtide_grant *grant, uint64_t limit);

/**
 * memtide_ledger_expect() - hold room for a VM that is about to be started
 * @ledger: where
 * @vm: an entry that stands in for the VM's own, as for memtide_ledger_admit(); take it out with
 *	memtide_ledger_remove() in the turn in which the VM itself is taken in
 * @terms: copied; start, enforced and throttle mean nothing here
 *
 * Its floor and shares count at once, so what others may claim falls to what will hold when it runs.  It is charged
 * what room there is beyond the reserve, up to its maximum, which may be nothing.  No steps are taken for it.
 *
 * Returns 0, -EINVAL, -E2BIG, or -EDQUOT: the floors' sum would not fit the budget.
 */
int memtide_ledger_expect(struct memtide_ledger *ledger, struct memtide_ledger_vm *vm,
			  const struct memtide_ledger_terms *terms);

/* memtide_ledger_gather() - add what room there is now to what is held; returns what is held then */
uint64_t memtide_ledger_gather(struct memtide_ledger_vm *vm);

/* memtide_ledger_remove() - the VM's process is dead: nothing is charged.  Harmless on one that is not in. */
void memtide_ledger_remove(struct memtide_ledger_vm *vm);

/**
 * memtide_ledger_set() - decide on a ceiling
 * @vm: an entry
 * @ceiling: bytes, floor to maximum
 * @purse: the room that may be used if the charge has to rise for it
 *
 * To be called, also with an unchanged ceiling, whenever target or floor in the state record are to change:
 * every call makes a new generation.
 *
 * Returns 0; -ERANGE: below the floor or above the maximum; -ENOSPC: no room, or a deficit; -EBUSY: the VM is
 * inhibited, unanswering or released.
 */
int memtide_ledger_set(struct memtide_ledger_vm *vm, uint64_t ceiling, enum memtide_ledger_purse purse);

/**
 * memtide_ledger_most() - the highest ceiling that memtide_ledger_set() would agree to now
 *
 * At least what is charged already, up to the maximum.
 */
uint64_t memtide_ledger_most(const struct memtide_ledger_vm *vm, enum memtide_ledger_purse purse);

/**
 * memtide_ledger_observe() - what the device counts, and what is in use
 * @vm: an entry
 * @counters: just read
 * @resident: memory in use by the guest on the host: its cgroup's memory.current or its process's resident
 *	size, less QEMU's overhead; MEMTIDE_LEDGER_UNKNOWN counts given pieces below 2 MiB as not free
 *
 * Notices drivers that come and go, resets, inhibition, fences and memory that has become free.  A fence counts
 * if it is for the present ceiling and the device's own counts, then and now, show no more usable memory than
 * that.  To be called after every notification and, in WAIT_FREE, from time to time.
 */
void memtide_ledger_observe(struct memtide_ledger_vm *vm, const struct memtide_counters *counters,
			    uint64_t resident);

/**
 * memtide_ledger_unanswering() - the driver does not answer, or does again
 *
 * One that does not is charged its maximum; one that does again keeps its ceiling, and has to confirm it afresh.
 */
void memtide_ledger_unanswering(struct memtide_ledger_vm *vm, bool unanswering);

/**
 * memtide_ledger_release() - give a VM its maximum and leave it alone, or take it back into management
 *
 * Returns 0, or -ENOSPC: there is no room for its maximum.
 */
int memtide_ledger_release(struct memtide_ledger_vm *vm, bool release);

/**
 * memtide_ledger_step_back() - an administrator decides by hand what a VM has
 * @ceiling: as much of it as it may have, in bytes; cut to its maximum
 *
 * It is released, room or no room: beyond memtide_ledger_most() this makes a deficit.
 */
void memtide_ledger_step_back(struct memtide_ledger_vm *vm, uint64_t ceiling);

/**
 * memtide_ledger_resume() - what counts for a VM has been started anew, and the VM has not
 * @counters: of the new one, whose epoch is no reset
 *
 * What was decided stays, and so does the charge; the ceiling is published afresh, and what had not been confirmed
 * still has to be.
 */
void memtide_ledger_resume(struct memtide_ledger_vm *vm, const struct memtide_counters *counters);

/**
 * memtide_ledger_change() - new terms from an administrator
 * @vm: an entry
 * @floor: a ceiling below it stays until memtide_ledger_set() raises it
 * @maximum: a ceiling above it comes down; a higher maximum gives nothing by itself
 * @shares: see the terms
 *
 * Returns 0, -EINVAL: out of order or range; -EDQUOT: the floors' sum would not fit the budget.
 */
int memtide_ledger_change(struct memtide_ledger_vm *vm, uint64_t floor, uint64_t maximum, uint32_t shares);

/**
 * memtide_ledger_enforce() - the VM's cgroup came or went
 * @vm: an entry
 * @enforced: whether it has one with a limit now; without one it loses what terms.throttle allowed it, for good
 * @limit: the limit as found, or MEMTIDE_LEDGER_UNKNOWN
 */
void memtide_ledger_enforce(struct memtide_ledger_vm *vm, bool enforced, uint64_t limit);

/**
 * memtide_ledger_next() - what is to be done for a VM
 * @vm: an entry
 * @ret_action: the step and all values that it may need
 *
 * Returns @ret_action->step.  Nothing changes by asking.
 */
enum memtide_ledger_step memtide_ledger_next(const struct memtide_ledger_vm *vm,
					     struct memtide_ledger_action *ret_action);

/* memtide_ledger_done() - RECORD or PUBLISH has been carried out, with the values of @action */
void memtide_ledger_done(struct memtide_ledger_vm *vm, const struct memtide_ledger_action *action);

/* memtide_ledger_limit_begin() - LIMIT_UP or LIMIT_DOWN is being carried out: from now on either limit may hold */
void memtide_ledger_limit_begin(struct memtide_ledger_vm *vm, const struct memtide_ledger_action *action);

/**
 * memtide_ledger_limit_done() - the write of a limit has ended, well or not
 * @vm: an entry
 * @limit: what is in force now; MEMTIDE_LEDGER_UNKNOWN if that cannot be told.  Less than 64 KiB below what was
 *	asked is taken for it: kernels round limits down.
 */
void memtide_ledger_limit_done(struct memtide_ledger_vm *vm, uint64_t limit);

/* memtide_ledger_state() - for people and for the balance table */
enum memtide_ledger_state memtide_ledger_state(const struct memtide_ledger_vm *vm);

/* memtide_ledger_beyond_floors() - what all floors leave of the budget */
uint64_t memtide_ledger_beyond_floors(const struct memtide_ledger *ledger);

/**
 * memtide_ledger_entitlement() - what the VM may claim against others' use
 *
 * Its floor and, by shares, its part of the budget beyond all floors; capped at its maximum.  Nothing is
 * stored: it follows every change at once.
 */
uint64_t memtide_ledger_entitlement(const struct memtide_ledger_vm *vm);

/**
 * memtide_ledger_check() - does everything hold that must hold?
 * @ledger: the sums: within the budget unless there is a cause
 * @vm: one entry, may be NULL
 *
 * Returns NULL, or words that say what is wrong.  Cheap enough to ask after every transition.
 */
const char *memtide_ledger_check(const struct memtide_ledger *ledger, const struct memtide_ledger_vm *vm);

#endif /* MEMTIDE_LEDGER_H */
