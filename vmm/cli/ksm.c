// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide ksm: what page merging saves and costs, for each tenant where the kernel has memtide's hooks, else for
 * all together.
 *
 * It looks at sysfs; memtided has no part in it.  What changes something is in ksm-set.c.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "client.h"
#include "ksm.h"
#include "policy-attach.h"
#include "size.h"

#define DOMAINS		MEMTIDE_TIDE_SYSFS "/ksm/domains"

/* What only the hooks can do, for a kernel without them. */
static const char *const cannot[] = {
	"keep tenants apart: pages of all VMs are merged with each other, which tells tenants of each other's pages",
	"say what each tenant saves and costs, or how many merges were broken by writes",
	"limit or veto merging for one tenant",
};

/* The first number in a file, or -1. */
static json_int_t read_number(const char *folder, const char *name)
{
	char path[300];
	long long value;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%lld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

/* A file of lines "NAME NUMBER" as an object, or NULL. */
static json_t *read_pairs(const char *path)
{
	FILE *f = fopen(path, "re");
	char name[32];
	json_t *object;
	long long value;

	if (!f)
		return NULL;
	object = json_object();
	while (fscanf(f, "%31s %lld", name, &value) == 2)
		json_object_set_new(object, name, json_integer(value));
	fclose(f);
	return object;
}

/*
 * ksmd
 */

/* CPU time of kernel thread @pid if it is ksmd, in ns; else -1. */
static json_int_t cpu_of_ksmd(const char *pid)
{
	unsigned long user, system;
	char path[300];
	bool found;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	/* kthreadd is process 2 and the parent of all kernel threads: nobody else can be called ksmd there */
	found = fscanf(f, "%*d (ksmd) %*c 2 %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2;
	fclose(f);
	return found ? (json_int_t)(user + system) * (1000000000 / sysconf(_SC_CLK_TCK)) : -1;
}

static json_t *ksmd_cpu(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	json_int_t ns = -1;

	while (proc && ns < 0 && (entry = readdir(proc)))
		if (isdigit((unsigned char)entry->d_name[0]))
			ns = cpu_of_ksmd(entry->d_name);
	if (proc)
		closedir(proc);
	return ns < 0 ? json_null() : json_integer(ns);
}

static json_t *describe_ksmd(void)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:o}", "run", read_number(KSM, "run"), "pages_to_scan",
			 read_number(KSM, "pages_to_scan"), "sleep_millisecs", read_number(KSM, "sleep_millisecs"),
			 "full_scans", read_number(KSM, "full_scans"), "cpu_ns", ksmd_cpu());
}

/*
 * Tenants
 */

static void move_bytes(json_t *row, const char *name, uint64_t pages)
{
	json_object_set_new(row, name, json_integer((json_int_t)(pages * sysconf(_SC_PAGESIZE))));
}

/* From the kernel's words, in pages, to ours, in bytes. */
static json_t *describe_domain(uint64_t domain, json_t *stats, const json_t *attached)
{
	static const char *const as_is[] = { "cpu_ns", "scanned", "made", "broken", "unshared", "unshare_failed" };
	json_t *row = json_pack("{s:I}", "tenant", (json_int_t)domain), *policies = json_array(), *one;
	uint64_t sharing = reply_number(stats, "sharing");
	size_t i;

	move_bytes(row, "merged", reply_number(stats, "shared") + sharing);
	move_bytes(row, "saved", sharing);
	move_bytes(row, "waiting", reply_number(stats, "waiting"));
	for (i = 0; i < sizeof(as_is) / sizeof(as_is[0]); i++)
		json_object_set_new(row, as_is[i], json_integer((json_int_t)reply_number(stats, as_is[i])));
	json_array_foreach(attached, i, one) {
		const json_t *own = json_object_get(json_object_get(one, "knobs"), "domain");

		if (!strcmp(reply_text(one, "family"), "ksm") && own &&
		    (uint64_t)json_integer_value(own) == domain)
			json_array_append_new(policies, json_pack("{s:O, s:O, s:O, s:O}", "name",
								  json_object_get(one, "name"), "cgroup",
								  json_object_get(one, "cgroup"), "state",
								  json_object_get(one, "state"), "knobs",
								  json_object_get(one, "knobs")));
	}
	json_object_set_new(row, "policies", policies);
	json_decref(stats);
	return row;
}

static int by_tenant(const void *a, const void *b)
{
	json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "tenant")),
		   y = json_integer_value(json_object_get(*(json_t *const *)b, "tenant"));

	return x < y ? -1 : x > y;
}

