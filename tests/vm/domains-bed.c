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

const char *const names[PEERS] = { "a", "b", "c" };

/*
 * Asking
 */

uint64_t number(const json_t *json, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(json, name));
}

const char *text(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name)) ?: "";
}

json_t *call(struct fixture *f, const char *method, json_t *params)
{
	json_t *result = NULL;

	assert_int_equal(controller_call(f->controller, method, params, &result), 0);
	return result;
}

uint64_t status_number(struct fixture *f, const char *name)
{
	json_t *status = call(f, "status", NULL);
	uint64_t value = number(status, name);

	json_decref(status);
	return value;
}

uint64_t vm_number(struct fixture *f, const char *vm, const char *name)
{
	json_t *json = controller_vm(f->controller, vm);
	uint64_t value = number(json, name);

	assert_non_null(json);
	json_decref(json);
	return value;
}

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

void wait_charged(struct fixture *f, uint64_t bytes)
{
	for (int i = 0; i < PATIENCE_MS && status_number(f, "charged") != bytes; i++)
		poll(NULL, 0, 1);
	assert_int_equal(status_number(f, "charged"), bytes);
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

void start_peer_as(struct fixture *f, int which, bool driver)
{
	struct peer_options options = {
		.name = names[which], .uuid_end = (uint32_t)which + 1, .ram = RAM, .needs = 32 * MIB,
		.no_driver = !driver,
	};
	struct memtide_errtext words;

	assert_int_equal(peer_new(&options, &f->peer[which]), 0);
	assert_int_equal(peer_spawn(f->peer[which], controller_vmm_socket(f->controller), &words), 0);
}

/* One whose guest is up already. */
void start_peer(struct fixture *f, int which)
{
	start_peer_as(f, which, true);
}

void wait_connections(struct fixture *f, int which, unsigned int connections)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (peer_connections(f->peer[which]) >= connections)
			return;
		poll(NULL, 0, 1);
	}
	fail_msg("%s does not connect again", names[which]);
}

struct fixture *start(const char *config)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(controller_start(config, &f->controller), 0);
	snprintf(f->run, sizeof(f->run), "/tmp/memtide-run-XXXXXX");
	assert_non_null(mkdtemp(f->run));
	hook_config = controller_config(f->controller);
	hook_run = f->run;
	return f;
}

void kill_and_restart(struct fixture *f)
{
	controller_kill(f->controller);
	assert_int_equal(controller_restart(f->controller, NULL), 0);
}

void stop(struct fixture *f)
{
	char path[128];

	for (int i = 0; i < PEERS; i++) {
		peer_free(f->peer[i]);
		snprintf(path, sizeof(path), "%s/%s.pid", f->run, names[i]);
		unlink(path);
	}
	rmdir(f->run);
	assert_int_equal(controller_stop(f->controller), 0);
	free(f);
}

void write_pid(struct fixture *f, const char *name, pid_t pid)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.pid", f->run, name);
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
