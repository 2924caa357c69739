// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sizes in bytes, read and written.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "size.h"

static const char units[] = "BKMGT";

static const char *skip_blanks(const char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

/* A unit and nothing behind it but blanks.  Returns its power of two. */
static int parse_unit(const char *text)
{
	const char *unit;

	if (!*text)
		return -ENODATA;
	unit = strchr(units, toupper((unsigned char)*text));
	if (!unit)
		return -EINVAL;
	text++;
	if (unit != units) {
		if (toupper((unsigned char)text[0]) == 'I' && toupper((unsigned char)text[1]) == 'B')
			text += 2;
		else if (toupper((unsigned char)*text) == 'B')
			text++;
	}
	if (*skip_blanks(text))
		return -EINVAL;
	return 10 * (int)(unit - units);
}

int memtide_size_parse(const char *text, uint64_t *ret_bytes)
{
	/* Digits of a fraction beyond these are below one byte of a tebibyte. */
	const uint64_t scale_max = 1000000000000000ULL;
	uint64_t whole = 0, fraction = 0, scale = 1, bytes;
	bool overflow = false;
	int shift;

	text = skip_blanks(text);
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++) {
		overflow |= __builtin_mul_overflow(whole, 10, &whole);
		overflow |= __builtin_add_overflow(whole, *text - '0', &whole);
	}
	if (*text == '.') {
		text++;
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		for (; isdigit((unsigned char)*text); text++) {
			if (scale == scale_max)
				continue;
			fraction = fraction * 10 + (*text - '0');
			scale *= 10;
		}
	}
	shift = parse_unit(skip_blanks(text));
	if (shift == -ENODATA && !whole && !fraction && !overflow)
		shift = 0;
	if (shift < 0)
		return shift;
	if (overflow || whole > UINT64_MAX >> shift)
		return -ERANGE;
	bytes = (uint64_t)(((unsigned __int128)fraction << shift) / scale);
	*ret_bytes = (whole << shift) + bytes;
	return 0;
}

const char *memtide_size_format(uint64_t bytes, char ret_text[static MEMTIDE_SIZE_TEXT])
{
	static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned int unit = 0;
	unsigned __int128 tenths = (unsigned __int128)bytes * 10;

	/* Up to the next unit also where rounding would show 1024.0 of this one. */
	while (unit < 4 && tenths + ((1ULL << (10 * unit)) >> 1) >= (unsigned __int128)10240 << (10 * unit))
		unit++;
	if (unit)
		tenths += (1ULL << (10 * unit)) >> 1;
	tenths >>= 10 * unit;
	if (tenths % 10)
		snprintf(ret_text, MEMTIDE_SIZE_TEXT, "%llu.%u %s", (unsigned long long)(tenths / 10),
			 (unsigned int)(tenths % 10), names[unit]);
	else
		snprintf(ret_text, MEMTIDE_SIZE_TEXT, "%llu %s", (unsigned long long)(tenths / 10), names[unit]);
	return ret_text;
}
