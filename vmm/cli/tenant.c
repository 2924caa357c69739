// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide tenant: list, show and steer tenants.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "client.h"
#include "params.h"
#include "size.h"

/* "none" where it is null. */
static const char *size_or_none(const json_t *tenant, const char *name, char text[static MEMTIDE_SIZE_TEXT])
{
	if (json_is_null(json_object_get(tenant, name)))
		return strcpy(text, "none");
	return memtide_size_format(reply_number(tenant, name), text);
}

static const char *number_or_none(const json_t *tenant, const char *name, char text[static 24])
{
	if (json_is_null(json_object_get(tenant, name)))
		return strcpy(text, "none");
	snprintf(text, 24, "%llu", (unsigned long long)reply_number(tenant, name));
	return text;
}

static void print_row(const json_t *tenant)
{
	char budget[MEMTIDE_SIZE_TEXT], floors[MEMTIDE_SIZE_TEXT], charged[MEMTIDE_SIZE_TEXT], shares[24], rate[24];

	printf("%-20s %6llu %4zu %9s %9s %9s %7s %-6s %s\n", reply_text(tenant, "name"),
	       (unsigned long long)reply_number(tenant, "number"),
	       json_array_size(json_object_get(tenant, "domains")), size_or_none(tenant, "budget", budget),
	       size_or_none(tenant, "floors", floors), size_or_none(tenant, "charged", charged),
	       number_or_none(tenant, "shares", shares), reply_text(tenant, "ksm"),
	       number_or_none(tenant, "ksm_rate_pages", rate));
}

static void print_list(const json_t *result)
{
	const json_t *tenant;
	size_t i;

	printf("%-20s %6s %4s %9s %9s %9s %7s %-6s %s\n", "TENANT", "NUMBER", "VMS", "BUDGET", "FLOORS", "CHARGED",
	       "SHARES", "KSM", "RATE");
	json_array_foreach(json_object_get(result, "tenants"), i, tenant)
		print_row(tenant);
}

static int run_list(const struct cli *cli, int argc, char **argv)
{
	return cli_print_result(cli, client_ask(cli, "tenant.list", NULL), print_list);
}

static void print_tenant(const json_t *tenant)
{
	char text[MEMTIDE_SIZE_TEXT], digits[24];
	const json_t *name;
	size_t i;

	printf("%-14s %s%s\n", "name", reply_text(tenant, "name"),
	       json_is_true(json_object_get(tenant, "set_by_hand")) ? " (set by hand)" : "");
	printf("%-14s %llu\n", "merge domain", (unsigned long long)reply_number(tenant, "number"));
	printf("%-14s %s\n", "budget", size_or_none(tenant, "budget", text));
	printf("%-14s %s\n", "floors", size_or_none(tenant, "floors", text));
	printf("%-14s %s\n", "charged", size_or_none(tenant, "charged", text));
	printf("%-14s %s\n", "shares", number_or_none(tenant, "shares", digits));
	printf("%-14s %s\n", "ksm", reply_text(tenant, "ksm"));
	printf("%-14s %s\n", "ksm rate", number_or_none(tenant, "ksm_rate_pages", digits));
	printf("%-14s", "VMs");
	json_array_foreach(json_object_get(tenant, "domains"), i, name)
		printf(" %s", json_string_value(name));
	putchar('\n');
}

static int run_show(const struct cli *cli, int argc, char **argv)
{
	return cli_print_result(cli, client_ask(cli, "tenant.show", json_pack("{s:s}", "tenant", argv[0])),
				print_tenant);
}

static int run_set(const struct cli *cli, int argc, char **argv)
{
	json_t *params;
	int r;

	if (!(cli->given & (CLI_SHARES | CLI_TENANT_TERMS)))
		return cli_usage("nothing to set: give --budget, --shares, --ksm or --ksm-rate-pages");
	if (cli->ksm && strcmp(cli->ksm, "tenant") && strcmp(cli->ksm, "off"))
		return cli_usage("--ksm %s: takes tenant or off", cli->ksm);
	params = json_pack("{s:s}", "tenant", argv[0]);
	r = param_size_or_none(params, "budget", cli->budget);
	if (!r)
		r = param_number_or_none(params, "shares", cli->shares, 1000000);
	if (!r)
		r = param_number_or_none(params, "ksm-rate-pages", cli->ksm_rate_pages, INT_MAX);
	if (r) {
		json_decref(params);
		return r;
	}
	if (cli->ksm)
		json_object_set_new(params, "ksm", json_string(cli->ksm));
	return cli_print_result(cli, client_ask(cli, "tenant.set", params), print_tenant);
}

const struct cli_command tenant_commands[] = {
	{
		.noun = "tenant", .verb = "list", .arguments = "",
		.about = "every tenant in one line",
		.help = "Those of the configuration, and those that a libvirt domain has named.\n",
		.run = run_list,
	},
	{
		.noun = "tenant", .verb = "show", .arguments = "TENANT", .min = 1, .max = 1,
		.about = "a tenant, its VMs, and the merge domain that their pages are in",
		.help = "",
		.run = run_show,
	},
	{
		.noun = "tenant", .verb = "set", .arguments = "TENANT", .min = 1, .max = 1,
		.options = CLI_SHARES | CLI_TENANT_TERMS,
		.about = "change what a tenant's VMs inherit, while they run",
		.help = "Options:\n"
			"  --budget SIZE          their floors have to fit it, and none of them gets anything beyond it\n"
			"  --shares NUMBER        of each VM that does not say otherwise, 1 to 1000000\n"
			"  --ksm tenant|off       their pages merge with each other; not at all\n"
			"  --ksm-rate-pages NUMBER  pages of each VM that one pass of ksmd scans at most\n\n"
			"\"none\" takes a budget, shares or a rate away.  Holds until memtided starts anew; its\n"
			"configuration, [tenant NAME], is for what is to stay.\n\n"
			"Examples:\n"
			"  memtide tenant set blue --ksm-rate-pages 25600\n"
			"  memtide tenant set blue --budget none\n",
		.run = run_set,
	},
	{ }
};
