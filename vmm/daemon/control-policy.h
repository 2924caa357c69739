/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy methods of the control socket.  Reading and loading objects takes long, so a worker does it and the
 * answer comes later; a client that has hung up by then gets none, and a policy that it loaded is in force all the
 * same.
 */
#ifndef MEMTIDED_CONTROL_POLICY_H
#define MEMTIDED_CONTROL_POLICY_H

struct control_request;

void control_policy_list(struct control_request *request);
void control_policy_show(struct control_request *request);
void control_policy_load(struct control_request *request);

#endif
