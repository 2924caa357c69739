/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which process a libvirt domain is, without asking libvirt: by the file that its daemon keeps.
 */
#ifndef MEMTIDE_DOMAIN_PID_H
#define MEMTIDE_DOMAIN_PID_H

#include <sys/types.h>

/* @name of the domain.  0: not known.  MEMTIDE_LIBVIRT_RUN names another folder than the usual one: for tests. */
pid_t memtide_domain_pid(const char *name);

#endif /* MEMTIDE_DOMAIN_PID_H */
