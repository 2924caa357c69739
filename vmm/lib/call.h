/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One call over memtided's control socket that is over by a given time, whatever the daemon does.  For programs that
 * others wait for, such as libvirt for its hook; the protocol is in control.h.
 */
#ifndef MEMTIDE_CALL_H
#define MEMTIDE_CALL_H

#include <jansson.h>
#include <stdint.h>

#include "errtext.h"

/* CLOCK_MONOTONIC in milliseconds. */
uint64_t memtide_call_now_ms(void);

/**
 * memtide_call_until() - connect, ask, wait for the answer, hang up
 * @socket: path of the control socket
 * @method: what to call
 * @params: consumed
 * @until_ms: when to give up, by memtide_call_now_ms()
 * @ret_result: a new reference; untouched on failure
 * @errtext: words for a failure
 *
 * Returns 0; -ETIMEDOUT; where the daemon's answer is an error, with its words in @errtext, -ESRCH (no such VM or
 * domain), -EBUSY (not now), -ENOSPC (the ledger has no room) or -EREMOTEIO (any other); -EPROTO: it is no answer; or
 * why there is no connection.
 */
int memtide_call_until(const char *socket, const char *method, json_t *params, uint64_t until_ms, json_t **ret_result,
		       struct memtide_errtext *errtext);

#endif /* MEMTIDE_CALL_H */
