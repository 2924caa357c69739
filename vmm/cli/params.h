/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options of a call as parameters of a method.
 */
#ifndef MEMTIDE_CLI_PARAMS_H
#define MEMTIDE_CLI_PARAMS_H

#include <jansson.h>

/*
 * Put option --@option, whose value is @text, into @params, with '_' for each '-' in its name.  NULL: it was not
 * given.  CLI_OK, or CLI_USAGE with words.
 */
int param_size(json_t *params, const char *option, const char *text);
/* From 1 to @most. */
int param_number(json_t *params, const char *option, const char *text, long most);

/* The same; "none" becomes null. */
int param_size_or_none(json_t *params, const char *option, const char *text);
int param_number_or_none(json_t *params, const char *option, const char *text, long most);

#endif
