// SPDX-License-Identifier: GPL-2.0-or-later
/* See domains-bed.h. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domains-bed.h"

/* The folder with process ids, which the hook is told of also by a test that has no memtided. */
static char run[64];

/* A new reference, or NULL. */
json_t *domain(struct fixture *f, const char *name)
{
	json_t *list = call(f, "domain.list", NULL), *one, *found = NULL;
	size_t i;

	json_array_foreach(json_object_get(list, "domains"), i, one)
		if (!strcmp(text(one, "name"), name))
			found = json_incref(one);
	json_decref(list);
	return found;
}

size_t nr_domains(struct fixture *f)
{
	json_t *list = call(f, "domain.list", NULL);
	size_t nr = json_array_size(json_object_get(list, "domains"));

	json_decref(list);
	return nr;
}

uint64_t domain_number(struct fixture *f, const char *name, const char *member)
{
	json_t *json = domain(f, name);
	uint64_t value = number(json, member);

	assert_non_null(json);
	json_decref(json);
	return value;
}

void assert_phase(struct fixture *f, const char *name, const char *phase)
{
	json_t *json = domain(f, name);

	assert_non_null(json);
	assert_string_equal(text(json, "phase"), phase);
	json_decref(json);
}

void wait_no_domain(struct fixture *f)
{
	for (int i = 0; i < PATIENCE_MS && nr_domains(f); i++)
		poll(NULL, 0, 1);
	assert_int_equal(nr_domains(f), 0);
}

/*
 * Setting up
 */

pid_t start_process(void)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

void end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

struct fixture *start(const char *config)
{
	struct fixture *f = bed_start(config);

	snprintf(run, sizeof(run), "/tmp/memtide-run-XXXXXX");
	assert_non_null(mkdtemp(run));
	hook_config = controller_config(f->controller);
	hook_run = run;
	return f;
}

void stop(struct fixture *f)
{
	char path[128];

	for (int i = 0; i < PEERS; i++) {
		snprintf(path, sizeof(path), "%s/%s.pid", run, names[i]);
		unlink(path);
	}
	rmdir(run);
	bed_stop(f);
}

void write_pid(const char *name, pid_t pid)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.pid", run, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "%d", (int)pid);
	fclose(file);
}

const struct hook_domain a = {
	.name = "a", .uuid_end = 1, .memory_mib = RAM_MIB,
	.policy = "<memtide:floor>128MiB</memtide:floor><memtide:maximum>384MiB</memtide:maximum>"
		  "<memtide:shares>200</memtide:shares>",
};
const struct hook_domain b = { .name = "b", .uuid_end = 2, .memory_mib = RAM_MIB, .policy = "" };
const struct hook_domain c = { .name = "c", .uuid_end = 3, .memory_mib = RAM_MIB, .policy = "" };

void assert_policy_of_a(struct fixture *f)
{
	assert_int_equal(vm_number(f, "a", "floor"), 128 * MIB);
	assert_int_equal(vm_number(f, "a", "maximum"), 384 * MIB);
	assert_int_equal(vm_number(f, "a", "shares"), 200);
}

void assert_hook(const struct hook_domain *domain_of, const char *operation, int status)
{
	int r = hook_call(domain_of, operation);

	if (r != status)
		fail_msg("%s %s: %d instead of %d: %s", domain_of->name, operation, r, status, hook_output);
}

int set_policy(struct fixture *f, json_t *policy)
{
	return controller_call(f->controller, "domain.metadata",
			       json_pack("{s:s, s:o}", "uuid", "42424242-4242-4242-4242-424200000001", "policy",
					 policy), NULL);
}
