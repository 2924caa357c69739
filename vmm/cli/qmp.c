// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See qmp.h.  QMP is JSON, one object at a time in each direction; events come in between.
 */
#include "qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"

/* A QEMU whose monitor somebody else has takes the connection and says nothing. */
#define ANSWER_S	5

struct monitor {
	const char *path;
	FILE *in;
	FILE *out;	/* of its own: a stream over a socket cannot turn around */
	struct memtide_errtext *errtext;
};

/* The answer to a command, or NULL: no answer, or a refusal. */
static json_t *listen_to(struct monitor *monitor)
{
	const json_t *error;
	json_t *object;

	while ((object = json_loadf(monitor->in, JSON_DISABLE_EOF_CHECK, NULL))) {
		if (json_object_get(object, "return"))
			return object;
		error = json_object_get(object, "error");
		if (error)
			memtide_errtext_set(monitor->errtext, -EPROTO, "%s: QEMU says: %s", monitor->path,
					    reply_text(error, "desc"));
		json_decref(object);
		if (error)
			return NULL;
	}
	memtide_errtext_set(monitor->errtext, -EPROTO,
			    "no answer from %s: a QMP monitor serves one at a time, is it libvirt's?  Then: virsh "
			    "qemu-monitor-command", monitor->path);
	return NULL;
}

static json_t *ask(struct monitor *monitor, json_t *command)
{
	int r = json_dumpf(command, monitor->out, JSON_COMPACT);

	json_decref(command);
	fputc('\n', monitor->out);
	if (r || fflush(monitor->out)) {
		memtide_errtext_set(monitor->errtext, -EPIPE, "%s hung up", monitor->path);
		return NULL;
	}
	return listen_to(monitor);
}

static int set_one(struct monitor *monitor, const char *name, bool merge)
{
	char path[256];
	json_t *answer;

	snprintf(path, sizeof(path), "/objects/%s", name);
	answer = ask(monitor, json_pack("{s:s, s:{s:s, s:s, s:b}}", "execute", "qom-set", "arguments", "path", path,
					"property", "merge", "value", merge));
	if (!answer)
		return -EPROTO;
	json_decref(answer);
	return 0;
}

static int set_all(struct monitor *monitor, bool merge, unsigned int *nr)
{
	json_t *answer, *object;
	int r = 0;
	size_t i;

	/* its greeting needs no answer, and has neither "return" nor "error" */
	answer = ask(monitor, json_pack("{s:s}", "execute", "qmp_capabilities"));
	if (!answer)
		return -EPROTO;
	json_decref(answer);
	answer = ask(monitor, json_pack("{s:s, s:{s:s}}", "execute", "qom-list", "arguments", "path", "/objects"));
	if (!answer)
		return -EPROTO;
	json_array_foreach(json_object_get(answer, "return"), i, object) {
		if (strncmp(reply_text(object, "type"), "child<memory-backend", 20))
			continue;
		r = set_one(monitor, reply_text(object, "name"), merge);
		if (r)
			break;
		++*nr;
	}
	json_decref(answer);
	return r;
}

static int open_socket(const char *path, struct memtide_errtext *errtext)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval timeout = { .tv_sec = ANSWER_S };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return memtide_errtext_set(errtext, -ENAMETOOLONG, "%s is too long for a socket's path: at most %zu "
					   "bytes", path, sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) &&
	    !connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	memtide_errtext_set(errtext, -errno, "cannot connect to %s: %m", path);
	if (fd >= 0)
		close(fd);
	return -ECONNREFUSED;
}

int qmp_set_merge(const char *socket, bool merge, unsigned int *ret_nr, struct memtide_errtext *errtext)
{
	struct monitor monitor = { .path = socket, .errtext = errtext };
	int fd = open_socket(socket, errtext), copy, r;
	unsigned int nr = 0;

	if (fd < 0)
		return fd;
	signal(SIGPIPE, SIG_IGN);	/* a QEMU that ends meanwhile is an error like others */
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	monitor.in = fdopen(fd, "r");
	monitor.out = copy < 0 ? NULL : fdopen(copy, "w");
	if (monitor.in && monitor.out)
		r = set_all(&monitor, merge, &nr);
	else
		r = memtide_errtext_set(errtext, -ENOMEM, "no memory to talk to %s", socket);
	if (monitor.in)
		fclose(monitor.in);
	else
		close(fd);
	if (monitor.out)
		fclose(monitor.out);
	else if (copy >= 0)
		close(copy);
	if (!r)
		*ret_nr = nr;
	return r;
}
