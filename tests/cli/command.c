// SPDX-License-Identifier: GPL-2.0-or-later
/* See command.h. */
#include "command.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define OUTPUT_SIZE	(256 * 1024)

const char *command_socket;
char command_output[OUTPUT_SIZE];

static void command_line(char *line, size_t size, const char *words)
{
	snprintf(line, size, "LC_ALL=C.UTF-8 %s/vmm/cli/memtide --socket %s %s 2>&1", getenv("LAB_BUILD"),
		 command_socket ?: "/nowhere/control.sock", words);
}

static int run(const char *format, va_list args)
{
	char words[1024], line[1536];
	size_t used;
	FILE *f;

	vsnprintf(words, sizeof(words), format, args);
	command_line(line, sizeof(line), words);
	f = popen(line, "r");
	assert_non_null(f);
	used = fread(command_output, 1, OUTPUT_SIZE - 1, f);
	command_output[used] = '\0';
	return WEXITSTATUS(pclose(f));
}

int memtide(const char *format, ...)
{
	va_list args;
	int status;

	va_start(args, format);
	status = run(format, args);
	va_end(args);
	return status;
}

json_t *memtide_json(int status, const char *format, ...)
{
	va_list args;
	json_t *json;
	int r;

	va_start(args, format);
	r = run(format, args);
	va_end(args);
	json = json_loads(command_output, JSON_DECODE_ANY, NULL);
	if (r != status || !json)
		fail_msg("ended with %d, not %d, or is no JSON: %s", r, status, command_output);
	return json;
}

FILE *command_spawn(const char *words, pid_t *ret_pid)
{
	char line[1024], command[1040];
	int fd[2];

	command_line(line, sizeof(line), words);
	snprintf(command, sizeof(command), "exec env %s", line);
	assert_int_equal(pipe(fd), 0);
	*ret_pid = fork();
	assert_true(*ret_pid >= 0);
	if (!*ret_pid) {
		dup2(fd[1], STDOUT_FILENO);
		close(fd[0]);
		close(fd[1]);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(fd[1]);
	return fdopen(fd[0], "r");
}

void command_finish(FILE *f, pid_t pid)
{
	fclose(f);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

void assert_says(const char *words)
{
	if (!strstr(command_output, words))
		fail_msg("\"%s\" is not in: %s", words, command_output);
}
