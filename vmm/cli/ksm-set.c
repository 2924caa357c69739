// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide ksm set, memtide ksm open: through the policies of a tenant, ksmd's own sysfs, or a VM's monitor.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "cgroup-id.h"
#include "client.h"
#include "kernel-write.h"
#include "ksm.h"
#include "policy-attach.h"
#include "qmp.h"

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
	int r;

	if (!is_sysfs_knob(knob, len))
		return no_sysfs_knob(cli, knob, len < 40 ? len : 40);
	snprintf(path, sizeof(path), KSM "/%.*s", (int)len, knob);
	r = memtide_kernel_write(path, value);
	if (!r)
		return CLI_OK;
	snprintf(message, sizeof(message), "%.100s is no value for %s: %s", value, path, strerror(-r));
	return attach_failed(cli, message, NULL);
}

static int set_host(const struct cli *cli)
{
	int r = CLI_OK;

	for (size_t i = 0; i < cli->nr_knobs && !r; i++)
		r = write_sysfs(cli, cli->knobs[i]);
	return r ? r : ksm_show(cli);
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

/* The policy of @attachment once more, with its knobs, and those of --knob where they @change. */
static int open_again(const struct cli *cli, const struct memtide_attachment *attachment, bool change,
		      struct memtide_policy **ret_policy, struct memtide_errtext *errtext)
{
	struct memtide_policy *policy;
	int r;

	if (!attachment->file[0])
		return memtide_errtext_set(errtext, -ENOENT,
					   "policy %s on %s was attached by another program, so its file is not known: "
					   "memtide policy replace FILE --cgroup PATH --knob NAME=VALUE",
					   attachment->name, attachment->cgroup);
	r = memtide_policy_open(attachment->file, &policy, errtext);
	if (r)
		return r;
	take_over(policy, attachment);
	r = change ? attach_set_knobs(cli, policy, errtext) : 0;
	if (r)
		memtide_policy_close(policy);
	else
		*ret_policy = policy;
	return r;
}

/* A VM that ends in the meantime takes its policy along, which is no failure. */
static int replace(const struct memtide_attachment *attachment, struct memtide_policy *policy,
		   struct memtide_errtext *errtext)
{
	int r = memtide_policy_replace(policy, attachment->cgroup, errtext);

	return r && access(attachment->cgroup, F_OK) ? 0 : r;
}

/* How many have been replaced, of @nr, in @ret_done. */
static int replace_all(const struct cli *cli, const struct memtide_attachment *const *attached,
		       struct memtide_policy **policies, size_t nr, size_t *ret_done)
{
	struct memtide_errtext errtext;

	for (*ret_done = 0; *ret_done < nr; (*ret_done)++) {
		struct memtide_policy **policy = &policies[*ret_done];

		if (replace(attached[*ret_done], *policy, &errtext))
			return attach_failed(cli, errtext.text, memtide_policy_log(*policy));
		/* the kernel has it, and many of them would take memory here for nothing */
		memtide_policy_close(*policy);
		*policy = NULL;
	}
	return CLI_OK;
}

/* What had been replaced when another could not be, which has been said. */
static void take_back(const struct cli *cli, const struct memtide_attachment *const *attached, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		struct memtide_policy *policy = NULL;
		struct memtide_errtext errtext;
		int r = open_again(cli, attached[i], false, &policy, &errtext);

		if (!r)
			r = replace(attached[i], policy, &errtext);
		if (r)
			attach_failed(cli, errtext.text, NULL);
		memtide_policy_close(policy);
	}
}

/* All or none: what a policy does not take is found out before any is replaced. */
static int change_all(const struct cli *cli, const struct memtide_attachment *const *attached, size_t nr)
{
	struct memtide_policy **policies = calloc(nr + 1, sizeof(*policies));
	struct memtide_errtext errtext;
	size_t opened = 0, done = 0;
	int r = CLI_OK;

	if (!policies)
		return attach_failed(cli, "no memory for the policies", NULL);
	for (; opened < nr && !r; opened += !r)
		if (open_again(cli, attached[opened], true, &policies[opened], &errtext))
			r = attach_failed(cli, errtext.text, NULL);
	if (!r)
		r = replace_all(cli, attached, policies, nr, &done);
	if (r)
		take_back(cli, attached, done);
	for (size_t i = 0; i < opened; i++)
		memtide_policy_close(policies[i]);
	free(policies);
	return r;
}

