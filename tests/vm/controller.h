/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A real memtided on sockets of its own, for tests, benches and the demo.  Its binary and policies come from the build
 * folder that LAB_BUILD names.  Functions return 0 or a negative errno and say on stderr what went wrong.
 */
#ifndef TESTS_VM_CONTROLLER_H
#define TESTS_VM_CONTROLLER_H

#include <jansson.h>
#include <sys/types.h>

struct controller;

/*
 * Starts memtided with @config, the text of its configuration file, where %s-free lines for sockets, state and policy path
 * are added by this function, and waits until it answers.
 */
int controller_start(const char *config, struct controller **ret_controller);
/* The same with its files in @dir, which stays. */
int controller_start_in(const char *dir, const char *config, struct controller **ret_controller);
/* Again, after controller_kill() or with another configuration if @config is not NULL. */
int controller_restart(struct controller *controller, const char *config);
/* SIGKILL. */
void controller_kill(struct controller *controller);
/* SIGTERM, waits, frees.  -EBADMSG if it did not end by itself with status 0. */
int controller_stop(struct controller *controller);

pid_t controller_pid(const struct controller *controller);
/* Where VMs connect: vm_options.vmm_socket. */
const char *controller_vmm_socket(const struct controller *controller);
const char *controller_control_socket(const struct controller *controller);
/* Its configuration file, and the folder of what outlives it, which goes with controller_stop(). */
const char *controller_config(const struct controller *controller);
const char *controller_state(const struct controller *controller);

/* One call; @params is consumed and may be NULL.  -EREMOTEIO for an error answer, which is said. */
int controller_call(struct controller *controller, const char *method, json_t *params, json_t **ret_result);
/* What "status" says of the VM of this name, a new reference; NULL if there is none. */
json_t *controller_vm(struct controller *controller, const char *name);

#endif /* TESTS_VM_CONTROLLER_H */
