// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What can be asked over the control socket, one function for each method.  Policies are in control-policy.c:
 * those answers come later.
 */
#include "control-methods.h"

#include "control.h"
#include "control-domain.h"
#include "control-policy.h"
#include "control-reply.h"
#include "control-show.h"
#include "control-socket.h"
#include "control-tenant.h"
#include "manager.h"
#include "policy.h"
#include "vm.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARSE_ERROR	-32700
#define INVALID_REQUEST	-32600
/* In lists the resident sizes may be as old as this.  With a budget of "auto" they are always younger. */
#define LIST_AGE_NS	(10 * NSEC_PER_SEC)
/* The log may be long: of a VM's entries the last few are shown, as far as they are among these newest ones. */
#define VM_DECISIONS	10
#define VM_DECISIONS_AMONG	2048

/*
 * Which VM
 */

static bool is_vm(const struct vm *vm, const json_t *which, char id[static 24])
{
	const char *text = json_string_value(which);

	if (json_is_integer(which))
		return vm->id == (uint64_t)json_integer_value(which);
	snprintf(id, 24, "%" PRIu64, vm->id);
	return text && (!strcmp(text, vm->name) || (vm->has_uuid && !strcasecmp(text, vm->uuid_text)) ||
			!strcmp(text, id));
}

/* By name, uuid or id.  NULL: answered already. */
static struct vm *find_vm(struct control_request *request)
{
	struct manager *manager = control_client_manager(request->client);
	const json_t *which = json_object_get(request->params, "vm");
	struct vm *found = NULL;
	char id[24];

	if (!json_is_string(which) && !json_is_integer(which)) {
		control_reply_error(request, MEMTIDE_ERROR_PARAMS, "\"vm\" is missing: a VM's name, uuid or id");
		return NULL;
	}
	for (uint32_t i = 0; i < manager->nr_vms; i++) {
		struct vm *vm = manager->vms[i];

		if (!is_vm(vm, which, id))
			continue;
		if (found) {
			control_reply_error(request, MEMTIDE_ERROR_PARAMS,
					    "more than one VM is \"%s\": use its uuid (%s, %s)",
					    json_string_value(which), found->uuid_text, vm->uuid_text);
			return NULL;
		}
		found = vm;
	}
	if (!found && json_is_string(which))
		control_reply_error(request, MEMTIDE_ERROR_NO_VM, "no VM is \"%s\"; %u are known",
				    json_string_value(which), manager->nr_vms);
	else if (!found)
		control_reply_error(request, MEMTIDE_ERROR_NO_VM, "no VM has this id; %u VMs are known",
				    manager->nr_vms);
	return found;
}

/*
 * Methods
 */

/* As many VMs as fit a line; how many did not is said. */
static void put_vms(const struct manager *manager, struct json_text *json, uint32_t from)
{
	uint32_t i;

	json_text_begin(json, "vms", '[');
	for (i = from; i < manager->nr_vms; i++) {
		size_t before = json->used;

		json_text_begin(json, NULL, '{');
		show_vm(json, manager->vms[i], LIST_AGE_NS);
		json_text_end(json, '}');
		if (json->used >= LINE_ROOM) {
			json->used = before;
			break;
		}
	}
	json_text_end(json, ']');
	if (i < manager->nr_vms)
		json_text_number(json, "vms_left_out", manager->nr_vms - i);
}

