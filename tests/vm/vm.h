/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual machines for tests, benches and the demo: a real QEMU with a real kernel and the agent of tests/guest in
 * it.  What to run comes from the environment, which `lab` sets:
 *
 *	LAB_QEMU	the QEMU binary
 *	LAB_FIRMWARE	folders for -L, separated by ':'
 *	LAB_KERNEL	bzImage
 *	LAB_INITRD	initial file system
 *	LAB_ACCEL	for -accel
 *	LAB_CPU		for -cpu
 *	LAB_KERNEL_EXTRA_MIB	what the kernel needs more than the lab's plain one, see vm_kernel_extra()
 *	LAB_LOGS	where consoles are logged, NAME.log; default: the current folder
 *
 * Functions return 0 or a negative errno, and say on stderr what went wrong.  Nothing here is thread-safe for one
 * VM; two VMs may be used from two threads.
 */
#ifndef TESTS_VM_VM_H
#define TESTS_VM_VM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MIB	(1024ULL * 1024)
#define GIB	(1024ULL * MIB)

struct vm;

struct vm_options {
	const char *name;	/* also its log's name */
	uint64_t memory_bytes;
	unsigned int cpus;	/* 0: one */
	bool tide;		/* has a virtio-tide device, id tide0 */
	bool no_report;		/* ... without free page reporting */
	const char *vmm_socket;	/* ... that connects to the controller here */
	bool balloon;		/* has a stock virtio-balloon device, id balloon0 */
	bool balloon_report;	/* ... that offers free page reporting */
	const char *disk;	/* raw image or block device, read only, /dev/vda in the guest */
	unsigned int disk_iops;	/* its limits a second; 0: none */
	uint64_t disk_bytes;
	const char *uuid;
	const char *modules;	/* loaded at start, separated by ','; NULL: none */
	const char *append;	/* more kernel arguments */
	const char *cgroup;	/* folder of the cgroup it runs in, NULL: the caller's */
	const char *kernel;	/* instead of LAB_KERNEL */
	const char *initrd;	/* instead of LAB_INITRD */
	bool counts_oom;	/* the test counts OOM kills: one is no failure of vm_stop() */
	bool qtest;		/* no guest: QEMU's qtest protocol in place of the agent, see qtest.h */
	const char *incoming;	/* goes on where another VM was: for -incoming; "file:PATH" or as in vm_migrate() */
};

/*
 * Bytes that the guest's kernel takes for itself beyond what the lab's plain one does: one with KASAN keeps an eighth
 * of memory and more.  To be added to a guest's memory and to all that is said of how much of it is usable.
 */
uint64_t vm_kernel_extra(void);

/* Starts QEMU and waits until the agent answers. */
int vm_start(const struct vm_options *options, struct vm **ret_vm);
/* Starts QEMU only; vm_wait() waits for the agent, or until what comes in is there.  Several VMs boot at once this way. */
int vm_spawn(const struct vm_options *options, struct vm **ret_vm);
int vm_wait(struct vm *vm);

/*
 * Migrates the VM to @uri, "file:PATH" for one, and waits until it is done: the VM does not run any more.  -EREMOTEIO
 * when QEMU refuses; why is what vm_migration_blocked() says.
 */
int vm_migrate(struct vm *vm, const char *uri);
/* Why it cannot be migrated now, allocated, or NULL in *@ret_why: nothing is in the way. */
int vm_migration_blocked(struct vm *vm, char **ret_why);

/*
 * Ends the VM and reads its console: returns -EBADMSG when the guest's kernel logged a warning or worse.  @vm is
 * gone afterwards; NULL is fine.
 */
int vm_stop(struct vm *vm);
/* SIGKILL, as if it crashed; vm_stop() still has to be called. */
void vm_kill(struct vm *vm);

/*
 * A VM that somebody else runs, libvirt for one: @agent_fd is the connection to its agent, and @log the file where its
 * console goes, from vm_log_path().  There is no QMP, vm_wait() waits for the agent alone, and vm_stop() ends nothing.
 */
int vm_attach(const struct vm_options *options, pid_t pid, int agent_fd, const char *log, struct vm **ret_vm);
/* Where the console of a VM of this name is to be logged; a log that is there already is kept under another name. */
void vm_log_path(const char *name, char *ret_path, size_t size);

pid_t vm_pid(const struct vm *vm);
const char *vm_name(const struct vm *vm);

/*
 * Sends a command to the agent (tests/guest/agent.c has the list) and waits for the answer.  Returns 0, or -EREMOTEIO
 * when the agent says "error".  *@ret_text may be NULL; the caller frees it.
 */
int vm_ask(struct vm *vm, char **ret_text, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same in two halves, so that several guests work at once. */
int vm_tell(struct vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));
int vm_hear(struct vm *vm, char **ret_text);
/* One line as it comes, without its end; the caller frees it.  For vm_options.qtest. */
int vm_hear_line(struct vm *vm, char **ret_line);
/* The answer's first number. */
int vm_ask_number(struct vm *vm, uint64_t *ret_value, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A line "KEY: value [kB]" or "KEY value" of a file in the guest; kB become bytes. */
int vm_file_value(struct vm *vm, const char *path, const char *key, uint64_t *ret_value);

/* A QMP command; @arguments is consumed and may be NULL.  *@ret_result may be NULL. */
int vm_qmp(struct vm *vm, const char *command, json_t *arguments, json_t **ret_result);
int vm_get(struct vm *vm, const char *object, const char *property, uint64_t *ret_value);
int vm_set(struct vm *vm, const char *object, const char *property, uint64_t value);
/* Waits until @object's @property is between @low and @high; -ETIMEDOUT after @timeout_ms, with the last value said. */
int vm_wait_property(struct vm *vm, const char *object, const char *property, uint64_t low, uint64_t high,
		     unsigned int timeout_ms);

/* Resident bytes of the VM's RAM mapping, from the host's smaps. */
int vm_resident(const struct vm *vm, uint64_t *ret_bytes);

/*
 * Reads a kernel log: 0 when it is clean, -EBADMSG with the line on stderr when it has a WARN, BUG, lockdep line, ...
 * What the OOM killer says where a test has announced it (kernel-log.h) is none.
 */
int kernel_log_check(const char *path);

#define TIDE_OBJECT	"/machine/peripheral/tide0"
#define BALLOON_OBJECT	"/machine/peripheral/balloon0"

#endif /* TESTS_VM_VM_H */
