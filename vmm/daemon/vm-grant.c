// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whether a grant under pressure was used.  A guest that claims what it does not need finds that its claims count
 * for less.
 */
#include "vm-internal.h"

/* A grant is judged when the guest had this long to use it, and used means at least a quarter of it. */
#define JUDGE_NS		NSEC_PER_SEC
#define JUDGE_PART		4

void vm_watch_grant(struct vm *vm, uint64_t granted)
{
	if (vm->watch.active) {
		vm->watch.granted += granted;
		return;
	}
	vm->watch = (struct vm_watch){
		.active = true,
		.since_ns = vm_now(vm),
		.granted = granted,
		.usable = vm->ledger.usable,
		.resident = vm->cgroup[0] ? vm_resident(vm) : MEMTIDE_LEDGER_UNKNOWN,
	};
}

static bool followed(uint64_t now, uint64_t before, uint64_t granted)
{
	return now >= before + granted / JUDGE_PART;
}

void vm_judge_grant(struct vm *vm)
{
	struct vm_watch *watch = &vm->watch;
	uint64_t resident;
	bool used;

	if (!watch->active || vm_now(vm) - watch->since_ns < JUDGE_NS)
		return;
	watch->active = false;
	vm_observe(vm);
	used = followed(vm->ledger.usable, watch->usable, watch->granted);
	/* Saying so is not using: memory that was taken back and is used becomes resident again. */
	if (used && vm->cgroup[0] && watch->resident != MEMTIDE_LEDGER_UNKNOWN) {
		resident = vm_resident(vm);
		used = resident == MEMTIDE_LEDGER_UNKNOWN || followed(resident, watch->resident, watch->granted);
	}
	if (used)
		vm->unused = 0;
	else if (vm->unused < DECIDE_MAX_UNUSED)
		vm->unused++;
}
