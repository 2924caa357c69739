// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide policy: which policies there are, what they can be told, which one decides for the whole host, and
 * which ones decide for what is in a cgroup.
 *
 * The first three are memtided's, and of the policies themselves where it does not run.  Policies on cgroups are
 * the kernel's: no daemon is needed for them.
 */
#include "policy.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "cgroup-id.h"
#include "client.h"
#include "policy-attach.h"
#include "size.h"

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
	if (json_array_size(json_object_get(result, "attached")))
		puts("\nattached:");
	attach_print(json_object_get(result, "attached"));
	if (json_array_size(json_object_get(result, "ended")))
		puts("\nended by the kernel, the latest first:");
	attach_print_ended(json_object_get(result, "ended"));
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

static void print_attached(const json_t *result)
{
	attach_print(json_object_get(result, "attached"));
}

static int show_file(const struct cli *cli, const char *file)
{
	struct memtide_errtext errtext;
	struct memtide_policy *policy;
	int r;

	if (memtide_policy_open(file, &policy, &errtext))
		return attach_failed(cli, errtext.text, NULL);
	r = cli_print_result(cli, describe(policy), print_policy);
	memtide_policy_close(policy);
	return r;
}

static int run_show(const struct cli *cli, int argc, char **argv)
{
	struct client *client;
	char *file;
	int r;

	if (!attach_is_file(argv[0]) && !client_connect(cli->socket, &client)) {
		r = cli_print_result(cli, client_ask_on(client, cli, "policy.show",
							json_pack("{s:s}", "policy", argv[0])), print_policy);
		client_close(client);
		return r;
	}
	file = attach_policy_file(cli, argv[0]);
	r = file ? show_file(cli, file) : CLI_FAILED;
	free(file);
	return r;
}

static void add_directory(json_t *policies, const char *directory)
{
	struct memtide_policy *policy;
	struct dirent *entry;
	DIR *dir = opendir(directory);
	char file[4096];

	while (dir && (entry = readdir(dir))) {
		if (!attach_is_file(entry->d_name))
			continue;
		snprintf(file, sizeof(file), "%s/%s", directory, entry->d_name);
		if (memtide_policy_open(file, &policy, NULL))
			continue;
		json_array_append_new(policies, describe(policy));
		memtide_policy_close(policy);
	}
	if (dir)
		closedir(dir);
}

/* What memtided would say, if it ran: nothing is active. */
static json_t *list_without_daemon(const struct cli *cli)
{
	char *path = attach_policy_path(cli), *save = NULL;
	json_t *policies = json_array();

	for (char *dir = path ? strtok_r(path, ":", &save) : NULL; dir; dir = strtok_r(NULL, ":", &save))
		add_directory(policies, dir);
	free(path);
	return json_pack("{s:o}", "policies", policies);
}

