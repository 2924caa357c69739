// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Setting up, taking down, and what concerns all VMs at once.
 */
#include "manager.h"

#include "cgroup-id.h"
#include "control-socket.h"
#include "exits.h"
#include "notify.h"
#include "policy.h"
#include "store.h"
#include "vm.h"
#include "vmm-socket.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "tide_balance.h"

/* The configuration's word for no policy at all. */
#define NO_POLICY	"none"

uint64_t manager_note(struct manager *manager, enum decision_kind kind, enum log_level level, const struct vm *vm,
		      const char *format, ...)
{
	struct decision *entry = decision_log_draft(manager->log, kind, loop_now(manager->loop));
	va_list args;

	if (vm) {
		entry->vm_id = vm->id;
		memcpy(entry->vm, vm->name, sizeof(entry->vm));
	}
	va_start(args, format);
	vsnprintf(entry->message, sizeof(entry->message), format, args);
	va_end(args);
	return decision_log_add(manager->log, level);
}

int manager_add_vm(struct manager *manager, struct vm *vm)
{
	if (manager->nr_vms >= BALANCE_MAX_VMS)
		return -E2BIG;
	vm->id = ++manager->next_vm_id;
	vm->row = manager->nr_vms;
	manager->vms[manager->nr_vms++] = vm;
	if (manager->policy) {
		struct balance_table *table = memtide_policy_table(manager->policy);

		memset(&table->vm[vm->row], 0, sizeof(table->vm[vm->row]));
	}
	round_update_tick(manager);
	round_request(manager, BALANCE_CHANGE, ROUND_NOBODY);
	if (vm->cgroup[0])
		manager_note(manager, DECISION_VM, LOG_LEVEL_INFO, vm,
			     "process %d, %" PRIu64 " MiB of RAM: %s, charged %" PRIu64 " MiB, enforced by %.100s",
			     (int)vm->pid, vm->ledger.terms.ram >> 20, vm_state_name(vm), vm->ledger.charged >> 20,
			     vm->cgroup);
	else
		manager_note(manager, DECISION_VM, LOG_LEVEL_INFO, vm,
			     "process %d, %" PRIu64 " MiB of RAM: %s, charged %" PRIu64 " MiB, not enforced: %s",
			     (int)vm->pid, vm->ledger.terms.ram >> 20, vm_state_name(vm), vm->ledger.charged >> 20,
			     vm->not_enforced);
	return 0;
}

/* Rows stay dense: the last one moves into the hole, with what the policy keeps in it. */
void manager_remove_vm(struct manager *manager, struct vm *vm)
{
	uint32_t last = --manager->nr_vms;

	if (vm->row != last) {
		manager->vms[vm->row] = manager->vms[last];
		manager->vms[vm->row]->row = vm->row;
		if (manager->policy) {
			struct balance_table *table = memtide_policy_table(manager->policy);

			table->vm[vm->row] = table->vm[last];
		}
	}
	manager->vms[last] = NULL;
	round_update_tick(manager);
	round_request(manager, BALANCE_CHANGE, ROUND_NOBODY);
}

void manager_room_changed(struct manager *manager)
{
	relief_room(manager);
	domains_room(manager);
}

void manager_update_budget(struct manager *manager, bool host_pressed)
{
	uint64_t resident = 0, overhead = 0;
	uint64_t budget = manager->config.budget;

	if (host_read_memory(&manager->host.memory) < 0)
		return;
	if (manager->config.budget_auto) {
		for (uint32_t i = 0; i < manager->nr_vms; i++) {
			overhead += vm_overhead(manager->vms[i]);
			resident += vm_footprint(manager->vms[i], 0);
		}
		budget = host_budget(&manager->host.memory, resident, overhead, manager->host.budget,
				     host_pressed);
	}
	if (budget == manager->host.budget)
		return;
	if (manager->host.budget)
		manager_note(manager, DECISION_HOST, LOG_LEVEL_INFO, NULL,
			     "budget %" PRIu64 " to %" PRIu64 " MiB: %" PRIu64
			     " MiB available on the host, %" PRIu64 " MiB resident in VMs, %" PRIu64
			     " MiB saved by KSM%s",
			     manager->host.budget >> 20, budget >> 20, manager->host.memory.available >> 20,
			     resident >> 20, manager->host.memory.saved >> 20,
			     host_pressed ? ", under pressure" : "");
	manager->host.budget = budget;
	memtide_ledger_set_budget(&manager->ledger, budget, manager->config.reserve);
	manager_room_changed(manager);
	round_request(manager, host_pressed ? BALANCE_HOST : BALANCE_CHANGE, ROUND_NOBODY);
}

