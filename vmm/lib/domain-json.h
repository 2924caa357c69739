/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A domain as it goes over the control socket and into memtided's files.  Who has the XML reads it with domain.h;
 * memtided itself reads none.
 *
 *	domain: { name, uuid, memory?, current? (not of a domain that runs: there it is the balloon's doing), hard_limit?,
 *		  soft_limit?, device (it has a virtio-tide device), balloon (it has a virtio-balloon), obstacles: [ "vfio"
 *		  ... ], policy? (null: it has none) }
 *	policy: { tenant?, floor?, maximum?, shares?, donate ("normal"|"first"|"last"), headroom, ksm? ("off"|"tenant"),
 *		  ksm_rate_pages?, thp? ("never"|"always"|"pressure"), hosts: [ { policy, optional, knobs: { NAME:
 *		  "VALUE" } } ... ] }
 *
 * Sizes are bytes.  Members are only ever added; those that are not known are passed over.
 */
#ifndef MEMTIDE_DOMAIN_JSON_H
#define MEMTIDE_DOMAIN_JSON_H

#include <jansson.h>

#include "domain.h"

/* A new reference, or NULL: no memory. */
json_t *memtide_domain_to_json(const struct memtide_domain *domain);
json_t *memtide_domain_policy_to_json(const struct memtide_domain_policy *policy);

/**
 * memtide_domain_from_json() - the other way round
 * @json: from a program that is trusted to have checked the domain, but checked for form all the same
 * @ret_domain: lines are 1 where a value is set.  The
 *	uuid is in small letters and makes a safe file name.  Untouched on failure
 * @errtext: the member, its value and the limit; may be NULL
 *
 * Returns 0 or -EINVAL.  Any thread.
 */
int memtide_domain_from_json(const json_t *json, struct memtide_domain *ret_domain, struct memtide_errtext *errtext);
int memtide_domain_policy_from_json(const json_t *json, struct memtide_domain_policy *ret_policy,
				    struct memtide_errtext *errtext);

/* @text in small letters, if it is a UUID.  Returns whether it is. */
bool memtide_domain_uuid(const char *text, char ret_uuid[static 37]);

#endif /* MEMTIDE_DOMAIN_JSON_H */
