/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tenant methods of the control socket.
 */
#ifndef MEMTIDED_CONTROL_TENANT_H
#define MEMTIDED_CONTROL_TENANT_H

struct control_request;

void control_tenant_list(struct control_request *request);
void control_tenant_show(struct control_request *request);
void control_tenant_set(struct control_request *request);

#endif
