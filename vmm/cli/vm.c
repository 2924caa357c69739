// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide vm: list, show and steer single VMs.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"
#include "domain-list.h"
#include "params.h"
#include "size.h"

static const char *size(const json_t *object, const char *name, char text[static MEMTIDE_SIZE_TEXT])
{
	return memtide_size_format(reply_number(object, name), text);
}

static void print_row(const json_t *vm)
{
	char a[MEMTIDE_SIZE_TEXT], b[MEMTIDE_SIZE_TEXT], c[MEMTIDE_SIZE_TEXT], d[MEMTIDE_SIZE_TEXT],
		e[MEMTIDE_SIZE_TEXT];

	printf("%-20s %-12s %9s %9s %9s %9s %9s %7llu\n", reply_text(vm, "name"), reply_text(vm, "state"),
	       size(vm, "usable", a), size(vm, "target", b), size(vm, "ceiling", c), size(vm, "floor", d),
	       size(vm, "maximum", e), (unsigned long long)reply_number(vm, "shares"));
}

static void print_list(const json_t *result)
{
	const json_t *vm, *domain;
	char why[512];
	size_t i;

	printf("%-20s %-12s %9s %9s %9s %9s %9s %7s\n", "VM", "STATE", "USABLE", "TARGET", "CEILING", "FLOOR",
	       "MAXIMUM", "SHARES");
	json_array_foreach(json_object_get(result, "vms"), i, vm)
		print_row(vm);
	json_array_foreach(json_object_get(result, "domains"), i, domain)
		printf("%-20s %s\n", reply_text(domain, "name"), domain_why(domain, why, sizeof(why)));
}

/* libvirt's domains that are no VMs of memtide's, with the reason. */
static json_t *other_domains(const struct cli *cli)
{
	json_t *all = client_ask_list(cli, "domain.list", "domains"), *others = all ? json_array() : NULL;
	json_t *domain;
	size_t i;

	json_array_foreach(json_object_get(all, "domains"), i, domain)
		if (!domain_has_vm(domain))
			json_array_append(others, domain);
	json_decref(all);
	return others;
}

static int run_list(const struct cli *cli, int argc, char **argv)
{
	json_t *result = client_ask_list(cli, "vm.list", "vms"), *others = result ? other_domains(cli) : NULL;

	if (!others) {
		json_decref(result);
		return CLI_FAILED;
	}
	json_object_set_new(result, "domains", others);
	return cli_print_result(cli, result, print_list);
}

static void print_size(const json_t *vm, const char *label, const char *name)
{
	char text[MEMTIDE_SIZE_TEXT];

	printf("%-14s %s\n", label, size(vm, name, text));
}

/* Sizes are what most members are; the rest is named here with its unit. */
static const char *unit_of(const char *name)
{
	static const struct {
		const char *name;
		const char *unit;
	} units[] = {
		{ "time_ns", " ns" },
		{ "psi_some_us", " us" },
		{ "psi_full_us", " us" },
		{ "refault_file", " pages" },
		{ "refault_anon", " pages" },
		{ "scan_direct", " pages" },
		{ "steal_anon", " pages" },
		{ "swap_in", " pages" },
		{ "swap_out", " pages" },
		{ "alloc_stall", "" },
		{ "oom_kill", "" },
		{ "pressure", "" },
		{ "generation", "" },
		{ "flags", "" },
		{ "refresh", "" },
		{ "seq", "" },
	};
	const char *rate = strstr(name, "_rate");

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(units[i].name, name))
			return units[i].unit;
	return rate && !strcmp(rate, "_rate") ? " a second" : NULL;
}

static void print_stats(const json_t *stats)
{
	char text[MEMTIDE_SIZE_TEXT];
	const char *name;
	json_t *value;

	if (!json_object_size(stats))
		return;
	puts("\nfrom the guest (hints, not believed for accounting):");
	json_object_foreach((json_t *)stats, name, value) {
		const char *unit = unit_of(name);

		if (!json_is_number(value))
			continue;
		if (unit)
			printf("  %-20s %.0f%s\n", name, json_number_value(value), unit);
		else
			printf("  %-20s %s\n", name, size(stats, name, text));
	}
}

