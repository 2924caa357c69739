// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide: the administrator's command.  Here is only what all commands share: finding the command, its
 * options, its help.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "control.h"

static const struct cli_command *const nouns[] = {
	status_commands, vm_commands, domain_commands, tenant_commands, policy_commands, ksm_commands, pause_commands,
	log_commands, doctor_commands, eject_commands,
};

#define NR_NOUNS	(sizeof(nouns) / sizeof(nouns[0]))

enum {
	OPT_SOCKET = 256,
	OPT_JSON,
	OPT_HELP,
	OPT_VERSION,
	OPT_WATCH,
	OPT_FOLLOW,
	OPT_AFTER,
	OPT_KNOB,
	OPT_FLOOR,
	OPT_MAXIMUM,
	OPT_SHARES,
	OPT_VM,
	OPT_CGROUP,
	OPT_TENANT,
	OPT_QMP,
	OPT_BUDGET,
	OPT_KSM,
	OPT_KSM_RATE,
	OPT_CONNECT,
	OPT_EMULATOR,
	OPT_YES,
	OPT_DRY_RUN,
	OPT_KEEP_POLICY,
	OPT_TIMEOUT,
};

static const struct option options[] = {
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "watch", optional_argument, NULL, OPT_WATCH },
	{ "follow", no_argument, NULL, OPT_FOLLOW },
	{ "after", required_argument, NULL, OPT_AFTER },
	{ "knob", required_argument, NULL, OPT_KNOB },
	{ "floor", required_argument, NULL, OPT_FLOOR },
	{ "maximum", required_argument, NULL, OPT_MAXIMUM },
	{ "shares", required_argument, NULL, OPT_SHARES },
	{ "vm", required_argument, NULL, OPT_VM },
	{ "cgroup", required_argument, NULL, OPT_CGROUP },
	{ "tenant", required_argument, NULL, OPT_TENANT },
	{ "qmp", required_argument, NULL, OPT_QMP },
	{ "budget", required_argument, NULL, OPT_BUDGET },
	{ "ksm", required_argument, NULL, OPT_KSM },
	{ "ksm-rate-pages", required_argument, NULL, OPT_KSM_RATE },
	{ "connect", required_argument, NULL, OPT_CONNECT },
	{ "emulator", required_argument, NULL, OPT_EMULATOR },
	{ "yes", no_argument, NULL, OPT_YES },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "keep-policy", no_argument, NULL, OPT_KEEP_POLICY },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ }
};

static const struct {
	enum cli_option option;
	const char *name;
} option_names[] = {
	{ CLI_WATCH, "--watch" }, { CLI_FOLLOW, "--follow" }, { CLI_AFTER, "--after" }, { CLI_KNOB, "--knob" },
	{ CLI_LIMITS, "--floor and --maximum" }, { CLI_SCOPE, "--vm and --cgroup" },
	{ CLI_TENANT, "--tenant" }, { CLI_QMP, "--qmp" }, { CLI_SHARES, "--shares" },
	{ CLI_TENANT_TERMS, "--budget, --ksm and --ksm-rate-pages" },
	{ CLI_CONNECT, "--connect" }, { CLI_EMULATOR, "--emulator" }, { CLI_CONFIRM, "--yes and --dry-run" },
	{ CLI_KEEP, "--keep-policy" }, { CLI_TIMEOUT, "--timeout" },
};

static void complain(const char *format, va_list args)
{
	fputs("memtide: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

int cli_failed(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
	return CLI_FAILED;
}

int cli_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(format, args);
	va_end(args);
	return CLI_USAGE;
}

void cli_print_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	putchar('\n');
}

void cli_print_error(const struct cli *cli, const json_t *error)
{
	const char *log = json_string_value(json_object_get(json_object_get(error, "data"), "log"));

	if (cli->json) {
		json_t *object = json_pack("{s:O}", "error", error);

		cli_print_json(object);
		json_decref(object);
		return;
	}
	cli_failed("%s", json_string_value(json_object_get(error, "message")) ?: "");
	if (log && *log)
		fprintf(stderr, "%s%s", log, log[strlen(log) - 1] == '\n' ? "" : "\n");
}

int cli_print_result(const struct cli *cli, json_t *result, void (*print)(const json_t *result))
{
	if (!result)
		return CLI_FAILED;
	if (cli->json)
		cli_print_json(result);
	else
		print(result);
	json_decref(result);
	return CLI_OK;
}

