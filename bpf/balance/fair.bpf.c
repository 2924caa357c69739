// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fair: memory goes where it is used; nobody loses what it is entitled to and uses.
 *
 * What it does.  Every VM is entitled to its floor and its share of the rest of the budget.  What it needs is
 * estimated from what its kernel shows: memory that cannot be freed without swapping is needed; a VM that reads
 * again what it lost (refaults), or is under pressure, needs more than it has; a VM that does neither for a
 * while needs less, halfway down to what it cannot free with each step.  The budget is then
 * handed out in rounds: to everybody what it needs up to its entitlement; of what is left, less the controller's
 * reserve, to those that need more, by shares; and what is still left stays where it is, entitlements before
 * loans, so that memory moves only when somebody wants it.  Who needs more than it has, or fills its page cache,
 * may have all it is entitled to at once, as far as that is only lent to others.
 *
 * Taking memory is also how idle memory is told from hot memory: a guest that reads all it needs from its cache
 * looks idle until it misses some of it.  A VM that refaults soon after it was shrunk gets back what it had, up
 * to its entitlement before anybody's loan, and from then on has to be calm for longer until it counts as idle,
 * twice as long each time.  A guest whose processors rest as well has to be calm for a quarter of that.
 *
 * Idle memory within an entitlement is taxed, after Waldspurger, "Memory Resource Management in VMware ESX Server"
 * (OSDI 2002): of memory that is idle, a VM keeps only a part.  There the rate is 75 %, since memory comes back at
 * the speed of swapping.  Here it comes back in milliseconds, and what is left untaxed is the VM's credit: not its
 * target, but room below its ceiling, which it may take back at once without asking.
 *
 * Where it works: loads that come and go, page cache against page cache, bursts inside the entitlement.
 *
 * Where it fails: loads that come back sooner than their caches can fill (some seconds) pay for what was moved
 * away meanwhile; regret makes that rare after the first few times.  It cannot see the worth of a miss, a slow
 * disk's counts like a fast one's.  Loads that read through more than all memory, once, refault little and get
 * little, which is right; read in a circle they refault for ever and get all that is left over, which helps
 * nobody.  A guest that lies about refaults gets what others do not use, as one that reads in a circle does; it
 * gets nobody's used entitlement.
 */
#include "tide_balance_bpf.h"

char LICENSE[] SEC("license") = "GPL";

KNOB(__u32, busy_refaults, 100, 1, 10000000, "refaults per second from which a VM needs more than it has");
KNOB(__u64, fill_bytes, 4194304, 4096, 1099511627776, "page cache growing by this much a second is a load, too");
KNOB(__u32, horizon_ms, 2000, 10, 600000, "a busy VM may grow by as much as it refaults in this time");
KNOB(__u32, idle_ms, 2000, 100, 3600000, "a VM without refaults and pressure for this long is idle");
KNOB(__u32, idle_cpu_us, 50000, 0, 4000000000, "a guest that uses less CPU time than this a second rests");
KNOB(__u32, step_ms, 250, 10, 600000, "a VM is not shrunk again before this time is over");
KNOB(__u32, regret_ms, 10000, 100, 3600000, "refaults so soon after shrinking a VM mean that it was wrong");
KNOB(__u32, hold_ms, 8000, 100, 3600000, "such a VM then counts as idle only after this long; doubles each time");
KNOB(__u32, hold_max_ms, 120000, 100, 86400000, "how long that may become");
KNOB(__u32, idle_tax_percent, 95, 0, 100, "how much of its idle memory a VM gives up, in percent");
KNOB(__u64, step_bytes, 134217728, 2097152, 1099511627776, "a VM gives this much at most until others may have it");
KNOB(__u64, change_bytes, 8388608, 4096, 1099511627776, "smaller changes are not made, except under pressure");

#define PAGE_SHIFT	12
/* A fill is over after so many passes, or when less than this part of the budget is left. */
#define FILL_PASSES	3
#define FILL_PART	512

