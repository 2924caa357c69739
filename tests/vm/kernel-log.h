/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a test writes to /dev/kmsg around what makes memory run out, or allocations fail: the kernel's reports of OOM kills
 * and of failed allocations have call traces, and a kernel's log with one is a failure otherwise.
 */
#ifndef TESTS_VM_KERNEL_LOG_H
#define TESTS_VM_KERNEL_LOG_H

/* At a level that reaches the console, as the reports do. */
#define KERNEL_LOG_LEVEL	"<4>"
#define KERNEL_LOG_MEANT	"test: memory is to run out from here"
#define KERNEL_LOG_OVER		"test: memory is to run out up to here"

#endif /* TESTS_VM_KERNEL_LOG_H */
