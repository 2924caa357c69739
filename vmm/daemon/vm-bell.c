// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The eventfds that a guest and its QEMU ring, which cost them tokens: nobody rings so often that the others are
 * not heard.
 */
#include "vm-internal.h"

#include <poll.h>
#include <unistd.h>

/*
 * An honest guest rings for a claim, a relief and an end of pressure: a few times in a second, and some tens at
 * worst.  What is beyond this waits, and costs the daemon nothing while it does.
 */
#define BELLS_PER_SECOND	200
#define BELLS_BURST		200

static void bell_ready(struct loop_source *source, uint32_t events)
{
	struct vm_bell *bell = (struct vm_bell *)source;	/* its first member */
	struct vm *vm = bell->vm;
	uint64_t wait;

	wait = decide_take_token(&bell->tokens, vm_now(vm), BELLS_PER_SECOND, BELLS_BURST);
	if (!wait) {
		bell->rung(vm);
		return;
	}
	/* Nothing is lost: the eventfd stays readable, and what it stands for stays where it is. */
	loop_remove(vm->manager->loop, source);
	loop_timer_set(vm->manager->loop, &bell->timer, vm_now(vm) + wait);
	if (!bell->floods++)
		manager_note(vm->manager, DECISION_VM, LOG_LEVEL_WARNING, vm,
			     "rings %s more than %d times a second: listened to at that rate",
			     bell == &vm->doorbell ? "its doorbell" : "for its device", BELLS_PER_SECOND);
}

static void bell_expired(struct loop_timer *timer)
{
	struct vm_bell *bell = (struct vm_bell *)((char *)timer - offsetof(struct vm_bell, timer));

	if (loop_has(&bell->source))
		bell_ready(&bell->source, POLLIN);
	else
		loop_add(bell->vm->manager->loop, &bell->source, POLLIN);
}

int vm_open_bell(struct vm *vm, struct vm_bell *bell, int *fd, void (*rung)(struct vm *vm))
{
	int r;

	bell->vm = vm;
	bell->rung = rung;
	bell->source.ready = bell_ready;
	bell->source.fd = *fd;
	*fd = -1;
	r = loop_timer_register(vm->manager->loop, &bell->timer, bell_expired);
	if (r < 0)
		return r;
	return loop_add(vm->manager->loop, &bell->source, POLLIN);
}

void vm_close_bell(struct vm *vm, struct vm_bell *bell)
{
	loop_timer_unregister(vm->manager->loop, &bell->timer);
	loop_remove(vm->manager->loop, &bell->source);
	if (bell->source.fd >= 0)
		close(bell->source.fd);
	bell->source.fd = -1;
}
