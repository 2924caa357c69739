// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of domains, their files and their processes.
 */
#include "domains.h"

#include "domain-json.h"
#include "domain-terms.h"
#include "manager.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * From prepare to the device's hello libvirt does what takes seconds.  What has not come after this long never will,
 * and whoever told of it was not heard.
 */
#define PREPARED_S	600
#define FOLDER		"domains"

static uint64_t seconds_now(void)
{
	return (uint64_t)time(NULL);
}

struct domain *domain_find(const struct manager *manager, const char *uuid)
{
	struct domain *domain = manager->domains.first;

	while (domain && strcasecmp(domain->about.uuid, uuid))
		domain = domain->next;
	return domain;
}

struct domain *domain_by_number(const struct manager *manager, uint64_t number)
{
	struct domain *domain = manager->domains.first;

	while (domain && domain->number != number)
		domain = domain->next;
	return domain;
}

/*
 * Processes
 */

/* When process @pid was started, in clock ticks since the host was; 0 if there is none. */
static uint64_t process_started(pid_t pid)
{
	unsigned long long started = 0;
	char path[64], text[1024], *after_name;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	after_name = strrchr(text, ')');
	if (!after_name || sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
				  "%*d %*d %llu", &started) != 1)
		return 0;
	return started;
}

static void process_ready(struct loop_source *source, uint32_t events)
{
	struct domain *domain = (struct domain *)((char *)source - offsetof(struct domain, process));

	domain_end(domain, "its process is gone", NULL, NULL);
}

static void unwatch(struct domain *domain)
{
	if (domain->process.fd < 0)
		return;
	loop_remove(domain->manager->loop, &domain->process);
	close(domain->process.fd);
	domain->process.fd = -1;
}

/* Its end is seen then.  One that has ended already is left to libvirt to tell. */
static void watch(struct domain *domain, pid_t pid)
{
	unwatch(domain);
	domain->pid = pid;
	domain->pid_started = process_started(pid);
	domain->process.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (domain->process.fd < 0)
		return;
	domain->process.ready = process_ready;
	if (loop_add(domain->manager->loop, &domain->process, POLLIN) < 0) {
		close(domain->process.fd);
		domain->process.fd = -1;
	}
}

/* VMs of one process share its cgroup: that is none of theirs. */
static void find_cgroup(struct domain *domain)
{
	char why[MEMTIDE_CGROUP_WHY_MAX];

	if (domain->vm)
		snprintf(domain->attached.cgroup, sizeof(domain->attached.cgroup), "%s", domain->vm->cgroup);
	else if (domain->pid <= 0 || domain->manager->options.same_process ||
		 memtide_cgroup_find(domain->pid, domain->attached.cgroup, why) < 0)
		domain->attached.cgroup[0] = '\0';
}

void domain_runs(struct domain *domain, pid_t pid)
{
	domain->phase = DOMAIN_RUNNING;
	loop_timer_clear(domain->manager->loop, &domain->timer);
	if (pid > 0 && pid != domain->pid)
		watch(domain, pid);
	find_cgroup(domain);
	domain_attach(domain);
}

/*
 * Coming and going
 */

static void domain_expired(struct loop_timer *timer)
{
	struct domain *domain = (struct domain *)((char *)timer - offsetof(struct domain, timer));

	domain_end(domain, "it was prepared and never came", NULL, NULL);
}

void domain_find_tenant(struct domain *domain)
{
	const char *name = domain->about.has_policy ? domain->about.policy.tenant : "";

	tenant_join(domain, name[0] ? tenant_get(domain->manager, name) : NULL);
}

struct domain *domain_new(struct manager *manager, const struct memtide_domain *about)
{
	struct domain *domain = domain_find(manager, about->uuid);

	if (domain)
		domain_free(domain);
	domain = calloc(1, sizeof(*domain));
	if (!domain)
		return NULL;
	domain->manager = manager;
	if (loop_timer_register(manager->loop, &domain->timer, domain_expired) < 0 ||
	    domain_prepare_init(domain) < 0) {
		loop_timer_unregister(manager->loop, &domain->timer);
		free(domain);
		return NULL;
	}
	domain->number = ++manager->domains.next_number;
	domain->about = *about;
	domain->process.fd = -1;
	domain->prepared_at = seconds_now();
	domain_find_tenant(domain);
	loop_timer_set(manager->loop, &domain->timer, loop_now(manager->loop) + PREPARED_S * NSEC_PER_SEC);
	domain->next = manager->domains.first;
	manager->domains.first = domain;
	return domain;
}

