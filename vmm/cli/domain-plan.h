/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `memtide domain enable` would do to a domain, and whether that would work.  Nothing is changed here.
 */
#ifndef MEMTIDE_DOMAIN_PLAN_H
#define MEMTIDE_DOMAIN_PLAN_H

#include <jansson.h>

#include "domain-edit.h"
#include "errtext.h"
#include "findings.h"
#include "virt.h"

/**
 * struct domain_plan - a domain before and after
 * @raw: as it came
 * @facts: of it
 * @before: the same in the form of @after
 * @after: as enabling would leave it; NULL if that cannot be done, with the reason in @after_errtext
 * @emulator: the one that it would have
 * @change: @emulator, or NULL where it is the one that it has: what domain_edit_enable() takes
 * @local: whether @emulator is on this host
 * @has: what the emulator has; NULL if it cannot be asked, with the reason in @has_errtext
 */
struct domain_plan {
	char *raw;
	struct domain_facts facts;
	char *before;
	char *after;
	struct memtide_errtext after_errtext;
	char *emulator;
	const char *change;
	bool local;
	json_t *has;
	struct memtide_errtext has_errtext;
};

/**
 * domain_plan_make() - plan
 * @raw: the domain's XML, taken over in any case
 * @emulator: the one that was asked for, or NULL: the one that the domain has if that has our device, else memtide's
 * @local: whether it runs on this host and can be asked
 * @ret_plan: for domain_plan_free(), untouched on failure
 *
 * Returns 0, -EINVAL if it is no domain, -EFBIG or -ENOMEM.
 */
int domain_plan_make(char *raw, const char *emulator, bool local, struct domain_plan *ret_plan,
		     struct memtide_errtext *errtext);
void domain_plan_free(struct domain_plan *plan);

/* Add a finding for each thing that has to be as it should.  @virt NULL: what libvirt says is left out. */
void domain_plan_check(const struct domain_plan *plan, struct virt *virt, struct report *report);

#endif /* MEMTIDE_DOMAIN_PLAN_H */