static bool is_of_tenant(const struct memtide_attachment *attachment, uint64_t tenant)
{
	const struct memtide_knob *domain = memtide_attachment_knob(attachment, "domain");

	return attachment->in_force && !strcmp(attachment->family, "ksm") && domain && domain->value == tenant;
}

static int none_of_tenant(const struct cli *cli)
{
	char message[300];

	snprintf(message, sizeof(message),
		 "no policy of tenant %s is attached%s: memtide policy attach ksm-tenant --vm NAME --knob domain=%s",
		 cli->tenant, geteuid() ? ", or you may not see it (be root)" : "", cli->tenant);
	return attach_failed(cli, message, NULL);
}

static int set_tenant(const struct cli *cli, uint64_t tenant)
{
	const struct memtide_attachment *attachment, **own;
	struct memtide_attachments *all;
	size_t nr, found = 0;
	int r;

	if (memtide_attachments_read(&all))
		return attach_failed(cli, "no memory to see what is attached", NULL);
	attachment = memtide_attachments_list(all, &nr);
	own = calloc(nr + 1, sizeof(*own));
	for (size_t i = 0; own && i < nr; i++)
		if (is_of_tenant(&attachment[i], tenant))
			own[found++] = &attachment[i];
	r = found ? change_all(cli, own, found) : none_of_tenant(cli);
	free(own);
	memtide_attachments_free(all);
	return r ? r : ksm_show(cli);
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

static bool is_number(const char *text, uint64_t *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtoull(text, &end, 0);
	return !errno && isdigit((unsigned char)*text) && !*end;
}

/* By the number of its merge domain, or by the name that its VMs' domains give, which memtided knows. */
static int find_tenant(const struct cli *cli, uint64_t *ret_number)
{
	json_t *tenant;

	if (is_number(cli->tenant, ret_number))
		return CLI_OK;
	tenant = client_ask(cli, "tenant.show", json_pack("{s:s}", "tenant", cli->tenant));
	if (!tenant)
		return CLI_FAILED;
	*ret_number = reply_number(tenant, "number");
	json_decref(tenant);
	return CLI_OK;
}

int ksm_set(const struct cli *cli, int argc, char **argv)
{
	uint64_t tenant;
	int r;

	if (!cli->nr_knobs)
		return cli_usage("nothing to set: give --knob NAME=VALUE");
	if (cli->tenant && cli->qmp)
		return cli_usage("--tenant is for all VMs of a tenant, --qmp for one: give one of them");
	if (cli->qmp)
		return set_backends(cli);
	if (!cli->tenant)
		return set_host(cli);
	if (!memtide_kernel_has_hooks())
		return attach_failed(cli,
				     "this kernel has no hooks for memory policies, so nothing can be set for one tenant.  "
				     "For all of them: memtide ksm set --knob pages_to_scan=N.  To take a VM out "
				     "of it: memtide ksm set --qmp SOCKET --knob merge=off", NULL);
	r = find_tenant(cli, &tenant);
	return r ? r : set_tenant(cli, tenant);
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
	int r;

	if (memtide_cgroup_id(cgroup, &id, &errtext))
		return attach_failed(cli, errtext.text, NULL);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
	r = memtide_kernel_write(MEMTIDE_TIDE_SYSFS "/ksm/open", text);
	if (r)
		return not_opened(cli, cgroup, -r);
	return cli_print_result(cli, json_pack("{s:s, s:I}", "cgroup", cgroup, "cgroup_id", (json_int_t)id),
				print_opened);
}

int ksm_open(const struct cli *cli, int argc, char **argv)
{
	int r;
	char *cgroup = attach_cgroup(cli, &r);

	if (cgroup)
		r = open_cgroup(cli, cgroup);
	free(cgroup);
	return r;
}
