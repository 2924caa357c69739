/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virtio_tide, private: what its files share.  The contract with the host is linux/virtio_tide.h.
 *
 * Who runs where:
 *
 *	attend	a work item that never waits for the device: reads the host's orders, relieves
 *	pressure,
 *		claims memory, writes statistics.  The configuration interrupt and everything that
 *		notices pressure queue it.
 *	move	a work item that brings usable memory to the goal: gives in batches, takes back,
 *	sends
 *		fences.  It alone uses the give queue.  It waits for the device and for reclaim.
 *	relief	runs in a reclaiming task (shrinker), a task about to kill (OOM notifier) and in
 *	attend.
 *		It frees given memory within the credit: a spinlock, no allocation, no waiting.
 *
 * None of them allocates memory for itself: what they need exists since probe.  Sizes are in pages
 * of the guest unless a name says otherwise.
 */
#ifndef VIRTIO_TIDE_PRIVATE_H
#define VIRTIO_TIDE_PRIVATE_H

#include <linux/atomic.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/page_reporting.h>
#include <linux/shrinker.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/virtio_tide.h>

/* The order that the host can back with one huge page. */
#define TIDE_HUGE_ORDER		(ilog2(VIRTIO_TIDE_HUGE_SIZE) - PAGE_SHIFT)
#define TIDE_HUGE_PAGES		((unsigned long)VIRTIO_TIDE_HUGE_SIZE >> PAGE_SHIFT)

/* The device works on some batches while others are filled and settled. */
#define TIDE_BATCHES		8
/*
 * Slots for takes in each batch, and the size of the untold table: the table always fits a batch,
 * so a batch can always carry everything that was freed before it.
 */
#define TIDE_TAKES		1024
#define TIDE_GIVES		(VIRTIO_TIDE_MAX_RANGES - TIDE_TAKES - 1)

/**
 * struct tide_orders - the host's state record, checked, in pages
 * @generation: zero before the host has said anything
 * @target: usable memory to come to, @floor <= @target <= @ceiling
 * @ceiling: usable memory that may be taken back to at once
 * @floor: usable memory below which nothing is given
 * @flags: VIRTIO_TIDE_STATE_*
 * @grant: enum virtio_tide_path behind the last rise of @ceiling
 * @told_ns: when the host's interrupt for this generation came in
 */
struct tide_orders {
	u32 generation;
	unsigned long target;
	unsigned long ceiling;
	unsigned long floor;
	u32 flags;
	u32 grant;
	u64 told_ns;
};

/* A run of pages. */
struct tide_extent {
	unsigned long pfn;
	unsigned long pages;
};

/**
 * struct tide_batch - a buffer of the give queue
 * @range: VIRTIO_TIDE_MAX_RANGES ranges: takes end at TIDE_TAKES, gives start there, a fence comes
 * last
 * @result: the device's answer
 * @blocks: what it gives, by order, linked through page->lru
 * @pages: how much it gives
 * @takes: ranges before TIDE_TAKES
 * @gives: ranges from TIDE_TAKES on
 * @fence: generation of the fence it ends with, or zero
 */
struct tide_batch {
	struct virtio_tide_range *range;
	struct virtio_tide_result *result;
	struct list_head blocks[NR_PAGE_ORDERS];
	unsigned long pages;
	unsigned int takes;
	unsigned int gives;
	u32 fence;
};

/**
 * struct tide_timing - how long it took to move how much, for people and benchmarks
 * @pages: moved in the last run
 * @ns: from the host's interrupt (or the start of the run) to the last page
 */
struct tide_timing {
	unsigned long pages;
	u64 ns;
};

enum tide_todo {
	TIDE_TODO_CONFIG,	/* the configuration interrupt came */
	TIDE_TODO_SAMPLE,	/* time for statistics */
	TIDE_TODO_QUIET,	/* see whether pressure is over */
	TIDE_TODO_RECLAIM,	/* somebody reclaims directly, or anonymous memory was reclaimed */
	TIDE_TODO_REFAULT,	/* what was reclaimed is read again */
	TIDE_TODO_OOM,		/* somebody waits in the OOM notifier */
};

