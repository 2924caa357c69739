// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide pause, memtide resume: stop and start moving memory.  VMs keep what they have, credit included.
 */
#include <stdio.h>

#include "cli.h"
#include "client.h"

static void print_paused(const json_t *result)
{
	puts(json_is_true(json_object_get(result, "paused")) ?
	     "paused: nobody is asked to give, nothing is granted" : "running");
}

static int run_pause(const struct cli *cli, int argc, char **argv)
{
	return cli_print_result(cli, client_ask(cli, "pause", NULL), print_paused);
}

static int run_resume(const struct cli *cli, int argc, char **argv)
{
	return cli_print_result(cli, client_ask(cli, "resume", NULL), print_paused);
}

const struct cli_command pause_commands[] = {
	{
		.noun = "pause",
		.arguments = "",
		.about = "ask nobody to give and grant nothing until resume",
		.help = "VMs keep what they have and may still take back their credit.\n",
		.run = run_pause,
	},
	{
		.noun = "resume",
		.arguments = "",
		.about = "end a pause",
		.help = "",
		.run = run_resume,
	},
	{ }
};
