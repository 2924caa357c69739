/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One VM: its process, its regions and doorbells, what it was last heard to say, and the steps that bring what the
 * ledger has decided to the guest.  What to decide is not decided here.
 *
 * What a VM's process and its guest may do to the daemon is bounded in the vm-*.c files: every value of theirs is
 * read once through vmm/lib, bells cost tokens, and nothing waits for them without a timer.
 */
#ifndef MEMTIDED_VM_H
#define MEMTIDED_VM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cgroup.h"
#include "config.h"
#include "decide.h"
#include "hello.h"
#include "histogram.h"
#include "ledger.h"
#include "loop.h"
#include "record.h"
#include "region.h"
#include "ring.h"

struct domain;
struct limit;
struct manager;

/* Per second, from two statistics. */
struct vm_rates {
	uint64_t refault_file;
	uint64_t refault_anon;
	uint64_t scan_direct;
	uint64_t swap;
	uint64_t psi_some;
	uint64_t cpu;		/* microseconds, of all CPUs; BALANCE_UNKNOWN if the guest cannot tell */
};

/* An eventfd that the guest or its QEMU rings, with a bound on how often it is listened to. */
struct vm_bell {
	struct loop_source source;
	struct loop_timer timer;	/* armed: listen again then, also when it is not rung */
	struct decide_tokens tokens;
	uint64_t floods;
	struct vm *vm;
	void (*rung)(struct vm *vm);
};

/* A grant under pressure is watched: one that is not used makes the next claim count for less. */
struct vm_watch {
	bool active;
	uint64_t since_ns;
	uint64_t granted;
	uint64_t usable;	/* before it */
	uint64_t resident;	/* before it, or MEMTIDE_LEDGER_UNKNOWN */
};

struct vm {
	struct manager *manager;
	uint64_t id;
	uint32_t row;			/* in the balance table */
	char name[TIDE_VMM_NAME_SIZE];	/* never empty */
	uint8_t uuid[16];
	bool has_uuid;
	char uuid_text[MEMTIDE_UUID_TEXT];

	struct domain *domain;		/* libvirt's, or NULL: none that is known */
	enum tide_vmm_kind kind;	/* by what it gives, and who speaks for it */

	pid_t pid;
	struct loop_source process;	/* pidfd: readable when the process is dead */
	struct loop_source socket;	/* fd -1: hung up */
	struct vm_bell doorbell;	/* the guest's */
	struct vm_bell notify;		/* the device's */
	int call_fd;
	ino_t state_inode;		/* tells one device of a process from another */

	struct memtide_region state_region;
	struct memtide_region counters_region;
	struct memtide_ring_producer to_guest;
	struct memtide_ring_consumer from_guest;
	struct memtide_counters counters;
	uint32_t counters_seq;
	struct memtide_state published;	/* what the guest was told last; generation 0: nothing */

	struct memtide_config_vm terms;
	bool set_by_hand;		/* by vm.set: a reload leaves it alone */
	char stepped_back[96];		/* what was set past us, so that it is released; empty: nothing */
	struct memtide_ledger_vm ledger;
	uint64_t target;
	uint32_t state_flags;		/* VIRTIO_TIDE_STATE_* */
	uint32_t grant_path;		/* enum virtio_tide_path */

	char cgroup[MEMTIDE_CGROUP_PATH_MAX];	/* empty: not enforced, and @not_enforced says why */
	char not_enforced[MEMTIDE_CGROUP_WHY_MAX];
	struct limit *limit;
	uint64_t limit_max;		/* what memory.max is for, where offenders are throttled; 0: not written yet */
	uint64_t limit_ns;		/* when the write under way was asked for; 0: none */
	uint64_t footprint;
	uint64_t footprint_ns;		/* when it was read; 0: never */

	/* What the guest says. */
	struct memtide_stats stats;
	struct memtide_stats stats_base;	/* what the rates are counted from */
	struct vm_rates rates;
	uint32_t stats_seq;
	uint64_t stats_ns;		/* when @stats were right, 0: never */
	uint64_t taken;			/* asked for since, so not available any more */
	uint64_t base_ns;
	uint32_t refresh;		/* asked for */
	uint64_t refresh_ns;		/* when it was asked for; 0: answered */
	uint64_t refresh_wait_ns;	/* how long statistics of this VM are good for */

	/* Pressure. */
	bool pressed;
	bool oom;
	uint64_t wanted;
	uint64_t pressed_ns;		/* last claim */
	uint32_t pressure_events;	/* since the last round */
	bool waiting;			/* in the relief's queue */
	uint64_t waiting_ns;
	struct vm *next_waiting;
	unsigned int unused;		/* grants in a row that stayed unused */
	struct vm_watch watch;

	/* What is under way. */
	struct loop_timer step_timer;
	bool lowering;
	uint64_t lowering_ns;
	uint64_t lowering_bytes;
	uint64_t lowering_entry;	/* in the decision log */
	uint64_t given_then;		/* at the last look, to see progress */
	unsigned int looks;
	uint64_t last_lower_ns;		/* when the last one ended */
	bool unanswering;
	bool stalled;
	unsigned int stalls;		/* in a row: how long it is left alone */
	uint64_t alone_until_ns;
	uint32_t rounds;

	struct memtide_histogram *relief_ns;	/* by enum virtio_tide_path; NULL until there is one */
};

