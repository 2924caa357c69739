// SPDX-License-Identifier: GPL-2.0-or-later
#include "control-show.h"

#include "manager.h"
#include "vm.h"

#include <linux/types.h>
#include <string.h>

#include "tide_balance.h"

void show_percentiles(struct json_text *json, const struct memtide_histogram *ns)
{
	json_text_number(json, "n", ns->count);
	json_text_ms(json, "p50_ms", memtide_histogram_at(ns, 500));
	json_text_ms(json, "p99_ms", memtide_histogram_at(ns, 990));
	json_text_ms(json, "max_ms", ns->max);
}

static void show_path(struct json_text *json, const char *name, const struct memtide_histogram *ns)
{
	static const struct memtide_histogram none;

	json_text_begin(json, name, '{');
	show_percentiles(json, ns ? ns : &none);
	json_text_end(json, '}');
}

void show_relief(struct json_text *json, const struct memtide_histogram *by_path)
{
	show_path(json, "credit", by_path ? &by_path[VIRTIO_TIDE_PATH_CREDIT] : NULL);
	show_path(json, "reserve", by_path ? &by_path[VIRTIO_TIDE_PATH_RESERVE] : NULL);
	show_path(json, "donor", by_path ? &by_path[VIRTIO_TIDE_PATH_DONOR] : NULL);
}

static const char *why(const struct vm *vm)
{
	const char *state = vm_state_name(vm);
	bool device = vm->kind == TIDE_VMM_DEVICE;

	if (!strcmp(state, "starting"))
		return device ? "no driver yet: charged its maximum" : "no balloon driver yet: charged its maximum";
	if (!strcmp(state, "inhibited"))
		return "gives fail for now: charged its maximum";
	if (vm->stepped_back[0])
		return vm->stepped_back;
	if (!strcmp(state, "released"))
		return "taken out of management";
	if (!strcmp(state, "unanswering"))
		return device ? "its driver does not answer: charged as before" :
				"memtide-agent does not answer for it: charged as before";
	if (!strcmp(state, "stalled"))
		return "cannot come down: left alone for a while";
	if (vm->ledger.throttled)
		return "throttled: no room for its maximum, its cgroup's limit holds it";
	return vm->cgroup[0] ? "" : vm->not_enforced;
}

void show_vm(struct json_text *json, struct vm *vm, uint64_t age_ns)
{
	const struct memtide_ledger_vm *ledger = &vm->ledger;

	json_text_number(json, "id", vm->id);
	json_text_string(json, "name", vm->name);
	json_text_string(json, "uuid", vm->has_uuid ? vm->uuid_text : NULL);
	json_text_number(json, "pid", (uint64_t)vm->pid);
	json_text_string(json, "cgroup", vm->cgroup[0] ? vm->cgroup : NULL);
	json_text_string(json, "device", vm_kind_name(vm));
	json_text_string(json, "state", vm_state_name(vm));
	json_text_string(json, "why", why(vm));
	json_text_string(json, "tenant", vm->domain && vm->domain->tenant ? vm->domain->tenant->name : NULL);
	json_text_bool(json, "connected", vm->socket.fd >= 0);
	json_text_number(json, "floor", ledger->terms.floor);
	json_text_number(json, "maximum", ledger->terms.maximum);
	json_text_number(json, "shares", ledger->terms.shares);
	json_text_number(json, "entitlement", memtide_ledger_entitlement(ledger));
	json_text_number(json, "usable", ledger->usable);
	json_text_number(json, "target", vm->target);
	json_text_number(json, "ceiling", ledger->ceiling);
	json_text_number(json, "charged", ledger->charged);
	json_text_number(json, "credit", ledger->ceiling > ledger->usable ? ledger->ceiling - ledger->usable : 0);
	json_text_number(json, "given", vm->counters.given_bytes);
	json_text_number(json, "given_huge", vm->counters.given_huge_bytes);
	json_text_number(json, "resident", vm_footprint(vm, age_ns));
	json_text_bool(json, "enforced", vm->cgroup[0]);
	if (vm->stats_ns)
		json_text_number(json, "stats_age_ms", vm_stats_age_ns(vm) / NSEC_PER_MSEC);
	else
		json_text_null(json, "stats_age_ms");
	json_text_bool(json, "pressure", vm->pressed);
	json_text_bool(json, "moving", vm->lowering);
	json_text_number(json, "unused_grants", vm->unused);
	json_text_number(json, "doorbell_floods", vm->doorbell.floods + vm->notify.floods);
	json_text_number(json, "oom_kills", vm->stats.oom_kill);
	json_text_begin(json, "relief", '{');
	show_relief(json, vm->relief_ns);
	json_text_end(json, '}');
}

