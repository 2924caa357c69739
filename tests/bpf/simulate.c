// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The demo's story, played in a model: is fair worth more work than fixed limits and than proxmox, and does it
 * keep its promises?  Policies run for real, through the loader and BPF_PROG_RUN, and so do the controller's
 * bounds; guests are a model: an LRU list of file blocks read by Zipf's law, anonymous memory, and a driver
 * that gives, takes back and claims as virtio_tide does.
 *
 * A model: its numbers say which of two policies is better, not how good either is.
 *
 * usage: simulate [-v] [--knob NAME=VALUE]... POLICY-DIRECTORY, where the knobs are fair's
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/types.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide.h"
#include "policy.h"
#include "tide_balance.h"

#define MIB		(UINT64_C(1) << 20)
#define GIB		(UINT64_C(1) << 30)

/* As in the demo: see tests/bench/demo.c and tests/guest/load.c. */
#define GUESTS		3
#define BUDGET		(3 * GIB)
#define RESERVE		(128 * MIB)
#define MAXIMUM		(2 * GIB)
#define FLOOR		(384 * MIB)
#define START		(960 * MIB)
#define ENTITLED	(BUDGET / GUESTS)	/* all are alike */
#define BLOCK		(64 * UINT64_C(1024))
#define BLOCKS		(1536 * MIB / BLOCK)
#define THETA		0.8
#define FIXED		(190 * MIB)	/* what is neither cache nor burst: kernel, load, page tables */
#define BURST		(320 * MIB)
#define BURST_MS	1000
#define BURST_HOLD_MS	4000

/* The driver's constants, from guest-kernel/drivers/virtio/tide. */
#define SPARE		(40 * MIB)	/* free memory that giving leaves alone */
#define CLAIM		(64 * MIB)
#define CLAIM_AGAIN_MS	1000
#define QUIET_MS	5000
#define PRESSURE_RATE	2048
#define GIVE_PER_MS	(1 * MIB)

#define STEP_MS		10
#define ROUND_MS	100
#define TICK_MS		1000
#define NONE		UINT32_MAX

struct story {
	const char *name;
	unsigned int phases;
	unsigned int phase_ms;
	unsigned int active;	/* how many guests work at once */
	unsigned int hit_us;	/* what a read from the cache takes */
	unsigned int miss_us;	/* ... and one from the disk, on top of that */
	bool bursts;		/* the last guest bursts, in the second and in the sixth phase */
	bool late;		/* the last guest has just come, and has all that the others could do without */
	double than_fixed;	/* fair must do this many times the work of fixed limits */
	double than_proxmox;	/* ... and of proxmox */
	unsigned int changes;	/* with at most so many changes */
};

struct guest {
	uint64_t usable, target, ceiling, charged, wish;
	uint64_t burst, burst_goal;
	uint32_t burst_stalled_ms;
	uint32_t next[BLOCKS], prev[BLOCKS];	/* LRU, newest first */
	bool cached[BLOCKS], lost[BLOCKS];
	uint32_t newest, oldest;
	uint64_t nr_cached;
	double us;				/* time it has to work */
	uint64_t seed;
	uint64_t operations, refaults, refaults_seen, refaults_sampled;
	double rate;
	uint64_t rate_ms;
	bool pressed, lowering, worked;
	uint64_t wanted, pressed_ms, pressure_ms, not_before_ms;
	uint32_t oom_kills;
};

struct world {
	const struct story *story;
	struct guest guest[GUESTS];
	struct memtide_policy *policy;	/* NULL: fixed limits */
	bool relief;			/* claims are answered at once, as memtided does */
	uint64_t now_ms, round_ms, tick_ms;
	bool round_wanted;
	uint32_t pressed_row;
	uint64_t moved, changes;
	uint64_t broken;		/* promises broken */
	double worst_ns;
};

static double *zipf;
static bool verbose;

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void broken(struct world *w, const char *what)
{
	if (!w->broken++)
		printf("# %s, %" PRIu64 " ms: %s\n", w->story->name, w->now_ms, what);
}

