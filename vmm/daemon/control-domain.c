// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests are checked here and carried out in domains.h; what changes a file is answered when that is written.
 */
#include "control-domain.h"

#include "control.h"
#include "control-reply.h"
#include "control-socket.h"
#include "domain-json.h"
#include "domains.h"
#include "manager.h"
#include "vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long an answer to domain.prepare is waited for where the request does not say. */
#define PREPARE_MS	5000
#define PREPARE_MS_MAX	60000

/*
 * Answers that wait for a file
 */

struct answer {
	struct manager *manager;
	struct control_later later;
	json_t *result;
};

static void answer_now(void *arg, int error)
{
	struct answer *answer = arg;
	struct control_request request;

	json_object_set_new(answer->result, "stored", json_boolean(!error));
	if (control_later_find(answer->manager, &answer->later, &request))
		control_reply(&request, json_incref(answer->result));
	control_later_drop(&answer->later);
	json_decref(answer->result);
	free(answer);
}

/* NULL: answered already. */
static struct answer *answer_later(struct control_request *request, json_t *result)
{
	struct answer *answer = calloc(1, sizeof(*answer));

	if (!answer) {
		json_decref(result);
		control_reply_error(request, MEMTIDE_ERROR_BUSY, "no memory");
		return NULL;
	}
	answer->manager = control_client_manager(request->client);
	answer->result = result;
	control_later(request, &answer->later);
	return answer;
}

/*
 * Parameters.  Each returns false where it has answered already.
 */

static bool domain_param(struct control_request *request, struct memtide_domain *ret_about)
{
	struct memtide_errtext errtext;

	if (!memtide_domain_from_json(json_object_get(request->params, "domain"), ret_about, &errtext))
		return true;
	control_reply_error(request, MEMTIDE_ERROR_PARAMS, "\"domain\": %s", errtext.text);
	return false;
}

static bool uuid_param(struct control_request *request, char ret_uuid[static 37])
{
	if (memtide_domain_uuid(json_string_value(json_object_get(request->params, "uuid")), ret_uuid))
		return true;
	control_reply_error(request, MEMTIDE_ERROR_PARAMS, "\"uuid\" is missing: a domain's UUID");
	return false;
}

/*
 * Methods
 */

void control_domain_prepare(struct control_request *request)
{
	const json_t *time = json_object_get(request->params, "time_ms");
	json_int_t ms = time ? json_integer_value(time) : PREPARE_MS;
	struct memtide_domain about;

	if (!domain_param(request, &about))
		return;
	if (ms < 0 || ms > PREPARE_MS_MAX) {
		control_reply_error(request, MEMTIDE_ERROR_PARAMS, "\"time_ms\" has to be from 0 to %d",
				    PREPARE_MS_MAX);
		return;
	}
	domain_prepare(request, &about, (uint64_t)ms * NSEC_PER_MSEC);
}

static struct vm *find_vm(const struct manager *manager, const char *uuid)
{
	for (uint32_t i = 0; i < manager->nr_vms; i++)
		if (manager->vms[i]->has_uuid && !strcasecmp(manager->vms[i]->uuid_text, uuid))
			return manager->vms[i];
	return NULL;
}

/* A VM that was there before its domain was known: it gets the policy now. */
static void meet(struct domain *domain, struct vm *vm)
{
	struct memtide_errtext errtext = { .text = "" };

	domains_vm_came(vm);
	if (!vm_is_by_hand(vm) && vm_own_terms(vm, &errtext) < 0)
		manager_note(vm->manager, DECISION_VM, LOG_LEVEL_WARNING, vm,
			     "the policy of its domain is not in force: %.180s", errtext.text);
}

/* It runs, whether or not its start was heard of. */
static void domain_is_there(struct control_request *request, const char *how)
{
	struct manager *manager = control_client_manager(request->client);
	json_int_t pid = json_integer_value(json_object_get(request->params, "pid"));
	struct memtide_domain about;
	struct answer *answer;
	struct domain *domain;
	struct vm *vm;
	bool known;

	if (!domain_param(request, &about))
		return;
	domain = domain_find(manager, about.uuid);
	known = domain;
	if (!known)
		domain = domain_new(manager, &about);
	answer = domain ? answer_later(request, json_pack("{s:b}", "known", known)) : NULL;
	if (!answer)
		return;
	if (!known)
		manager_note(manager, DECISION_VM, LOG_LEVEL_INFO, NULL, "domain %.64s was found running (%s)",
			     about.name, how);
	vm = domain->vm ? NULL : find_vm(manager, about.uuid);
	if (vm) {
		meet(domain, vm);
	} else {
		domain_runs(domain, (pid_t)pid);
		if (!domain->vm && !domain->about.limits.tide_device)
			domain_hold_all(domain);
	}
	domain_save(domain, answer_now, answer);
	manager_room_changed(manager);
}

