/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small files of /proc, /sys and cgroups. */
#ifndef TESTS_HOST_KERNEL_KERNEL_FILE_H
#define TESTS_HOST_KERNEL_KERNEL_FILE_H

#include <stdint.h>

/* Writes @text.  0 or a negative errno, which is said on stderr as well. */
int kernel_file_write(const char *path, const char *text);
/* The number in a line "KEY number", "KEY: number" or "KEY: number kB", in bytes then; without @key the first.  Or zero. */
uint64_t kernel_file_value(const char *path, const char *key);

#endif /* TESTS_HOST_KERNEL_KERNEL_FILE_H */
