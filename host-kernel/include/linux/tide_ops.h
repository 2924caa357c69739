/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a memory policy implements: one table of operations a family, registered with struct_ops.
 *
 * This is the interface to BPF programs.  It grows at the end of each structure only, a member
 * never changes its meaning, and a program that leaves an operation out has the kernel's own
 * behaviour there.
 *
 * For all families: operations run in the kernel's own paths, so none may sleep, and maps that
 * allocate are refused.  Arguments are read only and valid during the call.  What an operation
 * returns is clamped to what its text allows, and counted when it had to be.
 */
#ifndef _LINUX_TIDE_OPS_H
#define _LINUX_TIDE_OPS_H

#include <linux/bits.h>
#include <linux/types.h>

#define TIDE_NAME_LEN		16
#define TIDE_REASON_LEN		64

/**
 * enum tide_exit_kind - why a policy is no longer in force
 * @TIDE_EXIT_NONE: it still is
 * @TIDE_EXIT_DETACHED: its link was detached or its last reference closed
 * @TIDE_EXIT_REPLACED: by an update of its link
 * @TIDE_EXIT_CGROUP: its cgroup was removed
 * @TIDE_EXIT_TALLY: its tally stayed below what its family asks for
 * @TIDE_EXIT_OOM: its cgroup ran out of memory, and the tally shows that it had a part in that
 * @TIDE_EXIT_ADMIN: by SysRq or by the eject file
 */
enum tide_exit_kind {
	TIDE_EXIT_NONE,
	TIDE_EXIT_DETACHED,
	TIDE_EXIT_REPLACED,
	TIDE_EXIT_CGROUP,
	TIDE_EXIT_TALLY,
	TIDE_EXIT_OOM,
	TIDE_EXIT_ADMIN,
};

/**
 * struct tide_exit - the exit record of a policy
 * @kind: enum tide_exit_kind
 * @family: enum tide_family
 * @cgroup_id: where it was attached
 * @name: the policy's
 * @reason: in words, with the values that decided
 */
struct tide_exit {
	u32 kind;
	u32 family;
	u64 cgroup_id;
	char name[TIDE_NAME_LEN];
	char reason[TIDE_REASON_LEN];
};

/**
 * struct tide_snapshot - how a scope is, as of the last window
 * @window: number of this window, from 1
 * @window_ns: how long it was
 * @some_ns: of that, some task of the scope waited for memory (PSI)
 * @full_ns: of that, all of them did
 * @usage_pages: charged to the cgroup, at the window's end
 * @limit_pages: the lower of its memory.high and memory.max, not looking at its ancestors
 *
 * Refreshed in the background, every few seconds while a policy is attached; never by a call.
 */
struct tide_snapshot {
	u64 window;
	u64 window_ns;
	u64 some_ns;
	u64 full_ns;
	u64 usage_pages;
	u64 limit_pages;
};

/**
 * struct tide_ksm_visit - ksmd comes to an mm
 * @scope: the policy's scope
 * @mm_id: the mm's, for as long as KSM knows it; never zero, not used twice
 * @pass: number of ksmd's pass over all memory, anew from 0 when all is unmerged through sysfs
 * @tracked_pages: pages of the mm that KSM keeps an item for
 * @merged_pages: of those, the ones that are merged
 */
struct tide_ksm_visit {
	const struct tide_snapshot *scope;
	u64 mm_id;
	u64 pass;
	u64 tracked_pages;
	u64 merged_pages;
};

/**
 * struct tide_ksm_range - ksmd comes to a stretch of at most 2 MiB that does not cross such a
 * boundary
 * @mm_id: as in struct tide_ksm_visit
 * @pass: as in struct tide_ksm_visit
 * @start: first virtual address
 * @end: first address behind it
 */
struct tide_ksm_range {
	u64 mm_id;
	u64 pass;
	u64 start;
	u64 end;
};

#define TIDE_KSM_IN_HUGE_PAGE	BIT(0)	/* merging it would split a huge page */

/**
 * struct tide_ksm_page - a page of an mm
 * @mm_id: as in struct tide_ksm_visit
 * @pass: as in struct tide_ksm_visit
 * @address: virtual
 * @unchanged: scans in a row that found the same checksum, at most 255
 * @flags: TIDE_KSM_IN_HUGE_PAGE
 * @age: scans since KSM found the page, at most 255; zero where KSM's smart scan is off
 */
struct tide_ksm_page {
	u64 mm_id;
	u64 pass;
	u64 address;
	u32 unchanged;
	u32 flags;
	u32 age;
};

/**
 * struct tide_ksm_pace - ksmd is about to scan a batch
 * @scope: the root's
 * @pages_to_scan: what sysfs or the advisor say
 * @scanned: pages scanned under this policy, since it was attached
 * @made: merges made under it
 * @broken: merges found broken under it
 */
struct tide_ksm_pace {
	const struct tide_snapshot *scope;
	u64 pages_to_scan;
	u64 scanned;
	u64 made;
	u64 broken;
};

#define TIDE_KSM_RANGE_SHIFT	21

/* As many pages as a visit has: no limit. */
#define TIDE_KSM_NO_LIMIT	(-1)
/* The most that pace may ask for, as the scan-time advisor's default maximum. */
#define TIDE_KSM_PACE_MAX	30000

/**
 * struct tide_ksm_ops - family ksm: what is merged with what, and how hard ksmd tries
 */
struct tide_ksm_ops {
	/**
	 * @visit: how many pages of this mm to scan before ksmd goes on
	 *
	 * Zero leaves the mm alone and keeps what is merged in it.  A visit that is cut short is
	 * gone on with at the next pass; pages that are scanned in different passes find each other
	 * only once one of their kind is merged.  Where the mm's domain has changed, ksmd looks
	 * through all of it for pages to unshare, whatever the limit.
	 *
	 * Return: pages, or TIDE_KSM_NO_LIMIT.
	 */
	int (*visit)(struct tide_ksm_visit *visit);