static void show_cpu_rate(struct json_text *json, uint64_t rate)
{
	if (rate == BALANCE_UNKNOWN)
		json_text_null(json, "cpu_rate");
	else
		json_text_number(json, "cpu_rate", rate);
}

void show_stats(struct json_text *json, const struct vm *vm)
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
		{ "cpu_us", s->cpu_us },
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		json_text_number(json, values[i].name, values[i].value);
	show_cpu_rate(json, vm->rates.cpu);
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

static void show_inputs(struct json_text *json, const struct decision *entry)
{
	const struct decision_inputs *in = &entry->inputs;

	if (entry->path) {
		json_text_string(json, "path", path_name(entry->path));
		json_text_number(json, "ns", entry->path_ns);
		json_text_number(json, "bytes", entry->path_bytes);
	}
	if (!entry->has_inputs)
		return;
	json_text_number(json, "usable", in->usable);
	json_text_number(json, "charged", in->charged);
	json_text_number(json, "floor", in->floor);
	json_text_number(json, "maximum", in->maximum);
	json_text_number(json, "entitlement", in->entitlement);
	json_text_number(json, "wanted", in->wanted);
	json_text_number(json, "available", in->available);
	json_text_number(json, "anon", in->anon);
	json_text_number(json, "file", in->file);
	json_text_number(json, "refault_file_rate", in->refault_file_rate);
	json_text_number(json, "refault_anon_rate", in->refault_anon_rate);
	json_text_number(json, "psi_some_rate", in->psi_some_rate);
	show_cpu_rate(json, in->cpu_rate);
	json_text_number(json, "stats_age_ms", in->stats_age_ms);
	json_text_number(json, "budget", in->budget);
	json_text_number(json, "room", in->room);
}

/* In the order of enum decide_bound. */
static void show_bounds(struct json_text *json, uint32_t bounds)
{
	static const char *const names[] = {
		"unmanaged", "stale", "moving", "stalled", "floor", "maximum", "step", "small", "entitlement",
		"nonsense",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bounds & 1u << i)
			json_text_string(json, NULL, names[i]);
}

static const char *or_null(const char *name)
{
	return name && name[0] ? name : NULL;
}

void show_decision(struct json_text *json, const struct decision *entry)
{
	char text[DECISION_MESSAGE_MAX];

	json_text_number(json, "seq", entry->seq);
	json_text_number(json, "time_ms", entry->time_ms);
	json_text_string(json, "kind", decision_kind_name(entry->kind));
	json_text_string(json, "vm", or_null(entry->vm));
	json_text_string(json, "trigger", decision_trigger_name(entry->trigger));
	json_text_string(json, "policy", or_null(entry->policy));
	json_text_number(json, "rule", entry->rule);
	json_text_string(json, "reason", decision_reason_name(entry->reason));
	json_text_begin(json, "bounds", '[');
	show_bounds(json, entry->bounds);
	json_text_end(json, ']');
	json_text_begin(json, "inputs", '{');
	show_inputs(json, entry);
	json_text_end(json, '}');
	if (entry->ceiling) {
		json_text_number(json, "target_before", entry->target_before);
		json_text_number(json, "target", entry->target);
		json_text_number(json, "ceiling_before", entry->ceiling_before);
		json_text_number(json, "ceiling", entry->ceiling);
		if (entry->achieved == DECISION_UNDER_WAY)
			json_text_null(json, "achieved");
		else
			json_text_number(json, "achieved", entry->achieved);
		json_text_number(json, "took_ms", entry->took_ms);
	}
	json_text_string(json, "message", decision_words(entry, text));
}

void show_news(struct json_text *json, const struct decision *entry)
{
	json_text_begin(json, NULL, '{');
	json_text_string(json, "jsonrpc", "2.0");
	json_text_string(json, "method", "log");
	json_text_begin(json, "params", '{');
	show_decision(json, entry);
	json_text_end(json, '}');
	json_text_end(json, '}');
}