static void method_status(struct control_request *request)
{
	const struct manager *m = control_client_manager(request->client);
	uint64_t usable = 0, given = 0;
	struct host_memory memory = m->host.memory;
	struct json_text json;

	for (uint32_t i = 0; i < m->nr_vms; i++) {
		usable += m->vms[i]->ledger.usable;
		given += m->vms[i]->counters.given_bytes;
	}
	host_read_memory(&memory);
	control_reply_begin(request, &json);
	json_text_string(&json, "version", MEMTIDE_VERSION);
	json_text_number(&json, "pid", (uint64_t)getpid());
	json_text_number(&json, "uptime_ms", (loop_clock() - m->started_ns) / NSEC_PER_MSEC);
	json_text_bool(&json, "paused", m->paused);
	json_text_bool(&json, "dry_run", m->dry_run);
	json_text_string(&json, "policy", m->policy ? memtide_policy_name(m->policy) : NULL);
	json_text_number(&json, "budget", m->ledger.budget);
	json_text_string(&json, "budget_mode", m->config.budget_auto ? "auto" : "fixed");
	json_text_number(&json, "reserve", m->ledger.reserve);
	json_text_number(&json, "charged", m->ledger.charged);
	json_text_number(&json, "deficit", memtide_ledger_deficit(&m->ledger));
	json_text_number(&json, "ceilings", m->ledger.ceilings);
	json_text_number(&json, "usable", usable);
	json_text_number(&json, "given", given);
	json_text_number(&json, "host_total", memory.total);
	json_text_number(&json, "host_available", memory.available);
	json_text_number(&json, "rounds", m->round.rounds);
	json_text_ms(&json, "round_ms", m->round.took_ns);
	json_text_number(&json, "decisions", m->round.decisions);
	json_text_number(&json, "moved_bytes", m->moved_bytes);
	json_text_begin(&json, "relief", '{');
	show_relief(&json, m->relief_ns);
	json_text_end(&json, '}');
	json_text_begin(&json, "decide", '{');
	show_percentiles(&json, &m->decide_ns);
	json_text_end(&json, '}');
	json_text_number(&json, "nr_vms", m->nr_vms);
	put_vms(m, &json, 0);
	control_reply_end(request, &json);
}

static void method_vm_list(struct control_request *request)
{
	const struct manager *m = control_client_manager(request->client);
	json_int_t from = json_integer_value(json_object_get(request->params, "from"));
	struct json_text json;

	control_reply_begin(request, &json);
	put_vms(m, &json, from > 0 ? (uint32_t)from : 0);
	control_reply_end(request, &json);
}

static void put_decision(struct json_text *json, const struct decision *entry)
{
	json_text_begin(json, NULL, '{');
	show_decision(json, entry);
	json_text_end(json, '}');
}

static void put_decisions(const struct vm *vm, struct json_text *json)
{
	const struct decision_log *log = vm->manager->log;
	uint64_t seq = decision_log_next(log), end = seq > VM_DECISIONS_AMONG ? seq - VM_DECISIONS_AMONG : 1;
	const struct decision *entry, *last[VM_DECISIONS];
	unsigned int n = 0;

	while (seq > end && n < VM_DECISIONS) {
		entry = decision_log_from(log, --seq);
		if (!entry || entry->seq != seq)
			break;
		if (entry->vm_id == vm->id)
			last[n++] = entry;
	}
	json_text_begin(json, "decisions", '[');
	while (n)
		put_decision(json, last[--n]);
	json_text_end(json, ']');
}

static void method_vm_show(struct control_request *request)
{
	struct vm *vm = find_vm(request);
	struct json_text json;

	if (!vm)
		return;
	/* Somebody may wait for what is given to come to zero. */
	vm_follow_counters(vm);
	control_reply_begin(request, &json);
	show_vm(&json, vm, 0);
	json_text_begin(&json, "stats", '{');
	show_stats(&json, vm);
	json_text_end(&json, '}');
	put_decisions(vm, &json);
	control_reply_end(request, &json);
}

static void reply_vm(const struct control_request *request, struct vm *vm)
{
	struct json_text json;

	control_reply_begin(request, &json);
	show_vm(&json, vm, 0);
	control_reply_end(request, &json);
}

/*
 * A parameter that is a number of at least zero; stays what it was if it is not given.  false: answered already.
 */
static bool number_param(struct control_request *request, const char *name, uint64_t *value, bool *given)
{
	const json_t *json = json_object_get(request->params, name);

	if (!json || json_is_null(json))
		return true;
	if (!json_is_integer(json) || json_integer_value(json) < 0) {
		control_reply_error(request, MEMTIDE_ERROR_PARAMS, "\"%s\" has to be a whole number of at least 0",
				    name);
		return false;
	}
	*value = (uint64_t)json_integer_value(json);
	*given = true;
	return true;
}

