/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every policy starts from: fixed-width types, the few constants of the kernel's BPF interface that policies
 * need, and libbpf's helpers.  Written by hand so that no policy needs a dump of one kernel's types; what a family
 * passes to its policies is declared in that family's own header.
 */
#ifndef TIDE_BPF_H
#define TIDE_BPF_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
/* Named by libbpf's helper declarations only. */
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

typedef _Bool bool;
#define true	1
#define false	0
#define NULL	((void *)0)

/* From the kernel's include/uapi/linux/bpf.h; these numbers are ABI. */
enum {
	BPF_MAP_TYPE_HASH	= 1,
	BPF_MAP_TYPE_ARRAY	= 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH	= 9,
};

enum {
	BPF_ANY			= 0,
};

enum {
	BPF_F_NO_PREALLOC	= 1U << 0,
	BPF_F_MMAPABLE		= 1U << 10,
};

#include <bpf/bpf_helpers.h>

#define KIB	1024ULL
#define MIB	(1024 * KIB)

static inline __u64 min(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

static inline __u64 max(__u64 a, __u64 b)
{
	return a > b ? a : b;
}

/* a - b, or zero where b is the larger: sizes that a guest reports need not fit each other. */
static inline __u64 less(__u64 a, __u64 b)
{
	return a > b ? a - b : 0;
}

#endif /* TIDE_BPF_H */
