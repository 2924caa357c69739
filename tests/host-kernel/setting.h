/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings in /sys and /proc that hold for the whole host: a test that changes one puts it back. */
#ifndef TESTS_HOST_KERNEL_SETTING_H
#define TESTS_HOST_KERNEL_SETTING_H

/*
 * Writes @value, and remembers what was there before the first change: it is put back when the test program ends, if not
 * before.  0 or a negative errno.
 */
int setting_change(const char *path, const char *value);
/* Puts back all that was changed, the last one first.  0 or the negative errno of one that could not be. */
int settings_restore(void);

#endif /* TESTS_HOST_KERNEL_SETTING_H */
