// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * By hand: it is one datagram, and libsystemd would be needed on hosts that have no systemd.
 */
#include "notify.h"

#include "log.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int send_to(const char *path, const char *text)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	ssize_t n;
	int fd;

	if ((*path != '/' && *path != '@') || length >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, path, length);
	/* abstract ones have a NUL in front, and none behind */
	if (*path == '@')
		address.sun_path[0] = '\0';
	else
		length++;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	n = sendto(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&address,
		   offsetof(struct sockaddr_un, sun_path) + length);
	if (n < 0)
		n = -errno;
	close(fd);
	return n < 0 ? (int)n : 0;
}

void notify_supervisor(const char *state)
{
	const char *path = secure_getenv("NOTIFY_SOCKET");
	int r;

	if (!path || !*path)
		return;
	r = send_to(path, state);
	if (r < 0)
		log_warning("%s is not told \"%s\": %s", path, state, strerror(-r));
}
