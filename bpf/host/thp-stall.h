/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What thp-pressure decides: whether a scope stalls, with hysteresis, and how large its folios may be then.  Plain
 * functions on plain values: no maps, no clock, so that tests can run them on literals.
 *
 * Whoever includes this has __u64 and its like, and bool, already.
 */
#ifndef THP_STALL_H
#define THP_STALL_H

/*
 * What is known of a scope is one word, so that CPUs that ask at once can change it in one step:
 *	bit 0		it stalls
 *	bits 1 to 15	windows in a row that were calm, up to the last one
 *	bits 16 to 63	number of the last window
 * Zero is a scope that nothing is known of: it does not stall.
 */
#define STALL_ON		1ULL
#define STALL_CALM_SHIFT	1
#define STALL_CALM_MAX		0x7fffULL
#define STALL_WINDOW_SHIFT	16

/* Pages of what khugepaged makes, on x86, and elsewhere where pages have 4 KiB. */
#define STALL_HUGE_PAGES	512

/**
 * struct stall_window - a window of a scope's snapshot
 * @number: from 1
 * @length_ns: how long it was
 * @stalled_ns: of that, tasks waited for memory
 */
struct stall_window {
	__u64 number;
	__u64 length_ns;
	__u64 stalled_ns;
};

/**
 * struct stall_limits - when a scope begins to stall, and when it no longer does
 * @enter_permille: of a window: it stalls from here on
 * @leave_permille: of a window: up to here it was calm
 * @calm_windows: so many in a row end it; up to STALL_CALM_MAX
 */
struct stall_limits {
	__u32 enter_permille;
	__u32 leave_permille;
	__u32 calm_windows;
};

static inline bool stall_is_on(__u64 state)
{
	return state & STALL_ON;
}

static inline __u64 stall_calm(__u64 state)
{
	return state >> STALL_CALM_SHIFT & STALL_CALM_MAX;
}

/* Whether @state has not seen window @number yet.  One that is older than the last is no news either. */
static inline bool stall_is_new(__u64 state, __u64 number)
{
	return number > state >> STALL_WINDOW_SHIFT;
}

static inline __u64 stall_permille(const struct stall_window *window)
{
	return window->length_ns ? window->stalled_ns * 1000 / window->length_ns : 0;
}

/**
 * stall_next - what is known of a scope after a window
 * @state: what was known before
 * @window: the one that has ended
 * @limits: when it stalls
 *
 * A function of its arguments alone: CPUs that come to the same window from the same state agree.  Windows that
 * nobody came by are not counted, neither as calm nor as anything else.
 *
 * Return: the new state; @state itself if @window is not new to it.
 */
static inline __u64 stall_next(__u64 state, const struct stall_window *window, const struct stall_limits *limits)
{
	__u64 permille = stall_permille(window), calm = stall_calm(state);
	bool on = stall_is_on(state);

	if (!stall_is_new(state, window->number))
		return state;
	if (permille >= limits->enter_permille) {
		on = true;
		calm = 0;
	} else if (permille > limits->leave_permille) {
		calm = 0;
	} else if (calm < STALL_CALM_MAX) {
		calm++;
	}
	if (calm >= limits->calm_windows)
		on = false;
	return window->number << STALL_WINDOW_SHIFT | calm << STALL_CALM_SHIFT | (on ? STALL_ON : 0);
}

/* Of @orders, bit N for folios of 2^N pages, those up to @largest. */
static inline __u64 stall_orders(__u64 orders, __u32 largest)
{
	return orders & ((2ULL << largest) - 1);
}

/* Whether to make a huge page of which @present pages are there, when @max_absent may be missing. */
static inline bool stall_collapse(__u32 present, __u32 max_absent)
{
	return present + max_absent >= STALL_HUGE_PAGES;
}

#endif /* THP_STALL_H */