/* The rows' state, kept from round to tally. */
enum {
	NEED,		/* bytes that this VM needs, zero before the first round */
	ACTIVE_AT,	/* when it was last busy or under pressure */
	SHRUNK_AT,	/* when it was last shrunk, zero if never */
	BEFORE,		/* bytes that it had before it was last shrunk as idle; zero once that is regretted */
	HOLD_MS,	/* how long it must be calm until it counts as idle; idle_ms if that is longer */
	CACHE,		/* bytes of page cache that it had in the round before */
	ENTITLED,	/* bytes; of this round */
	ALLOC,		/* bytes; of this round */
};

/* Rules, for the log. */
enum {
	RULE_NONE,
	RULE_PRESSURE,		/* it asks */
	RULE_REFAULT,		/* busy: grows by what it refaults in the horizon */
	RULE_REGRET,		/* shrinking it was wrong */
	RULE_IDLE,		/* halfway to what it cannot free */
	RULE_LOAN,		/* above its entitlement, and others need it */
	RULE_BUDGET,		/* the budget fell */
	RULE_BACK,		/* there is room again for what it had to give up */
	RULE_FILL,		/* reads what it never had */
};

/* Which room a fill is about. */
enum {
	TO_ENTITLEMENT,		/* from the floor to the maximum: works out the entitlements */
	TO_NEED,		/* beyond the entitlement to what is needed, for who needs it now */
	TO_ENTITLED_SIZE,	/* up to what it has now, within the entitlement */
	TO_CLAIM,		/* up to the entitlement at once, for who needs more than it has */
	TO_SIZE,		/* up to what it has now */
};

/*
 * What a round adds up.  Not on the stack, where the verifier would follow every value that a walk can leave in
 * it; and not static, or the compiler takes it apart into variables that no longer fit their BTF.
 */
struct tally {
	__u64 now;		/* ms */
	__u64 interval;		/* ms since the last round, bounded: guests sample about once a second */
	__u64 left;		/* bytes of the budget that are not handed out yet */
	__u64 crumbs;		/* bytes that are not worth another pass */
	__u64 deficit;		/* truth value: more is charged than there is */
	__u64 stage;		/* what is being filled */
	__u64 share;		/* pages of this pass */
	__u64 shares;		/* weights that share them */
	__u64 next_shares;	/* weights with room left after this pass */
	__u64 room;		/* bytes that may be raised in all */
	__u64 raise_pressed;	/* bytes that VMs under pressure are to be raised by */
	__u64 raise_others;
};

struct tally tally;

static bool answers(const struct balance_vm *vm)
{
	return (vm->flags & BALANCE_VM_MANAGED) && !(vm->flags & BALANCE_VM_STALE);
}

static bool pressed(const struct balance_vm *vm)
{
	return vm->flags & (BALANCE_VM_PRESSURE | BALANCE_VM_OOM);
}

static __u64 refaults(const struct balance_vm *vm)
{
	/* No more than any guest can do, so that sums and products of it fit. */
	return min(vm->refault_file_rate, 1ULL << 24) + min(vm->refault_anon_rate, 1ULL << 24);
}

static bool busy(const struct balance_vm *vm)
{
	return refaults(vm) >= busy_refaults;
}

/* Reads what it never had: no refaults yet, and no reason to have more than it is entitled to. */
static bool filling(const struct balance_vm *vm)
{
	return vm->state[CACHE] && vm->file >= vm->state[CACHE] + fill_bytes * tally.interval / 1000;
}

/* Busy, or close to it: in between, what a VM has been found to need stays as it is. */
static bool short_of(const struct balance_vm *vm)
{
	return pressed(vm) || refaults(vm) > busy_refaults / 4;
}

static bool calm(const struct balance_vm *vm)
{
	return !short_of(vm) && !filling(vm);
}

/* Does little with what it caches, or nothing. */
static bool rests(const struct balance_vm *vm)
{
	return vm->cpu_rate < idle_cpu_us;
}

static __u64 within(const struct balance_vm *vm, __u64 bytes)
{
	return min(max(bytes, vm->floor), vm->maximum);
}

