/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hello on the vmm socket: what a device presents when it connects, and the controller's answer.  Here the
 * bytes and descriptors are checked for form; whether the VM is who it says is the caller's to find out.
 *
 * Written for a completion loop: the caller receives into a struct memtide_hello_buffer by whatever means and
 * feeds what came.  No function here blocks but those named _wait, which are for the other side and for tests.
 */
#ifndef MEMTIDE_HELLO_H
#define MEMTIDE_HELLO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <hw/virtio/tide-vmm.h>

#include "errtext.h"

#define MEMTIDE_UUID_TEXT	37	/* room for a UUID as text and its end */
#define MEMTIDE_HELLO_MAX	1024	/* a later device's hello may be longer than ours, up to this */
#define MEMTIDE_HELLO_FLAGS	MSG_CMSG_CLOEXEC	/* flags to receive with */

/* A hello, checked.  It owns its descriptors. */
struct memtide_hello {
	uint8_t uuid[16];		/* zero if there is none */
	bool has_uuid;
	char name[TIDE_VMM_NAME_SIZE];	/* printable; empty if there is none */
	uint64_t ram_bytes;		/* not zero, a multiple of VIRTIO_TIDE_PAGE_SIZE */
	enum tide_vmm_kind kind;
	int fd[TIDE_VMM_FDS];		/* by enum tide_vmm_fd, close-on-exec; -1: none or taken over */
};

/* Must stay in place while a receive is under way. */
struct memtide_hello_buffer {
	struct msghdr msg;		/* what to receive with */
	/* private */
	struct iovec iov;
	size_t filled;
	int fd[TIDE_VMM_FDS];
	unsigned int nr_fds;
	union {
		struct tide_vmm_hello hello;
		uint8_t bytes[MEMTIDE_HELLO_MAX];
	} wire;
	/* room for more descriptors than are wanted, so that too many are seen as such, and for one credential */
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(16 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

/* memtide_hello_start() - make @buffer ready for the first receive */
void memtide_hello_start(struct memtide_hello_buffer *buffer);

/**
 * memtide_hello_feed() - take what a recvmsg() with @buffer->msg and MEMTIDE_HELLO_FLAGS brought
 * @buffer: as it was received into
 * @result: bytes received, 0 at the end of the stream, or a negative errno
 * @ret_hello: the hello, once it is complete; untouched otherwise
 * @errtext: words for an error, may be NULL
 *
 * Returns 0 when @ret_hello is complete; -EAGAIN: receive once more with @buffer->msg; -ECONNRESET: hung up
 * early; -EPROTO: not a hello, or one that is wrong; @result if that is an error.  On all but 0 and -EAGAIN
 * every descriptor that came has been closed and @buffer is done with.
 */
int memtide_hello_feed(struct memtide_hello_buffer *buffer, ssize_t result, struct memtide_hello *ret_hello,
		       struct memtide_errtext *errtext);

/* memtide_hello_abandon() - close what came so far; for a connection that ends between two receives */
void memtide_hello_abandon(struct memtide_hello_buffer *buffer);

/* memtide_hello_close() - close the descriptors that are still in @hello */
void memtide_hello_close(struct memtide_hello *hello);

/**
 * memtide_answer_fill() - write an answer
 * @ret_answer: ready to be sent as it is
 * @error: 0: managed; else a negative errno: refused
 * @text: for people; cut to TIDE_VMM_TEXT_SIZE; NULL for none
 */
void memtide_answer_fill(struct tide_vmm_answer *ret_answer, int error, const char *text);

/* memtide_uuid_format() - as in RFC 4122, in small letters; returns @ret_text */
const char *memtide_uuid_format(const uint8_t uuid[static 16], char ret_text[static MEMTIDE_UUID_TEXT]);

/*
 * The device's side, for stand-ins and tests.
 */

/**
 * memtide_hello_send() - present a VM
 * @socket: connected to the vmm socket
 * @hello: its descriptors stay the caller's; all of them must be valid
 *
 * Returns 0 or a negative errno.
 */
int memtide_hello_send(int socket, const struct memtide_hello *hello);

/**
 * memtide_answer_wait() - wait for the controller's answer
 * @socket: the hello was sent on it
 * @errtext: the controller's words, also when it agrees; may be NULL
 *
 * Returns 0: managed; -ECONNRESET, -EPROTO; else what the controller refused with, as a negative errno.
 */
int memtide_answer_wait(int socket, struct memtide_errtext *errtext);

/* memtide_hello_wait() - memtide_hello_feed() in a loop that blocks on @socket */
int memtide_hello_wait(int socket, struct memtide_hello *ret_hello, struct memtide_errtext *errtext);

#endif /* MEMTIDE_HELLO_H */
