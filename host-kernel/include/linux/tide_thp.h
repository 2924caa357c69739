/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Family thp, as page faults and khugepaged see it: which orders they may use, how much of an mm is
 * scanned, and single collapses.
 */
#ifndef _LINUX_TIDE_THP_H
#define _LINUX_TIDE_THP_H

#include <linux/jump_label.h>
#include <linux/types.h>

struct folio;
struct mm_struct;
struct vm_area_struct;

/**
 * struct tide_thp_slot - what khugepaged keeps of an mm between visits
 * @id: the mm's name for policies; zero before the first visit
 * @pass: of the last visit
 * @cursor: where the next visit starts
 * @left: pages that this visit may still scan, negative for no limit
 *
 * Zero when khugepaged comes to know the mm.  Of khugepaged.
 */
struct tide_thp_slot {
#ifdef CONFIG_TIDE
	u64 id;
	u64 pass;
	unsigned long cursor;
	long left;
#endif
};

/**
 * struct tide_thp_found - what khugepaged has found in the place of a huge page
 * @address: of the huge page
 * @none: pages that are not mapped, or are the zero page
 * @swapped: pages that are in swap
 * @shared: mapped pages that other processes may have
 * @young: mapped pages that were used
 */
struct tide_thp_found {
	unsigned long address;
	unsigned int none;
	unsigned int swapped;
	unsigned int shared;
	unsigned int young;
};

#ifdef CONFIG_TIDE

/* On while some policy of family thp is attached. */
DECLARE_STATIC_KEY_FALSE(tide_thp_key);

static inline bool tide_thp_enabled(void)
{
	return static_branch_unlikely(&tide_thp_key);
}

/* All of these are behind a test of tide_thp_enabled(). */
unsigned long tide_thp_fault_orders(struct vm_area_struct *vma, unsigned long orders);
void tide_thp_fault_failed(struct vm_area_struct *vma, unsigned long orders);
bool tide_thp_may_fault(struct vm_area_struct *vma);
bool tide_thp_may_scan(struct vm_area_struct *vma);
unsigned long tide_thp_visit(struct tide_thp_slot *slot, struct mm_struct *mm, u64 pass,
			     unsigned long address);
bool tide_thp_visit_is_over(struct tide_thp_slot *slot, unsigned long address);
void tide_thp_scanned(struct tide_thp_slot *slot);
bool tide_thp_may_collapse(struct tide_thp_slot *slot, struct mm_struct *mm,
			   const struct tide_thp_found *found);
void tide_thp_made(struct mm_struct *mm);
void tide_thp_split(struct folio *folio, unsigned long pages);

/* The visit has come to the mm's end. */
static inline void tide_thp_visit_end(struct tide_thp_slot *slot)
{
	slot->cursor = 0;
}

#else /* !CONFIG_TIDE */

static inline bool tide_thp_enabled(void) { return false; }

static inline unsigned long tide_thp_fault_orders(struct vm_area_struct *vma, unsigned long orders)
{
	return orders;
}

static inline void tide_thp_fault_failed(struct vm_area_struct *vma, unsigned long orders) {}
static inline bool tide_thp_may_fault(struct vm_area_struct *vma) { return true; }
static inline bool tide_thp_may_scan(struct vm_area_struct *vma) { return true; }

static inline unsigned long tide_thp_visit(struct tide_thp_slot *slot, struct mm_struct *mm,
					   u64 pass, unsigned long address)
{
	return address;
}

static inline bool tide_thp_visit_is_over(struct tide_thp_slot *slot, unsigned long address)
{
	return false;
}

static inline void tide_thp_scanned(struct tide_thp_slot *slot) {}
static inline void tide_thp_visit_end(struct tide_thp_slot *slot) {}

static inline bool tide_thp_may_collapse(struct tide_thp_slot *slot, struct mm_struct *mm,
					 const struct tide_thp_found *found)
{
	return true;
}

static inline void tide_thp_made(struct mm_struct *mm) {}
static inline void tide_thp_split(struct folio *folio, unsigned long pages) {}

#endif /* CONFIG_TIDE */

#endif /* _LINUX_TIDE_THP_H */
