// SPDX-License-Identifier: GPL-2.0-or-later
/* See world.h. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "apart.h"
#include "memtide-agent.h"
#include "paths.h"
#include "world.h"

#define MEMTIDE_FOLDER	"/run/memtide"
#define START		world_bytes(384)

struct world world;

static const char *const names[WORLD_VMS] = { "alpha", "beta", "gamma", "delta" };

uint64_t world_bytes(unsigned int mib)
{
	return mib * MIB + vm_kernel_extra();
}

void world_open(int vms, const char *more)
{
	const char *refusal = apart_refusal();
	char config[1024];

	world = (struct world){ .controller = NULL };
	if (refusal) {
		print_message("%s\n", refusal);
		skip();
	}
	snprintf(config, sizeof(config), "budget = %lluM\nreserve = 32M\npolicy = fair\nadmission = throttle\n[default]\n"
		 "floor = %lluM\nstart = %lluM\n%s", (unsigned long long)(vms * WORLD_VM_BUDGET / MIB),
		 (unsigned long long)(WORLD_FLOOR / MIB), (unsigned long long)(START / MIB), more ? more : "");
	assert_int_equal(controller_start_in(MEMTIDE_FOLDER, config, &world.controller), 0);
	/* where the hook looks */
	assert_int_equal(symlink(controller_config(world.controller), MEMTIDE_CONFIG_PATH), 0);
	assert_int_equal(libvirtd_start(&world.libvirtd), 0);
	world_agent_up();
}

void world_agent_up(void)
{
	assert_int_equal(memtide_agent_start(controller_config(world.controller), &world.agent), 0);
}

void world_agent_down(int signal)
{
	assert_int_equal(memtide_agent_end(&world.agent, signal), 0);
}

void world_define(int i, const char *policy)
{
	struct vm_options o = {
		.name = names[i], .memory_bytes = WORLD_RAM, .tide = true, .modules = "virtio_tide",
		.vmm_socket = controller_vmm_socket(world.controller),
	};

	assert_int_equal(domain_define(world.libvirtd, &o, policy, &world.domain[i]), 0);
}

void world_wait_managed(int i)
{
	WAIT_FOR(world_state_is(i, "managed"));
}

void world_start(int i, const char *policy)
{
	world_define(i, policy);
	assert_int_equal(domain_start(world.domain[i]), 0);
	world_wait_managed(i);
}

int world_close(void **state)
{
	int r = 0;

	for (int i = 0; i < WORLD_VMS; i++) {
		if (world.libvirtd && domain_free(world.domain[i]))
			r = -1;
	}
	if (memtide_agent_end(&world.agent, SIGTERM))
		r = -1;
	if (libvirtd_stop(world.libvirtd))
		r = -1;
	if (world.controller)
		unlink(MEMTIDE_CONFIG_PATH);
	if (controller_stop(world.controller))
		r = -1;
	world = (struct world){ .controller = NULL };
	return r;
}

bool world_is_emulated(void)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	bool found = false;
	char line[1024];

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, "model name", 10) && strstr(line, "TCG");
	if (f)
		fclose(f);
	return found;
}

uint64_t world_number(int i, const char *key)
{
	json_t *vm = controller_vm(world.controller, names[i]);
	uint64_t value;

	assert_non_null(vm);
	value = json_integer_value(json_object_get(vm, key));
	json_decref(vm);
	return value;
}

/* Who speaks for it is on memtided's socket. */
bool world_is_connected(int i)
{
	json_t *vm = controller_vm(world.controller, names[i]);
	bool is = json_is_true(json_object_get(vm, "connected"));

	json_decref(vm);
	return is;
}

bool world_state_is(int i, const char *state)
{
	json_t *vm = controller_vm(world.controller, names[i]);
	const char *s = json_string_value(json_object_get(vm, "state"));
	bool same = s && !strcmp(s, state);

	json_decref(vm);
	return same;
}

bool world_has_noted(const char *words)
{
	json_t *log, *entry;
	bool found = false;
	size_t i;

	if (controller_call(world.controller, "log", NULL, &log))
		return false;
	json_array_foreach(json_object_get(log, "entries"), i, entry) {
		const char *message = json_string_value(json_object_get(entry, "message"));

		found |= message && strstr(message, words);
	}
	json_decref(log);
	return found;
}

json_t *world_domain(int i)
{
	json_t *list, *domain, *found = NULL;
	size_t at;

	if (controller_call(world.controller, "domain.list", NULL, &list))
		return NULL;
	json_array_foreach(json_object_get(list, "domains"), at, domain) {
		if (!strcmp(json_string_value(json_object_get(domain, "name")), names[i]))
			found = json_incref(domain);
	}
	json_decref(list);
	return found;
}

bool world_enforces(void)
{
	return !access("/sys/fs/cgroup/cgroup.subtree_control", F_OK);
}

bool world_knows_not(int i)
{
	json_t *vm = controller_vm(world.controller, names[i]);

	json_decref(vm);
	return !vm;
}

static uint64_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

bool world_is_settled(void)
{
	uint64_t charged = 0;
	json_t *status, *vm;
	bool settled;
	size_t i;

	assert_int_equal(controller_call(world.controller, "status", NULL, &status), 0);
	settled = !number(status, "deficit") && number(status, "charged") <= number(status, "budget");
	json_array_foreach(json_object_get(status, "vms"), i, vm) {
		charged += number(vm, "charged");
		settled &= number(vm, "charged") == number(vm, "ceiling") && number(vm, "usable") >= number(vm, "floor") &&
			   number(vm, "usable") <= number(vm, "ceiling");
	}
	settled &= charged == number(status, "charged");
	json_decref(status);
	return settled;
}
