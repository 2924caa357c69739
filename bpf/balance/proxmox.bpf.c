// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * proxmox: what Proxmox VE does, as a baseline to compare with.
 *
 * The rules are those of pve-manager's auto-ballooning, as published in PVE/Service/pvestatd.pm and
 * PVE/AutoBalloon.pm (compute_alg1) and in the "Memory" section of the qm manual:
 *
 *  - Every 10 s, the goal is 80 % of the host's memory less what is in use.  Above 10 MiB everybody may grow by
 *    that much together, below -10 MiB everybody has to shrink by it, in between nothing happens.
 *  - What all VMs have above their floors ("balloon_min") is shared out anew, with the goal added, by shares; a VM
 *    moves towards its part of that by at most 100 MiB a round and stays between floor and maximum.  What one at
 *    its bound cannot take or give is offered to the rest again.
 *  - Growing starts with VMs under pressure: those whose free memory is at most a quarter of their floor, or not
 *    known.  Shrinking starts with the others.  Only if that group moves nothing at all are all VMs considered.
 *
 * "In use" is here what the ledger charges against the budget: the budget takes the place of the host's memory.
 * There is no credit: the ceiling is the target.
 *
 * Works where VMs need about what their shares give them and change slowly.  Fails where they do not: need plays
 * no part beyond "little free memory", page cache counts as use, 100 MiB in 10 s is 10 MiB/s, and a fifth of
 * the budget stays empty.
 */
#include "tide_balance_bpf.h"

char LICENSE[] SEC("license") = "GPL";

KNOB(__u32, target_percent, 80, 1, 100, "use of the budget that is aimed at, in percent");
KNOB(__u32, interval_ms, 10000, 100, 3600000, "time between two rounds that may change something");
KNOB(__u64, step_bytes, 104857600, 1048576, 1099511627776, "most that one VM may move in a round");
KNOB(__u64, deadband_bytes, 10485760, 0, 1099511627776, "a goal below this, up or down, changes nothing");
KNOB(__u32, pressed_percent, 25, 0, 100, "a VM with less of its floor than this free is under pressure");

/* A pass that moves anything moves at least one VM to a bound; real hosts settle in a few. */
#define MAX_PASSES	32

/* The table's own state: when the last round was that could change something, plus one. */
enum { LAST_ROUND };

/* A row's state is scratch here, rewritten in every round. */
enum { LISTS, DONE };
#define LIST_ALL	0x1
#define LIST_PRESSED	0x2
#define LIST_EASY	0x4

/* Arithmetic is in pages: with shares up to a million, bytes would not fit 64 bits. */
#define PAGE_SHIFT	12

struct change {
	__u64 list;		/* which rows take part */
	__s64 rest;		/* pages that are still to be moved, with the sign of the goal */
	__s64 above_floors;	/* pages that the open rows have above their floors */
	__u64 shares;		/* of the open rows */
	__s64 moved;		/* pages moved in this pass */
	__u64 grow;		/* truth values; with bytes the verifier loses sight of what a walk returns */
	__u64 repeat;
	__u64 progress;
};

/*
 * Not on the stack, where the verifier would follow every value that a walk can leave in it; and not static, or
 * the compiler takes it apart into variables that no longer fit their BTF.
 */
struct change change;

static __s64 pages(__u64 bytes)
{
	return bytes >> PAGE_SHIFT;
}

/* BPF before version 4 of its instruction set has no signed division. */
static __s64 part_of(__s64 amount, __u64 shares, __u64 of)
{
	if (!of)
		return 0;
	return amount < 0 ? -(__s64)(-amount * shares / of) : (__s64)(amount * shares / of);
}

static bool takes_part(const struct balance_vm *vm)
{
	return (vm->state[LISTS] & change.list) && !vm->state[DONE];
}

static long sort_row(__u32 i, void *ctx)
{
	struct balance_vm *vm = balance_row(i);

	if (!vm)
		return 1;
	vm->state[LISTS] = 0;
	vm->new_target = vm->usable;
	if (!(vm->flags & BALANCE_VM_MANAGED))
		return 0;
	vm->state[LISTS] = LIST_ALL;
	if (!(vm->flags & BALANCE_VM_STALE) && vm->free > vm->floor * pressed_percent / 100 &&
	    vm->usable >= vm->floor)
		vm->state[LISTS] |= LIST_EASY;
	else
		vm->state[LISTS] |= LIST_PRESSED;
	return 0;
}