/* The least it can do with: what it cannot free, and a little to work with. */
static __u64 least(const struct balance_vm *vm)
{
	__u64 fixed = less(vm->usable, vm->available);

	return within(vm, fixed + fixed / 8);
}

/* The part of its idle memory within its entitlement that the tax leaves it. */
static __u64 untaxed(const struct balance_vm *vm)
{
	return less(vm->state[ENTITLED], least(vm)) * (100 - idle_tax_percent) / 100;
}

/* By how much a busy VM may grow now.  Nothing while it has not yet used what it has. */
static __u64 growth(const struct balance_vm *vm)
{
	__u64 step = (refaults(vm) << PAGE_SHIFT) * horizon_ms / 1000;

	step = min(max(step, vm->ceiling / 16), vm->ceiling / 2);
	if (vm->free + less(vm->ceiling, vm->usable) > vm->usable / 8 + step / 2)
		return 0;
	return step;
}

static void learn_regret(struct balance_vm *vm)
{
	if (!vm->state[BEFORE] || tally.now > vm->state[SHRUNK_AT] + regret_ms)
		return;
	vm->state[HOLD_MS] = min(max(vm->state[HOLD_MS] * 2, hold_ms), hold_max_ms);
	vm->state[NEED] = max(vm->state[NEED], vm->state[BEFORE]);
	vm->state[BEFORE] = 0;
	vm->rule = RULE_REGRET;
}

static void learn_need(struct balance_vm *vm)
{
	__u64 need = vm->state[NEED], rest = least(vm) + untaxed(vm);
	__u64 calm_ms;

	if (!calm(vm))
		vm->state[ACTIVE_AT] = tally.now;
	if (pressed(vm) && !(vm->flags & BALANCE_VM_UNUSED)) {
		vm->rule = RULE_PRESSURE;
		need = max(need, vm->ceiling + min(vm->wanted, vm->maximum));
	}
	if (busy(vm)) {
		vm->rule = vm->rule ? vm->rule : RULE_REFAULT;
		vm->state[NEED] = max(need, vm->ceiling + growth(vm));
		learn_regret(vm);
		need = vm->state[NEED];
	}
	calm_ms = less(tally.now, vm->state[ACTIVE_AT]);
	/* Really idle after all, or with other habits than it had. */
	if (calm_ms >= 4 * vm->state[HOLD_MS])
		vm->state[HOLD_MS] = 0;
	if (calm_ms >= max(idle_ms, rests(vm) ? vm->state[HOLD_MS] / 4 : vm->state[HOLD_MS])) {
		vm->rule = RULE_IDLE;
		need = min(need, rest);
	}
	vm->state[NEED] = within(vm, need);
}

static long open_row(__u32 i, void *ctx)
{
	struct balance_vm *vm = balance_row(i);

	if (!vm)
		return 1;
	vm->rule = RULE_NONE;
	vm->reason = BALANCE_KEEP;
	vm->new_target = vm->target;
	vm->new_ceiling = vm->ceiling;
	if (!answers(vm)) {
		tally.left = less(tally.left, max(vm->charged, vm->ceiling));
		return 0;
	}
	if (!vm->state[NEED]) {
		vm->state[NEED] = within(vm, vm->ceiling);
		vm->state[ACTIVE_AT] = tally.now;
	}
	vm->state[ALLOC] = vm->floor;
	tally.left = less(tally.left, vm->floor);
	return 0;
}

/* How far @vm may be filled in this stage. */
static __u64 fill_to(const struct balance_vm *vm)
{
	if (tally.stage == TO_ENTITLEMENT)
		return vm->maximum;
	if (tally.stage == TO_NEED)
		return short_of(vm) ? vm->state[NEED] : 0;
	if (tally.stage == TO_ENTITLED_SIZE)
		return min(vm->ceiling, vm->state[ENTITLED]);
	if (tally.stage == TO_CLAIM)
		return calm(vm) || (vm->flags & BALANCE_VM_UNUSED) ? 0 : vm->state[ENTITLED];
	return min(vm->ceiling, vm->maximum);
}

