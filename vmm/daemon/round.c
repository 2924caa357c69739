// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a policy answers is bounded by decide.c and then needs room in the ledger.  Those that shrink go first; who
 * grows gets what there is room for, and nothing is kept of the rest: when others have come down there is a round
 * again, with answers of its own.
 */
#include "round.h"

#include "decide.h"
#include "manager.h"
#include "policy.h"
#include "vm.h"

#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tide_balance.h"

/* Rounds for something that happened: at once, then at most so often, and at most this part of the time. */
#define MIN_INTERVAL_NS		(100 * NSEC_PER_MSEC)
#define DUTY			50
/* Rounds because nothing happened; more often while there is a deficit, or a guest under pressure or busy. */
#define TICK_NS			(2 * NSEC_PER_SEC)
#define TICK_BUSY_NS		NSEC_PER_SEC
/* Answers to refreshes are waited for this long, and a round asks at most this many guests. */
#define ANSWERS_NS		(30 * NSEC_PER_MSEC)
#define MAX_ASKED		256
#define PREFETCH		8
/* A guest under pressure claims many times in this time. */
#define PRESSURE_OVER_NS	(10 * NSEC_PER_SEC)
/* After a step down a guest's counters need this long to show what it did. */
#define STEP_PAUSE_NS		(300 * NSEC_PER_MSEC)

#define manager_of(ptr, member)	((struct manager *)((char *)(ptr) - offsetof(struct manager, member)))

static bool pauses(const struct vm *vm)
{
	return vm->last_lower_ns && loop_now(vm->manager->loop) - vm->last_lower_ns < STEP_PAUSE_NS;
}

static uint32_t row_flags(const struct vm *vm)
{
	return vm_balance_flags(vm) | (pauses(vm) ? BALANCE_VM_MOVING : 0);
}

/* What its domain asks for; enum memtide_donate has the values of enum balance_donate. */
static void fill_hints(const struct vm *vm, struct balance_vm *row)
{
	const struct domain *domain = vm->domain;
	bool hints = domain && domain->about.has_policy;

	_Static_assert((int)MEMTIDE_DONATE_FIRST == BALANCE_DONATE_FIRST &&
		       (int)MEMTIDE_DONATE_LAST == BALANCE_DONATE_LAST, "hints mean the same to both");
	row->headroom = hints ? domain->about.policy.headroom : 0;
	row->donate = hints ? (uint32_t)domain->about.policy.donate : BALANCE_DONATE_NORMAL;
}

static void fill_row(struct manager *manager, struct vm *vm, struct balance_vm *row)
{
	const struct memtide_stats *stats = &vm->stats;
	uint64_t now = loop_now(manager->loop), age = vm_stats_age_ns(vm) / NSEC_PER_MSEC;
	uint64_t available = vm_available(vm);

	row->id = vm->id;
	row->flags = row_flags(vm);
	row->shares = vm->ledger.terms.shares;
	row->floor = vm->ledger.terms.floor;
	row->maximum = vm->ledger.terms.maximum;
	row->usable = vm->ledger.usable;
	row->target = vm->target;
	row->ceiling = vm->ledger.ceiling;
	row->charged = vm->ledger.charged;
	row->wanted = vm->pressed ? vm->wanted >> vm->unused : 0;
	row->stats_age_ms = age > UINT32_MAX ? UINT32_MAX : (uint32_t)age;
	row->rounds = vm->rounds++;
	row->free = stats->free < available ? stats->free : available;
	row->available = available;
	row->anon = stats->anon;
	row->file = stats->file;
	row->file_active = stats->file_active;
	row->refault_file_rate = vm->rates.refault_file;
	row->refault_anon_rate = vm->rates.refault_anon;
	row->scan_direct_rate = vm->rates.scan_direct;
	row->swap_rate = vm->rates.swap;
	row->psi_some_rate = vm->rates.psi_some;
	row->cpu_rate = vm->rates.cpu;
	fill_hints(vm, row);
	row->pressure_events = vm->pressure_events;
	vm->pressure_events = 0;
	age = (now - vm->pressed_ns) / NSEC_PER_MSEC;
	row->quiet_ms = !vm->pressed_ns || age > UINT32_MAX ? UINT32_MAX : (uint32_t)age;
	row->new_target = row->target;
	row->new_ceiling = row->ceiling;
	row->reason = BALANCE_KEEP;
	row->rule = 0;
}

