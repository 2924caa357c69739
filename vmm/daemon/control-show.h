/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs and decisions as vmm/lib/control.h describes them.  Each function puts the members of an object that its
 * caller has begun.
 */
#ifndef MEMTIDED_CONTROL_SHOW_H
#define MEMTIDED_CONTROL_SHOW_H

#include "json-text.h"

struct decision;
struct memtide_histogram;
struct vm;

/* @age_ns: how old what the host says of its memory may be, see vm_footprint(). */
void show_vm(struct json_text *json, struct vm *vm, uint64_t age_ns);
/* What the guest said last. */
void show_stats(struct json_text *json, const struct vm *vm);
void show_decision(struct json_text *json, const struct decision *entry);
/* All of a line for clients that follow the log; @json begins as zeroes. */
void show_news(struct json_text *json, const struct decision *entry);

void show_percentiles(struct json_text *json, const struct memtide_histogram *ns);
/* @by_path: by enum virtio_tide_path; NULL: nothing was ever measured. */
void show_relief(struct json_text *json, const struct memtide_histogram *by_path);

#endif
