// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See virt.h.  libvirt comes with fifty libraries more, which every command would wait for while they are linked, so
 * it is loaded where it is needed.
 */
#include "virt.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* Its name for programs that are compiled with these headers. */
#define LIBRARY		"libvirt.so.0"

struct virt {
	virConnectPtr connection;
	bool local;
};

/* Its functions, under their own names. */
static struct {
	typeof(virConnectClose) *virConnectClose;
	typeof(virConnectDomainXMLToNative) *virConnectDomainXMLToNative;
	typeof(virConnectGetDomainCapabilities) *virConnectGetDomainCapabilities;
	typeof(virConnectGetURI) *virConnectGetURI;
	typeof(virConnectOpen) *virConnectOpen;
	typeof(virConnectOpenReadOnly) *virConnectOpenReadOnly;
	typeof(virDomainDefineXML) *virDomainDefineXML;
	typeof(virDomainFree) *virDomainFree;
	typeof(virDomainGetXMLDesc) *virDomainGetXMLDesc;
	typeof(virDomainHasManagedSaveImage) *virDomainHasManagedSaveImage;
	typeof(virDomainIsActive) *virDomainIsActive;
	typeof(virDomainIsPersistent) *virDomainIsPersistent;
	typeof(virDomainLookupByName) *virDomainLookupByName;
	typeof(virDomainLookupByUUIDString) *virDomainLookupByUUIDString;
	typeof(virGetLastErrorMessage) *virGetLastErrorMessage;
	typeof(virSetErrorFunc) *virSetErrorFunc;
} lib;

static const struct {
	const char *name;
	void *at;
} symbols[] = {
	{ "virConnectClose", &lib.virConnectClose },
	{ "virConnectDomainXMLToNative", &lib.virConnectDomainXMLToNative },
	{ "virConnectGetDomainCapabilities", &lib.virConnectGetDomainCapabilities },
	{ "virConnectGetURI", &lib.virConnectGetURI },
	{ "virConnectOpen", &lib.virConnectOpen },
	{ "virConnectOpenReadOnly", &lib.virConnectOpenReadOnly },
	{ "virDomainDefineXML", &lib.virDomainDefineXML },
	{ "virDomainFree", &lib.virDomainFree },
	{ "virDomainGetXMLDesc", &lib.virDomainGetXMLDesc },
	{ "virDomainHasManagedSaveImage", &lib.virDomainHasManagedSaveImage },
	{ "virDomainIsActive", &lib.virDomainIsActive },
	{ "virDomainIsPersistent", &lib.virDomainIsPersistent },
	{ "virDomainLookupByName", &lib.virDomainLookupByName },
	{ "virDomainLookupByUUIDString", &lib.virDomainLookupByUUIDString },
	{ "virGetLastErrorMessage", &lib.virGetLastErrorMessage },
	{ "virSetErrorFunc", &lib.virSetErrorFunc },
};

/* It stays until the process ends. */
static int load(struct memtide_errtext *errtext)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return memtide_errtext_set(errtext, -ENOTCONN, "libvirt is not there: %s", dlerror());
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *symbol = dlsym(library, symbols[i].name);

		if (!symbol)
			return memtide_errtext_set(errtext, -ENOTCONN, "this is no libvirt that memtide knows: %s",
						   dlerror());
		memcpy(symbols[i].at, &symbol, sizeof(symbol));
	}
	return 0;
}

/* libvirt would print each of its errors, too. */
static void say_nothing(void *data, virErrorPtr error)
{
}

static int failed(int error, const char *what, struct memtide_errtext *errtext)
{
	const char *words = lib.virGetLastErrorMessage();

	return memtide_errtext_set(errtext, error, "%s: libvirt says: %s", what, words ?: "nothing");
}

/* A URI with a host is of another one: "qemu+ssh://host/system". */
static bool is_local(virConnectPtr connection)
{
	char *uri = lib.virConnectGetURI(connection), *host = uri ? strstr(uri, "://") : NULL;
	bool local = !host || host[3] == '/' || host[3] == '\0';

	free(uri);
	return local;
}

int virt_open(const char *uri, bool read_only, struct virt **ret_virt, struct memtide_errtext *errtext)
{
	struct virt *virt;
	int r = load(errtext);

	if (r)
		return r;
	virt = calloc(1, sizeof(*virt));
	if (!virt)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory");
	lib.virSetErrorFunc(NULL, say_nothing);
	uri = uri ?: VIRT_URI;
	virt->connection = read_only ? lib.virConnectOpenReadOnly(uri) : lib.virConnectOpen(uri);
	if (!virt->connection) {
		free(virt);
		return memtide_errtext_set(errtext, -ENOTCONN, "cannot connect to %s: libvirt says: %s; is libvirt's "
					   "daemon (libvirtd or virtqemud) running, and is this the right --connect "
					   "URI?", uri, lib.virGetLastErrorMessage());
	}
	virt->local = is_local(virt->connection);
	*ret_virt = virt;
	return 0;
}

void virt_close(struct virt *virt)
{
	if (virt)
		lib.virConnectClose(virt->connection);
	free(virt);
}

bool virt_is_local(const struct virt *virt)
{
	return virt->local;
}

static virDomainPtr look_up(struct virt *virt, const char *name, struct memtide_errtext *errtext)
{
	virDomainPtr domain = lib.virDomainLookupByName(virt->connection, name);

	if (!domain)
		domain = lib.virDomainLookupByUUIDString(virt->connection, name);
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
			.persistent = lib.virDomainIsPersistent(domain) == 1,
			.running = lib.virDomainIsActive(domain) == 1,
			.saved = lib.virDomainHasManagedSaveImage(domain, 0) == 1,
		};
	xml = lib.virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | (secure ? VIR_DOMAIN_XML_SECURE : 0));
	lib.virDomainFree(domain);
	if (!xml)
		return failed(-EIO, "cannot read the domain", errtext);
	*ret_xml = xml;
	return 0;
}

int virt_define(struct virt *virt, const char *xml, struct memtide_errtext *errtext)
{
	virDomainPtr domain = lib.virDomainDefineXML(virt->connection, xml);

	if (!domain)
		return failed(-EIO, "the domain is as it was", errtext);
	lib.virDomainFree(domain);
	return 0;
}

static const char *or_null(const char *text)
{
	return text && *text ? text : NULL;
}

int virt_capabilities(struct virt *virt, const char *emulator, const char *arch, const char *machine, const char *type,
		      char **ret_xml, struct memtide_errtext *errtext)
{
	char *xml = lib.virConnectGetDomainCapabilities(virt->connection, emulator, or_null(arch), or_null(machine),
							or_null(type), 0);

	if (!xml)
		return failed(-EIO, emulator, errtext);
	*ret_xml = xml;
	return 0;
}

int virt_command_line(struct virt *virt, const char *xml, char **ret_text, struct memtide_errtext *errtext)
{
	char *text = lib.virConnectDomainXMLToNative(virt->connection, "qemu-argv", xml, 0);

	if (!text)
		return failed(-EIO, "no command line can be made of it", errtext);
	*ret_text = text;
	return 0;
}
