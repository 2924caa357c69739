/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of ksmtuned, which qemu-kvm of Red Hat's distributions comes with (ksmtuned.conf and the chapter on
 * KSM of the virtualization tuning guide tell them; values are its defaults): once a minute, where little
 * memory is free, ksmd is to scan 300 pages more a batch, else 50 fewer, between 64 and 1,250; where little is
 * committed it is stopped.
 */
#ifndef TESTS_BENCH_KSMTUNED_H
#define TESTS_BENCH_KSMTUNED_H

#include <stdbool.h>
#include <stdint.h>

#define KSMTUNED_INTERVAL_S	60

struct ksmtuned {
	uint64_t total_bytes;	/* the host's memory */
	int pages;		/* to scan in a batch; zero at first */
};

/*
 * What to do now, given what is free and what the VMs' processes have resident: whether ksmd is to run.
 * *@tuned's pages are then to be scanned in a batch.
 */
bool ksmtuned_adjust(struct ksmtuned *tuned, uint64_t free_bytes, uint64_t committed_bytes);
/* Between two batches: 10 ms on a host of 16 GiB, less memory takes more. */
unsigned int ksmtuned_sleep_ms(const struct ksmtuned *tuned);

#endif /* TESTS_BENCH_KSMTUNED_H */
