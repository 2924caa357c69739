// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM as the rest of the daemon sees it, and its coming and going: who it is, which regions and descriptors came
 * with it, and what it is charged to begin with.
 */
#include "vm-internal.h"

#include "limits.h"
#include "overhead.h"
#include "relief.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tide_balance.h"

const char *vm_kind_name(const struct vm *vm)
{
	static const char *const names[TIDE_VMM_KINDS] = {
		[TIDE_VMM_DEVICE] = "virtio-tide",
		[TIDE_VMM_BALLOON] = "virtio-balloon",
		[TIDE_VMM_RECLAIM] = "memory.reclaim",
	};

	return names[vm->kind];
}

bool vm_managed(const struct vm *vm)
{
	return memtide_ledger_state(&vm->ledger) == MEMTIDE_LEDGER_MANAGED && !vm->unanswering;
}

const char *vm_state_name(const struct vm *vm)
{
	switch (memtide_ledger_state(&vm->ledger)) {
	case MEMTIDE_LEDGER_STARTING:
		return "starting";
	case MEMTIDE_LEDGER_INHIBITED:
		return "inhibited";
	case MEMTIDE_LEDGER_UNANSWERING:
		return "unanswering";
	case MEMTIDE_LEDGER_RELEASED:
		return "released";
	case MEMTIDE_LEDGER_MANAGED:
		break;
	}
	if (vm->unanswering)
		return "unanswering";
	return vm_left_alone(vm) ? "stalled" : "managed";
}

uint64_t vm_overhead(const struct vm *vm)
{
	return memtide_overhead(vm->ledger.terms.ram);
}

uint32_t vm_balance_flags(const struct vm *vm)
{
	uint32_t flags = 0;

	if (vm_managed(vm))
		flags |= BALANCE_VM_MANAGED;
	if (vm_stats_stale(vm))
		flags |= BALANCE_VM_STALE;
	if (vm->pressed)
		flags |= BALANCE_VM_PRESSURE;
	if (vm->pressed && vm->oom)
		flags |= BALANCE_VM_OOM;
	if (vm_left_alone(vm))
		flags |= BALANCE_VM_STALLED;
	if (vm->lowering)
		flags |= BALANCE_VM_MOVING;
	if (vm->unused)
		flags |= BALANCE_VM_UNUSED;
	return flags;
}

struct decide_vm vm_decide_view(const struct vm *vm)
{
	return (struct decide_vm){
		.flags = vm_balance_flags(vm),
		.floor = vm->ledger.terms.floor,
		.maximum = vm->ledger.terms.maximum,
		.entitlement = memtide_ledger_entitlement(&vm->ledger),
		.usable = vm->ledger.usable,
		.target = vm->target,
		.ceiling = vm->ledger.ceiling,
		.available = vm_available(vm),
	};
}

void vm_prefetch(const struct vm *vm)
{
	__builtin_prefetch(vm_state_at(vm, VIRTIO_TIDE_STATS_OFFSET));
	__builtin_prefetch(vm->counters_region.start);
}

/*
 * Coming and going
 */

static void process_ready(struct loop_source *source, uint32_t events)
{
	struct vm *vm = vm_of(source, process);

	manager_note(vm->manager, DECISION_VM, LOG_LEVEL_INFO, vm,
		     "process %d is gone, %" PRIu64 " MiB are free again", (int)vm->pid, vm->ledger.charged >> 20);
	vm_free(vm);
}

static void socket_close(struct vm *vm)
{
	if (vm->socket.fd < 0)
		return;
	loop_remove(vm->manager->loop, &vm->socket);
	close(vm->socket.fd);
	vm->socket.fd = -1;
}

/* After the answer nothing is to be said on the socket, so whatever happens on it ends it. */
static void socket_ready(struct loop_source *source, uint32_t events)
{
	struct vm *vm = vm_of(source, socket);

	socket_close(vm);
	manager_note(vm->manager, DECISION_VM, LOG_LEVEL_DEBUG, vm,
		     "hung up; it stays charged while its process lives");
}

void vm_reconnected(struct vm *vm, int socket)
{
	socket_close(vm);
	vm->socket.fd = socket;
	loop_add(vm->manager->loop, &vm->socket, POLLIN | POLLRDHUP);
	vm_observe(vm);
	vm_step(vm);
}