void control_domain_started(struct control_request *request)
{
	domain_is_there(request, "started");
}

void control_domain_reconnect(struct control_request *request)
{
	domain_is_there(request, "reconnect");
}

/* Who hears of ends later than the hook says whose: meanwhile it may be about to start again, or run. */
static bool is_another_run(const struct domain *domain, const json_t *pid)
{
	return json_is_integer(pid) && (domain->phase == DOMAIN_PREPARED ||
					(domain->pid && domain->pid != (pid_t)json_integer_value(pid)));
}

void control_domain_stopped(struct control_request *request)
{
	struct manager *manager = control_client_manager(request->client);
	struct answer *answer;
	struct domain *domain;
	char uuid[37];

	if (!uuid_param(request, uuid))
		return;
	domain = domain_find(manager, uuid);
	if (domain && is_another_run(domain, json_object_get(request->params, "pid")))
		domain = NULL;
	answer = answer_later(request, json_pack("{s:b}", "known", domain != NULL));
	if (!answer)
		return;
	if (domain)
		domain_end(domain, "it has stopped", answer_now, answer);
	else
		answer_now(answer, 0);
}

/*
 * A change of policy while it runs
 */

/* Terms by the policy that @domain has now, all or nothing. */
static int apply_terms(struct domain *domain, struct memtide_errtext *errtext)
{
	if (domain->vm && vm_is_by_hand(domain->vm))
		return 0;
	if (domain->vm) {
		int r = domain_tenant_allows(domain, errtext);

		return r < 0 ? r : vm_own_terms(domain->vm, errtext);
	}
	if (domain->phase == DOMAIN_PREPARED || domain->about.limits.tide_device)
		return domain_hold(domain, false, errtext);
	domain_hold_all(domain);
	return 0;
}

/* One that is under way: terms first, which can be taken back at once, then what is in the kernel. */
struct change {
	struct manager *manager;
	struct control_later later;
	struct memtide_domain before;
};

static void use_policy(struct domain *domain, const struct memtide_domain *about)
{
	domain->about = *about;
	domain_find_tenant(domain);
}

static void take_back(struct domain *domain, const struct memtide_domain *before)
{
	use_policy(domain, before);
	if (apply_terms(domain, NULL) < 0 && !domain->vm)
		domain_hold(domain, true, NULL);
}

static void keep_policy(struct control_request *request, struct domain *domain, int error, const char *why)
{
	int code = error == -EDQUOT ? MEMTIDE_ERROR_LEDGER : error == -ENOMEM ? MEMTIDE_ERROR_BUSY :
		   MEMTIDE_ERROR_POLICY;

	manager_note(domain->manager, DECISION_VM, LOG_LEVEL_WARNING, domain->vm,
		     "domain %.64s keeps its policy: %.160s", domain->about.name, why);
	if (request)
		control_reply_error(request, code, "%s", why);
}

static void change_ends(struct change *change)
{
	control_later_drop(&change->later);
	free(change);
}

/* Whose VM was released since it had none is managed again. */
static void policy_is_back(struct domain *domain)
{
	struct memtide_errtext errtext = { .text = "" };

	if (!domain->waits_for_policy || !domain->about.has_policy)
		return;
	if (domain->vm && vm_adopt(domain->vm, &errtext) < 0)
		manager_note(domain->manager, DECISION_VM, LOG_LEVEL_WARNING, domain->vm,
			     "has a policy again, and stays released: %.180s", errtext.text);
	domain->waits_for_policy = false;
}

