// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What can be asked over the control socket, one function for each method, and what comes over it about VMs and
 * decisions.  Policies are in control-policy.c: those answers come later.
 */
#include "control-methods.h"

#include "control.h"
#include "control-policy.h"
#include "control-reply.h"
#include "control-socket.h"
#include "decide.h"
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

#include "tide_balance.h"

#define PARSE_ERROR	-32700
#define INVALID_REQUEST	-32600
/* Of a line, for what is around the entries or VMs. */
#define LINE_ROOM	(MEMTIDE_CONTROL_LINE_MAX - 64 * 1024)
/* The log may be long: of a VM's entries the last few are shown, as far as they are among these newest ones. */
#define VM_DECISIONS	10
#define VM_DECISIONS_AMONG	2048

static json_t *size_json(uint64_t bytes)
{
	return json_integer((json_int_t)bytes);
}

static json_t *percentiles(const struct memtide_histogram *ns)
{
	json_t *json = json_object();

	json_object_set_new(json, "n", json_integer((json_int_t)ns->count));
	json_object_set_new(json, "p50_ms", json_real(memtide_histogram_at(ns, 500) / 1e6));
	json_object_set_new(json, "p99_ms", json_real(memtide_histogram_at(ns, 990) / 1e6));
	json_object_set_new(json, "max_ms", json_real(ns->max / 1e6));
	return json;
}

static json_t *relief_json(const struct memtide_histogram *by_path)
{
	static const struct memtide_histogram none;

	return json_pack("{s:o, s:o, s:o}",
			 "credit", percentiles(by_path ? &by_path[VIRTIO_TIDE_PATH_CREDIT] : &none),
			 "reserve", percentiles(by_path ? &by_path[VIRTIO_TIDE_PATH_RESERVE] : &none),
			 "donor", percentiles(by_path ? &by_path[VIRTIO_TIDE_PATH_DONOR] : &none));
}

static const char *why(const struct vm *vm)
{
	const char *state = vm_state_name(vm);

	if (!strcmp(state, "starting"))
		return "no driver yet: charged its maximum";
	if (!strcmp(state, "inhibited"))
		return "gives fail for now: charged its maximum";
	if (!strcmp(state, "released"))
		return "taken out of management";
	if (!strcmp(state, "unanswering"))
		return "its driver does not answer: charged as before";
	if (!strcmp(state, "stalled"))
		return "cannot come down: left alone for a while";
	if (vm->ledger.throttled)
		return "throttled: no room for its maximum, its cgroup's limit holds it";
	return vm->cgroup[0] ? "" : vm->not_enforced;
}

static uint64_t resident(const struct vm *vm)
{
	uint64_t bytes;

	if (vm->cgroup[0] ? !cgroup_read(vm->cgroup, "memory.current", &bytes)
			  : !process_resident(vm->pid, &bytes))
		return bytes;
	return 0;
}

static json_t *vm_json(const struct vm *vm)
{
	const struct memtide_ledger_vm *ledger = &vm->ledger;
	uint64_t age = vm_stats_age_ns(vm) / NSEC_PER_MSEC;
	json_t *json = json_object();

	json_object_set_new(json, "id", json_integer((json_int_t)vm->id));
	json_object_set_new(json, "name", json_stringn_nocheck(vm->name, strlen(vm->name)));
	json_object_set_new(json, "uuid", vm->has_uuid ? json_string(vm->uuid_text) : json_null());
	json_object_set_new(json, "pid", json_integer(vm->pid));
	json_object_set_new(json, "cgroup", vm->cgroup[0] ? json_string(vm->cgroup) : json_null());
	json_object_set_new(json, "state", json_string(vm_state_name(vm)));
	json_object_set_new(json, "why", json_string(why(vm)));
	json_object_set_new(json, "tenant", json_null());
	json_object_set_new(json, "connected", json_boolean(vm->socket.fd >= 0));
	json_object_set_new(json, "floor", size_json(ledger->terms.floor));
	json_object_set_new(json, "maximum", size_json(ledger->terms.maximum));
	json_object_set_new(json, "shares", json_integer(ledger->terms.shares));
	json_object_set_new(json, "entitlement", size_json(memtide_ledger_entitlement(ledger)));
	json_object_set_new(json, "usable", size_json(ledger->usable));
	json_object_set_new(json, "target", size_json(vm->target));
	json_object_set_new(json, "ceiling", size_json(ledger->ceiling));
	json_object_set_new(json, "charged", size_json(ledger->charged));
	json_object_set_new(json, "credit",
			    size_json(ledger->ceiling > ledger->usable ? ledger->ceiling - ledger->usable : 0));
	json_object_set_new(json, "given", size_json(vm->counters.given_bytes));
	json_object_set_new(json, "given_huge", size_json(vm->counters.given_huge_bytes));
	json_object_set_new(json, "resident", size_json(resident(vm)));
	json_object_set_new(json, "enforced", json_boolean(vm->cgroup[0]));
	json_object_set_new(json, "stats_age_ms", vm->stats_ns ? json_integer((json_int_t)age) : json_null());
	json_object_set_new(json, "pressure", json_boolean(vm->pressed));
	json_object_set_new(json, "moving", json_boolean(vm->lowering));
	json_object_set_new(json, "unused_grants", json_integer(vm->unused));
	json_object_set_new(json, "doorbell_floods",
			    json_integer((json_int_t)(vm->doorbell.floods + vm->notify.floods)));
	json_object_set_new(json, "oom_kills", json_integer((json_int_t)vm->stats.oom_kill));
	json_object_set_new(json, "relief", relief_json(vm->relief_ns));
	return json;
}

