/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One call over memtided's control socket that is over by a given time, whatever the daemon does.  For programs that
 * libvirt waits for; the protocol is in vmm/lib/control.h.
 */
#ifndef MEMTIDE_HOOK_CALL_H
#define MEMTIDE_HOOK_CALL_H

#include <jansson.h>
#include <stdint.h>

#include "errtext.h"

/* CLOCK_MONOTONIC in milliseconds. */
uint64_t call_now_ms(void);

/**
 * call_until() - connect, ask, wait for the answer, hang up
 * @socket: path of the control socket
 * @method: what to call
 * @params: consumed
 * @until_ms: when to give up, by call_now_ms()
 * @ret_result: a new reference; untouched on failure
 * @errtext: words for a failure
 *
 * Returns 0; -ETIMEDOUT; -EREMOTEIO: the daemon's answer is an error, and its words are in @errtext; -EPROTO: it is no
 * answer; or why there is no connection.
 */
int call_until(const char *socket, const char *method, json_t *params, uint64_t until_ms, json_t **ret_result,
	       struct memtide_errtext *errtext);

#endif
