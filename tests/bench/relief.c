// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From pressure to memory: how long after a guest's kernel notices that it is short does its allocator have memory, by
 * the path on which it came?  The guest's driver measures, from the event to the pages freed.
 *
 * Guests fill themselves with anonymous memory, a little less at a time than a relief brings:
 *
 *	credit	the ceiling is far above what the guest uses; no controller is asked
 *	reserve	a real memtided with more budget than its guests hold
 *	donor	a real memtided whose budget is used up: what one guest gets, the other one gives first
 *
 * memtided runs without a policy, whose rounds would hand out memory as credit before it is asked for.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller.h"
#include "report.h"
#include "steer.h"
#include "vm.h"

#define RAM		(2560 * MIB)
#define LOW		(320 * MIB)
#define FULL		(1600 * MIB)
#define SAMPLES		200
#define STEP		(56 * MIB)	/* less than a relief brings: pressure comes in separate spells */
#define PAUSE_MS	110		/* between steps: the driver takes ever more when reliefs follow within 100 ms */
#define TURNS_MAX	40
#define TIMEOUT_MS	60000

static const char *const names[2] = { "one", "two" };

struct times {
	double *ms;
	size_t n;
};

static void add_time(struct times *t, uint64_t ns)
{
	t->ms = realloc(t->ms, (t->n + 1) * sizeof(t->ms[0]));
	t->ms[t->n++] = ns / 1e6;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void put_times(struct report *report, struct times *t, const char *p50, const char *p99)
{
	qsort(t->ms, t->n, sizeof(t->ms[0]), compare);
	report_set(report, p50, "ms", t->n ? t->ms[t->n / 2] : -1, t->n);
	report_set(report, p99, "ms", t->n ? t->ms[(t->n * 99 + 99) / 100 - 1] : -1, t->n);
}

/* Fills the guest step by step until @until bytes. */
static int fill_slowly(struct vm *vm, uint64_t until)
{
	int r = 0;

	for (uint64_t filled = 0; filled < until && !r; filled += STEP) {
		r = vm_ask(vm, NULL, "fill %llu", STEP);
		poll(NULL, 0, PAUSE_MS);
	}
	return r;
}

static int credit_turn(struct vm *vm, struct steer *steer, struct times *t)
{
	struct memtide_event event;
	uint32_t generation;
	int r;

	steer_set(steer, LOW, LOW, 0, &generation);
	r = steer_wait_fence(steer, generation, TIMEOUT_MS);
	if (r)
		return r;
	steer_set(steer, LOW, RAM, 0, &generation);
	r = steer_wait_fence(steer, generation, TIMEOUT_MS);
	r = r ? r : fill_slowly(vm, FULL);
	while (!r && steer_poll_event(steer, VIRTIO_TIDE_EV_RELIEF, &event))
		add_time(t, event.a);
	return r ? r : vm_ask(vm, NULL, "keep 0");
}

static int measure_credit(struct times *t)
{
	struct vm_options options = { .name = "credit", .memory_bytes = RAM, .tide = true, .no_report = true,
				      .modules = "virtio_tide" };
	struct steer *steer = NULL;
	struct vm *vm = NULL;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/tmp/memtide-relief-%d.sock", getpid());
	options.vmm_socket = path;
	r = steer_listen(path, &steer);
	r = r ? r : vm_spawn(&options, &vm);
	r = r ? r : steer_accept(steer);
	r = r ? r : vm_wait(vm);
	for (int turn = 0; turn < TURNS_MAX && !r && t->n < SAMPLES; turn++) {
		r = credit_turn(vm, steer, t);
		fprintf(stderr, "relief: credit: %zu samples\n", t->n);
	}
	steer_free(steer);
	if (vm_stop(vm))
		r = r ? r : -EBADMSG;
	return r;
}

/* The relief times that the controller has heard of since the last call, from its log. */
static int collect(struct controller *c, const char *path, int64_t *next, struct times *t)
{
	json_t *result, *entry;
	size_t i;
	int r;

	r = controller_call(c, "log", json_pack("{s:I}", "after", (json_int_t)*next), &result);
	if (r)
		return r;
	json_array_foreach(json_object_get(result, "entries"), i, entry) {
		json_t *inputs = json_object_get(entry, "inputs");
		const char *kind = json_string_value(json_object_get(entry, "kind"));
		const char *p = json_string_value(json_object_get(inputs, "path"));

		if (kind && p && strcmp(kind, "relief") == 0 && strcmp(p, path) == 0)
			add_time(t, json_integer_value(json_object_get(inputs, "ns")));
	}
	*next = json_integer_value(json_object_get(result, "next"));
	json_decref(result);
	return 0;
}

static int start_guests(struct controller *c, struct vm *vm[2], int count)
{
	int r = 0;

	for (int i = 0; i < count && !r; i++) {
		struct vm_options o = { .name = names[i], .memory_bytes = RAM, .tide = true, .no_report = true,
					.modules = "virtio_tide", .vmm_socket = controller_vmm_socket(c) };

		r = vm_spawn(&o, &vm[i]);
	}
	for (int i = 0; i < count && !r; i++)
		r = vm_wait(vm[i]);
	return r;
}

/* What an administrator would do with "memtide vm set". */
static int set(struct controller *c, const char *name, const char *what, uint64_t value)
{
	return controller_call(c, "vm.set", json_pack("{s:s, s:I}", "vm", name, what, (json_int_t)value), NULL);
}

/* Waits until what the guest is charged has come down to @bytes. */
static int wait_charged(struct controller *c, const char *name, uint64_t bytes)
{
	for (int i = 0; i < TIMEOUT_MS / 10; i++) {
		json_t *vm = controller_vm(c, name);
		uint64_t charged = json_integer_value(json_object_get(vm, "charged"));

		json_decref(vm);
		if (charged && charged <= bytes)
			return 0;
		poll(NULL, 0, 10);
	}
	fprintf(stderr, "relief: %s does not come down to %" PRIu64 " MiB\n", name, (uint64_t)(bytes / MIB));
	return -ETIMEDOUT;
}

/* Takes all but @bytes from the guest and then allows it all of its memory: what it gets it has to ask for. */
static int empty(struct controller *c, const char *name, uint64_t bytes)
{
	int r = set(c, name, "maximum", bytes);

	r = r ? r : wait_charged(c, name, bytes);
	return r ? r : set(c, name, "maximum", RAM);
}

static int reserve_turn(struct controller *c, struct vm *vm[2], int turn)
{
	int r = empty(c, names[0], LOW);

	r = r ? r : fill_slowly(vm[0], FULL);
	return r ? r : vm_ask(vm[0], NULL, "keep 0");
}

/* All that is shared belongs to the one that is filled now, and the other one has it. */
static int donor_turn(struct controller *c, struct vm *vm[2], int turn)
{
	int r = 0;

	if (!turn) {
		r = empty(c, names[0], LOW);
		r = r ? r : empty(c, names[1], FULL);
	}
	r = r ? r : set(c, names[!(turn % 2)], "shares", 1);
	r = r ? r : set(c, names[turn % 2], "shares", 1000000);
	r = r ? r : fill_slowly(vm[turn % 2], FULL - LOW);
	return r ? r : vm_ask(vm[turn % 2], NULL, "keep 0");
}

static int measure_managed(const char *path, uint64_t budget, int guests,
			   int (*run_turn)(struct controller *c, struct vm *vm[2], int turn), struct times *t)
{
	struct vm *vm[2] = { NULL, NULL };
	struct controller *c = NULL;
	int64_t next = 0;
	char config[256];
	int r;

	snprintf(config, sizeof(config), "budget = %lluM\nreserve = 0\npolicy = none\n[default]\nfloor = %lluM\n",
		 (unsigned long long)(budget / MIB), LOW / MIB);
	r = controller_start(config, &c);
	r = r ? r : start_guests(c, vm, guests);
	for (int turn = 0; turn < TURNS_MAX && !r && t->n < SAMPLES; turn++) {
		r = run_turn(c, vm, turn);
		r = r ? r : collect(c, path, &next, t);
		fprintf(stderr, "relief: %s: %zu samples\n", path, t->n);
	}
	for (int i = 0; i < guests; i++) {
		if (vm_stop(vm[i]))
			r = r ? r : -EBADMSG;
	}
	if (controller_stop(c))
		r = r ? r : -EBADMSG;
	return r;
}

int main(int argc, char **argv)
{
	struct times credit = { .n = 0 }, reserve = { .n = 0 }, donor = { .n = 0 };
	struct bench_options options;
	struct report *report = report_new("relief");
	int r;

	bench_parse(argc, argv, 1, &options);
	r = measure_credit(&credit);
	fprintf(stderr, "relief: credit: %zu samples\n", credit.n);
	r = r ? r : measure_managed("reserve", RAM, 1, reserve_turn, &reserve);
	r = r ? r : measure_managed("donor", LOW + FULL, 2, donor_turn, &donor);
	if (r) {
		fprintf(stderr, "relief: %s\n", strerror(-r));
		return 1;
	}
	put_times(report, &credit, "credit_p50", "credit_p99");
	put_times(report, &reserve, "reserve_p50", "reserve_p99");
	put_times(report, &donor, "donor_p50", "donor_p99");
	report_expect(report, "credit_p50", false, 1);
	report_expect(report, "reserve_p50", false, 5);
	report_expect(report, "donor_p50", false, 30);
	report_expect(report, "donor_p99", false, 150);
	r = report_finish(report, options.json_file) ? 3 : 0;
	if (credit.n < SAMPLES || reserve.n < SAMPLES || donor.n < SAMPLES) {
		fprintf(stderr, "relief: fewer than %d samples: %zu, %zu, %zu\n", SAMPLES, credit.n, reserve.n, donor.n);
		r = 3;
	}
	free(credit.ms);
	free(reserve.ms);
	free(donor.ms);
	return r;
}