static json_t *stats_json(const struct vm *vm)
{
	const struct memtide_stats *s = &vm->stats;
	const struct {
		const char *name;
		uint64_t value;
	} values[] = {
		{ "total", s->total }, { "free", s->free }, { "available", s->available }, { "anon", s->anon },
		{ "file", s->file }, { "file_active", s->file_active }, { "slab", s->slab }, { "given", s->given },
		{ "time_ns", s->time_ns }, { "generation", s->generation }, { "flags", s->flags },
		{ "refresh", s->refresh }, { "psi_some_us", s->psi_some_us }, { "psi_full_us", s->psi_full_us },
		{ "refault_file", s->refault_file }, { "refault_anon", s->refault_anon },
		{ "scan_direct", s->scan_direct }, { "steal_anon", s->steal_anon }, { "swap_in", s->swap_in },
		{ "swap_out", s->swap_out }, { "alloc_stall", s->alloc_stall }, { "oom_kill", s->oom_kill },
		{ "pressure", s->pressure }, { "refault_file_rate", vm->rates.refault_file },
		{ "refault_anon_rate", vm->rates.refault_anon }, { "psi_some_rate", vm->rates.psi_some },
		{ "cpu_us", s->cpu_us }, { "cpu_rate", vm->rates.cpu },
	};
	json_t *json = json_object();

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		json_object_set_new(json, values[i].name, json_integer((json_int_t)(values[i].value & INT64_MAX)));
	return json;
}

/* Counters run to 2^64, JSON's numbers do not. */
static void put_number(json_t *json, const char *name, uint64_t value)
{
	json_object_set_new(json, name, json_integer((json_int_t)(value & INT64_MAX)));
}

static const char *path_name(uint32_t path)
{
	switch (path) {
	case VIRTIO_TIDE_PATH_CREDIT:
		return "credit";
	case VIRTIO_TIDE_PATH_RESERVE:
		return "reserve";
	default:
		return "donor";
	}
}

static json_t *inputs_json(const struct decision *entry)
{
	const struct decision_inputs *in = &entry->inputs;
	json_t *json = json_object();

	if (entry->path) {
		json_object_set_new(json, "path", json_string(path_name(entry->path)));
		put_number(json, "ns", entry->path_ns);
		put_number(json, "bytes", entry->path_bytes);
	}
	if (!entry->has_inputs)
		return json;
	put_number(json, "usable", in->usable);
	put_number(json, "charged", in->charged);
	put_number(json, "floor", in->floor);
	put_number(json, "maximum", in->maximum);
	put_number(json, "entitlement", in->entitlement);
	put_number(json, "wanted", in->wanted);
	put_number(json, "available", in->available);
	put_number(json, "anon", in->anon);
	put_number(json, "file", in->file);
	put_number(json, "refault_file_rate", in->refault_file_rate);
	put_number(json, "refault_anon_rate", in->refault_anon_rate);
	put_number(json, "psi_some_rate", in->psi_some_rate);
	put_number(json, "stats_age_ms", in->stats_age_ms);
	put_number(json, "budget", in->budget);
	put_number(json, "room", in->room);
	return json;
}

/* In the order of enum decide_bound. */
static json_t *bounds_json(uint32_t bounds)
{
	static const char *const names[] = {
		"unmanaged", "stale", "moving", "stalled", "floor", "maximum", "step", "small", "entitlement",
		"nonsense",
	};
	json_t *json = json_array();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bounds & 1u << i)
			json_array_append_new(json, json_string(names[i]));
	return json;
}

static json_t *name_or_null(const char *name)
{
	return name && name[0] ? json_string(name) : json_null();
}