static void name_vm(struct vm *vm, const struct memtide_hello *hello, pid_t pid)
{
	vm->has_uuid = hello->has_uuid;
	memcpy(vm->uuid, hello->uuid, sizeof(vm->uuid));
	memtide_uuid_format(vm->uuid, vm->uuid_text);
	vm->pid = pid;
	if (hello->name[0])
		memcpy(vm->name, hello->name, sizeof(vm->name));
	else if (vm->has_uuid)
		snprintf(vm->name, sizeof(vm->name), "%s", vm->uuid_text);
	else
		snprintf(vm->name, sizeof(vm->name), "process-%d", (int)pid);
}

/* What a device shares.  Whatever comes of it, unmap_regions() is due. */
struct regions {
	struct memtide_region state;
	struct memtide_region counters;
	struct memtide_counters count;
};

static void unmap_regions(struct regions *regions)
{
	memtide_region_unmap(&regions->state);
	memtide_region_unmap(&regions->counters);
}

static int map_regions(const struct memtide_hello *hello, struct regions *regions, struct memtide_errtext *errtext)
{
	int r;

	r = memtide_region_map(hello->fd[TIDE_VMM_FD_STATE], "state region", VIRTIO_TIDE_STATE_SIZE,
			       &regions->state, errtext);
	if (r < 0)
		return r;
	r = memtide_region_map(hello->fd[TIDE_VMM_FD_COUNTERS], "counters page", TIDE_COUNTERS_SIZE,
			       &regions->counters, errtext);
	if (r < 0)
		return r;
	r = memtide_counters_read(regions->counters.start, &regions->count);
	if (r < 0)
		return memtide_errtext_set(errtext, r, "the counters page makes no sense");
	if (regions->count.ram_bytes != hello->ram_bytes)
		return memtide_errtext_set(errtext, -EPROTO, "%" PRIu64 " bytes of RAM in the hello, %" PRIu64
					   " in the counters page", hello->ram_bytes, regions->count.ram_bytes);
	return 0;
}

/* From here on @vm reads and writes @regions; those it had before are in there afterwards. */
static void use_regions(struct vm *vm, struct regions *regions, const struct memtide_hello *hello)
{
	struct regions before = { .state = vm->state_region, .counters = vm->counters_region };
	struct stat st;

	if (!fstat(hello->fd[TIDE_VMM_FD_STATE], &st))
		vm->state_inode = st.st_ino;
	vm->state_region = regions->state;
	vm->counters_region = regions->counters;
	vm->counters = regions->count;
	vm->counters_seq = 0;
	vm->published = (struct memtide_state){ .generation = 0 };
	*regions = before;
}

static void attend_rings(struct vm *vm)
{
	memtide_ring_produce_from(&vm->to_guest, vm_state_at(vm, VIRTIO_TIDE_TO_GUEST_OFFSET));
	memtide_ring_consume_from(&vm->from_guest, vm_state_at(vm, VIRTIO_TIDE_TO_HOST_OFFSET));
}

static void find_cgroup(struct vm *vm)
{
	if (vm->manager->options.same_process) {
		snprintf(vm->not_enforced, sizeof(vm->not_enforced), "VMs of one process share its cgroup");
		return;
	}
	if (memtide_cgroup_find(vm->pid, vm->cgroup, vm->not_enforced) < 0 || vm->manager->dry_run)
		return;
	if (limit_new(vm->manager->limits, vm->cgroup, vm_limit_written, vm, &vm->limit) < 0)
		vm->cgroup[0] = '\0';
}

/* To what the others' floors have left of the budget. */
static void cut_floor(struct vm *vm, struct memtide_ledger_terms *terms)
{
	const struct memtide_ledger *ledger = &vm->manager->ledger;
	uint64_t left = memtide_ledger_beyond_floors(ledger);

	manager_note(vm->manager, DECISION_VM, LOG_LEVEL_WARNING, vm,
		     "its floor of %" PRIu64 " MiB and the others' of %" PRIu64 " MiB do not fit the budget of %" PRIu64
		     " MiB: cut to %" PRIu64 " MiB", terms->floor >> 20, ledger->floors >> 20, ledger->budget >> 20,
		     left >> 20);
	terms->floor = vm->terms.floor = left;
}

