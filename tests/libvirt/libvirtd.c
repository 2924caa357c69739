// SPDX-License-Identifier: GPL-2.0-or-later
/* See libvirtd.h. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libvirt/virterror.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvirtd.h"

#define URI		"qemu:///system"
#define START_TRIES	60000	/* a millisecond each, before "it does not come up" */
#define EVENT_MS	60000	/* nested emulation is slow, and events come at once */
#define HOOK		"libvirt-hooks/memtide-libvirt-hook"	/* below LAB_BUILD */

struct event {
	struct event *next;
	char domain[64];
	int id;
	int type;
};

struct libvirtd {
	pid_t log;		/* virtlogd */
	pid_t daemon;
	virConnectPtr connection;
	int callbacks[2];
	struct event *events;	/* the oldest one first */
};

static const char *logs(void)
{
	return getenv("LAB_LOGS") ? getenv("LAB_LOGS") : ".";
}

const char *libvirtd_program(void)
{
	const char *name = getenv("LAB_LIBVIRTD");

	return name && *name ? name : "libvirtd";
}

/* Each of libvirt's daemons has a configuration of its own name. */
static const char *configuration(const char *program)
{
	static char path[64];

	snprintf(path, sizeof(path), "/etc/libvirt/%.32s.conf", program);
	return path;
}

static int make_folder(const char *path)
{
	return mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
}

static int write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	int r;

	if (!f) {
		r = -errno;
		fprintf(stderr, "libvirtd: %s: %s\n", path, strerror(errno));
		return r;
	}
	fputs(text, f);
	return fclose(f) ? -errno : 0;
}

/*
 * Nobody asks who we are, or whether we are still there: a test that waits for something else looks at no events.
 * Files keep their owners: the lab's images are others' as well.  QEMU stays in our mount namespace, where it finds
 * /dev/kvm.
 */
static int write_configuration(void)
{
	char text[512];
	int r;

	snprintf(text, sizeof(text), "auth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\nkeepalive_interval = -1\n"
		 "log_level = 3\nlog_outputs = \"3:file:%s/%s.log\"\n", logs(), libvirtd_program());
	r = write_file(configuration(libvirtd_program()), text);
	r = r ? r : write_file("/etc/libvirt/qemu.conf", "security_driver = \"none\"\ndynamic_ownership = 0\n"
			       "remember_owner = 0\nnamespaces = []\n");
	snprintf(text, sizeof(text), "log_outputs = \"3:file:%s/virtlogd.log\"\n", logs());
	return r ? r : write_file(configuration("virtlogd"), text);
}

static void run_daemon(const char *name)
{
	char pid_file[64], log[512];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(pid_file, sizeof(pid_file), "/run/libvirt/%s.pid", name);
	snprintf(log, sizeof(log), "%s/%s.txt", logs(), name);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	dup2(fd, 1);
	dup2(fd, 2);
	setpgid(0, 0);
	execlp(name, name, "--config", configuration(name), "--pid-file", pid_file, NULL);
	perror(name);
	_exit(127);
}

static pid_t start_daemon(const char *name)
{
	pid_t pid = fork();

	if (!pid)
		run_daemon(name);
	return pid;
}

static void add_event(struct libvirtd *l, virDomainPtr domain, int id, int type)
{
	struct event *event = calloc(1, sizeof(*event)), **last = &l->events;

	if (!event)
		abort();
	snprintf(event->domain, sizeof(event->domain), "%s", virDomainGetName(domain));
	event->id = id;
	event->type = type;
	while (*last)
		last = &(*last)->next;
	*last = event;
}

static int note_lifecycle(virConnectPtr connection, virDomainPtr domain, int type, int detail, void *opaque)
{
	add_event(opaque, domain, VIR_DOMAIN_EVENT_ID_LIFECYCLE, type);
	return 0;
}

static void note_metadata(virConnectPtr connection, virDomainPtr domain, int type, const char *uri, void *opaque)
{
	add_event(opaque, domain, VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, type);
}

static void be_quiet(void *opaque, virErrorPtr error)
{
}

/* Also waits for a daemon that is starting. */
static int connect_daemon(struct libvirtd *l)
{
	for (int i = 0; i < START_TRIES && !l->connection; i++) {
		l->connection = virConnectOpen(URI);
		if (!l->connection && waitpid(l->daemon, NULL, WNOHANG) == l->daemon) {
			l->daemon = 0;
			break;
		}
		if (!l->connection)
			poll(NULL, 0, 1);
	}
	if (!l->connection) {
		fprintf(stderr, "libvirtd: %s does not come up (%s), see %s/%s.log\n", libvirtd_program(),
			virGetLastErrorMessage(), logs(), libvirtd_program());
		return -ECHILD;
	}
	l->callbacks[0] = virConnectDomainEventRegisterAny(l->connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
							   VIR_DOMAIN_EVENT_CALLBACK(note_lifecycle), l, NULL);
	l->callbacks[1] = virConnectDomainEventRegisterAny(l->connection, NULL, VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
							   VIR_DOMAIN_EVENT_CALLBACK(note_metadata), l, NULL);
	if (l->callbacks[0] < 0 || l->callbacks[1] < 0) {
		fprintf(stderr, "libvirtd: no events: %s\n", virGetLastErrorMessage());
		return -EIO;
	}
	return 0;
}

int libvirtd_up(struct libvirtd *l)
{
	l->daemon = start_daemon(libvirtd_program());
	return l->daemon < 0 ? -EAGAIN : connect_daemon(l);
}

