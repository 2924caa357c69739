// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs a command with policies in force for the whole machine, and says so if one of them was ejected meanwhile.  Ends
 * with the command's status.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "hooks.h"

#define POLICIES_MAX	8
/* Where a family has domains: any but 0, which never merges. */
#define DOMAIN		1

static int run(char **command)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execvp(command[0], command);
		fprintf(stderr, "under: cannot run %s: %s\n", command[0], strerror(errno));
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 126;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool ejected(const struct hook *hook)
{
	struct pollfd fd = { .fd = bpf_link__fd(hook->link) };

	return poll(&fd, 1, 0) == 1 && (fd.revents & POLLHUP);
}

int main(int argc, char **argv)
{
	struct hook hooks[POLICIES_MAX];
	int count = 0, status, r;
	struct stat root;

	while (count + 1 < argc && count < POLICIES_MAX && strcmp(argv[count + 1], "--") != 0)
		count++;
	if (count + 2 >= argc || strcmp(argv[count + 1], "--") != 0) {
		fprintf(stderr, "usage: %s POLICY... -- COMMAND...\n", argv[0]);
		return 126;
	}
	if (stat("/sys/fs/cgroup", &root)) {
		perror("under: /sys/fs/cgroup");
		return 126;
	}
	for (int i = 0; i < count; i++) {
		r = hook(argv[i + 1], root.st_ino, DOMAIN, &hooks[i]);
		if (r) {
			fprintf(stderr, "under: cannot attach %s: %s\n", argv[i + 1], strerror(-r));
			return 126;
		}
	}
	status = run(&argv[count + 2]);
	for (int i = 0; i < count; i++) {
		if (ejected(&hooks[i]))
			printf("under: %s was ejected\n", argv[i + 1]);
		hook_drop(&hooks[i]);
	}
	return status;
}
