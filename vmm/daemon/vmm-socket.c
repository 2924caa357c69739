// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A device says hello and gets an answer.  Who it is the kernel says: the process behind the socket, alive or not.
 * A process has one VM, and a VM, by its uuid, has one process for as long as that lives.  A stand-in is somebody else's
 * process: it has to be root's, and the VM's process is the one that libvirt's hook has told of.
 */
#include "vmm-socket.h"

#include "hello.h"
#include "loop.h"
#include "manager.h"
#include "socket.h"
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A device says all it has to say in its first message. */
#define HELLO_NS	(5 * NSEC_PER_SEC)
/*
 * Connections that have not said hello yet.  Others wait in the backlog until one of them has, or has taken too
 * long.
 */
#define MAX_GREETING	64
#define FULL_NS		(10 * NSEC_PER_MSEC)
/* VMs in one turn: each takes some system calls, and others want to be served as well. */
#define MAX_ACCEPTED	32
/* Out of descriptors or memory: connections wait in the backlog. */
#define RETRY_NS	NSEC_PER_SEC
/* Users of KVM are who may run a VM. */
#define VMM_GROUP	"kvm"

struct greeting {
	struct loop_source source;	/* first; fd -1: unused */
	struct vmm_server *server;
	struct socket_peer peer;
	uint64_t until_ns;
	struct memtide_hello_buffer buffer;
};

struct vmm_server {
	struct loop_source source;	/* first */
	struct manager *manager;
	struct socket_listener listener;
	struct loop_timer timer;	/* ends greetings that take too long, and accepts again */
	bool again;
	struct greeting greeting[MAX_GREETING];
};

static void greeting_end(struct greeting *greeting, bool close_socket)
{
	loop_remove(greeting->server->manager->loop, &greeting->source);
	if (close_socket)
		close(greeting->source.fd);
	greeting->source.fd = -1;
}

