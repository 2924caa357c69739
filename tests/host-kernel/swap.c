// SPDX-License-Identifier: GPL-2.0-or-later
/* See swap.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>
#include <unistd.h>

#include "swap.h"

#define DISK	"/dev/ram0"

int swap_on(void)
{
	int r = 0;

	if (access(DISK, W_OK))
		r = -ENODEV;
	else if (system("mkswap -q " DISK))
		r = -EIO;
	else if (swapon(DISK, 0))
		r = -errno;
	if (r)
		fprintf(stderr, "swap: " DISK ": %s\n", strerror(-r));
	return r;
}

int swap_off(void)
{
	if (!swapoff(DISK))
		return 0;
	fprintf(stderr, "swap: cannot stop swapping to " DISK ": %m\n");
	return -errno;
}
