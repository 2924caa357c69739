// SPDX-License-Identifier: GPL-2.0-or-later
#include "domain-attach.h"

#include "domains.h"
#include "manager.h"
#include "tenants.h"
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum attach_what {
	ATTACH_CHECK,
	ATTACH_ENSURE,
	ATTACH_CHANGE,
	ATTACH_DETACH,
};

struct attach_job {
	struct worker_job job;		/* first */
	struct manager *manager;
	enum attach_what what;
	uint64_t number;		/* of the domain */
	char name[MEMTIDE_DOMAIN_NAME];	/* its name, for the log */
	char *path;			/* the policy path */
	char *machine;			/* to be closed, or NULL */
	char cgroup[MEMTIDE_CGROUP_PATH_MAX];
	struct domain_hosts hosts;	/* wanted */
	struct domain_hosts old;	/* what was wanted before */
	struct host_policies before;	/* what is attached */
	domain_attach_done *done;
	void *arg;
	/* Results, the worker's until the job is done. */
	struct host_policies after;
	int error;
	struct memtide_errtext errtext;
	struct memtide_errtext not_closed;
	char account[160];
};

/*
 * In the worker's thread
 */

static void run_check(struct attach_job *job)
{
	job->error = host_policies_check(job->path, &job->hosts, &job->errtext);
	if (!job->error && job->machine)
		host_policies_close(job->path, job->machine, &job->not_closed);
}

static void run_ensure(struct attach_job *job)
{
	if (job->machine)
		host_policies_close(job->path, job->machine, &job->not_closed);
	job->error = host_policies_ensure(job->path, job->cgroup, &job->hosts, &job->before, &job->after, &job->errtext);
	if (!job->error || job->what != ATTACH_CHANGE)
		return;
	/* All or nothing: whatever was put in place is taken back. */
	job->before = job->after;
	host_policies_ensure(job->path, job->cgroup, &job->old, &job->before, &job->after, NULL);
}

static void attach_run(struct worker_job *worker_job)
{
	struct attach_job *job = (struct attach_job *)worker_job;

	if (job->what == ATTACH_CHECK)
		run_check(job);
	else if (job->what == ATTACH_DETACH)
		host_policies_detach(job->cgroup, job->account, sizeof(job->account));
	else
		run_ensure(job);
}

/*
 * In the loop's thread
 */

static void say_policies(const struct attach_job *job, const struct domain *domain)
{
	for (size_t i = 0; i < job->after.nr; i++) {
		const struct host_policy *one = &job->after.list[i];
		bool good = one->state == HOST_POLICY_ATTACHED;

		manager_note(job->manager, DECISION_POLICY, good ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, domain->vm,
			     "domain %.48s: policy %s is %s%s%.100s", job->name, one->policy,
			     good ? "attached" : "not attached", good ? "" : ": ", one->why);
	}
}

/* What is wanted, and why it is not there. */
static void note_waiting(struct domain *domain)
{
	struct host_policies *policies = &domain->attached.policies;

	memset(policies, 0, sizeof(*policies));
	for (size_t i = 0; i < domain->hosts.nr_hosts; i++) {
		struct host_policy *one = &policies->list[policies->nr++];

		snprintf(one->policy, sizeof(one->policy), "%s", domain->hosts.hosts[i].policy);
		snprintf(one->why, sizeof(one->why), "%s", domain->manager->dry_run ? "this is a dry run" :
			 domain->phase == DOMAIN_RUNNING ? "it has no cgroup of its own that is known" :
			 "it has no cgroup yet");
	}
}

static void attach_done(struct worker_job *worker_job)
{
	struct attach_job *job = (struct attach_job *)worker_job;
	struct domain *domain = domain_by_number(job->manager, job->number);

	if (job->not_closed.text[0])
		manager_note(job->manager, DECISION_POLICY, LOG_LEVEL_WARNING, NULL,
			     "pages of VMs may merge before their own policy is attached: %.160s", job->not_closed.text);
	if (job->account[0])
		manager_note(job->manager, DECISION_POLICY, LOG_LEVEL_INFO, NULL, "domain %.48s: detached after %s",
			     job->name, job->account);
	if (domain && !job->error && job->what != ATTACH_DETACH)
		domain->hosts = job->hosts;
	if (domain && !job->error && job->what == ATTACH_CHECK)
		note_waiting(domain);
	if (domain && (job->what == ATTACH_ENSURE || job->what == ATTACH_CHANGE)) {
		domain->attached.policies = job->after;
		say_policies(job, domain);
		domain_save(domain, NULL, NULL);
	}
	if (job->done)
		job->done(domain, job->error, &job->errtext, job->arg);
	free(job->path);
	free(job->machine);
	free(job);
}

