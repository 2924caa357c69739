// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Claims and who pays for them.  A claim is granted what is free; for the rest, up to the claimant's entitlement,
 * those that hold more than theirs are asked to come down.  What they give is granted to whoever has waited
 * longest.
 */
#include "relief.h"

#include "decide.h"
#include "manager.h"
#include "vm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tide_balance.h"

/* How many VMs are asked for one search: the most that is worth waiting for, and a bound on its cost. */
#define DONORS			8
/* Statistics of a donor may be this old; else it is asked for new ones first. */
#define DONOR_STATS_NS		NSEC_PER_SEC
/* An idle guest answers a refresh within one wake-up of a virtual CPU.  Who takes longer gives unheard. */
#define ANSWER_NS		(20 * NSEC_PER_MSEC)
#define ANSWER_LOOK_NS		(1 * NSEC_PER_MSEC)
/* A search looks at every VM, so under a storm of claims one search serves them all. */
#define SEARCH_EVERY_NS		(5 * NSEC_PER_MSEC)
/* How long a claim stands; as long as in the guest (claim_ms of its driver), which then makes another. */
#define WAIT_NS			NSEC_PER_SEC

struct donor {
	struct vm *vm;
	uint64_t spare;
	int rank;	/* whom its domain would have asked first has the highest */
};

static void enqueue(struct vm *vm)
{
	struct relief *relief = &vm->manager->relief;

	if (vm->waiting)
		return;
	vm->waiting = true;
	vm->waiting_ns = loop_now(vm->manager->loop);
	vm->next_waiting = NULL;
	*relief->last = vm;
	relief->last = &vm->next_waiting;
}

static void dequeue(struct vm *vm)
{
	struct relief *relief = &vm->manager->relief;
	struct vm **at = &relief->first;

	if (!vm->waiting)
		return;
	while (*at != vm)
		at = &(*at)->next_waiting;
	*at = vm->next_waiting;
	if (!*at)
		relief->last = at;
	vm->waiting = false;
}

static void log_grant(struct vm *vm, uint64_t before, uint64_t wanted, uint64_t grant, uint64_t claim)
{
	struct manager *manager = vm->manager;
	struct decision *entry = decision_log_draft(manager->log, DECISION_RELIEF, loop_now(manager->loop));

	entry->vm_id = vm->id;
	memcpy(entry->vm, vm->name, sizeof(entry->vm));
	entry->trigger = BALANCE_PRESSURE;
	entry->reason = BALANCE_GROW_PRESSURE;
	entry->has_inputs = true;
	entry->inputs = (struct decision_inputs){
		.usable = vm->ledger.usable, .charged = vm->ledger.charged, .floor = vm->ledger.terms.floor,
		.maximum = vm->ledger.terms.maximum, .entitlement = memtide_ledger_entitlement(&vm->ledger),
		.wanted = wanted, .available = vm->stats.available, .anon = vm->stats.anon, .file = vm->stats.file,
		.refault_file_rate = vm->rates.refault_file, .refault_anon_rate = vm->rates.refault_anon,
		.psi_some_rate = vm->rates.psi_some, .cpu_rate = vm->rates.cpu, .stats_age_ms = vm_stats_age_ns(vm) / NSEC_PER_MSEC,
		.budget = manager->ledger.budget,
		.room = memtide_ledger_room(&manager->ledger, MEMTIDE_LEDGER_RELIEF),
	};
	entry->target_before = vm->published.target;
	entry->target = vm->target;
	entry->ceiling_before = before;
	entry->ceiling = vm->ledger.ceiling;
	entry->achieved = vm->ledger.usable;
	snprintf(entry->message, sizeof(entry->message),
		 "claims %" PRIu64 " MiB, gets %" PRIu64 " MiB from %s (counts for %" PRIu64
		 " MiB, entitled to %" PRIu64 " MiB, ceiling now %" PRIu64 " MiB)",
		 wanted >> 20, grant >> 20, vm->grant_path == VIRTIO_TIDE_PATH_DONOR ? "donors" : "the reserve",
		 claim >> 20, entry->inputs.entitlement >> 20, vm->ledger.ceiling >> 20);
	decision_log_add(manager->log, LOG_LEVEL_INFO);
}

