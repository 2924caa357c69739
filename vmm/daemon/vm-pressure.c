// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a guest says over its doorbell: that it needs memory, how it was relieved, that all is quiet again.
 * What is done about a claim is in relief.c.
 */
#include "vm-internal.h"

#include "relief.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tide_balance.h"

void vm_end_pressure(struct vm *vm)
{
	if (!vm->pressed)
		return;
	vm->pressed = false;
	vm->oom = false;
	vm->wanted = 0;
	relief_forget(vm);
	round_request(vm->manager, BALANCE_QUIET, vm->row);
}

static void log_relief(struct vm *vm, const struct memtide_event *event)
{
	static const char *const paths[VIRTIO_TIDE_PATHS] = { "nowhere", "its credit", "the reserve", "donors" };
	struct decision_log *log = vm->manager->log;
	struct decision *entry = decision_log_draft(log, DECISION_RELIEF, vm_now(vm));

	entry->vm_id = vm->id;
	memcpy(entry->vm, vm->name, sizeof(entry->vm));
	entry->path = (uint32_t)event->b;
	entry->path_ns = event->a;
	entry->path_bytes = event->c;
	snprintf(entry->message, sizeof(entry->message),
		 "says it was relieved within %.3f ms by %" PRIu64 " MiB from %s", event->a / 1e6,
		 (event->c & INT64_MAX) >> 20, paths[event->b]);
	decision_log_add(log, LOG_LEVEL_DEBUG);
}

static void note_relief(struct vm *vm, const struct memtide_event *event)
{
	/* Hostile numbers spoil the guest's own figures only as far as a histogram can be spoilt. */
	if (event->b == VIRTIO_TIDE_PATH_NONE || event->b >= VIRTIO_TIDE_PATHS || event->a > 60 * NSEC_PER_SEC)
		return;
	if (!vm->relief_ns)
		vm->relief_ns = calloc(VIRTIO_TIDE_PATHS, sizeof(*vm->relief_ns));
	if (vm->relief_ns)
		memtide_histogram_add(&vm->relief_ns[event->b], event->a);
	memtide_histogram_add(&vm->manager->relief_ns[event->b], event->a);
	log_relief(vm, event);
}

static void handle_event(struct vm *vm, const struct memtide_event *event, uint64_t *wanted)
{
	switch (event->type) {
	case VIRTIO_TIDE_EV_PRESSURE:
		vm->pressure_events++;
		vm->oom |= event->b == VIRTIO_TIDE_URGENCY_OOM;
		if (event->a > *wanted)
			*wanted = event->a;
		break;
	case VIRTIO_TIDE_EV_RELIEF:
		note_relief(vm, event);
		break;
	case VIRTIO_TIDE_EV_QUIET:
		*wanted = 0;
		vm_end_pressure(vm);
		break;
	}
}

/* The guest rang: what it wants is decided in this turn. */
void vm_doorbell_rung(struct vm *vm)
{
	struct memtide_event events[VIRTIO_TIDE_RING_RECORDS];
	uint64_t wanted = 0;
	int n;

	vm_heard(vm);
	vm_read_stats(vm);
	n = memtide_ring_pull(&vm->from_guest, events, VIRTIO_TIDE_RING_RECORDS);
	for (int i = 0; i < n; i++)
		handle_event(vm, &events[i], &wanted);
	if (n == VIRTIO_TIDE_RING_RECORDS)
		loop_timer_set(vm->manager->loop, &vm->doorbell.timer, vm_now(vm));
	if (wanted) {
		vm->pressed = true;
		vm->pressed_ns = vm_now(vm);
		vm->wanted = wanted;
		relief_claim(vm, wanted);
		memtide_histogram_add(&vm->manager->decide_ns, loop_clock() - vm_now(vm));
		round_request(vm->manager, BALANCE_PRESSURE, vm->row);
	}
}