/* Pressure that the guest no longer speaks of is over, also where the event that said so was lost. */
static void check_pressure(struct vm *vm)
{
	uint64_t quiet = loop_now(vm->manager->loop) - vm->pressed_ns;

	if (!vm->pressed || vm->waiting || quiet < NSEC_PER_SEC)
		return;
	if (quiet > PRESSURE_OVER_NS ||
	    (!(vm->stats.flags & VIRTIO_TIDE_STATS_PRESSURE) && vm_stats_age_ns(vm) < NSEC_PER_SEC)) {
		vm->pressed = false;
		vm->oom = false;
		vm->wanted = 0;
	}
}

static unsigned int first_trigger(uint32_t triggers)
{
	static const unsigned int order[] = { BALANCE_PRESSURE, BALANCE_HOST, BALANCE_CHANGE, BALANCE_QUIET };

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (triggers & 1u << order[i])
			return order[i];
	return BALANCE_TICK;
}

/*
 * A round walks through the pages of thousands of VMs and is as slow as memory is, if nobody asks for them ahead.
 */
static void prefetch(const struct manager *manager, uint32_t i)
{
	const struct vm *vm;

	if (i + 2 * PREFETCH < manager->nr_vms) {
		vm = manager->vms[i + 2 * PREFETCH];
		__builtin_prefetch(&vm->state_region);
		__builtin_prefetch(&vm->ledger);
		__builtin_prefetch(&vm->stats);
	}
	if (i + PREFETCH < manager->nr_vms)
		vm_prefetch(manager->vms[i + PREFETCH]);
}

static void fill_table(struct manager *manager, struct balance_table *table)
{
	struct round *round = &manager->round;
	uint64_t now = loop_now(manager->loop);

	round->pauses_until_ns = 0;
	for (uint32_t i = 0; i < manager->nr_vms; i++) {
		struct vm *vm = manager->vms[i];

		prefetch(manager, i);
		vm_read_stats(vm);
		vm_follow_counters(vm);
		check_pressure(vm);
		vm_judge_grant(vm);
		fill_row(manager, vm, &table->vm[i]);
		if (pauses(vm) && vm->last_lower_ns + STEP_PAUSE_NS > round->pauses_until_ns)
			round->pauses_until_ns = vm->last_lower_ns + STEP_PAUSE_NS;
	}
	table->host.version = BALANCE_VERSION;
	table->host.nr_vms = manager->nr_vms;
	table->host.trigger = first_trigger(round->triggers);
	table->host.pressed = table->host.trigger == BALANCE_PRESSURE ? round->pressed : ROUND_NOBODY;
	table->host.time_ms = now / NSEC_PER_MSEC;
	table->host.interval_ms = round->last_ns ? (now - round->last_ns) / NSEC_PER_MSEC : 0;
	table->host.budget = manager->ledger.budget;
	table->host.charged = manager->ledger.charged;
	table->host.reserve = manager->ledger.reserve;
	table->host.host_total = manager->host.memory.total;
	table->host.host_available = manager->host.memory.available;
}

