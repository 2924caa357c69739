/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy of one VM, as its libvirt domain states it in <metadata>: one element <policy> of namespace
 * urn:memtide:policy:1.  docs/domain-xml.md explains each part to who writes one, libvirt-hooks/memtide-policy.rng
 * is its schema.  Here it becomes a plain struct, or an error with line, element, value, limit and mend.
 *
 * Whether it fits the VM that it is for is domain.h's to say, whether its host policies exist and take their knobs
 * is the policy loader's (policy.h).
 */
#ifndef MEMTIDE_DOMAIN_POLICY_H
#define MEMTIDE_DOMAIN_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errtext.h"

#define MEMTIDE_POLICY_NAMESPACE	"urn:memtide:policy:1"
/* Of the element in which `memtide domain enable` keeps what it has changed; no part of the policy. */
#define MEMTIDE_ENABLED_NAMESPACE	"urn:memtide:enabled:1"

/* The longest string that libvirt hands on (REMOTE_STRING_MAX): no document from it can be larger. */
#define MEMTIDE_DOMAIN_BYTES_MAX	(4 * 1024 * 1024)

#define MEMTIDE_DOMAIN_UNSET	UINT64_MAX
#define MEMTIDE_DOMAIN_NAME	64	/* room for the name of a tenant, policy or knob, and its end */
#define MEMTIDE_DOMAIN_VALUE	32	/* room for a knob's value and its end */
/* A cgroup has one policy of each family; more families than this are not even planned. */
#define MEMTIDE_DOMAIN_HOSTS	16
#define MEMTIDE_DOMAIN_KNOBS	64	/* of all host policies together */
#define MEMTIDE_DOMAIN_SKIPPED	8	/* elements that are named; those after them are only counted */

/* A size or number, and the line where it is given; MEMTIDE_DOMAIN_UNSET and 0 if it is not. */
struct memtide_domain_value {
	uint64_t value;
	unsigned int line;
};

/* Hint: whom to ask first when another VM needs memory. */
enum memtide_donate {
	MEMTIDE_DONATE_NORMAL,
	MEMTIDE_DONATE_FIRST,
	MEMTIDE_DONATE_LAST,
};

enum memtide_domain_ksm {
	MEMTIDE_KSM_INHERITED,		/* what holds for its tenant */
	MEMTIDE_KSM_OFF,		/* host policy ksm-off */
	MEMTIDE_KSM_TENANT,		/* host policy ksm-tenant, in the domain of its tenant */
};

enum memtide_domain_thp {
	MEMTIDE_THP_INHERITED,
	MEMTIDE_THP_NEVER,		/* host policy thp-never, and so on */
	MEMTIDE_THP_ALWAYS,
	MEMTIDE_THP_PRESSURE,
};

/**
 * struct memtide_domain_host - a policy for the host's kernel
 * @policy: as memtide_policy_find() takes it
 * @optional: whether the VM is to start without it where this host does not have it
 * @line: where it is given
 */
struct memtide_domain_host {
	char policy[MEMTIDE_DOMAIN_NAME];
	bool optional;
	unsigned int line;
};

/* A knob of @hosts[@host], with name and value as memtide_policy_set_knob() takes them. */
struct memtide_domain_knob {
	unsigned int host;
	char name[MEMTIDE_DOMAIN_NAME];
	char value[MEMTIDE_DOMAIN_VALUE];
	unsigned int line;
};

/* An element that this version does not know and that may be skipped: worth a warning. */
struct memtide_domain_skipped {
	char element[MEMTIDE_DOMAIN_NAME];
	unsigned int line;
};

/**
 * struct memtide_domain_policy - all of it
 * @line: of the element itself
 * @tenant: "" if it has none
 * @tenant_line: where it is given
 * @floor: bytes; floor, maximum and shares are unset where memtided's configuration holds
 * @maximum: bytes, not zero, at least the floor
 * @shares: 1 to MEMTIDE_LEDGER_SHARES
 * @donate: hint
 * @headroom: hint: bytes to leave the guest beyond what it uses; 0 if not given
 * @ksm: with MEMTIDE_KSM_TENANT there is a tenant
 * @ksm_rate_pages: knob rate_pages of ksm-tenant; 0 is no limit
 * @ksm_line: where it is given, 0 if it is not
 * @thp: how large the pages are that back the VM
 * @thp_line: where it is given, 0 if it is not
 * @hosts: policies for the host's kernel, by name, each name once; not of a family that @ksm or @thp already names
 * @nr_hosts: how many
 * @knobs: theirs, in the order of @hosts
 * @nr_knobs: how many
 * @skipped: the first of what was skipped
 * @nr_skipped: how many there were, which may be more than @skipped has room for
 */
struct memtide_domain_policy {
	unsigned int line;
	char tenant[MEMTIDE_DOMAIN_NAME];
	unsigned int tenant_line;
	struct memtide_domain_value floor;
	struct memtide_domain_value maximum;
	struct memtide_domain_value shares;
	enum memtide_donate donate;
	uint64_t headroom;
	enum memtide_domain_ksm ksm;
	uint32_t ksm_rate_pages;
	unsigned int ksm_line;
	enum memtide_domain_thp thp;
	unsigned int thp_line;
	struct memtide_domain_host hosts[MEMTIDE_DOMAIN_HOSTS];
	size_t nr_hosts;
	struct memtide_domain_knob knobs[MEMTIDE_DOMAIN_KNOBS];
	size_t nr_knobs;
	struct memtide_domain_skipped skipped[MEMTIDE_DOMAIN_SKIPPED];
	size_t nr_skipped;
};

/**
 * memtide_domain_policy_read() - read the metadata element alone
 * @text: as virDomainGetMetadata() returns it, not necessarily terminated
 * @size: of @text
 * @ret_policy: untouched on failure
 * @errtext: line, element, value, limit and mend; may be NULL
 *
 * libvirt takes the namespace away from what it returns there, so elements without one are taken for ours.  For a
 * whole domain there is memtide_domain_read().
 *
 * Returns 0, -EINVAL for a document that is wrong, -EFBIG for one above MEMTIDE_DOMAIN_BYTES_MAX, or -ENOMEM.  Any
 * thread; opens no file and no connection, whatever the document says.
 */
int memtide_domain_policy_read(const char *text, size_t size, struct memtide_domain_policy *ret_policy,
			       struct memtide_errtext *errtext);

/* "off", "tenant", "never" and so on, or "" for what is inherited; "first", "normal", "last". */
const char *memtide_domain_ksm_name(enum memtide_domain_ksm ksm);
const char *memtide_domain_thp_name(enum memtide_domain_thp thp);
const char *memtide_donate_name(enum memtide_donate donate);

#endif /* MEMTIDE_DOMAIN_POLICY_H */