static void print_vm(const json_t *vm)
{
	const json_t *entry;
	size_t i;

	printf("%-14s %s\n", "name", reply_text(vm, "name"));
	printf("%-14s %s\n", "uuid", reply_text(vm, "uuid"));
	printf("%-14s %llu\n", "pid", (unsigned long long)reply_number(vm, "pid"));
	printf("%-14s %s%s%s\n", "state", reply_text(vm, "state"), *reply_text(vm, "why") ? ": " : "",
	       reply_text(vm, "why"));
	printf("%-14s %s\n", "cgroup", *reply_text(vm, "cgroup") ? reply_text(vm, "cgroup") : "none");
	printf("%-14s %s\n", "enforced",
	       json_is_true(json_object_get(vm, "enforced")) ? "by memory.high" : "not enforced");
	print_size(vm, "usable", "usable");
	print_size(vm, "credit", "credit");
	print_size(vm, "given", "given");
	print_size(vm, "  in 2 MiB", "given_huge");
	print_size(vm, "target", "target");
	print_size(vm, "ceiling", "ceiling");
	print_size(vm, "charged", "charged");
	print_size(vm, "resident", "resident");
	print_size(vm, "floor", "floor");
	print_size(vm, "entitlement", "entitlement");
	print_size(vm, "maximum", "maximum");
	printf("%-14s %llu\n", "shares", (unsigned long long)reply_number(vm, "shares"));
	printf("%-14s %llu\n", "OOM kills", (unsigned long long)reply_number(vm, "oom_kills"));
	print_stats(json_object_get(vm, "stats"));
	if (json_array_size(json_object_get(vm, "decisions")))
		puts("\nlast decisions:");
	json_array_foreach(json_object_get(vm, "decisions"), i, entry)
		printf("  %s\n", reply_text(entry, "message"));
}

static int call(const struct cli *cli, const char *method, const char *name)
{
	return cli_print_result(cli, client_ask(cli, method, json_pack("{s:s}", "vm", name)), print_vm);
}

