// SPDX-License-Identifier: GPL-2.0-or-later
/* Answers what a test says, through shared memory, and counts what it is asked. */
#include "tide_ksm.h"
#include "../../host-kernel/ksm-steered.h"

char LICENSE[] SEC("license") = "GPL";

struct ksm_steering steering = {
	.visit = -1,
	.merge = 1,
};

SEC("struct_ops/steered_visit")
int BPF_PROG(steered_visit, struct tide_ksm_visit *visit)
{
	steering.visits++;
	steering.window = visit->scope->window;
	steering.usage_pages = visit->scope->usage_pages;
	return steering.visit;
}

SEC("struct_ops/steered_range")
int BPF_PROG(steered_range, struct tide_ksm_range *range)
{
	steering.ranges++;
	return !(range->start >= steering.skip_from && range->start < steering.skip_to);
}

SEC("struct_ops/steered_merge")
int BPF_PROG(steered_merge, struct tide_ksm_page *page)
{
	steering.candidates++;
	if (page->unchanged > steering.unchanged_max)
		steering.unchanged_max = page->unchanged;
	if (page->age > steering.age_max)
		steering.age_max = page->age;
	return steering.merge;
}

SEC("struct_ops/steered_merged")
void BPF_PROG(steered_merged, struct tide_ksm_page *page)
{
	steering.merged++;
}

SEC("struct_ops/steered_broken")
void BPF_PROG(steered_broken, struct tide_ksm_page *page)
{
	steering.broken++;
}

SEC("struct_ops/steered_pace")
int BPF_PROG(steered_pace, struct tide_ksm_pace *pace)
{
	steering.paces++;
	return pace->pages_to_scan;
}

SEC("struct_ops/steered_exit")
void BPF_PROG(steered_exit, struct tide_exit *exit)
{
	steering.exit_kind = exit->kind;
	bpf_probe_read_kernel_str(steering.exit_reason, sizeof(steering.exit_reason), exit->reason);
}

SEC(".struct_ops.link")
struct tide_ksm_ops steered = {
	.visit = (void *)steered_visit,
	.range = (void *)steered_range,
	.merge = (void *)steered_merge,
	.merged = (void *)steered_merged,
	.broken = (void *)steered_broken,
	.pace = (void *)steered_pace,
	.exit = (void *)steered_exit,
	.name = "ksm_steered",
};
