// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

/* As libvirt has it just now; its policy may be wrong, and then what is said of that stays in @errtext. */
static int read_xml(const char *xml, struct memtide_domain *ret_about, struct memtide_errtext *errtext)
{
	size_t size = strlen(xml);
	struct memtide_errtext other;
	int r;

	r = memtide_domain_read(xml, size, ret_about, errtext);
	if (r != -EINVAL)
		return r;
	r = memtide_domain_read_limits(xml, size, ret_about, &other);
	if (r)
		*errtext = other;
	return r;
}

int live_read(const struct agent_domain *domain, struct memtide_domain *ret_about, struct memtide_errtext *errtext)
{
	char *xml = virDomainGetXMLDesc(domain->handle, 0);
	int r;

	errtext->text[0] = '\0';
	if (!xml)
		return memtide_errtext_set(errtext, virGetLastErrorCode() == VIR_ERR_OPERATION_TIMEOUT ? -EAGAIN : -EIO,
					   "libvirt says: %s", virGetLastErrorMessage());
	r = read_xml(xml, ret_about, errtext);
	free(xml);
	if (r)
		return r;
	ret_about->limits.current = (struct memtide_domain_value){ .value = MEMTIDE_DOMAIN_UNSET };
	if (ret_about->has_policy && memtide_domain_check(&ret_about->policy, &ret_about->limits, errtext) < 0)
		ret_about->has_policy = false;
	return 0;
}
