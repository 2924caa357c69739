/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MEMTIDE_OVERHEAD_H
#define MEMTIDE_OVERHEAD_H

#include <stdint.h>

/**
 * memtide_overhead() - what the process of a VM needs beside its guest's memory
 * @ram: the guest's, bytes
 *
 * Code, stacks, device buffers, and what grows with the guest, page tables above all (KVM's own are charged to the
 * cgroup as well).  Measured at 40 to 60 MiB for a small guest under KVM; a limit that is too tight stalls the guest
 * for seconds, one that is loose by this much lets it have that much more.
 */
static inline uint64_t memtide_overhead(uint64_t ram)
{
	return (UINT64_C(96) << 20) + (ram >> 5);
}

#endif /* MEMTIDE_OVERHEAD_H */
