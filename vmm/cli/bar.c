// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bars of memory for a terminal.
 */
#include "bar.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct {
	const char *utf8;
	char ascii;
	const char *colour;
} looks[BAR_KINDS] = {
	[BAR_USED]	= { "█", '#', "\033[36m" },
	[BAR_CREDIT]	= { "▒", '+', "\033[32m" },
	[BAR_GIVEN]	= { "·", '.', "\033[2m" },
	[BAR_OVER]	= { "█", '!', "\033[31m" },
};

struct bar_style bar_style_of(FILE *out)
{
	const char *no_color = getenv("NO_COLOR");

	return (struct bar_style) {
		.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8"),
		.colour = isatty(fileno(out)) && !(no_color && *no_color),
	};
}

int bar_columns(FILE *out)
{
	struct winsize size;

	if (ioctl(fileno(out), TIOCGWINSZ, &size) || size.ws_col < 40)
		return 80;
	return size.ws_col;
}

static void draw(FILE *out, struct bar_style style, enum bar_kind kind, int times)
{
	if (times <= 0)
		return;
	if (style.colour)
		fputs(looks[kind].colour, out);
	while (times--) {
		if (style.utf8)
			fputs(looks[kind].utf8, out);
		else
			putc(looks[kind].ascii, out);
	}
	if (style.colour)
		fputs("\033[0m", out);
}

void bar_draw(FILE *out, struct bar_style style, const struct bar_piece *pieces, size_t nr, uint64_t scale,
	      int width)
{
	double sum = 0;
	int at = 0;

	for (size_t i = 0; i < nr; i++) {
		int to;

		sum += pieces[i].bytes;
		to = sum / scale * width + 0.5;
		if (pieces[i].bytes && to == at)
			to++;
		if (to > width)
			to = width;
		draw(out, style, pieces[i].kind, to - at);
		at = to > at ? to : at;
	}
	fprintf(out, "%*s", width - at, "");
}

void bar_sample(FILE *out, struct bar_style style, enum bar_kind kind)
{
	draw(out, style, kind, 1);
}
