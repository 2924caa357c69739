// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A policy against the domain that it is for.  Whoever administers the domain has the last word: a policy that
 * asks for more is not cut to what fits but refused, since one of the two is a mistake.
 */
#include "domain.h"

#include <errno.h>
#include <string.h>

#include "size.h"

/* Merging is for anonymous memory that the host can read. */
static const enum memtide_obstacle not_mergeable[] = {
	MEMTIDE_OBSTACLE_HUGETLB, MEMTIDE_OBSTACLE_SHARED, MEMTIDE_OBSTACLE_FILE, MEMTIDE_OBSTACLE_ENCRYPTED,
};

/* @value, a size in the policy, may not be above @limit, one of the domain. */
static int check_size(const char *element, const struct memtide_domain_value *value, const char *limit_element,
		      const struct memtide_domain_value *limit, struct memtide_errtext *errtext)
{
	char value_text[MEMTIDE_SIZE_TEXT], limit_text[MEMTIDE_SIZE_TEXT];

	if (!value->line || limit->value == MEMTIDE_DOMAIN_UNSET || value->value <= limit->value)
		return 0;
	return memtide_errtext_set(errtext, -EINVAL,
				   "line %u, <%s>: %s is above the domain's <%s> = %s in line %u, lower it or "
				   "raise that",
				   value->line, element, memtide_size_format(value->value, value_text),
				   limit_element, memtide_size_format(limit->value, limit_text), limit->line);
}

static int check_sizes(const char *element, const struct memtide_domain_value *value,
		       const struct memtide_domain_limits *limits, struct memtide_errtext *errtext)
{
	int r;

	r = check_size(element, value, "memory", &limits->memory, errtext);
	if (!r)
		r = check_size(element, value, "currentMemory", &limits->current, errtext);
	if (!r)
		r = check_size(element, value, "hard_limit", &limits->hard_limit, errtext);
	if (!r)
		r = check_size(element, value, "soft_limit", &limits->soft_limit, errtext);
	return r;
}

/* A maximum below what the VM starts with means that some of it is to be taken. */
static int check_taking(const struct memtide_domain_policy *policy, const struct memtide_domain_limits *limits,
			struct memtide_errtext *errtext)
{
	uint64_t has = limits->current.value < limits->memory.value ? limits->current.value : limits->memory.value;
	char maximum[MEMTIDE_SIZE_TEXT], has_text[MEMTIDE_SIZE_TEXT];

	if (!policy->maximum.line || has == MEMTIDE_DOMAIN_UNSET || policy->maximum.value >= has)
		return 0;
	memtide_size_format(policy->maximum.value, maximum);
	memtide_size_format(has, has_text);
	for (int i = 0; i < MEMTIDE_OBSTACLES; i++)
		if (limits->obstacles[i].element)
			return memtide_errtext_set(errtext, -EINVAL,
						   "line %u, <maximum>: %s of the domain's %s cannot be had, "
						   "since no memory can be taken from it: %s (%s in line %u); "
						   "leave <maximum> out",
						   policy->maximum.line, maximum, has_text,
						   memtide_obstacle_text(i), limits->obstacles[i].element,
						   limits->obstacles[i].line);
	if (limits->no_balloon && !limits->tide_device)
		return memtide_errtext_set(errtext, -EINVAL,
					   "line %u, <maximum>: %s of the domain's %s cannot be had, since "
					   "nothing can ask the guest for memory: <memballoon model='none'> in "
					   "line %u and no virtio-tide device; add one of them, or leave "
					   "<maximum> out",
					   policy->maximum.line, maximum, has_text, limits->no_balloon);
	return 0;
}

/* Where the policy has pages merged: the line, and what says so; 0 if nowhere. */
static unsigned int find_merging(const struct memtide_domain_policy *policy, const char **ret_element)
{
	*ret_element = "<ksm>: mode = \"tenant\"";
	if (policy->ksm == MEMTIDE_KSM_TENANT)
		return policy->ksm_line;
	*ret_element = "<host>: a ksm policy";
	for (size_t i = 0; i < policy->nr_hosts; i++)
		if (!strncmp(policy->hosts[i].policy, "ksm-", 4) && strcmp(policy->hosts[i].policy, "ksm-off"))
			return policy->hosts[i].line;
	return 0;
}

static int check_merging(const struct memtide_domain_policy *policy, const struct memtide_domain_limits *limits,
			 struct memtide_errtext *errtext)
{
	const char *element;
	unsigned int line = find_merging(policy, &element);

	if (!line)
		return 0;
	if (limits->nosharepages)
		return memtide_errtext_set(errtext, -EINVAL,
					   "line %u, %s would share pages, which the domain's <nosharepages> in "
					   "line %u forbids: leave one of the two out", line, element,
					   limits->nosharepages);
	for (size_t i = 0; i < sizeof(not_mergeable) / sizeof(not_mergeable[0]); i++)
		if (limits->obstacles[not_mergeable[i]].element)
			return memtide_errtext_set(errtext, -EINVAL,
						   "line %u, %s cannot share pages: %s (%s in line %u); write "
						   "<ksm mode='off'> or leave it out", line, element,
						   memtide_obstacle_text(not_mergeable[i]),
						   limits->obstacles[not_mergeable[i]].element,
						   limits->obstacles[not_mergeable[i]].line);
	return 0;
}

int memtide_domain_check(const struct memtide_domain_policy *policy, const struct memtide_domain_limits *limits,
			 struct memtide_errtext *errtext)
{
	int r;

	r = check_sizes("floor", &policy->floor, limits, errtext);
	if (!r)
		r = check_sizes("maximum", &policy->maximum, limits, errtext);
	if (!r)
		r = check_taking(policy, limits, errtext);
	return r ? r : check_merging(policy, limits, errtext);
}
