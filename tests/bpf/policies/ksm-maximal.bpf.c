// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ksm-maximal: every operation, every argument, one of the kernel functions that policies may call, and answers by
 * chance: those that the contract allows, and those that it does not.  The kernel has to live with it.
 */
#include "tide_ksm.h"

char LICENSE[] SEC("license") = "GPL";

/* What was read ends up here, or the compiler leaves the reading out. */
__u64 seen;
struct tide_exit last_exit;

/* As in the kernel's include/uapi/linux/bpf.h. */
struct bpf_iter_num {
	__u64 __opaque[1];
} __attribute__((aligned(8)));

/* Around @low to @high, and once in a while anything. */
static int chance(int low, int high)
{
	__u32 dice = bpf_get_prandom_u32();

	if (dice % 8 == 0)
		return bpf_get_prandom_u32();
	return low - 1 + (int)(dice / 8 % (high - low + 3));
}

static void look_at_scope(const struct tide_snapshot *scope)
{
	seen += scope->window + scope->window_ns + scope->some_ns + scope->full_ns;
	seen += scope->usage_pages + scope->limit_pages;
}

static void look_at_page(const struct tide_ksm_page *page)
{
	seen += page->mm_id + page->pass + page->address + page->unchanged + page->flags + page->age;
}

SEC("struct_ops/visit")
int BPF_PROG(ksm_maximal_visit, struct tide_ksm_visit *visit)
{
	look_at_scope(visit->scope);
	seen += visit->mm_id + visit->pass + visit->tracked_pages + visit->merged_pages;
	return chance(TIDE_KSM_NO_LIMIT, 2000);
}

SEC("struct_ops/range")
int BPF_PROG(ksm_maximal_range, struct tide_ksm_range *range)
{
	seen += range->mm_id + range->pass + range->start + range->end;
	return chance(0, 1);
}

SEC("struct_ops/merge")
int BPF_PROG(ksm_maximal_merge, struct tide_ksm_page *page)
{
	look_at_page(page);
	return chance(0, 1);
}

SEC("struct_ops/merged")
void BPF_PROG(ksm_maximal_merged, struct tide_ksm_page *page)
{
	look_at_page(page);
}

SEC("struct_ops/broken")
void BPF_PROG(ksm_maximal_broken, struct tide_ksm_page *page)
{
	look_at_page(page);
}

SEC("struct_ops/pace")
int BPF_PROG(ksm_maximal_pace, struct tide_ksm_pace *pace)
{
	int i;

	bpf_for(i, 0, 4)
		look_at_scope(pace->scope);
	seen += pace->pages_to_scan + pace->scanned + pace->made + pace->broken;
	return chance(1, TIDE_KSM_PACE_MAX);
}

SEC("struct_ops/exit")
void BPF_PROG(ksm_maximal_exit, struct tide_exit *exit)
{
	bpf_probe_read_kernel(&last_exit, sizeof(last_exit), exit);
}

SEC(".struct_ops.link")
POLICY_ABOUT("answers by chance, within the contract and beyond it")
struct tide_ksm_ops ksm_maximal = {
	.visit = (void *)ksm_maximal_visit,
	.range = (void *)ksm_maximal_range,
	.merge = (void *)ksm_maximal_merge,
	.merged = (void *)ksm_maximal_merged,
	.broken = (void *)ksm_maximal_broken,
	.pace = (void *)ksm_maximal_pace,
	.exit = (void *)ksm_maximal_exit,
	.domain = 1,
	.name = "ksm_maximal",
};
