/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the controller allows a policy, a claim and a donor: pure functions on plain structures.  No ledger, no
 * clock, no I/O here; what comes out still has to find room in the ledger.  Sizes are bytes.
 */
#ifndef MEMTIDED_DECIDE_H
#define MEMTIDED_DECIDE_H

#include <stdint.h>

/* Targets and ceilings are multiples of this, the size in which given memory is worth most to the host. */
#define DECIDE_UNIT		(UINT64_C(2) << 20)
/* Smaller changes than this are not worth waking a guest for, except to reach its floor or its maximum. */
#define DECIDE_MIN_CHANGE	(UINT64_C(4) << 20)
/* A claim counts for at least this much: less is gone before the next claim can be made. */
#define DECIDE_MIN_GRANT	(UINT64_C(8) << 20)
/* ... and at most this much at once: what a guest needs beyond it, it asks for again when this is used. */
#define DECIDE_MAX_GRANT	(UINT64_C(1) << 30)
/*
 * Nothing is lent to who has this much credit left: it has not used what it got.  More than one batch of pages
 * that a guest has taken back and not told of yet.
 */
#define DECIDE_LOAN_UNSPENT	(UINT64_C(32) << 20)
/* A claimant whose grants stayed unused so many times gets nothing beyond DECIDE_MIN_GRANT. */
#define DECIDE_MAX_UNUSED	7

/* Why a VM's answer is not followed to the letter, as bits. */
enum decide_bound {
	DECIDE_UNMANAGED	= 0x001,	/* not managed */
	DECIDE_STALE		= 0x002,	/* statistics are too old */
	DECIDE_MOVING		= 0x004,	/* an earlier change is still being carried out */
	DECIDE_STALLED		= 0x008,	/* could not follow an earlier one */
	DECIDE_AT_FLOOR		= 0x010,
	DECIDE_AT_MAXIMUM	= 0x020,
	DECIDE_STEP		= 0x040,	/* more than half of its slack */
	DECIDE_SMALL		= 0x080,	/* too little to act on */
	DECIDE_ENTITLED		= 0x100,	/* nobody's claim moves it below its entitlement */
	DECIDE_NONSENSE		= 0x200,	/* target above ceiling, or beyond all memory */
};

/**
 * struct decide_vm - what is known of one VM
 * @flags: BALANCE_VM_*
 * @floor: >= 0
 * @maximum: >= @floor
 * @entitlement: between the two
 * @usable: what it has
 * @target: what it was last asked to come to
 * @ceiling: what it is granted
 * @available: what the guest says it could use without swapping; a hint
 */
struct decide_vm {
	uint32_t flags;
	uint64_t floor;
	uint64_t maximum;
	uint64_t entitlement;
	uint64_t usable;
	uint64_t target;
	uint64_t ceiling;
	uint64_t available;
};

struct decide_change {
	uint64_t target;
	uint64_t ceiling;
	uint32_t bounds;	/* enum decide_bound of all that applied */
};

/*
 * Bound a policy's answer for @vm.  The result equals @vm's target and ceiling when nothing is to change.  It is
 * always within floor and maximum unless nothing changes, and target <= ceiling.
 */
struct decide_change decide_answer(const struct decide_vm *vm, uint64_t new_target, uint64_t new_ceiling);

/*
 * The least that @vm may be asked to come to in one step: half of what it could spare is left to it.  That is what
 * it says is available, and at least what it has above its entitlement.
 */
uint64_t decide_lowest(const struct decide_vm *vm);

/*
 * How much of @wanted a claim is worth for a guest that left @unused grants in a row unused: half as much with
 * each of them, and less what it still has unused.  A multiple of DECIDE_UNIT, or what is left to its
 * maximum.
 */
uint64_t decide_claim(const struct decide_vm *vm, uint64_t wanted, unsigned int unused);

/*
 * What @vm may have granted of @claim: up to its entitlement as far as @relief goes, which is what the ledger has
 * free for it, beyond that @ordinary, which is the same without the reserve.
 */
uint64_t decide_grant(const struct decide_vm *vm, uint64_t claim, uint64_t relief, uint64_t ordinary);

/*
 * How far @donor's ceiling may be lowered for another one's claim of @amount, in @ret_change; returns by how much.
 * Credit that it does not use goes first.  Being under pressure itself protects nobody's loan, and neither do old
 * statistics: they say what would hurt, not what is due.
 */
uint64_t decide_donor(const struct decide_vm *donor, uint64_t amount, struct decide_change *ret_change);

/**
 * struct decide_tokens - a budget that bounds how often something may happen
 * @tokens: left, in thousandths
 * @at_ns: when @tokens was right
 */
struct decide_tokens {
	uint64_t tokens;
	uint64_t at_ns;
};

/*
 * Take one token out of a budget of @per_second with room for @burst.  Returns zero when there was one, else in
 * how many nanoseconds there will be @burst / 2 of them.
 */
uint64_t decide_take_token(struct decide_tokens *tokens, uint64_t now_ns, uint32_t per_second, uint32_t burst);

#endif