	/**
	 * @range: whether to scan a stretch of an mm now
	 *
	 * What is left alone keeps what is merged in it.  Not asked in a visit that looks for pages
	 * to unshare.
	 *
	 * Return: 1 to scan it, 0 to leave it alone until the next pass.
	 */
	int (*range)(struct tide_ksm_range *range);

	/**
	 * @merge: whether a page that is unchanged since the last scan may be merged now
	 *
	 * Return: 1 or 0.
	 */
	int (*merge)(struct tide_ksm_page *page);

	/**
	 * @merged: a page has become part of a merged one
	 */
	void (*merged)(struct tide_ksm_page *page);

	/**
	 * @broken: a page that was merged is found to be so no more
	 *
	 * It was written to, or discarded and touched again.
	 */
	void (*broken)(struct tide_ksm_page *page);

	/**
	 * @pace: how many pages ksmd scans before it sleeps.  Of the root's own policy only.
	 *
	 * Return: 1 to TIDE_KSM_PACE_MAX pages.
	 */
	int (*pace)(struct tide_ksm_pace *pace);

	/**
	 * @exit: the policy is no longer in force; no operation runs any more
	 */
	void (*exit)(struct tide_exit *exit);

	/**
	 * @cgroup_id: the cgroup to attach to, with everything below it that has no nearer policy
	 *
	 * cgroup v2, with the memory controller on.
	 */
	u64 cgroup_id;

	/**
	 * @domain: pages merge with pages of the same domain only; those of domain 0 never do
	 *
	 * From the first attachment on the cgroup is closed: without a policy its pages do not
	 * merge at all, until an administrator opens it by name.
	 */
	u64 domain;

	/**
	 * @flags: must be zero
	 */
	u32 flags;

	/**
	 * @name: of the policy, for people; required
	 */
	char name[TIDE_NAME_LEN];
};

#define TIDE_THP_ADVISED	BIT(0)	/* the mapping has MADV_HUGEPAGE */
#define TIDE_THP_KHUGEPAGED	BIT(1)	/* khugepaged asks, not a fault */

/**
 * struct tide_thp_request - a fault or khugepaged is about to choose the size of a folio
 * @scope: the policy's scope
 * @start: first virtual address of the mapping
 * @end: first address behind it
 * @orders: what the kernel would allow, and in a fault has room for: bit N for folios of 2^N
 *	pages; at least one is set
 * @flags: TIDE_THP_ADVISED, TIDE_THP_KHUGEPAGED
 */
struct tide_thp_request {
	const struct tide_snapshot *scope;
	u64 start;
	u64 end;
	u64 orders;
	u32 flags;
};

/**
 * struct tide_thp_visit - khugepaged comes to an mm
 * @scope: the policy's scope
 * @mm_id: the mm's, for as long as khugepaged knows it; never zero, not used twice
 * @pass: number of khugepaged's pass over all memory
 * @anon_pages: anonymous pages of the mm
 */
struct tide_thp_visit {
	const struct tide_snapshot *scope;
	u64 mm_id;
	u64 pass;
	u64 anon_pages;
};

/**
 * struct tide_thp_collapse - khugepaged is about to put a huge page in the place of small ones
 * @scope: the policy's scope
 * @mm_id: as in struct tide_thp_visit
 * @pass: as in struct tide_thp_visit
 * @address: virtual, of the first page
 * @present: pages that are mapped; the rest of the huge page will be zeros, or read from swap
 * @swapped: pages that are in swap
 * @shared: of the mapped pages, those that other processes may have, too
 * @young: of the mapped pages, those that were used since somebody looked last
 */
struct tide_thp_collapse {
	const struct tide_snapshot *scope;
	u64 mm_id;
	u64 pass;
	u64 address;
	u32 present;
	u32 swapped;
	u32 shared;
	u32 young;
};

/* As many pages as a visit has: no limit. */
#define TIDE_THP_NO_LIMIT	(-1)

/**
 * struct tide_thp_ops - family thp: how large the folios of anonymous memory are
 *
 * A policy narrows what sysfs and madvise() allow, in the same places as sysfs does: MADV_COLLAPSE
 * looks at neither, and what smaps says of a mapping is not the policy's.
 */
struct tide_thp_ops {
	/**
	 * @orders: which orders this mapping may use now
	 *
	 * Called in page faults that would make a large folio, so it is to be quick.  One that may
	 * have none makes a page.
	 *
	 * Return: a subset of @orders of struct tide_thp_request, 0 for none.
	 */
	int (*orders)(struct tide_thp_request *request);

	/**
	 * @visit: how many pages of this mm khugepaged scans before it goes on
	 *
	 * Zero leaves the mm alone.  A visit that is cut short is gone on with at the next pass.
	 *
	 * Return: pages, rounded up to whole huge pages, or TIDE_THP_NO_LIMIT.
	 */
	int (*visit)(struct tide_thp_visit *visit);

	/**
	 * @collapse: whether khugepaged may make this huge page
	 *
	 * Return: 1 or 0.
	 */
	int (*collapse)(struct tide_thp_collapse *collapse);

	/**
	 * @exit: as in struct tide_ksm_ops
	 */
	void (*exit)(struct tide_exit *exit);

	/**
	 * @cgroup_id: as in struct tide_ksm_ops
	 */
	u64 cgroup_id;

	/**
	 * @flags: must be zero
	 */
	u32 flags;

	/**
	 * @name: of the policy, for people; required
	 */
	char name[TIDE_NAME_LEN];
};

#endif /* _LINUX_TIDE_OPS_H */