void domain_free(struct domain *domain)
{
	struct domain **at = &domain->manager->domains.first;

	while (*at != domain)
		at = &(*at)->next;
	*at = domain->next;
	domain_prepare_fini(domain);
	tenant_join(domain, NULL);
	domain_drop(domain);
	unwatch(domain);
	loop_timer_unregister(domain->manager->loop, &domain->timer);
	if (domain->vm)
		domain->vm->domain = NULL;
	free(domain);
}

static void file_name(const struct domain *domain, char ret_name[static 64])
{
	snprintf(ret_name, 64, FOLDER "/%s.json", domain->about.uuid);
}

void domain_end(struct domain *domain, const char *why, void (*done)(void *arg, int error), void *arg)
{
	struct manager *manager = domain->manager;
	char name[64];

	file_name(domain, name);
	domain_detach(domain);
	manager_note(manager, DECISION_VM, LOG_LEVEL_INFO, domain->vm, "domain %.64s: forgotten, %s",
		     domain->about.name, why);
	domain_free(domain);
	store_put(manager->store, name, NULL, false, done, arg);
	manager_room_changed(manager);
}

/*
 * Files
 */

static const char *const phases[] = { [DOMAIN_PREPARED] = "prepared", [DOMAIN_RUNNING] = "running" };

/* What runs does not outlive the host, and its file means nothing after that. */
static void boot_id(char ret_id[static 40])
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	ret_id[0] = '\0';
	if (!file)
		return;
	if (fgets(ret_id, 40, file))
		ret_id[strcspn(ret_id, "\n")] = '\0';
	fclose(file);
}

/* Only what is attached is worth knowing: it may have to be detached. */
static json_t *attached_json(const struct host_policies *policies)
{
	json_t *list = json_array();

	for (size_t i = 0; i < policies->nr; i++)
		if (policies->list[i].state == HOST_POLICY_ATTACHED)
			json_array_append_new(list, json_pack("{s:s, s:s}", "policy", policies->list[i].policy,
							      "families", policies->list[i].families));
	return list;
}

static void load_attached(const json_t *list, struct host_policies *ret_policies)
{
	const json_t *json;
	size_t i;

	json_array_foreach(list, i, json) {
		struct host_policy *one = &ret_policies->list[ret_policies->nr];

		if (ret_policies->nr == DOMAIN_HOSTS)
			return;
		snprintf(one->policy, sizeof(one->policy), "%s",
			 json_string_value(json_object_get(json, "policy")) ?: "");
		snprintf(one->families, sizeof(one->families), "%s",
			 json_string_value(json_object_get(json, "families")) ?: "");
		one->state = HOST_POLICY_ATTACHED;
		ret_policies->nr++;
	}
}

void domain_save(struct domain *domain, void (*done)(void *arg, int error), void *arg)
{
	char name[64], boot[40];
	json_t *json;

	file_name(domain, name);
	boot_id(boot);
	json = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:o}", "boot", boot, "phase", phases[domain->phase],
			 "prepared_at", (json_int_t)domain->prepared_at, "pid", (json_int_t)domain->pid,
			 "pid_started", (json_int_t)domain->pid_started,
			 "balloon_by_hand", (json_int_t)domain->balloon_by_hand,
			 "waits_for_policy", domain->waits_for_policy,
			 "domain", memtide_domain_to_json(&domain->about));
	if (json)
		json_object_set_new(json, "attached", attached_json(&domain->attached.policies));
	if (json && domain->tenant)
		json_object_set_new(json, "tenant_number", json_integer(domain->tenant->number));
	/* Without memory nothing is written, and certainly not removed. */
	if (json)
		store_put(domain->manager->store, name, json, false, done, arg);
	else if (done)
		done(arg, -ENOMEM);
}

static bool is_phase(const json_t *json, enum domain_phase phase)
{
	const char *word = json_string_value(json_object_get(json, "phase"));

	return word && !strcmp(word, phases[phase]);
}

