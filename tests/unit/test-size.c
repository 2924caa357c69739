// SPDX-License-Identifier: GPL-2.0-or-later
/* Sizes: what people write is read as they mean it, and nothing else is taken for a size. */
#include "unit.h"

#include <errno.h>

#include "size.h"

static void test_reads(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} sizes[] = {
		{ "0", 0 }, { "0B", 0 }, { "0 G", 0 },
		{ "1B", 1 }, { "4096b", 4096 },
		{ "64K", 64 * KIB }, { "64k", 64 * KIB }, { "64KB", 64 * KIB }, { "64KiB", 64 * KIB },
		{ "384M", 384 * MIB }, { " 384 MiB ", 384 * MIB }, { "\t3G", 3 * GIB }, { "2T", 2048 * GIB },
		{ "1.5G", 1536 * MIB }, { "0.5K", 512 }, { "1.0001K", 1024 }, { "0.999999999999999999K", 1023 },
		{ "1.25 gib", 1280 * MIB }, { "000001M", MIB },
		{ "18446744073709551615B", UINT64_MAX }, { "16777215T", 16777215ULL << 40 },
	};
	uint64_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		bytes = 12345;
		if (memtide_size_parse(sizes[i].text, &bytes) || bytes != sizes[i].bytes)
			fail_msg("\"%s\" was read as %llu", sizes[i].text, (unsigned long long)bytes);
	}
}

static void test_refuses(void **state)
{
	static const struct {
		const char *text;
		int error;
	} sizes[] = {
		{ "", -EINVAL }, { " ", -EINVAL }, { "M", -EINVAL }, { "-1M", -EINVAL }, { "+1M", -EINVAL },
		{ "1X", -EINVAL }, { "1MM", -EINVAL }, { "1Mi", -EINVAL }, { "1BB", -EINVAL }, { "1BiB", -EINVAL },
		{ "1M2", -EINVAL }, { ".5G", -EINVAL }, { "1.G", -EINVAL }, { "1,5G", -EINVAL },
		{ "0x10M", -EINVAL }, { "1e3M", -EINVAL }, { "1M 2M", -EINVAL }, { "auto", -EINVAL },
		{ "1P", -EINVAL },
		{ "1", -ENODATA }, { "4096", -ENODATA }, { "1.5 ", -ENODATA },
		{ "18446744073709551616B", -ERANGE }, { "16777216T", -ERANGE },
		{ "99999999999999999999999999M", -ERANGE },
	};
	uint64_t bytes;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		bytes = 12345;
		r = memtide_size_parse(sizes[i].text, &bytes);
		if (r != sizes[i].error || bytes != 12345)
			fail_msg("\"%s\": %d instead of %d", sizes[i].text, r, sizes[i].error);
	}
}

static void test_writes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{ 0, "0 B" }, { 1, "1 B" }, { 1023, "1023 B" }, { 1024, "1 KiB" }, { 1536, "1.5 KiB" },
		{ 384 * MIB, "384 MiB" }, { 1536 * MIB, "1.5 GiB" }, { 3 * GIB, "3 GiB" }, { GIB - 1, "1 GiB" },
		{ 1000 * MIB, "1000 MiB" }, { 1023 * MIB + 900 * KIB, "1023.9 MiB" }, { 2048 * GIB, "2 TiB" },
		{ UINT64_MAX, "16777216 TiB" },
	};
	char text[MEMTIDE_SIZE_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_string_equal(memtide_size_format(sizes[i].bytes, text), sizes[i].text);
}

/* What is written can be read again and is within half of the last digit. */
static void test_round_trip(void **state)
{
	uint64_t seed = 1, bytes, again, off;
	char text[MEMTIDE_SIZE_TEXT];

	for (int i = 0; i < 100000; i++) {
		bytes = unit_random(&seed) >> (8 + unit_below(&seed, 56));
		assert_int_equal(memtide_size_parse(memtide_size_format(bytes, text), &again), 0);
		off = bytes > again ? bytes - again : again - bytes;
		/* One decimal, half of it, of at least one unit; and the fraction is rounded down when read. */
		assert_true(off <= bytes / 20 + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_writes),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
