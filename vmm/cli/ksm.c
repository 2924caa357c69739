// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide ksm: what page merging saves and costs, for each tenant where the kernel has memtide's hooks, else for all
 * together.
 *
 * It looks at sysfs and steers through policies or sysfs; memtided has no part in it.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "cgroup-id.h"
#include "client.h"
#include "policy-attach.h"
#include "qmp.h"
#include "size.h"

#define KSM		"/sys/kernel/mm/ksm"
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

static int run_show(const struct cli *cli)
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

/*
 * memtide ksm set
 */

/* Host-wide numbers that ksmd has on every kernel. */
static const char *const sysfs_knobs[] = {
	"pages_to_scan", "sleep_millisecs", "run", "max_page_sharing", "use_zero_pages", "smart_scan",
};

#define NR_SYSFS_KNOBS	(sizeof(sysfs_knobs) / sizeof(sysfs_knobs[0]))

static bool is_sysfs_knob(const char *name, size_t len)
{
	for (size_t i = 0; i < NR_SYSFS_KNOBS; i++)
		if (strlen(sysfs_knobs[i]) == len && !strncmp(sysfs_knobs[i], name, len))
			return true;
	return false;
}

static int no_sysfs_knob(const struct cli *cli, const char *knob, size_t len)
{
	char message[400];
	int used = snprintf(message, sizeof(message), "ksmd has no knob %.*s for the whole host; there are", (int)len,
			    knob);

	for (size_t i = 0; i < NR_SYSFS_KNOBS; i++)
		used += snprintf(message + used, sizeof(message) - used, "%s %s", i ? "," : "", sysfs_knobs[i]);
	snprintf(message + used, sizeof(message) - used, ".  Knobs of a tenant's policy need --tenant");
	return attach_failed(cli, message, NULL);
}

