// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A ring of entries that overwrites the oldest.  Guests cause entries, so neither memory nor the journal may grow
 * with how many they cause.
 */
#include "decision-log.h"

#include "decide.h"
#include "loop.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tide_balance.h"

/*
 * Journal lines in the long run and at once: people read them, and a guest in trouble causes many that say the
 * same.
 */
#define LINES_PER_SECOND	20
#define LINES_BURST		200

struct decision_log {
	uint64_t next;			/* number of the next entry */
	struct decide_tokens lines;
	unsigned long unwritten;
	void (*listener)(void *arg, const struct decision *entry);
	void *listener_arg;
	uint64_t places;
	struct decision entry[];
};

static struct decision *slot(struct decision_log *log, uint64_t seq)
{
	return &log->entry[seq % log->places];
}

int decision_log_new(size_t bytes, struct decision_log **ret)
{
	struct decision_log *log = calloc(1, bytes);

	if (!log)
		return -ENOMEM;
	log->places = (bytes - sizeof(*log)) / sizeof(log->entry[0]);
	log->next = 1;
	*ret = log;
	return 0;
}

void decision_log_free(struct decision_log *log)
{
	free(log);
}

void decision_log_set_listener(struct decision_log *log, void (*listener)(void *arg, const struct decision *entry),
			       void *arg)
{
	log->listener = listener;
	log->listener_arg = arg;
}

struct decision *decision_log_draft(struct decision_log *log, enum decision_kind kind, uint64_t now_ns)
{
	struct decision *entry = slot(log, log->next);

	memset(entry, 0, sizeof(*entry));
	entry->time_ms = now_ns / NSEC_PER_MSEC;
	entry->kind = kind;
	entry->trigger = -1;
	entry->reason = -1;
	return entry;
}

const char *decision_words(const struct decision *entry, char text[static DECISION_MESSAGE_MAX])
{
	const struct decision_inputs *in = &entry->inputs;
	const char *reason = decision_reason_name(entry->reason);

	if (entry->message[0] || !entry->has_inputs)
		return entry->message;
	snprintf(text, DECISION_MESSAGE_MAX,
		 "%starget %" PRIu64 " to %" PRIu64 " MiB, ceiling %" PRIu64 " to %" PRIu64
		 " MiB: %s, rule %u (usable %" PRIu64 ", available %" PRIu64 ", entitled to %" PRIu64
		 " MiB, %" PRIu64 " refaults/s)",
		 entry->dry_run ? "would change: " : "", entry->target_before >> 20, entry->target >> 20,
		 entry->ceiling_before >> 20, entry->ceiling >> 20, reason ? reason : "no known reason",
		 entry->rule, in->usable >> 20, in->available >> 20, in->entitlement >> 20,
		 in->refault_file_rate + in->refault_anon_rate);
	return text;
}

uint64_t decision_log_add(struct decision_log *log, enum log_level level)
{
	struct decision *entry = slot(log, log->next);
	char text[DECISION_MESSAGE_MAX];

	entry->seq = log->next++;
	if (decide_take_token(&log->lines, entry->time_ms * NSEC_PER_MSEC, LINES_PER_SECOND, LINES_BURST)) {
		log->unwritten++;
	} else {
		if (log->unwritten)
			log_line(level, "%lu entries of the decision log were not written here", log->unwritten);
		log->unwritten = 0;
		log_line(level, "%s%s%s", entry->vm, entry->vm[0] ? ": " : "", decision_words(entry, text));
	}
	if (log->listener)
		log->listener(log->listener_arg, entry);
	return entry->seq;
}

void decision_log_end(struct decision_log *log, uint64_t seq, uint64_t achieved, uint64_t now_ns)
{
	struct decision *entry = slot(log, seq);

	if (!seq || entry->seq != seq || entry->achieved != DECISION_UNDER_WAY)
		return;
	entry->achieved = achieved;
	entry->took_ms = now_ns / NSEC_PER_MSEC - entry->time_ms;
	if (log->listener)
		log->listener(log->listener_arg, entry);
}

const struct decision *decision_log_from(const struct decision_log *log, uint64_t seq)
{
	if (log->next >= log->places && seq <= log->next - log->places)
		seq = log->next - log->places + 1;	/* the oldest one's place may hold a draft */
	if (!seq)
		seq = 1;
	return seq < log->next ? &log->entry[seq % log->places] : NULL;
}

uint64_t decision_log_next(const struct decision_log *log)
{
	return log->next;
}

const char *decision_kind_name(enum decision_kind kind)
{
	static const char *const names[DECISION_KINDS] = {
		[DECISION_DECISION] = "decision", [DECISION_RELIEF] = "relief", [DECISION_VM] = "vm",
		[DECISION_POLICY] = "policy", [DECISION_LIMIT] = "limit", [DECISION_HOST] = "host",
		[DECISION_CONTROL] = "control", [DECISION_ERROR] = "error",
	};

	return kind < DECISION_KINDS ? names[kind] : "unknown";
}

const char *decision_reason_name(int reason)
{
	static const char *const names[BALANCE_REASONS] = {
		[BALANCE_KEEP] = "keep", [BALANCE_GROW_PRESSURE] = "grow-pressure",
		[BALANCE_GROW_REFAULT] = "grow-refault", [BALANCE_GROW_SHARE] = "grow-share",
		[BALANCE_SHRINK_IDLE] = "shrink-idle", [BALANCE_SHRINK_DONOR] = "shrink-donor",
		[BALANCE_SHRINK_LOAN] = "shrink-loan", [BALANCE_SHRINK_BUDGET] = "shrink-budget",
		[BALANCE_HOST_HIGH] = "host-high", [BALANCE_HOST_LOW] = "host-low", [BALANCE_FLOOR] = "floor",
		[BALANCE_MAXIMUM] = "maximum",
	};

	return reason >= 0 && reason < BALANCE_REASONS ? names[reason] : NULL;
}

const char *decision_trigger_name(int trigger)
{
	static const char *const names[] = {
		[BALANCE_TICK] = "tick", [BALANCE_PRESSURE] = "pressure", [BALANCE_CHANGE] = "change",
		[BALANCE_HOST] = "host", [BALANCE_QUIET] = "quiet",
	};

	return trigger >= 0 && trigger <= BALANCE_QUIET ? names[trigger] : NULL;
}