struct tide {
	struct virtio_device *vdev;
	struct virtqueue *give_vq;
	struct virtqueue *report_vq;	/* NULL without VIRTIO_TIDE_F_REPORT */
	void *region;			/* VIRTIO_TIDE_SHM_STATE */
	void __iomem *doorbell;
	unsigned long ram_pages;
	bool running;			/* probe's and remove's, under the device's lock */

	struct workqueue_struct *attend_wq;
	struct workqueue_struct *move_wq;
	struct work_struct attend_work;
	struct work_struct move_work;
	struct delayed_work sample_work;	/* this and the next queue attend with their todo */
	struct delayed_work quiet_work;
	struct delayed_work retry_work;		/* queues move */
	struct delayed_work mark_work;		/* see blocks.c */
	unsigned long todo;			/* bits of enum tide_todo */
	u64 told_ns;				/* of the last configuration interrupt */

	/*
	 * @lock protects what follows, down to the blank line; single words are also read
	 * without it where an old value does no harm.  Taken in process context only, and never
	 * held while pages are allocated or freed.
	 */
	spinlock_t lock;
	bool stopping;				/* the guest gets everything back for good */
	struct tide_orders orders;
	struct list_head given[NR_PAGE_ORDERS];	/* blocks, through page->lru */
	unsigned long given_pages;		/* given and done */
	struct tide_extent *untold;		/* TIDE_TAKES runs the host thinks it has */
	unsigned int nr_untold;
	u32 fence_sent;				/* generation of the last fence posted */
	u32 fenced;				/* and of the last one that came back */
	u64 returned_pages;			/* came back, for whatever reason, so far */
	u64 relieved_pages;
	u64 relief_count[VIRTIO_TIDE_PATHS];
	u64 relief_max_ns[VIRTIO_TIDE_PATHS];
	unsigned long last_relief;		/* jiffies */
	unsigned int step_shift;		/* relief doubles its step while pressure goes on */
	struct tide_timing gave;
	struct tide_timing took;

	/* Move's own; remove and freeze use it after they disabled the work. */
	struct tide_batch batch[TIDE_BATCHES];
	unsigned int filling;			/* index of the next batch to fill */
	unsigned int in_flight;
	unsigned long in_flight_pages;		/* read by attend */
	struct list_head refused;		/* blocks not to be offered again in this run */
	struct list_head cushion;		/* blocks held so that reclaim leaves some free */
	unsigned long cushion_pages;
	unsigned long batch_pages;		/* the most for the next batch */
	unsigned int stage;			/* how hard this run tries, see give.c */
	unsigned long backoff;			/* jiffies to the run after one got stuck */
	u32 tried;				/* the generation that got stuck; read by attend */
	bool stalled;				/* it got stuck; read by attend */
	wait_queue_head_t acked;		/* the device returned a buffer */
	struct task_struct *mover;		/* its reclaim is no pressure */

	/*
	 * Pressure; see relief.c.  Written and read without a lock but for @claim, which is
	 * attend's.
	 */
	u64 pressure_ns;			/* when it began, or zero */
	unsigned long last_pressure;		/* jiffies of the last time that it was real */
	bool pressed;				/* it was real, not yet quiet_ms ago */
	bool relieved;				/* taken back since @pressed was set */
	bool heard;				/* the host has shown a sign of life */
	u32 denied;				/* refusals so far */
	atomic64_t pressure_count;
	u64 oom_seen;				/* @returned_pages at the last OOM; oom_lock */
	wait_queue_head_t relief_wait;		/* for @returned_pages, @denied or @stopping */
	struct {
		bool active;			/* read from anywhere */
		u32 generation;			/* orders that it was made under */
		u32 urgency;			/* enum virtio_tide_urgency */
		unsigned long pages;
		unsigned long expires;		/* jiffies */
		unsigned long not_before;	/* jiffies: when the next one may be made */
	} claim;
	struct shrinker *shrinker;
	struct notifier_block oom_nb;
	struct tracepoint *tp_direct;
	struct tracepoint *tp_kswapd;

	/* Rings. */
	spinlock_t event_lock;			/* for producing into the to-host ring */
	u32 to_host_head;			/* under @event_lock */
	u32 to_guest_tail;			/* attend's */

