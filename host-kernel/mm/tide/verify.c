// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program of a policy may use.  Operations run where memory is scanned, faulted in and
 * reclaimed: they neither sleep nor allocate, nor do they leave work behind for later.
 *
 * BPF's verifier asks here about helpers and kernel functions while it goes through a program.  Its
 * maps, and whether it may sleep, are looked at when an ops table takes it.
 */
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>

#include "internal.h"

/* Arguments are read only. */
static int tide_btf_struct_access(struct bpf_verifier_log *log, const struct bpf_reg_state *reg,
				  int off, int size)
{
	bpf_log(log, "arguments of a memory policy are read only\n");
	return -EACCES;
}

/* A timer is allocated, and its callback runs when its policy may be out of force. */
static const struct bpf_func_proto *tide_get_func_proto(enum bpf_func_id func_id,
							const struct bpf_prog *prog)
{
	switch (func_id) {
	case BPF_FUNC_timer_init:
	case BPF_FUNC_timer_set_callback:
	case BPF_FUNC_timer_start:
	case BPF_FUNC_timer_cancel:
		return NULL;
	default:
		return bpf_base_func_proto(func_id, prog);
	}
}

const struct bpf_verifier_ops tide_verifier_ops = {
	.get_func_proto = tide_get_func_proto,
	.is_valid_access = bpf_tracing_btf_ctx_access,
	.btf_struct_access = tide_btf_struct_access,
};

/*
 * The kernel functions that an operation may call: none allocates, frees, or takes a lock.  What
 * BPF gives to all programs or to those of struct_ops, and is not named here, is refused: objects
 * (bpf_obj_new() and what keeps them), work queues, and iterators that allocate.
 *
 * All of them are in BPF's own sets already, with the same flags; a filter comes with a set.
 */
BTF_KFUNCS_START(tide_kfunc_ids)
BTF_ID_FLAGS(func, bpf_rdonly_cast)
BTF_ID_FLAGS(func, bpf_rcu_read_lock)
BTF_ID_FLAGS(func, bpf_rcu_read_unlock)
BTF_ID_FLAGS(func, bpf_dynptr_slice, KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_dynptr_slice_rdwr, KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_dynptr_adjust)
BTF_ID_FLAGS(func, bpf_dynptr_is_null)
BTF_ID_FLAGS(func, bpf_dynptr_is_rdonly)
BTF_ID_FLAGS(func, bpf_dynptr_size)
BTF_ID_FLAGS(func, bpf_dynptr_clone)
BTF_ID_FLAGS(func, bpf_iter_num_new, KF_ITER_NEW)
BTF_ID_FLAGS(func, bpf_iter_num_next, KF_ITER_NEXT | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_iter_num_destroy, KF_ITER_DESTROY)
BTF_KFUNCS_END(tide_kfunc_ids)

/* Whether @prog, which is being verified, is an operation, or takes the place of a part of one. */
static bool tide_is_operation(const struct bpf_prog *prog)
{
	const struct bpf_struct_ops_desc *desc;

	if (prog->type == BPF_PROG_TYPE_EXT && prog->aux->dst_prog)
		prog = prog->aux->dst_prog;
	/* families are built in; a module's struct_ops may be gone by now */
	if (prog->type != BPF_PROG_TYPE_STRUCT_OPS || !prog->aux->attach_btf ||
	    btf_is_module(prog->aux->attach_btf))
		return false;
	desc = bpf_struct_ops_find(prog->aux->attach_btf, prog->aux->attach_btf_id);
	return desc && desc->st_ops->verifier_ops == &tide_verifier_ops;
}

/* For every kernel function that any program calls, except a module's. */
static int tide_kfunc_filter(const struct bpf_prog *prog, u32 kfunc_id)
{
	if (!tide_is_operation(prog) || btf_id_set8_contains(&tide_kfunc_ids, kfunc_id))
		return 0;
	return -EACCES;
}

static const struct btf_kfunc_id_set tide_kfunc_set = {
	.owner = THIS_MODULE,
	.set = &tide_kfunc_ids,
	.filter = tide_kfunc_filter,
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
 * Return: 0, or -EINVAL: it may sleep, it has a map that allocates, or it calls a module.
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
	/* filters are kept with each module's functions, so none of ours sees them */
	if (aux->kfunc_btf_tab) {
		pr_warn_ratelimited("tide: %s: an operation may not call a module\n", aux->name);
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

static int __init tide_verify_setup(void)
{
	/* of what all programs may call, and of what those of struct_ops may */
	return register_btf_kfunc_id_set(BPF_PROG_TYPE_UNSPEC, &tide_kfunc_set) ?:
		register_btf_kfunc_id_set(BPF_PROG_TYPE_STRUCT_OPS, &tide_kfunc_set);
}
late_initcall(tide_verify_setup);
