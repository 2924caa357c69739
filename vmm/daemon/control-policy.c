// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One job for each request: the worker opens and loads what was asked for, the loop's thread answers.
 */
#include "control-policy.h"

#include "control.h"
#include "control-reply.h"
#include "control-socket.h"
#include "manager.h"
#include "policy.h"
#include "worker.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The verifier can say megabytes; its last words are the ones that count. */
#define LOG_MAX		(64 * 1024)
#define MAX_JOBS	8
#define MAX_LISTED	256

enum what {
	POLICY_LIST,
	POLICY_SHOW,
	POLICY_LOAD,
};

struct policy_job {
	struct worker_job job;		/* first */
	struct manager *manager;
	enum what what;
	struct control_later later;
	char *path;			/* the policy path */
	char *name;			/* or file */
	json_t *knobs;			/* name to text */
	/* Results, the worker's until the job is done. */
	struct memtide_policy **policies;
	size_t nr_policies;
	struct memtide_errtext errtext;
	int error;
	char *log;
};

static unsigned int jobs;	/* the loop's */

/*
 * In the worker's thread
 */

static void run_open(struct policy_job *job)
{
	struct memtide_policy *policy;
	char *found = NULL;
	int r = 0;

	if (!strchr(job->name, '/'))
		r = memtide_policy_find(job->path, job->name, &found, &job->errtext);
	if (r >= 0)
		r = memtide_policy_open(found ? found : job->name, &policy, &job->errtext);
	free(found);
	job->error = r;
	if (r < 0)
		return;
	job->policies[0] = policy;
	job->nr_policies = 1;
}

static void keep_log(struct policy_job *job, const char *log)
{
	size_t size = strlen(log);

	job->log = strdup(size > LOG_MAX ? log + size - LOG_MAX : log);
}

static void run_load(struct policy_job *job)
{
	const char *name;
	json_t *value;

	run_open(job);
	if (job->error < 0)
		return;
	json_object_foreach(job->knobs, name, value) {
		job->error = memtide_policy_set_knob(job->policies[0], name, json_string_value(value),
						     &job->errtext);
		if (job->error < 0)
			return;
	}
	job->error = memtide_policy_load(job->policies[0], &job->errtext);
	if (job->error < 0)
		keep_log(job, memtide_policy_log(job->policies[0]));
}

static void list_directory(struct policy_job *job, const char *dir)
{
	size_t suffix = strlen(MEMTIDE_POLICY_SUFFIX);
	struct memtide_policy *policy;
	struct dirent *entry;
	char file[4096];
	DIR *d = opendir(dir);

	while (d && job->nr_policies < MAX_LISTED && (entry = readdir(d))) {
		size_t size = strlen(entry->d_name);

		if (size <= suffix || strcmp(entry->d_name + size - suffix, MEMTIDE_POLICY_SUFFIX))
			continue;
		snprintf(file, sizeof(file), "%s/%s", dir, entry->d_name);
		if (!memtide_policy_open(file, &policy, NULL))
			job->policies[job->nr_policies++] = policy;
	}
	if (d)
		closedir(d);
}

static void run_list(struct policy_job *job)
{
	char *save = NULL;

	for (char *dir = strtok_r(job->path, ":", &save); dir; dir = strtok_r(NULL, ":", &save))
		list_directory(job, dir);
}

static void policy_run(struct worker_job *worker_job)
{
	struct policy_job *job = (struct policy_job *)worker_job;

	if (job->what == POLICY_LIST)
		run_list(job);
	else if (job->what == POLICY_SHOW)
		run_open(job);
	else
		run_load(job);
}

/*
 * In the loop's thread
 */

static bool is_active(const struct manager *manager, const struct memtide_policy *policy)
{
	return manager->policy && !strcmp(memtide_policy_path(manager->policy), memtide_policy_path(policy));
}