/*
 * vm.c: coming, going, and a VM as the others see it
 */

/**
 * vm_new() - take a VM into management
 * @hello: checked for form; taken over on success
 * @pid: of the peer, by the kernel's word
 * @pidfd: of the same; taken over on success
 * @socket: taken over on success
 * @ret: the VM, in the manager's table
 * @errtext: for the VM's log and the administrator
 *
 * 0 or negative errno, and then nothing has changed.
 */
int vm_new(struct manager *manager, struct memtide_hello *hello, pid_t pid, int pidfd, int socket, struct vm **ret,
	   struct memtide_errtext *errtext);
/* Its process is dead, or the daemon ends.  Nothing is written to it. */
void vm_free(struct vm *vm);
/* The same, but what it had is about to be charged again: nobody is told that it is free. */
void vm_leave(struct vm *vm);

/*
 * The stand-in of a VM, which had hung up, was started again: @hello and @socket are taken over, and all that was
 * decided stays.  0 or negative errno, and then the VM stays without.
 */
int vm_stand_in_again(struct vm *vm, struct memtide_hello *hello, int socket, struct memtide_errtext *errtext);

/* The same device has connected again: its new socket is taken over. */
void vm_reconnected(struct vm *vm, int socket);

/* The VM as decide.h wants it. */
struct decide_vm vm_decide_view(const struct vm *vm);
uint32_t vm_balance_flags(const struct vm *vm);
bool vm_managed(const struct vm *vm);
const char *vm_state_name(const struct vm *vm);
const char *vm_kind_name(const struct vm *vm);

/* What its QEMU may need beside the guest's memory. */
uint64_t vm_overhead(const struct vm *vm);

/* Ask the processor for what vm_read_stats() and vm_follow_counters() look at first. */
void vm_prefetch(const struct vm *vm);

/*
 * vm-steps.c: deciding, and carrying out
 */

/* The highest ceiling that there is room for: in the ledger, and in the budget of its tenant. */
uint64_t vm_most(const struct vm *vm, enum memtide_ledger_purse purse);

/*
 * Decide on a ceiling and a target.  @purse as for the ledger.  The steps follow by themselves.  0 or what
 * memtide_ledger_set() says.
 */
int vm_set(struct vm *vm, uint64_t ceiling, uint64_t target, enum memtide_ledger_purse purse);

int vm_release(struct vm *vm, bool release);
int vm_change_terms(struct vm *vm, uint64_t floor, uint64_t maximum, uint32_t shares,
		    struct memtide_errtext *errtext);

/* Terms as its domain and the configuration have them now.  As vm_change_terms(). */
int vm_own_terms(struct vm *vm, struct memtide_errtext *errtext);

/* Take the next steps of what is under way, as far as they go without waiting. */
void vm_step(struct vm *vm);

/* Tell a guest that nothing more is to be had. */
void vm_deny(struct vm *vm);

/*
 * vm-hand.c: values that an administrator sets past us win
 */

/* Its balloon was set to @bytes: that is what it has, as far as it may, and it is left alone until it is adopted. */
void vm_balloon_set_by_hand(struct vm *vm, uint64_t bytes);
/* The same of a VM that has just come, if that was so before. */
void vm_balloon_was_set_by_hand(struct vm *vm);
/* Its terms are an administrator's, by vm.set or past us: neither configuration nor policy changes them. */
static inline bool vm_is_by_hand(const struct vm *vm)
{
	return vm->set_by_hand || vm->stepped_back[0];
}
/*
 * It is managed again, on the terms of configuration and policy, whatever was set here or past us.  As vm_own_terms(), and
 * then nothing has changed.
 */
int vm_adopt(struct vm *vm, struct memtide_errtext *errtext);
/* All its memory back, also what was set by hand leaves out.  0 or a negative errno, worded, and then nothing has. */
int vm_release_all(struct vm *vm, struct memtide_errtext *errtext);

/*
 * vm-counters.c: what QEMU and the host count
 */

/* Read the device's counters, and let the ledger know. */
void vm_observe(struct vm *vm);

/* The same, and the steps that follow, if the device has counted anything since. */
void vm_follow_counters(struct vm *vm);

/*
 * All that its cgroup, or else its process, has in memory, as it was at most @age_ns ago; 0 if that cannot be
 * read.  Reading it takes twice as long as all else that is shown of a VM.
 */
uint64_t vm_footprint(struct vm *vm, uint64_t age_ns);

/* The guest's part of it as it is now, without QEMU's overhead and caches, or MEMTIDE_LEDGER_UNKNOWN. */
uint64_t vm_resident(const struct vm *vm);

/*
 * vm-stats.c: what the guest says of its memory
 */

/* Take over the guest's statistics if there are new ones.  Returns whether there were. */
bool vm_read_stats(struct vm *vm);
/* Ask the guest for fresh statistics; it answers in its own time. */
void vm_ask_stats(struct vm *vm);
uint64_t vm_available(const struct vm *vm);
uint64_t vm_stats_age_ns(const struct vm *vm);
bool vm_stats_stale(const struct vm *vm);

/*
 * vm-grant.c: whether a grant was used
 */

/* Look whether the last grant was used. */
void vm_judge_grant(struct vm *vm);
void vm_watch_grant(struct vm *vm, uint64_t granted);

#endif