static void policies_changed(struct domain *domain, int error, const struct memtide_errtext *errtext, void *arg)
{
	struct change *change = arg;
	struct control_request request;
	bool asked = control_later_find(change->manager, &change->later, &request);
	struct answer *answer;

	if (!domain) {
		if (asked)
			control_reply_error(&request, MEMTIDE_ERROR_NO_VM, "the domain has ended meanwhile");
		change_ends(change);
		return;
	}
	domain->changing = false;
	if (error) {
		take_back(domain, &change->before);
		keep_policy(asked ? &request : NULL, domain, error, errtext->text);
		change_ends(change);
		return;
	}
	manager_note(change->manager, DECISION_VM, LOG_LEVEL_INFO, domain->vm, "domain %.64s has a new policy%s",
		     domain->about.name, domain->vm && domain->vm->set_by_hand ?
		     "; floor, maximum and shares stay as set by hand" : "");
	policy_is_back(domain);
	answer = asked ? answer_later(&request, json_object()) : NULL;
	domain_save(domain, answer ? answer_now : NULL, answer);
	manager_room_changed(change->manager);
	change_ends(change);
}

static void change_policy(struct control_request *request, struct domain *domain,
			  const struct memtide_domain_policy *policy)
{
	struct memtide_errtext errtext = { .text = "" };
	struct change *change = calloc(1, sizeof(*change));
	struct memtide_domain about = domain->about;
	int r;

	if (!change) {
		control_reply_error(request, MEMTIDE_ERROR_BUSY, "no memory");
		return;
	}
	change->manager = domain->manager;
	change->before = domain->about;
	about.has_policy = policy;
	if (policy)
		about.policy = *policy;
	use_policy(domain, &about);
	r = apply_terms(domain, &errtext);
	if (r < 0 && r != -ENODATA) {
		take_back(domain, &change->before);
		keep_policy(request, domain, r, errtext.text);
		change_ends(change);
		return;
	}
	domain->changing = true;
	control_later(request, &change->later);
	domain_attach_change(domain, policies_changed, change);
}

/* Whoever has read the XML says what is wrong in it. */
static void note_wrong(struct control_request *request, const struct domain *domain, const char *words)
{
	manager_note(domain->manager, DECISION_VM, LOG_LEVEL_WARNING, domain->vm,
		     "domain %.64s keeps its policy: the one in its XML is wrong: %.140s", domain->about.name, words);
	control_reply(request, json_object());
}

void control_domain_metadata(struct control_request *request)
{
	const char *error = json_string_value(json_object_get(request->params, "error"));
	struct manager *manager = control_client_manager(request->client);
	const json_t *json = json_object_get(request->params, "policy");
	struct memtide_errtext errtext = { .text = "" };
	struct memtide_domain_policy policy;
	struct domain *domain;
	char uuid[37];

	if (!uuid_param(request, uuid))
		return;
	domain = domain_find(manager, uuid);
	if (!domain)
		control_reply_error(request, MEMTIDE_ERROR_NO_VM, "no domain has the UUID %s", uuid);
	else if (error)
		note_wrong(request, domain, error);
	else if (domain->changing)
		control_reply_error(request, MEMTIDE_ERROR_BUSY, "another policy is just being put in place");
	else if (!json_is_null(json) && memtide_domain_policy_from_json(json, &policy, &errtext) < 0)
		control_reply_error(request, MEMTIDE_ERROR_PARAMS, "\"policy\": %s", errtext.text);
	else
		change_policy(request, domain, json_is_null(json) ? NULL : &policy);
}

/*
 * Values that somebody has set past us
 */

void control_domain_by_hand(struct control_request *request)
{
	struct manager *manager = control_client_manager(request->client);
	const json_t *balloon = json_object_get(request->params, "balloon");
	uint64_t bytes = (uint64_t)json_integer_value(balloon);
	struct answer *answer;
	struct domain *domain;
	char uuid[37];

	if (!uuid_param(request, uuid))
		return;
	domain = domain_find(manager, uuid);
	if (!domain) {
		control_reply_error(request, MEMTIDE_ERROR_NO_VM, "no domain has the UUID %s", uuid);
		return;
	}
	if (json_integer_value(balloon) <= 0 || bytes > MEMTIDE_LEDGER_BYTES) {
		control_reply_error(request, MEMTIDE_ERROR_PARAMS,
				    "\"balloon\" has to be a number of bytes from 1 to %llu", MEMTIDE_LEDGER_BYTES);
		return;
	}
	answer = answer_later(request, json_pack("{s:b}", "known", domain->vm != NULL));
	if (!answer)
		return;
	domain->balloon_by_hand = bytes;
	if (domain->vm && !manager->dry_run)
		vm_balloon_set_by_hand(domain->vm, bytes);
	domain_save(domain, answer_now, answer);
}

/*
 * Showing
 */

static json_t *number_or_null(uint64_t value)
{
	return value == MEMTIDE_DOMAIN_UNSET ? json_null() : json_integer((json_int_t)value);
}

