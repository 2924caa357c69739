// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a VM's QEMU and the host count of it.  The ledger goes by these and by nothing that a guest can write.
 */
#include "vm-internal.h"

#include "relief.h"

#include <inttypes.h>

#include "tide_balance.h"

uint64_t vm_footprint(struct vm *vm, uint64_t age_ns)
{
	if (vm->footprint_ns && vm_now(vm) - vm->footprint_ns <= age_ns)
		return vm->footprint;
	if (vm->cgroup[0] ? memtide_cgroup_read(vm->cgroup, "memory.current", &vm->footprint) < 0
			  : memtide_process_resident(vm->pid, &vm->footprint) < 0)
		vm->footprint = 0;
	vm->footprint_ns = vm_now(vm);
	return vm->footprint;
}

/*
 * Without a cgroup the process's resident size has to do.  It holds things that are not the guest's, such as TCG's
 * translated code: as long as it is small it proves that given memory is free, and when it is large it proves
 * nothing.
 */
uint64_t vm_resident(const struct vm *vm)
{
	uint64_t bytes, overhead = vm_overhead(vm);

	if (vm->manager->options.same_process)
		return MEMTIDE_LEDGER_UNKNOWN;
	if (vm->cgroup[0]) {
		if (memtide_cgroup_in_use(vm->cgroup, &bytes) < 0)
			return MEMTIDE_LEDGER_UNKNOWN;
		return bytes > overhead ? bytes - overhead : 0;
	}
	if (memtide_process_resident(vm->pid, &bytes) < 0)
		return MEMTIDE_LEDGER_UNKNOWN;
	bytes = bytes > overhead ? bytes - overhead : 0;
	return bytes > vm->ledger.usable ? MEMTIDE_LEDGER_UNKNOWN : bytes;
}

/* The device was reset: rings and statistics are zero, and whatever drove it before is gone. */
static void forget_driver(struct vm *vm)
{
	memtide_ring_produce_from(&vm->to_guest, vm_state_at(vm, VIRTIO_TIDE_TO_GUEST_OFFSET));
	memtide_ring_consume_from(&vm->from_guest, vm_state_at(vm, VIRTIO_TIDE_TO_HOST_OFFSET));
	vm_forget_stats(vm);
	vm->watch.active = false;
	vm->unanswering = false;
	vm->stalled = false;
	vm_end_pressure(vm);
}

void vm_observe(struct vm *vm)
{
	enum memtide_ledger_state before = memtide_ledger_state(&vm->ledger);
	uint32_t seq = vm_peek_seq(vm->counters_region.start);
	uint64_t epoch = vm->counters.epoch;
	struct memtide_counters counters;
	bool waits;

	if (memtide_counters_read(vm->counters_region.start, &counters) < 0)
		return;
	vm->counters = counters;
	vm->counters_seq = seq;
	/*
	 * Asked for only where something waits for memory to be seen free, and whole huge pieces are without
	 * asking.
	 */
	waits = (vm->ledger.held || vm->ledger.promised > vm->ledger.ceiling) &&
		counters.given_bytes != counters.given_huge_bytes;
	memtide_ledger_observe(&vm->ledger, &counters, waits ? vm_resident(vm) : MEMTIDE_LEDGER_UNKNOWN);
	if (counters.epoch != epoch)
		forget_driver(vm);
	if (counters.epoch != epoch || memtide_ledger_state(&vm->ledger) != before)
		vm->target = vm->ledger.ceiling;
	if (memtide_ledger_state(&vm->ledger) == before)
		return;
	manager_note(vm->manager, DECISION_VM, LOG_LEVEL_INFO, vm, "%s, charged %" PRIu64 " MiB",
		     vm_state_name(vm), vm->ledger.charged >> 20);
	if (!vm_managed(vm)) {
		if (vm->lowering)
			vm_lowering_ends(vm, false);
		relief_forget(vm);
	}
	round_request(vm->manager, BALANCE_CHANGE, ROUND_NOBODY);
}

void vm_follow_counters(struct vm *vm)
{
	if (vm_peek_seq(vm->counters_region.start) == vm->counters_seq)
		return;
	vm_observe(vm);
	vm_step(vm);
}

void vm_notify_rung(struct vm *vm)
{
	vm_observe(vm);
	vm_step(vm);
}
