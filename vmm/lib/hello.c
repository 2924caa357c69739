// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hello on the vmm socket: bytes and descriptors of a process that need not be a QEMU.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_tide.h>

#include "hello.h"

/* More than any machine has, and far from overflow. */
#define RAM_MAX	(1ULL << 48)

static void buffer_arm(struct memtide_hello_buffer *buffer)
{
	buffer->iov.iov_base = buffer->wire.bytes + buffer->filled;
	buffer->iov.iov_len = sizeof(buffer->wire) - buffer->filled;
	buffer->msg = (struct msghdr) {
		.msg_iov = &buffer->iov,
		.msg_iovlen = 1,
		.msg_control = buffer->control,
		.msg_controllen = sizeof(buffer->control),
	};
}

void memtide_hello_start(struct memtide_hello_buffer *buffer)
{
	buffer->filled = 0;
	buffer->nr_fds = 0;
	buffer_arm(buffer);
}

void memtide_hello_abandon(struct memtide_hello_buffer *buffer)
{
	for (unsigned int i = 0; i < buffer->nr_fds; i++)
		close(buffer->fd[i]);
	buffer->nr_fds = 0;
}

/* Keeps the descriptors that there is room for and closes the others.  Returns how many came. */
static unsigned int collect_message(struct memtide_hello_buffer *buffer, const struct cmsghdr *cmsg)
{
	unsigned int count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	int fd;

	for (unsigned int i = 0; i < count; i++) {
		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
		if (buffer->nr_fds < TIDE_VMM_FDS)
			buffer->fd[buffer->nr_fds++] = fd;
		else
			close(fd);
	}
	return count;
}

static int collect_fds(struct memtide_hello_buffer *buffer, struct memtide_errtext *errtext)
{
	unsigned int before = buffer->nr_fds, count = 0;
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(&buffer->msg); cmsg; cmsg = CMSG_NXTHDR(&buffer->msg, cmsg)) {
		if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
			count += collect_message(buffer, cmsg);
	}
	if (before + count > TIDE_VMM_FDS || buffer->msg.msg_flags & MSG_CTRUNC)
		return memtide_errtext_set(errtext, -EPROTO, "hello with more than %d descriptors", TIDE_VMM_FDS);
	return 0;
}

/* The fields by which a hello is known.  Returns the hello's size in bytes. */
static int check_frame(const struct tide_vmm_hello *hello, struct memtide_errtext *errtext)
{
	uint32_t version = le32toh(hello->version), size = le32toh(hello->size);

	if (le32toh(hello->magic) != TIDE_VMM_MAGIC)
		return memtide_errtext_set(errtext, -EPROTO, "not a virtio-tide device: its hello begins with %#x",
					   le32toh(hello->magic));
	if (version != TIDE_VMM_VERSION)
		return memtide_errtext_set(errtext, -EPROTO,
					   "hello of version %u, this controller knows %d: update the older one",
					   version, TIDE_VMM_VERSION);
	if (size < sizeof(*hello) || size > MEMTIDE_HELLO_MAX)
		return memtide_errtext_set(errtext, -EPROTO, "hello of %u bytes, out of range %zu to %d", size,
					   sizeof(*hello), MEMTIDE_HELLO_MAX);
	return size;
}

static int check_name(const char *name, struct memtide_errtext *errtext)
{
	size_t length = strnlen(name, TIDE_VMM_NAME_SIZE);

	if (length == TIDE_VMM_NAME_SIZE)
		return memtide_errtext_set(errtext, -EPROTO, "hello with a name longer than %d bytes",
					   TIDE_VMM_NAME_SIZE - 1);
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
			return memtide_errtext_set(errtext, -EPROTO, "hello with a control character in the name");
	}
	return 0;
}

static int check_hello(const struct memtide_hello_buffer *buffer, struct memtide_errtext *errtext)
{
	const struct tide_vmm_hello *hello = &buffer->wire.hello;
	uint64_t ram_bytes = le64toh(hello->ram_bytes);
	uint64_t state_bytes = le64toh(hello->state_bytes), counters_bytes = le64toh(hello->counters_bytes);

	if (buffer->nr_fds != TIDE_VMM_FDS || le32toh(hello->fds) != TIDE_VMM_FDS)
		return memtide_errtext_set(errtext, -EPROTO, "hello with %u descriptors that announces %u, not %d",
					   buffer->nr_fds, le32toh(hello->fds), TIDE_VMM_FDS);
	if (!ram_bytes || ram_bytes > RAM_MAX || ram_bytes % VIRTIO_TIDE_PAGE_SIZE)
		return memtide_errtext_set(errtext, -EPROTO, "hello of a VM with %" PRIu64 " bytes of RAM",
					   ram_bytes);
	if (le32toh(hello->kind) >= TIDE_VMM_KINDS)
		return memtide_errtext_set(errtext, -EPROTO,
					   "hello of kind %u, this controller knows those below %d: update it",
					   le32toh(hello->kind), TIDE_VMM_KINDS);
	if (state_bytes != VIRTIO_TIDE_STATE_SIZE || counters_bytes != TIDE_COUNTERS_SIZE)
		return memtide_errtext_set(errtext, -EPROTO, "hello with regions of %" PRIu64 " and %" PRIu64
					   " bytes instead of %d and %d", state_bytes, counters_bytes,
					   VIRTIO_TIDE_STATE_SIZE, TIDE_COUNTERS_SIZE);
	return check_name(hello->name, errtext);
}

