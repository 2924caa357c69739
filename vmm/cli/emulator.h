/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a QEMU has in it, as it says itself.
 *
 * Lists are JSON objects of arrays of names, one array a kind: { "device": [ "virtio-blk-pci", ... ], "machine": [ ...
 * ], ... }.  The kinds are device, machine, accel, cpu, object, netdev, chardev, block, audio, tpm, vhost.  What a
 * domain uses (domain-argv.h) is a list of the same kinds.
 */
#ifndef MEMTIDE_EMULATOR_H
#define MEMTIDE_EMULATOR_H

#include <jansson.h>
#include <stdbool.h>

#include "errtext.h"

#define EMULATOR_TIDE	"virtio-tide-pci"

/**
 * emulator_ask() - start a QEMU without a machine and have it say what it has
 * @path: of the program
 * @ret_has: a list, with the member "version" besides: "10.0.13"
 * @errtext: value and mend
 *
 * Starts it three times, for some tens of milliseconds each.  0 or a negative errno.
 */
int emulator_ask(const char *path, json_t **ret_has, struct memtide_errtext *errtext);

/* Whether @kind of @list has @name.  Pure. */
bool emulator_has(const json_t *list, const char *kind, const char *name);

/*
 * What of @uses is not in @has: a list, which has no member where nothing is missing.  A kind of which @has knows
 * nothing is passed over.  Pure.
 */
json_t *emulator_lacks(const json_t *uses, const json_t *has);

/* Add @name to @kind of @list, if it is not there.  Pure. */
void emulator_add(json_t *list, const char *kind, const char *name);

/*
 * The parts of emulator_ask() that read: `-device help`, `-netdev help`, and answers over QMP to what
 * emulator_questions() has.  Pure.  The last returns -EPROTO where there is no version among them.
 */
void emulator_read_devices(const char *text, json_t *has);
void emulator_read_netdevs(const char *text, json_t *has);
int emulator_read_answers(const char *text, json_t *has);
const char *emulator_questions(void);

#endif /* MEMTIDE_EMULATOR_H */
