// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See controller-round.h.  The VMs have regions and counters pages as real ones have, but no process, socket or
 * bells; between rounds this file does what their guests would do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "controller-round.h"
#include "log.h"
#include "manager.h"
#include "report.h"
#include "vm.h"

#define VMS		10000
#define RAM		(UINT64_C(512) << 20)
#define ROUNDS		40
/* One in so many has changed since the last round. */
#define FEW		100

struct simulation {
	struct manager *manager;
	struct loop_timer stop;
	uint32_t turn;
};

static struct simulation simulation;

static void no_timer(struct loop_timer *timer)
{
}

static void stop_expired(struct loop_timer *timer)
{
	loop_stop(simulation.manager->loop);
}

/* Let the loop's clock go on.  While it is paused the daemon runs no rounds by itself. */
static void pass_time(uint64_t ns)
{
	struct manager *manager = simulation.manager;

	manager->paused = true;
	loop_timer_set(manager->loop, &simulation.stop, loop_clock() + ns);
	if (loop_run(manager->loop) < 0)
		abort();
	manager->paused = false;
}

static void write_stats(struct vm *vm, uint32_t refresh, uint64_t available)
{
	struct memtide_stats stats = {
		.refresh = refresh, .generation = vm->published.generation, .time_ns = loop_clock(), .total = RAM,
		.available = available, .free = available / 2, .file = available / 2, .anon = RAM / 4,
		.given = vm->counters.given_bytes, .refault_file = simulation.turn,
	};

	memtide_stats_write(
		(struct virtio_tide_stats *)((char *)vm->state_region.start + VIRTIO_TIDE_STATS_OFFSET), &stats);
}

/* What an honest guest does at once: gives down to its target and fences. */
static void obey(struct vm *vm)
{
	struct memtide_counters counters = vm->counters;

	if (vm->ledger.usable > vm->target)
		counters.given_bytes = RAM - vm->target;
	counters.given_huge_bytes = counters.given_bytes;
	counters.flags |= TIDE_COUNTERS_FENCED;
	counters.fence_generation = vm->published.generation;
	counters.fence_given_bytes = counters.given_bytes;
	memtide_counters_write(vm->counters_region.start, &counters);
}

static struct vm *make_vm(struct manager *manager, unsigned int number)
{
	struct memtide_ledger_terms terms = {
		.ram = RAM, .maximum = RAM, .floor = RAM / 8, .start = RAM / 8, .shares = 100
	};
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		abort();
	vm->manager = manager;
	snprintf(vm->name, sizeof(vm->name), "vm-%u", number);
	vm->process.fd = vm->socket.fd = vm->call_fd = vm->doorbell.source.fd = vm->notify.source.fd = -1;
	vm->state_region.size = VIRTIO_TIDE_STATE_SIZE;
	vm->counters_region.size = TIDE_COUNTERS_SIZE;
	vm->state_region.start = mmap(NULL, VIRTIO_TIDE_STATE_SIZE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	vm->counters_region.start = mmap(NULL, TIDE_COUNTERS_SIZE, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (vm->state_region.start == MAP_FAILED || vm->counters_region.start == MAP_FAILED)
		abort();
	vm->counters = (struct memtide_counters){ .flags = TIDE_COUNTERS_DRIVER_OK, .epoch = 1, .ram_bytes = RAM };
	memtide_counters_write(vm->counters_region.start, &vm->counters);
	if (memtide_ledger_recover(&manager->ledger, &vm->ledger, &terms, &vm->counters, NULL,
				   MEMTIDE_LEDGER_UNKNOWN) < 0 ||
	    loop_timer_register(manager->loop, &vm->step_timer, no_timer) < 0 || manager_add_vm(manager, vm) < 0)
		abort();
	vm->target = vm->ledger.ceiling;
	vm->refresh_wait_ns = NSEC_PER_SEC;
	write_stats(vm, 0, RAM / 2);
	vm_step(vm);
	return vm;
}

static struct manager *make_manager(void)
{
	struct manager_options options = { .same_process = true };
	struct memtide_errtext errtext = { .text = "" };
	struct memtide_config config;
	struct manager *manager;
	char text[1024];

	/* Rounds are about memory that is short: everybody comes down to three quarters. */
	snprintf(text, sizeof(text),
		 "[daemon]\nbudget = %lluM\nreserve = 1G\npolicy = fair\npolicy-path = %s/bpf\n",
		 (unsigned long long)(VMS * (RAM >> 20) * 3 / 4), getenv("LAB_BUILD"));
	if (memtide_config_parse(text, "bench", &config, &errtext) < 0 ||
	    manager_new(&options, &config, &manager, &errtext) < 0) {
		fprintf(stderr, "controller: rounds: %s\n", errtext.text);
		return NULL;
	}
	return manager;
}

/* Everybody's guest has done what it was asked, and every @step-th has something new to say. */
static void live(struct manager *manager, unsigned int step)
{
	simulation.turn++;
	for (uint32_t i = 0; i < manager->nr_vms; i++) {
		struct vm *vm = manager->vms[i];

		if (vm->lowering)
			obey(vm);
		if ((i + simulation.turn) % step == 0)
			write_stats(vm, vm->refresh, RAM / 2 - (uint64_t)(simulation.turn % 8) * (4 << 20));
	}
}

static double one_round(struct manager *manager)
{
	uint64_t begin;

	begin = loop_clock();
	round_run(manager);
	return (double)(loop_clock() - begin) / 1e6;
}

void measure_rounds(struct report *report)
{
	struct manager *manager;

	log_set_level(LOG_LEVEL_ERROR);
	manager = make_manager();
	if (!manager || !manager->policy) {
		fprintf(stderr, "controller: no policy could be loaded: rounds are not measured\n");
		return;
	}
	simulation.manager = manager;
	if (loop_timer_register(manager->loop, &simulation.stop, stop_expired) < 0)
		abort();
	for (unsigned int i = 0; i < VMS; i++)
		make_vm(manager, i);
	for (int i = 0; i < ROUNDS; i++) {
		pass_time(400 * NSEC_PER_MSEC);
		live(manager, 1);
		report_add(report, "round_10k_all_ms", "ms", one_round(manager));
	}
	for (int i = 0; i < ROUNDS; i++) {
		pass_time(400 * NSEC_PER_MSEC);
		live(manager, FEW);
		report_add(report, "round_10k_ms", "ms", one_round(manager));
	}
	fprintf(stderr, "controller: %llu decisions in %d rounds, %llu MiB moved\n",
		(unsigned long long)manager->round.decisions, 2 * ROUNDS,
		(unsigned long long)(manager->moved_bytes >> 20));
	loop_timer_unregister(manager->loop, &simulation.stop);
	/* The process ends here: 10,000 VMs are not taken down one by one. */
}
