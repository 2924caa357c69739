// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * usage: tell-when-ready COMMAND...
 *
 * Becomes COMMAND, a daemon that tells its supervisor in systemd's way (sd_notify(3)) when it is ready, for scripts
 * that have to wait for that: then a line "READY=1" comes on the standard output.  The output ends with that, or with
 * the daemon; what the daemon itself prints goes to where errors go.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY	"READY=1"

static void die(const char *what)
{
	fprintf(stderr, "tell-when-ready: %s: %s\n", what, strerror(errno));
	exit(127);
}

/* A socket of a name that the kernel has chosen and the environment tells. */
static int listen_to_daemon(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(address);
	char name[sizeof(address.sun_path) + 1];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address.sun_family)) ||
	    getsockname(fd, (struct sockaddr *)&address, &size))
		die("a socket");
	size -= offsetof(struct sockaddr_un, sun_path);
	snprintf(name, sizeof(name), "@%.*s", (int)size - 1, address.sun_path + 1);
	if (setenv("NOTIFY_SOCKET", name, 1))
		die("the environment");
	return fd;
}

static void tell(int socket, int daemon)
{
	struct pollfd fds[] = { { .fd = socket, .events = POLLIN }, { .fd = daemon, .events = POLLIN } };
	char text[256];

	while (poll(fds, 2, -1) > 0) {
		ssize_t n = fds[0].revents ? recv(socket, text, sizeof(text), 0) : 0;

		if (n >= (ssize_t)strlen(READY) && !memcmp(text, READY, strlen(READY))) {
			dprintf(STDOUT_FILENO, "%s\n", READY);
			return;
		}
		if (n <= 0)
			return;
	}
}

int main(int argc, char **argv)
{
	int socket, daemon;
	pid_t pid;

	if (argc < 2) {
		fprintf(stderr, "usage: tell-when-ready COMMAND...\n");
		return 127;
	}
	socket = listen_to_daemon();
	daemon = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (daemon < 0)
		die("pidfd_open");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		/* Who listens is no child of the daemon's, which knows of none. */
		if (!fork())
			tell(socket, daemon);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		die("the standard output");
	execvp(argv[1], argv + 1);
	die(argv[1]);
}