void manager_set_policy(struct manager *manager, struct memtide_policy *policy)
{
	memtide_policy_close(manager->policy);
	manager->policy = policy;
	for (uint32_t i = 0; i < manager->nr_vms; i++)
		manager->vms[i]->rounds = 0;
	manager->round.last_ns = 0;
	if (policy)
		round_request(manager, BALANCE_CHANGE, ROUND_NOBODY);
}

void manager_set_paused(struct manager *manager, bool paused)
{
	if (manager->paused == paused)
		return;
	manager->paused = paused;
	manager_note(manager, DECISION_CONTROL, LOG_LEVEL_INFO, NULL,
		     paused ? "paused: nobody is asked to give, nothing is granted" : "resumed");
	if (paused)
		relief_pause(manager);
	round_update_tick(manager);
	round_request(manager, BALANCE_CHANGE, ROUND_NOBODY);
}

/*
 * Reloading
 */

/* What was opened at the start holds until the end. */
static int check_restart(const struct memtide_config *old, const struct memtide_config *new,
			 struct memtide_errtext *errtext)
{
	if (strcmp(old->vmm_socket, new->vmm_socket) || strcmp(old->control_socket, new->control_socket))
		return memtide_errtext_set(errtext, -EBUSY, "other sockets need a restart");
	if (strcmp(old->state_directory, new->state_directory))
		return memtide_errtext_set(errtext, -EBUSY, "another state-directory needs a restart");
	if (old->log_size != new->log_size)
		return memtide_errtext_set(errtext, -EBUSY, "another log-size needs a restart");
	if (strcmp(old->policy, new->policy))
		return memtide_errtext_set(errtext, -EBUSY,
					   "policy %s instead of %s: use \"memtide policy load %s\", or restart",
					   new->policy, old->policy, new->policy);
	return 0;
}

static int reload_terms(struct manager *manager, const struct memtide_config *config,
			struct memtide_config_vm *terms, struct memtide_errtext *errtext)
{
	uint64_t floors = 0;

	for (uint32_t i = 0; i < manager->nr_vms; i++) {
		struct vm *vm = manager->vms[i];
		int r = domains_terms(manager, config, vm->name, vm->has_uuid ? vm->uuid_text : NULL,
				      vm->ledger.terms.ram, &terms[i], errtext);

		if (r < 0)
			return r;
		if (vm_is_by_hand(vm))
			terms[i] = vm->terms;
		floors += terms[i].floor;
	}
	if (!config->budget_auto && floors > config->budget)
		return memtide_errtext_set(errtext, -EDQUOT, "the floors of the %u running VMs add up to %" PRIu64
					   " MiB, the budget is %" PRIu64 " MiB: lower floors or raise the budget",
					   manager->nr_vms, floors >> 20, config->budget >> 20);
	return 0;
}

static void apply_terms(struct manager *manager, const struct memtide_config_vm *terms)
{
	/* Falling floors first: one that rises may need what another one leaves. */
	for (int rising = 0; rising < 2; rising++) {
		for (uint32_t i = 0; i < manager->nr_vms; i++) {
			struct vm *vm = manager->vms[i];

			if ((terms[i].floor > vm->ledger.terms.floor) == rising)
				vm_change_terms(vm, terms[i].floor, terms[i].maximum, (uint32_t)terms[i].shares,
						NULL);
		}
	}
}

int manager_reload(struct manager *manager, struct memtide_errtext *errtext)
{
	/* Without a name it is the usual file, which may not have been there at the start. */
	const char *path = manager->options.config_path ?: MEMTIDE_CONFIG_PATH;
	struct memtide_config_vm *terms = NULL;
	struct memtide_config config;
	int r;

	r = memtide_config_load(path, &config, errtext);
	if (r < 0)
		return r;
	r = check_restart(&manager->config, &config, errtext);
	terms = calloc(manager->nr_vms + 1, sizeof(*terms));
	if (r >= 0)
		r = terms ? reload_terms(manager, &config, terms, errtext) : -ENOMEM;
	if (r < 0) {
		free(terms);
		memtide_config_free(&config);
		return r;
	}
	memtide_config_free(&manager->config);
	manager->config = config;
	manager->dry_run = config.dry_run || manager->options.dry_run;
	manager->host.budget = 0;
	manager_update_budget(manager, false);
	apply_terms(manager, terms);
	free(terms);
	return 0;
}

