/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the virtio-tide device and the controller (memtided) share, beside the guest's wire header: the hello on the
 * vmm socket and the counters page.  The guest never sees any of it.  Little-endian; grows only at the end of each
 * structure and in reserved fields.
 *
 * The device, or a stand-in for one, is the client of the vmm socket.  On every connect it sends one struct tide_vmm_hello with the
 * descriptors in the order of enum tide_vmm_fd attached to its first byte; the controller answers with one struct
 * tide_vmm_answer.  After that the socket carries nothing: it only tells each side that the other one is there.
 * Work goes through the shared memory and the eventfds.
 */
#ifndef HW_VIRTIO_TIDE_VMM_H
#define HW_VIRTIO_TIDE_VMM_H

#include <stdint.h>

#define TIDE_VMM_MAGIC      0x6d6d7674u     /* "tvmm" */
#define TIDE_VMM_VERSION    1
#define TIDE_VMM_NAME_SIZE  64
#define TIDE_VMM_TEXT_SIZE  192

enum tide_vmm_fd {
    TIDE_VMM_FD_STATE,      /* memfd: the guest's region VIRTIO_TIDE_SHM_STATE, sealed against shrinking and growing */
    TIDE_VMM_FD_COUNTERS,   /* memfd: struct tide_counters_page, sealed the same way */
    TIDE_VMM_FD_DOORBELL,   /* eventfd: the guest rings, the controller waits */
    TIDE_VMM_FD_CALL,       /* eventfd: the controller rings, the guest gets a configuration-change interrupt */
    TIDE_VMM_FD_NOTIFY,     /* eventfd: the device rings after a fence, a reset or a change of flags */
    TIDE_VMM_FDS
};

/* Who says hello.  A stand-in does for a VM what its device would do, and is none of its processes. */
enum tide_vmm_kind {
    TIDE_VMM_DEVICE = 0,    /* the VM's own process, which has a virtio-tide device */
    TIDE_VMM_BALLOON = 1,   /* stand-in: gives by means of the VM's virtio-balloon */
    TIDE_VMM_RECLAIM = 2,   /* stand-in: gives by means of its cgroup's memory.reclaim */
    TIDE_VMM_KINDS
};

struct tide_vmm_hello {
    uint32_t magic;
    uint32_t version;
    uint32_t size;                      /* of this structure */
    uint32_t fds;                       /* TIDE_VMM_FDS */
    uint8_t  uuid[16];                  /* of the VM, zero if it has none; as in RFC 4122, network order */
    char     name[TIDE_VMM_NAME_SIZE];  /* of the VM, terminated; empty if it has none */
    uint64_t ram_bytes;
    uint64_t state_bytes;               /* size of the state memfd */
    uint64_t counters_bytes;            /* size of the counters memfd */
    uint32_t kind;                      /* enum tide_vmm_kind; a stand-in has to be root's, and the uuid a domain's */
    uint32_t reserved0;
    uint64_t reserved[3];
};
_Static_assert(sizeof(struct tide_vmm_hello) == 152, "struct tide_vmm_hello");

struct tide_vmm_answer {
    uint32_t magic;
    uint32_t status;                    /* 0: managed; else a positive errno: refused, text says why */
    char     text[TIDE_VMM_TEXT_SIZE];  /* terminated, for people */
};
_Static_assert(sizeof(struct tide_vmm_answer) == 200, "struct tide_vmm_answer");

/*
 * Both records of the counters page are written under a sequence counter as in virtio_tide.h.  The device writes
 * the first and only reads the second.
 */

#define TIDE_COUNTERS_DRIVER_OK     0x1 /* a driver has set DRIVER_OK since the last reset */
#define TIDE_COUNTERS_INHIBITED     0x2 /* gives fail for now; charge the maximum */
#define TIDE_COUNTERS_FENCED        0x4 /* fence_* are valid for this epoch */

struct tide_counters {
    uint32_t seq;
    uint32_t flags;                 /* TIDE_COUNTERS_* */
    uint64_t epoch;                 /* counts resets of the device: nothing said before it holds after it */
    uint64_t ram_bytes;
    uint64_t given_bytes;           /* given and not taken back, each page counted once */
    uint64_t given_huge_bytes;      /* of these, in aligned 2 MiB pieces that are given whole */
    uint32_t fence_generation;      /* of the last fence */
    uint32_t notify;                /* counts what TIDE_VMM_FD_NOTIFY was rung for */
    uint64_t fence_given_bytes;     /* given_bytes when it was carried out */
    /* since the device exists */
    uint64_t gives;                 /* ranges given, after merging neighbours */
    uint64_t takes;                 /* ranges taken back */
    uint64_t gave_bytes;
    uint64_t took_bytes;
    uint64_t discard_ns;            /* time spent in madvise for gives */
    uint64_t reports;               /* ranges reported free */
    uint64_t reported_bytes;
    uint64_t refused;               /* ranges refused or failed */
    uint64_t reserved[15];
};
_Static_assert(sizeof(struct tide_counters) == 240, "struct tide_counters");

/* What the controller has granted: it writes this before the guest sees it, and finds it here after a restart. */
#define TIDE_GRANT_VALID            0x1
#define TIDE_GRANT_RELEASED         0x2 /* the administrator took the VM out of management */

struct tide_grant {
    uint32_t seq;
    uint32_t flags;                 /* TIDE_GRANT_* */
    uint32_t generation;            /* the state generation published last, or about to be */
    uint32_t reserved0;
    uint64_t epoch;                 /* the device epoch that this belongs to */
    uint64_t ceiling;               /* granted, bytes */
    uint64_t charged;               /* what the ledger charges: >= ceiling while a fence is awaited */
    uint64_t target;
    uint64_t floor;
    uint64_t reserved[8];
};
_Static_assert(sizeof(struct tide_grant) == 120, "struct tide_grant");

#define TIDE_COUNTERS_SIZE      4096
#define TIDE_GRANT_OFFSET       2048

#endif
