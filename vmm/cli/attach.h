/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies on cgroups, for every command that deals with them: which cgroup and which file a call means, and what
 * is attached or was ejected, as JSON and as text.  None of it needs memtided, except to find the cgroup of a VM.
 */
#ifndef MEMTIDE_CLI_ATTACH_H
#define MEMTIDE_CLI_ATTACH_H

#include <jansson.h>

#include "attachments.h"
#include "cli.h"
#include "policy.h"

/* A word with a slash or the suffix of policies is a file, as in a shell. */
bool attach_is_file(const char *word);

/*
 * The cgroup that --vm or --cgroup means, to be freed by the caller; NULL if there is none, which has been said,
 * with the exit status in @ret_status.
 */
char *attach_cgroup(const struct cli *cli, int *ret_status);

/*
 * The object file of policy @word: a file, or a name that memtided knows, or without memtided one in the policy
 * path of its configuration.  To be freed by the caller; NULL if there is none, which has been said.
 */
char *attach_policy_file(const struct cli *cli, const char *word);

/* The directories in which memtided looks for policies, as its configuration says; NULL as above. */
char *attach_policy_path(const struct cli *cli);

/* Set the knobs of --knob.  0 or a negative errno. */
int attach_set_knobs(const struct cli *cli, struct memtide_policy *policy, struct memtide_errtext *errtext);

/* All that is attached, or with @cgroup_id what is attached there; an array. */
json_t *attach_list(uint64_t cgroup_id);

/* Some lines for each member of attach_list(). */
void attach_print(const json_t *attached);

/* The last policies that the kernel has ended, the newest first; an array. */
json_t *attach_ended(void);

/* A line for each member of attach_ended(). */
void attach_print_ended(const json_t *ended);

/* Print @message, and the verifier's words if @log has some; returns CLI_FAILED. */
int attach_failed(const struct cli *cli, const char *message, const char *log);

#endif /* MEMTIDE_CLI_ATTACH_H */
