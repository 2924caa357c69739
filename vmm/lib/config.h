/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration file of memtided, read and checked as a whole.
 *
 *	[daemon]
 *	budget = auto			what all VMs together may hold: a size, or "auto"
 *	reserve = 256M			of it, kept free for VMs under pressure
 *	policy = fair			balance policy: a name in the policy path, or an absolute file name
 *	policy-path = /usr/lib/memtide	directories, separated by colons; MEMTIDE_POLICY_PATH if unset
 *	vmm-socket = /run/memtide/vmm.sock
 *	control-socket = /run/memtide/control.sock
 *	group = memtide			its members may read over the control socket; none if unset
 *	log-size = 16M			memory for the decision log, 64K to 1G; the oldest entries go
 *	admission = throttle		no room for a VM's maximum at its start: "refuse" it, or "throttle" it
 *	offenders = throttle		a VM above its ceiling is held back ("throttle") or killed ("kill")
 *	dry-run = no			decide and log, but do nothing
 *	floor-admission = refuse	a VM is started whose floor does not fit the budget any more: "refuse" it, or "warn"
 *					and cut the floor to what is left
 *	hook-time = 5s			how much longer a start, or an end, may take for the libvirt hook, 100ms to 60s;
 *					about half of it is for making room before a VM starts
 *	state-directory = /var/lib/memtide	what has to outlive the daemon: domains that run, numbers of tenants
 *	machine-cgroup = auto		the cgroup that libvirt's VMs are in, closed to KSM by default as soon as there is a
 *					VM with a tenant or <ksm>: a folder, "auto", or "none" to leave it open
 *	libvirt-uri = qemu:///system	of memtide-agent: where its domains are
 *
 *	[default]			for every VM
 *	floor = 256M
 *	maximum = 4G			the VM's RAM if unset
 *	start = 512M			its ceiling where it must start throttled; its floor if unset
 *	shares = 100
 *
 *	[tenant NAME]			for the VMs of one tenant, as their libvirt domains name it
 *	budget = 16G			their floors have to fit it, and none gets anything beyond it; no limit if unset
 *	shares = 200			of each that does not say otherwise; from [default] if unset
 *	ksm = tenant			which of their pages merge: "tenant", with each other; "off", none
 *	ksm-rate-pages = 25600		pages of each VM that one pass of ksmd scans at most; no limit if unset
 *
 *	[vm NAME]			for one VM, by its name or UUID; what is unset comes from [default]
 *	floor = 1G
 *
 * Every size needs a unit, see size.h.  An unknown section or key, a key given twice, and a value out of range are
 * errors.  Lines starting with # or ; are comments, as is what follows " ;" in a line.
 */
#ifndef MEMTIDE_CONFIG_H
#define MEMTIDE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "errtext.h"
#include "paths.h"

#define MEMTIDE_CONFIG_UNSET	UINT64_MAX

enum memtide_admission {
	MEMTIDE_ADMISSION_REFUSE,
	MEMTIDE_ADMISSION_THROTTLE,
};

enum memtide_offenders {
	MEMTIDE_OFFENDERS_THROTTLE,	/* memory.high only */
	MEMTIDE_OFFENDERS_KILL,		/* memory.max as well */
};

enum memtide_floors {
	MEMTIDE_FLOORS_REFUSE,
	MEMTIDE_FLOORS_WARN,
};

/* Sizes in bytes. */
struct memtide_config_tenant {
	char *name;
	uint64_t budget;	/* MEMTIDE_CONFIG_UNSET if unset, as is the next */
	uint64_t shares;
	bool ksm_off;
	uint64_t ksm_rate_pages;	/* 0: no limit */
};

struct memtide_config_vm {
	char *name;		/* NULL in [default] */
	uint64_t floor;		/* MEMTIDE_CONFIG_UNSET if unset, as are the next three */
	uint64_t maximum;
	uint64_t start;
	uint64_t shares;	/* 1 to 1000000 */
};

struct memtide_config {
	bool budget_auto;
	uint64_t budget;	/* not with budget_auto */
	uint64_t reserve;
	char *policy;
	char *policy_path;
	char *vmm_socket;
	char *control_socket;
	char *group;		/* NULL: none */
	uint64_t log_size;
	enum memtide_admission admission;
	enum memtide_offenders offenders;
	bool dry_run;
	enum memtide_floors floors;
	uint64_t hook_ms;
	char *state_directory;
	char *machine_cgroup;	/* "auto", "none" or an absolute path */
	char *libvirt_uri;
	struct memtide_config_vm defaults;	/* nothing is unset but maximum and start */
	struct memtide_config_vm *vms;
	size_t nr_vms;
	struct memtide_config_tenant *tenants;
	size_t nr_tenants;
};

/**
 * memtide_config_load() - read a file
 * @path: of the file; NULL: only what holds without a file
 * @ret_config: to be freed with memtide_config_free(); untouched on failure
 * @errtext: file, line, value, limit and mend; may be NULL
 *
 * Returns 0, -EINVAL for what is wrong in the file, -ENOMEM, or why it cannot be read.
 */
int memtide_config_load(const char *path, struct memtide_config *ret_config, struct memtide_errtext *errtext);

/* memtide_config_parse() - the same from memory; @name stands for the file's in errors */
int memtide_config_parse(const char *text, const char *name, struct memtide_config *ret_config,
			 struct memtide_errtext *errtext);

void memtide_config_free(struct memtide_config *config);

/**
 * memtide_config_vm() - what holds for one VM
 * @config: valid
 * @name: of the VM, or NULL
 * @uuid: of the VM as text, or NULL
 * @ram: of the VM, bytes
 * @ret_vm: nothing in it is unset; its name is that of the section, or NULL
 * @errtext: may be NULL
 *
 * A section by name goes before one by UUID.  A maximum above @ram becomes @ram; a floor or start above the
 * maximum that comes from [default] becomes the maximum, one from the VM's own section is an error.
 *
 * Returns 0 or -EINVAL.
 */
int memtide_config_vm(const struct memtide_config *config, const char *name, const char *uuid, uint64_t ram,
		      struct memtide_config_vm *ret_vm, struct memtide_errtext *errtext);

/* The section of tenant @name, or NULL. */
const struct memtide_config_tenant *memtide_config_tenant(const struct memtide_config *config, const char *name);

#endif /* MEMTIDE_CONFIG_H */
