/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a test writes to /dev/kmsg around what makes the OOM killer kill: its report has a call trace, and a kernel's
 * log with one is a failure otherwise.
 */
#ifndef TESTS_VM_KERNEL_LOG_H
#define TESTS_VM_KERNEL_LOG_H

/* At a level that reaches the console, as the report does. */
#define KERNEL_LOG_LEVEL	"<4>"
#define KERNEL_LOG_OOM_MEANT	"test: OOM kills are meant from here"
#define KERNEL_LOG_OOM_OVER	"test: OOM kills are meant up to here"

#endif /* TESTS_VM_KERNEL_LOG_H */
