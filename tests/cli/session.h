/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A libvirtd of the tests' own, or what LAB_LIBVIRTD names in its place, for a user that is not root, with nothing in
 * it: a session daemon, which leaves the machine's own alone.
 */
#ifndef TESTS_CLI_SESSION_H
#define TESTS_CLI_SESSION_H

struct session;

/* What keeps this from working here, and how to mend it; NULL if nothing does. */
const char *session_missing(void);

/* Starts one, with the QEMU that LAB_QEMU names.  Fails the test if it cannot. */
void session_start(struct session **ret_session);

/* Ends it, and removes its files.  NULL is fine. */
void session_stop(struct session *session);

/* For --connect. */
const char *session_uri(const struct session *session);

/* The emulator as it is; without our device; and one that is no QEMU. */
const char *session_emulator(const struct session *session);
const char *session_emulator_without(const struct session *session);
const char *session_no_emulator(const struct session *session);

#endif /* TESTS_CLI_SESSION_H */
