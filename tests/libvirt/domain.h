/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMs as libvirt domains: what vm.h starts itself, defined and started through libvirtd's API from the template
 * domain.xml.  Functions return 0 or a negative errno and say on stderr what went wrong.
 */
#ifndef TESTS_LIBVIRT_DOMAIN_H
#define TESTS_LIBVIRT_DOMAIN_H

#include "libvirtd.h"
#include "vm.h"

#define DOMAIN_POLICY_URI	"urn:memtide:policy:1"

struct domain;

/*
 * Defines a domain.  Of @options what a domain can have is used: name, uuid, memory, cpus, kernel, initrd, append,
 * modules, disk with its limits, tide, balloon.  @policy is the XML in its <metadata>, NULL for none.
 */
int domain_define(struct libvirtd *libvirtd, const struct vm_options *options, const char *policy,
		  struct domain **ret_domain);

/* What `virsh start` does; the error of libvirt, which may be a hook's, is in domain_error() afterwards. */
int domain_spawn(struct domain *domain);
/* Waits until the agent answers. */
int domain_wait(struct domain *domain);
/* Both. */
int domain_start(struct domain *domain);
/* What `virsh destroy` does.  -EBADMSG when the guest's kernel logged a warning or worse. */
int domain_destroy(struct domain *domain);
/*
 * What `virsh managedsave` does: after it domain_spawn() restores it, and its agent goes on without a word.  The error of
 * libvirt is in domain_error() afterwards.
 */
int domain_save(struct domain *domain);
/*
 * After its process has ended in another way: waits for the event unless libvirt knows already, reads the console as
 * domain_destroy() does.
 */
int domain_ended(struct domain *domain);
/* Destroys it if it runs, undefines and frees; NULL is fine. */
int domain_free(struct domain *domain);

const char *domain_name(const struct domain *domain);
/* To ask its guest; NULL while it does not run.  It is gone when the domain has ended. */
struct vm *domain_vm(const struct domain *domain);
/* libvirt's word for the last start or save that failed. */
const char *domain_error(const struct domain *domain);
/* Is it running, as libvirt says. */
bool domain_runs(const struct domain *domain);

/* What `virsh dumpxml` says, allocated. */
char *domain_xml(const struct domain *domain);
/* The policy element as libvirt has it, allocated; NULL if there is none.  @flags: VIR_DOMAIN_AFFECT_LIVE, ... */
char *domain_policy(const struct domain *domain, unsigned int flags);
/* What `virsh metadata --uri ... --key memtide --set` does; @policy without prefix, NULL takes it away. */
int domain_set_policy(const struct domain *domain, const char *policy, unsigned int flags);

#endif /* TESTS_LIBVIRT_DOMAIN_H */
