// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How fast is memory taken from a guest and returned to it?  A 4 GiB guest whose memory has been touched gives most of
 * it: against a plain program that drops as much with madvise(), and against stock virtio-balloon in the same VM.
 *
 * Rates count what left (or came back to) the VM's resident size, not what was promised.  Taking is timed on the host
 * from setting the target to the fence that says all of it is done; returning until the device has been told that
 * the guest's allocator has all of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"
#include "steer.h"
#include "vm.h"

#define RAM		(4 * GIB)
#define TOUCHED		(3400 * MIB)
#define KEPT		(128 * MIB)	/* content that has to survive */
#define LEFT		(768 * MIB)	/* usable memory after taking */
#define BARE_RANGE	(64 * MIB)
#define TIMEOUT_MS	60000

struct sample {
	double take, take_bare, return_, touch;	/* GiB/s */
	double balloon_take, balloon_return, balloon_touch;
};

static double rate(uint64_t bytes, uint64_t ns)
{
	return ns ? (double)bytes / GIB / (ns / 1e9) : 0;
}

/* What a plain program reaches with as much touched huge-page memory; in a child, so that it starts afresh. */
static double bare_rate(uint64_t bytes)
{
	double result = 0;
	int p[2];

	if (pipe(p))
		return 0;
	if (fork() == 0) {
		char *start = mmap(NULL, bytes + BARE_RANGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		uint64_t t;

		start = (char *)(((uintptr_t)start + BARE_RANGE - 1) & ~(BARE_RANGE - 1));
		madvise(start, bytes, MADV_HUGEPAGE);
		memset(start, 1, bytes);
		t = steer_now_ns();
		for (uint64_t at = 0; at < bytes; at += BARE_RANGE)
			madvise(start + at, bytes - at < BARE_RANGE ? bytes - at : BARE_RANGE, MADV_DONTNEED);
		result = rate(bytes, steer_now_ns() - t);
		if (write(p[1], &result, sizeof(result)) < 0)
			_exit(1);
		_exit(0);
	}
	if (read(p[0], &result, sizeof(result)) != sizeof(result))
		result = 0;
	close(p[0]);
	close(p[1]);
	wait(NULL);
	return result;
}

/* Lets the guest touch memory and free it: its allocator has it, and so has the host's resident size. */
static int touch(struct vm *vm, uint64_t bytes, double *ret_rate)
{
	uint64_t ns;
	int r;

	r = vm_ask_number(vm, &ns, "fill %" PRIu64, bytes);
	if (!r && ret_rate)
		*ret_rate = rate(bytes, ns);
	return r;
}

static int tide_take(struct vm *vm, struct steer *steer, double *ret_rate, uint64_t *ret_bytes)
{
	uint64_t before, after, start, ns;
	uint32_t generation;
	int r;

	r = vm_resident(vm, &before);
	if (r)
		return r;
	start = steer_now_ns();
	steer_set(steer, LEFT, LEFT, 0, &generation);
	r = steer_wait_fence(steer, generation, TIMEOUT_MS);
	ns = steer_now_ns() - start;
	r = r ? r : vm_resident(vm, &after);
	if (r)
		return r;
	*ret_bytes = before - after;
	*ret_rate = rate(before - after, ns);
	return 0;
}

static int tide_return(struct steer *steer, double *ret_rate)
{
	struct memtide_counters before, after;
	uint64_t start, ns;
	uint32_t generation;
	int r;

	r = steer_counters(steer, &before);
	if (r)
		return r;
	start = steer_now_ns();
	steer_set(steer, RAM, RAM, 0, &generation);
	r = steer_wait_fence(steer, generation, TIMEOUT_MS);
	ns = steer_now_ns() - start;
	r = r ? r : steer_counters(steer, &after);
	if (r)
		return r;
	*ret_rate = rate(before.given_bytes - after.given_bytes, ns);
	return 0;
}

static int balloon_to(struct vm *vm, uint64_t bytes, double *ret_rate)
{
	uint64_t start = steer_now_ns(), actual, first = 0;
	int r;

	r = vm_qmp(vm, "balloon", json_pack("{s:I}", "value", (json_int_t)bytes), NULL);
	do {
		json_t *result;

		r = r ? r : vm_qmp(vm, "query-balloon", NULL, &result);
		if (r)
			return r;
		actual = json_integer_value(json_object_get(result, "actual"));
		first = first ? first : actual;
		json_decref(result);
		poll(NULL, 0, 1);
		if (steer_now_ns() - start > TIMEOUT_MS * 1000000ULL) {
			fprintf(stderr, "reclaim: the balloon stays at %" PRIu64 " MiB\n", actual >> 20);
			return -ETIMEDOUT;
		}
	} while (actual != bytes);
	*ret_rate = rate(bytes > first ? bytes - first : first - bytes, steer_now_ns() - start);
	return 0;
}

/* Under emulation code is slow when it runs for the first time: both directions once, with memory nobody touched. */
static int warm_up(struct vm *vm, struct steer *steer)
{
	double ignored;
	uint64_t bytes;
	int r = tide_take(vm, steer, &ignored, &bytes);

	return r ? r : tide_return(steer, &ignored);
}

static int measure_tide(struct vm *vm, struct steer *steer, struct sample *s)
{
	uint64_t bytes;
	int r;

	r = warm_up(vm, steer);
	r = r ? r : touch(vm, KEPT, NULL);
	r = r ? r : touch(vm, TOUCHED - KEPT, NULL);
	r = r ? r : vm_ask(vm, NULL, "keep 1");
	r = r ? r : tide_take(vm, steer, &s->take, &bytes);
	if (r)
		return r;
	s->take_bare = bare_rate(bytes);
	r = tide_return(steer, &s->return_);
	r = r ? r : touch(vm, RAM - 1024 * MIB, &s->touch);
	r = r ? r : vm_ask(vm, NULL, "check");
	return r ? r : vm_ask(vm, NULL, "keep 1");
}

static int measure_balloon(struct vm *vm, struct sample *s)
{
	int r;

	r = balloon_to(vm, LEFT, &s->balloon_take);
	r = r ? r : balloon_to(vm, RAM, &s->balloon_return);
	r = r ? r : touch(vm, RAM - 1024 * MIB, &s->balloon_touch);
	return r ? r : vm_ask(vm, NULL, "check");
}

/* A VM of its own for each run: what the balloon leaves behind is small pages, and they would be ours to pay for. */
static int run(struct sample *s)
{
	struct vm_options options = {
		.name = "reclaim", .memory_bytes = RAM, .tide = true, .no_report = true, .balloon = true,
		.modules = "virtio_tide,virtio_balloon",
	};
	char path[64];
	struct steer *steer = NULL;
	struct vm *vm = NULL;
	int r;

	snprintf(path, sizeof(path), "/tmp/memtide-reclaim-%d.sock", getpid());
	r = steer_listen(path, &steer);
	if (r)
		return r;
	options.vmm_socket = path;
	r = vm_spawn(&options, &vm);
	r = r ? r : steer_accept(steer);
	r = r ? r : vm_wait(vm);
	r = r ? r : measure_tide(vm, steer, s);
	r = r ? r : measure_balloon(vm, s);
	steer_free(steer);
	if (vm_stop(vm))
		r = r ? r : -EBADMSG;
	return r;
}

int main(int argc, char **argv)
{
	struct bench_options options;
	struct report *report = report_new("reclaim");

	bench_parse(argc, argv, 5, &options);
	for (unsigned int i = 0; i < options.runs; i++) {
		struct sample s;
		int r = run(&s);

		if (r) {
			fprintf(stderr, "reclaim: run %u failed: %s\n", i + 1, strerror(-r));
			return 1;
		}
		fprintf(stderr, "reclaim: run %u of %u: take %.1f (bare %.1f, balloon %.2f), return %.1f (%.2f) GiB/s\n",
			i + 1, options.runs, s.take, s.take_bare, s.balloon_take, s.return_, s.balloon_return);
		report_add_pair(report, "take_limit", "GiB/s", s.take, s.take_bare);
		report_add_pair(report, "take", "GiB/s", s.take, s.balloon_take);
		report_add_pair(report, "return", "GiB/s", s.return_, s.balloon_return);
		report_add_pair(report, "return_touch", "GiB/s", s.touch, s.balloon_touch);
	}
	report_expect(report, "take_limit", true, 0.8);
	report_expect(report, "take", true, 100);
	report_expect(report, "return", true, 50);
	return report_finish(report, options.json_file) ? 3 : 0;
}
