// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Family thp where memory is in swap: what is swapped in asks for its orders as any fault does, and a candidate's pages in
 * swap are told to collapse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "hooks.h"
#include "khugepaged.h"
#include "setting.h"
#include "swap.h"
#include "tenant.h"
#include "thp-steered.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define SEED		0x5a00000000ULL
#define PAGE_BYTES	4096
#define HUGE		TENANT_HUGE_PAGES
#define ORDER_64K	4
#define PAGES		256
/* khugepaged's max_ptes_swap is 64 */
#define SWAPPED		50
#define SCAN_PASSES	4
#define GROUP		"swapped"

static struct tenant *tenant;
static struct hook policy;
static struct thp_steering *steering;

static int setup(void **state)
{
	cgroup_remove(GROUP);
	if (cgroup_make(GROUP) || khugepaged_run() || folios_64k_set("madvise") || swap_on() ||
	    tenant_start_huge(GROUP, &tenant) || hook("thp-steered", cgroup_id(GROUP), 0, &policy))
		return -1;
	steering = hook_data(&policy);
	steering->base = tenant_address(tenant);
	steering->visit = 0;
	return 0;
}

static int teardown(void **state)
{
	int r = steering->senseless ? -1 : 0;

	tenant_stop(tenant);
	tenant = NULL;
	hook_drop(&policy);
	return settings_restore() || swap_off() ? -1 : r;
}

static uint64_t count(const char *key)
{
	return hook_count("thp", cgroup_id(GROUP), key);
}

static uint64_t swapped_pages(void)
{
	return tenant_smaps(tenant, "Swap") / PAGE_BYTES;
}

static void assert_whole(unsigned int first, unsigned int pages)
{
	assert_int_equal(tenant_check(tenant, first, pages, SEED), 0);
}

/* PAGES pages, in folios of 64 KiB, all of them in swap. */
static void swap_out_folios(void)
{
	steering->fault_orders = 1 << ORDER_64K;
	assert_int_equal(tenant_fill(tenant, 0, PAGES, SEED), 0);
	assert_int_equal(count("made"), PAGES);
	assert_int_equal(tenant_advise(tenant, 0, PAGES, MADV_PAGEOUT), 0);
	assert_int_equal(swapped_pages(), PAGES);
	steering->offered = 0;
}

static void test_swapping_in_is_asked(void **state)
{
	unsigned long long asked;

	swap_out_folios();
	asked = steering->faults_asked;
	assert_whole(0, PAGES);
	assert_true(steering->offered & 1 << ORDER_64K);
	assert_true(steering->faults_asked > asked);
	/* again */
	assert_int_equal(count("made"), 2 * PAGES);
	assert_int_equal(swapped_pages(), 0);
}

static void test_swapping_in_is_narrowed(void **state)
{
	uint64_t narrowed;

	swap_out_folios();
	narrowed = count("narrowed");
	steering->fault_orders = 0;
	assert_whole(0, PAGES);
	assert_true(count("narrowed") > narrowed);
	assert_int_equal(count("made"), PAGES);
	assert_int_equal(swapped_pages(), 0);
}

static void test_a_candidate_in_swap_is_described(void **state)
{
	steering->fault_orders = 0;
	assert_int_equal(tenant_fill(tenant, HUGE, HUGE, SEED), 0);
	assert_int_equal(tenant_advise(tenant, HUGE, SWAPPED, MADV_PAGEOUT), 0);
	assert_int_equal(swapped_pages(), SWAPPED);
	steering->collapse = 0;
	steering->visit = -1;
	assert_int_equal(khugepaged_passes(SCAN_PASSES), 0);
	assert_int_equal(steering->candidates_at, 1 << 1);
	assert_int_equal(steering->swapped, SWAPPED);
	assert_int_equal(steering->present, HUGE - SWAPPED);
	assert_int_equal(swapped_pages(), SWAPPED);
	/* and is read from there once it may be huge */
	steering->collapse = 1;
	assert_int_equal(khugepaged_makes(tenant, 1), 0);
	assert_int_equal(swapped_pages(), 0);
	assert_whole(HUGE, HUGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_swapping_in_is_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_swapping_in_is_narrowed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_candidate_in_swap_is_described, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