static void reload_and_say(struct manager *manager)
{
	struct memtide_errtext errtext = { .text = "" };

	if (manager_reload(manager, &errtext) < 0)
		manager_note(manager, DECISION_ERROR, LOG_LEVEL_ERROR, NULL,
			     "configuration not reloaded, nothing has changed: %s", errtext.text);
	else
		manager_note(manager, DECISION_CONTROL, LOG_LEVEL_INFO, NULL, "configuration reloaded");
}

/*
 * Setting up
 */

static void signal_ready(struct loop_source *source, uint32_t events)
{
	struct manager *manager = (struct manager *)((char *)source - offsetof(struct manager, signals));
	struct signalfd_siginfo info;

	while (read(source->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			reload_and_say(manager);
		else
			loop_stop(manager->loop);
	}
}

static int open_signals(struct manager *manager)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	manager->signals.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (manager->signals.fd < 0)
		return -errno;
	manager->signals.ready = signal_ready;
	return loop_add(manager->loop, &manager->signals, POLLIN);
}

static void host_ready(struct loop_source *source, uint32_t events)
{
	struct manager *manager = (struct manager *)((char *)source - offsetof(struct manager, host.pressure));

	manager->host.pressed_ns = loop_now(manager->loop);
	manager_update_budget(manager, true);
	round_request(manager, BALANCE_HOST, ROUND_NOBODY);
}

static void open_pressure(struct manager *manager)
{
	struct loop_source *source = &manager->host.pressure;

	source->ready = host_ready;
	source->fd = host_open_pressure();
	if (source->fd >= 0 && loop_add(manager->loop, source, POLLPRI) >= 0)
		return;
	log_info("the host's memory pressure cannot be watched (%s): a budget of \"auto\" follows it more slowly",
		 strerror(source->fd < 0 ? -source->fd : ENOSPC));
}

static struct vm *find_vm_in(const struct manager *manager, const char *cgroup)
{
	for (uint32_t i = 0; i < manager->nr_vms; i++)
		if (!strcmp(manager->vms[i]->cgroup, cgroup))
			return manager->vms[i];
	return NULL;
}

/* Detaching and replacing are somebody's will, and the end of a cgroup is that of its VM. */
static void tell_exit(const struct exit_record *record, void *ctx)
{
	struct manager *manager = ctx;
	char cgroup[MEMTIDE_CGROUP_PATH_MAX];

	if (record->kind <= EXIT_CGROUP)
		return;
	memtide_cgroup_path(record->cgroup_id, cgroup, sizeof(cgroup));
	manager_note(manager, DECISION_POLICY, LOG_LEVEL_WARNING, find_vm_in(manager, cgroup),
		     "the kernel has ejected %s policy %s of cgroup %.100s (id %" PRIu64 "): %s",
		     exits_family(record), record->name, cgroup, record->cgroup_id, record->reason);
}

static void exits_ready(struct loop_source *source, uint32_t events)
{
	struct manager *manager = (struct manager *)((char *)source - offsetof(struct manager, exits));

	exits_read(source->fd, tell_exit, manager);
}

static void open_exits(struct manager *manager)
{
	struct loop_source *source = &manager->exits;

	source->ready = exits_ready;
	source->fd = exits_open();
	if (source->fd == -ENOENT)
		return;
	if (source->fd >= 0 && loop_add(manager->loop, source, POLLIN) >= 0) {
		exits_ready(source, POLLIN);
		return;
	}
	log_info("what the kernel says of ejected policies cannot be read (%s): its log has it",
		 strerror(source->fd < 0 ? -source->fd : ENOSPC));
}

/* Five descriptors for each VM, and one for its domain. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("cannot raise the number of open files: %s", strerror(errno));
}

static int load_policy(struct manager *manager, struct memtide_errtext *errtext)
{
	struct memtide_policy *policy = NULL;
	char *found = NULL;
	const char *file = manager->config.policy;
	int r;

	if (!strcmp(file, NO_POLICY))
		return 0;
	if (file[0] != '/') {
		r = memtide_policy_find(manager->config.policy_path, file, &found, errtext);
		if (r < 0)
			return r;
		file = found;
	}
	r = memtide_policy_open(file, &policy, errtext);
	if (r >= 0)
		r = memtide_policy_load(policy, errtext);
	free(found);
	if (r < 0) {
		if (policy && memtide_policy_log(policy)[0])
			log_error("the verifier says:\n%s", memtide_policy_log(policy));
		memtide_policy_close(policy);
		return r;
	}
	manager->policy = policy;
	return 0;
}

/*
 * A policy that is wrong ends the start, so that whoever configured it sees it; one that may not be loaded does
 * not.
 */
