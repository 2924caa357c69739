/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Domains as memtided's method domain.list has them.
 */
#ifndef MEMTIDE_DOMAIN_LIST_H
#define MEMTIDE_DOMAIN_LIST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli.h"

/* Whether it is among vm.list's. */
bool domain_has_vm(const json_t *domain);
/* Why it is no VM, with one word for each obstacle before it: "vfio: ...".  "" where it is one.  Returns @ret_text. */
const char *domain_why(const json_t *domain, char *ret_text, size_t size);

/* memtide domain list */
int domain_run_list(const struct cli *cli, int argc, char **argv);

#endif /* MEMTIDE_DOMAIN_LIST_H */