static int run_show(const struct cli *cli, int argc, char **argv)
{
	return call(cli, "vm.show", argv[0]);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static int still_given(const struct cli *cli, const char *name, const json_t *vm)
{
	char text[MEMTIDE_SIZE_TEXT], message[512];
	json_t *error;

	snprintf(message, sizeof(message), "%s is released, but %s of its memory are not back after %u s. Its guest takes "
		 "them when it can: `memtide vm show %s` says how far it is", name, size(vm, "given", text), cli->timeout_s,
		 name);
	error = json_pack("{s:s}", "message", message);
	cli_print_error(cli, error);
	json_decref(error);
	return CLI_FAILED;
}

/* A stand-in has none of its memory elsewhere, and goes no further than the VM's maximum. */
static bool all_back(const json_t *vm)
{
	return !reply_number(vm, "given") || (strcmp(reply_text(vm, "device"), "virtio-tide") &&
					      reply_number(vm, "usable") >= reply_number(vm, "ceiling"));
}

#define LOOK_MS		50

/* Looks until the VM has all its memory back, and says on a terminal how far it is.  A new reference, or NULL. */
static json_t *wait_all_back(const struct cli *cli, json_int_t id)
{
	bool tell = !cli->json && isatty(STDERR_FILENO);
	double until = now_s() + cli->timeout_s;
	char text[MEMTIDE_SIZE_TEXT];
	json_t *vm;

	while ((vm = client_ask(cli, "vm.show", json_pack("{s:I}", "vm", id))) && !all_back(vm) && now_s() < until) {
		if (tell)
			fprintf(stderr, "\r%s to come back\033[K", size(vm, "given", text));
		json_decref(vm);
		poll(NULL, 0, LOOK_MS);
	}
	if (tell)
		fputs("\r\033[K", stderr);
	return vm;
}

static int run_release(const struct cli *cli, int argc, char **argv)
{
	json_t *vm = client_ask(cli, "vm.release", json_pack("{s:s}", "vm", argv[0]));
	json_int_t id = reply_number(vm, "id");
	int r;

	if (!vm || !cli->timeout_s)
		return cli_print_result(cli, vm, print_vm);
	json_decref(vm);
	vm = wait_all_back(cli, id);
	if (!vm || all_back(vm))
		return cli_print_result(cli, vm, print_vm);
	r = still_given(cli, argv[0], vm);
	json_decref(vm);
	return r;
}

static int run_adopt(const struct cli *cli, int argc, char **argv)
{
	return call(cli, "vm.adopt", argv[0]);
}

static int run_set(const struct cli *cli, int argc, char **argv)
{
	json_t *params;
	int r;

	if (!(cli->given & (CLI_LIMITS | CLI_SHARES)))
		return cli_usage("nothing to set: give --floor, --maximum or --shares");
	params = json_pack("{s:s}", "vm", argv[0]);
	r = param_size(params, "floor", cli->floor);
	if (!r)
		r = param_size(params, "maximum", cli->maximum);
	if (!r)
		r = param_number(params, "shares", cli->shares, 1000000);
	if (r) {
		json_decref(params);
		return r;
	}
	return cli_print_result(cli, client_ask(cli, "vm.set", params), print_vm);
}

const struct cli_command vm_commands[] = {
	{
		.noun = "vm", .verb = "list", .arguments = "",
		.about = "every VM in one line, and the libvirt domains that are none, with the reason",
		.help = "",
		.run = run_list,
	},
	{
		.noun = "vm", .verb = "show", .arguments = "VM", .min = 1, .max = 1,
		.about = "all that is known of one VM, and why it has what it has",
		.help = "VM is a name, a uuid or the number that `memtide vm list --json` shows as id.\n",
		.run = run_show,
	},
	{
		.noun = "vm", .verb = "set", .arguments = "VM", .min = 1, .max = 1, .options = CLI_LIMITS | CLI_SHARES,
		.about = "change a VM's floor, maximum or shares while it runs",
		.help = "Options:\n"
			"  --floor SIZE       the least that it is ever asked to shrink to\n"
			"  --maximum SIZE     the most that it may have\n"
			"  --shares NUMBER    its weight in what is beyond the floors, 1 to 1000000\n\n"
			"Holds until memtided starts anew, or the VM is adopted after a release, and goes before\n"
			"what its libvirt domain says; configuration and domain are for what is to stay.\n\n"
			"Examples:\n"
			"  memtide vm set web1 --floor 512M --shares 200\n",
		.run = run_set,
	},
	{
		.noun = "vm", .verb = "release", .arguments = "VM", .min = 1, .max = 1, .options = CLI_TIMEOUT,
		.about = "give a VM all its memory back, then leave it alone",
		.help = "Before it is migrated, saved or snapshotted, which QEMU refuses while some of it is given, or before\n"
			"memtide goes.  Returns when all of it is back.  Refused while the budget has no room for it.\n"
			"`memtide vm adopt` takes the VM in again.  One that was restored, or has come from another host, is\n"
			"managed again by itself.\n\n"
			"Options:\n"
			"  --timeout SECONDS  wait no longer than that, and fail then (60); the guest goes on.  0: do not wait\n\n"
			"Examples:\n"
			"  memtide vm release web1 && virsh managedsave web1\n",
		.run = run_release,
	},
	{
		.noun = "vm", .verb = "adopt", .arguments = "VM", .min = 1, .max = 1,
		.about = "manage a released VM again",
		.help = "",
		.run = run_adopt,
	},
	{ }
};
