/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memtided is killed at a random moment, while the test does something.
 */
#ifndef TESTS_LIBVIRT_MOMENT_H
#define TESTS_LIBVIRT_MOMENT_H

#include <pthread.h>
#include <stdint.h>

#include "controller.h"

struct moment {
	pthread_t thread;
	struct controller *controller;
	uint64_t after_ns;
};

/* Has @controller killed between now and @within_ns from now; it may not be used until moment_over(). */
void moment_begin(struct moment *moment, struct controller *controller, unsigned int *seed, uint64_t within_ns);
/* Waits until it has been. */
void moment_over(struct moment *moment);

#endif /* TESTS_LIBVIRT_MOMENT_H */
