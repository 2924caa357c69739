// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide log: what was decided, why, and what came of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "client.h"

static long long clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Entries carry the daemon's monotonic clock, which is this machine's; people want the time of day. */
static void print_entry(const json_t *entry)
{
	long long ms =
		clock_ms(CLOCK_REALTIME) - clock_ms(CLOCK_MONOTONIC) + (long long)reply_number(entry, "time_ms");
	time_t seconds = ms / 1000;
	char when[32];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(when, sizeof(when), "%F %T", &tm);
	printf("%6llu %s.%03lld %-8s %s%s%s\n", (unsigned long long)reply_number(entry, "seq"), when, ms % 1000,
	       reply_text(entry, "kind"), reply_text(entry, "vm"), *reply_text(entry, "vm") ? ": " : "",
	       reply_text(entry, "message"));
}

static void show(const struct cli *cli, const json_t *entry)
{
	if (cli->json)
		cli_print_json(entry);
	else
		print_entry(entry);
}

static int follow(struct client *client, const struct cli *cli)
{
	json_t *object;

	while ((object = client_next(client))) {
		if (!strcmp(reply_text(object, "method"), "log"))
			show(cli, json_object_get(object, "params"));
		fflush(stdout);
		json_decref(object);
	}
	if (errno == ECONNRESET)
		return cli_failed("memtided at %s hung up", cli->socket);
	return cli_failed("nothing more from %s: %m", cli->socket);
}

static int run_log(const struct cli *cli, int argc, char **argv)
{
	json_t *params = json_object(), *result, *entry;
	struct client *client;
	char words[256];
	size_t i;
	int r;

	if (cli->given & CLI_AFTER)
		json_object_set_new(params, "after", json_integer(cli->after));
	if (cli->given & CLI_FOLLOW)
		json_object_set_new(params, "follow", json_true());
	r = client_connect(cli->socket, &client);
	if (r) {
		json_decref(params);
		return cli_failed("%s", client_connect_words(cli->socket, r, words, sizeof(words)));
	}
	result = client_ask_on(client, cli, "log", params);
	r = result ? CLI_OK : CLI_FAILED;
	/* One entry a line in either form, so that what was and what follows read alike. */
	json_array_foreach(json_object_get(result, "entries"), i, entry)
		show(cli, entry);
	json_decref(result);
	fflush(stdout);
	if (!r && cli->given & CLI_FOLLOW)
		r = follow(client, cli);
	client_close(client);
	return r;
}

const struct cli_command log_commands[] = {
	{
		.noun = "log",
		.arguments = "",
		.options = CLI_FOLLOW | CLI_AFTER,
		.about = "what was decided, why, and what came of it",
		.help = "Options:\n"
			"  --after NUMBER   only what came after the entry of this number\n"
			"  --follow         go on with what comes, until interrupted\n\n"
			"With --json one entry a line, with the inputs of each decision.\n\n"
			"Examples:\n"
			"  memtide log --follow\n"
			"  memtide log --json | jq -c 'select(.kind == \"relief\") | [.vm, .took_ms]'\n",
		.run = run_log,
	},
	{ }
};