static int run_list(const struct cli *cli, int argc, char **argv)
{
	struct client *client;
	json_t *result;

	if (client_connect(cli->socket, &client)) {
		result = list_without_daemon(cli);
	} else {
		result = client_ask_on(client, cli, "policy.list", NULL);
		client_close(client);
	}
	if (result) {
		json_object_set_new(result, "attached", attach_list(0));
		json_object_set_new(result, "ended", attach_ended());
	}
	return cli_print_result(cli, result, print_list);
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

	if (attach_is_file(argv[0])) {
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

/* Attach or replace, as @put does. */
static int put_on_cgroup(const struct cli *cli, const char *word,
			 int (*put)(struct memtide_policy *policy, const char *cgroup, struct memtide_errtext *errtext))
{
	struct memtide_policy *policy = NULL;
	struct memtide_errtext errtext;
	uint64_t id;
	int r;
	char *cgroup = attach_cgroup(cli, &r), *file = cgroup ? attach_policy_file(cli, word) : NULL;

	if (!cgroup || !file) {
		free(cgroup);
		return cgroup ? CLI_FAILED : r;
	}
	r = memtide_policy_open(file, &policy, &errtext);
	if (!r)
		r = attach_set_knobs(cli, policy, &errtext);
	if (!r)
		r = put(policy, cgroup, &errtext);
	if (r)
		r = attach_failed(cli, errtext.text, policy ? memtide_policy_log(policy) : NULL);
	else if (!memtide_cgroup_id(cgroup, &id, NULL))
		r = cli_print_result(cli, json_pack("{s:o}", "attached", attach_list(id)), print_attached);
	memtide_policy_close(policy);
	free(cgroup);
	free(file);
	return r;
}

static int run_attach(const struct cli *cli, int argc, char **argv)
{
	return put_on_cgroup(cli, argv[0], memtide_policy_attach);
}

static int run_replace(const struct cli *cli, int argc, char **argv)
{
	return put_on_cgroup(cli, argv[0], memtide_policy_replace);
}

static void print_detached(const json_t *result)
{
	unsigned long long nr = reply_number(result, "detached");

	printf("%llu %s detached from %s\n", nr, nr == 1 ? "policy" : "policies", reply_text(result, "cgroup"));
}

static int run_detach(const struct cli *cli, int argc, char **argv)
{
	struct memtide_errtext errtext;
	size_t nr;
	int r;
	char *cgroup = attach_cgroup(cli, &r);

	if (!cgroup)
		return r;
	if (memtide_policy_detach(argc ? argv[0] : NULL, cgroup, &nr, &errtext))
		r = attach_failed(cli, errtext.text, NULL);
	else
		r = cli_print_result(cli, json_pack("{s:I, s:s}", "detached", (json_int_t)nr, "cgroup", cgroup),
				     print_detached);
	free(cgroup);
	return r;
}

#define SCOPE_OPTIONS								\
	"Options:\n"								\
	"  --vm NAME           the cgroup of a VM that memtided knows\n"	\
	"  --cgroup PATH       a cgroup of version 2; works without memtided\n"

const struct cli_command policy_commands[] = {
	{
		.noun = "policy", .verb = "list", .arguments = "",
		.about = "the policies there are (* decides for the host) and what is attached to cgroups",
		.help = "What is attached to cgroups comes from the kernel: its state, its knobs, and what it has done so "
			"far; and so do the last policies that it has ended, and why.\nWithout memtided the policies of its configuration's policy-path are shown.\n\n"
			"Examples:\n"
			"  memtide policy list\n"
			"  memtide policy list --json | jq '.attached[] | {cgroup, name, state, counts}'\n"
			"  memtide policy list --json | jq '.ended[] | {cgroup, name, kind, reason}'\n",
		.run = run_list,
	},
	{
		.noun = "policy", .verb = "show", .arguments = "NAME|FILE", .min = 1, .max = 1,
		.about = "a policy and its knobs",
		.help = "What has a slash or ends in .bpf.o is an object file, and is read without memtided.  A policy of "
			"family\nbalance decides for the whole host (memtide policy load), all others for a cgroup "
			"(memtide policy attach).\n\n"
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
	{
		.noun = "policy", .verb = "attach", .arguments = "NAME|FILE", .min = 1, .max = 1,
		.options = CLI_KNOB | CLI_SCOPE,
		.about = "let a policy decide in the kernel, for a VM or a cgroup and all below it",
		.help = "A cgroup has one policy of each family.  Where a nearer cgroup has one of the same family, that one "
			"holds\nthere.  What is attached stays so, with or without memtided, until it is detached, the kernel "
			"ejects it,\nor the host is started anew.\n\n"
			SCOPE_OPTIONS
			"  --knob NAME=VALUE   set a knob; may be given again\n\n"
			"Examples:\n"
			"  memtide policy attach ksm-tenant --vm web1 --knob domain=7\n"
			"  memtide policy attach thp-pressure --vm web1\n"
			"  memtide policy attach ./mine.bpf.o --cgroup /sys/fs/cgroup/machine.slice\n",
		.run = run_attach,
	},
	{
		.noun = "policy", .verb = "replace", .arguments = "NAME|FILE", .min = 1, .max = 1,
		.options = CLI_KNOB | CLI_SCOPE,
		.about = "put a policy in the place of the one that is attached, in one step",
		.help = "It takes the place of the one of its own family.  The same policy with other knobs is another one.  "
			"The one\nbefore stays where the new one does not load.\n\n"
			SCOPE_OPTIONS
			"  --knob NAME=VALUE   set a knob; those that are not given have the policy's own default\n\n"
			"Examples:\n"
			"  memtide policy replace ksm-tenant --vm web1 --knob domain=7\n",
		.run = run_replace,
	},
	{
		.noun = "policy", .verb = "detach", .arguments = "[FAMILY|NAME]", .max = 1, .options = CLI_SCOPE,
		.about = "detach what is attached to a VM or a cgroup",
		.help = "The next policy above holds then, or the kernel's own rules.  The exception is family ksm: pages of a "
			"cgroup\nthat had a policy merge no more, until one is attached again, or memtide ksm open.  A cgroup may "
			"have a\npolicy of each family: which one is meant has to be said then.\n\n"
			SCOPE_OPTIONS "\n"
			"Examples:\n"
			"  memtide policy detach --vm web1\n"
			"  memtide policy detach ksm --cgroup /sys/fs/cgroup/machine.slice\n"
			"  memtide policy detach thp-never --vm web1\n",
		.run = run_detach,
	},
	{ }
};