static int write_sysfs(const struct cli *cli, const char *knob)
{
	size_t len = strcspn(knob, "=");
	char path[80], message[300];
	const char *value = knob + len + 1;
	ssize_t n;
	int fd;

	if (!is_sysfs_knob(knob, len))
		return no_sysfs_knob(cli, knob, len < 40 ? len : 40);
	snprintf(path, sizeof(path), KSM "/%.*s", (int)len, knob);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : write(fd, value, strlen(value));
	if (n < 0)
		snprintf(message, sizeof(message), "%.100s is no value for %s: %s", value, path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return n < 0 ? attach_failed(cli, message, NULL) : CLI_OK;
}

static int set_host(const struct cli *cli)
{
	int r = CLI_OK;

	for (size_t i = 0; i < cli->nr_knobs && !r; i++)
		r = write_sysfs(cli, cli->knobs[i]);
	return r ? r : run_show(cli);
}

/* The knobs that are in force, as far as the file has them still. */
static void take_over(struct memtide_policy *policy, const struct memtide_attachment *attachment)
{
	char text[24];

	for (size_t i = 0; i < attachment->nr_knobs; i++) {
		const struct memtide_knob *knob = &attachment->knobs[i];

		memtide_policy_set_knob(policy, knob->name, memtide_knob_format(knob, knob->value, text), NULL);
	}
}

/* The same policy once more, with some knobs changed. */
static int replace(const struct cli *cli, const struct memtide_attachment *attachment)
{
	struct memtide_policy *policy = NULL;
	struct memtide_errtext errtext;
	int r;

	if (!attachment->file[0]) {
		snprintf(errtext.text, sizeof(errtext.text),
			 "policy %s on %s was attached by another program, so its file is not known: memtide policy "
			 "replace FILE --cgroup PATH --knob NAME=VALUE", attachment->name, attachment->cgroup);
		return attach_failed(cli, errtext.text, NULL);
	}
	r = memtide_policy_open(attachment->file, &policy, &errtext);
	if (!r) {
		take_over(policy, attachment);
		r = attach_set_knobs(cli, policy, &errtext);
	}
	if (!r)
		r = memtide_policy_replace(policy, attachment->cgroup, &errtext);
	if (r)
		attach_failed(cli, errtext.text, policy ? memtide_policy_log(policy) : NULL);
	memtide_policy_close(policy);
	return r ? CLI_FAILED : CLI_OK;
}

static bool is_of_tenant(const struct memtide_attachment *attachment, uint64_t tenant)
{
	const struct memtide_knob *domain = memtide_attachment_knob(attachment, "domain");

	return attachment->in_force && !strcmp(attachment->family, "ksm") && domain && domain->value == tenant;
}

static int set_tenant(const struct cli *cli, uint64_t tenant)
{
	const struct memtide_attachment *attachment;
	struct memtide_attachments *all;
	char message[300];
	size_t nr, found = 0;
	int r = CLI_OK;

	if (memtide_attachments_read(&all))
		return attach_failed(cli, "no memory to see what is attached", NULL);
	attachment = memtide_attachments_list(all, &nr);
	for (size_t i = 0; i < nr && !r; i++, attachment++) {
		if (!is_of_tenant(attachment, tenant))
			continue;
		found++;
		r = replace(cli, attachment);
	}
	memtide_attachments_free(all);
	if (r || found)
		return r ? r : run_show(cli);
	snprintf(message, sizeof(message),
		 "no policy of tenant %s is attached%s: memtide policy attach ksm-tenant --vm NAME --knob domain=%s",
		 cli->tenant, geteuid() ? ", or you may not see it (be root)" : "", cli->tenant);
	return attach_failed(cli, message, NULL);
}

static void print_merge(const json_t *result)
{
	unsigned long long nr = reply_number(result, "backends");

	printf("%llu memory %s: pages %s merged\n", nr, nr == 1 ? "backend" : "backends",
	       json_is_true(json_object_get(result, "merge")) ? "are" : "are not");
}

/* The one thing that a stock kernel leaves: to take a whole VM out. */
static int set_backends(const struct cli *cli)
{
	struct memtide_errtext errtext;
	unsigned int nr;
	bool merge;

	merge = cli->nr_knobs == 1 && !strcmp(cli->knobs[0], "merge=on");
	if (cli->nr_knobs != 1 || (!merge && strcmp(cli->knobs[0], "merge=off")))
		return cli_usage("a VM's QEMU has one knob: --knob merge=on or --knob merge=off");
	if (qmp_set_merge(cli->qmp, merge, &nr, &errtext))
		return attach_failed(cli, errtext.text, NULL);
	return cli_print_result(cli, json_pack("{s:i, s:b}", "backends", (int)nr, "merge", merge), print_merge);
}

static int run_set(const struct cli *cli, int argc, char **argv)
{
	unsigned long long tenant;
	char *end;

	if (!cli->nr_knobs)
		return cli_usage("nothing to set: give --knob NAME=VALUE");
	if (cli->tenant && cli->qmp)
		return cli_usage("--tenant is for all VMs of a tenant, --qmp for one: give one of them");
	if (cli->qmp)
		return set_backends(cli);
	if (!cli->tenant)
		return set_host(cli);
	errno = 0;
	tenant = strtoull(cli->tenant, &end, 0);
	if (errno || !isdigit((unsigned char)*cli->tenant) || *end)
		return cli_usage("--tenant %s: takes the number of a merge domain as `memtide ksm` shows it",
				 cli->tenant);
	if (!memtide_kernel_has_hooks())
		return attach_failed(cli,
				     "this kernel has no hooks for memory policies, so nothing can be set for one tenant.  "
				     "For all of them: memtide ksm set --knob pages_to_scan=N.  To take a VM out "
				     "of it: memtide ksm set --qmp SOCKET --knob merge=off", NULL);
	return set_tenant(cli, tenant);
}

/*
 * memtide ksm open
 */

static void print_opened(const json_t *result)
{
	printf("pages of %s merge as if there had never been a policy\n", reply_text(result, "cgroup"));
}

/* What the kernel answers, in words. */
static int not_opened(const struct cli *cli, const char *cgroup, int error)
{
	char message[512];

	if (error == EBUSY)
		snprintf(message, sizeof(message),
			 "a ksm policy is in force in %.200s, its own or one from above: memtide policy detach ksm",
			 cgroup);
	else if (error == ENOENT && !memtide_kernel_has_hooks())
		snprintf(message, sizeof(message), "this kernel has no hooks for memory policies: nothing is closed");
	else
		snprintf(message, sizeof(message), "cannot open %.200s: %s", cgroup, strerror(error));
	return attach_failed(cli, message, NULL);
}

static int open_cgroup(const struct cli *cli, const char *cgroup)
{
	struct memtide_errtext errtext;
	char text[24];
	uint64_t id;
	int fd, r;

	if (memtide_cgroup_id(cgroup, &id, &errtext))
		return attach_failed(cli, errtext.text, NULL);
	fd = open(MEMTIDE_TIDE_SYSFS "/ksm/open", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return not_opened(cli, cgroup, errno);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
	r = write(fd, text, strlen(text)) < 0 ? errno : 0;
	close(fd);
	if (r)
		return not_opened(cli, cgroup, r);
	return cli_print_result(cli, json_pack("{s:s, s:I}", "cgroup", cgroup, "cgroup_id", (json_int_t)id),
				print_opened);
}

static int run_open(const struct cli *cli, int argc, char **argv)
{
	int r;
	char *cgroup = attach_cgroup(cli, &r);

	if (cgroup)
		r = open_cgroup(cli, cgroup);
	free(cgroup);
	return r;
}

static int run_ksm(const struct cli *cli, int argc, char **argv)
{
	return run_show(cli);
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
			"  --tenant NUMBER     every ksm policy of this tenant; its other knobs stay as they are\n"
			"  --knob NAME=VALUE   with --tenant a knob of its policies (memtide policy show ksm-tenant), without one\n"
			"                      of ksmd's own for the whole host: pages_to_scan, sleep_millisecs, run, ...\n"
			"  --qmp SOCKET        one VM, by its QMP monitor: merge=on or merge=off, on every kernel\n\n"
			"Examples:\n"
			"  memtide ksm set --tenant 7 --knob rate_pages=1000\n"
			"  memtide ksm set --tenant 7 --knob settle_scans=4 --knob huge_unchanged=513\n"
			"  memtide ksm set --knob pages_to_scan=500\n"
			"  memtide ksm set --qmp /run/web1.qmp --knob merge=off\n",
		.run = run_set,
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
		.run = run_open,
	},
	{ }
};
