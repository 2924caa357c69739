/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A RAM disk to swap to: what it holds is swapped in at once, and in large folios if these are allowed. */
#ifndef TESTS_HOST_KERNEL_SWAP_H
#define TESTS_HOST_KERNEL_SWAP_H

/* 0 or a negative errno, said on stderr; -ENODEV where the kernel has no RAM disk. */
int swap_on(void);
int swap_off(void);

#endif /* TESTS_HOST_KERNEL_SWAP_H */
