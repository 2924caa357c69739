/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of noun ksm: looking is in ksm.c, changing in ksm-set.c.
 */
#ifndef MEMTIDE_CLI_KSM_H
#define MEMTIDE_CLI_KSM_H

#include "cli.h"

#define KSM	"/sys/kernel/mm/ksm"

/* Print what there is.  Returns CLI_*, as the next two. */
int ksm_show(const struct cli *cli);

/* As struct cli_command.run. */
int ksm_set(const struct cli *cli, int argc, char **argv);
int ksm_open(const struct cli *cli, int argc, char **argv);

#endif /* MEMTIDE_CLI_KSM_H */
