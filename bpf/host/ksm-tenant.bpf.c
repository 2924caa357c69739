// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ksm-tenant: a tenant's VMs share pages among themselves, and ksmd works where that pays.
 *
 * What it does.  ksmd as it is goes through all memory again and again.  Most of that is in vain: what could be
 * merged is merged, what is unique stays so, and what is merged between two writes costs a copy at the second.  So
 * this policy learns, for each 2 MiB of guest memory, what looks at it have come to:
 *
 *   - merges that last: looked at often, for as long as new ones are made
 *   - nothing more to merge, or nothing at all: looked at half as often each time, down to one round in 2^patience
 *   - merges that break: left alone for as long at once, and up to eight times as long if they break again
 *
 * A round is a pass of ksmd in which this tenant's memory is looked at.  From one round to the next it is
 * round_ms at least, so what is merged has not been written for so long, and as long as it takes for rounds to
 * be busy_percent of one CPU, unless memory is new or merges are made all over.  In the passes between, ksmd
 * leaves all of this tenant's memory alone; what is merged stays merged.  Ranges are looked at in rounds that
 * are multiples of a power of two, so that all of them come together again and again: two equal pages find each
 * other only if they are scanned in the same pass, until one of their kind is merged.
 *
 * Of a huge page nothing is merged as long as nothing around it is, unless a good part of it rests: a huge page
 * that is in use is worth more than the few pages of it that have a twin.  Every 32nd page that would be held back
 * is let through all the same: whether it merges, and whether that lasts, is how the policy finds out that it was
 * wrong.
 *
 * Where it works: guests of one kind, which share their system and their page cache and write elsewhere; guests
 * that rest; hosts where ksmd takes part of a CPU for good and finds nothing.
 *
 * Where it fails.  Memory that is written once a minute or more seldom is merged and broken once before that is
 * known, and then is not merged for minutes, where ksmd by itself would save it most of the time.  Memory that
 * was found useless and then becomes equal to other memory is merged up to two times 2^patience rounds later,
 * with KSM's smart scan even later than that.  Merges that were broken by writes are counted as saved until
 * their range is looked at again.  Ranges of which one half is worth it and the other is not are judged as a
 * whole.  khugepaged, where it collapses what ksmd has split, looks like a guest that writes.  More memory than
 * there are entries is scanned as ksmd would by itself.  KSM's scan-time advisor takes the passes between for
 * short ones and lets ksmd go as fast as it may; rounds then are short and take all of a CPU.  With rate_pages a
 * round may not reach the end of a VM, and twins in different parts do not meet: busy_percent, patience and
 * ksmd's own pace are better ways to make it cheaper.
 */
#include "tide_ksm.h"
#include "ksm-learn.h"

char LICENSE[] SEC("license") = "GPL";

KNOB(__u32, rate_pages, 0, 0, 2147483647, "pages of a VM that are scanned in one pass at most; 0 is no limit");
KNOB(__u32, busy_percent, 4, 1, 100, "of one CPU, for scanning this tenant once there is little new to find");
KNOB(__u32, round_ms, 10000, 1, 3600000, "from one round to the next at least; what is merged has rested as long");
KNOB(__u32, patience, 3, 0, 16, "what is no use gets a look in one of 2^patience rounds, what breaks 1/8 of that");
KNOB(__u32, settle_scans, 1, 1, 255, "looks in a row that must find a page unchanged before it may be merged");
KNOB(__u32, huge_unchanged, 64, 0, 513, "unchanged pages that let a huge page be split; 0 splits any, 513 none");

/*
 * Ranges that are remembered: 64 GiB of a tenant's memory, for 4 MiB of the host's.  All of it is allocated when
 * the policy is loaded, since no operation may; the least recently used make room.
 */
#define RANGES		32768
/* Of what should be held back one in so many is let through.  The kernel ejects who lets fewer than 1/64 go. */
#define PROBES		32

#define NSEC_PER_MSEC	1000000ULL

/* The part of the kernel's that tells ksmd's CPU time. */
struct sched_entity {
	__u64 sum_exec_runtime;
} __attribute__((preserve_access_index));

struct task_struct {
	struct sched_entity se;
} __attribute__((preserve_access_index));

struct range_key {
	__u64 mm_id;
	__u64 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, RANGES);
	__type(key, struct range_key);
	__type(value, struct learn_range);
} ranges SEC(".maps");

