/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling whoever started the daemon how far it is, in systemd's way (sd_notify(3)): a datagram to the socket that
 * the environment names.  Under any other supervisor nothing happens.
 */
#ifndef MEMTIDED_NOTIFY_H
#define MEMTIDED_NOTIFY_H

#define NOTIFY_READY	"READY=1"
#define NOTIFY_STOPPING	"STOPPING=1"

void notify_supervisor(const char *state);

#endif