static json_t *knob_value(const struct memtide_knob *knob, uint64_t value)
{
	if (knob->type == MEMTIDE_KNOB_BOOL)
		return json_boolean(value);
	/* JSON's integers are signed here: what is beyond is as good as unlimited. */
	if (knob->type == MEMTIDE_KNOB_UNSIGNED && value > INT64_MAX)
		value = INT64_MAX;
	return json_integer((json_int_t)value);
}

static json_t *knobs_json(const struct memtide_policy *policy)
{
	static const char *const types[] = { "bool", "unsigned", "signed" };
	json_t *json = json_array();
	size_t nr;
	const struct memtide_knob *knobs = memtide_policy_knobs(policy, &nr);

	for (size_t i = 0; i < nr; i++)
		json_array_append_new(json, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:s}", "name", knobs[i].name,
						      "type", types[knobs[i].type],
						      "value", knob_value(&knobs[i], knobs[i].value),
						      "initial", knob_value(&knobs[i], knobs[i].initial),
						      "min", knob_value(&knobs[i], knobs[i].min),
						      "max", knob_value(&knobs[i], knobs[i].max),
						      "about", knobs[i].about));
	return json;
}

static json_t *policy_json(const struct manager *manager, const struct memtide_policy *policy, bool full)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:b, s:s}", "name", memtide_policy_name(policy), "file",
				 memtide_policy_path(policy), "family", memtide_policy_family_names(policy),
				 "active", is_active(manager, policy), "about", memtide_policy_about(policy));
	uint64_t runs = memtide_policy_runs(policy);

	if (!full)
		return json;
	json_object_set_new(json, "runs", json_integer((json_int_t)runs));
	json_object_set_new(json, "run_ns_avg",
			    json_integer((json_int_t)(runs ? memtide_policy_run_ns(policy) / runs : 0)));
	json_object_set_new(json, "knobs", knobs_json(policy));
	return json;
}

static void reply_list(const struct control_request *request, const struct policy_job *job)
{
	json_t *list = json_array();

	for (size_t i = 0; i < job->nr_policies; i++)
		json_array_append_new(list, policy_json(job->manager, job->policies[i], false));
	/* One that was loaded from elsewhere belongs to the list as well. */
	if (job->manager->policy) {
		bool listed = false;

		for (size_t i = 0; i < job->nr_policies; i++)
			listed |= is_active(job->manager, job->policies[i]);
		if (!listed)
			json_array_append_new(list, policy_json(job->manager, job->manager->policy, false));
	}
	control_reply(request, json_pack("{s:o}", "policies", list));
}

static void reply_failure(const struct control_request *request, const struct policy_job *job)
{
	json_t *data = NULL;
	/* A knob that is wrong is a wrong parameter; all else is the policy's fault. */
	int code = job->log || job->nr_policies == 0 ? MEMTIDE_ERROR_POLICY : MEMTIDE_ERROR_PARAMS;

	if (job->log) {
		data = json_object();
		json_object_set_new(data, "log", json_stringn_nocheck(job->log, strlen(job->log)));
	}
	control_reply_error_data(request, code, job->errtext.text, data);
}

static void put_in_force(struct policy_job *job)
{
	struct manager *manager = job->manager;

	manager_set_policy(manager, job->policies[0]);
	job->nr_policies = 0;
	manager_note(manager, DECISION_POLICY, LOG_LEVEL_INFO, NULL, "policy %s is in force (%s)",
		     memtide_policy_name(manager->policy), memtide_policy_path(manager->policy));
}

static void job_free(struct policy_job *job)
{
	for (size_t i = 0; i < job->nr_policies; i++)
		memtide_policy_close(job->policies[i]);
	free(job->policies);
	control_later_drop(&job->later);
	json_decref(job->knobs);
	free(job->path);
	free(job->name);
	free(job->log);
	free(job);
	jobs--;
}

