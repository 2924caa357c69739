/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside `memtide doctor`: one function a check, one file a subject.  Each check looks for itself; memtided is asked
 * only for what only memtided knows.
 */
#ifndef MEMTIDE_DOCTOR_H
#define MEMTIDE_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli.h"

enum verdict {
	FINE,
	NOTE,		/* works, at a cost */
	WRONG,		/* memtide does not work, or not as it should */
	UNKNOWN,	/* could not be looked at */
};

struct doctor {
	const struct cli *cli;
	json_t *findings;
	bool wrong;
};

/**
 * doctor_find() - add a finding
 * @check: what was looked at, one word that stays the same
 * @why: why it matters
 * @mend: what to do, as a command where there is one; "" where there is nothing to do
 * @format: what was found, with its value
 */
__attribute__((format(printf, 6, 7)))
void doctor_find(struct doctor *doctor, const char *check, enum verdict verdict, const char *why, const char *mend,
		 const char *format, ...);

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