/* Whether what the file tells of is still there. */
static bool still_there(const json_t *json)
{
	uint64_t prepared_at = (uint64_t)json_integer_value(json_object_get(json, "prepared_at"));
	uint64_t started = (uint64_t)json_integer_value(json_object_get(json, "pid_started"));
	pid_t pid = (pid_t)json_integer_value(json_object_get(json, "pid"));
	const char *boot = json_string_value(json_object_get(json, "boot"));
	char this_boot[40];

	boot_id(this_boot);
	if (!boot || strcmp(boot, this_boot))
		return false;
	if (is_phase(json, DOMAIN_PREPARED))
		return seconds_now() - prepared_at < PREPARED_S;
	return pid <= 0 || process_started(pid) == started;
}

/* Also of a domain that is gone: the number is still its tenant's. */
static void recall_tenant(struct manager *manager, const json_t *json)
{
	const json_t *policy = json_object_get(json_object_get(json, "domain"), "policy");
	const char *name = json_string_value(json_object_get(policy, "tenant"));
	json_int_t number = json_integer_value(json_object_get(json, "tenant_number"));

	if (name && name[0] && strlen(name) < MEMTIDE_DOMAIN_NAME && number > 0 && number <= UINT32_MAX)
		tenant_recall(manager, name, (uint32_t)number);
}

static int load_one(struct manager *manager, const json_t *json, struct memtide_errtext *errtext)
{
	uint64_t prepared_at = (uint64_t)json_integer_value(json_object_get(json, "prepared_at"));
	struct memtide_domain about;
	struct domain *domain;
	int r;

	recall_tenant(manager, json);
	if (!still_there(json))
		return memtide_errtext_set(errtext, -ESRCH, "it is gone");
	r = memtide_domain_from_json(json_object_get(json, "domain"), &about, errtext);
	if (r < 0)
		return r;
	domain = domain_new(manager, &about);
	if (!domain)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory");
	domain->prepared_at = prepared_at;
	domain->balloon_by_hand = (uint64_t)json_integer_value(json_object_get(json, "balloon_by_hand"));
	domain->waits_for_policy = json_is_true(json_object_get(json, "waits_for_policy"));
	load_attached(json_object_get(json, "attached"), &domain->attached.policies);
	if (is_phase(json, DOMAIN_RUNNING))
		domain_runs(domain, (pid_t)json_integer_value(json_object_get(json, "pid")));
	else
		loop_timer_set(manager->loop, &domain->timer, loop_now(manager->loop) +
			       (PREPARED_S - (seconds_now() - prepared_at)) * NSEC_PER_SEC);
	/* There is no refusing any more.  One with a device says by itself what it has. */
	if (domain->phase == DOMAIN_RUNNING && !about.limits.tide_device)
		domain_hold_all(domain);
	else
		domain_hold(domain, true, NULL);
	return 0;
}

static void load_found(void *arg, const char *name, json_t *json)
{
	struct memtide_errtext errtext = { .text = "" };
	struct manager *manager = arg;

	if (load_one(manager, json, &errtext) < 0) {
		manager_note(manager, DECISION_VM, LOG_LEVEL_INFO, NULL, "%s is removed: %s", name, errtext.text);
		store_put(manager->store, name, NULL, false, NULL, NULL);
	}
}

void domains_load(struct manager *manager)
{
	store_each(manager->store, FOLDER, load_found, manager);
}

void domains_free(struct manager *manager)
{
	while (manager->domains.first)
		domain_free(manager->domains.first);
}

/*
 * Domains and VMs
 */

/* What the domain itself, or somebody by hand, leaves of @ram. */
static uint64_t most_of(const struct domain *domain, uint64_t ram)
{
	uint64_t most = memtide_domain_most(&domain->about.limits);

	if (domain->balloon_by_hand && domain->balloon_by_hand < most)
		most = domain->balloon_by_hand;
	return most < ram ? most : ram;
}

static int terms_of(const struct manager *manager, const struct memtide_config *config, const struct domain *domain,
		    const char *name, const char *uuid, uint64_t ram, struct memtide_config_vm *ret_terms,
		    struct memtide_errtext *errtext)
{
	uint64_t tenant_shares = MEMTIDE_CONFIG_UNSET;
	struct memtide_config_vm terms;
	int r;