/* Grant what there is room for.  Returns how much of the claim is still open. */
static uint64_t grant(struct vm *vm, uint32_t path)
{
	struct decide_vm view = vm_decide_view(vm);
	uint64_t claim = decide_claim(&view, vm->wanted, vm->unused);
	uint64_t before = vm->ledger.ceiling, wanted = vm->wanted, relief, ordinary, bytes;
	uint32_t path_before = vm->grant_path;

	if (!wanted)
		return 0;
	relief = vm_most(vm, MEMTIDE_LEDGER_RELIEF);
	ordinary = vm_most(vm, MEMTIDE_LEDGER_ORDINARY);
	relief = relief > before ? relief - before : 0;
	ordinary = ordinary > before ? ordinary - before : 0;
	bytes = decide_grant(&view, claim, relief, ordinary);
	if (!bytes)
		return claim;
	vm->grant_path = path;
	/* What was decided about its target stays true: it is as far from its ceiling as before. */
	if (vm_set(vm, before + bytes, vm->target + bytes, MEMTIDE_LEDGER_RELIEF) < 0) {
		vm->grant_path = path_before;
		return claim;
	}
	vm->wanted -= bytes < wanted ? bytes : wanted;
	vm_watch_grant(vm, bytes);
	log_grant(vm, before, wanted, bytes, claim);
	return vm->wanted ? claim - bytes : 0;
}

static void deny(struct vm *vm)
{
	dequeue(vm);
	vm_deny(vm);
}

static void deny_all(struct manager *manager)
{
	while (manager->relief.first)
		deny(manager->relief.first);
}

static int rank_of(const struct vm *vm)
{
	if (!vm->domain || !vm->domain->about.has_policy)
		return 1;
	switch (vm->domain->about.policy.donate) {
	case MEMTIDE_DONATE_FIRST:
		return 2;
	case MEMTIDE_DONATE_LAST:
		return 0;
	case MEMTIDE_DONATE_NORMAL:
		break;
	}
	return 1;
}

static bool better(const struct donor *a, const struct donor *b)
{
	if (!b->vm)
		return true;
	return a->rank != b->rank ? a->rank > b->rank : a->spare > b->spare;
}

/* Insert into the few that would be asked first, and of those hold most beyond what nobody may take from them. */
static void keep_best(struct donor *best, const struct donor *donor)
{
	int i = DONORS - 1;

	if (!better(donor, &best[i]))
		return;
	for (; i > 0 && better(donor, &best[i - 1]); i--)
		best[i] = best[i - 1];
	best[i] = *donor;
}

/* Who might give, by what is known without asking. */
static void find_donors(struct manager *manager, struct donor *best)
{
	for (uint32_t row = 0; row < manager->nr_vms; row++) {
		struct donor donor = { .vm = manager->vms[row] };
		struct vm *vm = donor.vm;
		uint64_t keep;

		if (!vm_managed(vm) || vm->lowering)
			continue;
		keep = memtide_ledger_entitlement(&vm->ledger);
		if (vm->ledger.ceiling < keep + DECIDE_UNIT)
			continue;
		donor.spare = vm->ledger.ceiling - keep;
		donor.rank = rank_of(vm);
		keep_best(best, &donor);
	}
}