	/* Statistics: attend's, @busy is read from anywhere. */
	u32 refreshed;				/* the state.refresh that was answered */
	bool busy;				/* a sample is due */
	struct {
		u64 refault_file, refault_anon, steal_anon, scan_direct, alloc_stall, free;
		u64 time_ns;
	} last;

	bool inhibited;				/* see tide_config_read(); read from anywhere */
	struct page_reporting_dev_info prdev;
	bool reporting;
	wait_queue_head_t reported;
};

extern unsigned int tide_quiet_ms;
extern unsigned int tide_oom_wait_ms;
extern unsigned int tide_claim_ms;
extern unsigned int tide_refault_mib;

static inline void *tide_at(struct tide *tide, unsigned long offset)
{
	return tide->region + offset;
}

/* Wakes the controller, which then looks at the region. */
static inline void tide_doorbell(struct tide *tide)
{
	writel(1, tide->doorbell);
}

static inline u64 tide_bytes(unsigned long pages)
{
	return (u64)pages << PAGE_SHIFT;
}

/* Under the lock. */
static inline unsigned long tide_usable(struct tide *tide)
{
	return tide->ram_pages - tide->given_pages;
}

/* Under the lock: what may be taken back without asking. */
static inline unsigned long tide_credit(struct tide *tide)
{
	unsigned long usable = tide_usable(tide);

	return tide->orders.ceiling > usable ? tide->orders.ceiling - usable : 0;
}

/* orders.c: what the host wants */
bool tide_orders_read(struct tide *tide);
void tide_config_read(struct tide *tide);
unsigned long tide_goal(struct tide *tide);

/* attend.c */
void tide_attend_init(struct tide *tide);
void tide_attend_soon(struct tide *tide);
void tide_attend_later(struct tide *tide, struct delayed_work *work, unsigned int ms);

/* blocks.c: given memory */
void tide_blocks_init(struct tide *tide);
void tide_block_take(struct page *page, unsigned int order);
void tide_block_free(struct page *page);
unsigned int tide_block_order(struct page *page);
void tide_blocks_free(struct list_head *blocks);
void tide_given_add(struct tide *tide, struct list_head *blocks, unsigned long pages);
unsigned long tide_free_given(struct tide *tide, unsigned long pages);

/* batch.c: the give queue */
int tide_batches_init(struct tide *tide);
void tide_batches_destroy(struct tide *tide);
void tide_batches_reclaim(struct tide *tide);
void tide_give_done(struct virtqueue *vq);
struct tide_batch *tide_batch_get(struct tide *tide);
bool tide_batch_add(struct tide_batch *batch, struct page *page);
int tide_batch_post(struct tide *tide, struct tide_batch *batch);
int tide_batch_reap(struct tide *tide);

/* give.c: where given memory comes from */
unsigned long tide_reserve(void);
unsigned long tide_free_pages(void);
void tide_give_begin(struct tide *tide);
unsigned long tide_give_fill(struct tide *tide, struct tide_batch *batch, unsigned long want);
void tide_give_end(struct tide *tide);

/* move.c */
void tide_move_init(struct tide *tide);
void tide_move_soon(struct tide *tide);
bool tide_move_due(struct tide *tide);
void tide_move_everything_back(struct tide *tide);

/* relief.c */
int tide_relief_start(struct tide *tide);
void tide_relief_stop(struct tide *tide);
void tide_pressure(struct tide *tide, enum tide_todo todo);
void tide_relief_attend(struct tide *tide, u32 urgency);
void tide_claim_denied(struct tide *tide);
void tide_quiet_attend(struct tide *tide);

/* ring.c */
void tide_events_start(struct tide *tide);
void tide_event_send(struct tide *tide, u32 type, u64 a, u64 b, u64 c);
void tide_events_receive(struct tide *tide);

/* stats.c */
void tide_stats_attend(struct tide *tide, bool sample);

/* report.c */
void tide_report_start(struct tide *tide);
void tide_report_stop(struct tide *tide);
void tide_report_done(struct virtqueue *vq);

/* sysfs.c */
extern const struct attribute_group *tide_groups[];

#endif /* VIRTIO_TIDE_PRIVATE_H */
