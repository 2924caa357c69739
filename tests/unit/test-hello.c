// SPDX-License-Identifier: GPL-2.0-or-later
/* Hello: a good one arrives whole, a bad one is refused in words, and no descriptor is ever left open. */
#include "unit.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/virtio_tide.h>

#include "hello.h"

static struct memtide_errtext errtext;
static int sockets[2];		/* the device's end, the controller's end */
static int spare;		/* a descriptor to send, as often as needed */
static unsigned int open_before;

static unsigned int count_open(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int setup(void **state)
{
	spare = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (spare < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
		return -1;
	open_before = count_open();
	return 0;
}

static int teardown(void **state)
{
	unsigned int count = count_open();

	if (count != open_before)
		print_error("%u descriptors open instead of %u\n", count, open_before);
	close(spare);
	close(sockets[0]);
	close(sockets[1]);
	return count == open_before ? 0 : -1;
}

static struct tide_vmm_hello good_hello(void)
{
	struct tide_vmm_hello hello = {
		.magic = htole32(TIDE_VMM_MAGIC),
		.version = htole32(TIDE_VMM_VERSION),
		.size = htole32(sizeof(hello)),
		.fds = htole32(TIDE_VMM_FDS),
		.uuid = { 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 0xff },
		.name = "web",
		.ram_bytes = htole64(2 * GIB),
		.state_bytes = htole64(VIRTIO_TIDE_STATE_SIZE),
		.counters_bytes = htole64(TIDE_COUNTERS_SIZE),
	};

	return hello;
}

static void send_bytes(const void *bytes, size_t size, unsigned int fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = {};
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (fds) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(fds * sizeof(int));
		for (unsigned int i = 0; i < fds; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &spare, sizeof(int));
	}
	assert_int_equal(sendmsg(sockets[0], &msg, 0), size);
}

/* The controller's end sees the end of the stream after what was sent. */
static int receive(struct memtide_hello *ret_hello)
{
	shutdown(sockets[0], SHUT_WR);
	errtext.text[0] = '\0';
	return memtide_hello_wait(sockets[1], ret_hello, &errtext);
}

static void assert_refused(const struct tide_vmm_hello *hello, size_t size, unsigned int fds, int error,
			   const char *words)
{
	struct memtide_hello got;

	memset(&got, 0x5a, sizeof(got));
	send_bytes(hello, size, fds);
	assert_int_equal(receive(&got), error);
	if (!strstr(errtext.text, words))
		fail_msg("\"%s\" does not say \"%s\"", errtext.text, words);
	assert_int_equal(got.uuid[0], 0x5a);
}

static void test_arrives(void **state)
{
	struct memtide_hello sent = { .name = "db", .ram_bytes = 4 * GIB, .uuid = { 1 } }, got;
	struct tide_vmm_answer answer;
	char uuid[MEMTIDE_UUID_TEXT];

	for (int i = 0; i < TIDE_VMM_FDS; i++)
		sent.fd[i] = spare;
	assert_int_equal(memtide_hello_send(sockets[0], &sent), 0);
	assert_int_equal(memtide_hello_wait(sockets[1], &got, &errtext), 0);
	assert_string_equal(got.name, "db");
	assert_int_equal(got.ram_bytes, 4 * GIB);
	assert_true(got.has_uuid);
	assert_string_equal(memtide_uuid_format(got.uuid, uuid), "01000000-0000-0000-0000-000000000000");
	for (int i = 0; i < TIDE_VMM_FDS; i++)
		assert_int_equal(fcntl(got.fd[i], F_GETFD), FD_CLOEXEC);
	memtide_hello_close(&got);
	memtide_hello_close(&got);

	memtide_answer_fill(&answer, -EDQUOT, "no room");
	assert_int_equal(send(sockets[1], &answer, sizeof(answer), 0), sizeof(answer));
	assert_int_equal(memtide_answer_wait(sockets[0], &errtext), -EDQUOT);
	assert_string_equal(errtext.text, "no room");
	memtide_answer_fill(&answer, 0, NULL);
	assert_int_equal(send(sockets[1], &answer, sizeof(answer), 0), sizeof(answer));
	assert_int_equal(memtide_answer_wait(sockets[0], &errtext), 0);
	shutdown(sockets[1], SHUT_WR);
	assert_int_equal(memtide_answer_wait(sockets[0], &errtext), -ECONNRESET);
}

static void test_no_uuid_no_name(void **state)
{
	struct tide_vmm_hello hello = good_hello();
	struct memtide_hello got;

	memset(hello.uuid, 0, sizeof(hello.uuid));
	memset(hello.name, 0, sizeof(hello.name));
	send_bytes(&hello, sizeof(hello), TIDE_VMM_FDS);
	assert_int_equal(receive(&got), 0);
	assert_false(got.has_uuid);
	assert_string_equal(got.name, "");
	memtide_hello_close(&got);
}

/* A stream may come in any pieces. */
static void test_byte_by_byte(void **state)
{
	struct tide_vmm_hello hello = good_hello();
	struct memtide_hello_buffer buffer;
	struct memtide_hello got;
	ssize_t n;

	memtide_hello_start(&buffer);
	assert_int_equal(memtide_hello_feed(&buffer, -EINTR, &got, &errtext), -EAGAIN);
	for (size_t i = 0; i < sizeof(hello); i++) {
		send_bytes((char *)&hello + i, 1, i ? 0 : TIDE_VMM_FDS);
		n = recvmsg(sockets[1], &buffer.msg, MEMTIDE_HELLO_FLAGS);
		assert_int_equal(n, 1);
		assert_int_equal(memtide_hello_feed(&buffer, n, &got, &errtext),
				 i + 1 == sizeof(hello) ? 0 : -EAGAIN);
	}
	assert_string_equal(got.name, "web");
	memtide_hello_close(&got);
}

/* A device of a later version of QEMU says more than this controller knows. */
static void test_longer(void **state)
{
	struct {
		struct tide_vmm_hello hello;
		char more[100];
	} longer = { .hello = good_hello() };
	struct memtide_hello got;

	longer.hello.size = htole32(sizeof(longer));
	send_bytes(&longer, sizeof(longer), TIDE_VMM_FDS);
	assert_int_equal(receive(&got), 0);
	assert_string_equal(got.name, "web");
	memtide_hello_close(&got);
}

static void test_hangs_up(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	assert_refused(&hello, sizeof(hello) - 1, TIDE_VMM_FDS, -ECONNRESET, "hung up after 151 bytes");
}

static void test_says_nothing(void **state)
{
	struct memtide_hello got;

	assert_int_equal(receive(&got), -ECONNRESET);
}

/* The connection ends between two receives. */
static void test_abandoned(void **state)
{
	struct tide_vmm_hello hello = good_hello();
	struct memtide_hello_buffer buffer;
	struct memtide_hello got;
	ssize_t n;

	send_bytes(&hello, 100, TIDE_VMM_FDS);
	memtide_hello_start(&buffer);
	n = recvmsg(sockets[1], &buffer.msg, MEMTIDE_HELLO_FLAGS);
	assert_int_equal(memtide_hello_feed(&buffer, n, &got, NULL), -EAGAIN);
	memtide_hello_abandon(&buffer);
	memtide_hello_abandon(&buffer);
}

static void test_no_fds(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	assert_refused(&hello, sizeof(hello), 0, -EPROTO, "0 descriptors");
}

static void test_few_fds(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	assert_refused(&hello, sizeof(hello), TIDE_VMM_FDS - 1, -EPROTO, "4 descriptors");
}

static void test_many_fds(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	assert_refused(&hello, sizeof(hello), TIDE_VMM_FDS + 1, -EPROTO, "more than 5 descriptors");
}

/* More than there is room for in the control buffer. */
static void test_very_many_fds(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	assert_refused(&hello, sizeof(hello), 64, -EPROTO, "more than 5 descriptors");
}

/* A second message brings more of them. */
static void test_fds_twice(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	send_bytes(&hello, 100, TIDE_VMM_FDS);
	assert_refused((struct tide_vmm_hello *)((char *)&hello + 100), sizeof(hello) - 100, 1, -EPROTO,
		       "more than 5 descriptors");
}

static void test_wrong_count(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	hello.fds = htole32(TIDE_VMM_FDS + 1);
	assert_refused(&hello, sizeof(hello), TIDE_VMM_FDS, -EPROTO, "announces 6");
}

static void test_wrong_magic(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	hello.magic = ~hello.magic;
	assert_refused(&hello, sizeof(hello), TIDE_VMM_FDS, -EPROTO, "not a virtio-tide device");
}

static void test_wrong_version(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	hello.version = htole32(9);
	assert_refused(&hello, sizeof(hello), TIDE_VMM_FDS, -EPROTO, "version 9");
}

static void test_small(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	hello.size = htole32(sizeof(hello) - 8);
	assert_refused(&hello, sizeof(hello) - 8, TIDE_VMM_FDS, -EPROTO, "144 bytes");
}

static void test_huge(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	hello.size = htole32(UINT32_MAX);
	assert_refused(&hello, sizeof(hello), TIDE_VMM_FDS, -EPROTO, "out of range");
}

static void test_more_than_announced(void **state)
{
	struct tide_vmm_hello hello[2] = { good_hello(), good_hello() };

	assert_refused(hello, sizeof(hello), TIDE_VMM_FDS, -EPROTO, "304 bytes came");
}

static void test_name_without_end(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	memset(hello.name, 'x', sizeof(hello.name));
	assert_refused(&hello, sizeof(hello), TIDE_VMM_FDS, -EPROTO, "longer than 63");
}

/* It ends up in people's terminals. */
static void test_name_with_escape(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	strcpy(hello.name, "we\033[2Jb");
	assert_refused(&hello, sizeof(hello), TIDE_VMM_FDS, -EPROTO, "control character");
}

static void test_ram(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	hello.ram_bytes = htole64(2 * GIB + 1);
	assert_refused(&hello, sizeof(hello), TIDE_VMM_FDS, -EPROTO, "2147483649 bytes of RAM");
}

static void test_regions(void **state)
{
	struct tide_vmm_hello hello = good_hello();

	hello.state_bytes = htole64(UINT64_MAX);
	assert_refused(&hello, sizeof(hello), TIDE_VMM_FDS, -EPROTO, "instead of 131072 and 4096");
}

/* Random damage to a good hello, in random pieces with random descriptors: it is taken or refused, never kept. */
static void test_damaged(void **state)
{
	struct memtide_hello_buffer buffer;
	struct tide_vmm_hello hello;
	struct memtide_hello got;
	uint64_t seed = 9;
	size_t sent, piece;
	ssize_t n;
	int r;

	for (int round = 0; round < 5000; round++) {
		hello = good_hello();
		for (uint64_t i = unit_below(&seed, 4); i > 0; i--)
			((uint8_t *)&hello)[unit_below(&seed, sizeof(hello))] = unit_random(&seed);
		memtide_hello_start(&buffer);
		r = -EAGAIN;
		for (sent = 0; sent < sizeof(hello) && r == -EAGAIN; sent += piece) {
			piece = 1 + unit_below(&seed, sizeof(hello) - sent);
			send_bytes((char *)&hello + sent, piece,
				   unit_below(&seed, 4) ? sent ? 0 : TIDE_VMM_FDS : unit_below(&seed, 30));
			n = recvmsg(sockets[1], &buffer.msg, MEMTIDE_HELLO_FLAGS);
			assert_int_equal(n, piece);
			r = memtide_hello_feed(&buffer, n, &got, &errtext);
		}
		if (r == 0)
			memtide_hello_close(&got);
		else if (r == -EAGAIN)
			memtide_hello_abandon(&buffer);
		else
			assert_int_equal(r, -EPROTO);
		assert_int_equal(count_open(), open_before);
	}
}

#define hello_test(function)	cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		hello_test(test_arrives),
		hello_test(test_no_uuid_no_name),
		hello_test(test_byte_by_byte),
		hello_test(test_longer),
		hello_test(test_hangs_up),
		hello_test(test_says_nothing),
		hello_test(test_abandoned),
		hello_test(test_no_fds),
		hello_test(test_few_fds),
		hello_test(test_many_fds),
		hello_test(test_very_many_fds),
		hello_test(test_fds_twice),
		hello_test(test_wrong_count),
		hello_test(test_wrong_magic),
		hello_test(test_wrong_version),
		hello_test(test_small),
		hello_test(test_huge),
		hello_test(test_more_than_announced),
		hello_test(test_name_without_end),
		hello_test(test_name_with_escape),
		hello_test(test_ram),
		hello_test(test_regions),
		hello_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
