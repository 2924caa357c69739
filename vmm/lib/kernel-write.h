/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling the kernel something, in a file of sysfs, of a cgroup or of tracing.
 */
#ifndef MEMTIDE_KERNEL_WRITE_H
#define MEMTIDE_KERNEL_WRITE_H

/* Write @text, in one piece.  Blocks for as long as what it asks for takes.  0 or negative errno. */
int memtide_kernel_write(const char *path, const char *text);

#endif /* MEMTIDE_KERNEL_WRITE_H */