static void hosts_of(const struct domain *domain, struct domain_hosts *ret_hosts)
{
	struct memtide_config_tenant terms = { .name = NULL };

	if (domain->tenant)
		terms = tenant_terms(domain->manager, domain->tenant);
	domain_hosts(domain->about.has_policy ? &domain->about.policy : NULL,
		     domain->tenant ? domain->tenant->number : 0, terms.ksm_off, terms.ksm_rate_pages, ret_hosts);
}

static void queue_job(struct domain *domain, enum attach_what what, const struct domain_hosts *hosts,
		      domain_attach_done *done, void *arg)
{
	static const struct memtide_errtext no_memory = { .text = "no memory" };
	struct manager *manager = domain->manager;
	struct attach_job *job = calloc(1, sizeof(*job));

	if (job)
		job->path = strdup(manager->config.policy_path);
	if (job && job->path && domain_hosts_ksm(hosts) && what != ATTACH_DETACH && !manager->dry_run &&
	    strcmp(manager->config.machine_cgroup, "none"))
		job->machine = strdup(manager->config.machine_cgroup);
	if (!job || !job->path) {
		free(job);
		if (done)
			done(domain, -ENOMEM, &no_memory, arg);
		return;
	}
	job->job.run = attach_run;
	job->job.done = attach_done;
	job->manager = manager;
	job->what = what;
	job->number = domain->number;
	snprintf(job->name, sizeof(job->name), "%.60s", domain->about.name);
	snprintf(job->cgroup, sizeof(job->cgroup), "%s", domain->attached.cgroup);
	job->hosts = *hosts;
	job->old = domain->hosts;
	job->before = domain->attached.policies;
	job->done = done;
	job->arg = arg;
	worker_queue(manager->loader, &job->job, false);
}

void domain_attach_check(struct domain *domain, domain_attach_done *done, void *arg)
{
	struct domain_hosts hosts;

	hosts_of(domain, &hosts);
	if (hosts.nr_hosts)
		queue_job(domain, ATTACH_CHECK, &hosts, done, arg);
	else
		done(domain, 0, NULL, arg);
}

/* Where the cgroup is known, and there is something to be attached or to be taken away. */
static bool can_attach(const struct domain *domain, const struct domain_hosts *hosts)
{
	return domain->attached.cgroup[0] && !domain->manager->dry_run &&
	       (hosts->nr_hosts || domain->attached.policies.nr);
}

void domain_attach(struct domain *domain)
{
	struct domain_hosts hosts;

	hosts_of(domain, &hosts);
	if (can_attach(domain, &hosts)) {
		queue_job(domain, ATTACH_ENSURE, &hosts, NULL, NULL);
		domain->hosts = hosts;
		return;
	}
	domain->hosts = hosts;
	if (!domain->attached.cgroup[0] || domain->manager->dry_run)
		note_waiting(domain);
}

void domain_attach_change(struct domain *domain, domain_attach_done *done, void *arg)
{
	struct domain_hosts hosts;

	hosts_of(domain, &hosts);
	if (can_attach(domain, &hosts))
		queue_job(domain, ATTACH_CHANGE, &hosts, done, arg);
	else if (hosts.nr_hosts)
		queue_job(domain, ATTACH_CHECK, &hosts, done, arg);
	else
		done(domain, 0, NULL, arg);
}

void domain_detach(struct domain *domain)
{
	static const struct domain_hosts none;

	if (domain->attached.cgroup[0] && domain->hosts.nr_hosts && !domain->manager->dry_run)
		queue_job(domain, ATTACH_DETACH, &none, NULL, NULL);
}
