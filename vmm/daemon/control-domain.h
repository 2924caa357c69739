/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The domain methods of the control socket: what the libvirt hook and memtide-agent have to tell.
 */
#ifndef MEMTIDED_CONTROL_DOMAIN_H
#define MEMTIDED_CONTROL_DOMAIN_H

struct control_request;

void control_domain_prepare(struct control_request *request);
void control_domain_started(struct control_request *request);
void control_domain_reconnect(struct control_request *request);
void control_domain_stopped(struct control_request *request);
void control_domain_metadata(struct control_request *request);
void control_domain_by_hand(struct control_request *request);
void control_domain_list(struct control_request *request);
void control_domain_show(struct control_request *request);

#endif
