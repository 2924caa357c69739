/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine in the machine, for tests with libvirtd and for the demo: namespaces for processes and mounts, in which
 * the folders of libvirt and memtide are empty ones in memory and the users that their packages make are there.  A
 * libvirt that the machine's owner has set up is neither seen nor touched, and when the program ends, however it does,
 * no process, file or mount of it is left; after SIGKILL empty folders and cgroups may be.
 *
 * LAB_LIBVIRT names a folder with the usr of another version of libvirt, to be used in the place of the installed one.
 *
 * There is no D-Bus: libvirtd does not find systemd, and makes VMs' cgroups itself.
 */
#ifndef TESTS_LIBVIRT_APART_H
#define TESTS_LIBVIRT_APART_H

/*
 * Runs @body apart and returns what it does; to be all that main() does.  Where that cannot be, @body runs as it is,
 * and apart_refusal() says why: its tests then skip, and the demo ends.
 */
int apart_run(int argc, char **argv, int (*body)(int argc, char **argv));

/*
 * For a program that does not run apart: nothing but the version that LAB_LIBVIRT names is put in the place of the
 * installed one, for it and what it starts.  0, also where none is named, or a negative errno.
 */
int apart_use_other_version(void);

/* Why there is no libvirt of our own here, a sentence; NULL where there is. */
const char *apart_refusal(void);
/* What can be done about it, a sentence; NULL where nothing has to be. */
const char *apart_mend(void);

#endif /* TESTS_LIBVIRT_APART_H */