static json_t *obstacles_json(const struct memtide_domain_limits *limits)
{
	json_t *list = json_array();

	for (int i = 0; i < MEMTIDE_OBSTACLES; i++)
		if (limits->obstacles[i].element)
			json_array_append_new(list, json_string(memtide_obstacle_name(i)));
	return list;
}

static const char *why(const struct domain *domain)
{
	if (domain->vm)
		return "";
	if (domain->phase == DOMAIN_PREPARED)
		return "libvirt is about to start it";
	if (!memtide_domain_reclaimable(&domain->about.limits))
		return "no memory can be taken from it: charged all of it";
	if (domain->about.limits.tide_device)
		return "its device has not said hello yet";
	if (!domain->about.has_policy)
		return "it has no virtio-tide device and no policy: left alone, charged all of its memory";
	if (domain->about.limits.no_balloon)
		return "it has no virtio-tide device and no balloon, and nothing was reclaimed yet (memtide-agent, swap "
		       "and a cgroup v2 of its own are needed): charged all of its memory";
	return "it has no virtio-tide device, and memtide-agent does not stand in for it yet: charged all of its memory";
}

static json_t *policies_json(const struct host_policies *policies)
{
	json_t *list = json_array();

	for (size_t i = 0; i < policies->nr; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "policy", policies->list[i].policy, "state",
						      host_policy_state_name(policies->list[i].state), "why",
						      policies->list[i].why));
	return list;
}

static json_t *domain_json(const struct domain *domain)
{
	const struct memtide_domain_policy *policy = domain->about.has_policy ? &domain->about.policy : NULL;
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:I}", "name", domain->about.name,
				 "uuid", domain->about.uuid,
				 "phase", domain->phase == DOMAIN_PREPARED ? "prepared" : "running",
				 "why", why(domain), "device", domain->about.limits.tide_device,
				 "changing", domain->changing, "held", (json_int_t)domain->held.charged);

	json_object_set_new(json, "pid", domain->pid ? json_integer(domain->pid) : json_null());
	json_object_set_new(json, "vm", domain->vm ? json_integer((json_int_t)domain->vm->id) : json_null());
	json_object_set_new(json, "tenant", domain->tenant ? json_string(domain->tenant->name) : json_null());
	json_object_set_new(json, "tenant_number", domain->tenant ? json_integer(domain->tenant->number) : json_null());
	json_object_set_new(json, "memory", number_or_null(domain->about.limits.memory.value));
	json_object_set_new(json, "obstacles", obstacles_json(&domain->about.limits));
	json_object_set_new(json, "cgroup", domain->attached.cgroup[0] ? json_string(domain->attached.cgroup) :
			    json_null());
	json_object_set_new(json, "host_policies", policies_json(&domain->attached.policies));
	json_object_set_new(json, "policy", policy ? memtide_domain_policy_to_json(policy) : json_null());
	return json;
}

/* As many as fit a line, without the first @skip; how many did not is said. */
static void put_domains(const struct manager *manager, struct json_text *json, uint64_t skip)
{
	uint64_t left_out = 0;

	json_text_begin(json, "domains", '[');
	for (struct domain *domain = manager->domains.first; domain; domain = domain->next) {
		size_t before = json->used;
		json_t *one;

		if (skip) {
			skip--;
			continue;
		}
		if (!left_out) {
			one = domain_json(domain);
			json_text_value(json, NULL, one);
			json_decref(one);
		}
		if (left_out || json->used >= LINE_ROOM) {
			json->used = before;
			left_out++;
		}
	}
	json_text_end(json, ']');
	if (left_out)
		json_text_number(json, "domains_left_out", left_out);
}

void control_domain_list(struct control_request *request)
{
	json_int_t from = json_integer_value(json_object_get(request->params, "from"));
	struct json_text json;

	control_reply_begin(request, &json);
	put_domains(control_client_manager(request->client), &json, from > 0 ? (uint64_t)from : 0);
	control_reply_end(request, &json);
}

void control_domain_show(struct control_request *request)
{
	struct domain *domain;
	char uuid[37];

	if (!uuid_param(request, uuid))
		return;
	domain = domain_find(control_client_manager(request->client), uuid);
	if (domain)
		control_reply(request, domain_json(domain));
	else
		control_reply_error(request, MEMTIDE_ERROR_NO_VM, "no domain has the UUID %s", uuid);
}