static json_t *sorted(json_t *list)
{
	size_t nr = json_array_size(list);
	json_t **rows = calloc(nr + 1, sizeof(*rows)), *result = json_array();

	for (size_t i = 0; rows && i < nr; i++)
		rows[i] = json_array_get(list, i);
	if (rows)
		qsort(rows, nr, sizeof(*rows), by_tenant);
	for (size_t i = 0; rows && i < nr; i++)
		json_array_append(result, rows[i]);
	json_decref(list);
	free(rows);
	return result;
}

static json_t *describe_tenants(void)
{
	json_t *tenants = json_array(), *attached = attach_list(0), *stats;
	DIR *dir = opendir(DOMAINS);
	struct dirent *entry;
	char path[400];

	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), DOMAINS "/%s/stats", entry->d_name);
		if (!isdigit((unsigned char)entry->d_name[0]) || !(stats = read_pairs(path)))
			continue;
		json_array_append_new(tenants, describe_domain(strtoull(entry->d_name, NULL, 10), stats, attached));
	}
	if (dir)
		closedir(dir);
	json_decref(attached);
	return sorted(tenants);
}

static uint64_t sum(const json_t *rows, const char *name)
{
	const json_t *row;
	uint64_t total = 0;
	size_t i;

	json_array_foreach(rows, i, row)
		total += reply_number(row, name);
	return total;
}

/* What the kernel counts for all, less what it counts for tenants. */
static json_t *describe_rest(const json_t *tenants, const json_t *ksmd)
{
	uint64_t page = sysconf(_SC_PAGESIZE), cpu_ns = reply_number(ksmd, "cpu_ns"), less;
	json_int_t shared = read_number(KSM, "pages_shared"), sharing = read_number(KSM, "pages_sharing");
	uint64_t merged = (uint64_t)(shared + sharing) * page, saved = (uint64_t)sharing * page;
	json_t *row = json_object();

	less = sum(tenants, "merged");
	json_object_set_new(row, "merged", json_integer((json_int_t)(merged > less ? merged - less : 0)));
	less = sum(tenants, "saved");
	json_object_set_new(row, "saved", json_integer((json_int_t)(saved > less ? saved - less : 0)));
	less = sum(tenants, "cpu_ns");
	json_object_set_new(row, "cpu_ns", json_integer((json_int_t)(cpu_ns > less ? cpu_ns - less : 0)));
	return row;
}

static void add_cannot(json_t *result)
{
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(cannot) / sizeof(cannot[0]); i++)
		json_array_append_new(list, json_string(cannot[i]));
	json_object_set_new(result, "cannot", list);
}

/*
 * As text
 */

static void print_row(const char *tenant, const json_t *row)
{
	char merged[MEMTIDE_SIZE_TEXT], saved[MEMTIDE_SIZE_TEXT];

	printf("%-12s %10s %10s %9.2fs", tenant, memtide_size_format(reply_number(row, "merged"), merged),
	       memtide_size_format(reply_number(row, "saved"), saved), reply_number(row, "cpu_ns") / 1e9);
}

static void print_tenant(const json_t *row)
{
	char tenant[24], waiting[MEMTIDE_SIZE_TEXT];
	const json_t *policy;
	size_t i;

	snprintf(tenant, sizeof(tenant), "%llu", (unsigned long long)reply_number(row, "tenant"));
	print_row(tenant, row);
	printf(" %10llu %9llu %9llu %10s\n", (unsigned long long)reply_number(row, "scanned"),
	       (unsigned long long)reply_number(row, "made"), (unsigned long long)reply_number(row, "broken"),
	       memtide_size_format(reply_number(row, "waiting"), waiting));
	if (reply_number(row, "unshare_failed"))
		printf("    %llu times no memory was found to unshare a page: its cgroup is at its limit\n",
		       (unsigned long long)reply_number(row, "unshare_failed"));
	json_array_foreach(json_object_get(row, "policies"), i, policy)
		printf("    %s on %s: %s\n", reply_text(policy, "name"), reply_text(policy, "cgroup"),
		       reply_text(policy, "state"));
}