static json_t *entry_json(const struct decision *entry)
{
	char text[DECISION_MESSAGE_MAX];
	json_t *json = json_object();

	json_object_set_new(json, "seq", json_integer((json_int_t)entry->seq));
	json_object_set_new(json, "time_ms", json_integer((json_int_t)entry->time_ms));
	json_object_set_new(json, "kind", json_string(decision_kind_name(entry->kind)));
	json_object_set_new(json, "vm", name_or_null(entry->vm));
	json_object_set_new(json, "trigger", name_or_null(decision_trigger_name(entry->trigger)));
	json_object_set_new(json, "policy", name_or_null(entry->policy));
	json_object_set_new(json, "rule", json_integer(entry->rule));
	json_object_set_new(json, "reason", name_or_null(decision_reason_name(entry->reason)));
	json_object_set_new(json, "bounds", bounds_json(entry->bounds));
	json_object_set_new(json, "inputs", inputs_json(entry));
	if (entry->ceiling) {
		json_object_set_new(json, "target_before", size_json(entry->target_before));
		json_object_set_new(json, "target", size_json(entry->target));
		json_object_set_new(json, "ceiling_before", size_json(entry->ceiling_before));
		json_object_set_new(json, "ceiling", size_json(entry->ceiling));
		json_object_set_new(json, "achieved", entry->achieved == DECISION_UNDER_WAY ? json_null() :
				    size_json(entry->achieved));
		json_object_set_new(json, "took_ms", json_integer((json_int_t)entry->took_ms));
	}
	json_object_set_new(json, "message", json_string(decision_words(entry, text)));
	return json;
}

char *control_format_entry(const struct decision *entry)
{
	json_t *json = json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", "log", "params",
				 entry_json(entry));
	char *text = json_dumps(json, JSON_COMPACT);

	json_decref(json);
	return text;
}

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
static void put_vms(const struct manager *manager, json_t *json, uint32_t from)
{
	json_t *vms = json_array();
	size_t used = 0;
	uint32_t i;

	for (i = from; i < manager->nr_vms && used < LINE_ROOM; i++) {
		json_t *vm = vm_json(manager->vms[i]);

		used += json_dumpb(vm, NULL, 0, JSON_COMPACT) + 1;
		if (used < LINE_ROOM)
			json_array_append(vms, vm);
		else
			i--;
		json_decref(vm);
	}
	json_object_set_new(json, "vms", vms);
	if (i < manager->nr_vms)
		json_object_set_new(json, "vms_left_out", json_integer(manager->nr_vms - i));
}

static void method_status(struct control_request *request)
{
	const struct manager *m = control_client_manager(request->client);
	uint64_t usable = 0, given = 0;
	struct host_memory memory = m->host.memory;
	json_t *json = json_object();

	for (uint32_t i = 0; i < m->nr_vms; i++) {
		usable += m->vms[i]->ledger.usable;
		given += m->vms[i]->counters.given_bytes;
	}
	host_read_memory(&memory);
	json_object_set_new(json, "version", json_string(MEMTIDE_VERSION));
	json_object_set_new(json, "pid", json_integer(getpid()));
	json_object_set_new(json, "uptime_ms",
			    json_integer((json_int_t)((loop_clock() - m->started_ns) / NSEC_PER_MSEC)));
	json_object_set_new(json, "paused", json_boolean(m->paused));
	json_object_set_new(json, "dry_run", json_boolean(m->dry_run));
	json_object_set_new(json, "policy", m->policy ? json_string(memtide_policy_name(m->policy)) : json_null());
	json_object_set_new(json, "budget", size_json(m->ledger.budget));
	json_object_set_new(json, "budget_mode", json_string(m->config.budget_auto ? "auto" : "fixed"));
	json_object_set_new(json, "reserve", size_json(m->ledger.reserve));
	json_object_set_new(json, "charged", size_json(m->ledger.charged));
	json_object_set_new(json, "deficit", size_json(memtide_ledger_deficit(&m->ledger)));
	json_object_set_new(json, "ceilings", size_json(m->ledger.ceilings));
	json_object_set_new(json, "usable", size_json(usable));
	json_object_set_new(json, "given", size_json(given));
	json_object_set_new(json, "host_total", size_json(memory.total));
	json_object_set_new(json, "host_available", size_json(memory.available));
	json_object_set_new(json, "rounds", json_integer((json_int_t)m->round.rounds));
	json_object_set_new(json, "round_ms", json_real(m->round.took_ns / 1e6));
	json_object_set_new(json, "decisions", json_integer((json_int_t)m->round.decisions));
	json_object_set_new(json, "moved_bytes", size_json(m->moved_bytes));
	json_object_set_new(json, "relief", relief_json(m->relief_ns));
	json_object_set_new(json, "decide", percentiles(&m->decide_ns));
	json_object_set_new(json, "nr_vms", json_integer(m->nr_vms));
	put_vms(m, json, 0);
	control_reply(request, json);
}

