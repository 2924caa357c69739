/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bars of memory for a terminal.  Decides on characters and colours once; knows nothing of VMs.
 */
#ifndef MEMTIDE_BAR_H
#define MEMTIDE_BAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct bar_style {
	bool utf8;
	bool colour;
};

/* What one piece of a bar stands for. */
enum bar_kind {
	BAR_USED,	/* has it */
	BAR_CREDIT,	/* may take it at once */
	BAR_GIVEN,	/* has given it, or nobody has it */
	BAR_OVER,	/* has it and should not */
	BAR_KINDS,
};

struct bar_piece {
	enum bar_kind kind;
	uint64_t bytes;
};

/* What @out can show: UTF-8 by the locale, colours on a terminal unless NO_COLOR is set. */
struct bar_style bar_style_of(FILE *out);

/* The terminal's width in columns, 80 where there is none. */
int bar_columns(FILE *out);

/**
 * bar_draw() - draw one bar
 * @pieces: from the left
 * @nr: how many
 * @scale: bytes that fill @width columns, not zero
 * @width: columns; what would be beyond is cut, what is missing is blank
 *
 * A piece that is not zero shows at least once, as long as there is room.
 */
void bar_draw(FILE *out, struct bar_style style, const struct bar_piece *pieces, size_t nr, uint64_t scale,
	      int width);

/* One sample of @kind, for a legend. */
void bar_sample(FILE *out, struct bar_style style, enum bar_kind kind);

#endif /* MEMTIDE_BAR_H */
