/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The balance family: the table that the controller fills, a policy reads and answers in, once per round.
 *
 * A balance policy is an object with one program `SEC("syscall") int balance(void *unused)` and one array map
 * `table` with a single value of struct balance_table, BPF_F_MMAPABLE, so that the controller fills it without a
 * system call per row.  The program is run with BPF_PROG_RUN: it works on any kernel since 6.0 and cannot harm it.
 * Its answers are wishes: the controller bounds them by floors, maxima, step limits and the ledger, and
 * ignores the answer for a row whose reason is BALANCE_KEEP.
 *
 * Grows only at the end of reserved fields; reason codes and flags keep their meaning.  Sizes are bytes, rates are
 * per second, "usable" is a VM's RAM less what it has given.
 *
 * Included by BPF programs (with bpf/include/tide_bpf.h before it, for the types) and by the controller.
 */
#ifndef TIDE_BALANCE_H
#define TIDE_BALANCE_H

#define BALANCE_VERSION		1
#define BALANCE_MAX_VMS		16384
/* A value that the guest does not tell. */
#define BALANCE_UNKNOWN		(~0ULL)

/* Why a round runs. */
enum balance_trigger {
	BALANCE_TICK		= 0,	/* nothing happened for a while */
	BALANCE_PRESSURE	= 1,	/* a VM asks for memory, see balance_host.pressed */
	BALANCE_CHANGE		= 2,	/* a VM came, went or was changed; the policy or the budget was changed */
	BALANCE_HOST		= 3,	/* the host itself is under pressure */
	BALANCE_QUIET		= 4,	/* a VM's pressure is over */
};

/* Reasons, of a round's answer for one VM.  Shown by name in the decision log. */
enum balance_reason {
	BALANCE_KEEP		= 0,	/* no change */
	BALANCE_GROW_PRESSURE	= 1,	/* under pressure: up to its entitlement or beyond it from what is free */
	BALANCE_GROW_REFAULT	= 2,	/* re-reads what it lost: its working set is larger than its memory */
	BALANCE_GROW_SHARE	= 3,	/* free memory is lent out by shares */
	BALANCE_SHRINK_IDLE	= 4,	/* gives what it does not use */
	BALANCE_SHRINK_DONOR	= 5,	/* gives to one under pressure */
	BALANCE_SHRINK_LOAN	= 6,	/* gives back what it was lent above its entitlement */
	BALANCE_SHRINK_BUDGET	= 7,	/* the budget fell */
	BALANCE_HOST_HIGH	= 8,	/* proxmox: host use above the mark, everybody shrinks by shares */
	BALANCE_HOST_LOW	= 9,	/* proxmox: host use below the mark, everybody grows by shares */
	BALANCE_FLOOR		= 10,	/* raised to its floor */
	BALANCE_MAXIMUM		= 11,	/* lowered to its maximum */
	BALANCE_REASONS		= 12,
};

/* Rows */
#define BALANCE_VM_MANAGED	0x01	/* answers count; otherwise the row only informs */
#define BALANCE_VM_STALE	0x02	/* statistics are older than a refresh takes: means "no change" */
#define BALANCE_VM_PRESSURE	0x04	/* the guest claims pressure right now */
#define BALANCE_VM_OOM		0x08	/* ... and is about to kill a task */
#define BALANCE_VM_STALLED	0x10	/* does not come down to its target */
#define BALANCE_VM_MOVING	0x20	/* an earlier answer is still being carried out */
#define BALANCE_VM_UNUSED	0x40	/* the last grant stayed unused: its claims count for less */

enum balance_donate {
	BALANCE_DONATE_NORMAL	= 0,
	BALANCE_DONATE_FIRST	= 1,
	BALANCE_DONATE_LAST	= 2,
};

