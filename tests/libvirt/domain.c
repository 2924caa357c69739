// SPDX-License-Identifier: GPL-2.0-or-later
/* See domain.h. */
#include <errno.h>
#include <inttypes.h>
#include <libvirt/virterror.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "domain.h"

#define CONNECT_MS	10000	/* QEMU connects before libvirt says that it has started */
#define POLICY_KEY	"memtide"

struct domain {
	struct libvirtd *libvirtd;
	struct vm_options options;
	char name[64];
	char console[512];
	struct sockaddr_un agent;
	int listener;
	struct vm *vm;
	char error[512];
};

static int complain(struct domain *d, const char *what)
{
	snprintf(d->error, sizeof(d->error), "%s", virGetLastErrorMessage());
	fprintf(stderr, "domain %s: cannot %s: %s\n", d->name, what, d->error);
	return -EIO;
}

/* The connection may be another one than that with which it was defined. */
static virDomainPtr look_up(const struct domain *d)
{
	return virDomainLookupByName(libvirtd_connection(d->libvirtd), d->name);
}

__attribute__((format(printf, 2, 3))) static void add(char **text, const char *format, ...)
{
	char *more, *joined;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&more, format, ap) < 0 || asprintf(&joined, "%s%s", *text ? *text : "", more) < 0)
		abort();
	va_end(ap);
	free(more);
	free(*text);
	*text = joined;
}

/* Puts @value in the place of @name in *@text; both are trusted to be fine XML. */
static void put(char **text, const char *name, const char *value)
{
	char *place = strstr(*text, name), *result = NULL;

	if (!place)
		abort();
	*place = '\0';
	add(&result, "%s%s%s", *text, value ? value : "", place + strlen(name));
	free(*text);
	*text = result;
}

/* ... and frees @value. */
static void put_new(char **text, const char *name, char *value)
{
	put(text, name, value);
	free(value);
}

__attribute__((format(printf, 1, 2))) static char *print(const char *format, ...)
{
	va_list ap;
	char *text;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		abort();
	va_end(ap);
	return text;
}

static bool is_kvm(void)
{
	const char *accel = getenv("LAB_ACCEL");

	return accel && !strcmp(accel, "kvm");
}

/* LAB_CPU, "max,la57=off,...", in libvirt's words. */
static char *cpu(void)
{
	char *copy = strdup(getenv("LAB_CPU") ? getenv("LAB_CPU") : ""), *save = NULL, *text = NULL;

	add(&text, "<cpu mode='%s' check='none'>", is_kvm() ? "host-passthrough" : "maximum");
	for (char *word = strtok_r(copy, ",", &save); word && !is_kvm(); word = strtok_r(NULL, ",", &save)) {
		char *off = strstr(word, "=off");

		if (off)
			add(&text, "<feature policy='disable' name='%.*s'/>", (int)(off - word), word);
	}
	add(&text, "</cpu>");
	free(copy);
	return text;
}

static char *disk(const struct vm_options *o)
{
	struct stat st;
	bool block;

	if (!o->disk)
		return NULL;
	block = stat(o->disk, &st) == 0 && S_ISBLK(st.st_mode);
	return print("<disk type='%s' device='disk'><driver name='qemu' type='raw' cache='none'/><source %s='%s'/>"
		     "<target dev='vda' bus='virtio'/><iotune><total_bytes_sec>%" PRIu64 "</total_bytes_sec>"
		     "<total_iops_sec>%u</total_iops_sec></iotune><readonly/></disk>", block ? "block" : "file",
		     block ? "dev" : "file", o->disk, o->disk_bytes, o->disk_iops);
}

static char *firmware(void)
{
	char *copy = strdup(getenv("LAB_FIRMWARE") ? getenv("LAB_FIRMWARE") : ""), *save = NULL, *text = NULL;

	for (char *dir = strtok_r(copy, ":", &save); dir; dir = strtok_r(NULL, ":", &save))
		add(&text, "<qemu:arg value='-L'/><qemu:arg value='%s'/>", dir);
	free(copy);
	return text;
}

