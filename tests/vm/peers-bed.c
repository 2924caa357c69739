// SPDX-License-Identifier: GPL-2.0-or-later
/* See peers-bed.h. */
#include <poll.h>
#include <stdlib.h>

#include "peers-bed.h"

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

void wait_charged(struct fixture *f, uint64_t bytes)
{
	for (int i = 0; i < PATIENCE_MS && status_number(f, "charged") != bytes; i++)
		poll(NULL, 0, 1);
	assert_int_equal(status_number(f, "charged"), bytes);
}

/*
 * Setting up
 */

struct fixture *bed_start(const char *config)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(controller_start(config, &f->controller), 0);
	return f;
}

void kill_and_restart(struct fixture *f)
{
	controller_kill(f->controller);
	assert_int_equal(controller_restart(f->controller, NULL), 0);
}

void bed_stop(struct fixture *f)
{
	for (int i = 0; i < PEERS; i++)
		peer_free(f->peer[i]);
	assert_int_equal(controller_stop(f->controller), 0);
	free(f);
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
