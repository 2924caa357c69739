/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading members of what a daemon or a QEMU has answered.
 */
#ifndef MEMTIDE_REPLY_H
#define MEMTIDE_REPLY_H

#include <jansson.h>
#include <stdint.h>

/*
 * Members of a reply.  Missing or of another type is zero, "" or false: a newer daemon adds members, an older one
 * lacks some.
 */
uint64_t reply_number(const json_t *object, const char *name);
const char *reply_text(const json_t *object, const char *name);

#endif /* MEMTIDE_REPLY_H */
