/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A domain's policies for the host's kernel, on its cgroup.  Everything here reads files, loads BPF and blocks: it is
 * for a worker's thread, works on memory of its own and does not log.
 */
#ifndef MEMTIDED_HOST_POLICIES_H
#define MEMTIDED_HOST_POLICIES_H

#include "domain-hosts.h"
#include "errtext.h"

enum host_policy_state {
	HOST_POLICY_WAITING,		/* for the cgroup */
	HOST_POLICY_ATTACHED,
	HOST_POLICY_UNAVAILABLE,	/* this host does not have it, or its kernel no hooks */
	HOST_POLICY_FAILED,
};

struct host_policy {
	char policy[MEMTIDE_DOMAIN_NAME];
	char families[64];		/* "ksm", or several with commas; "" where it was not read */
	enum host_policy_state state;
	char why[192];
};

struct host_policies {
	struct host_policy list[DOMAIN_HOSTS];
	size_t nr;
};

/* "waiting" and so on. */
const char *host_policy_state_name(enum host_policy_state state);

/**
 * host_policies_check() - whether this host has the policies, and they take their knobs
 * @path: as for memtide_policy_find()
 *
 * 0, or -ENOENT or what a policy says, worded: then a start is to be refused.  Needs no privileges and no hooks.
 */
int host_policies_check(const char *path, const struct domain_hosts *hosts, struct memtide_errtext *errtext);

/**
 * host_policies_ensure() - have just these policies attached
 * @path: as above
 * @cgroup: the VM's folder
 * @hosts: what is to be in force.  What is so already, with the same file and knobs, is left alone and goes on counting
 * @before: what was attached for this domain: what of it @hosts does not have is detached
 * @ret: what became of each
 * @errtext: of the first that failed
 *
 * 0, or the first failure; the others are attached all the same.
 */
int host_policies_ensure(const char *path, const char *cgroup, const struct domain_hosts *hosts,
			 const struct host_policies *before, struct host_policies *ret,
			 struct memtide_errtext *errtext);

/* Detach whatever is attached there by a pinned link; @ret_account gets what came of it, for people, or "". */
void host_policies_detach(const char *cgroup, char *ret_account, size_t size);

/**
 * host_policies_close() - the closed default: nothing in the VMs' cgroups merges that has no policy of its own
 * @machine: the folder, or "auto"
 *
 * 0, also where it is so already and on a kernel without hooks; -ENOENT where there is no such cgroup yet.
 */
int host_policies_close(const char *path, const char *machine, struct memtide_errtext *errtext);

#endif
