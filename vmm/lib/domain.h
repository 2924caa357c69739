/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A libvirt domain as far as memtide is concerned: its policy, its own limits, and whether the two agree.
 */
#ifndef MEMTIDE_DOMAIN_H
#define MEMTIDE_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "domain-limits.h"
#include "domain-policy.h"
#include "errtext.h"

/**
 * struct memtide_domain - what the XML of a domain says
 * @name: cut where it is longer than a file may be called, which libvirt cannot store
 * @uuid: as libvirt writes it, "" if there is none
 * @has_policy: whether there is one; @policy means nothing otherwise
 * @policy: its policy
 * @limits: its own limits
 */
struct memtide_domain {
	char name[256];
	char uuid[37];
	bool has_policy;
	struct memtide_domain_policy policy;
	struct memtide_domain_limits limits;
};

/**
 * memtide_domain_read() - read the XML of a whole domain
 * @text: as the libvirt hook gets it on its standard input, not necessarily terminated
 * @size: of @text
 * @ret_domain: untouched on failure
 * @errtext: line, element, value, limit and mend; may be NULL
 *
 * Returns 0, -EINVAL for a document that is wrong, -EFBIG for one above MEMTIDE_DOMAIN_BYTES_MAX, or -ENOMEM.  Any
 * thread; opens no file and no connection, whatever the document says.  Does not check the policy against the
 * limits.
 */
int memtide_domain_read(const char *text, size_t size, struct memtide_domain *ret_domain,
			struct memtide_errtext *errtext);

/*
 * The same for all but its policy, which may be wrong: @ret_domain has none.
 */
int memtide_domain_read_limits(const char *text, size_t size, struct memtide_domain *ret_domain,
			       struct memtide_errtext *errtext);

/**
 * memtide_domain_check() - whether a policy asks for no more than the domain allows
 * @policy: as it was read
 * @limits: of the same domain; not necessarily out of the same document
 * @errtext: names the policy's element and the domain's, with line, value and mend; may be NULL
 *
 * Pure.  Returns 0 or -EINVAL.  A VM that cannot be reclaimed may have a floor, a tenant and shares: they say what
 * others may claim from it, which is nothing.
 */
int memtide_domain_check(const struct memtide_domain_policy *policy, const struct memtide_domain_limits *limits,
			 struct memtide_errtext *errtext);

#endif /* MEMTIDE_DOMAIN_H */
