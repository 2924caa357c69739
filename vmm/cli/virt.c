// SPDX-License-Identifier: GPL-2.0-or-later
/* See virt.h. */
#include "virt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

struct virt {
	virConnectPtr connection;
	bool local;
};

/* libvirt would print each of its errors, too. */
static void say_nothing(void *data, virErrorPtr error)
{
}

static int failed(int error, const char *what, struct memtide_errtext *errtext)
{
	const char *words = virGetLastErrorMessage();

	return memtide_errtext_set(errtext, error, "%s: libvirt says: %s", what, words ?: "nothing");
}

/* A URI with a host is of another one: "qemu+ssh://host/system". */
static bool is_local(virConnectPtr connection)
{
	char *uri = virConnectGetURI(connection), *host = uri ? strstr(uri, "://") : NULL;
	bool local = !host || host[3] == '/' || host[3] == '\0';

	free(uri);
	return local;
}

int virt_open(const char *uri, bool read_only, struct virt **ret_virt, struct memtide_errtext *errtext)
{
	struct virt *virt = calloc(1, sizeof(*virt));

	if (!virt)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory");
	virSetErrorFunc(NULL, say_nothing);
	uri = uri ?: VIRT_URI;
	virt->connection = read_only ? virConnectOpenReadOnly(uri) : virConnectOpen(uri);
	if (!virt->connection) {
		free(virt);
		return memtide_errtext_set(errtext, -ENOTCONN, "cannot connect to %s: libvirt says: %s; is libvirtd "
					   "running, and is this the right --connect URI?", uri,
					   virGetLastErrorMessage());
	}
	virt->local = is_local(virt->connection);
	*ret_virt = virt;
	return 0;
}

void virt_close(struct virt *virt)
{
	if (virt)
		virConnectClose(virt->connection);
	free(virt);
}

bool virt_is_local(const struct virt *virt)
{
	return virt->local;
}

static virDomainPtr look_up(struct virt *virt, const char *name, struct memtide_errtext *errtext)
{
	virDomainPtr domain = virDomainLookupByName(virt->connection, name);

	if (!domain)
		domain = virDomainLookupByUUIDString(virt->connection, name);
	if (!domain)
		memtide_errtext_set(errtext, -ENOENT, "no domain %s: see virsh list --all", name);
	return domain;
}

int virt_read(struct virt *virt, const char *name, bool secure, char **ret_xml, struct virt_state *ret_state,
	      struct memtide_errtext *errtext)
{
	virDomainPtr domain = look_up(virt, name, errtext);
	char *xml;

	if (!domain)
		return -ENOENT;
	if (ret_state)
		*ret_state = (struct virt_state) {
			.persistent = virDomainIsPersistent(domain) == 1,
			.running = virDomainIsActive(domain) == 1,
			.saved = virDomainHasManagedSaveImage(domain, 0) == 1,
		};
	xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | (secure ? VIR_DOMAIN_XML_SECURE : 0));
	virDomainFree(domain);
	if (!xml)
		return failed(-EIO, "cannot read the domain", errtext);
	*ret_xml = xml;
	return 0;
}

int virt_define(struct virt *virt, const char *xml, struct memtide_errtext *errtext)
{
	virDomainPtr domain = virDomainDefineXML(virt->connection, xml);

	if (!domain)
		return failed(-EIO, "the domain is as it was", errtext);
	virDomainFree(domain);
	return 0;
}

static const char *or_null(const char *text)
{
	return text && *text ? text : NULL;
}

int virt_capabilities(struct virt *virt, const char *emulator, const char *arch, const char *machine, const char *type,
		      char **ret_xml, struct memtide_errtext *errtext)
{
	char *xml = virConnectGetDomainCapabilities(virt->connection, emulator, or_null(arch), or_null(machine),
						    or_null(type), 0);

	if (!xml)
		return failed(-EIO, emulator, errtext);
	*ret_xml = xml;
	return 0;
}

int virt_command_line(struct virt *virt, const char *xml, char **ret_text, struct memtide_errtext *errtext)
{
	char *text = virConnectDomainXMLToNative(virt->connection, "qemu-argv", xml, 0);

	if (!text)
		return failed(-EIO, "no command line can be made of it", errtext);
	*ret_text = text;
	return 0;
}
