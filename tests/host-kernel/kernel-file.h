/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small files of /proc, /sys and cgroups. */
#ifndef TESTS_HOST_KERNEL_KERNEL_FILE_H
#define TESTS_HOST_KERNEL_KERNEL_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Writes @text.  0 or a negative errno, which is said on stderr as well. */
int kernel_file_write(const char *path, const char *text);
/* The number in a line "KEY number", "KEY: number" or "KEY: number kB", in bytes then; without @key the first.  Or zero. */
uint64_t kernel_file_value(const char *path, const char *key);
/* The same of a part of the file: of what follows the first line that begins with @head. */
uint64_t kernel_file_part_value(const char *path, const char *head, const char *key);
/* The first line; of a choice, "this [that] other", the word in brackets.  0 or a negative errno. */
int kernel_file_setting(const char *path, char *ret_text, size_t size);
/* Waits until the number in the file is @least or more.  -ETIMEDOUT, after far longer than that takes. */
int kernel_file_wait(const char *path, uint64_t least);
/* What is behind @key and a blank, in the first line that begins so; @ret_text is "" without one. */
void kernel_file_text(const char *path, const char *key, char *ret_text, size_t size);

#endif /* TESTS_HOST_KERNEL_KERNEL_FILE_H */