static uint64_t lower_donor(struct vm *vm, uint64_t amount)
{
	struct manager *manager = vm->manager;
	struct decide_vm view = vm_decide_view(vm);
	struct decide_change change;
	struct decision *entry;
	uint64_t before = vm->ledger.ceiling, target_before = vm->target;
	uint64_t bytes = decide_donor(&view, amount, &change);

	if (!bytes)
		return 0;
	vm->state_flags |= VIRTIO_TIDE_STATE_URGENT;
	if (vm_set(vm, change.ceiling, change.target, MEMTIDE_LEDGER_RELIEF) < 0) {
		vm->state_flags &= ~VIRTIO_TIDE_STATE_URGENT;
		return 0;
	}
	entry = decision_log_draft(manager->log, DECISION_RELIEF, loop_now(manager->loop));
	entry->vm_id = vm->id;
	memcpy(entry->vm, vm->name, sizeof(entry->vm));
	entry->trigger = BALANCE_PRESSURE;
	entry->reason = BALANCE_SHRINK_DONOR;
	entry->bounds = change.bounds;
	entry->target_before = target_before;
	entry->target = change.target;
	entry->ceiling_before = before;
	entry->ceiling = change.ceiling;
	entry->achieved = vm->lowering ? DECISION_UNDER_WAY : vm->ledger.usable;
	snprintf(entry->message, sizeof(entry->message),
		 "gives %" PRIu64 " MiB to others under pressure (ceiling now %" PRIu64
		 " MiB, entitled to %" PRIu64 " MiB, %" PRIu64 " MiB available)",
		 bytes >> 20, change.ceiling >> 20, view.entitlement >> 20, view.available >> 20);
	vm->lowering_entry = decision_log_add(manager->log, LOG_LEVEL_INFO);
	return bytes;
}

/* Coming down, or has come down just now and is about to be seen free. */
static bool is_coming(const struct vm *vm)
{
	return vm->lowering || (vm->ledger.charged > vm->ledger.ceiling && vm->last_lower_ns &&
				loop_now(vm->manager->loop) - vm->last_lower_ns < WAIT_NS);
}

/* How much is waited for beyond what is already coming down. */
static uint64_t missing(struct manager *manager)
{
	uint64_t wanted = domains_missing(manager), coming = 0;

	for (struct vm *vm = manager->relief.first; vm; vm = vm->next_waiting) {
		struct decide_vm view = vm_decide_view(vm);
		uint64_t claim = decide_claim(&view, vm->wanted, vm->unused);
		/* Nobody is asked for what its tenant's budget keeps from it. */
		uint64_t limit = vm->domain ? tenant_room_left(vm->domain) : UINT64_MAX;
		uint64_t most = view.entitlement < limit ? view.entitlement : limit;
		uint64_t open = most > view.ceiling ? most - view.ceiling : 0;

		wanted += claim < open ? claim : open;
	}
	for (uint32_t row = 0; row < manager->nr_vms; row++) {
		struct vm *vm = manager->vms[row];

		if (is_coming(vm) && vm->ledger.charged > vm->ledger.ceiling)
			coming += vm->ledger.charged - vm->ledger.ceiling;
	}
	return wanted > coming ? wanted - coming : 0;
}

/*
 * Ask those whose statistics are fresh, and ring for the others' once: so the one is taken that it hurts least.
 * Who has not answered then gives all the same, since it is only asked for what it has above its entitlement.
 * Returns whether answers are worth waiting for.
 */
static bool ask_donors(struct manager *manager, bool may_wait)
{
	struct donor best[DONORS] = { 0 };
	uint64_t amount = missing(manager), deficit = memtide_ledger_deficit(&manager->ledger);
	bool wait = false;

	if (!amount)
		return false;
	/* What is charged above the budget has to come down as well before anybody is granted anything. */
	amount += deficit;
	find_donors(manager, best);
	for (int i = 0; i < DONORS && best[i].vm && amount; i++) {
		struct vm *vm = best[i].vm;
		uint64_t given;

		vm_read_stats(vm);
		if (may_wait && vm_stats_age_ns(vm) > DONOR_STATS_NS) {
			vm_ask_stats(vm);
			wait |= vm->refresh_ns != 0;
			continue;
		}
		given = lower_donor(vm, amount);
		amount -= given < amount ? given : amount;
	}
	return wait && amount;
}

