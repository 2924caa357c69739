// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See attach.h.
 */
#include "attach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "config.h"
#include "ended.h"

bool attach_is_file(const char *word)
{
	size_t len = strlen(word), suffix = strlen(MEMTIDE_POLICY_SUFFIX);

	return strchr(word, '/') || (len > suffix && !strcmp(word + len - suffix, MEMTIDE_POLICY_SUFFIX));
}

int attach_failed(const struct cli *cli, const char *message, const char *log)
{
	json_t *error = json_pack("{s:s}", "message", message);

	if (log && *log)
		json_object_set_new(error, "data", json_pack("{s:s}", "log", log));
	cli_print_error(cli, error);
	json_decref(error);
	return CLI_FAILED;
}

char *attach_cgroup(const struct cli *cli, int *ret_status)
{
	const char *cgroup, *why;
	json_t *vm;
	char *copy = NULL;

	*ret_status = CLI_USAGE;
	if (!cli->vm == !cli->cgroup) {
		cli_usage("which cgroup? give --vm NAME or --cgroup PATH");
		return NULL;
	}
	if (cli->cgroup)
		return strdup(cli->cgroup);
	*ret_status = CLI_FAILED;
	vm = client_ask(cli, "vm.show", json_pack("{s:s}", "vm", cli->vm));
	if (!vm)
		return NULL;
	cgroup = reply_text(vm, "cgroup");
	why = reply_text(vm, "why");
	if (*cgroup)
		copy = strdup(cgroup);
	else
		cli_failed("VM %s has no cgroup of its own that a policy could be attached to%s%s: start it in one, or "
			   "name one with --cgroup", cli->vm, *why ? ": " : "", why);
	json_decref(vm);
	return copy;
}

char *attach_policy_path(const struct cli *cli)
{
	struct memtide_errtext errtext;
	struct memtide_config config;
	char *path;

	if (memtide_config_load(access(MEMTIDE_CONFIG_PATH, F_OK) ? NULL : MEMTIDE_CONFIG_PATH, &config, &errtext)) {
		attach_failed(cli, errtext.text, NULL);
		return NULL;
	}
	path = strdup(config.policy_path);
	memtide_config_free(&config);
	return path;
}

static char *find_in_path(const struct cli *cli, const char *name)
{
	char *path = attach_policy_path(cli), *file = NULL;
	struct memtide_errtext errtext;

	if (path && memtide_policy_find(path, name, &file, &errtext)) {
		attach_failed(cli, errtext.text, NULL);
		file = NULL;
	}
	free(path);
	return file;
}

char *attach_policy_file(const struct cli *cli, const char *word)
{
	struct client *client;
	char *file = NULL;
	json_t *policy;

	if (attach_is_file(word))
		return strdup(word);
	if (client_connect(cli->socket, &client))
		return find_in_path(cli, word);
	policy = client_ask_on(client, cli, "policy.show", json_pack("{s:s}", "policy", word));
	if (policy)
		file = strdup(reply_text(policy, "file"));
	json_decref(policy);
	client_close(client);
	return file;
}

int attach_set_knobs(const struct cli *cli, struct memtide_policy *policy, struct memtide_errtext *errtext)
{
	char name[64];
	int r = 0;

	for (size_t i = 0; i < cli->nr_knobs && !r; i++) {
		const char *equals = strchr(cli->knobs[i], '=');

		snprintf(name, sizeof(name), "%.*s", (int)(equals - cli->knobs[i]), cli->knobs[i]);
		r = memtide_policy_set_knob(policy, name, equals + 1, errtext);
	}
	return r;
}

/*
 * What is attached
 */

static json_t *text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

static json_t *knob_values(const struct memtide_attachment *attachment)
{
	json_t *knobs = json_object();

	for (size_t i = 0; i < attachment->nr_knobs; i++) {
		const struct memtide_knob *knob = &attachment->knobs[i];

		json_object_set_new(knobs, knob->name, knob->type == MEMTIDE_KNOB_BOOL ?
				    json_boolean(knob->value) : json_integer((json_int_t)knob->value));
	}
	return knobs;
}

static json_t *describe(const struct memtide_attachment *attachment)
{
	json_t *counts = json_object();

	for (size_t i = 0; i < attachment->nr_counts; i++)
		json_object_set_new(counts, attachment->counts[i].name,
				    json_integer((json_int_t)attachment->counts[i].value));
	return json_pack("{s:s, s:s, s:I, s:o, s:s, s:b, s:o, s:o, s:o, s:o}", "family", attachment->family, "name",
			 attachment->name, "cgroup_id", (json_int_t)attachment->cgroup_id,
			 "cgroup", text_or_null(attachment->cgroup), "state", attachment->state,
			 "in_force", attachment->in_force, "counts", counts, "pin", text_or_null(attachment->pin),
			 "file", text_or_null(attachment->file), "knobs", knob_values(attachment));
}

json_t *attach_list(uint64_t cgroup_id)
{
	const struct memtide_attachment *attachment;
	struct memtide_attachments *all;
	json_t *list = json_array();
	size_t nr;

	if (cgroup_id ? memtide_attachments_read_of(cgroup_id, &all) : memtide_attachments_read(&all))
		return list;
	attachment = memtide_attachments_list(all, &nr);
	for (size_t i = 0; i < nr; i++, attachment++)
		json_array_append_new(list, describe(attachment));
	memtide_attachments_free(all);
	return list;
}

json_t *attach_ended(void)
{
	json_t *list = json_array();
	struct memtide_ended *ended;
	size_t nr;

	if (memtide_ended_read(&ended, &nr))
		return list;
	for (size_t i = 0; i < nr; i++)
		json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:I, s:o, s:s, s:s}",
						      "number", (json_int_t)ended[i].number,
						      "family", ended[i].family, "name", ended[i].name,
						      "cgroup_id", (json_int_t)ended[i].cgroup_id,
						      "cgroup", text_or_null(ended[i].cgroup),
						      "kind", ended[i].kind, "reason", ended[i].reason));
	free(ended);
	return list;
}

/* "  domain = 7, rate_pages = 100", wherever there is one. */
static void print_pairs(const json_t *object, const char *between)
{
	const char *name, *comma = "";
	json_t *value;

	if (!json_object_size(object))
		return;
	fputs("    ", stdout);
	json_object_foreach((json_t *)object, name, value) {
		printf("%s%s%s", comma, name, between);
		if (json_is_boolean(value))
			printf("%s", json_is_true(value) ? "true" : "false");
		else
			printf("%lld", (long long)json_integer_value(value));
		comma = ", ";
	}
	putchar('\n');
}

/* "ksm policy ksm_tenant on /sys/fs/cgroup/tenant7: attached" */
static void print_one(const json_t *one, const char *what)
{
	const char *cgroup = reply_text(one, "cgroup"), *name = reply_text(one, "name");

	printf("%s policy%s%s on ", reply_text(one, "family"), *name ? " " : "", name);
	if (*cgroup)
		printf("%s", cgroup);
	else
		printf("cgroup %llu", (unsigned long long)reply_number(one, "cgroup_id"));
	printf(": %s\n", reply_text(one, what));
}

void attach_print(const json_t *attached)
{
	const json_t *one;
	size_t i;

	json_array_foreach(attached, i, one) {
		print_one(one, "state");
		print_pairs(json_object_get(one, "knobs"), " = ");
		print_pairs(json_object_get(one, "counts"), " ");
	}
}

void attach_print_ended(const json_t *ended)
{
	const json_t *one;
	size_t i;

	json_array_foreach(ended, i, one)
		print_one(one, "reason");
}
