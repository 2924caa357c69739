// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Unix sockets of a daemon that may have died without removing them.
 */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD	77
#endif
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS	59
#endif
#define MAX_GROUPS	256
#define BACKLOG		128
#define HINT_NOT_ROOT	" (run as root, or name other sockets in the configuration)"

static int make_directory(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	return mkdir(dir, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* Held while the daemon lives, so two that start at once cannot both find the socket stale. */
static int lock_beside(const char *path, int *ret_fd, struct memtide_errtext *errtext)
{
	char lock[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	int fd, r;

	snprintf(lock, sizeof(lock), "%s.lock", path);
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return memtide_errtext_set(errtext, -errno, "cannot open %s: %s%s", lock, strerror(errno),
					   errno == EACCES ? HINT_NOT_ROOT : "");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
		close(fd);
		return memtide_errtext_set(errtext, r, "%s is in use by another memtided (%s is locked)", path,
					   lock);
	}
	*ret_fd = fd;
	return 0;
}

/*
 * Is the process that listens there alive?  One that was killed may still answer for a moment: the kernel takes an
 * io_uring, and what it polls, apart in the background.
 */
static bool listener_lives(int fd)
{
	struct pollfd process = { .events = POLLIN };
	struct ucred cred;
	socklen_t size = sizeof(cred);
	bool lives;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return true;
	process.fd = (int)syscall(SYS_pidfd_open, cred.pid, 0);
	if (process.fd < 0)
		return errno != ESRCH;
	lives = poll(&process, 1, 0) == 0;
	close(process.fd);
	return lives;
}

static int remove_stale(const struct sockaddr_un *address, struct memtide_errtext *errtext)
{
	struct stat st;
	int fd, r;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return memtide_errtext_set(errtext, -EEXIST, "%s exists and is no socket", address->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
	if (!r && !listener_lives(fd))
		r = -ECONNREFUSED;
	close(fd);
	if (r != -ECONNREFUSED && r != -ENOENT)
		return memtide_errtext_set(errtext, -EADDRINUSE, "%s is in use by another program",
					   address->sun_path);
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_and_listen(const struct sockaddr_un *address, mode_t mode, const char *group, int *ret_fd,
			   struct memtide_errtext *errtext)
{
	const struct group *entry = group ? getgrnam(group) : NULL;
	mode_t umask_before;
	int fd, r = 0;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return memtide_errtext_set(errtext, -errno, "cannot create a socket: %s", strerror(errno));
	/* Nobody but us from its first moment on; the rest is given afterwards. */
	umask_before = umask(0177);
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		r = -errno;
	umask(umask_before);
	if (!r && entry && chown(address->sun_path, (uid_t)-1, entry->gr_gid) < 0)
		r = -errno;
	if (!r && chmod(address->sun_path, mode) < 0)
		r = -errno;
	if (!r && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return memtide_errtext_set(errtext, r, "cannot listen on %s: %s", address->sun_path, strerror(-r));
	}
	*ret_fd = fd;
	return 0;
}

int socket_listen(const char *path, mode_t mode, const char *group, struct socket_listener *ret,
		  struct memtide_errtext *errtext)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct socket_listener listener = { .fd = -1, .lock_fd = -1 };
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return memtide_errtext_set(errtext, -ENAMETOOLONG,
					   "%s: a socket's path may have %zu bytes at most", path,
					   sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	r = make_directory(path);
	if (r < 0)
		return memtide_errtext_set(errtext, r, "cannot create the directory of %s: %s%s", path,
					   strerror(-r),
					   r == -EACCES ? HINT_NOT_ROOT : "");
	r = lock_beside(path, &listener.lock_fd, errtext);
	if (r < 0)
		return r;
	r = remove_stale(&address, errtext);
	if (r >= 0)
		r = bind_and_listen(&address, mode, group, &listener.fd, errtext);
	listener.path = strdup(path);
	if (r < 0 || !listener.path) {
		socket_unlisten(&listener);
		return r < 0 ? r : -ENOMEM;
	}
	*ret = listener;
	return 0;
}

void socket_unlisten(struct socket_listener *listener)
{
	if (listener->fd >= 0) {
		if (listener->path)
			unlink(listener->path);
		close(listener->fd);
	}
	/* The lock's file stays: removing it would let two daemons lock two different ones. */
	if (listener->lock_fd >= 0)
		close(listener->lock_fd);
	free(listener->path);
	*listener = (struct socket_listener){ .fd = -1, .lock_fd = -1 };
}

int socket_accept(const struct socket_listener *listener, struct socket_peer *ret_peer)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);
	int fd;

	fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0) {
		close(fd);
		return -ECONNABORTED;
	}
	*ret_peer = (struct socket_peer){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
	return fd;
}

int socket_peer_pidfd(int fd, pid_t pid)
{
	int pidfd;
	socklen_t size = sizeof(pidfd);

	if (!getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size)) {
		fcntl(pidfd, F_SETFD, FD_CLOEXEC);
		return pidfd;
	}
	if (errno != ENOPROTOOPT)
		return -errno;
	/*
	 * Before 6.5.  The number might have been reused since it connected, but then nobody is at the other end.
	 */
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd >= 0) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLRDHUP };

		if (poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & (POLLHUP | POLLRDHUP)) {
			close(pidfd);
			return -ESRCH;
		}
		return pidfd;
	}
	return -errno;
}

bool socket_peer_in_group(int fd, const struct socket_peer *peer, const char *name)
{
	const struct group *group = getgrnam(name);
	gid_t groups[MAX_GROUPS];
	socklen_t size = sizeof(groups);

	if (!group)
		return false;
	if (peer->gid == group->gr_gid)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof(groups[0]); i++)
		if (groups[i] == group->gr_gid)
			return true;
	return false;
}
