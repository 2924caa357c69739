/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running another program to its end, for what it prints.
 */
#ifndef MEMTIDE_CHILD_H
#define MEMTIDE_CHILD_H

#include "errtext.h"

/* What goes into a pipe without anybody reading from it (pipe(7): 64 KiB), with plenty to spare. */
#define CHILD_INPUT_MAX	16384

/**
 * child_run() - run a program and wait for it
 * @argv: argv[0] is searched for in PATH if it has no slash; terminated by NULL
 * @input: what it finds on its standard input, at most CHILD_INPUT_MAX bytes; may be NULL
 * @seconds: how long it may take; then it is killed
 * @ret_output: what it has printed, terminated, for free(); untouched on failure
 * @errtext: may be NULL
 *
 * Its standard error goes nowhere, but for the last line of it in @errtext where it prints nothing else.  Returns its
 * exit status, which is the caller's to judge; -ETIMEDOUT, -ECHILD if a signal ended it, -EIO if it ended with a
 * failure and has printed nothing, or another negative errno if it could not be run.
 */
int child_run(char *const argv[], const char *input, unsigned int seconds, char **ret_output,
	      struct memtide_errtext *errtext);

#endif /* MEMTIDE_CHILD_H */