/* libvirtd has consoles written by it, and does not wait for it. */
static int wait_for_log_daemon(struct libvirtd *l)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/libvirt/virtlogd-sock" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r = -ECHILD;

	for (int i = 0; i < START_TRIES && r; i++) {
		r = connect(fd, (struct sockaddr *)&address, sizeof(address)) ? -ECHILD : 0;
		if (r && waitpid(l->log, NULL, WNOHANG) == l->log) {
			l->log = 0;
			break;
		}
		if (r)
			poll(NULL, 0, 1);
	}
	close(fd);
	if (r)
		fprintf(stderr, "libvirtd: virtlogd does not come up, see %s/virtlogd.log\n", logs());
	return r;
}

/* The hook of this build, where it has one, as an installation has it. */
static int add_own_hook(void)
{
	char file[512];

	snprintf(file, sizeof(file), "%s/" HOOK, getenv("LAB_BUILD") ? getenv("LAB_BUILD") : "");
	return access(file, X_OK) ? 0 : libvirtd_add_hook(file, LIBVIRTD_OWN_HOOK);
}

int libvirtd_start(struct libvirtd **ret_libvirtd)
{
	static bool loop;
	struct libvirtd *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	if (!loop) {
		virEventRegisterDefaultImpl();
		virSetErrorFunc(NULL, be_quiet);
		loop = true;
	}
	r = write_configuration();
	r = r ? r : add_own_hook();
	if (!r) {
		l->log = start_daemon("virtlogd");
		r = wait_for_log_daemon(l);
	}
	r = r ? r : libvirtd_up(l);
	if (r)
		libvirtd_stop(l);
	else
		*ret_libvirtd = l;
	return r;
}

static int end_daemon(pid_t *pid, int signal, const char *name)
{
	int status = 0;

	if (*pid <= 0)
		return 0;
	kill(*pid, signal);
	waitpid(*pid, &status, 0);
	*pid = 0;
	if (status)
		fprintf(stderr, "libvirtd: %s ended with status %#x, see %s/%s.log\n", name, status, logs(), name);
	return status ? -EBADMSG : 0;
}

static void disconnect(struct libvirtd *l)
{
	if (!l->connection)
		return;
	for (size_t i = 0; i < 2; i++)
		virConnectDomainEventDeregisterAny(l->connection, l->callbacks[i]);
	virConnectClose(l->connection);
	l->connection = NULL;
}

void libvirtd_down(struct libvirtd *l, int signal)
{
	disconnect(l);
	kill(l->daemon, signal);
	waitpid(l->daemon, NULL, 0);
	l->daemon = 0;
}

/* Those that a test which failed has left. */
static void end_domains(struct libvirtd *l)
{
	virDomainPtr *domains = NULL;
	int n = l->connection ? virConnectListAllDomains(l->connection, &domains, 0) : 0;

	for (int i = 0; i < n; i++) {
		virDomainDestroy(domains[i]);
		virDomainUndefine(domains[i]);
		virDomainFree(domains[i]);
	}
	free(domains);
}

static int remove_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return type == FTW_F ? unlink(path) : 0;
}

int libvirtd_remove_files(const char *folder)
{
	return nftw(folder, remove_file, 4, FTW_PHYS) ? -EIO : 0;
}

int libvirtd_stop(struct libvirtd *l)
{
	int r;

	if (!l)
		return 0;
	end_domains(l);
	disconnect(l);
	libvirtd_forget_events(l);
	r = end_daemon(&l->daemon, SIGTERM, libvirtd_program());
	if (end_daemon(&l->log, SIGTERM, "virtlogd"))
		r = -EBADMSG;
	libvirtd_remove_files(LIBVIRTD_HOOKS);
	free(l);
	return r;
}

virConnectPtr libvirtd_connection(const struct libvirtd *l)
{
	return l->connection;
}

unsigned long libvirtd_version(const struct libvirtd *l)
{
	unsigned long version = 0;

	virConnectGetLibVersion(l->connection, &version);
	return version;
}

int libvirtd_add_hook(const char *file, const char *name)
{
	char path[128];
	struct stat st;
	int from, to, r = 0;

	if (make_folder("/etc/libvirt/hooks") || make_folder(LIBVIRTD_HOOKS))
		return -errno;
	snprintf(path, sizeof(path), LIBVIRTD_HOOKS "/%s", name);
	from = open(file, O_RDONLY | O_CLOEXEC);
	to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (from < 0 || to < 0 || fstat(from, &st) || sendfile(to, from, NULL, st.st_size) != st.st_size) {
		r = -EIO;
		fprintf(stderr, "libvirtd: cannot copy %s to %s\n", file, path);
	}
	close(from);
	close(to);
	return r;
}

static void free_event(struct libvirtd *l)
{
	struct event *event = l->events;

	l->events = event->next;
	free(event);
}

/* Takes events from the front up to the one that is looked for. */
static bool use_event(struct libvirtd *l, const char *domain, int id, int type)
{
	bool found = false;

	while (l->events && !found) {
		found = l->events->id == id && l->events->type == type && !strcmp(l->events->domain, domain);
		free_event(l);
	}
	return found;
}

static void give_up(int timer, void *opaque)
{
	*(bool *)opaque = true;
}

int libvirtd_wait(struct libvirtd *l, const char *domain, int id, int type)
{
	bool late = false;
	int timer = virEventAddTimeout(EVENT_MS, give_up, &late, NULL);
	bool found;

	while (!(found = use_event(l, domain, id, type)) && !late && virEventRunDefaultImpl() == 0)
		;
	virEventRemoveTimeout(timer);
	if (!found)
		fprintf(stderr, "libvirtd: no event %d of type %d of %s within %d s\n", id, type, domain, EVENT_MS / 1000);
	return found ? 0 : -ETIMEDOUT;
}

void libvirtd_forget_events(struct libvirtd *l)
{
	while (l->events)
		free_event(l);
}