static void log_answer(struct vm *vm, const struct balance_table *table, const struct balance_vm *row,
		       const struct decide_change *change, uint64_t ceiling_before, uint64_t target_before)
{
	struct manager *manager = vm->manager;
	struct decision *entry = decision_log_draft(manager->log, DECISION_DECISION, loop_now(manager->loop));
	uint64_t seq;

	entry->dry_run = manager->dry_run;
	entry->vm_id = vm->id;
	memcpy(entry->vm, vm->name, sizeof(entry->vm));
	entry->trigger = (int)table->host.trigger;
	snprintf(entry->policy, sizeof(entry->policy), "%s", memtide_policy_name(manager->policy));
	entry->rule = row->rule;
	entry->reason = (int)row->reason;
	entry->bounds = change->bounds;
	entry->has_inputs = true;
	entry->inputs = (struct decision_inputs){
		.usable = row->usable,
		.charged = row->charged,
		.floor = row->floor,
		.maximum = row->maximum,
		.entitlement = memtide_ledger_entitlement(&vm->ledger),
		.wanted = row->wanted,
		.available = row->available,
		.anon = row->anon,
		.file = row->file,
		.refault_file_rate = row->refault_file_rate,
		.refault_anon_rate = row->refault_anon_rate,
		.psi_some_rate = row->psi_some_rate,
		.cpu_rate = row->cpu_rate,
		.stats_age_ms = row->stats_age_ms,
		.budget = manager->ledger.budget,
		.room = memtide_ledger_room(&manager->ledger, MEMTIDE_LEDGER_ORDINARY),
	};
	entry->target_before = target_before;
	entry->target = change->target;
	entry->ceiling_before = ceiling_before;
	entry->ceiling = change->ceiling;
	entry->achieved = vm->lowering && !manager->dry_run ? DECISION_UNDER_WAY : vm->ledger.usable;
	seq = decision_log_add(manager->log, LOG_LEVEL_INFO);
	if (vm->lowering)
		vm->lowering_entry = seq;
	manager->round.decisions++;
}

/* A rise that the ledger has no room for goes as far as it can. */
static void fit_into_ledger(struct vm *vm, struct decide_change *change)
{
	uint64_t most;

	if (change->ceiling <= vm->ledger.ceiling)
		return;
	most = vm_most(vm, MEMTIDE_LEDGER_ORDINARY);
	if (change->ceiling <= most)
		return;
	change->ceiling = most > vm->ledger.ceiling ? most - most % DECIDE_UNIT : vm->ledger.ceiling;
	if (change->ceiling < vm->ledger.ceiling)
		change->ceiling = vm->ledger.ceiling;
	if (change->target > change->ceiling)
		change->target = change->ceiling;
}

static void apply_row(struct vm *vm, const struct balance_table *table, const struct balance_vm *row, bool raise)
{
	uint64_t ceiling, target;
	struct decide_change change;
	struct decide_vm view;

	/* Most rows stay as they are, and then nothing of the VM itself is touched. */
	if (row->reason == BALANCE_KEEP || row->reason >= BALANCE_REASONS ||
	    raise != (row->new_ceiling > row->ceiling))
		return;
	ceiling = vm->ledger.ceiling;
	target = vm->target;
	view = vm_decide_view(vm);
	view.flags = row_flags(vm);
	change = decide_answer(&view, row->new_target, row->new_ceiling);
	fit_into_ledger(vm, &change);
	if (change.ceiling == ceiling && change.target == target)
		return;
	if (raise)
		vm->grant_path = VIRTIO_TIDE_PATH_NONE;
	if (!vm->manager->dry_run && vm_set(vm, change.ceiling, change.target, MEMTIDE_LEDGER_ORDINARY) < 0)
		return;
	log_answer(vm, table, row, &change, ceiling, target);
}

static void apply_answers(struct manager *manager, const struct balance_table *table)
{
	for (uint32_t i = 0; i < manager->nr_vms; i++)
		apply_row(manager->vms[i], table, &table->vm[i], false);
	for (uint32_t i = 0; i < manager->nr_vms; i++)
		apply_row(manager->vms[i], table, &table->vm[i], true);
}

void round_run(struct manager *manager)
{
	struct round *round = &manager->round;
	struct memtide_errtext errtext = { .text = "" };
	struct balance_table *table;
	uint64_t ns;
	int r;

	if (!manager->policy || manager->paused)
		return;
	table = memtide_policy_table(manager->policy);
	fill_table(manager, table);
	round->last_ns = loop_now(manager->loop);
	round->triggers = 0;
	round->pressed = ROUND_NOBODY;
	round->rounds++;
	r = memtide_policy_run(manager->policy, &ns, &errtext);
	if (r < 0) {
		/* Every failure means no change.  It is not run again by itself either. */
		manager_note(manager, DECISION_ERROR, LOG_LEVEL_ERROR, NULL, "policy %s is switched off: %s",
			     memtide_policy_name(manager->policy), errtext.text);
		manager_set_policy(manager, NULL);
		return;
	}
	apply_answers(manager, table);
	round->took_ns = loop_clock() - round->last_ns;
	/* Who was not to be lowered just now may be then. */
	if (round->pauses_until_ns && !loop_timer_is_set(&round->timer)) {
		round->triggers |= 1u << BALANCE_CHANGE;
		loop_timer_set(manager->loop, &round->timer, round->pauses_until_ns);
	}
}

