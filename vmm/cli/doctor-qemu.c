// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide doctor: whether the QEMUs that run, and those that libvirt's domains would be started with, have the
 * device.
 */
#include "doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxml/parser.h>
#include <libxml/tree.h>

#include "child.h"

#define DOMAINS		"/etc/libvirt/qemu"
#define DEVICE		"virtio-tide"
#define MAX_EMULATORS	16
/* It takes QEMU a tenth of a second to list its devices. */
#define LIST_S		5

static const char why[] = "a VM without the device keeps all its memory, or is managed by its balloon alone";

/*
 * What runs
 */

/* Is pid @pid a QEMU, and has it the device?  -1 if it is none. */
static int qemu_has_device(const char *pid, char *ret_name, size_t size)
{
	char path[300], text[65536], name[32];
	ssize_t n;
	int fd, device;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	if (doctor_read(path, name, sizeof(name)) || strncmp(name, "qemu-system", 11))
		return -1;
	snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	/* Arguments are separated by NULs; as one string they can be searched. */
	for (ssize_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	text[n] = '\0';
	device = strstr(text, DEVICE) != NULL;
	*ret_name = '\0';
	if (strstr(text, " -name "))
		snprintf(ret_name, size, "%.*s", (int)strcspn(strstr(text, " -name ") + 7, " ,"),
			 strstr(text, " -name ") + 7);
	if (!strncmp(ret_name, "guest=", 6))
		memmove(ret_name, ret_name + 6, strlen(ret_name + 6) + 1);
	return device;
}

static void check_running(struct doctor *doctor)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int with = 0, without = 0;
	char name[64];

	while (proc && (entry = readdir(proc))) {
		int device = -1;

		if (isdigit((unsigned char)entry->d_name[0]))
			device = qemu_has_device(entry->d_name, name, sizeof(name));
		with += device == 1;
		without += device == 0;
		if (device == 0)
			doctor_find(doctor, "vm", NOTE, why,
				    "start it with -chardev socket,id=tide,path=/run/memtide/vmm.sock,"
				    "reconnect-ms=1000 -device virtio-tide-pci,chardev=tide",
				    "VM %s (pid %s) has no virtio-tide device",
				    *name ? name : "without a name", entry->d_name);
	}
	if (proc)
		closedir(proc);
	if (!with && !without)
		doctor_find(doctor, "vm", FINE, why, "", "no VM runs here");
	else if (!without)
		doctor_find(doctor, "vm", FINE, why, "", "%d VMs run here, all with a virtio-tide device", with);
}

/*
 * What libvirt would start
 */

struct emulator {
	char path[256];
	char domains[160];	/* names of those that use it, as many as fit */
	bool wanted;		/* one of them has the device in its XML */
};

struct emulators {
	struct emulator list[MAX_EMULATORS];
	size_t nr;
};

/* The text of the first element of this name below @node, wherever; NULL if there is none.  For xmlFree(). */
static xmlChar *first_text(const xmlNode *node, const char *name)
{
	for (const xmlNode *child = node->children; child; child = child->next) {
		xmlChar *found;

		if (child->type != XML_ELEMENT_NODE)
			continue;
		found = !strcmp((const char *)child->name, name) ? xmlNodeGetContent(child) : first_text(child, name);
		if (found)
			return found;
	}
	return NULL;
}

/* Whether an argument for QEMU names the device. */
static bool has_argument(const xmlNode *node)
{
	for (const xmlNode *child = node->children; child; child = child->next) {
		xmlChar *value;
		bool found;

		if (child->type != XML_ELEMENT_NODE)
			continue;
		value = !strcmp((const char *)child->name, "arg") ? xmlGetProp(child, BAD_CAST "value") : NULL;
		found = value && strstr((const char *)value, DEVICE);
		xmlFree(value);
		if (found || has_argument(child))
			return true;
	}
	return false;
}

static void add_domain(struct emulators *all, const xmlNode *domain)
{
	xmlChar *path = first_text(domain, "emulator"), *name = first_text(domain, "name");
	struct emulator *e = all->list;
	size_t used;

	if (!path || !name)
		goto out;
	while (e < all->list + all->nr && strcmp(e->path, (const char *)path))
		e++;
	if (e == all->list + MAX_EMULATORS)
		goto out;
	if (e == all->list + all->nr)
		all->nr++;
	snprintf(e->path, sizeof(e->path), "%s", path);
	used = strlen(e->domains);
	snprintf(e->domains + used, sizeof(e->domains) - used, "%s%s", used ? ", " : "", name);
	e->wanted |= has_argument(domain);
out:
	xmlFree(path);
	xmlFree(name);
}

/* These are files of libvirt's, which root wrote. */
static void read_domains(struct emulators *all)
{
	DIR *dir = opendir(DOMAINS);
	struct dirent *entry;
	char path[512];

	while (dir && (entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);
		xmlDoc *doc;

		if (len <= 4 || strcmp(entry->d_name + len - 4, ".xml"))
			continue;
		snprintf(path, sizeof(path), DOMAINS "/%s", entry->d_name);
		doc = xmlReadFile(path, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
		if (doc && xmlDocGetRootElement(doc))
			add_domain(all, xmlDocGetRootElement(doc));
		xmlFreeDoc(doc);
	}
	if (dir)
		closedir(dir);
}

/* 1 if @emulator has the device, 0 if not, -1 if it does not say. */
static int emulator_has_device(const char *emulator)
{
	char *const argv[] = { (char *)emulator, "-machine", "none", "-device", "help", NULL };
	char *text;
	int has = -1;

	if (child_run(argv, NULL, LIST_S, &text, NULL) < 0)
		return -1;
	if (strstr(text, "virtio-"))
		has = strstr(text, "\"" DEVICE) != NULL;
	free(text);
	return has;
}

static void check_emulators(struct doctor *doctor)
{
	static const char mend[] = "build QEMU with memtide's device (docs/install.md, \"QEMU\"), and name it in "
				   "<emulator>";
	struct emulators *all = calloc(1, sizeof(*all));

	if (!all)
		return;
	if (access(DOMAINS, R_OK | X_OK) && errno == EACCES)
		doctor_find(doctor, "emulator", UNKNOWN, why, "run memtide doctor as root",
			    DOMAINS " may not be read");
	read_domains(all);
	for (size_t i = 0; i < all->nr; i++) {
		const struct emulator *e = &all->list[i];
		int has = emulator_has_device(e->path);

		if (has == 1)
			doctor_find(doctor, "emulator", FINE, why, "", "%s has the device (used by %s)", e->path,
				    e->domains);
		else if (has < 0)
			doctor_find(doctor, "emulator", UNKNOWN, why, "", "%s -device help says nothing (used by %s)",
				    e->path, e->domains);
		else if (e->wanted)
			doctor_find(doctor, "emulator", WRONG, "a domain that names a device its emulator lacks does "
				    "not start", mend, "%s has no virtio-tide device, and its domains want it: %s",
				    e->path, e->domains);
		else
			doctor_find(doctor, "emulator", NOTE, why, mend, "%s has no virtio-tide device (used by %s)",
				    e->path, e->domains);
	}
	free(all);
}

void doctor_qemu(struct doctor *doctor)
{
	check_emulators(doctor);
	check_running(doctor);
}
