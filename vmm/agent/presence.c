// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whether memtided is there: one connection to its control socket on which nothing is said, and which ends when
 * memtided does.  Calls have connections of their own.
 */
#include "agent.h"
#include "connect.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A look at a socket of this host costs next to nothing, and memtided is soon back. */
#define WAIT_MIN_MS	250
#define WAIT_MAX_MS	4000

static void come_back_later(struct agent *agent)
{
	virEventUpdateTimeout(agent->memtided.timer, agent->memtided.wait_ms);
	agent->memtided.wait_ms = agent->memtided.wait_ms * 2 < WAIT_MAX_MS ? agent->memtided.wait_ms * 2 : WAIT_MAX_MS;
}

static void hang_up(struct agent *agent)
{
	if (agent->memtided.fd < 0)
		return;
	virEventRemoveHandle(agent->memtided.watch);
	close(agent->memtided.fd);
	agent->memtided.fd = -1;
}

static void something_came(int watch, int fd, int events, void *opaque)
{
	struct agent *agent = opaque;
	char text[512];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	/* It says nothing unasked, but why it hangs up at once. */
	if (n > 0) {
		text[n] = '\0';
		text[strcspn(text, "\n")] = '\0';
		log_warning("memtided says: %s", text);
		return;
	}
	if (n < 0 && errno == EAGAIN)
		return;
	if (!agent->memtided.missed)
		log_warning("memtided has gone (%s); what changes is told to it when it is back",
			    agent->config.control_socket);
	agent->memtided.missed = true;
	hang_up(agent);
	come_back_later(agent);
}

static void time_to_connect(int timer, void *opaque)
{
	struct agent *agent = opaque;
	int fd = memtide_connect(agent->config.control_socket, SOCK_NONBLOCK);

	virEventUpdateTimeout(timer, -1);
	if (fd >= 0) {
		agent->memtided.fd = fd;
		agent->memtided.watch = virEventAddHandle(fd, VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_HANGUP,
							  something_came, agent, NULL);
		telling_begin_anew(agent);
		return;
	}
	if (!agent->memtided.missed)
		log_warning("memtided is not there (%s: %s); what changes is told to it when it is",
			    agent->config.control_socket, strerror(-fd));
	agent->memtided.missed = true;
	come_back_later(agent);
}

void presence_shown(struct agent *agent)
{
	if (agent->memtided.missed)
		log_info("memtided is back (%s)", agent->config.control_socket);
	agent->memtided.missed = false;
	agent->memtided.wait_ms = WAIT_MIN_MS;
}

int presence_start(struct agent *agent)
{
	agent->memtided.fd = -1;
	agent->memtided.wait_ms = WAIT_MIN_MS;
	agent->memtided.timer = virEventAddTimeout(0, time_to_connect, agent, NULL);
	return agent->memtided.timer < 0 ? -EIO : 0;
}

void presence_end(struct agent *agent)
{
	hang_up(agent);
	virEventRemoveTimeout(agent->memtided.timer);
}