/*
 * A guest
 */

static uint64_t cache_bytes(const struct guest *g)
{
	return g->nr_cached * BLOCK;
}

static uint64_t free_bytes(const struct guest *g)
{
	return less(g->usable, FIXED + g->burst + cache_bytes(g));
}

static void lru_remove(struct guest *g, uint32_t block)
{
	uint32_t next = g->next[block], prev = g->prev[block];

	*(prev == NONE ? &g->newest : &g->next[prev]) = next;
	*(next == NONE ? &g->oldest : &g->prev[next]) = prev;
	g->nr_cached--;
	g->cached[block] = false;
}

static void lru_add(struct guest *g, uint32_t block)
{
	g->next[block] = g->newest;
	g->prev[block] = NONE;
	*(g->newest == NONE ? &g->oldest : &g->prev[g->newest]) = block;
	g->newest = block;
	g->nr_cached++;
	g->cached[block] = true;
}

static void evict_until(struct guest *g, uint64_t free)
{
	while (free_bytes(g) < free && g->oldest != NONE) {
		g->lost[g->oldest] = true;
		lru_remove(g, g->oldest);
	}
}

static uint32_t draw_block(struct guest *g)
{
	uint32_t low = 0, high = BLOCKS - 1;
	double at;

	g->seed ^= g->seed << 13;	/* xorshift64, Marsaglia 2003 */
	g->seed ^= g->seed >> 7;
	g->seed ^= g->seed << 17;
	at = (g->seed >> 11) * 0x1p-53 * zipf[BLOCKS - 1];
	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (zipf[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void work(struct guest *g, const struct story *story)
{
	g->us += STEP_MS * 1000;
	while (g->us > 0) {
		uint32_t block = draw_block(g);

		g->operations++;
		g->us -= story->hit_us;
		if (g->cached[block]) {
			lru_remove(g, block);
		} else {
			g->us -= story->miss_us;
			g->refaults += g->lost[block] ? BLOCK / 4096 : 0;
			evict_until(g, SPARE / 2 + BLOCK);
		}
		lru_add(g, block);
	}
}

/*
 * The controller, as in vmm/daemon/relief.c and round.c
 */

static uint64_t sum_charged(const struct world *w)
{
	uint64_t sum = 0;

	for (int i = 0; i < GUESTS; i++)
		sum += w->guest[i].charged;
	return sum;
}

static uint32_t flags(const struct guest *g)
{
	return BALANCE_VM_MANAGED | (g->pressed ? BALANCE_VM_PRESSURE : 0) | (g->lowering ? BALANCE_VM_MOVING : 0);
}

static uint64_t available(const struct guest *g)
{
	return less(free_bytes(g) + cache_bytes(g), SPARE / 2);
}

static struct decide_vm view(const struct guest *g)
{
	return (struct decide_vm){
		.flags = flags(g),
		.floor = FLOOR,
		.maximum = MAXIMUM,
		.entitlement = ENTITLED,
		.usable = g->usable,
		.target = g->target,
		.ceiling = g->ceiling,
		.available = available(g),
	};
}

static void set(struct world *w, struct guest *g, uint64_t target, uint64_t ceiling)
{
	if (ceiling < g->ceiling) {
		w->moved += g->ceiling - ceiling;
		g->lowering = true;
	}
	w->changes++;
	g->wish = 0;
	g->ceiling = ceiling;
	g->target = min64(target, ceiling);
	if (g->ceiling > g->charged)
		g->charged = g->ceiling;
	if (sum_charged(w) > BUDGET)
		broken(w, "more is charged than the budget has");
	if (g->ceiling < FLOOR || g->target < FLOOR)
		broken(w, "below the floor");
}

static void raise_to(struct world *w, struct guest *g, uint64_t target, uint64_t ceiling, uint64_t keep)
{
	uint64_t room = less(BUDGET - keep, sum_charged(w)) + g->charged;

	uint64_t most = min64(ceiling, room - room % DECIDE_UNIT);

	if (most > g->ceiling || (most == g->ceiling && target > g->target))
		set(w, g, target, most);
	g->wish = ceiling > room ? ceiling : 0;
}

/* What came down is granted to those who wait for it. */
static void confirm(struct world *w, struct guest *g)
{
	g->charged = g->ceiling;
	g->lowering = false;
	for (int i = 0; i < GUESTS; i++)
		if (w->guest[i].wish)
			raise_to(w, &w->guest[i], w->guest[i].wish, w->guest[i].wish, RESERVE);
}

static void claim(struct world *w, struct guest *g)
{
	uint64_t room = less(BUDGET, sum_charged(w)), bytes, grant, open;
	struct decide_vm v = view(g);
	struct decide_change change;

	g->pressed = true;
	g->pressed_ms = w->now_ms;
	g->wanted = CLAIM;
	w->round_wanted = true;
	w->pressed_row = g - w->guest;
	g->not_before_ms = w->now_ms + CLAIM_AGAIN_MS;
	if (!w->relief)
		return;
	bytes = decide_claim(&v, g->wanted, 0);
	grant = decide_grant(&v, bytes, room, less(room, RESERVE));
	if (grant) {
		set(w, g, g->target + grant, g->ceiling + grant);
		g->not_before_ms = w->now_ms;
	}
	open = min64(less(bytes, grant), less(v.entitlement, g->ceiling));
	for (int i = 0; i < GUESTS && open; i++) {
		struct guest *donor = &w->guest[i];

		v = view(donor);
		if (donor == g || donor->pressed || donor->lowering || !decide_donor(&v, open, &change))
			continue;
		open -= min64(open, donor->ceiling - change.ceiling);
		g->wish = g->ceiling + bytes - grant;
		set(w, donor, change.target, change.ceiling);
	}
}

static void fill_table(struct world *w, struct balance_table *t, unsigned int trigger)
{
	for (int i = 0; i < GUESTS; i++) {
		struct guest *g = &w->guest[i];
		struct balance_vm *row = &t->vm[i];

		if (g->pressed && w->now_ms > g->pressed_ms + 1000)
			g->pressed = false;
		row->id = i + 1;
		row->flags = flags(g);
		row->shares = 100;
		row->floor = FLOOR;
		row->maximum = MAXIMUM;
		row->usable = g->usable;
		row->target = g->target;
		row->ceiling = g->ceiling;
		row->charged = g->charged;
		row->wanted = g->pressed ? g->wanted : 0;
		row->free = free_bytes(g);
		row->available = available(g);
		row->anon = g->burst + FIXED / 2;
		row->file = cache_bytes(g);
		row->file_active = cache_bytes(g) / 2;
		row->refault_file_rate = g->rate;
		row->cpu_rate = g->worked || g->burst_goal ? 1000000 : 1000;
	}
	t->host.version = BALANCE_VERSION;
	t->host.nr_vms = GUESTS;
	t->host.trigger = trigger;
	t->host.pressed = w->pressed_row;
	t->host.interval_ms = w->round_ms ? w->now_ms - w->round_ms : 0;
	t->host.time_ms = w->now_ms;
	t->host.budget = BUDGET;
	t->host.charged = sum_charged(w);
	t->host.reserve = RESERVE;
}

static void check_answers(struct world *w, const struct balance_table *t)
{
	uint64_t sum = 0;

	for (int i = 0; i < GUESTS; i++) {
		const struct balance_vm *row = &t->vm[i];

		sum += row->reason == BALANCE_KEEP ? row->ceiling : row->new_ceiling;
		if (row->reason == BALANCE_KEEP)
			continue;
		if (row->new_target > row->new_ceiling || row->new_target < FLOOR || row->new_ceiling > MAXIMUM)
			broken(w, "an answer out of floor, target, ceiling and maximum");
	}
	if (sum > BUDGET)
		broken(w, "the answers' ceilings are above the budget");
}

static void apply(struct world *w, const struct balance_table *t, bool raise)
{
	for (int i = 0; i < GUESTS; i++) {
		const struct balance_vm *row = &t->vm[i];
		struct guest *g = &w->guest[i];
		struct decide_vm v = view(g);
		struct decide_change change;

		if (row->reason == BALANCE_KEEP || raise != (row->new_ceiling > row->ceiling))
			continue;
		change = decide_answer(&v, row->new_target, row->new_ceiling);
		if (change.ceiling > g->ceiling)
			raise_to(w, g, change.target, change.ceiling, RESERVE);
		else if (change.ceiling != g->ceiling || change.target != g->target)
			set(w, g, change.target, change.ceiling);
		if (verbose)
			printf("# %7" PRIu64 " vm%d reason %u rule %u: target %" PRIu64 " ceiling %" PRIu64
			       " -> %" PRIu64 " %" PRIu64 " (usable %" PRIu64 ", refaults %.0f)\n",
			       w->now_ms, i + 1, row->reason, row->rule, (uint64_t)row->target / MIB,
			       (uint64_t)row->ceiling / MIB, g->target / MIB, g->ceiling / MIB,
			       (uint64_t)row->usable / MIB, g->rate);
	}
}

static void run_round(struct world *w)
{
	struct balance_table *t = memtide_policy_table(w->policy);
	struct memtide_errtext errtext;
	uint64_t ns;

	fill_table(w, t, w->round_wanted ? BALANCE_PRESSURE : BALANCE_TICK);
	w->round_ms = w->now_ms;
	w->round_wanted = false;
	w->pressed_row = NONE;
	if (memtide_policy_run(w->policy, &ns, &errtext)) {
		fprintf(stderr, "simulate: %s\n", errtext.text);
		exit(1);
	}
	check_answers(w, t);
	apply(w, t, false);
	apply(w, t, true);
}

/*
 * A guest's driver
 */

static void relieve(struct world *w, struct guest *g)
{
	uint64_t credit = less(g->ceiling, g->usable);

	g->pressure_ms = w->now_ms;
	if (credit)
		g->usable += min64(credit, CLAIM);
	else if (w->policy && w->now_ms >= g->not_before_ms)
		claim(w, g);
}

static void drive(struct world *w, struct guest *g)
{
	bool quiet = w->now_ms > g->pressure_ms + QUIET_MS;
	uint64_t goal = quiet ? g->target : g->usable < g->target ? g->target : min64(g->usable, g->ceiling);
	uint64_t give;

	if (g->usable < goal)
		g->usable = goal;
	give = min64(less(g->usable, goal), GIVE_PER_MS * STEP_MS);
	if (give) {
		evict_until(g, SPARE + give);
		give = min64(give, less(free_bytes(g), SPARE / 2));
		g->usable -= give;
	}
	if (g->lowering && g->usable <= g->ceiling)
		confirm(w, g);
}

static void sample(struct world *w, struct guest *g)
{
	g->rate = (g->refaults - g->refaults_seen) * 1000.0 / (w->now_ms - g->rate_ms);
	g->refaults_seen = g->refaults;
	g->rate_ms = w->now_ms;
	if (g->rate >= PRESSURE_RATE && free_bytes(g) < SPARE + CLAIM)
		relieve(w, g);
}

static void burst(struct world *w, struct guest *g)
{
	uint64_t want;

	if (g->burst >= g->burst_goal)
		return;
	want = min64(g->burst_goal - g->burst, BURST * STEP_MS / BURST_MS);
	if (free_bytes(g) < SPARE + want)
		relieve(w, g);
	evict_until(g, SPARE / 4 + want);
	want = min64(want, less(free_bytes(g), SPARE / 4));
	g->burst += want;
	g->burst_stalled_ms = want ? 0 : g->burst_stalled_ms + STEP_MS;
	/* A guest waits half a second before it kills, and each grant starts that anew. */
	if (g->burst_stalled_ms > 500) {
		g->oom_kills++;
		g->burst = 0;
		g->burst_goal = 0;
		g->burst_stalled_ms = 0;
	}
}

static void tell_story(struct world *w)
{
	unsigned int phase = w->now_ms / w->story->phase_ms, at = w->now_ms % w->story->phase_ms;
	struct guest *last = &w->guest[GUESTS - 1];

	if (w->story->bursts && at == w->story->phase_ms / 3 && (phase == 1 || phase == 5))
		last->burst_goal = BURST;
	if (at == w->story->phase_ms / 3 + BURST_MS + BURST_HOLD_MS)
		last->burst = last->burst_goal = 0;
	for (unsigned int i = 0; i < GUESTS; i++) {
		w->guest[i].worked = (i + GUESTS - phase % GUESTS) % GUESTS < w->story->active;
		if (w->guest[i].worked)
			work(&w->guest[i], w->story);
		burst(w, &w->guest[i]);
	}
}

static void start(struct world *w, uint64_t size, bool late)
{
	for (int i = 0; i < GUESTS; i++) {
		struct guest *g = &w->guest[i];
		bool last = i == GUESTS - 1;

		g->usable = late ? last ? MAXIMUM : FLOOR + 16 * MIB : size;
		g->target = g->ceiling = g->charged = g->usable;
		g->newest = g->oldest = NONE;
		g->seed = 88172645463325252ULL + i;
	}
	w->pressed_row = NONE;
}

struct outcome {
	uint64_t work, oom_kills, moved, broken, changes;
};

static struct outcome play(const struct story *story, struct memtide_policy *policy, bool relief)
{
	struct world *w = calloc(1, sizeof(*w));
	struct outcome outcome;

	w->story = story;
	w->policy = policy;
	w->relief = relief;
	start(w, policy ? START : BUDGET / GUESTS, policy && story->late);
	for (w->now_ms = STEP_MS; w->now_ms < story->phases * story->phase_ms; w->now_ms += STEP_MS) {
		tell_story(w);
		for (int i = 0; i < GUESTS; i++) {
			if (w->now_ms % 1000 == 0)
				sample(w, &w->guest[i]);
			drive(w, &w->guest[i]);
		}
		if (policy && ((w->round_wanted && w->now_ms >= w->round_ms + ROUND_MS) ||
			       w->now_ms >= w->round_ms + TICK_MS))
			run_round(w);
		if (verbose && w->now_ms % 5000 == 0)
			printf("# %7" PRIu64 " %5" PRIu64 " %5" PRIu64 " %5" PRIu64 "\n", w->now_ms,
			       w->guest[0].usable / MIB, w->guest[1].usable / MIB, w->guest[2].usable / MIB);
	}
	outcome = (struct outcome){ .moved = w->moved, .broken = w->broken, .changes = w->changes };
	for (int i = 0; i < GUESTS; i++) {
		outcome.work += w->guest[i].operations;
		outcome.oom_kills += w->guest[i].oom_kills;
	}
	free(w);
	return outcome;
}

/* NULL where this process may not load BPF programs. */
static struct memtide_policy *load(const char *directory, const char *name, char *const *knobs, int nr_knobs)
{
	struct memtide_errtext errtext;
	struct memtide_policy *policy = NULL;
	char *file;
	int r;

	r = memtide_policy_find(directory, name, &file, &errtext);
	if (!r) {
		r = memtide_policy_open(file, &policy, &errtext);
		free(file);
	}
	for (int i = 0; i < nr_knobs && !r; i++) {
		char *knob = strdup(knobs[i]), *equals = strchr(knob, '=');

		*equals = '\0';
		r = memtide_policy_set_knob(policy, knob, equals + 1, &errtext);
		free(knob);
	}
	if (!r)
		r = memtide_policy_load(policy, &errtext);
	if (r == -EPERM)
		return NULL;
	if (r) {
		printf("Bail out! %s\n", errtext.text);
		exit(1);
	}
	return policy;
}

struct options {
	const char *directory;
	char *knobs[16];	/* fair's */
	int nr_knobs;
};

static struct outcome play_policy(const struct story *story, const struct options *o, const char *name)
{
	bool fair = !strcmp(name, "fair");
	struct memtide_policy *policy = load(o->directory, name, o->knobs, fair ? o->nr_knobs : 0);
	struct outcome outcome;

	if (!policy) {
		puts("ok 1 - the demo in a model # SKIP this process may not load BPF programs\n1..1");
		exit(0);
	}
	/* Proxmox VE knows no claims. */
	outcome = play(story, policy, fair);
	memtide_policy_close(policy);
	return outcome;
}

static bool tell(const struct story *story, const struct options *o, int number)
{
	struct outcome fixed = play(story, NULL, false), proxmox = play_policy(story, o, "proxmox");
	struct outcome fair = play_policy(story, o, "fair");
	double than_fixed = fixed.work ? (double)fair.work / fixed.work : 1;
	double than_proxmox = proxmox.work ? (double)fair.work / proxmox.work : 1;
	bool ok = !fair.broken && !proxmox.broken && !fair.oom_kills && than_fixed >= story->than_fixed &&
		  than_proxmox >= story->than_proxmox && fair.changes <= story->changes;

	printf("%sok %d - %s: %.2f times the work of fixed limits (at least %.2f), %.2f of proxmox (at least "
	       "%.2f), %" PRIu64 " kills, %" PRIu64 " changes (at most %u), %.1f GiB moved\n",
	       ok ? "" : "not ", number, story->name, than_fixed, story->than_fixed, than_proxmox,
	       story->than_proxmox, fair.oom_kills, fair.changes, story->changes, (double)fair.moved / GIB);
	return ok;
}

static void make_zipf(void)
{
	double sum = 0;

	zipf = malloc(BLOCKS * sizeof(*zipf));
	for (uint32_t i = 0; i < BLOCKS; i++)
		zipf[i] = sum += pow(i + 1.0, -THETA);
}

int main(int argc, char **argv)
{
	static const struct story stories[] = {
		{ "one at a time", 6, 30000, 1, 150, 600, true, false, 1.1, 1.02, 400 },
		{ "one at a time, from scratch", 6, 30000, 1, 150, 600, true, true, 1.1, 1.02, 400 },
		{ "one at a time, slow disk", 6, 30000, 1, 150, 1250, true, false, 1.02, 1.02, 400 },
		/* Faster than caches fill: moving memory cannot pay, and must not cost much. */
		{ "one at a time, short phases", 12, 10000, 1, 150, 600, true, false, 0.93, 1.02, 400 },
		{ "one at a time, long phases", 6, 90000, 1, 150, 600, true, false, 1.3, 1.3, 800 },
		{ "two at a time", 6, 60000, 2, 150, 600, false, false, 1.02, 1.02, 800 },
		{ "all at once", 6, 30000, 3, 150, 600, false, false, 0.97, 1.02, 40 },
		{ "nobody", 6, 30000, 0, 150, 600, false, false, 1.0, 1.0, 0 },
	};
	static const struct option long_options[] = { { "knob", required_argument, NULL, 'k' }, { } };
	const int nr = sizeof(stories) / sizeof(stories[0]);
	struct options o = { .nr_knobs = 0 };
	int option, failed = 0;

	while ((option = getopt_long(argc, argv, "v", long_options, NULL)) != -1) {
		if (option == 'k' && o.nr_knobs < 16 && strchr(optarg, '='))
			o.knobs[o.nr_knobs++] = optarg;
		else if (option == 'v')
			verbose = true;
		else
			return 2;
	}
	if (optind + 1 != argc)
		return 2;
	o.directory = argv[optind];
	make_zipf();
	for (int i = 0; i < nr; i++)
		failed += !tell(&stories[i], &o, i + 1);
	printf("1..%d\n", nr);
	return failed ? 1 : 0;
}
