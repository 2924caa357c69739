/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame of a balance policy: its table, and a way to walk it.  Included by balance policies only, once.
 *
 * Rows are walked with bpf_loop(), not with a plain loop: the verifier then checks one visit instead of 16384.
 */
#ifndef TIDE_BALANCE_BPF_H
#define TIDE_BALANCE_BPF_H

#include "tide_bpf.h"
#include "tide_balance.h"
#include "tide_knob.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct balance_table);
} table SEC(".maps");

static inline struct balance_table *balance_table(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&table, &zero);
}

/* Row @i, or NULL where there is none. */
static inline struct balance_vm *balance_row(__u32 i)
{
	struct balance_table *t = balance_table();

	if (!t || i >= BALANCE_MAX_VMS)
		return NULL;
	return &t->vm[i];
}

/* Call @visit(index, @ctx) for every row in use, until it returns something other than zero. */
#define balance_walk(t, visit, ctx)	bpf_loop(min((t)->host.nr_vms, BALANCE_MAX_VMS), visit, ctx, 0)

#endif /* TIDE_BALANCE_BPF_H */