static void print_ksm(const json_t *result)
{
	const json_t *ksmd = json_object_get(result, "ksmd"), *value;
	size_t i;

	printf("ksmd %s: %llu pages every %llu ms, %llu passes, %.2f s of CPU time\n",
	       reply_number(ksmd, "run") == 1 ? "runs" : "is stopped (memtide ksm set --knob run=1)",
	       (unsigned long long)reply_number(ksmd, "pages_to_scan"),
	       (unsigned long long)reply_number(ksmd, "sleep_millisecs"),
	       (unsigned long long)reply_number(ksmd, "full_scans"), reply_number(ksmd, "cpu_ns") / 1e9);
	printf("\n%-12s %10s %10s %10s", "TENANT", "MERGED", "SAVED", "CPU");
	if (json_is_true(json_object_get(result, "hooks")))
		printf(" %10s %9s %9s %10s", "SCANNED", "MERGES", "BROKEN", "WAITING");
	putchar('\n');
	json_array_foreach(json_object_get(result, "tenants"), i, value)
		print_tenant(value);
	print_row(json_object_get(result, "cannot") ? "all" : "without", json_object_get(result, "rest"));
	putchar('\n');
	if (json_object_get(result, "cannot"))
		puts("\nThis kernel has no hooks for memory policies.  It cannot");
	json_array_foreach(json_object_get(result, "cannot"), i, value)
		printf("  - %s\n", json_string_value(value));
}

int ksm_show(const struct cli *cli)
{
	json_t *result, *tenants, *ksmd;
	bool hooks = memtide_kernel_has_hooks();

	if (access(KSM "/run", F_OK))
		return attach_failed(cli, "this kernel cannot merge pages: boot one with CONFIG_KSM", NULL);
	tenants = describe_tenants();
	ksmd = describe_ksmd();
	result = json_pack("{s:b, s:o, s:o, s:o}", "hooks", hooks, "rest", describe_rest(tenants, ksmd), "ksmd",
			   ksmd, "tenants", tenants);
	if (!hooks)
		add_cannot(result);
	return cli_print_result(cli, result, print_ksm);
}

static int run_ksm(const struct cli *cli, int argc, char **argv)
{
	return ksm_show(cli);
}

const struct cli_command ksm_commands[] = {
	{
		.noun = "ksm",
		.arguments = "",
		.about = "what page merging saves and costs, tenant by tenant",
		.help = "Columns:\n"
			"  MERGED    memory that is merged: its owners see all of it\n"
			"  SAVED     of that, what it takes no memory for\n"
			"  CPU       time that ksmd has spent on it\n"
			"  SCANNED   pages looked at; MERGES made, and BROKEN by writes since\n"
			"  WAITING   merged as a policy does not want it any more, and about to be unshared\n\n"
			"A tenant is a merge domain, the knob domain of its ksm policies; 0 is never merged.  \"without\" is "
			"what\nnever had a policy.  A kernel without memtide's hooks knows no tenants: what it cannot do is "
			"said.\n\n"
			"Examples:\n"
			"  memtide ksm\n"
			"  memtide ksm --json | jq '.tenants[] | {tenant, saved, cpu_ns}'\n",
		.run = run_ksm,
	},
	{
		.noun = "ksm", .verb = "set", .arguments = "--knob NAME=VALUE...", .options = CLI_KNOB | CLI_TENANT | CLI_QMP,
		.about = "change how a tenant's pages are merged, while everything runs",
		.help = "Options:\n"
			"  --tenant TENANT     every ksm policy of this tenant, by its name or its merge domain's number;\n"
			"                      its other knobs stay as they are\n"
			"  --knob NAME=VALUE   with --tenant a knob of its policies (memtide policy show ksm-tenant), without one\n"
			"                      of ksmd's own for the whole host: pages_to_scan, sleep_millisecs, run, ...\n"
			"  --qmp SOCKET        one VM, by its QMP monitor: merge=on or merge=off, on every kernel\n\n"
			"Examples:\n"
			"  memtide ksm set --tenant blue --knob rate_pages=1000\n"
			"  memtide ksm set --tenant 7 --knob settle_scans=4 --knob huge_unchanged=513\n"
			"  memtide ksm set --knob pages_to_scan=500\n"
			"  memtide ksm set --qmp /run/web1.qmp --knob merge=off\n",
		.run = ksm_set,
	},
	{
		.noun = "ksm", .verb = "open", .arguments = "", .options = CLI_SCOPE,
		.about = "let a cgroup merge again as if it never had a policy",
		.help = "Where a ksm policy has been, pages do not merge at all without one, so that no mistake makes tenants "
			"share\npages.  This ends that, for one cgroup; those below it are opened by name as well.\n\n"
			"Options:\n"
			"  --vm NAME       the cgroup of a VM that memtided knows\n"
			"  --cgroup PATH   a cgroup of version 2; works without memtided\n\n"
			"Examples:\n"
			"  memtide ksm open --vm web1\n",
		.run = ksm_open,
	},
	{ }
};
