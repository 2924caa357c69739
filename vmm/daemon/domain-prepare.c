// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Before a domain starts: whether it may, and making room for it.  Room is what the ledger has free, at once, and what
 * donors give beyond their entitlement, until the one that starts has what it is entitled to.  It starts whatever
 * came of that: with less it has to make do until others have come down.
 */
#include "domains.h"

#include "control.h"
#include "control-socket.h"
#include "manager.h"
#include "relief.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Holding
 */

static int hold_terms(const struct domain *domain, struct memtide_ledger_terms *ret_terms,
		      struct memtide_errtext *errtext)
{
	uint64_t ram = domain->about.limits.memory.value;
	struct memtide_config_vm terms;
	int r;

	/* What is about to start may be any size; its device will tell. */
	if (ram == MEMTIDE_DOMAIN_UNSET || !ram)
		return memtide_errtext_set(errtext, -ENODATA, "nobody knows how much memory it has");
	r = domains_terms(domain->manager, &domain->manager->config, domain->about.name, domain->about.uuid, ram,
			  &terms, errtext);
	if (r < 0)
		return r;
	/* No more is held than its tenant's budget lets it have. */
	if (terms.maximum > tenant_room_left(domain))
		terms.maximum = tenant_room_left(domain);
	if (terms.maximum < terms.floor || !terms.maximum)
		terms.maximum = terms.floor ?: 1;
	*ret_terms = (struct memtide_ledger_terms){
		.ram = ram, .maximum = terms.maximum, .floor = terms.floor, .start = terms.start,
		.shares = (uint32_t)terms.shares,
	};
	return 0;
}

int domains_floor_refused(const struct manager *manager, uint64_t floor, struct memtide_errtext *errtext)
{
	return memtide_errtext_set(errtext, -EDQUOT,
				   "its floor of %" PRIu64 " MiB and the others' of %" PRIu64
				   " MiB do not fit the budget of %" PRIu64 " MiB: lower floors or raise the budget",
				   floor >> 20, manager->ledger.floors >> 20, manager->ledger.budget >> 20);
}

int domain_hold(struct domain *domain, bool cut, struct memtide_errtext *errtext)
{
	struct memtide_ledger *ledger = &domain->manager->ledger;
	struct memtide_ledger_terms terms;
	int r;

	domain_drop(domain);
	r = cut ? 0 : domain_tenant_allows(domain, errtext);
	if (!r)
		r = hold_terms(domain, &terms, errtext);
	if (r < 0)
		return r;
	r = memtide_ledger_expect(ledger, &domain->held, &terms);
	if (r == -EDQUOT && cut) {
		terms.floor = memtide_ledger_beyond_floors(ledger);
		r = memtide_ledger_expect(ledger, &domain->held, &terms);
	}
	if (r == -EDQUOT)
		return domains_floor_refused(domain->manager, terms.floor, errtext);
	return r < 0 ? memtide_errtext_set(errtext, r, "no place in the ledger: %s", strerror(-r)) : 0;
}

void domain_hold_all(struct domain *domain)
{
	struct memtide_counters counters = { .ram_bytes = domain->about.limits.memory.value };
	struct memtide_ledger_terms terms;

	domain_drop(domain);
	/* An automatic budget sees what it uses as what other programs use. */
	if (domain->manager->config.budget_auto || hold_terms(domain, &terms, NULL) < 0)
		return;
	/* Where there is no place for it nothing is held. */
	memtide_ledger_recover(&domain->manager->ledger, &domain->held, &terms, &counters, NULL,
			       MEMTIDE_LEDGER_UNKNOWN);
}

void domain_drop(struct domain *domain)
{
	memtide_ledger_remove(&domain->held);
}

/*
 * Waiting for room
 */

/* As much as it may claim: nobody goes below entitlement for it. */
static uint64_t goal_of(const struct domain *domain)
{
	return domain->held.ledger ? memtide_ledger_entitlement(&domain->held) : 0;
}

static uint64_t missing_of(const struct domain *domain)
{
	uint64_t goal = goal_of(domain);

	return domain->held.ceiling < goal ? goal - domain->held.ceiling : 0;
}

static void stop_waiting(struct domain *domain)
{
	if (!domain->prepare.waiting)
		return;
	domain->prepare.waiting = false;
	domain->manager->domains.waiting--;
	loop_timer_clear(domain->manager->loop, &domain->prepare.timer);
}

/* Both have to be done: the file, and the room or the time. */
static void answer_if_due(struct domain *domain)
{
	struct domain_prepare *prepare = &domain->prepare;
	struct manager *manager = domain->manager;
	uint64_t missing = missing_of(domain), took_ns = loop_clock() - prepare->begun_ns;
	struct control_request request;

	if (!prepare->stored || (prepare->waiting && missing && !prepare->over))
		return;
	if (prepare->waiting)
		manager_note(manager, DECISION_VM, missing ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, NULL,
			     "domain %.64s may start: %" PRIu64 " MiB are held for it of the %" PRIu64
			     " MiB that it is entitled to, after %" PRIu64 " ms", domain->about.name,
			     domain->held.ceiling >> 20, goal_of(domain) >> 20, took_ns / NSEC_PER_MSEC);
	stop_waiting(domain);
	if (control_later_find(manager, &prepare->later, &request))
		control_reply(&request, json_pack("{s:s, s:s, s:I, s:I, s:f}", "verdict", "start", "message",
						  prepare->warning, "held", (json_int_t)domain->held.ceiling,
						  "missing", (json_int_t)missing, "took_ms", took_ns / 1e6));
	control_later_drop(&prepare->later);
}