static void method_vm_set(struct control_request *request)
{
	struct vm *vm = find_vm(request);
	struct memtide_errtext errtext = { .text = "" };
	uint64_t floor, maximum, shares;
	bool given = false;
	int r;

	if (!vm)
		return;
	floor = vm->ledger.terms.floor;
	maximum = vm->ledger.terms.maximum;
	shares = vm->ledger.terms.shares;
	if (!number_param(request, "floor", &floor, &given) ||
	    !number_param(request, "maximum", &maximum, &given) ||
	    !number_param(request, "shares", &shares, &given))
		return;
	if (!given) {
		control_reply_error(request, MEMTIDE_ERROR_PARAMS, "nothing to set: floor, maximum or shares");
		return;
	}
	if (shares < 1 || shares > MEMTIDE_LEDGER_SHARES) {
		control_reply_error(request, MEMTIDE_ERROR_PARAMS, "shares have to be from 1 to %d, not %" PRIu64,
				    MEMTIDE_LEDGER_SHARES, shares);
		return;
	}
	r = vm_change_terms(vm, floor, maximum, (uint32_t)shares, &errtext);
	if (r < 0) {
		control_reply_error(request, r == -EDQUOT ? MEMTIDE_ERROR_LEDGER : MEMTIDE_ERROR_PARAMS, "%s",
				    errtext.text);
		return;
	}
	vm->set_by_hand = true;
	manager_note(vm->manager, DECISION_CONTROL, LOG_LEVEL_INFO, vm,
		     "set by hand: floor %" PRIu64 " MiB, maximum %" PRIu64 " MiB, shares %" PRIu64, floor >> 20,
		     maximum >> 20, shares);
	reply_vm(request, vm);
}

static void release_or_adopt(struct control_request *request, bool release)
{
	bool until_policy = release && json_is_true(json_object_get(request->params, "until_policy"));
	struct memtide_errtext errtext = { .text = "" };
	struct vm *vm = find_vm(request);
	int r;

	if (!vm)
		return;
	if (vm->manager->dry_run) {
		control_reply_error(request, MEMTIDE_ERROR_BUSY, "this is a dry run: nothing is done to VMs");
		return;
	}
	if (!release && !vm->ledger.released) {
		control_reply_error(request, MEMTIDE_ERROR_PARAMS, "%s is managed already", vm->name);
		return;
	}
	r = release ? vm_release_all(vm, &errtext) : vm_adopt(vm, &errtext);
	if (r < 0) {
		control_reply_error(request, MEMTIDE_ERROR_LEDGER, "%s stays as it is: %s", vm->name, errtext.text);
		return;
	}
	if (until_policy)
		domain_wait_for_policy(vm, true);
	manager_note(vm->manager, DECISION_CONTROL, LOG_LEVEL_INFO, vm,
		     release ? "released: all its memory back, then left alone" : "managed again");
	reply_vm(request, vm);
}

static void method_vm_release(struct control_request *request)
{
	release_or_adopt(request, true);
}

static void method_vm_adopt(struct control_request *request)
{
	release_or_adopt(request, false);
}

static void pause_or_resume(struct control_request *request, bool pause)
{
	struct manager *manager = control_client_manager(request->client);
	struct json_text json;

	manager_set_paused(manager, pause);
	control_reply_begin(request, &json);
	json_text_bool(&json, "paused", manager->paused);
	control_reply_end(request, &json);
}

static void method_pause(struct control_request *request)
{
	pause_or_resume(request, true);
}

static void method_resume(struct control_request *request)
{
	pause_or_resume(request, false);
}

/* Entries behind @seq, as many as fit a line.  Returns the number of the last one of them. */
static uint64_t put_entries(const struct decision_log *log, uint64_t seq, struct json_text *json)
{
	const struct decision *entry;

	json_text_begin(json, "entries", '[');
	while ((entry = decision_log_from(log, seq + 1))) {
		size_t before = json->used;

		put_decision(json, entry);
		if (json->used >= LINE_ROOM) {
			json->used = before;
			break;
		}
		seq = entry->seq;
	}
	json_text_end(json, ']');
	return seq;
}

