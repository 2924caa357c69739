// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program of a policy may use.  Operations run where memory is scanned, faulted in and
 * reclaimed: they neither sleep nor allocate.
 */
#include <linux/bpf_verifier.h>
#include <linux/btf.h>

#include "internal.h"

/* Arguments are read only. */
static int tide_btf_struct_access(struct bpf_verifier_log *log, const struct bpf_reg_state *reg,
				  int off, int size)
{
	bpf_log(log, "arguments of a memory policy are read only\n");
	return -EACCES;
}

const struct bpf_verifier_ops tide_verifier_ops = {
	.get_func_proto = bpf_base_func_proto,
	.is_valid_access = bpf_tracing_btf_ctx_access,
	.btf_struct_access = tide_btf_struct_access,
};

/* Whether an update of @map never allocates. */
static bool tide_map_is_preallocated(const struct bpf_map *map)
{
	switch (map->map_type) {
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_RINGBUF:
	case BPF_MAP_TYPE_STRUCT_OPS:
		return true;
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		return !(map->map_flags & BPF_F_NO_PREALLOC);
	default:
		return false;
	}
}

/**
 * tide_check_program - whether a program may be an operation
 * @member: of the ops table
 * @prog: verified
 *
 * Return: 0, or -EINVAL: it may sleep, or it has a map that allocates.
 */
int tide_check_program(const struct btf_member *member, const struct bpf_prog *prog)
{
	struct bpf_prog_aux *aux = prog->aux;
	unsigned int i;
	int err = 0;

	if (prog->sleepable) {
		pr_warn_ratelimited("tide: %s: an operation may not sleep\n", aux->name);
		return -EINVAL;
	}
	mutex_lock(&aux->used_maps_mutex);
	for (i = 0; i < aux->used_map_cnt; i++) {
		if (tide_map_is_preallocated(aux->used_maps[i]))
			continue;
		pr_warn_ratelimited("tide: %s: map %s allocates\n", aux->name,
				    aux->used_maps[i]->name);
		err = -EINVAL;
		break;
	}
	mutex_unlock(&aux->used_maps_mutex);
	return err;
}