static void take_hello(struct memtide_hello_buffer *buffer, struct memtide_hello *ret_hello)
{
	const struct tide_vmm_hello *wire = &buffer->wire.hello;

	*ret_hello = (struct memtide_hello) {
		.ram_bytes = le64toh(wire->ram_bytes), .kind = (enum tide_vmm_kind)le32toh(wire->kind),
	};
	memcpy(ret_hello->uuid, wire->uuid, sizeof(ret_hello->uuid));
	for (size_t i = 0; i < sizeof(ret_hello->uuid); i++)
		ret_hello->has_uuid |= ret_hello->uuid[i] != 0;
	memcpy(ret_hello->name, wire->name, strlen(wire->name));
	memcpy(ret_hello->fd, buffer->fd, sizeof(ret_hello->fd));
	buffer->nr_fds = 0;
}

/* Returns 0 if the hello is complete and good, -EAGAIN if it is good so far. */
static int buffer_check(struct memtide_hello_buffer *buffer, ssize_t result, struct memtide_errtext *errtext)
{
	const size_t frame = offsetof(struct tide_vmm_hello, fds);
	int r, size;

	if (result < 0)
		return memtide_errtext_set(errtext, result, "no hello: %s", strerror(-result));
	r = collect_fds(buffer, errtext);
	if (r < 0)
		return r;
	if (!result)
		return memtide_errtext_set(errtext, -ECONNRESET, "hung up after %zu bytes of hello",
					   buffer->filled);
	buffer->filled += result;
	if (buffer->filled < frame)
		return -EAGAIN;
	size = check_frame(&buffer->wire.hello, errtext);
	if (size < 0)
		return size;
	if (buffer->filled < (size_t)size)
		return -EAGAIN;
	if (buffer->filled > (size_t)size)
		return memtide_errtext_set(errtext, -EPROTO, "%zu bytes came where a hello of %d was announced",
					   buffer->filled, size);
	return check_hello(buffer, errtext);
}

int memtide_hello_feed(struct memtide_hello_buffer *buffer, ssize_t result, struct memtide_hello *ret_hello,
		       struct memtide_errtext *errtext)
{
	int r = -EAGAIN;

	if (result != -EINTR && result != -EAGAIN)
		r = buffer_check(buffer, result, errtext);
	if (r == -EAGAIN)
		buffer_arm(buffer);
	else if (r < 0)
		memtide_hello_abandon(buffer);
	else
		take_hello(buffer, ret_hello);
	return r;
}

void memtide_hello_close(struct memtide_hello *hello)
{
	for (int i = 0; i < TIDE_VMM_FDS; i++) {
		if (hello->fd[i] >= 0)
			close(hello->fd[i]);
		hello->fd[i] = -1;
	}
}

void memtide_answer_fill(struct tide_vmm_answer *ret_answer, int error, const char *text)
{
	*ret_answer = (struct tide_vmm_answer) {
		.magic = htole32(TIDE_VMM_MAGIC),
		.status = htole32(-error),
	};
	if (text)
		snprintf(ret_answer->text, sizeof(ret_answer->text), "%s", text);
}

const char *memtide_uuid_format(const uint8_t uuid[static 16], char ret_text[static MEMTIDE_UUID_TEXT])
{
	char *text = ret_text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		text += sprintf(text, "%02x", uuid[i]);
	}
	return ret_text;
}

static int send_rest(int socket, const uint8_t *bytes, size_t size)
{
	ssize_t n;

	while (size) {
		n = send(socket, bytes, size, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		size -= n;
	}
	return 0;
}

int memtide_hello_send(int socket, const struct memtide_hello *hello)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(hello->fd))] = {};
	struct tide_vmm_hello wire = {
		.magic = htole32(TIDE_VMM_MAGIC),
		.version = htole32(TIDE_VMM_VERSION),
		.size = htole32(sizeof(wire)),
		.fds = htole32(TIDE_VMM_FDS),
		.ram_bytes = htole64(hello->ram_bytes),
		.state_bytes = htole64(VIRTIO_TIDE_STATE_SIZE),
		.counters_bytes = htole64(TIDE_COUNTERS_SIZE),
		.kind = htole32(hello->kind),
	};
	struct iovec iov = { .iov_base = &wire, .iov_len = sizeof(wire) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	ssize_t n;

	memcpy(wire.uuid, hello->uuid, sizeof(wire.uuid));
	memcpy(wire.name, hello->name, sizeof(wire.name));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(hello->fd));
	memcpy(CMSG_DATA(cmsg), hello->fd, sizeof(hello->fd));
	do {
		n = sendmsg(socket, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return send_rest(socket, (const uint8_t *)&wire + n, sizeof(wire) - n);
}

int memtide_answer_wait(int socket, struct memtide_errtext *errtext)
{
	struct tide_vmm_answer answer;
	size_t filled = 0;
	ssize_t n;

	while (filled < sizeof(answer)) {
		n = recv(socket, (char *)&answer + filled, sizeof(answer) - filled, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return memtide_errtext_set(errtext, -errno, "no answer: %s", strerror(errno));
		if (!n)
			return memtide_errtext_set(errtext, -ECONNRESET, "the controller hung up");
		filled += n;
	}
	answer.text[sizeof(answer.text) - 1] = '\0';
	if (le32toh(answer.magic) != TIDE_VMM_MAGIC || le32toh(answer.status) > 4095)
		return memtide_errtext_set(errtext, -EPROTO, "not a controller's answer");
	return memtide_errtext_set(errtext, -(int)le32toh(answer.status), "%s", answer.text);
}

int memtide_hello_wait(int socket, struct memtide_hello *ret_hello, struct memtide_errtext *errtext)
{
	struct memtide_hello_buffer buffer;
	ssize_t n;
	int r;

	memtide_hello_start(&buffer);
	do {
		n = recvmsg(socket, &buffer.msg, MEMTIDE_HELLO_FLAGS);
		r = memtide_hello_feed(&buffer, n < 0 ? -errno : n, ret_hello, errtext);
	} while (r == -EAGAIN);
	return r;
}
