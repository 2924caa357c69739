/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt's domains: what the hook has told of each, from its start to its end, by UUID.  A domain is not a VM (vm.h):
 * it is there before its process is, it may have no tide device, and it outlives the daemon in a file.  Its policy
 * becomes terms of the VM that presents its UUID on the vmm socket.
 *
 *	domain.prepare		room is held in the ledger for who is about to start (domain-prepare.c)
 *	its device's hello	what was held becomes the VM's
 *	domain.started		or, without a device, stays for as long as its process lives
 *	domain.stopped, or its process is dead: it is forgotten
 *
 * What a VM without a device has is in the hands of a stand-in (vmm/agent), which presents it as a device does.
 *
 * Answers that promise something are given when it is in the file, so whenever the daemon is killed it finds out
 * what it has promised.
 */
#ifndef MEMTIDED_DOMAINS_H
#define MEMTIDED_DOMAINS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "control-reply.h"
#include "domain-attach.h"
#include "domain.h"
#include "ledger.h"
#include "loop.h"
#include "tenants.h"
#include "vm.h"

struct manager;

enum domain_phase {
	DOMAIN_PREPARED,	/* libvirt is about to start it */
	DOMAIN_RUNNING,		/* there is a process */
};

/* A domain.prepare that has not been answered yet. */
struct domain_prepare {
	struct control_later later;
	struct loop_timer timer;	/* armed while it waits for room */
	uint64_t begun_ns;
	uint64_t time_ns;		/* that it may take */
	bool stored;
	bool waiting;			/* for room */
	bool over;			/* no more is to be had in time */
	char warning[MEMTIDE_ERRTEXT_SIZE];
};

struct domain {
	struct manager *manager;
	struct domain *next;
	uint64_t number;		/* never used again */
	struct memtide_domain about;
	struct tenant *tenant;		/* NULL: none */
	struct domain *tenant_next;
	enum domain_phase phase;
	uint64_t prepared_at;		/* seconds since 1970 */
	struct loop_timer timer;	/* ends what takes too long */

	struct memtide_ledger_vm held;	/* in no ledger: nothing is held */
	struct domain_prepare prepare;

	struct domain_hosts hosts;	/* what its policy wants of the kernel */
	struct domain_attached attached;
	bool changing;			/* a new policy is being put in place */
	uint64_t balloon_by_hand;	/* bytes that an administrator has left it; 0: nobody has */
	bool waits_for_policy;		/* its VM was released since it has none any more */

	struct vm *vm;			/* NULL: it has not said hello, or has no device */
	pid_t pid;			/* 0: not known */
	uint64_t pid_started;		/* with @pid says which process it is */
	struct loop_source process;	/* fd -1: none */
};

struct domains {
	struct domain *first;
	uint64_t next_number;
	unsigned int waiting;		/* prepares that wait for room */
};

/* Those that the file say were there when the daemon ended. */
void domains_load(struct manager *manager);
void domains_free(struct manager *manager);

struct domain *domain_find(const struct manager *manager, const char *uuid);
struct domain *domain_by_number(const struct manager *manager, uint64_t number);

/* A domain that @about describes; one that there was of that UUID is forgotten.  NULL: no memory. */
struct domain *domain_new(struct manager *manager, const struct memtide_domain *about);
/* Nothing of it is left here; its file is another matter. */
void domain_free(struct domain *domain);
/* The same, and its file goes; @done is called when it is gone, with @arg.  It may be NULL. */
void domain_end(struct domain *domain, const char *why, void (*done)(void *arg, int error), void *arg);

/* Its policy has changed: whose VM it is now, and what follows from that. */
void domain_find_tenant(struct domain *domain);

/* Write its file as it is now.  As store_put(). */
void domain_save(struct domain *domain, void (*done)(void *arg, int error), void *arg);

/* It has a process, whose cgroup is looked for.  @pid may be 0: not known. */
void domain_runs(struct domain *domain, pid_t pid);

/*
 * Floor, maximum, start and shares of a VM, by configuration and by what is known of a domain of that UUID, which
 * may be NULL.  A floor that its tenant's budget does not allow is cut.  As memtide_config_vm().
 */
int domains_terms(const struct manager *manager, const struct memtide_config *config, const char *name,
		  const char *uuid, uint64_t ram, struct memtide_config_vm *ret_terms,
		  struct memtide_errtext *errtext);

/* Whether its tenant's budget allows the floor that it is to have.  0 or -EDQUOT, worded. */
int domain_tenant_allows(const struct domain *domain, struct memtide_errtext *errtext);

/* A VM has come that presents the UUID of a domain, or none; and one is gone, whether its process lives or not. */
void domains_vm_came(struct vm *vm);
void domains_vm_gone(struct vm *vm);

/* @vm was released until its domain has a policy again; or is not any more.  That is kept. */
void domain_wait_for_policy(const struct vm *vm, bool wait);

/* What is held for @vm's domain is about to become its own.  How much that was. */
uint64_t domains_hand_over(const struct vm *vm);
/* @vm is not managed after all: its domain is charged as one that runs without. */
void domains_hand_back(const struct vm *vm);

/* The balloon of @vm's domain is left at @bytes, as it was set by hand; 0: it is ours again.  What that was before. */
uint64_t domain_leave_balloon(const struct vm *vm, uint64_t bytes);

/*
 * domain-prepare.c
 */

/**
 * domain_prepare() - a domain is about to start
 * @request: answered now or later
 * @about: as the hook read it
 * @time_ns: after which an answer is of no use
 */
void domain_prepare(struct control_request *request, const struct memtide_domain *about, uint64_t time_ns);

/* Of a domain that has just come, and of one that goes: what was not answered is not answered any more. */
int domain_prepare_init(struct domain *domain);
void domain_prepare_fini(struct domain *domain);

/*
 * Hold room for it.  @cut: where its floor does not fit, hold as much of it as does.  0 or what
 * memtide_ledger_expect() says, worded.
 */
int domain_hold(struct domain *domain, bool cut, struct memtide_errtext *errtext);
/* The ledger said so of a VM with that floor, of a domain or not: -EDQUOT, worded. */
int domains_floor_refused(const struct manager *manager, uint64_t floor, struct memtide_errtext *errtext);
/* Its process runs without a device: it is charged all of its memory. */
void domain_hold_all(struct domain *domain);
/* Nothing is held any more. */
void domain_drop(struct domain *domain);

/* How much is missing to those that wait for room. */
uint64_t domains_missing(const struct manager *manager);
/* There may be room now. */
void domains_room(struct manager *manager);
/* Nobody has more to give. */
void domains_no_more(struct manager *manager);

#endif
