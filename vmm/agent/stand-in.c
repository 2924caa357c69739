// SPDX-License-Identifier: GPL-2.0-or-later
/* See stand-in.h. */
#include "stand-in-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "by-hand.h"
#include "connect.h"
#include "log.h"

/* Between attempts to reach memtided, and how long an answer of it is waited for. */
#define CONNECT_MS	1000
#define ANSWER_S	2

/*
 * Connecting
 */

static void hang_up(struct stand_in *s)
{
	if (s->socket < 0)
		return;
	virEventRemoveHandle(s->socket_watch);
	close(s->socket);
	s->socket = -1;
	virEventUpdateTimeout(s->connect_timer, CONNECT_MS);
}

/* After the answer nothing is said on it, so whatever happens ends it.  The VM keeps what it has meanwhile. */
static void socket_ready(int watch, int fd, int events, void *opaque)
{
	hang_up(opaque);
}

static int open_socket(const char *path)
{
	struct timeval limit = { .tv_sec = ANSWER_S };
	int fd = memtide_connect(path, 0);

	if (fd < 0)
		return fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

static int say_hello(const struct stand_in *s, int fd, struct memtide_errtext *errtext)
{
	struct memtide_hello hello = { .ram_bytes = s->ram, .kind = s->means->kind, .has_uuid = true };
	int r;

	if (virDomainGetUUID(s->domain->handle, hello.uuid) < 0)
		return -ESRCH;
	snprintf(hello.name, sizeof(hello.name), "%.*s", (int)sizeof(hello.name) - 1, s->domain->name);
	memcpy(hello.fd, s->side.fd, sizeof(hello.fd));
	r = memtide_hello_send(fd, &hello);
	return r < 0 ? r : memtide_answer_wait(fd, errtext);
}

static void connect_expired(int timer, void *opaque)
{
	struct stand_in *s = opaque;
	struct memtide_errtext errtext = { .text = "" };
	int fd, r;

	virEventUpdateTimeout(timer, CONNECT_MS);
	if (!s->known)
		return;
	fd = open_socket(s->domain->agent->config.vmm_socket);
	if (fd < 0)
		return;
	r = say_hello(s, fd, &errtext);
	if (r < 0) {
		close(fd);
		if (strcmp(s->refusal, errtext.text))
			log_warning("%s: memtided does not take it: %s", s->domain->name,
				    errtext.text[0] ? errtext.text : strerror(-r));
		snprintf(s->refusal, sizeof(s->refusal), "%s", errtext.text);
		return;
	}
	s->refusal[0] = '\0';
	s->socket = fd;
	s->socket_watch = virEventAddHandle(fd, VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_HANGUP, socket_ready, s,
					    NULL);
	virEventUpdateTimeout(timer, -1);
	/* What memtided has put there is to be looked at. */
	memtide_device_side_ring(&s->side, TIDE_VMM_FD_CALL);
}

/*
 * Coming and going
 */

static int make_side(struct stand_in *s)
{
	struct virtio_tide_header *header;
	int r = memtide_device_side_make(&s->side, true);

	if (r < 0)
		return r;
	header = memtide_device_side_at(&s->side, VIRTIO_TIDE_HEADER_OFFSET);
	*header = (struct virtio_tide_header){
		.magic = htole32(VIRTIO_TIDE_MAGIC), .version = htole32(VIRTIO_TIDE_VERSION),
		.size = htole32(VIRTIO_TIDE_STATE_SIZE),
	};
	s->counters.ram_bytes = s->ram;
	stand_in_new_epoch(s);
	return 0;
}

void stand_in_free(struct stand_in *s)
{
	if (s->connect_timer >= 0)
		virEventRemoveTimeout(s->connect_timer);
	if (s->look_timer >= 0)
		virEventRemoveTimeout(s->look_timer);
	if (s->call_watch >= 0)
		virEventRemoveHandle(s->call_watch);
	if (s->socket >= 0) {
		virEventRemoveHandle(s->socket_watch);
		close(s->socket);
	}
	if (s->worker)
		s->turn->io.over = true;
	else
		free(s->turn);
	worker_leave(s->worker);
	memtide_device_side_close(&s->side);
	free(s);
}

static struct stand_in *stand_in_new(struct agent_domain *domain, const struct means *means)
{
	struct stand_in *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return NULL;
	s->domain = domain;
	s->means = means;
	s->ram = domain->about.limits.memory.value;
	s->look_ns = s->looked_ns = means_now_ns();
	s->socket = s->call_watch = s->look_timer = s->connect_timer = -1;
	r = make_side(s);
	if (!r)
		r = stand_in_make_turn(s);
	if (r < 0) {
		log_error("nothing can stand in for %s: %s", domain->name, strerror(-r));
		stand_in_free(s);
		return NULL;
	}
	s->call_watch = virEventAddHandle(s->side.fd[TIDE_VMM_FD_CALL], VIR_EVENT_HANDLE_READABLE, stand_in_called, s, NULL);
	s->look_timer = virEventAddTimeout(0, stand_in_look_expired, s, NULL);
	s->connect_timer = virEventAddTimeout(0, connect_expired, s, NULL);
	return s;
}

static const struct means *means_for(const struct agent_domain *domain)
{
	const struct memtide_domain_limits *limits = &domain->about.limits;

	if (limits->tide_device || limits->memory.value == MEMTIDE_DOMAIN_UNSET)
		return NULL;
	return limits->no_balloon ? &means_reclaim : &means_balloon;
}

/* Only who has a policy has asked to be managed. */
static bool is_to_be_managed(const struct agent_domain *domain)
{
	return domain->about.has_policy && memtide_domain_reclaimable(&domain->about.limits);
}

/* What it was made for is as it was: its memory may be another, say, since some was plugged in. */
static bool still_fits(const struct stand_in *s, const struct means *means)
{
	struct means_vm vm;

	return s->means == means && !stand_in_describe(s->domain, &vm) && vm.pid == s->turn->vm.pid && vm.ram == s->ram &&
	       vm.autodeflate == s->turn->vm.autodeflate && !strcmp(vm.libvirt_uri, s->turn->vm.libvirt_uri);
}

/* Without it memtided would have a VM for which nobody speaks. */
static bool is_of_use(const struct agent_domain *domain)
{
	return domain->stand_in->known || (domain->has_vm && !domain->stand_in->obstacle[0]);
}

void stand_in_want(struct agent_domain *domain)
{
	const struct means *means = means_for(domain);
	bool managed = is_to_be_managed(domain);

	if (domain->stand_in && (!still_fits(domain->stand_in, means) || (!managed && !is_of_use(domain)))) {
		stand_in_free(domain->stand_in);
		domain->stand_in = NULL;
	}
	if (managed)
		domain->parted = false;
	/* One that is not to be managed, and is: its policy has gone while nobody looked. */
	if (!domain->stand_in && means && (managed || (domain->has_vm && !domain->parted)))
		domain->stand_in = stand_in_new(domain, means);
	if (!domain->stand_in)
		return;
	if (domain->stand_in->parting == managed)
		domain->stand_in->refused_ns = 0;
	domain->stand_in->parting = !managed;
	stand_in_go_on(domain->stand_in);
}

void stand_in_gone(struct agent_domain *domain)
{
	if (domain->stand_in)
		stand_in_free(domain->stand_in);
	domain->stand_in = NULL;
	by_hand_gone(domain);
}

void stand_in_balloon_changed(struct agent_domain *domain, uint64_t kib)
{
	if (!domain->stand_in) {
		by_hand_balloon_changed(domain, kib << 10);
		return;
	}
	domain->stand_in->again = true;
	stand_in_go_on(domain->stand_in);
}

void stand_in_rebooted(struct agent_domain *domain)
{
	struct stand_in *s = domain->stand_in;

	if (!s)
		return;
	s->rebooted = true;
	stand_in_new_epoch(s);
	stand_in_go_on(s);
}
