/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the vm-*.c files have for each other and for nobody else: each of them owns one part of struct vm.
 */
#ifndef MEMTIDED_VM_INTERNAL_H
#define MEMTIDED_VM_INTERNAL_H

#include <stddef.h>

#include "manager.h"
#include "vm.h"

/* While something is awaited from a guest it is looked at this often. */
#define VM_LOOK_NS		NSEC_PER_SEC

#define vm_of(ptr, member)	((struct vm *)((char *)(ptr) - offsetof(struct vm, member)))

static inline uint64_t vm_now(const struct vm *vm)
{
	return loop_now(vm->manager->loop);
}

static inline void *vm_state_at(const struct vm *vm, size_t offset)
{
	return (char *)vm->state_region.start + offset;
}

/* Only tells whether a record has changed; what is in it is read by vmm/lib. */
static inline uint32_t vm_peek_seq(const void *record)
{
	return __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
}

/* vm-steps.c */
/* Ring for the guest; it finds by itself what is new. */
void vm_call_guest(const struct vm *vm);
/* Write @published to where the guest reads it, and ring. */
void vm_tell_guest(const struct vm *vm);
void vm_limit_written(void *arg, int error, const char *file, uint64_t value);
void vm_step_expired(struct loop_timer *timer);
/* Where offenders are throttled: memory.max is no less than what the VM may ever have. */
void vm_limit_follow_maximum(struct vm *vm);

/* vm-hand.c: somebody else has set @file of its cgroup to @value. */
void vm_limit_set_by_hand(struct vm *vm, const char *file, uint64_t value);

/* vm-lowering.c */
void vm_lowering_begins(struct vm *vm, uint64_t before);
/* @done: it has come down; else nothing is waited for any more. */
void vm_lowering_ends(struct vm *vm, bool done);
/* The fence is still awaited: see whether there is progress or it is time to give up. */
void vm_look_at_fence(struct vm *vm);
bool vm_left_alone(const struct vm *vm);
/* Its driver has said something. */
void vm_heard(struct vm *vm);

/* vm-stats.c: of a VM that has just come, and of one whose device was reset. */
void vm_start_stats(struct vm *vm);
void vm_forget_stats(struct vm *vm);

/* vm-counters.c: the device rang. */
void vm_notify_rung(struct vm *vm);

/* vm-pressure.c: the guest rang; and what it was pressed by is over. */
void vm_doorbell_rung(struct vm *vm);
void vm_end_pressure(struct vm *vm);

/* vm-bell.c: @fd is taken over.  0 or negative errno, and vm_close_bell() is due in either case. */
int vm_open_bell(struct vm *vm, struct vm_bell *bell, int *fd, void (*rung)(struct vm *vm));
void vm_close_bell(struct vm *vm, struct vm_bell *bell);

#endif
