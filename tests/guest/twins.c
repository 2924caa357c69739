// SPDX-License-Identifier: GPL-2.0-or-later
/* See twins.h. */
#include <errno.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "twins.h"

#define PAGE		4096UL
#define WORDS		(PAGE / sizeof(uint64_t))
#define STEPS		10	/* a second */
#define STEP_NS		(1000000000L / STEPS)

struct part {
	uint64_t *memory;
	uint64_t pages;
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 31) * 0x9e3779b97f4a7c15ULL;
	return x ^ x >> 29;
}

/* Gives a page the content that belongs to @name: two pages are equal if their names are. */
static void write_page(const struct part *part, uint64_t page, uint64_t name)
{
	uint64_t *word = part->memory + page * WORDS;

	for (uint64_t i = 0; i < WORDS; i += WORDS / 8)
		word[i] = mix(name + i);
}

static int make_part(struct part *part, uint64_t bytes, uint64_t name)
{
	part->pages = bytes / PAGE;
	part->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (part->memory == MAP_FAILED)
		return -ENOMEM;
	for (uint64_t i = 0; i < part->pages; i++)
		write_page(part, i, name + (i << 16));
	return 0;
}

/* The names of a part's pages begin with its kind, and with the seed where they are the guest's own. */
static uint64_t kind(unsigned int number, uint64_t seed)
{
	return (uint64_t)number << 60 | seed << 48;
}

static void __attribute__((noreturn)) live(const struct twins *t, struct part *busy, struct part *churn)
{
	uint64_t steps = t->period_s * STEPS, written = 0;
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	for (uint64_t step = 1;; step++) {
		uint64_t until = churn->pages * step / steps;

		for (; written < until; written++)
			write_page(churn, written % churn->pages,
				   kind(3, 0) + (written % churn->pages << 16) + written / churn->pages + 1);
		for (uint64_t i = 0; step % STEPS == 0 && i < busy->pages; i++)
			busy->memory[i * WORDS]++;
		next.tv_nsec += STEP_NS;
		if (next.tv_nsec >= 1000000000L) {
			next.tv_nsec -= 1000000000L;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
}

int twins_start(const struct twins *t)
{
	struct part common, own, busy, churn;
	int touched[2], r = -1;
	pid_t pid;

	if (!t->period_s || t->churn_bytes < PAGE)
		return -EINVAL;
	if (pipe(touched))
		return -errno;
	pid = fork();
	if (pid == 0) {
		r = make_part(&common, t->common_bytes, kind(0, 0));
		r = r ? r : make_part(&own, t->own_bytes, kind(1, t->seed));
		r = r ? r : make_part(&busy, t->busy_bytes, kind(2, t->seed));
		r = r ? r : make_part(&churn, t->churn_bytes, kind(3, 0));
		if (write(touched[1], &r, sizeof(r)) != sizeof(r) || r)
			_exit(1);
		live(t, &busy, &churn);
	}
	close(touched[1]);
	if (pid < 0 || read(touched[0], &r, sizeof(r)) != sizeof(r))
		r = -ECHILD;
	close(touched[0]);
	return r;
}
