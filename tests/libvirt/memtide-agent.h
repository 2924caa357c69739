/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memtide-agent of this build, as a process of its own.  Functions return 0 or a negative errno and say on stderr what
 * went wrong.
 */
#ifndef TESTS_LIBVIRT_MEMTIDE_AGENT_H
#define TESTS_LIBVIRT_MEMTIDE_AGENT_H

#include <sys/types.h>

/* Starts it with memtided's configuration @config; it finds libvirtd and memtided by itself, now or later. */
int memtide_agent_start(const char *config, pid_t *ret_pid);
/* Ends it with @signal and waits for that.  -EBADMSG if it did not end with status 0 after SIGTERM.  0: no process. */
int memtide_agent_end(pid_t *pid, int signal);

#endif /* TESTS_LIBVIRT_MEMTIDE_AGENT_H */
