// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a guest says about its memory: when it is asked, how long its answer is good for, and the rates between two
 * answers.  All of it is a hint.
 */
#include "vm-internal.h"

#include "relief.h"
#include "tide_balance.h"

#include <string.h>

/* Statistics are good for this long; those of a guest that does not change for longer and longer. */
#define STATS_GOOD_NS		(4 * NSEC_PER_SEC)
#define STATS_GOOD_MAX_NS	(60 * NSEC_PER_SEC)
#define CPU_GOOD_NS		(2 * STATS_GOOD_NS)
/* A guest that has not answered is asked again after this: it may have missed the interrupt, or be paused. */
#define ASK_AGAIN_NS		(10 * NSEC_PER_SEC)
/* Rates over less than this are noise. */
#define RATE_MIN_NS		(200 * NSEC_PER_MSEC)

void vm_start_stats(struct vm *vm)
{
	vm->refresh = (uint32_t)vm_now(vm);
	vm->rates.cpu = BALANCE_UNKNOWN;
	vm->refresh_wait_ns = STATS_GOOD_NS;
}

void vm_forget_stats(struct vm *vm)
{
	memset(&vm->stats, 0, sizeof(vm->stats));
	vm->rates = (struct vm_rates){ .cpu = BALANCE_UNKNOWN };
	vm->stats_ns = 0;
	vm->base_ns = 0;
	vm->stats_seq = 0;
	vm->refresh_ns = 0;
}

void vm_ask_stats(struct vm *vm)
{
	if (!vm->published.generation || vm->manager->dry_run)
		return;
	if (vm->refresh_ns && vm_now(vm) - vm->refresh_ns < ASK_AGAIN_NS)
		return;
	vm->refresh++;
	vm->refresh_ns = vm_now(vm);
	vm->published.refresh = vm->refresh;
	vm_tell_guest(vm);
}

uint64_t vm_stats_age_ns(const struct vm *vm)
{
	return vm->stats_ns ? vm_now(vm) - vm->stats_ns : UINT64_MAX;
}

bool vm_stats_stale(const struct vm *vm)
{
	return vm_stats_age_ns(vm) > 2 * STATS_GOOD_NS;
}

/* What the guest said, less what it was asked for since. */
uint64_t vm_available(const struct vm *vm)
{
	return vm->stats.available > vm->taken ? vm->stats.available - vm->taken : 0;
}

static uint64_t rate(uint64_t now, uint64_t before, uint64_t ns)
{
	if (now <= before)
		return 0;
	/* No guest does more than this in a second, and the product stays within 64 bits. */
	if (now - before > UINT32_MAX)
		return UINT32_MAX;
	return (now - before) * 1000 / (ns / 1000000);
}

/* By the guest's own clock where that is plausible: it wrote the counters at times that we do not know. */
static void update_rates(struct vm *vm, uint64_t now)
{
	const struct memtide_stats *new = &vm->stats, *old = &vm->stats_base;
	uint64_t ours = now - vm->base_ns;
	uint64_t ns = new->time_ns - old->time_ns;

	if (vm->base_ns && ours < RATE_MIN_NS)
		return;
	if (new->time_ns <= old->time_ns || ns > 2 * ours + NSEC_PER_SEC || ns < RATE_MIN_NS / 2)
		ns = ours;
	if (vm->base_ns && ns >= 1000000) {
		vm->rates.refault_file = rate(new->refault_file, old->refault_file, ns);
		vm->rates.refault_anon = rate(new->refault_anon, old->refault_anon, ns);
		vm->rates.scan_direct = rate(new->scan_direct, old->scan_direct, ns);
		vm->rates.swap = rate(new->swap_in, old->swap_in, ns) + rate(new->swap_out, old->swap_out, ns);
		vm->rates.psi_some = rate(new->psi_some_us, old->psi_some_us, ns);
		/* An average over a minute says nothing of what a guest does now. */
		vm->rates.cpu = new->cpu_us && ns <= CPU_GOOD_NS ? rate(new->cpu_us, old->cpu_us, ns) : BALANCE_UNKNOWN;
	}
	vm->stats_base = *new;
	vm->base_ns = now;
}

/* A guest whose memory does not change is asked less and less often. */
static void pace_refreshes(struct vm *vm, const struct memtide_stats *before)
{
	uint64_t change = before->available > vm->stats.available ? before->available - vm->stats.available :
								     vm->stats.available - before->available;

	if (change > vm->ledger.terms.ram / 64 || vm->pressed)
		vm->refresh_wait_ns = STATS_GOOD_NS;
	else if (vm->refresh_wait_ns < STATS_GOOD_MAX_NS)
		vm->refresh_wait_ns += vm->refresh_wait_ns / 2;
}

bool vm_read_stats(struct vm *vm)
{
	const struct virtio_tide_stats *shared = vm_state_at(vm, VIRTIO_TIDE_STATS_OFFSET);
	struct memtide_stats before = vm->stats;
	uint32_t seq = vm_peek_seq(shared);

	if (seq == vm->stats_seq || memtide_stats_read(shared, vm->ledger.terms.ram, &vm->stats) < 0)
		return false;
	vm->stats_seq = seq;
	vm->stats_ns = vm_now(vm);
	vm_heard(vm);
	if (!vm->lowering)
		vm->taken = 0;
	if (vm->refresh_ns && vm->stats.refresh == vm->refresh) {
		vm->refresh_ns = 0;
		pace_refreshes(vm, &before);
		relief_answered(vm->manager);
	}
	update_rates(vm, vm->stats_ns);
	return true;
}