static void method_vm_list(struct control_request *request)
{
	const struct manager *m = control_client_manager(request->client);
	const json_t *from = json_object_get(request->params, "from");
	json_t *json = json_object();

	put_vms(m, json, json_integer_value(from) > 0 ? (uint32_t)json_integer_value(from) : 0);
	control_reply(request, json);
}

static json_t *decisions_json(const struct vm *vm)
{
	const struct decision_log *log = vm->manager->log;
	uint64_t seq = decision_log_next(log), end = seq > VM_DECISIONS_AMONG ? seq - VM_DECISIONS_AMONG : 1;
	const struct decision *entry;
	json_t *json = json_array();

	while (seq > end && json_array_size(json) < VM_DECISIONS) {
		entry = decision_log_from(log, --seq);
		if (!entry || entry->seq != seq)
			break;
		if (entry->vm_id == vm->id)
			json_array_insert_new(json, 0, entry_json(entry));
	}
	return json;
}

static void method_vm_show(struct control_request *request)
{
	struct vm *vm = find_vm(request);
	json_t *json;

	if (!vm)
		return;
	json = vm_json(vm);
	json_object_set_new(json, "stats", stats_json(vm));
	json_object_set_new(json, "decisions", decisions_json(vm));
	control_reply(request, json);
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
	control_reply(request, vm_json(vm));
}

static void release_or_adopt(struct control_request *request, bool release)
{
	struct vm *vm = find_vm(request);
	const struct memtide_ledger *ledger;

	if (!vm)
		return;
	ledger = &vm->manager->ledger;
	if (vm->manager->dry_run) {
		control_reply_error(request, MEMTIDE_ERROR_BUSY, "this is a dry run: nothing is done to VMs");
		return;
	}
	if (!release && !vm->ledger.released) {
		control_reply_error(request, MEMTIDE_ERROR_PARAMS, "%s is managed already", vm->name);
		return;
	}
	if (vm_release(vm, release) < 0) {
		control_reply_error(request, MEMTIDE_ERROR_LEDGER,
				    "no room for all of %s's memory, %" PRIu64 " MiB: %" PRIu64 " of %" PRIu64
				    " MiB are charged, %" PRIu64 " of them for it; lower others' maxima or raise "
				    "the budget",
				    vm->name, vm->ledger.terms.ram >> 20, ledger->charged >> 20,
				    ledger->budget >> 20, vm->ledger.charged >> 20);
		return;
	}
	manager_note(vm->manager, DECISION_CONTROL, LOG_LEVEL_INFO, vm,
		     release ? "released: all its memory back, then left alone" : "managed again");
	control_reply(request, vm_json(vm));
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

	manager_set_paused(manager, pause);
	control_reply(request, json_pack("{s:b}", "paused", manager->paused));
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
static uint64_t put_entries_after(const struct decision_log *log, uint64_t seq, json_t *entries)
{
	const struct decision *entry;
	size_t used = 0;

	while ((entry = decision_log_from(log, seq + 1))) {
		json_t *json = entry_json(entry);

		used += json_dumpb(json, NULL, 0, JSON_COMPACT) + 1;
		if (used >= LINE_ROOM) {
			json_decref(json);
			break;
		}
		json_array_append_new(entries, json);
		seq = entry->seq;
	}
	return seq;
}

/* The newest entries, as many as fit half a line.  From the end: there may be millions before them. */
static uint64_t put_newest_entries(const struct decision_log *log, json_t *entries)
{
	uint64_t last = decision_log_next(log) - 1;
	const struct decision *entry;
	size_t used = 0;

	for (uint64_t seq = last; seq; seq--) {
		entry = decision_log_from(log, seq);
		if (!entry || entry->seq != seq || used >= LINE_ROOM / 2)
			break;
		json_array_insert_new(entries, 0, entry_json(entry));
		used += json_dumpb(json_array_get(entries, 0), NULL, 0, JSON_COMPACT) + 1;
	}
	return last;
}

/* "next" is the number to give as "after" in order to go on. */
static void method_log(struct control_request *request)
{
	const struct decision_log *log = control_client_manager(request->client)->log;
	const json_t *after = json_object_get(request->params, "after");
	json_int_t seq = json_integer_value(after);
	json_t *entries = json_array();
	uint64_t next;

	if (after)
		next = put_entries_after(log, seq > 0 ? (uint64_t)seq : 0, entries);
	else
		next = put_newest_entries(log, entries);
	control_reply(request, json_pack("{s:o, s:I}", "entries", entries, "next", (json_int_t)next));
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
