// SPDX-License-Identifier: GPL-2.0-or-later
/* Is a kernel's log clean?  For lab, which asks it of the nested host's; prints the lines that are not. */
#include <stdio.h>

#include "vm.h"

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s LOG\n", argv[0]);
		return 2;
	}
	return kernel_log_check(argv[1]) ? 1 : 0;
}
