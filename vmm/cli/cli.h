/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What memtide's commands share: the options of one call, and the table of commands.  One file per noun; each
 * command is one function.
 */
#ifndef MEMTIDE_CLI_H
#define MEMTIDE_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* What a call ends with. */
enum {
	CLI_OK		= 0,
	CLI_FAILED	= 1,	/* refused, or found wanting */
	CLI_USAGE	= 2,	/* the call itself made no sense */
};

/* Options that not every command takes. */
enum cli_option {
	CLI_WATCH	= 0x01,
	CLI_FOLLOW	= 0x02,
	CLI_AFTER	= 0x04,
	CLI_KNOB	= 0x08,
	CLI_LIMITS	= 0x10,	/* --floor, --maximum */
	CLI_SCOPE	= 0x20,	/* --vm, --cgroup */
	CLI_TENANT	= 0x40,
	CLI_QMP		= 0x80,
	CLI_SHARES	= 0x100,
	CLI_TENANT_TERMS	= 0x200,	/* --budget, --ksm, --ksm-rate-pages */
	CLI_CONNECT	= 0x400,
	CLI_EMULATOR	= 0x800,
	CLI_CONFIRM	= 0x1000,	/* --yes, --dry-run */
	CLI_KEEP	= 0x2000,	/* --keep-policy */
	CLI_TIMEOUT	= 0x4000,
};

#define CLI_MAX_KNOBS	64
/* A guest takes gigabytes back in a second; one that has not after this will not soon. */
#define CLI_TIMEOUT_DEFAULT	60

/**
 * struct cli - one call
 * @socket: the control socket
 * @json: print what came over the socket, nothing else
 * @given: enum cli_option of the options that were given
 * @watch_ms: time between two pictures
 * @after: sequence number from --after
 * @knobs: NAME=VALUE each
 * @nr_knobs: how many
 * @floor: as given, or NULL
 * @maximum: the same
 * @shares: the same
 * @budget: the same
 * @ksm: the same
 * @ksm_rate_pages: the same
 * @vm: the same
 * @cgroup: the same
 * @tenant: the same
 * @qmp: the same
 * @connect: the same
 * @emulator: the same
 * @yes: change without asking
 * @dry_run: show what would change, only
 * @keep_policy: leave the policy in place
 * @timeout_s: how long to wait for what was asked to be done, CLI_TIMEOUT_DEFAULT if nothing was said
 */
struct cli {
	const char *socket;
	bool json;
	unsigned int given;
	unsigned int watch_ms;
	long long after;
	const char *knobs[CLI_MAX_KNOBS];
	size_t nr_knobs;
	const char *floor;
	const char *maximum;
	const char *shares;
	const char *budget;
	const char *ksm;
	const char *ksm_rate_pages;
	const char *vm;
	const char *cgroup;
	const char *tenant;
	const char *qmp;
	const char *connect;
	const char *emulator;
	bool yes;
	bool dry_run;
	bool keep_policy;
	unsigned int timeout_s;
};

/**
 * struct cli_command - one command
 * @noun: first word
 * @verb: second word, or NULL
 * @arguments: what follows, for the usage line
 * @min: how many words must follow
 * @max: how many may
 * @options: enum cli_option that it takes
 * @about: one line
 * @help: some lines more: options, what is shown, examples
 * @run: returns CLI_*; @argv holds what follows
 */
struct cli_command {
	const char *noun;
	const char *verb;
	const char *arguments;
	int min;
	int max;
	unsigned int options;
	const char *about;
	const char *help;
	int (*run)(const struct cli *cli, int argc, char **argv);
};

extern const struct cli_command status_commands[];
extern const struct cli_command vm_commands[];
extern const struct cli_command domain_commands[];
extern const struct cli_command policy_commands[];
extern const struct cli_command ksm_commands[];
extern const struct cli_command tenant_commands[];
extern const struct cli_command eject_commands[];
extern const struct cli_command pause_commands[];
extern const struct cli_command log_commands[];
extern const struct cli_command doctor_commands[];

/* Print "memtide: ..." to standard error; returns CLI_FAILED and CLI_USAGE. */
__attribute__((format(printf, 1, 2))) int cli_failed(const char *format, ...);
__attribute__((format(printf, 1, 2))) int cli_usage(const char *format, ...);

/* Print @value on one line to standard output, as --json does. */
void cli_print_json(const json_t *value);

/*
 * Print an error as it comes over the control socket: its message and, where its data has one, the verifier's
 * log; with --json the object itself.
 */
void cli_print_error(const struct cli *cli, const json_t *error);

/* Print a call's @result, as JSON if that was asked for, else with @print.  Takes @result; NULL: CLI_FAILED. */
int cli_print_result(const struct cli *cli, json_t *result, void (*print)(const json_t *result));

#endif /* MEMTIDE_CLI_H */
