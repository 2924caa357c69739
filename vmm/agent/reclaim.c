// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory of a VM whose guest cannot be asked: the host reclaims it, with memory.reclaim of the VM's cgroup, in small
 * steps and only while the VM does not wait for memory.  What it has is what is in memory; the rest is swapped out, and
 * comes back when it is touched, up to the limit that memtided sets.
 *
 * The pressure of the cgroup is the brake, as in Weiner et al., "TMO: Transparent Memory Offloading in Datacenters"
 * (ASPLOS 2022), whose threshold is a stall of 0.1 % of the time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "means.h"
#include "overhead.h"

/* In one step: some milliseconds of a fast swap device. */
#define STEP_BYTES	(UINT64_C(16) << 20)
/* Of the time since the last look, in parts per thousand: stalled for more than this, it is not reclaimed from ... */
#define CALM_PERMILLE	1
/* ... and for more than this, it has less than it needs. */
#define PRESSED_PERMILLE	100
/* After a stall memory counts as used for so long. */
#define WARY_NS		(10 * UINT64_C(1000000000))
/* Steps in a row that have brought nothing. */
#define STUCK_STEPS	20

struct reclaim {
	uint64_t ram;
	char cgroup[MEMTIDE_CGROUP_PATH_MAX];
	uint64_t usable;	/* at the last look */
	uint64_t stalled_us;	/* at the last look */
	uint64_t looked_ns;
	uint64_t stall_ns;	/* when it last stalled */
	bool calm;
	unsigned int in_vain;
};

/* Without swap there is nowhere to reclaim a guest's memory to. */
static bool has_swap(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "SwapTotal: %llu kB", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static int reclaim_open(const struct means_vm *vm, void **ret_state, struct memtide_errtext *errtext)
{
	char why[MEMTIDE_CGROUP_WHY_MAX], file[MEMTIDE_CGROUP_PATH_MAX + 32];
	struct reclaim *reclaim;
	int r = 0;

	if (!has_swap())
		return memtide_errtext_set(errtext, -EOPNOTSUPP, "this host has no swap");
	if (vm->pid <= 0)
		return memtide_errtext_set(errtext, -ESRCH, "its process is not known");
	reclaim = calloc(1, sizeof(*reclaim));
	if (!reclaim)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory");
	reclaim->ram = vm->ram;
	if (memtide_cgroup_find(vm->pid, reclaim->cgroup, why) < 0)
		r = memtide_errtext_set(errtext, -EOPNOTSUPP, "%s", why);
	/* Since 5.19. */
	snprintf(file, sizeof(file), "%s/memory.reclaim", reclaim->cgroup);
	if (!r && access(file, W_OK) < 0)
		r = memtide_errtext_set(errtext, -errno, "%s: %s", file, strerror(errno));
	if (r < 0) {
		free(reclaim);
		return r;
	}
	*ret_state = reclaim;
	return 0;
}

static int read_usable(struct reclaim *reclaim)
{
	uint64_t overhead = memtide_overhead(reclaim->ram), in_use;
	int r = memtide_cgroup_in_use(reclaim->cgroup, &in_use);

	if (!r)
		reclaim->usable = in_use > overhead ? in_use - overhead : 0;
	return r;
}

static int look(struct reclaim *reclaim, uint64_t now_ns, struct means_view *ret_view)
{
	struct means_view view = { .driver = true };
	uint64_t stalled_us, idle, stall_us, passed_us;
	int r = read_usable(reclaim) ?: memtide_cgroup_stalled(reclaim->cgroup, &stalled_us);

	if (r < 0)
		return r;
	passed_us = (now_ns - reclaim->looked_ns) / 1000;
	stall_us = reclaim->looked_ns ? stalled_us - reclaim->stalled_us : 0;
	reclaim->calm = stall_us * 1000 <= passed_us * CALM_PERMILLE;
	if (!reclaim->calm)
		reclaim->stall_ns = now_ns;
	view.pressed = reclaim->looked_ns && stall_us * 1000 > passed_us * PRESSED_PERMILLE;
	view.stuck = reclaim->in_vain >= STUCK_STEPS;
	view.stats.total = reclaim->ram;
	view.stats.psi_some_us = stalled_us;
	/* What the kernel has not seen used lately: a guess, and an upper bound, until it has been short once. */
	if (!memtide_cgroup_stat(reclaim->cgroup, "inactive_anon", &idle) &&
	    (!reclaim->stall_ns || now_ns - reclaim->stall_ns > WARY_NS))
		view.stats.available = idle < reclaim->usable ? idle : reclaim->usable;
	view.stats.anon = reclaim->usable - view.stats.available;
	memtide_cgroup_stat(reclaim->cgroup, "workingset_refault_anon", &view.stats.refault_anon);
	reclaim->stalled_us = stalled_us;
	reclaim->looked_ns = now_ns;
	*ret_view = view;
	return 0;
}

static void step(struct reclaim *reclaim, struct means_turn *turn)
{
	uint64_t excess = reclaim->usable > turn->ask ? reclaim->usable - turn->ask : 0;

	if (!excess || !reclaim->calm || turn->over)
		return;
	if (excess > STEP_BYTES)
		excess = STEP_BYTES;
	turn->waits_for = "memory to be reclaimed";
	/* -EAGAIN: less than that was to be had. */
	if (memtide_cgroup_write(reclaim->cgroup, "memory.reclaim", excess) < 0)
		reclaim->in_vain++;
	else
		reclaim->in_vain = 0;
	turn->waits_for = NULL;
}

static int reclaim_turn(void *state, struct means_turn *turn)
{
	struct reclaim *reclaim = state;
	int r;

	r = look(reclaim, means_now_ns(), &turn->ret_view);
	if (!r && turn->ask) {
		step(reclaim, turn);
		turn->ret_asked = true;
		r = read_usable(reclaim);
	}
	turn->ret_view.usable = reclaim->usable;
	return r < 0 ? memtide_errtext_set(&turn->ret_errtext, r, "%s: %s", reclaim->cgroup, strerror(-r)) : 0;
}

static void reclaim_close(void *state)
{
	free(state);
}

const struct means means_reclaim = {
	.kind = TIDE_VMM_RECLAIM,
	.name = "memory.reclaim",
	.open = reclaim_open,
	.turn = reclaim_turn,
	.close = reclaim_close,
};
