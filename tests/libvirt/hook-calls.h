/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How libvirt calls hooks, written down by one that stands in qemu.d (record-hook).
 */
#ifndef TESTS_LIBVIRT_HOOK_CALLS_H
#define TESTS_LIBVIRT_HOOK_CALLS_H

#include <stdbool.h>

/* Puts it in place as 10-record, for libvirtd's next start, with nothing written down and no failures. */
int hook_calls_begin(void);
/* One more of them, under another name. */
int hook_calls_install(const char *name);
/* Has it fail when it is called for @operation, such as "prepare", or no longer. */
int hook_calls_fail(const char *operation, bool fail);
/* What is written down, a line "HOOK: DOMAIN OPERATION SUB-OPERATION" each, allocated. */
char *hook_calls(void);
/* Begins anew. */
void hook_calls_forget(void);
/*
 * The last call for @operation: what was on the standard input ("xml"), whose process it was ("user"), or what came
 * behind the sub-operation ("extra"); allocated.
 */
char *hook_calls_read(const char *operation, const char *what);

#endif /* TESTS_LIBVIRT_HOOK_CALLS_H */
