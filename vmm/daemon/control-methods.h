/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The methods of vmm/lib/control.h.
 */
#ifndef MEMTIDED_CONTROL_METHODS_H
#define MEMTIDED_CONTROL_METHODS_H

#include <stddef.h>

struct control_client;
struct decision;

/* One line that a client said, @size bytes without its newline.  Answers it, now or later. */
void control_handle(struct control_client *client, const char *line, size_t size);

/* An entry of the decision log for a client that follows it.  Returns text to be freed, or NULL without memory. */
char *control_format_entry(const struct decision *entry);

#endif
