// SPDX-License-Identifier: GPL-2.0-only
/*
 * Relief: given memory comes back when the guest is short of it.
 *
 * Pressure is noticed by a tracepoint and a shrinker (direct reclaim), by the statistics (reclaim
 * of anonymous memory, refaults) and by the OOM notifier.  kswapd at work is no pressure: streaming
 * reads keep it busy.  Relief comes from the credit at once, in the context that noticed where that
 * can be.  Without credit, attend claims more from the controller, and takes it when the grant's
 * interrupt comes.
 *
 * One spell of pressure: pressure_ns is set by whoever sees it first, and cleared by whoever
 * relieves it, or by attend when it was none.
 */
#include <linux/oom.h>
#include <linux/sched.h>
#include <linux/swap.h>
#include <linux/tracepoint.h>

#include "tide.h"
#include "trace.h"

/* What relief takes at a time: a burst goes on, and this much is free in half a millisecond. */
#define TIDE_STEP_MAX		(SZ_64M >> PAGE_SHIFT)
/* When the last relief was that recent, the next one takes twice as much, up to so many times. */
#define TIDE_STEP_RECENT	msecs_to_jiffies(100)
#define TIDE_STEP_SHIFT_MAX	3

/* A small guest takes a share of its memory. */
static unsigned long tide_step(struct tide *tide)
{
	unsigned long step = clamp(tide->ram_pages / 32, TIDE_HUGE_PAGES, TIDE_STEP_MAX);

	return step << READ_ONCE(tide->step_shift);
}

/*
 * Whether memory is short in earnest.  A task that reclaims may want one zone, one node or one huge
 * page while there is plenty elsewhere.
 */
static bool tide_short(struct tide *tide, u32 urgency)
{
	switch (urgency) {
	case VIRTIO_TIDE_URGENCY_OOM:
		return true;
	case VIRTIO_TIDE_URGENCY_REFAULT:
		return tide_free_pages() < tide_reserve() + tide_step(tide);
	default:
		return tide_free_pages() < tide_reserve();
	}
}

/* Starts the clock of a spell of pressure, unless it runs. */
static void tide_pressure_begin(struct tide *tide)
{
	if (!READ_ONCE(tide->pressure_ns))
		cmpxchg64(&tide->pressure_ns, 0, ktime_get_ns());
}

/**
 * tide_pressure - note that somebody needs memory
 * @tide: the device
 * @todo: TIDE_TODO_RECLAIM, TIDE_TODO_REFAULT or TIDE_TODO_OOM
 *
 * Any context but NMI; attend sees whether it is so, and what can be done.
 */
void tide_pressure(struct tide *tide, enum tide_todo todo)
{
	tide_pressure_begin(tide);
	set_bit(todo, &tide->todo);
	tide_attend_soon(tide);
}

/* The pressure is real: giving stops short of the ceiling until it has been quiet for a while. */
static void tide_pressed(struct tide *tide)
{
	WRITE_ONCE(tide->last_pressure, jiffies);
	if (!xchg(&tide->pressed, true))
		atomic64_inc(&tide->pressure_count);
	tide_attend_later(tide, &tide->quiet_work, tide_quiet_ms);
}

/* Accounts for @pages that came back by @path, and answers the pressure that they were for. */
static void tide_relieved(struct tide *tide, unsigned long pages, u32 path)
{
	u64 since = xchg(&tide->pressure_ns, 0);
	u64 ns = since ? ktime_get_ns() - since : 0;

	spin_lock(&tide->lock);
	tide->relieved_pages += pages;
	if (since) {
		tide->relief_count[path]++;
		tide->relief_max_ns[path] = max(tide->relief_max_ns[path], ns);
	}
	if (time_before(jiffies, tide->last_relief + TIDE_STEP_RECENT))
		tide->step_shift = min(tide->step_shift + 1, TIDE_STEP_SHIFT_MAX);
	else
		tide->step_shift = 0;
	tide->last_relief = jiffies;
	spin_unlock(&tide->lock);

	WRITE_ONCE(tide->relieved, true);
	trace_tide_relief(pages, path, ns);
	wake_up_all(&tide->relief_wait);
	if (since)
		tide_event_send(tide, VIRTIO_TIDE_EV_RELIEF, ns, path, tide_bytes(pages));
	tide_move_soon(tide);	/* to tell the host */
}

