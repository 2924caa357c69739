// SPDX-License-Identifier: GPL-2.0-or-later
/* See findings.h. */
#include "findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "reply.h"

static const char *const verdict_names[] = { "ok", "note", "wrong", "unknown" };

__attribute__((format(printf, 6, 0)))
static void add(struct report *report, const char *check, enum verdict verdict, const char *why, const char *mend,
		const char *format, va_list args)
{
	char text[640];

	vsnprintf(text, sizeof(text), format, args);
	report->wrong |= verdict == WRONG;
	json_array_append_new(report->findings,
			      json_pack("{s:s, s:s, s:s, s:s, s:s}", "check", check, "verdict",
					verdict_names[verdict], "found", text, "why", why, "mend", mend));
}

void find(struct report *report, const char *check, enum verdict verdict, const char *mend, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(report, check, verdict, "", mend, format, args);
	va_end(args);
}

void find_because(struct report *report, const char *check, enum verdict verdict, const char *why, const char *mend,
		  const char *format, ...)
{
	va_list args;

	va_start(args, format);
	add(report, check, verdict, why, mend, format, args);
	va_end(args);
}

/* The next one behind @i that is to be printed, or NULL. */
static const json_t *next_shown(const json_t *findings, size_t *i, bool all)
{
	const json_t *finding;

	while ((finding = json_array_get(findings, (*i)++)))
		if (all || strcmp(reply_text(finding, "verdict"), verdict_names[FINE]))
			return finding;
	return NULL;
}

void print_findings(const json_t *findings, bool all)
{
	const json_t *finding, *next;
	const char *why, *mend;
	bool fine;
	size_t i = 0;

	for (finding = next_shown(findings, &i, all); finding; finding = next) {
		next = next_shown(findings, &i, all);
		fine = !strcmp(reply_text(finding, "verdict"), verdict_names[FINE]);
		why = reply_text(finding, "why");
		mend = reply_text(finding, "mend");
		printf("%-8s %-12s %s\n", reply_text(finding, "verdict"), reply_text(finding, "check"),
		       reply_text(finding, "found"));
		if (*why && !fine)
			printf("%-21s why:  %s\n", "", why);
		if (*mend && !fine && strcmp(mend, reply_text(next, "mend")))
			printf("%-21s mend: %s\n", "", mend);
	}
}