/* Not static, or the compiler takes them apart into variables that no longer fit their BTF. */
struct learn_round this_round = { .number = 1 };
struct {
	__u64 pass;		/* ksmd's, which is a round or not */
	bool is_round;
	__u64 next_ns;		/* when the next round is due */
	__u64 cpu_ns;		/* ksmd's CPU time when an operation last looked */
	__u64 held_back;	/* candidates */
} state;

static struct learn_range *find_range(__u64 mm_id, __u64 address)
{
	struct range_key key = { .mm_id = mm_id, .number = address >> TIDE_KSM_RANGE_SHIFT };

	return bpf_map_lookup_elem(&ranges, &key);
}

static struct learn_range *add_range(__u64 mm_id, __u64 address)
{
	struct range_key key = { .mm_id = mm_id, .number = address >> TIDE_KSM_RANGE_SHIFT };
	struct learn_range range = {};

	bpf_map_update_elem(&ranges, &key, &range, BPF_ANY);
	return bpf_map_lookup_elem(&ranges, &key);
}

/* ksmd's CPU time since the last call; operations run in ksmd. */
static __u64 cpu_spent(void)
{
	struct task_struct *ksmd = bpf_get_current_task_btf();
	__u64 before = state.cpu_ns;

	state.cpu_ns = ksmd->se.sum_exec_runtime;
	return state.cpu_ns - before;
}

/* The first visit of a pass: whether it is a round. */
static void enter_pass(__u64 pass)
{
	__u64 now_ns = bpf_ktime_get_ns();

	/* ksmd has just gone through all of it, as it does with what is new to a domain, and notes checksums then */
	if (!state.next_ns)
		state.next_ns = now_ns + round_ms * NSEC_PER_MSEC;
	if (state.is_round)
		state.next_ns = learn_next(&this_round, round_ms * NSEC_PER_MSEC, busy_percent);
	state.pass = pass;
	state.is_round = now_ns >= state.next_ns;
	this_round.started_ns = now_ns;
}

SEC("struct_ops/visit")
int BPF_PROG(ksm_tenant_visit, struct tide_ksm_visit *visit)
{
	if (visit->pass != state.pass)
		enter_pass(visit->pass);
	/* what ksmd did since the last call was for others */
	cpu_spent();
	if (!state.is_round)
		return 0;
	return rate_pages ? (int)rate_pages : TIDE_KSM_NO_LIMIT;
}

SEC("struct_ops/range")
int BPF_PROG(ksm_tenant_range, struct tide_ksm_range *stretch)
{
	struct learn_range *range = find_range(stretch->mm_id, stretch->start);

	this_round.cpu_ns += cpu_spent();
	if (!range)
		range = add_range(stretch->mm_id, stretch->start);
	if (!range)
		return 1;
	return learn_come_by(&this_round, range, patience);
}

/* Whether to let a page go that should be held back. */
static int probe(void)
{
	return ++state.held_back % PROBES == 0;
}

SEC("struct_ops/merge")
int BPF_PROG(ksm_tenant_merge, struct tide_ksm_page *page)
{
	struct learn_range *range = find_range(page->mm_id, page->address);
	bool alone = huge_unchanged > 0;

	if (range) {
		range->unchanged++;
		alone = !range->held && range->unchanged < huge_unchanged;
	}
	if (page->unchanged < settle_scans)
		return probe();
	if ((page->flags & TIDE_KSM_IN_HUGE_PAGE) && alone)
		return probe();
	return 1;
}

SEC("struct_ops/merged")
void BPF_PROG(ksm_tenant_merged, struct tide_ksm_page *page)
{
	struct learn_range *range = find_range(page->mm_id, page->address);

	this_round.made++;
	if (range) {
		range->held++;
		range->made++;
	}
}

SEC("struct_ops/broken")
void BPF_PROG(ksm_tenant_broken, struct tide_ksm_page *page)
{
	struct learn_range *range = find_range(page->mm_id, page->address);

	this_round.broken++;
	if (range) {
		range->held -= range->held > 0;
		range->broken++;
	}
}

SEC(".struct_ops.link")
POLICY_ABOUT("a tenant's VMs share pages among themselves, and ksmd works where that pays")
struct tide_ksm_ops ksm_tenant = {
	.visit = (void *)ksm_tenant_visit,
	.range = (void *)ksm_tenant_range,
	.merge = (void *)ksm_tenant_merge,
	.merged = (void *)ksm_tenant_merged,
	.broken = (void *)ksm_tenant_broken,
	.name = "ksm_tenant",
};
