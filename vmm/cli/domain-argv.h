/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a domain needs of its QEMU: from the command line that libvirt makes of it, and for network cards, of which
 * libvirt makes none for show, from its XML.  All pure.
 */
#ifndef MEMTIDE_DOMAIN_ARGV_H
#define MEMTIDE_DOMAIN_ARGV_H

#include <jansson.h>
#include <stdbool.h>

#include "errtext.h"

/**
 * domain_argv_split() - split a command line as a shell does
 * @text: as virDomainXMLToNative() returns it: quoted, with variables in front, over several lines
 * @ret_argv: from the program's name on, terminated by NULL, for domain_argv_free(); untouched on failure
 *
 * Returns 0, or -EINVAL if a quote is not closed or there is no program.
 */
int domain_argv_split(const char *text, char ***ret_argv);
void domain_argv_free(char **argv);

/* A list as in emulator.h of what @argv has QEMU do. */
json_t *domain_argv_uses(char *const argv[]);

/* Whether @option, such as "-no-acpi", is in it. */
bool domain_argv_has(char *const argv[], const char *option);

/*
 * Add to @uses what the network cards of a domain need.  0, -EINVAL, -EFBIG or -ENOMEM.
 */
int domain_xml_uses(const char *xml, json_t *uses, struct memtide_errtext *errtext);

#endif /* MEMTIDE_DOMAIN_ARGV_H */