static void print_command(const struct cli_command *c)
{
	char words[80];

	snprintf(words, sizeof(words), "%s%s%s%s%s", c->noun, c->verb ? " " : "", c->verb ?: "",
		 *c->arguments ? " " : "", c->arguments);
	printf("  %-28s %s\n", words, c->about);
}

static int help_all(void)
{
	puts("Usage: memtide [--socket PATH] [--json] COMMAND ...\n\n"
	     "Shows and steers how the virtual machines of this host trade memory.\n\nCommands:");
	for (size_t i = 0; i < NR_NOUNS; i++)
		for (const struct cli_command *c = nouns[i]; c->noun; c++)
			print_command(c);
	printf("\nOptions of every command:\n"
	       "  --json           print what came over the control socket, one JSON value a line\n"
	       "  --socket PATH    memtided's control socket (%s)\n"
	       "  --help           help on memtide or on one command\n"
	       "  --version        the version\n\n"
	       "Sizes are written with a unit, a power of 1024: 384M, 1.5G, 64KiB.\n"
	       "Exit status: 0 done, 1 refused or something found wanting, 2 wrong call.\n", MEMTIDE_CONTROL_PATH);
	return CLI_OK;
}

static int help_noun(const struct cli_command *first)
{
	printf("Usage: memtide %s %s...\n\nCommands:\n", first->noun, first->verb ? "COMMAND " : "");
	for (const struct cli_command *c = first; c->noun; c++)
		print_command(c);
	return CLI_OK;
}

static int help_command(const struct cli_command *c)
{
	printf("Usage: memtide %s%s%s%s%s [OPTION...]\n\n%c%s.\n%s%s", c->noun, c->verb ? " " : "", c->verb ?: "",
	       *c->arguments ? " " : "", c->arguments, toupper((unsigned char)c->about[0]), c->about + 1,
	       *c->help ? "\n" : "", c->help);
	return CLI_OK;
}

static const struct cli_command *find_noun(const char *word, const struct cli_command **ret_exact)
{
	*ret_exact = NULL;
	for (size_t i = 0; i < NR_NOUNS; i++)
		for (const struct cli_command *c = nouns[i]; c->noun; c++)
			if (!strcmp(c->noun, word)) {
				*ret_exact = c->verb ? NULL : c;
				return nouns[i];
			}
	return NULL;
}

static const struct cli_command *find_verb(const struct cli_command *first, const char *verb)
{
	for (const struct cli_command *c = first; c->noun; c++)
		if (c->verb && !strcmp(c->verb, verb))
			return c;
	return NULL;
}

static int set_watch(struct cli *cli, const char *text)
{
	char *end;
	double seconds;

	cli->given |= CLI_WATCH;
	cli->watch_ms = 1000;
	if (!text)
		return CLI_OK;
	seconds = strtod(text, &end);
	if (end == text || *end || !(seconds >= 0.1 && seconds <= 3600))
		return cli_usage("--watch=%s: takes seconds from 0.1 to 3600", text);
	cli->watch_ms = seconds * 1000;
	return CLI_OK;
}

static int set_timeout(struct cli *cli, const char *text)
{
	char *end;
	unsigned long seconds;

	cli->given |= CLI_TIMEOUT;
	errno = 0;
	seconds = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || seconds > 86400)
		return cli_usage("--timeout %s: takes seconds from 0 to 86400", text);
	cli->timeout_s = seconds;
	return CLI_OK;
}

static int set_text(struct cli *cli, enum cli_option option, const char **text)
{
	cli->given |= option;
	*text = optarg;
	return CLI_OK;
}

static int set_flag(struct cli *cli, enum cli_option option, bool *flag)
{
	cli->given |= option;
	*flag = true;
	return CLI_OK;
}

