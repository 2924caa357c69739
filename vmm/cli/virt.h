/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt, as far as memtide's commands need it.  Text in and out; nothing of libvirt's own types leaves virt.c.
 * Errors are worded with libvirt's own words.
 */
#ifndef MEMTIDE_VIRT_H
#define MEMTIDE_VIRT_H

#include <stdbool.h>

#include "errtext.h"

#define VIRT_URI	"qemu:///system"

struct virt;

/* What there is of a domain besides its XML. */
struct virt_state {
	bool persistent;	/* it is still there when it does not run */
	bool running;
	bool saved;		/* its next start goes on from a saved image, as `virsh managedsave` makes it */
};

/* Connect; @uri NULL is VIRT_URI.  0 or -ENOTCONN. */
int virt_open(const char *uri, bool read_only, struct virt **ret_virt, struct memtide_errtext *errtext);
void virt_close(struct virt *virt);

/* Whether its QEMUs run on this host. */
bool virt_is_local(const struct virt *virt);

/**
 * virt_read() - the persistent XML of a domain, as it will be started the next time
 * @name: name or uuid
 * @secure: with passwords, which takes a connection that may write
 * @ret_xml: for free()
 * @ret_state: may be NULL
 *
 * 0, -ENOENT or -EIO.
 */
int virt_read(struct virt *virt, const char *name, bool secure, char **ret_xml, struct virt_state *ret_state,
	      struct memtide_errtext *errtext);

/* Store a domain's persistent XML. */
int virt_define(struct virt *virt, const char *xml, struct memtide_errtext *errtext);

/* <domainCapabilities> of @emulator, for free(). */
int virt_capabilities(struct virt *virt, const char *emulator, const char *arch, const char *machine, const char *type,
		      char **ret_xml, struct memtide_errtext *errtext);

/* The command line that @xml makes, for free(). */
int virt_command_line(struct virt *virt, const char *xml, char **ret_text, struct memtide_errtext *errtext);

#endif /* MEMTIDE_VIRT_H */