/* The ledger's entry: recovered where something runs already, admitted where it is about to start. */
static int enter_ledger(struct vm *vm, struct memtide_errtext *errtext)
{
	struct memtide_ledger *ledger = &vm->manager->ledger;
	struct memtide_ledger_terms terms = {
		.ram = vm->counters.ram_bytes,
		.maximum = vm->terms.maximum,
		.floor = vm->terms.floor,
		.start = vm->terms.start,
		.shares = (uint32_t)vm->terms.shares,
		.enforced = vm->limit != NULL,
		.throttle = vm->limit && vm->manager->config.admission == MEMTIDE_ADMISSION_THROTTLE,
	};
	uint64_t limit = MEMTIDE_LEDGER_UNKNOWN, overhead = memtide_overhead(terms.ram);
	bool refuse = vm->manager->config.admission == MEMTIDE_ADMISSION_REFUSE;
	struct memtide_grant grant;
	bool granted;
	uint64_t held = domains_hand_over(vm);
	int r;

	if (terms.start < held)
		terms.start = held < terms.maximum ? held : terms.maximum;
	if (vm->limit && !memtide_cgroup_read(vm->cgroup, "memory.high", &limit) && limit != UINT64_MAX)
		limit = limit > overhead ? limit - overhead : 0;
	granted = !memtide_grant_read(vm->counters_region.start, &grant);
	/* A stand-in comes when its VM has been running for a while. */
	if (!granted && !(vm->counters.flags & TIDE_COUNTERS_DRIVER_OK) && vm->kind == TIDE_VMM_DEVICE) {
		r = memtide_ledger_admit(ledger, &vm->ledger, &terms);
		if (r == -EDQUOT && vm->manager->config.floors == MEMTIDE_FLOORS_WARN) {
			cut_floor(vm, &terms);
			r = memtide_ledger_admit(ledger, &vm->ledger, &terms);
		}
		if (r == -EDQUOT)
			return domains_floor_refused(vm->manager, terms.floor, errtext);
		if (r == -ENOSPC && refuse)
			return memtide_errtext_set(errtext, r,
						   "no room for its maximum of %" PRIu64 " MiB: %" PRIu64
						   " of %" PRIu64 " MiB are charged, and admission is \"refuse\"",
						   terms.maximum >> 20, ledger->charged >> 20,
						   ledger->budget >> 20);
		if (r != -ENOSPC)
			return r < 0 ? memtide_errtext_set(errtext, r, "no place in the ledger: %s", strerror(-r))
				     : 0;
		/* It runs whatever is said here: charging it in full is the only honest entry. */
	}
	r = memtide_ledger_recover(ledger, &vm->ledger, &terms, &vm->counters, granted ? &grant : NULL, limit);
	if (r < 0)
		return memtide_errtext_set(errtext, r, "no place in the ledger: %s", strerror(-r));
	if (granted)
		vm->target = grant.target;
	return 0;
}

static int open_bells(struct vm *vm, struct memtide_hello *hello)
{
	int r;

	r = vm_open_bell(vm, &vm->doorbell, &hello->fd[TIDE_VMM_FD_DOORBELL], vm_doorbell_rung);
	if (r >= 0)
		r = vm_open_bell(vm, &vm->notify, &hello->fd[TIDE_VMM_FD_NOTIFY], vm_notify_rung);
	vm->call_fd = hello->fd[TIDE_VMM_FD_CALL];
	hello->fd[TIDE_VMM_FD_CALL] = -1;
	return r;
}

static void close_bells(struct vm *vm)
{
	vm_close_bell(vm, &vm->doorbell);
	vm_close_bell(vm, &vm->notify);
	if (vm->call_fd >= 0)
		close(vm->call_fd);
	vm->call_fd = -1;
}

static int start_listening(struct vm *vm, struct memtide_hello *hello)
{
	struct loop *loop = vm->manager->loop;
	int r;

	vm->process.ready = process_ready;
	vm->socket.ready = socket_ready;
	r = loop_timer_register(loop, &vm->step_timer, vm_step_expired);
	if (r >= 0)
		r = open_bells(vm, hello);
	if (r >= 0)
		r = loop_add(loop, &vm->process, POLLIN);
	if (r >= 0)
		r = loop_add(loop, &vm->socket, POLLIN | POLLRDHUP);
	return r;
}