static long open_row(__u32 i, void *ctx)
{
	struct balance_vm *vm = balance_row(i);

	if (!vm)
		return 1;
	vm->state[DONE] = 0;
	return 0;
}

static long sum_row(__u32 i, void *ctx)
{
	struct balance_vm *vm = balance_row(i);

	if (!vm)
		return 1;
	if (takes_part(vm)) {
		change.above_floors += pages(vm->new_target) - pages(vm->floor);
		change.shares += vm->shares;
	}
	return 0;
}

static long move_row(__u32 i, void *ctx)
{
	struct balance_vm *vm = balance_row(i);
	__s64 now, desired, to;

	if (!vm)
		return 1;
	if (!takes_part(vm))
		return 0;

	now = pages(vm->usable);
	desired = pages(vm->floor) + part_of(change.above_floors + change.rest, vm->shares, change.shares);
	if (desired > pages(vm->maximum)) {
		desired = pages(vm->maximum);
		change.repeat = true;
	} else if (desired < pages(vm->floor)) {
		desired = pages(vm->floor);
		change.repeat = true;
	}

	if (change.grow && desired > now) {
		to = now + pages(step_bytes);
		to = to > desired ? desired : to;
	} else if (desired < now) {
		to = now - pages(step_bytes);
		to = to > desired ? to : desired;
	} else {
		vm->state[DONE] = 1;
		return 0;
	}
	if (to != pages(vm->new_target)) {
		change.moved += to - pages(vm->new_target);
		vm->new_target = (__u64)to << PAGE_SHIFT;
		change.repeat = true;
		change.progress = true;
	}
	return 0;
}

static long one_pass(__u32 i, void *ctx)
{
	struct balance_table *t = balance_table();

	if (!t)
		return 1;
	change.above_floors = 0;
	change.shares = 0;
	change.moved = 0;
	change.repeat = false;
	change.progress = false;
	balance_walk(t, sum_row, NULL);
	balance_walk(t, move_row, NULL);
	change.rest -= change.moved;
	return change.rest && change.repeat && change.progress ? 0 : 1;
}

/* Move @goal pages among the rows of @list; returns what could not be moved. */
static __s64 change_list(struct balance_table *t, __u64 list, __s64 goal, bool grow)
{
	change.list = list;
	change.rest = goal;
	change.grow = grow;
	balance_walk(t, open_row, NULL);
	bpf_loop(MAX_PASSES, one_pass, NULL, 0);
	return change.rest;
}

static long answer_row(__u32 i, void *ctx)
{
	struct balance_vm *vm = balance_row(i);

	if (!vm)
		return 1;
	vm->new_ceiling = vm->new_target;
	if (pages(vm->new_target) == pages(vm->usable))
		vm->reason = BALANCE_KEEP;
	else
		vm->reason = change.grow ? BALANCE_HOST_LOW : BALANCE_HOST_HIGH;
	vm->rule = vm->state[LISTS];
	return 0;
}

/* Too early since the last round?  Its own pace, whatever wakes the controller. */
static bool too_early(struct balance_table *t)
{
	__u64 last = t->state[LAST_ROUND];

	if (last && t->host.time_ms + 1 < last + interval_ms)
		return true;
	t->state[LAST_ROUND] = t->host.time_ms + 1;
	return false;
}

SEC("syscall")
POLICY_ABOUT("Proxmox VE's published rules: every 10 s towards 80 % use, by shares, at most 100 MiB a VM")
int balance(void *unused)
{
	struct balance_table *t = balance_table();
	__s64 goal, rest;
	bool grow;

	if (!t || too_early(t))
		return 0;

	goal = pages(t->host.budget) * target_percent / 100 - pages(t->host.charged);
	grow = goal > 0;
	if ((grow ? goal : -goal) <= pages(deadband_bytes))
		return 0;

	balance_walk(t, sort_row, NULL);
	rest = change_list(t, grow ? LIST_PRESSED : LIST_EASY, goal, grow);
	if (rest == goal)
		change_list(t, LIST_ALL, rest, grow);
	balance_walk(t, answer_row, NULL);
	return 0;
}
