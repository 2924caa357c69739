/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test bed for libvirt's domains: the real memtided, made-up VMs "a", "b" and "c" whose UUIDs are those of the
 * domains of the same names, and the hook.
 */
#ifndef TESTS_VM_DOMAINS_BED_H
#define TESTS_VM_DOMAINS_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller.h"
#include "libvirt-hook.h"
#include "peer.h"

#define MIB		(UINT64_C(1) << 20)
#define RAM_MIB		512
#define RAM		(RAM_MIB * MIB)
#define PATIENCE_MS	10000
#define PEERS		3
/* Beyond a time limit: what starting a process takes on a machine that compiles beside. */
#define SLACK_MS	10000

#define CONFIG(budget)	"budget = " budget "\nreserve = 0\npolicy = none\n[default]\nfloor = 64M\n"

struct fixture {
	struct controller *controller;
	struct peer *peer[PEERS];
	char run[64];		/* libvirt's folder with process ids */
	uint32_t random;
};

extern const char *const names[PEERS];

/* Members of an answer; 0 or "" if they are not there. */
uint64_t number(const json_t *json, const char *name);
const char *text(const json_t *json, const char *name);
/* A call that has to succeed; a new reference. */
json_t *call(struct fixture *f, const char *method, json_t *params);
/* Numbers of the status, and of a VM or domain that has to be there. */
uint64_t status_number(struct fixture *f, const char *name);
uint64_t vm_number(struct fixture *f, const char *vm, const char *name);
/* What domain.list says of it: a new reference, or NULL. */
json_t *domain(struct fixture *f, const char *name);
size_t nr_domains(struct fixture *f);
uint64_t domain_number(struct fixture *f, const char *name, const char *member);
void assert_phase(struct fixture *f, const char *name, const char *phase);
void wait_no_domain(struct fixture *f);
/* A new policy for domain a, as JSON; 0 or a negative errno. */
int set_policy(struct fixture *f, json_t *policy);
/* Until the ledger charges that much in all. */
void wait_charged(struct fixture *f, uint64_t bytes);
/* A process as a VM without a device has one: it does nothing, and ends with this one. */
pid_t start_process(void);
void end_process(pid_t pid);
/* Let peer @which come, before or after its guest is up. */
void start_peer_as(struct fixture *f, int which, bool driver);
void start_peer(struct fixture *f, int which);
void wait_connections(struct fixture *f, int which, unsigned int connections);
/* memtided with @config; what the tests call is freed with stop(). */
struct fixture *start(const char *config);
void kill_and_restart(struct fixture *f);
void stop(struct fixture *f);
void write_pid(struct fixture *f, const char *name, pid_t pid);
void assert_policy_of_a(struct fixture *f);
void assert_hook(const struct hook_domain *domain_of, const char *operation, int status);

/* a has a floor of 128, a maximum of 384 MiB and 200 shares, b and c an empty policy. */
extern const struct hook_domain a, b, c;

#endif