static void policy_done(struct worker_job *worker_job)
{
	struct policy_job *job = (struct policy_job *)worker_job;
	const struct memtide_policy *show;
	struct control_request request;
	bool asked = control_later_find(job->manager, &job->later, &request);

	if (job->error < 0) {
		if (job->what == POLICY_LOAD)
			manager_note(job->manager, DECISION_POLICY, LOG_LEVEL_WARNING, NULL,
				     "policy %.64s is not loaded, the one before stays: %.128s", job->name,
				     job->errtext.text);
		if (asked)
			reply_failure(&request, job);
		job_free(job);
		return;
	}
	show = job->nr_policies ? job->policies[0] : NULL;
	if (job->what == POLICY_LOAD)
		put_in_force(job);
	if (job->what == POLICY_LIST) {
		if (asked)
			reply_list(&request, job);
	} else if (asked) {
		/* Of the one in force there is more to show than of a fresh copy. */
		if (job->what == POLICY_LOAD || is_active(job->manager, show))
			show = job->manager->policy;
		control_reply(&request, policy_json(job->manager, show, true));
	}
	job_free(job);
}

/* Knobs as texts, which is how they are set. */
static json_t *knob_texts(const struct control_request *request)
{
	json_t *knobs = json_object_get(request->params, "knobs"), *texts = json_object(), *value;
	const char *name;
	char text[32];

	json_object_foreach(knobs, name, value) {
		if (json_is_string(value)) {
			json_object_set(texts, name, value);
		} else if (json_is_boolean(value)) {
			json_object_set_new(texts, name, json_string(json_is_true(value) ? "true" : "false"));
		} else if (json_is_integer(value)) {
			snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
			json_object_set_new(texts, name, json_string(text));
		} else {
			json_decref(texts);
			control_reply_error(request, MEMTIDE_ERROR_PARAMS,
					    "knob \"%s\" has to be a whole number, true or false, or a text",
					    name);
			return NULL;
		}
	}
	return texts;
}

static void begin(struct control_request *request, enum what what, const char *name, json_t *knobs)
{
	struct manager *manager = control_client_manager(request->client);
	struct policy_job *job;

	job = jobs < MAX_JOBS ? calloc(1, sizeof(*job)) : NULL;
	if (!job) {
		json_decref(knobs);
		control_reply_error(request, MEMTIDE_ERROR_BUSY, "too many requests about policies are waiting");
		return;
	}
	jobs++;
	job->job.run = policy_run;
	job->job.done = policy_done;
	job->manager = manager;
	job->what = what;
	control_later(request, &job->later);
	job->knobs = knobs;
	job->path = strdup(manager->config.policy_path);
	job->name = name ? strdup(name) : NULL;
	job->policies = calloc(what == POLICY_LIST ? MAX_LISTED : 1, sizeof(struct memtide_policy *));
	if (!job->path || (name && !job->name) || !job->policies) {
		job_free(job);
		control_reply_error(request, MEMTIDE_ERROR_BUSY, "no memory");
		return;
	}
	worker_queue(manager->loader, &job->job, false);
}

static const char *policy_param(struct control_request *request)
{
	const char *name = json_string_value(json_object_get(request->params, "policy"));

	if (!name || !name[0]) {
		control_reply_error(request, MEMTIDE_ERROR_PARAMS, "\"policy\" is missing: a policy's name");
		return NULL;
	}
	if (strchr(name, '/') && !control_client_may_write(request->client)) {
		control_reply_error(request, MEMTIDE_ERROR_NOT_ALLOWED,
				    "files are for root; use a name in the policy path");
		return NULL;
	}
	return name;
}

void control_policy_list(struct control_request *request)
{
	begin(request, POLICY_LIST, NULL, NULL);
}

void control_policy_show(struct control_request *request)
{
	struct manager *manager = control_client_manager(request->client);
	const char *name = policy_param(request);

	if (!name)
		return;
	if (manager->policy && !strcmp(name, memtide_policy_name(manager->policy)))
		control_reply(request, policy_json(manager, manager->policy, true));
	else
		begin(request, POLICY_SHOW, name, NULL);
}

void control_policy_load(struct control_request *request)
{
	const char *name = policy_param(request);
	json_t *knobs;

	if (!name)
		return;
	knobs = knob_texts(request);
	if (knobs)
		begin(request, POLICY_LOAD, name, knobs);
}
