// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide eject: the emergency brake.
 */
#include <stdio.h>

#include "attach.h"
#include "client.h"
#include "policy-attach.h"

static void print_ejected(const json_t *result)
{
	unsigned long long nr = reply_number(result, "ejected");

	printf("%llu %s ejected\n", nr, nr == 1 ? "policy" : "policies");
}

static int run_eject(const struct cli *cli, int argc, char **argv)
{
	struct memtide_errtext errtext;
	size_t nr;

	if (memtide_policy_eject_all(&nr, &errtext))
		return attach_failed(cli, errtext.text, NULL);
	return cli_print_result(cli, json_pack("{s:I}", "ejected", (json_int_t)nr), print_ejected);
}

const struct cli_command eject_commands[] = {
	{
		.noun = "eject",
		.arguments = "",
		.about = "take every policy in the host's kernel out of force, at once",
		.help = "The emergency brake: for a host that a policy makes slow or worse.  It holds for all cgroups and "
			"for\nwhoever attached them; SysRq-T does the same without a shell.  The kernel goes on by its own "
			"rules,\nexcept that cgroups which had a ksm policy merge nothing until one is attached again, or "
			"until\nmemtide ksm open.  What memtided decides is not touched: memtide pause.\n\n"
			"For one cgroup: memtide policy detach.\n\n"
			"Examples:\n"
			"  memtide eject\n"
			"  memtide policy list\n",
		.run = run_eject,
	},
	{ }
};
