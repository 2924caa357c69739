/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside `memtide doctor`: one function a check, one file a subject.  Each check looks for itself; memtided is asked
 * only for what only memtided knows.
 */
#ifndef MEMTIDE_DOCTOR_H
#define MEMTIDE_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "cli.h"
#include "findings.h"

struct doctor {
	const struct cli *cli;
	struct report report;
};

/* Add a finding, as find_because() does. */
#define doctor_find(doctor, ...)	find_because(&(doctor)->report, __VA_ARGS__)

/*
 * The first bytes of a file, terminated and without anything behind the first newline; a negative errno if it
 * cannot be read.
 */
int doctor_read(const char *path, char *ret_text, size_t size);

/* Whether systemd runs this host. */
bool doctor_has_systemd(void);

/* Whether there is libvirt on this host, running or not. */
bool doctor_has_libvirt(void);

/* What libvirt's qemu.conf says of @key, or "".  Returns @ret_value. */
const char *doctor_qemu_conf(const char *key, char *ret_value, size_t size);

/* The user that libvirt's QEMUs run as, or NULL if this host has none of that kind. */
const char *doctor_qemu_user(void);

/* The subjects. */
void doctor_kernel(struct doctor *doctor);
void doctor_daemon(struct doctor *doctor);
void doctor_libvirt(struct doctor *doctor);
void doctor_confinement(struct doctor *doctor);
void doctor_qemu(struct doctor *doctor);

#endif /* MEMTIDE_DOCTOR_H */