static void vm_undo(struct vm *vm)
{
	struct loop *loop = vm->manager->loop;

	memtide_ledger_remove(&vm->ledger);
	loop_timer_unregister(loop, &vm->step_timer);
	close_bells(vm);
	loop_remove(loop, &vm->process);
	if (vm->process.fd >= 0)
		close(vm->process.fd);
	socket_close(vm);
	limit_free(vm->limit);
	memtide_region_unmap(&vm->state_region);
	memtide_region_unmap(&vm->counters_region);
	free(vm->relief_ns);
	free(vm);
}

static void start_managing(struct vm *vm)
{
	uint64_t ceiling = vm->ledger.ceiling;

	if (vm->ledger.released)
		vm->state_flags = VIRTIO_TIDE_STATE_RELEASE;
	if (!vm->target || vm->target > ceiling)
		vm->target = ceiling;
	vm_start_stats(vm);
	attend_rings(vm);
	vm_limit_follow_maximum(vm);
	vm_observe(vm);
	/* Before it is told anything: nothing is to be asked of it that overrules what was set. */
	vm_balloon_was_set_by_hand(vm);
	vm_step(vm);
	vm_ask_stats(vm);
}

int vm_new(struct manager *manager, struct memtide_hello *hello, pid_t pid, int pidfd, int socket, struct vm **ret,
	   struct memtide_errtext *errtext)
{
	struct regions regions = { .count = { .epoch = 0 } };
	struct vm *vm;
	int r;

	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory for another VM");
	vm->manager = manager;
	vm->kind = hello->kind;
	vm->process.fd = vm->socket.fd = vm->call_fd = vm->doorbell.source.fd = vm->notify.source.fd = -1;
	name_vm(vm, hello, pid);
	r = domains_terms(manager, &manager->config, vm->name, vm->has_uuid ? vm->uuid_text : NULL, hello->ram_bytes,
			  &vm->terms, errtext);
	if (r < 0)
		goto undo;
	r = map_regions(hello, &regions, errtext);
	if (r < 0) {
		unmap_regions(&regions);
		goto undo;
	}
	use_regions(vm, &regions, hello);
	find_cgroup(vm);
	r = enter_ledger(vm, errtext);
	if (r < 0)
		goto undo;
	vm->process.fd = pidfd;
	vm->socket.fd = socket;
	r = start_listening(vm, hello);
	if (r >= 0)
		r = manager_add_vm(manager, vm);
	if (r < 0) {
		/* On failure these are still the caller's. */
		loop_remove(manager->loop, &vm->process);
		loop_remove(manager->loop, &vm->socket);
		vm->process.fd = vm->socket.fd = -1;
		memtide_errtext_set(errtext, r, "no room for another VM: %s", strerror(-r));
		goto undo;
	}
	/* Mapped and taken over: what is left in the hello are the memfds. */
	memtide_hello_close(hello);
	domains_vm_came(vm);
	start_managing(vm);
	*ret = vm;
	return 0;

undo:
	memtide_ledger_remove(&vm->ledger);
	domains_hand_back(vm);
	vm_undo(vm);
	return r;
}

int vm_stand_in_again(struct vm *vm, struct memtide_hello *hello, int socket, struct memtide_errtext *errtext)
{
	struct regions regions = { .count = { .epoch = 0 } };
	int r = map_regions(hello, &regions, errtext);

	if (r >= 0) {
		close_bells(vm);
		use_regions(vm, &regions, hello);
		attend_rings(vm);
		r = open_bells(vm, hello);
		if (r < 0) {
			memtide_errtext_set(errtext, r, "no room for its bells: %s", strerror(-r));
			close_bells(vm);
			/* Nobody is taken for the same as this one. */
			vm->state_inode = 0;
		}
	}
	unmap_regions(&regions);
	if (r < 0)
		return r;
	memtide_hello_close(hello);
	vm_forget_stats(vm);
	memtide_ledger_resume(&vm->ledger, &vm->counters);
	vm_reconnected(vm, socket);
	vm_ask_stats(vm);
	return 0;
}

void vm_leave(struct vm *vm)
{
	relief_forget(vm);
	domains_vm_gone(vm);
	if (vm->lowering)
		vm_lowering_ends(vm, false);
	manager_remove_vm(vm->manager, vm);
	vm_undo(vm);
}

void vm_free(struct vm *vm)
{
	struct manager *manager = vm->manager;

	vm_leave(vm);
	manager_room_changed(manager);
}
