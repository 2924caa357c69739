// SPDX-License-Identifier: GPL-2.0-or-later
/* Histogram: percentiles are those of the values, from above and within a sixteenth. */
#include "unit.h"

#include "histogram.h"

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void check_against(const struct memtide_histogram *histogram, uint64_t *values, size_t count)
{
	uint64_t exact, shown;
	size_t rank;

	qsort(values, count, sizeof(*values), compare);
	for (unsigned int permille = 0; permille <= 1000; permille++) {
		rank = (count * permille + 999) / 1000;
		exact = values[rank ? rank - 1 : 0];
		shown = memtide_histogram_at(histogram, permille);
		if (shown < exact || shown - exact > exact / 16)
			fail_msg("%u permille is %llu, shown %llu", permille, (unsigned long long)exact,
				 (unsigned long long)shown);
	}
	assert_int_equal(memtide_histogram_at(histogram, 1000), values[count - 1]);
}

static void test_empty(void **state)
{
	struct memtide_histogram histogram = {};

	assert_int_equal(memtide_histogram_at(&histogram, 0), 0);
	assert_int_equal(memtide_histogram_at(&histogram, 990), 0);
	assert_int_equal(memtide_histogram_at(&histogram, 1000), 0);
}

static void test_edges(void **state)
{
	uint64_t values[3 * 64];
	struct memtide_histogram histogram = {};

	for (int i = 0; i < 64; i++) {
		values[3 * i] = (1ULL << i) - 1;
		values[3 * i + 1] = 1ULL << i;
		values[3 * i + 2] = (1ULL << i) + 1;
	}
	values[0] = UINT64_MAX;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		memtide_histogram_add(&histogram, values[i]);
	check_against(&histogram, values, ARRAY_SIZE(values));
}

static void test_random(void **state)
{
	static uint64_t values[10000];
	struct memtide_histogram histogram = {}, half = {};
	uint64_t seed = 7;

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		values[i] = unit_random(&seed) >> unit_below(&seed, 64);
		memtide_histogram_add(i % 2 ? &half : &histogram, values[i]);
	}
	memtide_histogram_merge(&histogram, &half);
	assert_int_equal(histogram.count, ARRAY_SIZE(values));
	check_against(&histogram, values, ARRAY_SIZE(values));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
