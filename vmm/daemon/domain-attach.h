/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When a domain's policies for the host's kernel are checked, attached, changed and detached.  The loader's thread does
 * all of it, one job after the other; here is what the loop's thread asks for.
 */
#ifndef MEMTIDED_DOMAIN_ATTACH_H
#define MEMTIDED_DOMAIN_ATTACH_H

#include "cgroup.h"
#include "errtext.h"
#include "host-policies.h"

struct domain;

/* What is attached for a domain, as far as is known. */
struct domain_attached {
	struct host_policies policies;
	char cgroup[MEMTIDE_CGROUP_PATH_MAX];	/* "": not known */
};

/*
 * Called in the loop's thread; @error as of the function that was asked for, worded in @errtext.  @domain is NULL where
 * it has gone by then.
 */
typedef void domain_attach_done(struct domain *domain, int error, const struct memtide_errtext *errtext, void *arg);

/*
 * Before it starts: are the policies there, and do they take their knobs?  And where one of them is about merging, the
 * VMs' cgroups are closed by default from now on: its own cgroup is not there yet, and its pages may be merged before
 * its policy is attached to it.
 */
void domain_attach_check(struct domain *domain, domain_attach_done *done, void *arg);

/* Have on its cgroup what its policy says now.  Nothing happens where that is not known; what fails is logged. */
void domain_attach(struct domain *domain);

/*
 * The same for a policy that has just changed: where something fails, what was there before is put back, and @done is
 * told.
 */
void domain_attach_change(struct domain *domain, domain_attach_done *done, void *arg);

/* It ends: nothing is attached for it any more. */
void domain_detach(struct domain *domain);

#endif
