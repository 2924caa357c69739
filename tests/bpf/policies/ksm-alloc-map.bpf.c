// SPDX-License-Identifier: GPL-2.0-or-later
/* ksm-alloc-map: keeps something in a map that allocates when it is written to, which the kernel refuses. */
#include "tide_ksm.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u64);
} passes SEC(".maps");

SEC("struct_ops/visit")
int BPF_PROG(ksm_alloc_map_visit, struct tide_ksm_visit *visit)
{
	__u64 mm_id = visit->mm_id, pass = visit->pass;

	bpf_map_update_elem(&passes, &mm_id, &pass, BPF_ANY);
	return TIDE_KSM_NO_LIMIT;
}

SEC(".struct_ops.link")
struct tide_ksm_ops ksm_alloc_map = {
	.visit = (void *)ksm_alloc_map_visit,
	.cgroup_id = 1,	/* the root's: with plain bpftool, too, the map is all that is wrong */
	.domain = 1,
	.name = "ksm_alloc_map",
};
