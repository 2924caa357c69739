// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide domain list, and the domains among the VMs of memtide vm list: what memtided knows of libvirt's domains.
 */
#include "domain-list.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "size.h"

const char *domain_why(const json_t *domain, char *ret_text, size_t size)
{
	const char *why = reply_text(domain, "why");
	const json_t *obstacle;
	size_t used = 0, i;

	*ret_text = '\0';
	json_array_foreach(json_object_get(domain, "obstacles"), i, obstacle) {
		used += (size_t)snprintf(ret_text + used, size - used, "%s%s", i ? ", " : "",
					 json_string_value(obstacle) ?: "");
		if (used >= size)
			return ret_text;
	}
	snprintf(ret_text + used, size - used, "%s%s", used && *why ? ": " : "", why);
	return ret_text;
}

bool domain_has_vm(const json_t *domain)
{
	return json_is_integer(json_object_get(domain, "vm"));
}

/* "managed" and so on, "starting" where it is about to, "unmanaged" where there is no VM. */
static const char *state_of(const json_t *domain, const json_t *vms)
{
	const json_t *vm;
	size_t i;

	if (!domain_has_vm(domain))
		return strcmp(reply_text(domain, "phase"), "prepared") ? "unmanaged" : "starting";
	json_array_foreach(vms, i, vm)
		if (reply_number(vm, "id") == reply_number(domain, "vm"))
			return reply_text(vm, "state");
	return "";
}

/*
 * Its policy, part by part
 */

static void put_part(const char *what, const char *value, bool *first)
{
	printf("%s%s %s", *first ? "" : ", ", what, value);
	*first = false;
}

static void put_size(const json_t *policy, const char *name, bool *first)
{
	char text[MEMTIDE_SIZE_TEXT];

	if (reply_number(policy, name))
		put_part(name, memtide_size_format(reply_number(policy, name), text), first);
}

static void put_word(const json_t *policy, const char *name, const char *usual, bool *first)
{
	if (strcmp(reply_text(policy, name), usual))
		put_part(name, reply_text(policy, name), first);
}

static void put_policy(const json_t *policy)
{
	bool first = true;
	char number[24];

	put_size(policy, "floor", &first);
	put_size(policy, "maximum", &first);
	snprintf(number, sizeof(number), "%" PRIu64, reply_number(policy, "shares"));
	if (reply_number(policy, "shares"))
		put_part("shares", number, &first);
	put_word(policy, "donate", json_is_object(policy) ? "normal" : "", &first);
	put_size(policy, "headroom", &first);
	put_word(policy, "ksm", "", &first);
	put_word(policy, "thp", "", &first);
	if (first)
		printf("%s", json_is_object(policy) ? "empty" : "none");
}

/* "ksm-tenant attached", and behind it why it is not. */
static void put_host_policies(const json_t *domain)
{
	const json_t *host;
	size_t i;

	json_array_foreach(json_object_get(domain, "host_policies"), i, host) {
		const char *why = reply_text(host, "why");

		printf("%-20s   %s %s%s%s\n", "", reply_text(host, "policy"), reply_text(host, "state"),
		       *why ? ": " : "", why);
	}
}

static void put_row(const json_t *domain, const json_t *vms)
{
	const char *tenant = reply_text(domain, "tenant");
	char why[512];

	printf("%-20s %-8s %-12s %-6s %-12s ", reply_text(domain, "name"), reply_text(domain, "phase"),
	       *tenant ? tenant : "-", json_is_true(json_object_get(domain, "device")) ? "yes" : "no",
	       state_of(domain, vms));
	put_policy(json_object_get(domain, "policy"));
	putchar('\n');
	if (*domain_why(domain, why, sizeof(why)))
		printf("%-20s   %s\n", "", why);
	put_host_policies(domain);
}

static void print_list(const json_t *domains, const json_t *vms)
{
	const json_t *domain;
	size_t i;

	printf("%-20s %-8s %-12s %-6s %-12s %s\n", "DOMAIN", "PHASE", "TENANT", "DEVICE", "STATE", "POLICY");
	json_array_foreach(domains, i, domain)
		put_row(domain, vms);
}

int domain_run_list(const struct cli *cli, int argc, char **argv)
{
	json_t *domains = client_ask_list(cli, "domain.list", "domains"), *vms;

	if (!domains || cli->json)
		return cli_print_result(cli, domains, NULL);
	vms = client_ask_list(cli, "vm.list", "vms");
	if (vms)
		print_list(json_object_get(domains, "domains"), json_object_get(vms, "vms"));
	json_decref(domains);
	if (!vms)
		return CLI_FAILED;
	json_decref(vms);
	return CLI_OK;
}
