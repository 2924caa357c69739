/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The libvirt hook as libvirt calls it: a process, with the domain's XML on its standard input.
 */
#ifndef TESTS_VM_LIBVIRT_HOOK_H
#define TESTS_VM_LIBVIRT_HOOK_H

#include <stddef.h>
#include <stdint.h>

/* A domain whose UUID is that of a peer with the same uuid_end. */
struct hook_domain {
	const char *name;
	uint32_t uuid_end;
	unsigned int memory_mib;
	const char *policy;	/* the content of its <memtide:policy>; NULL: it has none */
	const char *more;	/* elements beside it, or NULL */
	int no_device;
};

/* For free(). */
char *hook_xml(const struct hook_domain *domain);

/* What the last call printed, and how long it took. */
extern char hook_output[4096];
extern uint64_t hook_took_ms, hook_took_ns;

/* The configuration that it reads, and the folder with process ids. */
extern const char *hook_config;
extern const char *hook_run;

/* Returns its exit status, or -1 if a signal ended it.  @size of @xml, or -1: up to its end. */
int hook_call_bytes(const char *name, const char *operation, const char *xml, size_t size);
int hook_call(const struct hook_domain *domain, const char *operation);

#endif
