// SPDX-License-Identifier: GPL-2.0-or-later
/* See peer.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "connect.h"
#include "device-side.h"
#include "hello.h"
#include "peer.h"

#define RECONNECT_MS	5

/* The guest and its device, shared by both processes. */
struct model {
	pthread_mutex_t lock;
	struct memtide_counters counters;
	struct memtide_stats stats;
	uint64_t needs;
	enum peer_manner manner;
	uint32_t generation;	/* that was acted on */
	unsigned int denials;
	unsigned int connections;
	int first_answer;
	struct memtide_errtext first_words;
};

struct peer {
	struct peer_options options;
	char name[TIDE_VMM_NAME_SIZE];
	struct memtide_device_side side;
	struct model *model;
	int socket;
	pid_t pid;
};

uint64_t peer_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void lock(struct peer *peer)
{
	/* The other side may have been killed in here; what it leaves is as good as any other state of a VM. */
	if (pthread_mutex_lock(&peer->model->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&peer->model->lock);
}

static void unlock(struct peer *peer)
{
	pthread_mutex_unlock(&peer->model->lock);
}

/* Locked. */
static uint64_t usable(const struct peer *peer)
{
	return peer->model->counters.ram_bytes - peer->model->counters.given_bytes;
}

static void set_usable(struct peer *peer, uint64_t bytes)
{
	struct memtide_counters *c = &peer->model->counters;

	if (bytes > usable(peer))
		c->took_bytes += bytes - usable(peer);
	else
		c->gave_bytes += usable(peer) - bytes;
	c->given_bytes = c->ram_bytes - bytes;
	c->given_huge_bytes = c->given_bytes - c->given_bytes % VIRTIO_TIDE_HUGE_SIZE;
}

static void put_counters(struct peer *peer, bool notify)
{
	peer->model->counters.notify += notify;
	memtide_counters_write(peer->side.counters.start, &peer->model->counters);
	if (notify)
		memtide_device_side_ring(&peer->side, TIDE_VMM_FD_NOTIFY);
}

static void put_stats(struct peer *peer, uint32_t refresh)
{
	struct memtide_stats *s = &peer->model->stats;
	uint64_t spare = usable(peer) > peer->model->needs ? usable(peer) - peer->model->needs : 0;

	s->refresh = refresh;
	s->generation = peer->model->generation;
	s->time_ns = peer_now_ns();
	s->total = peer->options.ram;
	s->given = peer->model->counters.given_bytes;
	s->available = peer->model->manner == PEER_LIAR ? 0 : spare;
	s->free = s->available / 2;
	s->file = s->available - s->free;
	s->anon = usable(peer) - spare;
	memtide_stats_write(memtide_device_side_at(&peer->side, VIRTIO_TIDE_STATS_OFFSET), s);
}

static void init_model(struct peer *peer)
{
	struct model *model = peer->model;
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&model->lock, &attr);
	model->needs = peer->options.needs;
	model->manner = peer->options.manner;
	model->counters.ram_bytes = peer->options.ram;
	model->counters.epoch = 1;
	model->counters.flags = peer->options.no_driver ? 0 : TIDE_COUNTERS_DRIVER_OK;
	put_counters(peer, false);
	put_stats(peer, 0);
}

int peer_new(const struct peer_options *options, struct peer **ret_peer)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	int r;

	if (!peer)
		return -ENOMEM;
	peer->options = *options;
	peer->socket = -1;
	snprintf(peer->name, sizeof(peer->name), "%s", options->name);
	peer->model = mmap(NULL, sizeof(*peer->model), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	r = peer->model == MAP_FAILED ? -ENOMEM : memtide_device_side_make(&peer->side, !options->no_seals);
	if (r < 0) {
		peer_free(peer);
		return r;
	}
	init_model(peer);
	*ret_peer = peer;
	return 0;
}

void peer_free(struct peer *peer)
{
	if (!peer)
		return;
	peer_kill(peer);
	peer_disconnect(peer);
	memtide_device_side_close(&peer->side);
	if (peer->model && peer->model != MAP_FAILED)
		munmap(peer->model, sizeof(*peer->model));
	free(peer);
}