/* Takes up to @pages back within the credit.  Process context, atomic or not.  Returns how many. */
static unsigned long tide_relieve(struct tide *tide, unsigned long pages, u32 path)
{
	unsigned long freed;

	tide_pressed(tide);
	freed = tide_free_given(tide, pages);
	if (freed) {
		tide_relieved(tide, freed, path);
	} else {
		/* Gives that are done may wait to be settled; and the untold table may be full. */
		wake_up(&tide->acked);
		tide_move_soon(tide);
	}
	return freed;
}

/*
 * The claim.  One at a time, until the host answers with new orders or a refusal, or for
 * tide_claim_ms.
 */

/* Ends the claim and the spell of pressure that it was for. */
static void tide_claim_end(struct tide *tide)
{
	WRITE_ONCE(tide->claim.active, false);
	WRITE_ONCE(tide->pressure_ns, 0);
}

static void tide_claim_attend(struct tide *tide)
{
	bool answered;
	u32 path;

	if (!tide->claim.active)
		return;
	if (time_after(jiffies, tide->claim.expires)) {
		/* What comes now is not the answer to this. */
		tide_claim_end(tide);
		return;
	}
	spin_lock(&tide->lock);
	answered = tide->orders.generation != tide->claim.generation;
	path = tide->orders.grant;
	spin_unlock(&tide->lock);
	if (!answered)
		return;
	if (tide_relieve(tide, tide->claim.pages, path)) {
		WRITE_ONCE(tide->claim.active, false);
		return;
	}
	/* New orders without credit are an answer, but not for a task that is about to kill. */
	tide_claim_end(tide);
	if (tide->claim.urgency == VIRTIO_TIDE_URGENCY_OOM)
		tide_pressure(tide, TIDE_TODO_OOM);
}

static void tide_claim(struct tide *tide, u32 urgency)
{
	bool oom = urgency == VIRTIO_TIDE_URGENCY_OOM;
	unsigned long ceiling = READ_ONCE(tide->orders.ceiling);
	unsigned long pages = min(tide_step(tide), tide->ram_pages - ceiling);

	if (tide->claim.active && !(oom && tide->claim.urgency != urgency))
		return;
	if (!pages || (time_before(jiffies, tide->claim.not_before) && !oom)) {
		WRITE_ONCE(tide->pressure_ns, 0);
		return;
	}
	tide->claim.generation = READ_ONCE(tide->orders.generation);
	tide->claim.urgency = urgency;
	tide->claim.pages = pages;
	tide->claim.expires = jiffies + msecs_to_jiffies(tide_claim_ms);
	WRITE_ONCE(tide->claim.active, true);
	tide_event_send(tide, VIRTIO_TIDE_EV_PRESSURE, tide_bytes(tide->claim.pages), urgency, 0);
	trace_tide_claim(tide->claim.pages, urgency);
}

/* tide_claim_denied - the host has nothing to grant for now.  In attend. */
void tide_claim_denied(struct tide *tide)
{
	WRITE_ONCE(tide->heard, true);
	WRITE_ONCE(tide->denied, tide->denied + 1);
	if (tide->claim.active) {
		tide_claim_end(tide);
		tide->claim.not_before = jiffies + msecs_to_jiffies(tide_claim_ms);
	}
	wake_up_all(&tide->relief_wait);
}

/**
 * tide_relief_attend - relieve what was noticed, from a grant, from the credit, or by a claim
 * @tide: the device
 * @urgency: enum virtio_tide_urgency, or zero if nothing was noticed
 */
void tide_relief_attend(struct tide *tide, u32 urgency)
{
	tide_claim_attend(tide);
	if (!urgency)
		return;
	if (!tide_short(tide, urgency)) {
		if (!tide->claim.active)
			WRITE_ONCE(tide->pressure_ns, 0);
		return;
	}
	if (!tide_relieve(tide, tide_step(tide), VIRTIO_TIDE_PATH_CREDIT))
		tide_claim(tide, urgency);
}