static int set_option(struct cli *cli, int option, char **argv)
{
	char *end;

	switch (option) {
	case OPT_SOCKET:
		cli->socket = optarg;
		return CLI_OK;
	case OPT_JSON:
		cli->json = true;
		return CLI_OK;
	case OPT_WATCH:
		return set_watch(cli, optarg);
	case OPT_FOLLOW:
		cli->given |= CLI_FOLLOW;
		return CLI_OK;
	case OPT_AFTER:
		cli->given |= CLI_AFTER;
		errno = 0;
		cli->after = strtoll(optarg, &end, 10);
		if (errno || end == optarg || *end || cli->after < 0)
			return cli_usage("--after %s: takes a sequence number as `memtide log` shows it", optarg);
		return CLI_OK;
	case OPT_KNOB:
		cli->given |= CLI_KNOB;
		if (!strchr(optarg, '=') || *optarg == '=')
			return cli_usage("--knob %s: takes NAME=VALUE", optarg);
		if (cli->nr_knobs == CLI_MAX_KNOBS)
			return cli_usage("more than %d knobs", CLI_MAX_KNOBS);
		cli->knobs[cli->nr_knobs++] = optarg;
		return CLI_OK;
	case OPT_VM:
		return set_text(cli, CLI_SCOPE, &cli->vm);
	case OPT_CGROUP:
		return set_text(cli, CLI_SCOPE, &cli->cgroup);
	case OPT_TENANT:
		return set_text(cli, CLI_TENANT, &cli->tenant);
	case OPT_QMP:
		return set_text(cli, CLI_QMP, &cli->qmp);
	case OPT_CONNECT:
		return set_text(cli, CLI_CONNECT, &cli->connect);
	case OPT_EMULATOR:
		return set_text(cli, CLI_EMULATOR, &cli->emulator);
	case OPT_YES:
		return set_flag(cli, CLI_CONFIRM, &cli->yes);
	case OPT_DRY_RUN:
		return set_flag(cli, CLI_CONFIRM, &cli->dry_run);
	case OPT_KEEP_POLICY:
		return set_flag(cli, CLI_KEEP, &cli->keep_policy);
	case OPT_TIMEOUT:
		return set_timeout(cli, optarg);
	case OPT_FLOOR:
		return set_text(cli, CLI_LIMITS, &cli->floor);
	case OPT_MAXIMUM:
		return set_text(cli, CLI_LIMITS, &cli->maximum);
	case OPT_SHARES:
		return set_text(cli, CLI_SHARES, &cli->shares);
	case OPT_BUDGET:
		return set_text(cli, CLI_TENANT_TERMS, &cli->budget);
	case OPT_KSM:
		return set_text(cli, CLI_TENANT_TERMS, &cli->ksm);
	case OPT_KSM_RATE:
		return set_text(cli, CLI_TENANT_TERMS, &cli->ksm_rate_pages);
	case ':':
		return cli_usage("option %s needs a value: see memtide --help", argv[optind - 1]);
	default:
		return cli_usage("no option %s: see memtide --help", argv[optind - 1]);
	}
}

static int run_command(const struct cli *cli, const struct cli_command *c, int argc, char **argv)
{
	const char *space = c->verb ? " " : "", *verb = c->verb ?: "";

	for (size_t i = 0; i < sizeof(option_names) / sizeof(option_names[0]); i++)
		if (cli->given & ~c->options & option_names[i].option)
			return cli_usage("%s%s%s does not take %s: see memtide %s%s%s --help", c->noun, space,
					 verb, option_names[i].name, c->noun, space, verb);
	if (argc < c->min || argc > c->max)
		return cli_usage("usage: memtide %s%s%s %s", c->noun, space, verb, c->arguments);
	return c->run(cli, argc, argv);
}

static int dispatch(const struct cli *cli, bool help, int argc, char **argv)
{
	const struct cli_command *noun, *command;

	if (!argc) {
		help_all();
		return help ? CLI_OK : CLI_USAGE;
	}
	noun = find_noun(argv[0], &command);
	if (!noun)
		return cli_usage("no command %s: see memtide --help", argv[0]);
	/* a noun that is a command may have verbs as well */
	if (command && !(argc > 1 && find_verb(noun, argv[1])))
		return help ? help_command(command) : run_command(cli, command, argc - 1, argv + 1);
	if (argc < 2) {
		help_noun(noun);
		return help ? CLI_OK : CLI_USAGE;
	}
	command = find_verb(noun, argv[1]);
	if (!command)
		return cli_usage("no command %s %s: see memtide %s --help", argv[0], argv[1], argv[0]);
	return help ? help_command(command) : run_command(cli, command, argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
	struct cli cli = { .socket = MEMTIDE_CONTROL_PATH, .timeout_s = CLI_TIMEOUT_DEFAULT };
	bool help = false;
	int option, r;

	setlocale(LC_ALL, "");
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == OPT_VERSION) {
			puts("memtide " MEMTIDE_CLI_VERSION);
			return CLI_OK;
		}
		if (option == OPT_HELP) {
			help = true;
			continue;
		}
		r = set_option(&cli, option, argv);
		if (r)
			return r;
	}
	return dispatch(&cli, help, argc - optind, argv + optind);
}
