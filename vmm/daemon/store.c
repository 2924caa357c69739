// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Written beside and renamed, so that whoever is killed in between leaves the old file.
 */
#include "store.h"

#include "log.h"
#include "worker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE_PATH	4096

struct store {
	char *directory;
	struct worker *worker;
	struct store_job *jobs;		/* asked for and not done: the loop's thread frees them */
};

struct store_job {
	struct worker_job job;		/* first */
	struct store *store;
	struct store_job *next;
	char *path;
	char *text;			/* NULL: remove */
	bool durable;
	int error;
	void (*done)(void *arg, int error);
	void *arg;
};

/*
 * In the worker's thread
 */

static int make_folders(char *path, size_t directory)
{
	/* The state directory's own parent is not ours to make: /var/lib is there or nothing is. */
	for (char *slash = path + directory; slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

static int write_whole(int fd, const char *text)
{
	size_t size = strlen(text), used = 0;

	while (used < size) {
		ssize_t n = write(fd, text + used, size - used);

		if (n < 0 && errno != EINTR)
			return -errno;
		used += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int replace_file(const struct store_job *job)
{
	char beside[STORE_PATH];
	int fd, r;

	if ((size_t)snprintf(beside, sizeof(beside), "%s.new", job->path) >= sizeof(beside))
		return -ENAMETOOLONG;
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_whole(fd, job->text);
	if (!r && job->durable && fsync(fd) < 0)
		r = -errno;
	close(fd);
	if (!r && rename(beside, job->path) < 0)
		r = -errno;
	if (r)
		unlink(beside);
	return r;
}

static void job_run(struct worker_job *worker_job)
{
	struct store_job *job = (struct store_job *)worker_job;

	if (!job->path || (job->text && !*job->text)) {
		job->error = -ENOMEM;
		return;
	}
	if (!job->text) {
		job->error = unlink(job->path) < 0 && errno != ENOENT ? -errno : 0;
		return;
	}
	job->error = make_folders(job->path, strlen(job->store->directory));
	if (!job->error)
		job->error = replace_file(job);
}

/*
 * In the loop's thread
 */

static void job_free(struct store_job *job)
{
	struct store_job **at = &job->store->jobs;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	free(job->path);
	free(job->text);
	free(job);
}

static void job_done(struct worker_job *worker_job)
{
	struct store_job *job = (struct store_job *)worker_job;

	if (job->error)
		log_warning("%s cannot be %s: %s; it is not right after a restart", job->path ?: "state",
			    job->text ? "written" : "removed", strerror(-job->error));
	if (job->done)
		job->done(job->arg, job->error);
	job_free(job);
}

void store_put(struct store *store, const char *name, json_t *json, bool durable, void (*done)(void *arg, int error),
	       void *arg)
{
	struct store_job *job = calloc(1, sizeof(*job));

	if (!job) {
		json_decref(json);
		if (done)
			done(arg, -ENOMEM);
		return;
	}
	if (asprintf(&job->path, "%s/%s", store->directory, name) < 0)
		job->path = NULL;
	/* No text is a removal; one that there was no memory for must not become that. */
	job->text = json ? json_dumps(json, JSON_INDENT(2)) ?: strdup("") : NULL;
	json_decref(json);
	job->job.run = job_run;
	job->job.done = job_done;
	job->store = store;
	job->durable = durable;
	job->done = done;
	job->arg = arg;
	job->next = store->jobs;
	store->jobs = job;
	worker_queue(store->worker, &job->job, false);
}

json_t *store_get(const struct store *store, const char *name)
{
	char path[STORE_PATH];
	json_error_t error;
	json_t *json;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", store->directory, name) >= sizeof(path) ||
	    access(path, F_OK) < 0)
		return NULL;
	json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(json)) {
		log_warning("%s is no good and is passed over: %s", path, json ? "no object" : error.text);
		json_decref(json);
		return NULL;
	}
	return json;
}

void store_each(const struct store *store, const char *folder,
		void (*found)(void *arg, const char *name, json_t *json), void *arg)
{
	static const char suffix[] = ".json";
	char path[STORE_PATH];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", store->directory, folder);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		size_t size = strlen(entry->d_name);
		json_t *json;

		if (size < sizeof(suffix) || strcmp(entry->d_name + size - strlen(suffix), suffix))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		json = store_get(store, path);
		if (json)
			found(arg, path, json);
		json_decref(json);
	}
	if (dir)
		closedir(dir);
}

int store_new(struct loop *loop, const char *directory, struct store **ret)
{
	struct store *store = calloc(1, sizeof(*store));
	int r = -ENOMEM;

	if (store)
		store->directory = strdup(directory);
	if (store && store->directory)
		r = worker_new(loop, "store", &store->worker);
	if (r < 0) {
		store_free(store);
		return r;
	}
	*ret = store;
	return 0;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	worker_free(store->worker);
	while (store->jobs) {
		if (store->jobs->done)
			store->jobs->done(store->jobs->arg, -ECANCELED);
		job_free(store->jobs);
	}
	free(store->directory);
	free(store);
}