/* tide_quiet_attend - when there was no pressure for tide_quiet_ms, the target holds again. */
void tide_quiet_attend(struct tide *tide)
{
	unsigned long due = READ_ONCE(tide->last_pressure) + msecs_to_jiffies(tide_quiet_ms);

	if (!READ_ONCE(tide->pressed))
		return;
	if (time_before(jiffies, due)) {
		tide_attend_later(tide, &tide->quiet_work, jiffies_to_msecs(due - jiffies) + 1);
		return;
	}
	WRITE_ONCE(tide->pressed, false);
	if (xchg(&tide->relieved, false))
		tide_event_send(tide, VIRTIO_TIDE_EV_QUIET, 0, 0, 0);
}

/*
 * Who notices: direct reclaim through a shrinker, which relieves right there, and through a
 * tracepoint, which comes before the scanning and has attend do it.
 */

/* Direct reclaim for everybody: not kswapd, not drop_caches, not this driver's own. */
static bool tide_direct_reclaim(struct tide *tide)
{
	return (current->flags & PF_MEMALLOC) && !current_is_kswapd() &&
	       current != READ_ONCE(tide->mover);
}

static unsigned long tide_shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct tide *tide = shrinker->private_data;
	unsigned long credit;

	if (!tide_direct_reclaim(tide) || !tide_short(tide, VIRTIO_TIDE_URGENCY_RECLAIM))
		return 0;
	if (!READ_ONCE(tide->claim.active))
		tide_pressure(tide, TIDE_TODO_RECLAIM);
	spin_lock(&tide->lock);
	credit = min(tide_credit(tide), tide->given_pages);
	spin_unlock(&tide->lock);
	return credit;
}

static unsigned long tide_shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct tide *tide = shrinker->private_data;
	unsigned long freed = 0;

	if (tide_direct_reclaim(tide) && tide_short(tide, VIRTIO_TIDE_URGENCY_RECLAIM))
		freed = tide_relieve(tide, tide_step(tide), VIRTIO_TIDE_PATH_CREDIT);
	if (!freed)
		return SHRINK_STOP;
	mm_account_reclaimed_pages(freed);
	sc->nr_scanned = freed;
	return freed;
}

static int tide_shrinker_start(struct tide *tide)
{
	tide->shrinker = shrinker_alloc(0, "virtio-tide");
	if (!tide->shrinker)
		return -ENOMEM;
	tide->shrinker->count_objects = tide_shrink_count;
	tide->shrinker->scan_objects = tide_shrink_scan;
	tide->shrinker->seeks = 0;	/* nothing has to be read again */
	tide->shrinker->batch = 1;	/* a call takes a step, however little it was asked for */
	tide->shrinker->private_data = tide;
	shrinker_register(tide->shrinker);
	return 0;
}

#ifdef CONFIG_TRACEPOINTS
static void tide_direct_reclaim_begin(void *data, int order, gfp_t gfp_flags)
{
	struct tide *tide = data;

	/* A huge page is tried for, and done without. */
	if (order > PAGE_ALLOC_COSTLY_ORDER || current == READ_ONCE(tide->mover) ||
	    READ_ONCE(tide->claim.active))
		return;
	tide_pressure(tide, TIDE_TODO_RECLAIM);
}

/* Memory is in motion: look at the statistics, for as long as it is. */
static void tide_kswapd_wake(void *data, int nid, int zid, int order)
{
	struct tide *tide = data;

	if (!READ_ONCE(tide->busy))
		tide_attend_later(tide, &tide->sample_work, 100);
}

static void tide_tracepoint_find(struct tracepoint *tp, void *data)
{
	struct tide *tide = data;

	if (!strcmp(tp->name, "mm_vmscan_direct_reclaim_begin"))
		tide->tp_direct = tp;
	else if (!strcmp(tp->name, "mm_vmscan_kswapd_wake"))
		tide->tp_kswapd = tp;
}

/* Without them the shrinker and the host's requests still work, only later. */
static void tide_tracepoints_start(struct tide *tide)
{
	struct tracepoint *tp;

	for_each_kernel_tracepoint(tide_tracepoint_find, tide);
	tp = tide->tp_direct;
	if (tp && tracepoint_probe_register(tp, tide_direct_reclaim_begin, tide))
		tide->tp_direct = NULL;
	tp = tide->tp_kswapd;
	if (tp && tracepoint_probe_register(tp, tide_kswapd_wake, tide))
		tide->tp_kswapd = NULL;
}

