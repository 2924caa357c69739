/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one loader of policies: any *.bpf.o, without code for a particular one.  It finds an object's families and
 * knobs, sets knobs, loads, and for family "balance" maps the table and runs rounds.  Policies for the kernel's
 * hooks are attached by policy-attach.h.
 *
 *	family balance	program `balance` in section "syscall" and array map `table` of one struct balance_table
 *	family ksm	a struct tide_ksm_ops in section ".struct_ops.link"
 *	family thp	a struct tide_thp_ops there
 *	knobs		`const volatile` variables with the tags that KNOB() in bpf/include/tide_knob.h gives them, and
 *			integer members of ops tables; a variable and a member of the same name are one knob
 *	about		one line in the tag that POLICY_ABOUT() gives the main program or the ops table
 *
 * Functions return 0 or a negative errno and word it in @errtext, which may be NULL; outputs are untouched on
 * failure. Nothing here logs.  A policy belongs to one thread at a time, and may be handed from one to another:
 * opening and loading take milliseconds and more and are for a helper thread, running is for the thread that
 * decides.
 */
#ifndef MEMTIDE_POLICY_H
#define MEMTIDE_POLICY_H

#include <stddef.h>
#include <stdint.h>

#include "errtext.h"

#define MEMTIDE_POLICY_SUFFIX	".bpf.o"

struct balance_table;
struct memtide_policy;

enum memtide_family {
	MEMTIDE_FAMILY_BALANCE	= 0x1,
	MEMTIDE_FAMILY_KSM	= 0x2,
	MEMTIDE_FAMILY_THP	= 0x4,
};

enum memtide_knob_type {
	MEMTIDE_KNOB_BOOL,
	MEMTIDE_KNOB_UNSIGNED,
	MEMTIDE_KNOB_SIGNED,
};

/**
 * struct memtide_knob - one knob of a policy
 * @name: with its unit
 * @type: enum memtide_knob_type; says which of the pairs below counts
 * @size: of the variable, 1, 2, 4 or 8 bytes
 * @about: one line for people, empty where the policy has none
 * @value: as it is set now; a signed one is to be cast to int64_t, and so are the three below
 * @initial: the policy's own default
 * @min: the least it may be set to
 * @max: the most it may be set to
 */
struct memtide_knob {
	const char *name;
	enum memtide_knob_type type;
	size_t size;
	const char *about;
	uint64_t value;
	uint64_t initial;
	uint64_t min;
	uint64_t max;
};

/**
 * memtide_policy_open() - read an object file
 * @path: the file
 * @ret_policy: the policy, not loaded yet; for memtide_policy_close()
 *
 * Needs no privileges.  -EINVAL if it is no policy: not BPF, no family, no BTF, a knob whose tags make no sense, a
 * table of another size.
 */
int memtide_policy_open(const char *path, struct memtide_policy **ret_policy, struct memtide_errtext *errtext);

/* Unload and free.  NULL is fine. */
void memtide_policy_close(struct memtide_policy *policy);

/* The file's name without its directory and MEMTIDE_POLICY_SUFFIX; its path; its own line about itself, or "". */
const char *memtide_policy_name(const struct memtide_policy *policy);
const char *memtide_policy_path(const struct memtide_policy *policy);
const char *memtide_policy_about(const struct memtide_policy *policy);

/* Bits of enum memtide_family, never zero. */
unsigned int memtide_policy_families(const struct memtide_policy *policy);
/* "balance", "ksm" or "thp"; families in the order of their bits, separated by commas. */
const char *memtide_policy_family_names(const struct memtide_policy *policy);

/* All knobs in the order of their declaration, valid until the policy is closed; their number in @ret_nr. */
const struct memtide_knob *memtide_policy_knobs(const struct memtide_policy *policy, size_t *ret_nr);

/**
 * memtide_policy_set_knob() - set a knob, before loading
 * @name: the knob
 * @value: a number (decimal, or with 0x), a number with a binary unit (64M, 64MiB), or for bool: true, false, 1, 0
 *
 * -ENOENT if there is no such knob (the words name those there are), -ERANGE or -EINVAL if it does not take the
 * value (the words name what it takes), -EBUSY once loaded.
 */
int memtide_policy_set_knob(struct memtide_policy *policy, const char *name, const char *value,
			    struct memtide_errtext *errtext);

/* Write @knob's value (or its min, max, initial) as memtide_policy_set_knob() reads it; returns @ret_text. */
const char *memtide_knob_format(const struct memtide_knob *knob, uint64_t value, char ret_text[static 24]);

/**
 * memtide_policy_load() - have the kernel verify and load a balance policy, and map its table
 *
 * What an object has of other families stays out.  Needs CAP_BPF.  Blocks.  -EINVAL without family balance.
 * After a failure memtide_policy_log() has the verifier's words, where it had any, and the policy can only be
 * closed.
 */
int memtide_policy_load(struct memtide_policy *policy, struct memtide_errtext *errtext);

/* What the kernel's verifier said, or "". */
const char *memtide_policy_log(const struct memtide_policy *policy);

/* The table of a loaded balance policy; its "state" members are zero at first.  NULL if there is none. */
struct balance_table *memtide_policy_table(const struct memtide_policy *policy);

/**
 * memtide_policy_run() - one round of a loaded balance policy
 * @ret_ns: how long it took
 *
 * Sets every row's answer to BALANCE_KEEP, then runs the program over what the caller has put into the table.
 * Does not block.  -EPROTO if the program returns other than zero: its answers are then worth nothing.
 */
int memtide_policy_run(struct memtide_policy *policy, uint64_t *ret_ns, struct memtide_errtext *errtext);

/* Rounds run so far and the time they took in all. */
uint64_t memtide_policy_runs(const struct memtide_policy *policy);
uint64_t memtide_policy_run_ns(const struct memtide_policy *policy);

/**
 * memtide_policy_find() - the file of a policy by its name
 * @path: directories to look in, separated by colons, in order
 * @name: a name as memtide_policy_name() returns it
 * @ret_file: the file's path, to be freed by the caller
 *
 * -EINVAL if @name is no plain name, -ENOENT if no directory has it.
 */
int memtide_policy_find(const char *path, const char *name, char **ret_file, struct memtide_errtext *errtext);

#endif /* MEMTIDE_POLICY_H */
