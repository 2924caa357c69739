/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words that go with a negative errno: what was wrong, with the value, the limit and the mend, for people.
 * Library code does not log; whoever called decides where the words go.
 */
#ifndef MEMTIDE_ERRTEXT_H
#define MEMTIDE_ERRTEXT_H

#define MEMTIDE_ERRTEXT_SIZE	512

struct memtide_errtext {
	char text[MEMTIDE_ERRTEXT_SIZE];	/* terminated; cut where it is too long */
};

/**
 * memtide_errtext_set() - word an error
 * @errtext: where the words go, may be NULL
 * @error: a negative errno
 * @format: as in printf, without a newline
 *
 * Returns @error, so that a failing function can end in it.  Any thread.
 */
__attribute__((format(printf, 3, 4)))
int memtide_errtext_set(struct memtide_errtext *errtext, int error, const char *format, ...);

#endif /* MEMTIDE_ERRTEXT_H */
