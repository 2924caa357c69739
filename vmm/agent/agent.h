/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memtide-agent: what goes on between libvirt and memtided.  memtided never waits for libvirt, so this process has the
 * connection and passes on what it hears: domains that run and end, and policies that are changed while they do.
 *
 *	main.c		options, signals, the loop
 *	connection.c	libvirt: being connected, or coming back; its events
 *	domains.c	the domains that run, as libvirt says
 *	live.c		what the XML of one of them says now
 *	presence.c	memtided: whether it is there
 *	telling.c	what it does not know yet, and is told
 *	stand-in.c	domains without a device of memtide's, for which it speaks: what memtided reads and asks
 *	means.h		how memory is taken from them: balloon.c, reclaim.c
 *	worker.c	the threads in which that is done
 *	by-hand.c	balloons that somebody else has set
 *
 * One loop, which is libvirt's (virEventRegisterDefaultImpl()), in the first thread: whatever waits does so by
 * virEventAddHandle() and virEventAddTimeout().  What it calls libvirt for, libvirt's daemon answers by itself, without
 * asking a QEMU, or the connection is taken for lost (connection_open()); a call to memtided has a time limit.  What
 * depends on a QEMU or on a VM's cgroup, any of which may hang for ever, is done by a worker for each VM, which has a
 * connection of its own: libvirt's daemon serves only so many calls of one connection at a time.  Workers see nothing
 * of what is in this file but connection_open().
 *
 * Nothing that has to outlive the agent is kept here.  What memtided knows it is asked for, what libvirt knows
 * likewise, and the difference is told: so it does not matter which of the three was away, or for how long.
 */
#ifndef MEMTIDE_AGENT_H
#define MEMTIDE_AGENT_H

#include <jansson.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "domain.h"
#include "errtext.h"

struct by_hand;
struct stand_in;

/* What libvirt tells of, in the order in which it is registered (connection.c). */
#define AGENT_EVENTS	6

/**
 * struct agent_domain - a domain that runs
 * @agent: whose it is
 * @next: in the agent's list
 * @name: its name
 * @uuid: its UUID in small letters
 * @handle: libvirt's, of the connection that there is or was.  To be used, not to be kept: it is another one after each
 *	coming back of libvirt's daemon.  Calls with it fail while that is away
 * @id: libvirt's number for this run of it
 * @pid: its process; 0: not known
 * @about: the domain as memtided knows it, and so with the policy that is in force, which may be an older one than in
 *	the XML where that is wrong.  Its limits are from the live XML but for <currentMemory>, which is not set, since
 *	there it is where the balloon is.  Lines mean nothing
 * @known: memtided knows it: before that @about means nothing
 * @untold: it is to be looked at whether memtided has to be told something
 * @hangs_until_ms: but not before, by memtide_call_now_ms(), since all wait for libvirt meanwhile; 0: at once
 * @refused: the policy that memtided has refused last (null for none), or NULL: as long as that is the one in the
 *	XML it is not told again
 * @complaint: what was wrong with the policy in the XML when it was read last, or ""
 * @complained: memtided has heard of @complaint
 * @has_vm: memtided has a VM for it, as a stand-in or a device has once said
 * @parted: its policy had gone, and then its stand-in
 * @stand_in: stand-in.c's, else NULL
 * @by_hand: by-hand.c's, else NULL
 */
struct agent_domain {
	struct agent *agent;
	struct agent_domain *next;
	char name[256];
	char uuid[37];
	virDomainPtr handle;
	int id;
	pid_t pid;
	struct memtide_domain about;
	bool known;
	bool untold;
	uint64_t hangs_until_ms;
	json_t *refused;
	char complaint[MEMTIDE_ERRTEXT_SIZE];
	bool complained;
	bool has_vm;
	bool parted;
	struct stand_in *stand_in;
	struct by_hand *by_hand;
};

/* One that has ended, of which memtided has not heard yet. */
struct agent_ended {
	struct agent_ended *next;
	char name[256];
	char uuid[37];
	pid_t pid;
};

struct agent {
	const char *config_path;	/* NULL: what holds without one */
	struct memtide_config config;
	bool ending;

	struct {			/* connection.c */
		virConnectPtr handle;	/* NULL: there is none */
		int events[AGENT_EVENTS];
		int timer;
		int wait_ms;		/* until the next try */
		bool missed;		/* it was said that there is none */
		bool lost;		/* to be closed when libvirt is not in the middle of it */
	} libvirt;

	struct {			/* presence.c */
		int fd;			/* -1: memtided is not there */
		int watch;
		int timer;
		int wait_ms;
		bool missed;
	} memtided;

	struct {			/* telling.c */
		int timer;
		struct agent_ended *ended;
		bool strays;		/* it is to be looked for domains that only memtided knows */
		bool stuck;		/* it was said that memtided does not answer */
	} telling;

	struct agent_domain *domains;
};

/*
 * connection.c
 */

/* Begin to be connected; again after each loss.  0, or a negative errno: there are no timers. */
int connection_start(struct agent *agent);
/*
 * Another one to @uri, whose calls fail when libvirt's daemon hangs; NULL: there is none, and libvirt's last error says
 * why.  Any thread; the caller closes it.
 */
virConnectPtr connection_open(const char *uri);
void connection_end(struct agent *agent);

/*
 * domains.c
 */

struct agent_domain *domains_find(const struct agent *agent, const char *uuid);
/* The one that @handle is of, or NULL. */
struct agent_domain *domains_of(const struct agent *agent, virDomainPtr handle);

/* libvirt says that one runs, that one has ended; @handle stays the caller's. */
void domains_started(struct agent *agent, virDomainPtr handle);
void domains_stopped(struct agent *agent, virDomainPtr handle);

/* What there is after a coming back: those that run, and nothing else.  0 or -EIO. */
int domains_take_stock(struct agent *agent);

/* The agent ends; they run on. */
void domains_forget(struct agent *agent);

/*
 * live.c
 */

/**
 * live_read() - what the XML of a domain says just now
 * @domain: it
 * @ret_about: without <currentMemory>, and without a policy where that is wrong
 * @errtext: why there is none, or what is wrong with the policy; "" otherwise
 *
 * Returns 0 where there is XML, also with a policy that is wrong; -EAGAIN: its QEMU hangs, and libvirt has waited for it
 * in vain, for half a minute; -EIO or what memtide_domain_read() returns.
 */
int live_read(const struct agent_domain *domain, struct memtide_domain *ret_about, struct memtide_errtext *errtext);

/*
 * presence.c
 */

/* Begin to be connected to memtided, again after each loss.  0 or a negative errno: there are no timers. */
int presence_start(struct agent *agent);
void presence_end(struct agent *agent);
/* It has answered: it is there, and not only its socket. */
void presence_shown(struct agent *agent);

/*
 * telling.c
 */

int telling_start(struct agent *agent);
void telling_end(struct agent *agent);

/* Soon, out of this call: whatever of @domain memtided does not know. */
void telling_want(struct agent_domain *domain);
/* The same for each domain, and for those that only memtided knows: libvirt has come back. */
void telling_want_all(struct agent *agent);
/* The same, where what memtided has refused may be fine by now: it has come back. */
void telling_begin_anew(struct agent *agent);
/* It has ended.  It is copied. */
void telling_ended(const struct agent_domain *domain);

#endif /* MEMTIDE_AGENT_H */
