/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calling the memtide command as a user does, from a shell.
 */
#ifndef TESTS_CLI_COMMAND_H
#define TESTS_CLI_COMMAND_H

#include <jansson.h>
#include <stdio.h>
#include <sys/types.h>

/* The control socket of the next calls; NULL: one that nobody listens on. */
extern const char *command_socket;
/* What the last call of memtide() has printed, standard error included. */
extern char command_output[];

/* Run `memtide WORDS` and return its exit status. */
int memtide(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same; fails the test if it does not end with @status or prints anything but one JSON value. */
json_t *memtide_json(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Start `memtide WORDS`, which does not end by itself: read from what is returned, then command_finish(). */
FILE *command_spawn(const char *words, pid_t *ret_pid);
void command_finish(FILE *f, pid_t pid);

/* Fails the test if @words are not in command_output. */
void assert_says(const char *words);

#endif /* TESTS_CLI_COMMAND_H */
