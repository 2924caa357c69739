/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test bed for libvirt's domains: that of peers-bed.h, whose VMs' UUIDs are those of the domains of the same names,
 * and the hook.
 */
#ifndef TESTS_VM_DOMAINS_BED_H
#define TESTS_VM_DOMAINS_BED_H

#include "libvirt-hook.h"
#include "peers-bed.h"

/* Beyond a time limit: what starting a process takes on a machine that compiles beside. */
#define SLACK_MS	10000

#define CONFIG(budget)	"budget = " budget "\nreserve = 0\npolicy = none\n[default]\nfloor = 64M\n"

/* What domain.list says of it: a new reference, or NULL. */
json_t *domain(struct fixture *f, const char *name);
size_t nr_domains(struct fixture *f);
/* Of a domain that has to be there. */
uint64_t domain_number(struct fixture *f, const char *name, const char *member);
void assert_phase(struct fixture *f, const char *name, const char *phase);
void wait_no_domain(struct fixture *f);
/* A new policy for domain a, as JSON; 0 or a negative errno. */
int set_policy(struct fixture *f, json_t *policy);
/* A process as a VM without a device has one: it does nothing, and ends with this one. */
pid_t start_process(void);
void end_process(pid_t pid);
/* memtided with @config, and the hook for it; ended with stop(). */
struct fixture *start(const char *config);
void stop(struct fixture *f);
void write_pid(const char *name, pid_t pid);
void assert_policy_of_a(struct fixture *f);
void assert_hook(const struct hook_domain *domain_of, const char *operation, int status);

/* a has a floor of 128, a maximum of 384 MiB and 200 shares, b and c an empty policy. */
extern const struct hook_domain a, b, c;

#endif
