// SPDX-License-Identifier: GPL-2.0-or-later
/* short-table: compiled with another idea of the table. */
#include "tide_bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[16]);
} table SEC(".maps");

SEC("syscall")
int balance(void *unused)
{
	__u32 zero = 0;

	return !bpf_map_lookup_elem(&table, &zero);
}