static long weigh_row(__u32 i, void *ctx)
{
	struct balance_vm *vm = balance_row(i);

	if (!vm)
		return 1;
	if (answers(vm) && fill_to(vm) > vm->state[ALLOC])
		tally.next_shares += vm->shares;
	return 0;
}

static long fill_row(__u32 i, void *ctx)
{
	struct balance_vm *vm = balance_row(i);
	__u64 part;

	if (!vm)
		return 1;
	if (!answers(vm) || fill_to(vm) <= vm->state[ALLOC] || !tally.shares)
		return 0;
	part = (tally.share * vm->shares / tally.shares) << PAGE_SHIFT;
	part = min(min(part, fill_to(vm) - vm->state[ALLOC]), tally.left);
	vm->state[ALLOC] += part;
	tally.left -= part;
	if (fill_to(vm) > vm->state[ALLOC])
		tally.next_shares += vm->shares;
	return 0;
}

static long fill_pass(__u32 i, void *ctx)
{
	struct balance_table *t = balance_table();

	if (!t || !tally.next_shares || tally.left < tally.crumbs)
		return 1;
	tally.share = tally.left >> PAGE_SHIFT;
	tally.shares = tally.next_shares;
	tally.next_shares = 0;
	balance_walk(t, fill_row, NULL);
	return 0;
}

/*
 * Hand out what is left by shares, nobody more than it may take in this stage; what is not taken is shared
 * again.
 */
static void fill(struct balance_table *t, __u64 stage)
{
	if (tally.left < tally.crumbs)
		return;
	tally.stage = stage;
	tally.next_shares = 0;
	balance_walk(t, weigh_row, NULL);
	bpf_loop(FILL_PASSES, fill_pass, NULL, 0);
}

/* Entitlements stand in ALLOC: keep them, learn what is needed, and start again from the lower of the two. */
static long entitle_row(__u32 i, void *ctx)
{
	struct balance_vm *vm = balance_row(i);

	if (!vm)
		return 1;
	if (!answers(vm))
		return 0;
	vm->state[ENTITLED] = vm->state[ALLOC];
	learn_need(vm);
	vm->state[ALLOC] = max(vm->floor, min(vm->state[NEED], vm->state[ENTITLED]));
	tally.left += vm->state[ENTITLED] - vm->state[ALLOC];
	return 0;
}

/* Take back slowly: half of what it could give, and the next half when the counters have followed. */
static void shrink(struct balance_vm *vm)
{
	__u64 bottom = least(vm), step, to;

	if ((vm->flags & BALANCE_VM_MOVING) || ((vm->flags & BALANCE_VM_STALLED) && vm->ceiling <= vm->maximum))
		return;
	if (vm->state[SHRUNK_AT] && tally.now < vm->state[SHRUNK_AT] + step_ms)
		return;
	/* What is asked for in one step is nobody's until the last of it has been given. */
	step = min(less(vm->ceiling, bottom) / 2, step_bytes);
	to = max(vm->state[ALLOC], vm->ceiling - step);
	if (to + change_bytes > vm->ceiling)
		return;

	if (vm->rule != RULE_IDLE)
		vm->state[BEFORE] = 0;
	else if (!vm->state[BEFORE] || tally.now > vm->state[SHRUNK_AT] + regret_ms)
		vm->state[BEFORE] = vm->ceiling;
	vm->state[SHRUNK_AT] = tally.now;
	vm->new_ceiling = to;
	vm->new_target = vm->rule == RULE_IDLE ? max(bottom, less(to, untaxed(vm))) : to;
	if (vm->rule == RULE_IDLE) {
		vm->reason = BALANCE_SHRINK_IDLE;
	} else if (tally.deficit) {
		vm->rule = RULE_BUDGET;
		vm->reason = BALANCE_SHRINK_BUDGET;
	} else {
		vm->rule = RULE_LOAN;
		vm->reason = BALANCE_SHRINK_LOAN;
	}
}

