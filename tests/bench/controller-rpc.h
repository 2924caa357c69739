/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking a memtided whose control socket is DIR/control.sock.  For the controller bench, which starts its memtided
 * in a way of its own.
 */
#ifndef TESTS_BENCH_CONTROLLER_RPC_H
#define TESTS_BENCH_CONTROLLER_RPC_H

#include <stddef.h>
#include <stdint.h>

/* Wait until it answers.  -ETIMEDOUT. */
int rpc_wait(const char *dir, unsigned int timeout_ms);
/* A number of "status"; UINT64_MAX if there is no answer. */
uint64_t rpc_status_number(const char *dir, const char *name);
/* How long claims took to be decided on since it was started. */
void rpc_decide(const char *dir, double *ret_p99_ms, size_t *ret_n);

#endif
