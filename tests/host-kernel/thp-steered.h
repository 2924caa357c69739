/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a test and the policy thp-steered share: answers, and what was asked. */
#ifndef TESTS_HOST_KERNEL_THP_STEERED_H
#define TESTS_HOST_KERNEL_THP_STEERED_H

struct thp_steering {
	/* set by the test */
	unsigned long long fault_orders;	/* of what a fault is offered, it may have these */
	unsigned long long khugepaged_orders;	/* of what khugepaged is offered */
	int visit;				/* the answer to visit */
	int collapse;				/* the answer to collapse */
	unsigned long long base;		/* the address that candidates_at counts from */
	/* set by the policy */
	unsigned long long faults_asked;
	unsigned long long khugepaged_asked;
	unsigned long long advised;		/* of both */
	unsigned long long offered;		/* all orders that faults were offered */
	unsigned long long visits;
	unsigned long long mm_id;		/* of the last visit */
	unsigned long long pass;
	unsigned long long anon_pages;
	unsigned long long window;		/* of its snapshot */
	unsigned long long usage_pages;
	unsigned long long candidates;
	unsigned long long candidates_at;	/* bit N: 2 MiB number N from base was one */
	unsigned int in_visit;			/* candidates, in the last visit */
	unsigned int in_visit_max;		/* and in any */
	unsigned int present;			/* of the last candidate */
	unsigned int swapped;
	unsigned int shared;
	unsigned int young;
	unsigned long long senseless;		/* times the kernel asked what it should not have */
	unsigned int exit_kind;
	char exit_reason[64];
};

#endif /* TESTS_HOST_KERNEL_THP_STEERED_H */
