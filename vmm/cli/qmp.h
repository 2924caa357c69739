/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be asked of a QEMU over its monitor socket, for hosts on which QEMU is all there is to ask.
 */
#ifndef MEMTIDE_QMP_H
#define MEMTIDE_QMP_H

#include <stdbool.h>

#include "errtext.h"

/**
 * qmp_set_merge() - let all memory of a VM be merged by KSM, or none of it
 * @socket: a QMP monitor, a Unix socket that nobody else uses at the time
 * @merge: what it is set to
 * @ret_nr: how many memory backends that were
 *
 * Unmerging breaks what is merged, and takes memory for it.  0 or a negative errno; -EPROTO if it is no QMP
 * monitor, or refuses.
 */
int qmp_set_merge(const char *socket, bool merge, unsigned int *ret_nr, struct memtide_errtext *errtext);

#endif /* MEMTIDE_QMP_H */