/* As in the examples, but for the time after which QEMU looks for memtided again. */
static char *tide(const struct vm_options *o)
{
	char *text = NULL;

	if (!o->tide)
		return NULL;
	if (o->vmm_socket)
		add(&text, "<qemu:arg value='-chardev'/><qemu:arg value='socket,id=tide,path=%s,reconnect-ms=100'/>",
		    o->vmm_socket);
	add(&text, "<qemu:arg value='-device'/><qemu:arg value='virtio-tide-pci,id=tide0%s,bus=pcie.0,addr=0x1e'/>",
	    o->vmm_socket ? ",chardev=tide" : "");
	return text;
}

static char *read_template(void)
{
	char text[16384];
	FILE *f = fopen(DOMAIN_TEMPLATE, "re");
	size_t n;

	if (!f) {
		perror(DOMAIN_TEMPLATE);
		return NULL;
	}
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	return strdup(strstr(text, "<domain"));
}

static char *make_xml(const struct domain *d, const char *policy)
{
	const struct vm_options *o = &d->options;
	char *xml = read_template();

	if (!xml)
		return NULL;
	put(&xml, "@TYPE@", is_kvm() ? "kvm" : "qemu");
	put(&xml, "@NAME@", d->name);
	put_new(&xml, "@UUID@", o->uuid ? print("<uuid>%s</uuid>", o->uuid) : NULL);
	put(&xml, "@METADATA@", policy);
	put_new(&xml, "@MEMORY_MIB@", print("%" PRIu64, (uint64_t)(o->memory_bytes / MIB)));
	put_new(&xml, "@CPUS@", print("%u", o->cpus ? o->cpus : 1));
	put(&xml, "@KERNEL@", o->kernel ? o->kernel : getenv("LAB_KERNEL"));
	put(&xml, "@INITRD@", o->initrd ? o->initrd : getenv("LAB_INITRD"));
	put_new(&xml, "@APPEND@", print("console=ttyS0 loglevel=5 panic=-1 mitigations=off lab.modules=%s %s",
					o->modules ? o->modules : "", o->append ? o->append : ""));
	put_new(&xml, "@CPU@", cpu());
	put(&xml, "@EMULATOR@", getenv("LAB_QEMU"));
	put_new(&xml, "@DISK@", disk(o));
	put(&xml, "@CONSOLE@", d->console);
	put(&xml, "@AGENT@", d->agent.sun_path);
	put_new(&xml, "@BALLOON@", print("<memballoon model='%s'/>", o->balloon ? "virtio" : "none"));
	put_new(&xml, "@FIRMWARE@", firmware());
	put_new(&xml, "@TIDE@", tide(o));
	return xml;
}

/* QEMU connects to its agent's other end, so that nothing that the agent says is lost. */
static int listen_for_agent(struct domain *d)
{
	unlink(d->agent.sun_path);
	d->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (d->listener < 0 || bind(d->listener, (struct sockaddr *)&d->agent, sizeof(d->agent)) ||
	    listen(d->listener, 1) || chmod(d->agent.sun_path, 0666))
		return -errno;
	return 0;
}

int domain_define(struct libvirtd *libvirtd, const struct vm_options *options, const char *policy,
		  struct domain **ret_domain)
{
	struct domain *d = calloc(1, sizeof(*d));
	virDomainPtr handle;
	char *xml;

	if (!d)
		return -ENOMEM;
	d->libvirtd = libvirtd;
	d->options = *options;
	d->listener = -1;
	snprintf(d->name, sizeof(d->name), "%s", options->name);
	d->options.name = d->name;
	d->agent.sun_family = AF_UNIX;
	snprintf(d->agent.sun_path, sizeof(d->agent.sun_path), "/run/libvirt/%s.agent", d->name);
	snprintf(d->console, sizeof(d->console), "%s/%s.log", getenv("LAB_LOGS") ? getenv("LAB_LOGS") : ".", d->name);
	xml = make_xml(d, policy);
	handle = xml ? virDomainDefineXML(libvirtd_connection(libvirtd), xml) : NULL;
	free(xml);
	if (!handle) {
		int r = complain(d, "define it");

		free(d);
		return r;
	}
	virDomainFree(handle);
	*ret_domain = d;
	return 0;
}

