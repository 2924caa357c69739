// SPDX-License-Identifier: GPL-2.0-or-later
/* See moment.h. */
#include <stdlib.h>
#include <time.h>

#include "moment.h"

static void *kill_controller(void *argument)
{
	struct moment *moment = argument;
	struct timespec time = { .tv_sec = moment->after_ns / 1000000000, .tv_nsec = moment->after_ns % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
	controller_kill(moment->controller);
	return NULL;
}

void moment_begin(struct moment *moment, struct controller *controller, unsigned int *seed, uint64_t within_ns)
{
	moment->controller = controller;
	moment->after_ns = (double)rand_r(seed) / RAND_MAX * within_ns;
	if (pthread_create(&moment->thread, NULL, kill_controller, moment))
		abort();
}

void moment_over(struct moment *moment)
{
	pthread_join(moment->thread, NULL);
}