static bool anything_coming(const struct manager *manager)
{
	for (uint32_t row = 0; row < manager->nr_vms; row++)
		if (is_coming(manager->vms[row]))
			return true;
	return false;
}

static bool anybody_waits(const struct manager *manager)
{
	return manager->relief.first || manager->domains.waiting;
}

static void set_timer(struct manager *manager, uint64_t at_ns)
{
	struct loop_timer *timer = &manager->relief.timer;

	if (!loop_timer_is_set(timer) || timer->at_ns > at_ns)
		loop_timer_set(manager->loop, timer, at_ns);
}

/* Those who wait get an answer: something is coming, or there is nothing to be had. */
void relief_search(struct manager *manager)
{
	struct relief *relief = &manager->relief;
	uint64_t now = loop_now(manager->loop);
	bool searching = relief->search_until_ns != 0;

	if (!anybody_waits(manager))
		return;
	if (!searching && now - relief->last_search_ns < SEARCH_EVERY_NS && relief->last_search_ns) {
		set_timer(manager, relief->last_search_ns + SEARCH_EVERY_NS);
		return;
	}
	relief->last_search_ns = now;
	if (!searching)
		relief->search_until_ns = now + ANSWER_NS;
	if (ask_donors(manager, now < relief->search_until_ns)) {
		set_timer(manager, now + ANSWER_LOOK_NS);
		return;
	}
	relief->search_until_ns = 0;
	if (!anything_coming(manager))
		domains_no_more(manager);
	/* What nobody owes may still be spare: that is for the policy to say, and its round is on its way. */
	if (!manager->policy && !anything_coming(manager))
		deny_all(manager);
	else if (relief->first)
		set_timer(manager, relief->first->waiting_ns + WAIT_NS);
}

static void relief_expired(struct loop_timer *timer)
{
	struct manager *manager = (struct manager *)((char *)timer - offsetof(struct manager, relief.timer));
	struct relief *relief = &manager->relief;
	uint64_t now = loop_now(manager->loop);

	while (relief->first && now - relief->first->waiting_ns >= WAIT_NS)
		deny(relief->first);
	relief_search(manager);
}

int relief_init(struct manager *manager)
{
	manager->relief.first = NULL;
	manager->relief.last = &manager->relief.first;
	return loop_timer_register(manager->loop, &manager->relief.timer, relief_expired);
}

void relief_fini(struct manager *manager)
{
	loop_timer_unregister(manager->loop, &manager->relief.timer);
}

void relief_claim(struct vm *vm, uint64_t wanted)
{
	struct manager *manager = vm->manager;

	if (manager->paused || manager->dry_run || !vm_managed(vm)) {
		vm_deny(vm);
		return;
	}
	vm_judge_grant(vm);
	vm_follow_counters(vm);
	vm->wanted = wanted;
	if (!grant(vm, vm->waiting ? VIRTIO_TIDE_PATH_DONOR : VIRTIO_TIDE_PATH_RESERVE)) {
		/* Met, or worth nothing: it is at its maximum, or has not used what it got. */
		dequeue(vm);
		if (vm->wanted == wanted)
			vm_deny(vm);
		return;
	}
	enqueue(vm);
	relief_search(manager);
}

void relief_pause(struct manager *manager)
{
	deny_all(manager);
}

void relief_forget(struct vm *vm)
{
	dequeue(vm);
}

void relief_room(struct manager *manager)
{
	struct vm *vm, *next;

	if (manager->paused)
		return;
	for (vm = manager->relief.first; vm; vm = next) {
		next = vm->next_waiting;
		if (!grant(vm, VIRTIO_TIDE_PATH_DONOR))
			dequeue(vm);
	}
	if (anybody_waits(manager))
		set_timer(manager, loop_now(manager->loop) + SEARCH_EVERY_NS);
}

void relief_answered(struct manager *manager)
{
	/* Not from within: the answer may have been read by a search. */
	if (anybody_waits(manager) && manager->relief.search_until_ns)
		set_timer(manager, loop_now(manager->loop));
}