int peer_connect(struct peer *peer, const char *vmm_socket, struct memtide_errtext *errtext)
{
	struct memtide_hello hello = { .ram_bytes = peer->options.ram, .kind = peer->options.kind };
	int r;

	peer_disconnect(peer);
	peer->socket = memtide_connect(vmm_socket, 0);
	if (peer->socket < 0)
		return memtide_errtext_set(errtext, peer->socket, "%s: %s", vmm_socket, strerror(-peer->socket));
	memcpy(hello.name, peer->name, sizeof(hello.name));
	hello.has_uuid = peer->options.uuid_end != 0;
	memset(hello.uuid, hello.has_uuid ? 0x42 : 0, sizeof(hello.uuid));
	for (int i = 0; i < 4; i++)
		hello.uuid[12 + i] = (uint8_t)(peer->options.uuid_end >> (24 - 8 * i));
	memcpy(hello.fd, peer->side.fd, sizeof(hello.fd));
	r = memtide_hello_send(peer->socket, &hello);
	if (r >= 0)
		r = memtide_answer_wait(peer->socket, errtext);
	if (r < 0)
		peer_disconnect(peer);
	else
		peer->model->connections++;
	return r;
}

void peer_disconnect(struct peer *peer)
{
	if (peer->socket >= 0)
		close(peer->socket);
	peer->socket = -1;
}

int peer_call_fd(const struct peer *peer)
{
	return peer->side.fd[TIDE_VMM_FD_CALL];
}

/* Locked: what an honest guest does about a new state. */
static void obey(struct peer *peer, const struct memtide_state *state)
{
	struct model *model = peer->model;
	bool release = state->flags & VIRTIO_TIDE_STATE_RELEASE;
	uint64_t asked = release ? state->ceiling : state->target;
	uint64_t goal = asked > model->needs ? asked : model->needs;

	model->generation = state->generation;
	model->stats.flags = 0;
	if (release && peer->options.kind == TIDE_VMM_DEVICE)
		set_usable(peer, peer->options.ram);
	else if (release)
		set_usable(peer, goal);
	else if (usable(peer) > goal && model->manner == PEER_HONEST)
		set_usable(peer, goal);
	if (usable(peer) > state->ceiling && model->manner == PEER_HONEST) {
		model->stats.flags |= VIRTIO_TIDE_STATS_STALLED;
		put_stats(peer, model->stats.refresh);
		put_counters(peer, false);
		return;
	}
	model->counters.flags |= TIDE_COUNTERS_FENCED;
	model->counters.fence_generation = state->generation;
	model->counters.fence_given_bytes = model->counters.given_bytes;
	put_counters(peer, true);
}

void peer_serve(struct peer *peer)
{
	struct memtide_event events[VIRTIO_TIDE_RING_RECORDS];
	struct memtide_state state;
	uint64_t count;
	int n;

	if (read(peer->side.fd[TIDE_VMM_FD_CALL], &count, sizeof(count)) < 0 && errno != EAGAIN)
		perror("peer: eventfd");
	n = memtide_ring_pull(&peer->side.from_host, events, VIRTIO_TIDE_RING_RECORDS);
	lock(peer);
	for (int i = 0; i < n; i++)
		peer->model->denials += events[i].type == VIRTIO_TIDE_EV_DENIED;
	if (peer->model->manner != PEER_MUTE && peer->model->counters.flags & TIDE_COUNTERS_DRIVER_OK &&
	    !memtide_state_read(memtide_device_side_at(&peer->side, VIRTIO_TIDE_STATE_OFFSET), &state)) {
		if (state.generation && state.generation != peer->model->generation)
			obey(peer, &state);
		if (state.refresh != peer->model->stats.refresh)
			put_stats(peer, state.refresh);
	}
	unlock(peer);
}

/*
 * A process of its own
 */

static void serve_until_hangup(struct peer *peer)
{
	struct pollfd fds[2] = {
		{ .fd = peer->side.fd[TIDE_VMM_FD_CALL], .events = POLLIN },
		{ .fd = peer->socket, .events = POLLRDHUP },
	};

	peer_serve(peer);
	for (;;) {
		poll(fds, 2, -1);
		if (fds[1].revents)
			return;
		if (fds[0].revents)
			peer_serve(peer);
	}
}

