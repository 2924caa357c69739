/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A real libvirtd with its virtlogd, on configuration of the tests' own; only in a program that runs apart (apart.h).
 * Functions return 0 or a negative errno and say on stderr what went wrong.  One thread.
 */
#ifndef TESTS_LIBVIRT_LIBVIRTD_H
#define TESTS_LIBVIRT_LIBVIRTD_H

#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <sys/types.h>

/* Where libvirt looks for hooks of QEMU domains, when it starts. */
#define LIBVIRTD_HOOKS		"/etc/libvirt/hooks/qemu.d"
/* The hook of this build, where it has one. */
#define LIBVIRTD_OWN_HOOK	"50-memtide"

struct libvirtd;

/* The daemon's name: libvirtd, or what LAB_LIBVIRTD says, as virtqemud, which libvirt has beside it or instead. */
const char *libvirtd_program(void);

/*
 * Starts both daemons and connects.  Hooks that libvirtd_add_hook() has put in place before are found, and the hook of
 * this build is put in place if there is one.
 */
int libvirtd_start(struct libvirtd **ret_libvirtd);
/*
 * Ends the domains that are left, then both daemons, and takes hooks away.  -EBADMSG if one of them did not end by
 * itself with status 0.
 */
int libvirtd_stop(struct libvirtd *libvirtd);
/* Ends libvirtd alone with @signal and waits for its end; domains run on. */
void libvirtd_down(struct libvirtd *libvirtd, int signal);
/* Starts it again after that, and connects. */
int libvirtd_up(struct libvirtd *libvirtd);

virConnectPtr libvirtd_connection(const struct libvirtd *libvirtd);
/* major * 1000000 + minor * 1000 + release, as libvirt has it. */
unsigned long libvirtd_version(const struct libvirtd *libvirtd);

/* Removes the files in @folder and below it, but no folders. */
int libvirtd_remove_files(const char *folder);

/* Copies the program @file to where libvirtd finds it as a hook at its next start. */
int libvirtd_add_hook(const char *file, const char *name);

/*
 * Waits for the next event @id (VIR_DOMAIN_EVENT_ID_LIFECYCLE or _METADATA_CHANGE) of @domain with this @type, such as
 * VIR_DOMAIN_EVENT_STARTED or VIR_DOMAIN_METADATA_ELEMENT.  Events that came before it are used up with it.  -ETIMEDOUT
 * after a time in which each of them should have come.
 */
int libvirtd_wait(struct libvirtd *libvirtd, const char *domain, int id, int type);
/* Uses up all that have come. */
void libvirtd_forget_events(struct libvirtd *libvirtd);

#endif /* TESTS_LIBVIRT_LIBVIRTD_H */
