// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide policy: which policies there are, what they can be told, and which one decides.
 *
 * `show` of a file reads the file itself and needs no daemon; everything else asks memtided.
 */
#include "policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "client.h"
#include "size.h"

/* A word with a slash or the suffix of policies is a file, as in a shell. */
static bool is_file(const char *word)
{
	size_t len = strlen(word), suffix = strlen(MEMTIDE_POLICY_SUFFIX);

	return strchr(word, '/') || (len > suffix && !strcmp(word + len - suffix, MEMTIDE_POLICY_SUFFIX));
}

static void print_value(const json_t *value)
{
	if (json_is_boolean(value))
		printf("%s", json_is_true(value) ? "true" : "false");
	else if (json_is_integer(value))
		printf("%lld", (long long)json_integer_value(value));
	else
		printf("%s", json_string_value(value) ?: "");
}

static void print_knob(const json_t *knob)
{
	const json_t *value = json_object_get(knob, "value");

	printf("  %s = ", reply_text(knob, "name"));
	print_value(value);
	if (json_is_integer(value)) {
		printf("   (%s, ", reply_text(knob, "type"));
		print_value(json_object_get(knob, "min"));
		printf(" to ");
		print_value(json_object_get(knob, "max"));
		printf("; default ");
		print_value(json_object_get(knob, "initial"));
		printf(")");
	}
	if (*reply_text(knob, "about"))
		printf("\n      %s", reply_text(knob, "about"));
	putchar('\n');
}

static void print_policy(const json_t *policy)
{
	const json_t *knob;
	size_t i;

	printf("%s%s%s\n", reply_text(policy, "name"), *reply_text(policy, "about") ? ": " : "",
	       reply_text(policy, "about"));
	printf("family %s, file %s%s\n", reply_text(policy, "family"), reply_text(policy, "file"),
	       json_is_true(json_object_get(policy, "active")) ? ", active" : "");
	if (reply_number(policy, "runs"))
		printf("%llu rounds of %.1f us on average\n", (unsigned long long)reply_number(policy, "runs"),
		       reply_number(policy, "run_ns_avg") / 1e3);
	if (json_array_size(json_object_get(policy, "knobs")))
		puts("\nknobs:");
	json_array_foreach(json_object_get(policy, "knobs"), i, knob)
		print_knob(knob);
}

static void print_list(const json_t *result)
{
	const json_t *policy;
	size_t i;

	json_array_foreach(json_object_get(result, "policies"), i, policy)
		printf("%c %-16s %-10s %s\n", json_is_true(json_object_get(policy, "active")) ? '*' : ' ',
		       reply_text(policy, "name"), reply_text(policy, "family"), reply_text(policy, "about"));
}

static int run_list(const struct cli *cli, int argc, char **argv)
{
	return cli_print_result(cli, client_ask(cli, "policy.list", NULL), print_list);
}

static json_t *knob_value(const struct memtide_knob *knob, uint64_t value)
{
	if (knob->type == MEMTIDE_KNOB_BOOL)
		return json_boolean(value);
	/* JSON's integers are signed here: what is beyond is as good as unlimited. */
	if (knob->type == MEMTIDE_KNOB_UNSIGNED && value > INT64_MAX)
		value = INT64_MAX;
	return json_integer((int64_t)value);
}

static const char *type_name(const struct memtide_knob *knob)
{
	static const char *const names[] = {
		[MEMTIDE_KNOB_BOOL] = "bool",
		[MEMTIDE_KNOB_UNSIGNED] = "unsigned",
		[MEMTIDE_KNOB_SIGNED] = "signed",
	};

	return names[knob->type];
}

