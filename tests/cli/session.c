// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See session.h.  The socket is made here and handed over as systemd does (sd_listen_fds(3)), so there is nothing to
 * wait for: who connects early waits for the daemon by itself.
 */
#include "session.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "libvirtd.h"

#define LISTEN_FD	3

struct session {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	char folder[64];
	char uri[160];
	char emulator[96];
	char without[96];
	char none[96];
};

static void write_file(const char *path, mode_t mode, const char *format, ...)
{
	FILE *file = fopen(path, "w");
	va_list args;

	assert_non_null(file);
	va_start(args, format);
	vfprintf(file, format, args);
	va_end(args);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/* libvirt cannot be told where firmware is, and the lab's QEMU does not know. */
static void write_emulators(struct session *session, const char *qemu)
{
	snprintf(session->emulator, sizeof(session->emulator), "%s/qemu", session->folder);
	snprintf(session->without, sizeof(session->without), "%s/qemu-without", session->folder);
	snprintf(session->none, sizeof(session->none), "/bin/true");
	write_file(session->emulator, 0755, "#!/bin/sh\nexec %s -L /usr/share/seabios -L /usr/share/qemu "
					    "\"$@\"\n", qemu);
	write_file(session->without, 0755,
		   "#!/bin/sh\n"
		   "[ \"$*\" != '-device help' ] || { %s -device help | grep -v virtio-tide; exit 0; }\n"
		   "exec %s -L /usr/share/seabios -L /usr/share/qemu \"$@\"\n", qemu, qemu);
}

static void make_folder(struct session *session, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", session->folder, name);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chown(path, session->uid, session->gid), 0);
}

static void write_files(struct session *session, const char *qemu)
{
	char path[160];

	strcpy(session->folder, "/tmp/memtide-session.XXXXXX");
	assert_non_null(mkdtemp(session->folder));
	assert_int_equal(chmod(session->folder, 0755), 0);
	make_folder(session, "home");
	make_folder(session, "run");
	make_folder(session, "run/libvirt");
	make_folder(session, "config");
	make_folder(session, "config/libvirt");
	snprintf(path, sizeof(path), "%s/config/libvirt/qemu.conf", session->folder);
	/* else it would start a virtlogd that outlives it */
	write_file(path, 0644, "stdio_handler = \"file\"\n");
	write_emulators(session, qemu);
}

static int open_socket(struct session *session)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/libvirt/libvirt-sock", session->folder);
	snprintf(session->uri, sizeof(session->uri), "qemu+unix:///session?socket=%s", address.sun_path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static const char *daemon_path(void)
{
	static char path[64];

	snprintf(path, sizeof(path), "/usr/sbin/%.32s", libvirtd_program());
	return path;
}

static void set_environment(const struct session *session)
{
	char text[160], socket[64];

	snprintf(socket, sizeof(socket), "%.32s.socket", libvirtd_program());
	clearenv();
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	snprintf(text, sizeof(text), "%s/home", session->folder);
	setenv("HOME", text, 1);
	snprintf(text, sizeof(text), "%s/run", session->folder);
	setenv("XDG_RUNTIME_DIR", text, 1);
	snprintf(text, sizeof(text), "%s/config", session->folder);
	setenv("XDG_CONFIG_HOME", text, 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_FDNAMES", socket, 1);
	snprintf(text, sizeof(text), "%d", getpid());
	setenv("LISTEN_PID", text, 1);
}

static void open_log(void)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/libvirtd.log", getenv("LAB_LOGS") ?: "/nowhere");
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (fd < 0)
		fd = open("/dev/null", O_WRONLY);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
}

static void become_daemon(const struct session *session, int fd)
{
	const char *path = daemon_path();

	open_log();
	if (fd == LISTEN_FD)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, LISTEN_FD);
	set_environment(session);
	if (!getuid() && (setgroups(0, NULL) || setgid(session->gid) || setuid(session->uid)))
		_exit(126);
	execl(path, path, NULL);
	_exit(127);
}

static const struct passwd *session_user(void)
{
	return getuid() ? getpwuid(getuid()) : getpwnam("nobody");
}

const char *session_missing(void)
{
	if (!getenv("LAB_BUILD") || !getenv("LAB_QEMU"))
		return "LAB_BUILD and LAB_QEMU are not set: run this through ./lab";
	if (access(daemon_path(), X_OK))
		return "no libvirtd, or what LAB_LIBVIRTD names: install libvirt-daemon and libvirt-daemon-driver-qemu";
	return session_user() ? NULL : "no user to run libvirtd as: root cannot have a session, and there is no nobody";
}

void session_start(struct session **ret_session)
{
	struct session *session = calloc(1, sizeof(*session));
	const struct passwd *user = session_user();
	int fd;

	assert_non_null(session);
	session->uid = user->pw_uid;
	session->gid = user->pw_gid;
	write_files(session, getenv("LAB_QEMU"));
	fd = open_socket(session);
	session->pid = fork();
	assert_true(session->pid >= 0);
	if (!session->pid)
		become_daemon(session, fd);
	close(fd);
	*ret_session = session;
}

void session_stop(struct session *session)
{
	char command[128];

	if (!session)
		return;
	kill(session->pid, SIGTERM);
	assert_int_equal(waitpid(session->pid, NULL, 0), session->pid);
	snprintf(command, sizeof(command), "rm -rf %s", session->folder);
	assert_int_equal(system(command), 0);
	free(session);
}

const char *session_uri(const struct session *session)
{
	return session->uri;
}

const char *session_emulator(const struct session *session)
{
	return session->emulator;
}

const char *session_emulator_without(const struct session *session)
{
	return session->without;
}

const char *session_no_emulator(const struct session *session)
{
	return session->none;
}
