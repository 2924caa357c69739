// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bounds outside the policy, as arithmetic.
 */
#include "decide.h"

#include <linux/types.h>
#include <stdbool.h>

#include "tide_balance.h"

#define TOKEN	UINT64_C(1000)

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t unit_down(uint64_t bytes)
{
	return bytes - bytes % DECIDE_UNIT;
}

static uint64_t unit_up(uint64_t bytes)
{
	return bytes > UINT64_MAX - DECIDE_UNIT ? unit_down(bytes) : unit_down(bytes + DECIDE_UNIT - 1);
}

uint64_t decide_lowest(const struct decide_vm *vm)
{
	uint64_t slack, lent;

	if (vm->usable <= vm->floor)
		return vm->floor;
	slack = min64(vm->usable - vm->floor, vm->available);
	/* What is only lent can be called in whatever the guest says about it. */
	lent = vm->usable - min64(vm->usable, max64(vm->entitlement, vm->floor));
	return unit_up(vm->usable - max64(slack, lent) / 2);
}

/* Below this nothing is lowered in one step; what was asked for already stays asked for. */
static uint64_t step_limit(const struct decide_vm *vm)
{
	return max64(min64(vm->target, decide_lowest(vm)), vm->floor);
}

static bool too_small(const struct decide_vm *vm, uint64_t before, uint64_t after)
{
	uint64_t change = before > after ? before - after : after - before;

	return change && change < DECIDE_MIN_CHANGE && after != vm->maximum && after != vm->floor;
}

static struct decide_change no_change(const struct decide_vm *vm, uint32_t bounds)
{
	return (struct decide_change){ .target = vm->target, .ceiling = vm->ceiling, .bounds = bounds };
}

static uint64_t within(const struct decide_vm *vm, uint64_t bytes, uint32_t *bounds)
{
	if (bytes < vm->floor) {
		*bounds |= DECIDE_AT_FLOOR;
		return vm->floor;
	}
	if (bytes > vm->maximum) {
		*bounds |= DECIDE_AT_MAXIMUM;
		return vm->maximum;
	}
	/* The maximum need not be a multiple of the unit and may be reached all the same. */
	return bytes == vm->maximum ? bytes : max64(unit_down(bytes), vm->floor);
}

struct decide_change decide_answer(const struct decide_vm *vm, uint64_t new_target, uint64_t new_ceiling)
{
	struct decide_change change = { 0 };
	bool lower, small_ceiling, small_target;

	if (!(vm->flags & BALANCE_VM_MANAGED))
		return no_change(vm, DECIDE_UNMANAGED);
	if (vm->flags & BALANCE_VM_STALE)
		return no_change(vm, DECIDE_STALE);
	if (new_target > new_ceiling || new_ceiling > UINT64_MAX / 2)
		return no_change(vm, DECIDE_NONSENSE);
	change.ceiling = within(vm, new_ceiling, &change.bounds);
	change.target = min64(within(vm, new_target, &change.bounds), change.ceiling);

	lower = change.ceiling < vm->ceiling || change.target < vm->target;
	if (lower && vm->flags & BALANCE_VM_MOVING)
		return no_change(vm, DECIDE_MOVING);
	/* What is above its maximum must come down however slowly it does. */
	if (lower && vm->flags & BALANCE_VM_STALLED && vm->ceiling <= vm->maximum)
		return no_change(vm, DECIDE_STALLED);
	if (lower) {
		uint64_t limit = min64(step_limit(vm), vm->maximum);

		if (change.ceiling < limit || change.target < limit)
			change.bounds |= DECIDE_STEP;
		change.ceiling = max64(change.ceiling, min64(limit, vm->ceiling));
		change.target = max64(change.target, limit);
		change.target = min64(change.target, change.ceiling);
	}
	small_ceiling = too_small(vm, vm->ceiling, change.ceiling);
	small_target = too_small(vm, vm->target, change.target);
	if (small_ceiling && small_target)
		return no_change(vm, change.bounds | DECIDE_SMALL);
	if (small_ceiling)
		change.ceiling = max64(vm->ceiling, change.target);
	if (small_target)
		change.target = min64(vm->target, change.ceiling);
	if (small_ceiling || small_target)
		change.bounds |= DECIDE_SMALL;
	return change;
}

static uint64_t unspent(const struct decide_vm *vm)
{
	return vm->ceiling - min64(vm->ceiling, vm->usable);
}

uint64_t decide_claim(const struct decide_vm *vm, uint64_t wanted, unsigned int unused)
{
	uint64_t room = vm->maximum - min64(vm->ceiling, vm->maximum);

	if (unused > DECIDE_MAX_UNUSED)
		unused = DECIDE_MAX_UNUSED;
	wanted = max64(min64(wanted, DECIDE_MAX_GRANT) >> unused, DECIDE_MIN_GRANT);
	/* Who did not use what it got has it still. */
	if (unused)
		wanted -= min64(wanted, unspent(vm));
	return min64(unit_up(wanted), room);
}

uint64_t decide_grant(const struct decide_vm *vm, uint64_t claim, uint64_t relief, uint64_t ordinary)
{
	uint64_t below = vm->entitlement - min64(vm->ceiling, vm->entitlement);
	uint64_t grant;

	if (unspent(vm) >= DECIDE_LOAN_UNSPENT)
		ordinary = 0;
	grant = min64(claim, max64(min64(below, relief), ordinary));
	return grant == claim ? grant : unit_down(grant);
}

uint64_t decide_donor(const struct decide_vm *donor, uint64_t amount, struct decide_change *ret_change)
{
	struct decide_change change = no_change(donor, 0);
	uint64_t lowest;

	*ret_change = change;
	if (!(donor->flags & BALANCE_VM_MANAGED))
		ret_change->bounds = DECIDE_UNMANAGED;
	else if (donor->flags & BALANCE_VM_MOVING)
		ret_change->bounds = DECIDE_MOVING;
	else if (donor->flags & BALANCE_VM_STALLED)
		ret_change->bounds = DECIDE_STALLED;
	if (ret_change->bounds)
		return 0;

	lowest = max64(decide_lowest(donor), unit_up(max64(donor->entitlement, donor->floor)));
	if (donor->ceiling <= lowest || donor->ceiling - lowest < DECIDE_UNIT) {
		ret_change->bounds = DECIDE_ENTITLED;
		return 0;
	}
	change.ceiling = unit_up(max64(lowest, donor->ceiling - min64(donor->ceiling, unit_up(amount))));
	if (change.ceiling >= donor->ceiling)
		return 0;
	change.target = min64(donor->target, change.ceiling);
	*ret_change = change;
	return donor->ceiling - change.ceiling;
}

uint64_t decide_take_token(struct decide_tokens *tokens, uint64_t now_ns, uint32_t per_second, uint32_t burst)
{
	uint64_t full = burst * TOKEN;
	uint64_t passed = now_ns - tokens->at_ns;

	/* A long time fills it, whatever the multiplication below would make of it. */
	if (!tokens->at_ns || passed >= UINT64_C(1000000000) * burst)
		tokens->tokens = full;
	else
		tokens->tokens = min64(full, tokens->tokens + passed * per_second / 1000000);
	tokens->at_ns = now_ns;
	if (tokens->tokens >= TOKEN) {
		tokens->tokens -= TOKEN;
		return 0;
	}
	return (full / 2 - min64(full / 2, tokens->tokens)) * 1000000 / per_second;
}
