// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an administrator sets by hand past us, with `virsh setmem` or `virsh memtune`, wins: the VM is released, no more
 * than what was set counts as its memory, and nothing of it is touched until it is adopted.
 */
#include "vm-internal.h"

#include "domains.h"
#include "limits.h"
#include "relief.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "tide_balance.h"

/* @what of it was set; it may have @ceiling bytes. */
static void step_back(struct vm *vm, uint64_t ceiling, const char *what)
{
	snprintf(vm->stepped_back, sizeof(vm->stepped_back), "%s", what);
	manager_note(vm->manager, DECISION_CONTROL, LOG_LEVEL_WARNING, vm,
		     "%s (by hand): it is left alone until \"memtide vm adopt\"", vm->stepped_back);
	relief_forget(vm);
	if (vm->lowering)
		vm_lowering_ends(vm, false);
	memtide_ledger_step_back(&vm->ledger, ceiling);
	vm->state_flags = VIRTIO_TIDE_STATE_RELEASE;
	vm->target = vm->ledger.ceiling;
	vm_step(vm);
	round_request(vm->manager, BALANCE_CHANGE, ROUND_NOBODY);
}

static void lower_maximum(struct vm *vm, uint64_t most)
{
	const struct memtide_ledger_terms *terms = &vm->ledger.terms;
	uint64_t maximum = most < terms->ram ? most : terms->ram;

	if (maximum)
		vm_change_terms(vm, terms->floor < maximum ? terms->floor : maximum, maximum, terms->shares, NULL);
}

/*
 * A guest can write as well what its balloon says, so this gives a VM nothing that others could have asked back: no more
 * than it has or is entitled to, up to its maximum, and nobody's memory is called in for it.
 */
static void leave_balloon(struct vm *vm, uint64_t bytes, uint64_t most)
{
	char what[sizeof(vm->stepped_back)];

	if (most > vm->ledger.terms.maximum)
		most = vm->ledger.terms.maximum;
	if (most < bytes)
		snprintf(what, sizeof(what), "its balloon was set to %" PRIu64 " MiB, of which it may have %" PRIu64
			 " MiB", bytes >> 20, most >> 20);
	else
		snprintf(what, sizeof(what), "its balloon was set to %" PRIu64 " MiB", bytes >> 20);
	step_back(vm, most, what);
}

void vm_balloon_set_by_hand(struct vm *vm, uint64_t bytes)
{
	uint64_t before = vm->ledger.ceiling, most, entitled;

	vm->set_by_hand = false;
	/* Whatever it is told until then, it is left alone. */
	vm->state_flags = VIRTIO_TIDE_STATE_RELEASE;
	if (vm_own_terms(vm, NULL) < 0)
		lower_maximum(vm, bytes);
	most = vm_most(vm, MEMTIDE_LEDGER_ORDINARY);
	/* What is beyond that is lent, and could not be asked back. */
	entitled = memtide_ledger_entitlement(&vm->ledger);
	if (most > entitled)
		most = entitled;
	leave_balloon(vm, bytes, most > before ? most : before);
}

/* There may seem to be room just now: others have not come yet. */
void vm_balloon_was_set_by_hand(struct vm *vm)
{
	if (vm->domain && vm->domain->balloon_by_hand && !vm->manager->dry_run)
		leave_balloon(vm, vm->domain->balloon_by_hand, vm->ledger.ceiling);
}

/* What stands there holds the VM as well as a limit of ours would, unless it is none. */
void vm_limit_set_by_hand(struct vm *vm, const char *file, uint64_t value)
{
	uint64_t overhead = vm_overhead(vm), most = value > overhead ? value - overhead : 0;
	bool none = value == UINT64_MAX, again = vm->stepped_back[0];
	char what[sizeof(vm->stepped_back)];

	memtide_ledger_limit_done(&vm->ledger, none ? MEMTIDE_LEDGER_UNKNOWN : most);
	if (none || again) {
		snprintf(vm->not_enforced, sizeof(vm->not_enforced), "%s was set by hand", file);
		memtide_ledger_enforce(&vm->ledger, false, MEMTIDE_LEDGER_UNKNOWN);
	}
	if (again)
		return;
	if (none)
		snprintf(what, sizeof(what), "the cgroup's %s was set to no limit", file);
	else
		snprintf(what, sizeof(what), "the cgroup's %s was set to %" PRIu64 " MiB", file, value >> 20);
	/* Only an administrator can write that, and it is what the kernel lets the VM have. */
	lower_maximum(vm, most);
	step_back(vm, vm->ledger.terms.maximum, what);
}

static void take_over_limit(struct vm *vm)
{
	uint64_t limit = MEMTIDE_LEDGER_UNKNOWN, overhead = vm_overhead(vm);

	if (!vm->limit)
		return;
	limit_take_over(vm->limit);
	vm->not_enforced[0] = '\0';
	if (!memtide_cgroup_read(vm->cgroup, "memory.high", &limit) && limit != UINT64_MAX)
		limit = limit > overhead ? limit - overhead : 0;
	memtide_ledger_enforce(&vm->ledger, true, limit);
}

/* Whatever was set, here or past us, is ours again, and its terms are those of configuration and policy. */
static int take_over(struct vm *vm, struct memtide_errtext *errtext)
{
	uint64_t balloon = domain_leave_balloon(vm, 0);
	int r = vm_own_terms(vm, errtext);

	if (r < 0) {
		domain_leave_balloon(vm, balloon);
		return r;
	}
	vm->set_by_hand = false;
	if (vm->stepped_back[0])
		take_over_limit(vm);
	vm->stepped_back[0] = '\0';
	return 0;
}

int vm_adopt(struct vm *vm, struct memtide_errtext *errtext)
{
	int r = take_over(vm, errtext);

	if (r < 0)
		return r;
	domain_wait_for_policy(vm, false);
	return vm_release(vm, false);
}

int vm_release_all(struct vm *vm, struct memtide_errtext *errtext)
{
	const struct memtide_ledger *ledger = &vm->manager->ledger;
	uint64_t balloon = vm->domain ? vm->domain->balloon_by_hand : 0;
	int r = 0;

	/* What was set by hand is not all of it. */
	if (vm->stepped_back[0])
		r = vm_adopt(vm, errtext);
	if (r < 0)
		return r;
	if (vm_release(vm, true) >= 0)
		return 0;
	memtide_errtext_set(errtext, -ENOSPC, "no room for all of its memory, %" PRIu64 " MiB: %" PRIu64 " of %" PRIu64
			    " MiB are charged, %" PRIu64 " of them for it; lower others' maxima or raise the budget",
			    vm->ledger.terms.ram >> 20, ledger->charged >> 20, ledger->budget >> 20,
			    vm->ledger.charged >> 20);
	if (balloon) {
		domain_leave_balloon(vm, balloon);
		vm_balloon_set_by_hand(vm, balloon);
	}
	return -ENOSPC;
}
