// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel-write.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int memtide_kernel_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}