static int start_policy(struct manager *manager, struct memtide_errtext *errtext)
{
	int r = load_policy(manager, errtext);

	if (r != -EPERM && r != -EACCES)
		return r;
	log_warning("no policy: %s (CAP_BPF is needed): VMs under pressure are relieved, nothing else is decided",
		    errtext->text);
	return 0;
}

static int set_up(struct manager *manager, struct memtide_errtext *errtext)
{
	int r;

	r = loop_new(&manager->loop);
	if (r < 0)
		return memtide_errtext_set(errtext, r, "cannot create an io_uring: %s%s", strerror(-r),
					   r == -EPERM ? " (see /proc/sys/kernel/io_uring_disabled)" : "");
	raise_file_limit();
	r = decision_log_new(manager->config.log_size, &manager->log);
	if (r >= 0)
		r = relief_init(manager);
	if (r >= 0)
		r = round_init(manager);
	if (r >= 0)
		r = open_signals(manager);
	if (r >= 0)
		r = worker_new(manager->loop, "limits", &manager->limits);
	if (r >= 0)
		r = worker_new(manager->loop, "loader", &manager->loader);
	if (r >= 0)
		r = store_new(manager->loop, manager->config.state_directory, &manager->store);
	manager->vms = calloc(BALANCE_MAX_VMS, sizeof(*manager->vms));
	if (r >= 0 && !manager->vms)
		r = -ENOMEM;
	if (r < 0)
		return memtide_errtext_set(errtext, r, "cannot start: %s", strerror(-r));
	memtide_ledger_init(&manager->ledger, manager->config.budget, manager->config.reserve);
	manager_update_budget(manager, false);
	tenants_load(manager);
	domains_load(manager);
	open_pressure(manager);
	open_exits(manager);
	return start_policy(manager, errtext);
}

int manager_new(const struct manager_options *options, struct memtide_config *config, struct manager **ret,
		struct memtide_errtext *errtext)
{
	struct manager *manager = calloc(1, sizeof(*manager));
	int r;

	if (!manager) {
		memtide_config_free(config);
		return memtide_errtext_set(errtext, -ENOMEM, "no memory");
	}
	manager->options = *options;
	manager->config = *config;
	manager->dry_run = options->dry_run || config->dry_run;
	manager->signals.fd = -1;
	manager->host.pressure.fd = -1;
	manager->exits.fd = -1;
	r = set_up(manager, errtext);
	if (r < 0) {
		manager_free(manager);
		return r;
	}
	manager->started_ns = loop_clock();
	*ret = manager;
	return 0;
}

int manager_run(struct manager *manager, struct memtide_errtext *errtext)
{
	int r;

	/* The control socket last: who can talk to it finds everything else in place. */
	r = vmm_server_new(manager, manager->config.vmm_socket, &manager->vmm, errtext);
	if (r >= 0)
		r = control_server_new(manager, manager->config.control_socket, &manager->control, errtext);
	if (r < 0)
		return r;
	log_info("budget %" PRIu64 " MiB%s, reserve %" PRIu64 " MiB, policy %s%s", manager->ledger.budget >> 20,
		 manager->config.budget_auto ? " (auto)" : "", manager->ledger.reserve >> 20,
		 manager->policy ? memtide_policy_name(manager->policy) : NO_POLICY,
		 manager->dry_run ? ", dry run: nothing is done" : "");
	notify_supervisor(NOTIFY_READY);
	r = loop_run(manager->loop);
	notify_supervisor(NOTIFY_STOPPING);
	if (r < 0)
		return memtide_errtext_set(errtext, r, "io_uring: %s", strerror(-r));
	return 0;
}

void manager_free(struct manager *manager)
{
	control_server_free(manager->control);
	vmm_server_free(manager->vmm);
	/* No rounds and no relief any more: VMs keep what they have. */
	manager->paused = true;
	while (manager->nr_vms)
		vm_free(manager->vms[manager->nr_vms - 1]);
	domains_free(manager);
	tenants_free(manager);
	store_free(manager->store);
	worker_free(manager->limits);
	worker_free(manager->loader);
	if (manager->loop) {
		relief_fini(manager);
		round_fini(manager);
	}
	memtide_policy_close(manager->policy);
	if (manager->signals.fd >= 0)
		close(manager->signals.fd);
	if (manager->host.pressure.fd >= 0)
		close(manager->host.pressure.fd);
	if (manager->exits.fd >= 0)
		close(manager->exits.fd);
	loop_free(manager->loop);
	decision_log_free(manager->log);
	memtide_config_free(&manager->config);
	free(manager->vms);
	free(manager);
}