static void tide_tracepoints_stop(struct tide *tide)
{
	if (tide->tp_direct)
		tracepoint_probe_unregister(tide->tp_direct, tide_direct_reclaim_begin, tide);
	if (tide->tp_kswapd)
		tracepoint_probe_unregister(tide->tp_kswapd, tide_kswapd_wake, tide);
	tracepoint_synchronize_unregister();
	tide->tp_direct = NULL;
	tide->tp_kswapd = NULL;
}
#else
static void tide_tracepoints_start(struct tide *tide) {}
static void tide_tracepoints_stop(struct tide *tide) {}
#endif

/* What has come back since the last OOM. */
static unsigned long tide_oom_returned(struct tide *tide)
{
	unsigned long pages;

	spin_lock(&tide->lock);
	pages = tide->returned_pages - tide->oom_seen;
	spin_unlock(&tide->lock);
	return pages;
}

/*
 * Claims and waits for the grant, at most tide_oom_wait_ms.  A controller that starts anew in the
 * meantime may know nothing of a claim that its predecessor has read, so it is made again now and
 * then.  The caller holds oom_lock; attend and move, which free what the grant allows and wake us,
 * take no lock that depends on it and allocate nothing.
 */
static void tide_oom_wait(struct tide *tide)
{
	unsigned long until = jiffies + msecs_to_jiffies(tide_oom_wait_ms);
	unsigned long again = msecs_to_jiffies(tide_claim_ms) + 1;
	long left = msecs_to_jiffies(tide_oom_wait_ms), answered;
	u32 denied = READ_ONCE(tide->denied);

	do {
		tide_pressure(tide, TIDE_TODO_OOM);
		answered = wait_event_timeout(tide->relief_wait, tide_oom_returned(tide) ||
					      READ_ONCE(tide->denied) != denied ||
					      READ_ONCE(tide->stopping),
					      min_t(unsigned long, left, again));
		left = until - jiffies;
	} while (!answered && left > 0);
	/* The next one waits only if the host has shown a sign of life. */
	if (!answered)
		WRITE_ONCE(tide->heard, false);
}

static int tide_oom(struct notifier_block *nb, unsigned long unused, void *data)
{
	struct tide *tide = container_of(nb, struct tide, oom_nb);
	unsigned long *freed = data, pages;

	if (*freed || READ_ONCE(tide->stopping) || current == READ_ONCE(tide->mover))
		return NOTIFY_OK;
	tide_pressure_begin(tide);
	tide_relieve(tide, tide_step(tide), VIRTIO_TIDE_PATH_CREDIT);
	/*
	 * What came back after the allocator had looked for the last time, and before it came here,
	 * counts as well: it has not been tried.
	 */
	if (!tide_oom_returned(tide) && READ_ONCE(tide->heard))
		tide_oom_wait(tide);
	pages = tide_oom_returned(tide);
	tide->oom_seen += pages;
	if (!pages && !READ_ONCE(tide->claim.active))
		WRITE_ONCE(tide->pressure_ns, 0);
	*freed += pages;
	return NOTIFY_OK;
}

/* tide_relief_start - begin to notice pressure.  The device is ready.  0 or a negative errno. */
int tide_relief_start(struct tide *tide)
{
	int err = tide_shrinker_start(tide);

	if (err)
		return err;
	/* no claim and no relief so far: zero may be in the future of jiffies */
	tide->claim.not_before = jiffies;
	tide->last_relief = jiffies - TIDE_STEP_RECENT;
	tide->oom_nb.notifier_call = tide_oom;
	err = register_oom_notifier(&tide->oom_nb);
	if (err) {
		shrinker_free(tide->shrinker);
		return err;
	}
	tide_tracepoints_start(tide);
	return 0;
}

/* tide_relief_stop - afterwards nobody notices pressure, and nobody waits.  stopping is set. */
void tide_relief_stop(struct tide *tide)
{
	wake_up_all(&tide->relief_wait);
	tide_tracepoints_stop(tide);
	unregister_oom_notifier(&tide->oom_nb);
	shrinker_free(tide->shrinker);
}