static int become_user(uid_t uid, const char *vmm_socket)
{
	struct stat st;

	if (!uid)
		return 0;
	if (stat(vmm_socket, &st) < 0 || setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

static void live(struct peer *peer, const char *vmm_socket, int ready)
{
	struct memtide_errtext errtext = { .text = "" };
	int r;

	r = become_user(peer->options.uid, vmm_socket);
	if (r >= 0)
		r = peer_connect(peer, vmm_socket, &errtext);
	peer->model->first_answer = r;
	peer->model->first_words = errtext;
	if (write(ready, "", 1) < 0)
		_exit(1);
	close(ready);
	if (r < 0)
		_exit(0);
	for (;;) {
		serve_until_hangup(peer);
		while (peer_connect(peer, vmm_socket, NULL) < 0)
			poll(NULL, 0, RECONNECT_MS);
	}
}

int peer_spawn(struct peer *peer, const char *vmm_socket, struct memtide_errtext *errtext)
{
	int ready[2];
	char byte;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	peer->pid = fork();
	if (peer->pid < 0)
		return -errno;
	if (!peer->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		live(peer, vmm_socket, ready[1]);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		peer->model->first_answer = -ECHILD;
	close(ready[0]);
	if (errtext)
		*errtext = peer->model->first_words;
	return peer->model->first_answer;
}

void peer_kill(struct peer *peer)
{
	if (peer->pid <= 0)
		return;
	kill(peer->pid, SIGKILL);
	waitpid(peer->pid, NULL, 0);
	peer->pid = 0;
}

pid_t peer_pid(const struct peer *peer)
{
	return peer->pid;
}

unsigned int peer_connections(const struct peer *peer)
{
	return __atomic_load_n(&peer->model->connections, __ATOMIC_ACQUIRE);
}

/*
 * What the guest does
 */

void peer_ring(struct peer *peer)
{
	memtide_device_side_ring(&peer->side, TIDE_VMM_FD_DOORBELL);
}

int peer_event(struct peer *peer, uint32_t type, uint64_t a, uint64_t b, uint64_t c)
{
	struct memtide_event event = { .type = type, .time_ns = peer_now_ns(), .a = a, .b = b, .c = c };
	int r = memtide_ring_push(&peer->side.to_host, &event);

	peer_ring(peer);
	return r;
}

int peer_claim(struct peer *peer, uint64_t bytes)
{
	return peer_event(peer, VIRTIO_TIDE_EV_PRESSURE, bytes, VIRTIO_TIDE_URGENCY_RECLAIM, 0);
}

uint64_t peer_use(struct peer *peer, uint64_t bytes)
{
	struct memtide_state state;
	uint64_t more = 0;

	lock(peer);
	if (!peer_state(peer, &state) && state.ceiling > usable(peer))
		more = state.ceiling - usable(peer);
	if (more > bytes)
		more = bytes;
	set_usable(peer, usable(peer) + more);
	peer->model->needs += more;
	put_counters(peer, false);
	put_stats(peer, peer->model->stats.refresh);
	unlock(peer);
	return more;
}

void peer_set_needs(struct peer *peer, uint64_t bytes)
{
	lock(peer);
	peer->model->needs = bytes;
	put_stats(peer, peer->model->stats.refresh);
	unlock(peer);
}

void peer_set_manner(struct peer *peer, enum peer_manner manner)
{
	lock(peer);
	peer->model->manner = manner;
	unlock(peer);
	memtide_device_side_ring(&peer->side, TIDE_VMM_FD_CALL);
}

void peer_reset(struct peer *peer, bool driver)
{
	lock(peer);
	set_usable(peer, peer->options.ram);
	peer->model->counters.epoch++;
	peer->model->counters.flags = driver ? TIDE_COUNTERS_DRIVER_OK : 0;
	peer->model->generation = 0;
	memset(memtide_device_side_at(&peer->side, VIRTIO_TIDE_STATS_OFFSET), 0,
	       VIRTIO_TIDE_STATE_SIZE - VIRTIO_TIDE_STATS_OFFSET);
	memtide_ring_produce_from(&peer->side.to_host, memtide_device_side_at(&peer->side, VIRTIO_TIDE_TO_HOST_OFFSET));
	put_counters(peer, true);
	unlock(peer);
}

uint64_t peer_usable(struct peer *peer)
{
	uint64_t bytes;

	lock(peer);
	bytes = usable(peer);
	unlock(peer);
	return bytes;
}

unsigned int peer_denials(const struct peer *peer)
{
	return __atomic_load_n(&peer->model->denials, __ATOMIC_ACQUIRE);
}

int peer_state(struct peer *peer, struct memtide_state *ret_state)
{
	return memtide_state_read(memtide_device_side_at(&peer->side, VIRTIO_TIDE_STATE_OFFSET), ret_state);
}

int peer_grant(struct peer *peer, struct memtide_grant *ret_grant)
{
	return memtide_grant_read(peer->side.counters.start, ret_grant);
}

void *peer_region(struct peer *peer)
{
	return peer->side.state.start;
}

int peer_wait_ceiling(struct peer *peer, uint64_t low, uint64_t high, unsigned int timeout_ms)
{
	struct memtide_state state = { .ceiling = UINT64_MAX };

	for (unsigned int i = 0; i < timeout_ms; i++) {
		if (!peer_state(peer, &state) && state.ceiling >= low && state.ceiling <= high)
			return 0;
		poll(NULL, 0, 1);
	}
	fprintf(stderr, "peer %s: ceiling is %lld MiB, not %lld to %lld\n", peer->name,
		(long long)(state.ceiling >> 20), (long long)(low >> 20), (long long)(high >> 20));
	return -ETIMEDOUT;
}
