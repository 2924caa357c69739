/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of libvirt have around them: libvirtd, memtided where its users have it (/run/memtide), memtide-agent
 * between them, and domains alpha, beta, gamma, delta with memtide's device.  Only for cmocka's tests: what goes wrong
 * fails the test.
 */
#ifndef TESTS_LIBVIRT_WORLD_H
#define TESTS_LIBVIRT_WORLD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "controller.h"
#include "domain.h"
#include "libvirtd.h"
#include "vm.h"

#define WORLD_VMS	4

struct world {
	struct controller *controller;
	struct libvirtd *libvirtd;
	pid_t agent;
	struct domain *domain[WORLD_VMS];
};

extern struct world world;

/* Usable memory of a VM that comes to @mib where the guest's kernel is the lab's plain one. */
uint64_t world_bytes(unsigned int mib);
#define WORLD_RAM	world_bytes(512)
#define WORLD_FLOOR	world_bytes(192)
/* of the budget, for each VM: more than its floor and less than its RAM */
#define WORLD_VM_BUDGET	world_bytes(384)

/*
 * Starts all three; skips the test where there can be none.  @vms is how many domains' needs the budget is for: less than
 * their RAM.  @more is further configuration of memtided, or NULL.
 */
void world_open(int vms, const char *more);
/* Ends memtide-agent with @signal; starts it again after that. */
void world_agent_down(int signal);
void world_agent_up(void);
/* Starts domain @i and waits until memtided manages it. */
void world_start(int i, const char *policy);
/* The parts: defining it, and waiting until the agent has answered and memtided manages it. */
void world_define(int i, const char *policy);
void world_wait_managed(int i);
/* For cmocka's teardown, also after a test that failed half way: ends everything. */
int world_close(void **state);

/*
 * Whether the CPU is emulated, as the nested host's is on a machine without nested virtualisation: everything takes ten and
 * more times as long there, and what is said of real CPUs is not about it.
 */
bool world_is_emulated(void);

/* A number of what memtided's status says of domain @i: "ceiling", ... */
uint64_t world_number(int i, const char *key);
bool world_is_connected(int i);
bool world_state_is(int i, const char *state);
/* What memtided knows of domain @i by libvirt's hook or the agent, a new reference; NULL: nothing. */
json_t *world_domain(int i);
/* An entry of memtided's log has these words. */
bool world_has_noted(const char *words);
/* VMs have cgroups of their own here, whose limits hold. */
bool world_enforces(void);
/* memtided knows of no such VM. */
bool world_knows_not(int i);
/* The charges are within the budget, no VM has less than its floor, and nothing is under way. */
bool world_is_settled(void);

/* Waits until @condition, which asks somebody: a look each 2 ms, far longer than any of this takes. */
#define WORLD_TRIES	60000
#define WAIT_FOR(condition)								\
	do {										\
		int tries_left = WORLD_TRIES;						\
											\
		while (!(condition) && --tries_left)					\
			poll(NULL, 0, 2);						\
		if (!tries_left)							\
			fail_msg("never came: %s", #condition);				\
	} while (0)

#endif /* TESTS_LIBVIRT_WORLD_H */