/**
 * struct balance_vm - one VM
 * @id: the controller's name for it, stable while the VM lives
 * @flags: BALANCE_VM_*
 * @shares: its weight in what is beyond the floors, 1 to 1000000
 * @floor: the least it is ever asked to shrink to
 * @maximum: the most it may ever have
 * @usable: what it has, by the device's count
 * @target: what it was last asked to come to
 * @ceiling: what the ledger has granted it
 * @charged: what the ledger charges it for, >= @ceiling
 * @wanted: bytes above its ceiling that it claims, zero without pressure
 * @stats_age_ms: how old the statistics below are
 * @rounds: how many rounds this row has been in the table, 0 at first
 * @free: free memory in the guest
 * @available: what the guest could use without swapping
 * @anon: anonymous memory
 * @file: page cache
 * @file_active: page cache on the active list
 * @refault_file_rate: pages of cache per second that were read again after being reclaimed
 * @refault_anon_rate: the same for anonymous memory
 * @scan_direct_rate: pages per second scanned by direct reclaim
 * @swap_rate: pages per second swapped in and out
 * @psi_some_rate: microseconds per second in which some task stalled on memory
 * @pressure_events: pressure events since the last round
 * @quiet_ms: time since the last pressure
 * @state: the policy's own, kept from round to round, zero at first and after a policy is replaced
 * @new_target: answer
 * @new_ceiling: answer, >= new_target
 * @reason: answer, enum balance_reason
 * @rule: answer: the policy's own number for the rule that decided, for its log
 * @cpu_rate: microseconds per second in which the guest's CPUs were not idle, all together, or BALANCE_UNKNOWN
 * @headroom: hint of its libvirt domain: bytes to leave it beyond what it uses, 0 if it has none
 * @donate: hint of its libvirt domain: when it should be asked for memory that another VM needs, enum balance_donate
 * @reserved32: zero
 * @reserved: zero
 */
struct balance_vm {
	__u64 id;
	__u32 flags;
	__u32 shares;
	__u64 floor;
	__u64 maximum;
	__u64 usable;
	__u64 target;
	__u64 ceiling;
	__u64 charged;
	__u64 wanted;
	__u32 stats_age_ms;
	__u32 rounds;
	__u64 free;
	__u64 available;
	__u64 anon;
	__u64 file;
	__u64 file_active;
	__u64 refault_file_rate;
	__u64 refault_anon_rate;
	__u64 scan_direct_rate;
	__u64 swap_rate;
	__u64 psi_some_rate;
	__u32 pressure_events;
	__u32 quiet_ms;
	__u64 state[8];
	__u64 new_target;
	__u64 new_ceiling;
	__u32 reason;
	__u32 rule;
	__u64 cpu_rate;
	__u64 headroom;
	__u32 donate;
	__u32 reserved32;
	__u64 reserved[1];
};

/**
 * struct balance_host - the host, and this round
 * @version: BALANCE_VERSION
 * @nr_vms: rows in use
 * @trigger: enum balance_trigger
 * @pressed: with BALANCE_PRESSURE the row that asked, else ~0
 * @time_ms: monotonic time of this round
 * @interval_ms: time since the last round, zero in the first
 * @budget: what all VMs together may hold
 * @charged: what the ledger charges in all
 * @reserve: how much of the budget the controller wants to stay ungranted, ready for relief
 * @host_total: the host's memory
 * @host_available: MemAvailable of the host
 * @reserved: zero
 */
struct balance_host {
	__u32 version;
	__u32 nr_vms;
	__u32 trigger;
	__u32 pressed;
	__u64 time_ms;
	__u64 interval_ms;
	__u64 budget;
	__u64 charged;
	__u64 reserve;
	__u64 host_total;
	__u64 host_available;
	__u64 reserved[7];
};

struct balance_table {
	struct balance_host host;
	__u64 state[16];	/* the policy's own, for the host as a whole */
	struct balance_vm vm[BALANCE_MAX_VMS];
};

#endif /* TIDE_BALANCE_H */
