// SPDX-License-Identifier: GPL-2.0-or-later
/* See controller.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controller.h"

#define START_TRIES	3000	/* a millisecond each, before "it does not come up" */

struct controller {
	pid_t pid;
	char dir[64];
	bool own_dir;
	char config[96];
	char log[512];
	char vmm[96];
	char control[96];
	char state[96];
	int socket;
	int next_id;
};

static int write_config(const struct controller *c, const char *text)
{
	const char *build = getenv("LAB_BUILD");
	FILE *f = fopen(c->config, "we");

	if (!f || !build) {
		fprintf(stderr, "controller: %s\n", build ? strerror(errno) : "LAB_BUILD is not set: run this through ./lab");
		return -EINVAL;
	}
	fprintf(f, "[daemon]\nvmm-socket = %s\ncontrol-socket = %s\nstate-directory = %s\npolicy-path = %s/bpf\n%s\n",
		c->vmm, c->control, c->state, build, text);
	fclose(f);
	return 0;
}

static int connect_control(struct controller *c)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ucred cred;
	socklen_t size = sizeof(cred);

	c->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", c->control);
	/* The socket of one that was killed answers for a moment longer: the kernel takes its io_uring apart later. */
	if (connect(c->socket, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    getsockopt(c->socket, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0 && cred.pid == c->pid)
		return 0;
	close(c->socket);
	c->socket = -1;
	return -ECONNREFUSED;
}

static void run_daemon(const struct controller *c)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/vmm/daemon/memtided", getenv("LAB_BUILD"));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(c->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	dup2(fd, 1);
	dup2(fd, 2);
	execl(path, "memtided", "--config", c->config, NULL);
	perror(path);
	_exit(127);
}

int controller_restart(struct controller *c, const char *config)
{
	int r = config ? write_config(c, config) : 0;

	if (r)
		return r;
	c->pid = fork();
	if (c->pid < 0)
		return -errno;
	if (!c->pid)
		run_daemon(c);
	for (int i = 0; i < START_TRIES; i++) {
		if (connect_control(c) == 0)
			return 0;
		if (waitpid(c->pid, NULL, WNOHANG) == c->pid)
			break;
		poll(NULL, 0, 1);
	}
	fprintf(stderr, "controller: memtided does not come up, see %s\n", c->log);
	return -ECHILD;
}

int controller_start_in(const char *dir, const char *config, struct controller **ret_controller)
{
	struct controller *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->socket = -1;
	snprintf(c->dir, sizeof(c->dir), "%s", dir);
	snprintf(c->config, sizeof(c->config), "%s/memtided.conf", c->dir);
	snprintf(c->vmm, sizeof(c->vmm), "%s/vmm.sock", c->dir);
	snprintf(c->control, sizeof(c->control), "%s/control.sock", c->dir);
	snprintf(c->state, sizeof(c->state), "%s/state", c->dir);
	snprintf(c->log, sizeof(c->log), "%s/memtided.log", getenv("LAB_LOGS") ? getenv("LAB_LOGS") : ".");
	r = controller_restart(c, config);
	if (r)
		free(c);
	else
		*ret_controller = c;
	return r;
}

int controller_start(const char *config, struct controller **ret_controller)
{
	char dir[] = "/tmp/memtide-XXXXXX";
	int r;

	if (!mkdtemp(dir))
		return -errno;
	r = controller_start_in(dir, config, ret_controller);
	if (!r)
		(*ret_controller)->own_dir = true;
	return r;
}

void controller_kill(struct controller *c)
{
	close(c->socket);
	c->socket = -1;
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	c->pid = 0;
}

static void remove_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

static void remove_files(const struct controller *c)
{
	static const char *const names[] = { "memtided.conf", "vmm.sock", "control.sock", "vmm.sock.lock", "control.sock.lock" };
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", c->dir, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/domains", c->state);
	remove_folder(path);
	remove_folder(c->state);
	if (c->own_dir)
		rmdir(c->dir);
}

int controller_stop(struct controller *c)
{
	int status = 0;

	if (!c)
		return 0;
	if (c->socket >= 0)
		close(c->socket);
	if (c->pid > 0) {
		kill(c->pid, SIGTERM);
		waitpid(c->pid, &status, 0);
	}
	remove_files(c);
	if (status)
		fprintf(stderr, "controller: memtided ended with status %#x, see %s\n", status, c->log);
	free(c);
	return status ? -EBADMSG : 0;
}

pid_t controller_pid(const struct controller *c)
{
	return c->pid;
}

const char *controller_vmm_socket(const struct controller *c)
{
	return c->vmm;
}

const char *controller_config(const struct controller *c)
{
	return c->config;
}

const char *controller_state(const struct controller *c)
{
	return c->state;
}

const char *controller_control_socket(const struct controller *c)
{
	return c->control;
}

static int read_answer(struct controller *c, char **ret_line)
{
	size_t size = 65536, used = 0;
	char *line = malloc(size);

	for (;;) {
		ssize_t n = recv(c->socket, line + used, size - 1 - used, 0);

		if (n <= 0) {
			free(line);
			fprintf(stderr, "controller: memtided hung up, see %s\n", c->log);
			return -EPIPE;
		}
		used += n;
		line[used] = '\0';
		if (line[used - 1] == '\n')
			break;
		if (used == size - 1)
			line = realloc(line, size *= 2);
	}
	*ret_line = line;
	return 0;
}

int controller_call(struct controller *c, const char *method, json_t *params, json_t **ret_result)
{
	json_t *request = json_pack("{s:s,s:i,s:s}", "jsonrpc", "2.0", "id", ++c->next_id, "method", method);
	json_t *reply, *error;
	char *text;
	int r;

	if (params)
		json_object_set_new(request, "params", params);
	text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	text = realloc(text, strlen(text) + 2);
	strcat(text, "\n");
	r = send(c->socket, text, strlen(text), MSG_NOSIGNAL) < 0 ? -errno : 0;
	free(text);
	r = r ? r : read_answer(c, &text);
	if (r)
		return r;
	reply = json_loads(text, 0, NULL);
	free(text);
	error = json_object_get(reply, "error");
	if (error)
		fprintf(stderr, "controller: %s: %s\n", method, json_string_value(json_object_get(error, "message")));
	else if (ret_result)
		*ret_result = json_incref(json_object_get(reply, "result"));
	r = error ? -EREMOTEIO : 0;
	json_decref(reply);
	return r;
}

json_t *controller_vm(struct controller *c, const char *name)
{
	json_t *status, *vm, *found = NULL;
	size_t i;

	if (controller_call(c, "status", NULL, &status))
		return NULL;
	json_array_foreach(json_object_get(status, "vms"), i, vm) {
		const char *n = json_string_value(json_object_get(vm, "name"));

		if (n && strcmp(n, name) == 0)
			found = json_incref(vm);
	}
	json_decref(status);
	return found;
}
