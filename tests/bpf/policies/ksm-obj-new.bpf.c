// SPDX-License-Identifier: GPL-2.0-or-later
/* ksm-obj-new: allocates an object, without any map; the kernel does not load it. */
#include "tide_ksm.h"

#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

extern void *bpf_obj_new_impl(__u64 local_type_id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *kptr, void *meta) __ksym;

struct note {
	__u64 pass;
};

SEC("struct_ops/visit")
int BPF_PROG(ksm_obj_new_visit, struct tide_ksm_visit *visit)
{
	struct note *note = bpf_obj_new_impl(bpf_core_type_id_local(struct note), NULL);

	if (note) {
		note->pass = visit->pass;
		bpf_obj_drop_impl(note, NULL);
	}
	return TIDE_KSM_NO_LIMIT;
}

SEC(".struct_ops.link")
struct tide_ksm_ops ksm_obj_new = {
	.visit = (void *)ksm_obj_new_visit,
	.cgroup_id = 1,
	.domain = 1,
	.name = "ksm_obj_new",
};
