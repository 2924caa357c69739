/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where devices connect: the door.  What comes in here is checked once, and is a VM afterwards.
 */
#ifndef MEMTIDED_VMM_SOCKET_H
#define MEMTIDED_VMM_SOCKET_H

#include "errtext.h"

struct manager;
struct vmm_server;

int vmm_server_new(struct manager *manager, const char *path, struct vmm_server **ret,
		   struct memtide_errtext *errtext);
void vmm_server_free(struct vmm_server *server);

#endif