uint64_t domains_missing(const struct manager *manager)
{
	uint64_t missing = 0;

	for (struct domain *domain = manager->domains.first; domain; domain = domain->next)
		if (domain->prepare.waiting)
			missing += missing_of(domain);
	return missing;
}

void domains_room(struct manager *manager)
{
	for (struct domain *domain = manager->domains.first; domain; domain = domain->next) {
		if (!domain->prepare.waiting || !domain->held.ledger)
			continue;
		memtide_ledger_gather(&domain->held);
		answer_if_due(domain);
	}
}

void domains_no_more(struct manager *manager)
{
	for (struct domain *domain = manager->domains.first; domain; domain = domain->next) {
		if (!domain->prepare.waiting)
			continue;
		domain->prepare.over = true;
		answer_if_due(domain);
	}
}

static void prepare_expired(struct loop_timer *timer)
{
	struct domain *domain = (struct domain *)((char *)timer - offsetof(struct domain, prepare.timer));

	domain->prepare.over = true;
	answer_if_due(domain);
}

/*
 * Preparing
 */

/* A domain may be gone until its file is written. */
struct prepare_stored {
	struct manager *manager;
	uint64_t number;
};

static void file_is_there(void *arg, int error)
{
	struct prepare_stored *stored = arg;
	struct domain *domain = domain_by_number(stored->manager, stored->number);

	free(stored);
	/* Without a file it starts all the same; the log has said what is lost. */
	if (!domain)
		return;
	domain->prepare.stored = true;
	answer_if_due(domain);
}

static void save_prepared(struct domain *domain)
{
	struct prepare_stored *stored = malloc(sizeof(*stored));

	if (!stored) {
		domain->prepare.stored = true;
		return;
	}
	*stored = (struct prepare_stored){ .manager = domain->manager, .number = domain->number };
	domain_save(domain, file_is_there, stored);
}

static void refuse(struct domain *domain, const char *why)
{
	struct manager *manager = domain->manager;
	struct control_request request;

	manager_note(manager, DECISION_VM, LOG_LEVEL_WARNING, NULL, "domain %.64s is refused: %.180s",
		     domain->about.name, why);
	if (control_later_find(manager, &domain->prepare.later, &request))
		control_reply(&request, json_pack("{s:s, s:s}", "verdict", "refuse", "message", why));
	domain_end(domain, "it does not start", NULL, NULL);
}

/* Returns whether it may start; else it is gone. */
static bool admit(struct domain *domain)
{
	struct manager *manager = domain->manager;
	struct memtide_errtext errtext = { .text = "" };
	int r;

	/* It runs already: whoever asks has been waiting for this daemon. */
	if (domain->vm)
		return true;
	r = domain_hold(domain, false, &errtext);
	if (r == -EDQUOT && manager->config.floors == MEMTIDE_FLOORS_REFUSE && !manager->dry_run) {
		refuse(domain, errtext.text);
		return false;
	}
	if (r == -EDQUOT)
		domain_hold(domain, true, NULL);
	if (r < 0) {
		snprintf(domain->prepare.warning, sizeof(domain->prepare.warning), "%s", errtext.text);
		manager_note(manager, DECISION_VM, LOG_LEVEL_WARNING, NULL, "domain %.64s starts all the same: %.160s",
			     domain->about.name, errtext.text);
	}
	return true;
}

static void policies_checked(struct domain *domain, int error, const struct memtide_errtext *errtext, void *arg)
{
	struct domain_prepare *prepare;
	struct manager *manager;

	if (!domain)
		return;
	manager = domain->manager;
	prepare = &domain->prepare;
	if (error && error != -ENOMEM && !manager->dry_run) {
		refuse(domain, errtext->text);
		return;
	}
	if (!admit(domain))
		return;
	if (missing_of(domain) && !manager->dry_run && !manager->paused) {
		prepare->waiting = true;
		manager->domains.waiting++;
		loop_timer_set(manager->loop, &prepare->timer, prepare->begun_ns + prepare->time_ns);
	}
	save_prepared(domain);
	if (prepare->waiting)
		relief_search(manager);
}

void domain_prepare(struct control_request *request, const struct memtide_domain *about, uint64_t time_ns)
{
	struct manager *manager = control_client_manager(request->client);
	struct domain *domain = domain_new(manager, about);

	if (!domain) {
		control_reply_error(request, MEMTIDE_ERROR_BUSY, "no memory");
		return;
	}
	domain->prepare.begun_ns = loop_clock();
	domain->prepare.time_ns = time_ns;
	control_later(request, &domain->prepare.later);
	domain_attach_check(domain, policies_checked, NULL);
}

int domain_prepare_init(struct domain *domain)
{
	return loop_timer_register(domain->manager->loop, &domain->prepare.timer, prepare_expired);
}

void domain_prepare_fini(struct domain *domain)
{
	stop_waiting(domain);
	loop_timer_unregister(domain->manager->loop, &domain->prepare.timer);
	control_later_drop(&domain->prepare.later);
}
