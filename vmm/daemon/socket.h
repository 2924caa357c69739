/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listening on a Unix socket that nobody else may be using, and who it is that connects.
 */
#ifndef MEMTIDED_SOCKET_H
#define MEMTIDED_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "errtext.h"

/* Who is at the other end, by the kernel's word. */
struct socket_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

struct socket_listener {
	int fd;
	int lock_fd;
	char *path;
};

/*
 * Listen at @path.  A lock file beside it says whether the socket is in use; one that nobody answers on is
 * replaced.
 * @mode are its permissions, @group its group's name or NULL.  Creates the directory if only that is missing.
 * -EADDRINUSE: another daemon is there.
 */
int socket_listen(const char *path, mode_t mode, const char *group, struct socket_listener *ret,
		  struct memtide_errtext *errtext);
/* Removes the socket's file. */
void socket_unlisten(struct socket_listener *listener);

/* The next connection, non-blocking and close-on-exec; -EAGAIN: none. */
int socket_accept(const struct socket_listener *listener, struct socket_peer *ret_peer);

/* A pidfd of the process that connected.  Negative errno: it is gone. */
int socket_peer_pidfd(int fd, pid_t pid);

/* Is the peer of @fd in group @name, by its credentials when it connected? */
bool socket_peer_in_group(int fd, const struct socket_peer *peer, const char *name);

#endif