/* Statistics that are due are asked for first, and the round waits a moment for them. */
static bool ask_for_stats(struct manager *manager)
{
	unsigned int asked = 0;

	for (uint32_t i = 0; i < manager->nr_vms && asked < MAX_ASKED; i++) {
		struct vm *vm = manager->vms[i];

		vm_read_stats(vm);
		if (!vm_managed(vm) || vm_stats_age_ns(vm) < vm->refresh_wait_ns)
			continue;
		vm_ask_stats(vm);
		asked += vm->refresh_ns == loop_now(manager->loop);
	}
	return asked;
}

static void round_expired(struct loop_timer *timer)
{
	struct manager *manager = manager_of(timer, round.timer);
	struct round *round = &manager->round;
	uint64_t begin = loop_now(manager->loop);

	if (!manager->policy || manager->paused || !manager->nr_vms) {
		round->triggers = 0;
		return;
	}
	/*
	 * Pressure does not wait for answers: relief has been before it and has asked whom it needed.  They are for the next
	 * round then, so that a guest that claims all the time does not keep the others from being seen.
	 */
	if (!round->asked && ask_for_stats(manager) && !(round->triggers & 1u << BALANCE_PRESSURE)) {
		round->asked = true;
		loop_timer_set(manager->loop, timer, begin + ANSWERS_NS);
		return;
	}
	round->asked = false;
	round_run(manager);
}

void round_request(struct manager *manager, unsigned int trigger, uint32_t row)
{
	struct round *round = &manager->round;
	uint64_t now = loop_now(manager->loop), at = now, wait = MIN_INTERVAL_NS;

	round->triggers |= 1u << trigger;
	if (trigger == BALANCE_PRESSURE)
		round->pressed = row;
	if (!manager->policy || manager->paused)
		return;
	if (wait < round->took_ns * DUTY)
		wait = round->took_ns * DUTY;
	if (round->last_ns && round->last_ns + wait > now)
		at = round->last_ns + wait;
	if (!loop_timer_is_set(&round->timer) || round->timer.at_ns > at)
		loop_timer_set(manager->loop, &round->timer, at);
}

static bool anybody_busy(const struct manager *manager)
{
	if (memtide_ledger_deficit(&manager->ledger))
		return true;
	for (uint32_t i = 0; i < manager->nr_vms; i++)
		if (manager->vms[i]->pressed || manager->vms[i]->stats.flags & VIRTIO_TIDE_STATS_BUSY)
			return true;
	return false;
}

static void tick_expired(struct loop_timer *timer)
{
	struct manager *manager = manager_of(timer, round.tick);

	round_update_tick(manager);
	manager_update_budget(manager, false);
	round_request(manager, BALANCE_TICK, ROUND_NOBODY);
}

void round_update_tick(struct manager *manager)
{
	struct loop_timer *tick = &manager->round.tick;

	if (!manager->nr_vms || manager->paused)
		loop_timer_clear(manager->loop, tick);
	else if (!loop_timer_is_set(tick))
		loop_timer_set(manager->loop, tick,
			       loop_now(manager->loop) + (anybody_busy(manager) ? TICK_BUSY_NS : TICK_NS));
}

int round_init(struct manager *manager)
{
	int r;

	manager->round.pressed = ROUND_NOBODY;
	r = loop_timer_register(manager->loop, &manager->round.timer, round_expired);
	return r < 0 ? r : loop_timer_register(manager->loop, &manager->round.tick, tick_expired);
}

void round_fini(struct manager *manager)
{
	loop_timer_unregister(manager->loop, &manager->round.timer);
	loop_timer_unregister(manager->loop, &manager->round.tick);
}