static long shrink_row(__u32 i, void *ctx)
{
	struct balance_vm *vm = balance_row(i);
	__u64 raise;

	if (!vm)
		return 1;
	if (!answers(vm)) {
		tally.room = less(tally.room, max(vm->charged, vm->ceiling));
		return 0;
	}
	if (vm->state[ALLOC] < vm->ceiling)
		shrink(vm);
	tally.room = less(tally.room, vm->new_ceiling);
	raise = less(vm->state[ALLOC], vm->ceiling);
	if (pressed(vm))
		tally.raise_pressed += raise;
	else
		tally.raise_others += raise;
	return 0;
}

/* What of a wish for @raise can be had, if those who wish together for @all share @room. */
static __u64 portion(__u64 raise, __u64 all, __u64 room)
{
	if (all <= room)
		return raise;
	return ((raise >> PAGE_SHIFT) * (room >> PAGE_SHIFT) / max(all >> PAGE_SHIFT, 1)) << PAGE_SHIFT;
}

static __u32 growth_reason(struct balance_vm *vm)
{
	if (pressed(vm))
		return BALANCE_GROW_PRESSURE;
	if (short_of(vm))
		return BALANCE_GROW_REFAULT;
	vm->rule = filling(vm) ? RULE_FILL : RULE_BACK;
	return BALANCE_GROW_SHARE;
}

static void grow(struct balance_vm *vm)
{
	__u64 raise = less(vm->state[ALLOC], vm->ceiling);

	if (pressed(vm))
		raise = portion(raise, tally.raise_pressed, tally.room);
	else
		raise = portion(raise, tally.raise_others, less(tally.room, tally.raise_pressed));
	if (!raise || (raise < change_bytes && !pressed(vm) && vm->ceiling >= vm->floor))
		return;
	vm->new_ceiling = vm->ceiling + raise;
	vm->new_target = vm->new_ceiling;
	vm->reason = vm->ceiling < vm->floor ? BALANCE_FLOOR : growth_reason(vm);
}

/* Follows the cache within a second, however often rounds come. */
static void remember_cache(struct balance_vm *vm, __u64 interval_ms)
{
	__u64 part = min(interval_ms, 1000), cache = vm->state[CACHE];

	if (!cache || vm->file < cache)
		vm->state[CACHE] = vm->file;
	else
		vm->state[CACHE] = cache + min(vm->file - cache, 1ULL << 44) * part / 1000;
}

static long grow_row(__u32 i, void *ctx)
{
	struct balance_table *t = balance_table();
	struct balance_vm *vm = balance_row(i);

	if (!vm || !t)
		return 1;
	if (!answers(vm))
		return 0;
	if (vm->new_ceiling >= vm->ceiling && vm->state[ALLOC] > vm->ceiling) {
		grow(vm);
	} else if (vm->new_ceiling >= vm->ceiling && vm->target < vm->ceiling && !calm(vm)) {
		/* What it may take is what it needs now: no longer a credit. */
		vm->new_target = vm->ceiling;
		vm->reason = growth_reason(vm);
	}
	remember_cache(vm, t->host.interval_ms);
	return 0;
}

SEC("syscall")
POLICY_ABOUT("memory goes where it is used, and nobody loses what it is entitled to and uses")
int balance(void *unused)
{
	struct balance_table *t = balance_table();

	if (!t)
		return 0;
	/* Zero means "never" in the rows' state. */
	tally.now = t->host.time_ms + 1;
	tally.interval = min(max(t->host.interval_ms, 1000), 60000);
	tally.deficit = t->host.charged > t->host.budget;
	tally.left = t->host.budget;
	tally.crumbs = max(MIB, t->host.budget / FILL_PART);
	tally.room = t->host.budget;
	tally.raise_pressed = 0;
	tally.raise_others = 0;

	balance_walk(t, open_row, NULL);
	fill(t, TO_ENTITLEMENT);
	balance_walk(t, entitle_row, NULL);
	tally.left = less(tally.left, t->host.reserve);
	fill(t, TO_NEED);
	fill(t, TO_ENTITLED_SIZE);
	fill(t, TO_CLAIM);
	fill(t, TO_SIZE);
	balance_walk(t, shrink_row, NULL);
	balance_walk(t, grow_row, NULL);
	return 0;
}