static pid_t read_pid(const struct domain *d)
{
	char path[128];
	FILE *f;
	int pid = 0;

	snprintf(path, sizeof(path), "/run/libvirt/qemu/%s.pid", d->name);
	f = fopen(path, "re");
	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static int attach(struct domain *d)
{
	struct pollfd p = { .fd = d->listener, .events = POLLIN };
	int fd = poll(&p, 1, CONNECT_MS) == 1 ? accept4(d->listener, NULL, NULL, SOCK_CLOEXEC) : -1;

	if (fd < 0) {
		fprintf(stderr, "domain %s: QEMU does not connect to %s\n", d->name, d->agent.sun_path);
		return -ETIMEDOUT;
	}
	return vm_attach(&d->options, read_pid(d), fd, d->console, &d->vm);
}

int domain_spawn(struct domain *d)
{
	virDomainPtr handle = look_up(d);
	int r;

	*d->error = '\0';
	vm_log_path(d->name, d->console, sizeof(d->console));
	r = listen_for_agent(d);
	if (!r && virDomainCreate(handle))
		r = complain(d, "start it");
	r = r ? r : attach(d);
	close(d->listener);
	d->listener = -1;
	if (handle)
		virDomainFree(handle);
	return r;
}

int domain_wait(struct domain *d)
{
	return vm_wait(d->vm);
}

int domain_start(struct domain *d)
{
	int r = domain_spawn(d);

	return r ? r : domain_wait(d);
}

bool domain_runs(const struct domain *d)
{
	virDomainPtr handle = look_up(d);
	bool runs = handle && virDomainIsActive(handle) == 1;

	if (handle)
		virDomainFree(handle);
	return runs;
}

int domain_ended(struct domain *d)
{
	int r = 0, bad;

	if (domain_runs(d))
		r = libvirtd_wait(d->libvirtd, d->name, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_STOPPED);
	bad = vm_stop(d->vm);
	d->vm = NULL;
	return r ? r : bad;
}

int domain_destroy(struct domain *d)
{
	virDomainPtr handle = look_up(d);
	int r;

	libvirtd_forget_events(d->libvirtd);
	r = virDomainDestroy(handle) ? complain(d, "destroy it") : 0;
	if (handle)
		virDomainFree(handle);
	return r ? r : domain_ended(d);
}

int domain_save(struct domain *d)
{
	virDomainPtr handle = look_up(d);
	int r;

	*d->error = '\0';
	libvirtd_forget_events(d->libvirtd);
	r = virDomainManagedSave(handle, 0) ? complain(d, "save it") : 0;
	if (handle)
		virDomainFree(handle);
	return r ? r : domain_ended(d);
}

int domain_free(struct domain *d)
{
	virDomainPtr handle;
	int r = 0;

	if (!d)
		return 0;
	if (domain_runs(d))
		r = domain_destroy(d);
	vm_stop(d->vm);
	handle = look_up(d);
	if (handle) {
		virDomainUndefineFlags(handle, VIR_DOMAIN_UNDEFINE_MANAGED_SAVE);
		virDomainFree(handle);
	}
	unlink(d->agent.sun_path);
	free(d);
	return r;
}

const char *domain_name(const struct domain *d)
{
	return d->name;
}

struct vm *domain_vm(const struct domain *d)
{
	return d->vm;
}

const char *domain_error(const struct domain *d)
{
	return d->error;
}

char *domain_xml(const struct domain *d)
{
	virDomainPtr handle = look_up(d);
	char *xml = handle ? virDomainGetXMLDesc(handle, 0) : NULL;

	if (handle)
		virDomainFree(handle);
	return xml;
}

char *domain_policy(const struct domain *d, unsigned int flags)
{
	virDomainPtr handle = look_up(d);
	char *policy = handle ? virDomainGetMetadata(handle, VIR_DOMAIN_METADATA_ELEMENT, DOMAIN_POLICY_URI, flags) : NULL;

	if (handle)
		virDomainFree(handle);
	return policy;
}

int domain_set_policy(const struct domain *d, const char *policy, unsigned int flags)
{
	virDomainPtr handle = look_up(d);
	int r = handle ? virDomainSetMetadata(handle, VIR_DOMAIN_METADATA_ELEMENT, policy, POLICY_KEY,
					      DOMAIN_POLICY_URI, flags) : -1;

	if (r)
		fprintf(stderr, "domain %s: cannot set its policy: %s\n", d->name, virGetLastErrorMessage());
	if (handle)
		virDomainFree(handle);
	return r ? -EIO : 0;
}
