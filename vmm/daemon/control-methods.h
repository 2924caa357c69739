/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The methods of vmm/lib/control.h.
 */
#ifndef MEMTIDED_CONTROL_METHODS_H
#define MEMTIDED_CONTROL_METHODS_H

#include <stddef.h>

struct control_client;

/* One line that a client said, @size bytes without its newline.  Answers it, now or later. */
void control_handle(struct control_client *client, const char *line, size_t size);

#endif
