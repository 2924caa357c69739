// SPDX-License-Identifier: GPL-2.0-or-later
/* See child.h. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* Descriptors of one run, -1 where closed. */
struct pipes {
	int input[2];
	int output[2];
	int error;	/* a memfd: nobody has to read from it meanwhile */
};

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_all(struct pipes *pipes)
{
	close_one(&pipes->input[0]);
	close_one(&pipes->input[1]);
	close_one(&pipes->output[0]);
	close_one(&pipes->output[1]);
	close_one(&pipes->error);
}

static int open_all(struct pipes *pipes, const char *input)
{
	size_t size = input ? strlen(input) : 0;

	if (size > CHILD_INPUT_MAX)
		return -E2BIG;
	pipes->error = memfd_create("stderr", MFD_CLOEXEC);
	if (pipes->error < 0 || pipe2(pipes->input, O_CLOEXEC) || pipe2(pipes->output, O_CLOEXEC))
		return -errno;
	if (size && write(pipes->input[1], input, size) != (ssize_t)size)
		return -EIO;
	close_one(&pipes->input[1]);
	return 0;
}

static int spawn(char *const argv[], const struct pipes *pipes, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipes->input[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, pipes->output[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, pipes->error, STDERR_FILENO);
	r = posix_spawnp(ret_pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Everything up to the end of file. */
static int read_all(int fd, long long until, char **ret_text)
{
	char *text = NULL, *more;
	size_t used = 0, room = 0;
	ssize_t n = 1;

	while (n > 0) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		long long left = until - now_ms();

		if (left <= 0 || !poll(&pfd, 1, left)) {
			free(text);
			return -ETIMEDOUT;
		}
		if (room - used < 4096) {
			room = room ? room * 2 : 65536;
			more = realloc(text, room);
			if (!more) {
				free(text);
				return -ENOMEM;
			}
			text = more;
		}
		n = read(fd, text + used, room - used - 1);
		used += n > 0 ? n : 0;
	}
	text[used] = '\0';
	*ret_text = text;
	return 0;
}

/* The last line that it has complained in. */
static void last_words(int fd, char *ret_text, size_t size)
{
	off_t end = lseek(fd, 0, SEEK_END);
	char *line;
	ssize_t n;

	n = pread(fd, ret_text, size - 1, end > (off_t)size - 1 ? end - (off_t)size + 1 : 0);
	n = n < 0 ? 0 : n;
	while (n && ret_text[n - 1] == '\n')
		n--;
	ret_text[n] = '\0';
	line = strrchr(ret_text, '\n');
	if (line)
		memmove(ret_text, line + 1, strlen(line));
}

static int judge(const char *name, int status, const struct pipes *pipes, const char *output,
		 struct memtide_errtext *errtext)
{
	char words[300];

	if (WIFSIGNALED(status))
		return memtide_errtext_set(errtext, -ECHILD, "%s was ended by signal %d (%s)", name, WTERMSIG(status),
					   strsignal(WTERMSIG(status)));
	if (!WEXITSTATUS(status) || *output)
		return WEXITSTATUS(status);
	last_words(pipes->error, words, sizeof(words));
	return memtide_errtext_set(errtext, -EIO, "%s ended with %d%s%s", name, WEXITSTATUS(status), *words ? ": " : "",
				   words);
}

int child_run(char *const argv[], const char *input, unsigned int seconds, char **ret_output,
	      struct memtide_errtext *errtext)
{
	struct pipes pipes = { { -1, -1 }, { -1, -1 }, -1 };
	char *output = NULL;
	int r, status;
	pid_t pid;

	r = open_all(&pipes, input);
	if (!r)
		r = spawn(argv, &pipes, &pid);
	if (r) {
		close_all(&pipes);
		return memtide_errtext_set(errtext, r, "cannot run %s: %s", argv[0], strerror(-r));
	}
	close_one(&pipes.input[0]);
	close_one(&pipes.output[1]);
	r = read_all(pipes.output[0], now_ms() + seconds * 1000LL, &output);
	if (r) {
		kill(pid, SIGKILL);
		memtide_errtext_set(errtext, r, "%s: %s", argv[0], r == -ETIMEDOUT ? "no end of it" : strerror(-r));
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!r)
		r = judge(argv[0], status, &pipes, output, errtext);
	close_all(&pipes);
	if (r < 0)
		free(output);
	else
		*ret_output = output;
	return r;
}