	r = memtide_config_vm(config, name, uuid, ram, &terms, errtext);
	if (r < 0)
		return r;
	if (domain && domain->tenant)
		tenant_shares = tenant_terms(manager, domain->tenant).shares;
	if (domain)
		terms = domain_terms(&terms, domain->about.has_policy ? &domain->about.policy : NULL, tenant_shares,
				     most_of(domain, ram));
	*ret_terms = terms;
	return 0;
}

int domains_terms(const struct manager *manager, const struct memtide_config *config, const char *name,
		  const char *uuid, uint64_t ram, struct memtide_config_vm *ret_terms,
		  struct memtide_errtext *errtext)
{
	const struct domain *domain = uuid ? domain_find(manager, uuid) : NULL;
	int r = terms_of(manager, config, domain, name, uuid, ram, ret_terms, errtext);
	uint64_t left = domain ? tenant_floor_left(domain) : UINT64_MAX;

	if (!r && ret_terms->floor > left)
		ret_terms->floor = left;
	return r;
}

int domain_tenant_allows(const struct domain *domain, struct memtide_errtext *errtext)
{
	const struct memtide_domain *about = &domain->about;
	uint64_t ram = about->limits.memory.value, left = tenant_floor_left(domain);
	struct memtide_config_vm terms;

	if (left == UINT64_MAX || ram == MEMTIDE_DOMAIN_UNSET ||
	    terms_of(domain->manager, &domain->manager->config, domain, about->name, about->uuid, ram, &terms, NULL) < 0 ||
	    terms.floor <= left)
		return 0;
	return memtide_errtext_set(errtext, -EDQUOT,
				   "its floor of %" PRIu64 " MiB and those of tenant %s's other VMs, %" PRIu64
				   " MiB, do not fit the tenant's budget of %" PRIu64
				   " MiB: lower floors or raise the budget", terms.floor >> 20, domain->tenant->name,
				   tenant_floors(domain->tenant, domain) >> 20,
				   tenant_terms(domain->manager, domain->tenant).budget >> 20);
}

void domains_vm_came(struct vm *vm)
{
	struct domain *domain = vm->has_uuid ? domain_find(vm->manager, vm->uuid_text) : NULL;

	if (!domain)
		return;
	domain->vm = vm;
	vm->domain = domain;
	/* Also where the VM was there first: it is charged what it has. */
	domain_drop(domain);
	domain->about.limits.tide_device = vm->kind == TIDE_VMM_DEVICE;
	domain_runs(domain, vm->pid);
	domain_save(domain, NULL, NULL);
	if (domain->about.has_policy)
		manager_note(vm->manager, DECISION_VM, LOG_LEVEL_INFO, vm,
			     "domain %.64s: floor %" PRIu64 " MiB, maximum %" PRIu64 " MiB, shares %" PRIu64
			     " by its policy", domain->about.name, vm->ledger.terms.floor >> 20,
			     vm->ledger.terms.maximum >> 20, (uint64_t)vm->ledger.terms.shares);
}

void domains_vm_gone(struct vm *vm)
{
	if (vm->domain)
		vm->domain->vm = NULL;
	vm->domain = NULL;
}

uint64_t domain_leave_balloon(const struct vm *vm, uint64_t bytes)
{
	uint64_t before = vm->domain ? vm->domain->balloon_by_hand : 0;

	if (before == bytes)
		return before;
	vm->domain->balloon_by_hand = bytes;
	domain_save(vm->domain, NULL, NULL);
	return before;
}

void domain_wait_for_policy(const struct vm *vm, bool wait)
{
	if (!vm->domain || vm->domain->waits_for_policy == wait)
		return;
	vm->domain->waits_for_policy = wait;
	domain_save(vm->domain, NULL, NULL);
}

uint64_t domains_hand_over(const struct vm *vm)
{
	struct domain *domain = vm->has_uuid ? domain_find(vm->manager, vm->uuid_text) : NULL;
	uint64_t held = domain ? domain->held.charged : 0;

	if (domain)
		domain_drop(domain);
	return held;
}

void domains_hand_back(const struct vm *vm)
{
	struct domain *domain = vm->has_uuid ? domain_find(vm->manager, vm->uuid_text) : NULL;

	if (!domain || domain->vm)
		return;
	if (domain->phase == DOMAIN_RUNNING)
		domain_hold_all(domain);
	else
		domain_hold(domain, true, NULL);
}
