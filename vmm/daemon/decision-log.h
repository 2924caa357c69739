/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was decided, why, and what came of it: the last entries in memory, for `memtide log`, and a line each for
 * the journal as far as a rate allows.
 */
#ifndef MEMTIDED_DECISION_LOG_H
#define MEMTIDED_DECISION_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

#define DECISION_MESSAGE_MAX	256
#define DECISION_NAME_MAX	64
#define DECISION_UNDER_WAY	UINT64_MAX

enum decision_kind {
	DECISION_DECISION,
	DECISION_RELIEF,
	DECISION_VM,
	DECISION_POLICY,
	DECISION_LIMIT,
	DECISION_HOST,
	DECISION_CONTROL,
	DECISION_ERROR,
	DECISION_KINDS
};

/* What a decision about a VM was made from; sizes in bytes, rates per second. */
struct decision_inputs {
	uint64_t usable;
	uint64_t charged;
	uint64_t floor;
	uint64_t maximum;
	uint64_t entitlement;
	uint64_t wanted;
	uint64_t available;
	uint64_t anon;
	uint64_t file;
	uint64_t refault_file_rate;
	uint64_t refault_anon_rate;
	uint64_t psi_some_rate;
	uint64_t cpu_rate;		/* microseconds a second, or BALANCE_UNKNOWN */
	uint64_t stats_age_ms;
	uint64_t budget;
	uint64_t room;
};

/**
 * struct decision - one entry
 * @seq: 1, 2, …; set when it is added
 * @time_ms: monotonic
 * @vm_id: 0: about no VM in particular
 * @vm: its name
 * @trigger: enum balance_trigger, or -1
 * @policy: name of the policy that decided, or empty: the controller itself
 * @rule: the policy's own number
 * @reason: enum balance_reason, or -1
 * @bounds: enum decide_bound: what kept the answer from being followed to the letter
 * @dry_run: nothing was done
 * @has_inputs: @inputs and the targets and ceilings are set
 * @achieved: usable when it ended, or DECISION_UNDER_WAY
 * @path: of a relief that a guest reports, enum virtio_tide_path; 0: this is none
 * @path_ns: how long the guest measured
 * @path_bytes: how much it says it got
 * @took_ms: from decision to end
 * @message: a sentence: what, why, measured value, limit; left empty for a decision, whose words follow from the
 * rest
 */
struct decision {
	uint64_t seq;
	uint64_t time_ms;
	enum decision_kind kind;
	uint64_t vm_id;
	char vm[DECISION_NAME_MAX];
	int trigger;
	char policy[DECISION_NAME_MAX];
	uint32_t rule;
	int reason;
	uint32_t bounds;
	bool dry_run;
	bool has_inputs;
	struct decision_inputs inputs;
	uint32_t path;
	uint64_t path_ns;
	uint64_t path_bytes;
	uint64_t target_before;
	uint64_t target;
	uint64_t ceiling_before;
	uint64_t ceiling;
	uint64_t achieved;
	uint64_t took_ms;
	char message[DECISION_MESSAGE_MAX];
};

struct decision_log;

/*
 * A log that takes @bytes of memory and never more, and overwrites its oldest entries when they are full.
 * The configuration sees to it that it holds a hundred at least.  0 or -ENOMEM.
 */
int decision_log_new(size_t bytes, struct decision_log **ret);
void decision_log_free(struct decision_log *log);

/* Called after each entry that is added or ended; it may not add one. */
void decision_log_set_listener(struct decision_log *log, void (*listener)(void *arg, const struct decision *entry),
			       void *arg);

/*
 * A fresh entry to fill in; decision_log_add() makes it part of the log, and anything else called before drops it.
 */
struct decision *decision_log_draft(struct decision_log *log, enum decision_kind kind, uint64_t now_ns);
/* Returns the entry's number.  The journal gets its message at @level, unless there are too many of them. */
uint64_t decision_log_add(struct decision_log *log, enum log_level level);

/* What came of entry @seq, if it is still there. */
void decision_log_end(struct decision_log *log, uint64_t seq, uint64_t achieved, uint64_t now_ns);

/* The first entry with a number of at least @seq, or NULL.  Valid until the next is added. */
const struct decision *decision_log_from(const struct decision_log *log, uint64_t seq);
uint64_t decision_log_next(const struct decision_log *log);

/*
 * The sentence of @entry.  A round makes thousands of entries and few of them are read: words are made when they
 * are.
 */
const char *decision_words(const struct decision *entry, char text[static DECISION_MESSAGE_MAX]);

const char *decision_kind_name(enum decision_kind kind);
const char *decision_reason_name(int reason);
const char *decision_trigger_name(int trigger);

#endif