/* What the daemon's policy.show says, of a file. */
static json_t *describe(const struct memtide_policy *policy)
{
	json_t *knobs = json_array();
	const struct memtide_knob *knob;
	size_t nr;

	knob = memtide_policy_knobs(policy, &nr);
	for (size_t i = 0; i < nr; i++, knob++)
		json_array_append_new(knobs, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:s}", "name", knob->name,
						       "type", type_name(knob),
						       "value", knob_value(knob, knob->value),
						       "initial", knob_value(knob, knob->initial),
						       "min", knob_value(knob, knob->min),
						       "max", knob_value(knob, knob->max),
						       "about", knob->about));
	return json_pack("{s:s, s:s, s:s, s:b, s:s, s:i, s:i, s:o}", "name", memtide_policy_name(policy), "file",
			 memtide_policy_path(policy), "family", memtide_policy_family_names(policy), "active", 0,
			 "about", memtide_policy_about(policy), "runs", 0, "run_ns_avg", 0, "knobs", knobs);
}

static int show_file(const struct cli *cli, const char *file)
{
	struct memtide_errtext errtext;
	struct memtide_policy *policy;
	int r;

	if (memtide_policy_open(file, &policy, &errtext))
		return cli_failed("%s", errtext.text);
	r = cli_print_result(cli, describe(policy), print_policy);
	memtide_policy_close(policy);
	return r;
}

static int run_show(const struct cli *cli, int argc, char **argv)
{
	if (is_file(argv[0]))
		return show_file(cli, argv[0]);
	return cli_print_result(cli, client_ask(cli, "policy.show", json_pack("{s:s}", "policy", argv[0])),
				print_policy);
}

/* true and false, whole numbers and sizes become what they are; the daemon has the last word on the rest. */
static json_t *parse_value(const char *text)
{
	long long number;
	uint64_t bytes;
	char *end;

	if (!strcmp(text, "true") || !strcmp(text, "false"))
		return json_boolean(*text == 't');
	errno = 0;
	number = strtoll(text, &end, 0);
	if (!errno && end != text && !*end)
		return json_integer(number);
	if (!memtide_size_parse(text, &bytes) && bytes <= INT64_MAX)
		return json_integer(bytes);
	return json_string(text);
}

static int run_load(const struct cli *cli, int argc, char **argv)
{
	json_t *params, *knobs;
	char *file = NULL;

	if (is_file(argv[0])) {
		/* The daemon has another working directory. */
		file = realpath(argv[0], NULL);
		if (!file)
			return cli_failed("cannot find %s: %m", argv[0]);
	}
	params = json_pack("{s:s}", "policy", file ?: argv[0]);
	free(file);
	if (cli->nr_knobs) {
		knobs = json_object();
		for (size_t i = 0; i < cli->nr_knobs; i++) {
			const char *equals = strchr(cli->knobs[i], '=');

			json_object_setn_new(knobs, cli->knobs[i], equals - cli->knobs[i],
					     parse_value(equals + 1));
		}
		json_object_set_new(params, "knobs", knobs);
	}
	return cli_print_result(cli, client_ask(cli, "policy.load", params), print_policy);
}

const struct cli_command policy_commands[] = {
	{
		.noun = "policy", .verb = "list", .arguments = "",
		.about = "the policies there are; * marks the one that decides",
		.help = "",
		.run = run_list,
	},
	{
		.noun = "policy", .verb = "show", .arguments = "NAME|FILE", .min = 1, .max = 1,
		.about = "a policy and its knobs",
		.help = "What has a slash or ends in .bpf.o is an object file, and is read without memtided.\n\n"
			"Examples:\n"
			"  memtide policy show fair\n"
			"  memtide policy show ./mine.bpf.o\n",
		.run = run_show,
	},
	{
		.noun = "policy", .verb = "load", .arguments = "NAME|FILE", .min = 1, .max = 1,
		.options = CLI_KNOB,
		.about = "let another policy decide, or the same one with other knobs",
		.help = "The policy that decides now stays where the new one does not load.\n\n"
			"Options:\n"
			"  --knob NAME=VALUE   set a knob; may be given again\n\n"
			"Examples:\n"
			"  memtide policy load fair --knob idle_tax_percent=75\n"
			"  memtide policy load ./mine.bpf.o\n",
		.run = run_load,
	},
	{ }
};
