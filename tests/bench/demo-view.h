/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the demo shows while it runs: a bar per VM, the last events, and at the end a summary. */
#ifndef TESTS_BENCH_DEMO_VIEW_H
#define TESTS_BENCH_DEMO_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#define DEMO_VMS	3

struct demo_vm_view {
	const char *name;
	bool active;		/* its load runs */
	bool burst;		/* it is bursting with anonymous memory */
	uint64_t usable;	/* bytes */
	uint64_t ceiling;
	uint64_t resident;	/* on the host */
	double ops;		/* a second */
};

struct demo_view {
	const char *mode;	/* "static", or the policy's name */
	unsigned int second, seconds;
	uint64_t budget;
	uint64_t maximum;
	uint64_t moved;
	double relief_p50_ms, relief_max_ms;
	uint64_t oom_kills;
	struct demo_vm_view vm[DEMO_VMS];
	const char *event[4];	/* the latest first, NULL: none */
};

/* Redraws in place on a terminal; with @plain prints one line instead. */
void demo_draw(const struct demo_view *view, bool plain);
/* Leaves the last picture where it is. */
void demo_draw_end(bool plain);

#endif /* TESTS_BENCH_DEMO_VIEW_H */
