// SPDX-License-Identifier: GPL-2.0-only
/*
 * The attend work: everything that has to happen soon after an interrupt or a sign of pressure, and
 * that never waits for the device.  Work is queued, and timers only set a bit in todo and queue it,
 * so that one context at a time owns the rings' consumer side, the statistics and the claim.
 */
#include "tide.h"

/* The most urgent pressure that was noted since the last time, or zero. */
static u32 tide_urgency(struct tide *tide)
{
	bool oom = test_and_clear_bit(TIDE_TODO_OOM, &tide->todo);
	bool reclaim = test_and_clear_bit(TIDE_TODO_RECLAIM, &tide->todo);
	bool refault = test_and_clear_bit(TIDE_TODO_REFAULT, &tide->todo);

	return oom ? VIRTIO_TIDE_URGENCY_OOM :
	       reclaim ? VIRTIO_TIDE_URGENCY_RECLAIM :
	       refault ? VIRTIO_TIDE_URGENCY_REFAULT : 0;
}

static void tide_attend(struct work_struct *work)
{
	struct tide *tide = container_of(work, struct tide, attend_work);
	bool config = test_and_clear_bit(TIDE_TODO_CONFIG, &tide->todo);
	bool sample = test_and_clear_bit(TIDE_TODO_SAMPLE, &tide->todo);
	bool quiet = test_and_clear_bit(TIDE_TODO_QUIET, &tide->todo);
	u32 urgency = tide_urgency(tide);

	/* Somebody may be waiting for memory: first what it takes to relieve, then the rest. */
	tide_orders_read(tide);
	tide_events_receive(tide);
	tide_relief_attend(tide, urgency);
	if (config)
		tide_config_read(tide);
	if (quiet)
		tide_quiet_attend(tide);
	if (tide_move_due(tide))
		tide_move_soon(tide);
	tide_stats_attend(tide, sample);
}

static void tide_sample_due(struct work_struct *work)
{
	struct tide *tide = container_of(to_delayed_work(work), struct tide, sample_work);

	set_bit(TIDE_TODO_SAMPLE, &tide->todo);
	tide_attend_soon(tide);
}

static void tide_quiet_due(struct work_struct *work)
{
	struct tide *tide = container_of(to_delayed_work(work), struct tide, quiet_work);

	set_bit(TIDE_TODO_QUIET, &tide->todo);
	tide_attend_soon(tide);
}

void tide_attend_init(struct tide *tide)
{
	INIT_WORK(&tide->attend_work, tide_attend);
	INIT_DEFERRABLE_WORK(&tide->sample_work, tide_sample_due);	/* wakes no idle guest */
	INIT_DELAYED_WORK(&tide->quiet_work, tide_quiet_due);
}

/* tide_attend_soon - have attend run, once more if it is running.  Any context but NMI. */
void tide_attend_soon(struct tide *tide)
{
	queue_work(tide->attend_wq, &tide->attend_work);
}

/* tide_attend_later - start @work, sample_work or quiet_work, if it is not under way already. */
void tide_attend_later(struct tide *tide, struct delayed_work *work, unsigned int ms)
{
	queue_delayed_work(tide->attend_wq, work, msecs_to_jiffies(ms));
}
