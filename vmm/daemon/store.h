/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small files that outlive the daemon, in its state directory: one JSON object each.  A file is there as a whole or
 * not at all.  Writing is done by a thread of its own, one file after the other in the order of asking; reading is
 * for the daemon's start, before there is anything to be kept waiting.
 */
#ifndef MEMTIDED_STORE_H
#define MEMTIDED_STORE_H

#include <jansson.h>
#include <stdbool.h>

struct loop;
struct store;

/* For files below @directory, which is made when the first is written.  0 or negative errno. */
int store_new(struct loop *loop, const char *directory, struct store **ret);
/* What is not being written yet is not written any more; its done() is told -ECANCELED. */
void store_free(struct store *store);

/**
 * store_put() - write a file, or remove it
 * @name: "tenants.json", or with one folder, "domains/UUID.json"
 * @json: its content, consumed; NULL: there is to be none
 * @durable: it has to be there also after the host has crashed
 * @done: called in the loop's thread when it is there or gone, or with a negative errno; may be NULL
 */
void store_put(struct store *store, const char *name, json_t *json, bool durable, void (*done)(void *arg, int error),
	       void *arg);

/* What is in a file: a new reference, or NULL. */
json_t *store_get(const struct store *store, const char *name);

/* Call @found for every file in folder @folder that can be read; @json is borrowed. */
void store_each(const struct store *store, const char *folder,
		void (*found)(void *arg, const char *name, json_t *json), void *arg);

#endif
