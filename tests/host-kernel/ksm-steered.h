/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a test and the policy ksm-steered share: answers, and what was asked. */
#ifndef TESTS_HOST_KERNEL_KSM_STEERED_H
#define TESTS_HOST_KERNEL_KSM_STEERED_H

struct ksm_steering {
	/* set by the test */
	int visit;			/* the answer to visit */
	int merge;			/* the answer to merge */
	unsigned long long skip_from;	/* ranges that begin here or above ... */
	unsigned long long skip_to;	/* ... and below this are left alone */
	/* set by the policy */
	unsigned long long visits;
	unsigned long long ranges;
	unsigned long long candidates;
	unsigned long long merged;
	unsigned long long broken;
	unsigned long long paces;
	unsigned long long unchanged_max;
	unsigned long long age_max;
	unsigned long long window;	/* of the last snapshot */
	unsigned long long usage_pages;	/* in it */
	unsigned int exit_kind;
	char exit_reason[64];
};

#endif /* TESTS_HOST_KERNEL_KSM_STEERED_H */
