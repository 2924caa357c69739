// SPDX-License-Identifier: GPL-2.0-only
/*
 * The move work: brings usable memory to the goal and keeps the host informed.  It decides how much
 * to give or to take back next; give.c finds the memory, batch.c sends it.
 */
#include "tide.h"
#include "trace.h"

/* Retries of a run that got stuck: soon at first, since much may be free a moment later. */
#define TIDE_BACKOFF_MIN	msecs_to_jiffies(100)
#define TIDE_BACKOFF_MAX	msecs_to_jiffies(10000)

/**
 * struct tide_plan - what is to be done next
 * @give: pages to give
 * @take: pages to take back
 * @tell: takes to tell of, or a fence
 */
struct tide_plan {
	unsigned long give;
	unsigned long take;
	bool tell;
};

/*
 * A surplus of less than a huge page is left alone where the ceiling allows it, because giving a
 * block and taking it back would alternate.
 */
static void tide_plan(struct tide *tide, struct tide_plan *plan)
{
	unsigned long usable, coming, goal, ceiling;

	spin_lock(&tide->lock);
	usable = tide_usable(tide);
	coming = usable - min(usable, READ_ONCE(tide->in_flight_pages));
	goal = tide_goal(tide);
	ceiling = tide->orders.ceiling;
	*plan = (struct tide_plan) {
		.tell = tide->nr_untold ||
			(tide->orders.generation != tide->fence_sent && usable <= ceiling),
	};
	if (coming > goal && (coming > ceiling || coming - goal >= TIDE_HUGE_PAGES))
		plan->give = READ_ONCE(tide->inhibited) ? 0 : coming - goal;
	else if (usable < goal && tide->given_pages)
		plan->take = goal - usable;
	spin_unlock(&tide->lock);
}

/* A move run, as far as it has come. */
struct tide_run {
	u64 start_ns;
	unsigned long gave;
	unsigned long took;
	u64 took_ns;		/* when the last of @took was free */
	bool exhausted;		/* nothing more to give */
	bool failed;		/* the device will not take more for now */
	bool broken;
};

static void tide_run_reap(struct tide *tide, struct tide_run *run)
{
	int err = tide_batch_reap(tide);

	if (err == -EIO)
		run->broken = true;
	else if (err)
		run->failed = true;
}

/* Takes one step.  False when there is none to take. */
static bool tide_run_step(struct tide *tide, struct tide_run *run)
{
	struct tide_batch *batch;
	unsigned long pages = 0;
	struct tide_plan plan;

	tide_plan(tide, &plan);
	if (plan.take) {
		pages = tide_free_given(tide, plan.take);
		run->took += pages;
		if (pages) {
			run->took_ns = ktime_get_ns();
			wake_up_all(&tide->relief_wait);
			return true;
		}
		/* No block is small enough, or the untold table has to be emptied first. */
	}

	batch = tide_batch_get(tide);
	if (!batch) {
		tide_run_reap(tide, run);
		return true;
	}
	if (plan.give && !run->exhausted && !run->failed) {
		pages = tide_give_fill(tide, batch, plan.give);
		run->exhausted = !pages;
		plan.tell |= pages;
	}
	if (plan.tell) {
		run->broken = tide_batch_post(tide, batch);
		if (!run->broken)
			run->gave += pages;
		return true;
	}
	if (tide->in_flight) {
		tide_run_reap(tide, run);
		return true;
	}
	return false;
}

static void tide_run_account(struct tide *tide, struct tide_run *run)
{
	u64 now = ktime_get_ns();

	spin_lock(&tide->lock);
	if (run->gave)
		tide->gave = (struct tide_timing){ run->gave, now - run->start_ns };
	if (run->took)
		tide->took = (struct tide_timing){ run->took, run->took_ns - run->start_ns };
	spin_unlock(&tide->lock);
	trace_tide_moved(run->gave, run->took, now - run->start_ns);
}

/* Sees to another run where this one got stuck short of the goal. */
static void tide_run_retry(struct tide *tide, struct tide_run *run)
{
	u32 generation = READ_ONCE(tide->orders.generation);
	struct tide_plan plan;

	tide_plan(tide, &plan);
	WRITE_ONCE(tide->stalled, plan.give && (run->exhausted || run->failed || run->broken));
	if (!tide->stalled) {
		tide->backoff = 0;
		return;
	}
	if (!tide->backoff || generation != tide->tried || (run->gave && !run->failed))
		tide->backoff = TIDE_BACKOFF_MIN;
	else
		tide->backoff = min(2 * tide->backoff, TIDE_BACKOFF_MAX);
	WRITE_ONCE(tide->tried, generation);
	mod_delayed_work(tide->move_wq, &tide->retry_work, tide->backoff);
}

static void tide_run(struct tide *tide)
{
	u32 generation = READ_ONCE(tide->orders.generation);
	struct tide_run run = {};
	bool stalled = tide->stalled;

	/* The host's clock for new orders starts with its interrupt. */
	run.start_ns = generation != tide->fenced && generation != tide->tried ?
		READ_ONCE(tide->orders.told_ns) : ktime_get_ns();
	WRITE_ONCE(tide->mover, current);
	tide_give_begin(tide);
	while (!run.broken && tide_run_step(tide, &run))
		cond_resched();
	tide_give_end(tide);
	WRITE_ONCE(tide->mover, NULL);

	if (run.gave || run.took)
		tide_run_account(tide, &run);
	tide_run_retry(tide, &run);
	if (run.gave || run.took || stalled != tide->stalled)
		tide_attend_soon(tide);
}

static void tide_move(struct work_struct *work)
{
	tide_run(container_of(work, struct tide, move_work));
}

static void tide_retry_due(struct work_struct *work)
{
	tide_move_soon(container_of(to_delayed_work(work), struct tide, retry_work));
}

void tide_move_init(struct tide *tide)
{
	INIT_LIST_HEAD(&tide->refused);
	INIT_LIST_HEAD(&tide->cushion);
	INIT_WORK(&tide->move_work, tide_move);
	INIT_DELAYED_WORK(&tide->retry_work, tide_retry_due);
}

/* tide_move_soon - have move run, once more if it is running.  Any context but NMI. */
void tide_move_soon(struct tide *tide)
{
	queue_work(tide->move_wq, &tide->move_work);
}

/* tide_move_due - whether move has something to do that it has not just failed at.  In attend. */
bool tide_move_due(struct tide *tide)
{
	struct tide_plan plan;

	tide_plan(tide, &plan);
	if (plan.give && READ_ONCE(tide->stalled))
		plan.give = READ_ONCE(tide->orders.generation) != READ_ONCE(tide->tried);
	return plan.give || plan.take || plan.tell;
}

/*
 * tide_move_everything_back - the guest gets all its memory, and the host hears of it if it can.
 *
 * For remove and freeze, after all works and relief were stopped.
 */
void tide_move_everything_back(struct tide *tide)
{
	spin_lock(&tide->lock);
	tide->orders.ceiling = tide->ram_pages;
	tide->orders.target = tide->ram_pages;
	/* no fence: these are not the host's orders */
	tide->orders.generation = tide->fence_sent;
	spin_unlock(&tide->lock);
	tide_run(tide);

	/* With a queue that is broken nobody will hear. */
	while (tide->given_pages) {
		tide->nr_untold = 0;
		tide_free_given(tide, tide->given_pages);
	}
}