static void answer(int fd, int error, const char *text)
{
	struct tide_vmm_answer message;

	memtide_answer_fill(&message, error, text);
	/* A fresh socket has room for it; who does not read it does not get it. */
	if (send(fd, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

static int is_eventfd(int fd, const char *what, struct memtide_errtext *errtext)
{
	char path[64], target[64];
	ssize_t n;
	int flags;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = '\0';
	if (strcmp(target, "anon_inode:[eventfd]"))
		return memtide_errtext_set(errtext, -EINVAL, "the %s is no eventfd", what);
	/* Writing to it must never block us. */
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
		return memtide_errtext_set(errtext, -errno, "the %s cannot be made non-blocking", what);
	return 0;
}

static int check_descriptors(const struct memtide_hello *hello, struct memtide_errtext *errtext)
{
	int r;

	r = is_eventfd(hello->fd[TIDE_VMM_FD_DOORBELL], "doorbell", errtext);
	if (r >= 0)
		r = is_eventfd(hello->fd[TIDE_VMM_FD_CALL], "call descriptor", errtext);
	if (r >= 0)
		r = is_eventfd(hello->fd[TIDE_VMM_FD_NOTIFY], "notify descriptor", errtext);
	return r;
}

static bool same_device(const struct vm *vm, const struct memtide_hello *hello)
{
	struct stat st;

	return !fstat(hello->fd[TIDE_VMM_FD_STATE], &st) && st.st_ino == vm->state_inode &&
	       hello->ram_bytes == vm->ledger.terms.ram;
}

static bool same_stand_in(const struct vm *vm, const struct memtide_hello *hello)
{
	return vm->kind != TIDE_VMM_DEVICE && vm->kind == hello->kind && hello->ram_bytes == vm->ledger.terms.ram;
}

/* Those that died in this very turn are still in the table, and their process ids may be in use again. */
static void bury(struct manager *manager, const struct memtide_hello *hello, pid_t pid)
{
	for (uint32_t i = 0; i < manager->nr_vms;) {
		struct vm *vm = manager->vms[i];
		struct pollfd process = { .fd = vm->process.fd, .events = POLLIN };

		if ((vm->pid == pid || (hello->has_uuid && !memcmp(vm->uuid, hello->uuid, sizeof(vm->uuid)))) &&
		    poll(&process, 1, 0) == 1)
			vm_free(vm);
		else
			i++;
	}
}

/*
 * Who already is what @hello says it is?  @ret_same: the same device again, or one that takes an earlier one's
 * place in its process.  -EEXIST: somebody else.
 */
static int find_claimed(struct manager *manager, const struct memtide_hello *hello, pid_t pid,
			struct vm **ret_same, struct memtide_errtext *errtext)
{
	bool many = manager->options.same_process;

	for (uint32_t i = 0; i < manager->nr_vms; i++) {
		struct vm *vm = manager->vms[i];
		bool same_uuid = vm->has_uuid == hello->has_uuid &&
				 !memcmp(vm->uuid, hello->uuid, sizeof(vm->uuid));
		char text[MEMTIDE_UUID_TEXT];

		if (vm->pid != pid && hello->has_uuid && same_uuid)
			return memtide_errtext_set(errtext, -EEXIST,
						   "uuid %s belongs to %s, process %d, which lives", vm->uuid_text,
						   vm->name, (int)vm->pid);
		if (vm->pid != pid || (many && !same_uuid))
			continue;
		if (!same_uuid)
			return memtide_errtext_set(errtext, -EEXIST,
						   "process %d is %s already and cannot be %s as well", (int)pid,
						   vm->uuid_text, memtide_uuid_format(hello->uuid, text));
		if (!same_device(vm, hello) && vm->socket.fd >= 0)
			return memtide_errtext_set(errtext, -EEXIST,
						   "process %d has a tide device already: one for each VM",
						   (int)pid);
		*ret_same = vm;
		return 0;
	}
	*ret_same = NULL;
	return 0;
}

/* A VM speaks for itself only, whosever process it is. */
static bool is_vm(const struct manager *manager, pid_t pid)
{
	for (uint32_t i = 0; i < manager->nr_vms; i++)
		if (manager->vms[i]->pid == pid)
			return true;
	for (const struct domain *domain = manager->domains.first; domain; domain = domain->next)
		if (domain->pid == pid)
			return true;
	return false;
}

/* The VM's process: the peer, or the one of the domain that a stand-in speaks for. */
static int find_process(const struct greeting *greeting, const struct memtide_hello *hello,
			const struct domain **ret_domain, pid_t *ret_pid, struct memtide_errtext *errtext)
{
	const struct manager *manager = greeting->server->manager;
	char uuid[MEMTIDE_UUID_TEXT];
	const struct domain *domain;

	*ret_domain = NULL;
	*ret_pid = greeting->peer.pid;
	if (hello->kind == TIDE_VMM_DEVICE)
		return 0;
	if (greeting->peer.uid && greeting->peer.uid != geteuid())
		return memtide_errtext_set(errtext, -EPERM, "user %u may not stand in for VMs",
					   (unsigned int)greeting->peer.uid);
	if (is_vm(manager, greeting->peer.pid))
		return memtide_errtext_set(errtext, -EPERM, "process %d is a VM, and may not stand in for others",
					   (int)greeting->peer.pid);
	domain = hello->has_uuid ? domain_find(manager, memtide_uuid_format(hello->uuid, uuid)) : NULL;
	if (!domain || domain->process.fd < 0)
		return memtide_errtext_set(errtext, -ESRCH, "no domain of this UUID is known to run");
	*ret_domain = domain;
	*ret_pid = domain->pid;
	return 0;
}

/* @domain: of which the peer is a stand-in, or NULL. */
static int open_process(const struct greeting *greeting, const struct domain *domain)
{
	int pidfd;

	if (!domain)
		return socket_peer_pidfd(greeting->source.fd, greeting->peer.pid);
	pidfd = fcntl(domain->process.fd, F_DUPFD_CLOEXEC, 0);
	return pidfd < 0 ? -errno : pidfd;
}

/* Of a VM that is there already: the device has connected again, or its stand-in was started again. */
static int take_back(struct greeting *greeting, struct memtide_hello *hello, struct vm *vm,
		     struct memtide_errtext *errtext)
{
	int fd = greeting->source.fd, r = 0;

	loop_remove(greeting->server->manager->loop, &greeting->source);
	if (same_device(vm, hello)) {
		memtide_hello_close(hello);
		vm_reconnected(vm, fd);
	} else {
		r = vm_stand_in_again(vm, hello, fd, errtext);
	}
	if (r < 0)
		return r;
	greeting->source.fd = -1;
	manager_note(vm->manager, DECISION_VM, LOG_LEVEL_INFO, vm, "connected again");
	return 0;
}

/* @before: a device that was unplugged, whose place another one takes; or NULL. */
static int take_new(struct greeting *greeting, struct memtide_hello *hello, const struct domain *domain, pid_t pid,
		    struct vm *before, struct memtide_errtext *errtext)
{
	struct manager *manager = greeting->server->manager;
	bool replaces = before, released = before && before->ledger.released;
	int pidfd = open_process(greeting, domain), r;
	struct vm *vm;

	if (pidfd < 0)
		return memtide_errtext_set(errtext, pidfd, "process %d is gone", (int)pid);
	loop_remove(manager->loop, &greeting->source);
	if (before)
		vm_leave(before);
	r = vm_new(manager, hello, pid, pidfd, greeting->source.fd, &vm, errtext);
	if (r < 0)
		close(pidfd);
	else
		greeting->source.fd = -1;
	if (!r && released && !vm->stepped_back[0] && vm_release(vm, true) < 0)
		manager_note(manager, DECISION_VM, LOG_LEVEL_WARNING, vm,
			     "it was released before its device was another one: there is no room for that now");
	if (replaces)
		manager_room_changed(manager);
	return r;
}

static int take_in(struct greeting *greeting, struct memtide_hello *hello, struct memtide_errtext *errtext)
{
	struct manager *manager = greeting->server->manager;
	const struct domain *domain;
	struct vm *vm = NULL;
	pid_t pid;
	int r;

	r = check_descriptors(hello, errtext);
	if (r >= 0)
		r = find_process(greeting, hello, &domain, &pid, errtext);
	if (r < 0)
		return r;
	if (!manager->options.same_process)
		bury(manager, hello, pid);
	r = find_claimed(manager, hello, pid, &vm, errtext);
	if (r < 0)
		return r;
	if (vm && (same_device(vm, hello) || same_stand_in(vm, hello)))
		return take_back(greeting, hello, vm, errtext);
	return take_new(greeting, hello, domain, pid, vm, errtext);
}

static void greeting_complete(struct greeting *greeting, struct memtide_hello *hello)
{
	struct manager *manager = greeting->server->manager;
	struct memtide_errtext errtext = { .text = "" };
	int fd = greeting->source.fd;
	int r;

	r = take_in(greeting, hello, &errtext);
	if (r < 0) {
		manager_note(manager, DECISION_ERROR, LOG_LEVEL_WARNING, NULL,
			     "process %d (\"%s\") is refused: %s", (int)greeting->peer.pid, hello->name,
			     errtext.text);
		memtide_hello_close(hello);
		answer(fd, r, errtext.text);
		greeting_end(greeting, true);
		return;
	}
	answer(fd, 0, "");
}

static void greeting_ready(struct loop_source *source, uint32_t events)
{
	struct greeting *greeting = (struct greeting *)source;
	struct memtide_errtext errtext = { .text = "" };
	struct memtide_hello hello;
	ssize_t n;
	int r;

	do {
		n = recvmsg(source->fd, &greeting->buffer.msg, MEMTIDE_HELLO_FLAGS | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		r = memtide_hello_feed(&greeting->buffer, n < 0 ? -errno : n, &hello, &errtext);
	} while (r == -EAGAIN);
	if (!r) {
		greeting_complete(greeting, &hello);
		return;
	}
	if (r != -ECONNRESET) {
		manager_note(greeting->server->manager, DECISION_ERROR, LOG_LEVEL_WARNING, NULL,
			     "process %d is refused: %s", (int)greeting->peer.pid, errtext.text);
		answer(source->fd, r, errtext.text);
	}
	greeting_end(greeting, true);
}

static struct greeting *free_greeting(struct vmm_server *server)
{
	for (int i = 0; i < MAX_GREETING; i++)
		if (server->greeting[i].source.fd < 0)
			return &server->greeting[i];
	return NULL;
}

static void greeting_begin(struct greeting *greeting, int fd, const struct socket_peer *peer)
{
	struct vmm_server *server = greeting->server;
	struct loop *loop = server->manager->loop;

	greeting->peer = *peer;
	greeting->until_ns = loop_now(loop) + HELLO_NS;
	greeting->source.fd = fd;
	greeting->source.ready = greeting_ready;
	memtide_hello_start(&greeting->buffer);
	if (loop_add(loop, &greeting->source, POLLIN | POLLRDHUP) < 0) {
		greeting_end(greeting, true);
		return;
	}
	if (!loop_timer_is_set(&server->timer))
		loop_timer_set(loop, &server->timer, greeting->until_ns);
	/* Most have said hello by now: so a thousand that come back at once do not queue up. */
	greeting_ready(&greeting->source, POLLIN);
}

static void accept_again(struct vmm_server *server, uint64_t in_ns)
{
	server->again = true;
	loop_timer_set(server->manager->loop, &server->timer, loop_now(server->manager->loop) + in_ns);
}

static void accept_ready(struct loop_source *source, uint32_t events)
{
	struct vmm_server *server = (struct vmm_server *)source;
	struct greeting *greeting;
	struct socket_peer peer;
	int fd;

	for (int i = 0; i < MAX_ACCEPTED; i++) {
		greeting = free_greeting(server);
		if (!greeting) {
			accept_again(server, FULL_NS);
			return;
		}
		fd = socket_accept(&server->listener, &peer);
		if (fd == -EAGAIN)
			return;
		if (fd == -ECONNABORTED || fd == -EINTR)
			continue;
		if (fd < 0) {
			manager_note(server->manager, DECISION_ERROR, LOG_LEVEL_ERROR, NULL,
				     "cannot accept a VM: %s", strerror(-fd));
			accept_again(server, RETRY_NS);
			return;
		}
		greeting_begin(greeting, fd, &peer);
	}
	accept_again(server, 0);
}

static void server_expired(struct loop_timer *timer)
{
	struct vmm_server *server = (struct vmm_server *)((char *)timer - offsetof(struct vmm_server, timer));
	uint64_t now = loop_now(server->manager->loop), next = UINT64_MAX;

	for (int i = 0; i < MAX_GREETING; i++) {
		struct greeting *greeting = &server->greeting[i];

		if (greeting->source.fd < 0)
			continue;
		if (greeting->until_ns <= now) {
			memtide_hello_abandon(&greeting->buffer);
			greeting_end(greeting, true);
		} else if (greeting->until_ns < next) {
			next = greeting->until_ns;
		}
	}
	if (next != UINT64_MAX)
		loop_timer_set(server->manager->loop, timer, next);
	if (server->again) {
		server->again = false;
		accept_ready(&server->source, POLLIN);
	}
}

int vmm_server_new(struct manager *manager, const char *path, struct vmm_server **ret,
		   struct memtide_errtext *errtext)
{
	struct vmm_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory");
	server->manager = manager;
	for (int i = 0; i < MAX_GREETING; i++) {
		server->greeting[i].server = server;
		server->greeting[i].source.fd = -1;
	}
	r = socket_listen(path, 0660, geteuid() ? NULL : VMM_GROUP, &server->listener, errtext);
	if (r < 0) {
		free(server);
		return r;
	}
	server->source.fd = server->listener.fd;
	server->source.ready = accept_ready;
	r = loop_timer_register(manager->loop, &server->timer, server_expired);
	if (r >= 0)
		r = loop_add(manager->loop, &server->source, POLLIN);
	if (r < 0) {
		vmm_server_free(server);
		return memtide_errtext_set(errtext, r, "cannot listen on %s: %s", path, strerror(-r));
	}
	*ret = server;
	return 0;
}

void vmm_server_free(struct vmm_server *server)
{
	if (!server)
		return;
	for (int i = 0; i < MAX_GREETING; i++) {
		if (server->greeting[i].source.fd < 0)
			continue;
		memtide_hello_abandon(&server->greeting[i].buffer);
		greeting_end(&server->greeting[i], true);
	}
	loop_timer_unregister(server->manager->loop, &server->timer);
	loop_remove(server->manager->loop, &server->source);
	socket_unlisten(&server->listener);
	free(server);
}
