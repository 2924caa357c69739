/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of the source tree that tests look at.
 */
#ifndef TESTS_UNIT_SOURCE_FILE_H
#define TESTS_UNIT_SOURCE_FILE_H

/* All of file @name in @folder, which is a path from the root of the tree; for free().  Fails the test without it. */
char *source_file(const char *folder, const char *name);

#endif /* TESTS_UNIT_SOURCE_FILE_H */
