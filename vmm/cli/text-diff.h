/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between two texts, as diff(1) shows it.
 */
#ifndef MEMTIDE_TEXT_DIFF_H
#define MEMTIDE_TEXT_DIFF_H

#include "errtext.h"

/**
 * text_diff() - compare two texts
 * @label: of the first one, as it stands in the first line
 * @label_after: of the second one
 * @ret_text: a unified diff, "" if they are the same; for free()
 *
 * Returns 0 if they are the same, 1 if they differ, or a negative errno.
 */
int text_diff(const char *before, const char *after, const char *label, const char *label_after, char **ret_text,
	      struct memtide_errtext *errtext);

#endif /* MEMTIDE_TEXT_DIFF_H */
