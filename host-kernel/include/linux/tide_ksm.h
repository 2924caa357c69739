/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Family ksm, as mm/ksm.c sees it: merge domains, and what policies say to ksmd.
 *
 * All of this is for ksmd, or for who holds ksm_thread_mutex, if it does not say otherwise.
 */
#ifndef _LINUX_TIDE_KSM_H
#define _LINUX_TIDE_KSM_H

#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/tide.h>
#include <linux/types.h>

struct mm_struct;
struct tide_ksm_page;

/**
 * struct tide_ksm_slot - what ksmd keeps of an mm between visits
 * @id: the mm's name for policies; zero before the first visit
 * @cursor: where the next visit starts
 * @left: pages that this visit may still scan, negative for no limit
 * @range_end: up to here the policy was asked about ranges
 * @cpu_ns: ksmd's CPU time when this visit was last accounted
 * @scanned: pages that KSM had scanned then
 * @unshare: pages of another domain may be left, so this visit goes through all of the mm
 * @waiting: pages that were merged in another domain, as of the change, less what was unshared
 * @failed: pages that this visit could not unshare
 * @full: for want of room in the mm's cgroup, which is not asked to reclaim again in this visit
 * @skip: the policy leaves the mm alone in this visit
 * @unstable: some of its items may be in the unstable tree
 */
struct tide_ksm_slot {
	u64 id;
	unsigned long cursor;
	long left;
	unsigned long range_end;
	u64 cpu_ns;
	unsigned long scanned;
	unsigned long waiting;
	unsigned long failed;
	bool full;
	bool unshare;
	bool skip;
	bool unstable;
};

/**
 * struct tide_ksm_domain - pages that may be merged with each other
 * @kobj: its folder in /sys/kernel/tide/ksm/domains
 * @list: in the list of domains
 * @id: as policies say it
 * @policies: attached ones; under tide_ksm_domains_mutex
 * @nodes: nodes of the stable tree
 * @shared: pages in use by @sharing and themselves, as ksm/pages_shared
 * @sharing: mappings beyond the first, which is what is saved, as ksm/pages_sharing
 * @unshared: pages that were merged in another domain and are not any more
 * @unshare_failed: attempts that failed for want of memory; they are repeated at the next pass
 * @scanned: pages
 * @made: merges
 * @broken: merges that were found broken
 * @cpu_ns: CPU time of ksmd
 * @used: some mm is in it; while unused domains are looked for
 *
 * A pointer to it is a key in KSM's trees.  NULL stands for all that never had a policy.
 */
struct tide_ksm_domain {
	struct kobject kobj;
	struct list_head list;
	u64 id;
	unsigned int policies;
	unsigned long nodes;
	unsigned long shared;
	unsigned long sharing;
	unsigned long unshared;
	unsigned long unshare_failed;
	unsigned long scanned;
	unsigned long made;
	unsigned long broken;
	u64 cpu_ns;
	bool used;
};

#ifdef CONFIG_TIDE

/* The domain of what is closed and has no policy: nothing merges in it. */
extern struct tide_ksm_domain tide_ksm_never;

/* Any context. */
struct tide_ksm_domain *tide_ksm_domain_of(struct mm_struct *mm);

long tide_ksm_visit(struct mm_struct *mm, u64 mm_id, u64 pass);
bool tide_ksm_range(struct mm_struct *mm, u64 mm_id, u64 pass, unsigned long start,
		    unsigned long end);
bool tide_ksm_may_merge(struct mm_struct *mm, struct tide_ksm_page *page);
void tide_ksm_scanned(struct mm_struct *mm, unsigned long pages, u64 cpu_ns);
void tide_ksm_merged(struct mm_struct *mm, struct tide_ksm_page *page);
void tide_ksm_broken(struct mm_struct *mm, struct tide_ksm_page *page);
unsigned int tide_ksm_pace(unsigned int pages_to_scan);
bool tide_ksm_may_unshare(struct mm_struct *mm, bool reclaim);
void tide_ksm_unshared(struct mm_struct *mm, u64 mm_id, unsigned long address, int err);

/* Of mm/ksm.c: waits until ksmd uses what it finds from now on.  Sleeps. */
void ksm_wait_for_scan(void);
/* Of mm/ksm.c: pages of @domain's mms that are still merged in another one. */
unsigned long ksm_waiting(const struct tide_ksm_domain *domain);
/* Of mm/ksm.c: sets @used of the domains that some mm is in.  Sleeps. */
void ksm_mark_domains(void);

#endif /* CONFIG_TIDE */

#endif /* _LINUX_TIDE_KSM_H */
