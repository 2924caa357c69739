// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide pause, memtide resume: stop and start moving memory.  VMs keep what they have, credit included.
 */
#include <stdio.h>

#include "cli.h"
#include "client.h"

static int call(const struct cli *cli, const char *method)
{
	json_t *result = client_ask(cli, method, NULL);

	if (!result)
		return CLI_FAILED;
	if (cli->json)
		cli_print_json(result);
	else
		puts(json_is_true(json_object_get(result, "paused")) ? "paused: nobody is asked to give, nothing "
								       "is granted" :
								       "running");
	json_decref(result);
	return CLI_OK;
}

static int run_pause(const struct cli *cli, int argc, char **argv)
{
	return call(cli, "pause");
}

static int run_resume(const struct cli *cli, int argc, char **argv)
{
	return call(cli, "resume");
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
