/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest's agent has filled, seen from the host: where in the VM's process those pages are, by their content.
 */
#ifndef TESTS_LIBVIRT_FILLED_H
#define TESTS_LIBVIRT_FILLED_H

#include <stdint.h>
#include <sys/types.h>

#define FILLED_MAX	8192

/*
 * Looks in process @pid for the first @pages pages, at most FILLED_MAX, of the guest's first fill.  Their addresses are
 * in @ret_addresses, zero for those that are not there.  Returns how many are, or a negative errno.
 */
int filled_find(pid_t pid, unsigned int pages, uint64_t *ret_addresses);

#endif /* TESTS_LIBVIRT_FILLED_H */