/*
 * The number behind which the newest entries are, as many as fit half a line.  From the end: there may be a
 * million before them.
 */
static uint64_t before_the_newest(const struct decision_log *log)
{
	uint64_t seq = decision_log_next(log) - 1;
	struct json_text json = { 0 };

	for (; seq && json.used < LINE_ROOM / 2 && !json.failed; seq--) {
		const struct decision *entry = decision_log_from(log, seq);

		if (entry->seq != seq)
			break;
		put_decision(&json, entry);
	}
	free(json.text);
	return seq;
}

/* "next" is the number to give as "after" in order to go on. */
static void method_log(struct control_request *request)
{
	const struct decision_log *log = control_client_manager(request->client)->log;
	const json_t *after = json_object_get(request->params, "after");
	json_int_t seq = json_integer_value(after);
	struct json_text json;

	control_reply_begin(request, &json);
	json_text_number(&json, "next", put_entries(log, after ? (uint64_t)(seq > 0 ? seq : 0) :
						    before_the_newest(log), &json));
	control_reply_end(request, &json);
	if (json_is_true(json_object_get(request->params, "follow")))
		control_client_follow(request->client);
}

static const struct method {
	const char *name;
	void (*call)(struct control_request *request);
	bool writes;
} methods[] = {
	{ "status", method_status, false },
	{ "vm.list", method_vm_list, false },
	{ "vm.show", method_vm_show, false },
	{ "vm.set", method_vm_set, true },
	{ "vm.release", method_vm_release, true },
	{ "vm.adopt", method_vm_adopt, true },
	{ "policy.list", control_policy_list, false },
	{ "policy.show", control_policy_show, false },
	{ "policy.load", control_policy_load, true },
	{ "domain.prepare", control_domain_prepare, true },
	{ "domain.started", control_domain_started, true },
	{ "domain.stopped", control_domain_stopped, true },
	{ "domain.release", control_domain_stopped, true },
	{ "domain.reconnect", control_domain_reconnect, true },
	{ "domain.metadata", control_domain_metadata, true },
	{ "domain.by_hand", control_domain_by_hand, true },
	{ "domain.list", control_domain_list, false },
	{ "domain.show", control_domain_show, false },
	{ "tenant.list", control_tenant_list, false },
	{ "tenant.show", control_tenant_show, false },
	{ "tenant.set", control_tenant_set, true },
	{ "pause", method_pause, true },
	{ "resume", method_resume, true },
	{ "log", method_log, false },
};

static void dispatch(struct control_request *request, const json_t *json)
{
	const char *name = json_string_value(json_object_get(json, "method"));

	request->id = json_object_get(json, "id");
	request->params = json_object_get(json, "params");
	if (!name || (request->params && !json_is_object(request->params))) {
		control_reply_error(request, INVALID_REQUEST,
				    "no request: \"method\" has to be a text, \"params\" an object");
		return;
	}
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(methods[i].name, name))
			continue;
		if (methods[i].writes && !control_client_may_write(request->client))
			control_reply_error(request, MEMTIDE_ERROR_NOT_ALLOWED,
					    "%s is for root and the daemon's own user", name);
		else
			methods[i].call(request);
		return;
	}
	control_reply_error(request, MEMTIDE_ERROR_METHOD, "no method \"%s\"", name);
}

void control_handle(struct control_client *client, const char *line, size_t size)
{
	struct control_request request = { .client = client };
	json_error_t error;
	json_t *json;

	if (!size)
		return;
	json = json_loadb(line, size, JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(json))
		dispatch(&request, json);
	else if (json)
		control_reply_error(&request, INVALID_REQUEST, "a request has to be one JSON object in a line");
	else
		control_reply_error(&request, PARSE_ERROR, "no JSON: %s", error.text);
	json_decref(json);
}
