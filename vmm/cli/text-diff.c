// SPDX-License-Identifier: GPL-2.0-or-later
/* See text-diff.h. */
#include "text-diff.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "child.h"

#define SECONDS	30

/* A file with @text in it that the child finds under @ret_path. */
static int open_text(const char *text, char *ret_path, size_t size)
{
	int fd = memfd_create("text", 0);
	size_t length = strlen(text);

	if (fd < 0)
		return -errno;
	if (write(fd, text, length) != (ssize_t)length) {
		close(fd);
		return -EIO;
	}
	snprintf(ret_path, size, "/proc/self/fd/%d", fd);
	return fd;
}

int text_diff(const char *before, const char *after, const char *label, const char *label_after, char **ret_text,
	      struct memtide_errtext *errtext)
{
	char path[32] = "", path_after[32] = "";
	char *const argv[] = {
		"diff", "-u", "--label", (char *)label, "--label", (char *)label_after, path, path_after, NULL
	};
	int fd = open_text(before, path, sizeof(path)), fd_after = open_text(after, path_after, sizeof(path_after)), r;

	if (fd < 0 || fd_after < 0)
		r = memtide_errtext_set(errtext, -EIO, "cannot write a text for diff to read");
	else
		r = child_run(argv, NULL, SECONDS, ret_text, errtext);
	if (fd >= 0)
		close(fd);
	if (fd_after >= 0)
		close(fd_after);
	return r;
}
