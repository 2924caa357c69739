// SPDX-License-Identifier: GPL-2.0-or-later
/* See memtide-agent.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memtide-agent.h"

static void run_agent(const char *config)
{
	const char *build = getenv("LAB_BUILD"), *logs = getenv("LAB_LOGS");
	char path[512], log[512];
	int fd;

	snprintf(path, sizeof(path), "%s/vmm/agent/memtide-agent", build ? build : ".");
	snprintf(log, sizeof(log), "%s/memtide-agent.log", logs ? logs : ".");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	dup2(fd, 1);
	dup2(fd, 2);
	execl(path, "memtide-agent", "--config", config, "--verbose", NULL);
	perror(path);
	_exit(127);
}

int memtide_agent_start(const char *config, pid_t *ret_pid)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		run_agent(config);
	*ret_pid = pid;
	return 0;
}

int memtide_agent_end(pid_t *pid, int signal)
{
	int status = 0;

	if (*pid <= 0)
		return 0;
	kill(*pid, signal);
	/* one that a test has stopped goes on, and ends */
	kill(*pid, SIGCONT);
	waitpid(*pid, &status, 0);
	*pid = 0;
	if (!status || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && signal == SIGKILL))
		return 0;
	fprintf(stderr, "memtide-agent ended with status %#x, see memtide-agent.log\n", status);
	return -EBADMSG;
}
