// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Telling memtided what it does not know.  Of each domain it is asked what it has, that is compared with what libvirt
 * has, and the difference is told.  What cannot be told now is tried again, and nothing that was said is relied on.
 */
#include "agent.h"
#include "call.h"
#include "domain-json.h"
#include "domain-pid.h"
#include "log.h"
#include "stand-in.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* memtided answers within a millisecond; policies of the kernel take longer to load, and are asked for again. */
#define CALL_MS		2000
/* Until what could not be told is tried again: where memtided is busy with the domain, and where it does not answer. */
#define BUSY_MS		200
#define AWAY_MS		2000
/* ... and until the XML of a domain whose QEMU hangs is asked for again. */
#define HANGS_MS	20000

static void wake_up(struct agent *agent, int ms)
{
	virEventUpdateTimeout(agent->telling.timer, ms);
}

void telling_want(struct agent_domain *domain)
{
	domain->untold = true;
	wake_up(domain->agent, 0);
}

void telling_want_all(struct agent *agent)
{
	for (struct agent_domain *domain = agent->domains; domain; domain = domain->next)
		domain->untold = true;
	agent->telling.strays = true;
	wake_up(agent, 0);
}

static void forget_refused(struct agent_domain *domain)
{
	json_decref(domain->refused);
	domain->refused = NULL;
}

void telling_begin_anew(struct agent *agent)
{
	for (struct agent_domain *domain = agent->domains; domain; domain = domain->next) {
		forget_refused(domain);
		domain->complained = false;
		domain->known = false;
	}
	telling_want_all(agent);
}

/* @params is consumed. */
static int call(struct agent *agent, const char *method, json_t *params, json_t **ret_result,
		struct memtide_errtext *errtext)
{
	uint64_t until_ms = memtide_call_now_ms() + CALL_MS;
	int r;

	r = memtide_call_until(agent->config.control_socket, method, params, until_ms, ret_result, errtext);
	if (!r || r == -ESRCH || r == -EBUSY || r == -ENOSPC || r == -EREMOTEIO)
		presence_shown(agent);
	return r == -ENOSPC ? -EREMOTEIO : r;
}

/*
 * Those that have ended
 */

void telling_ended(const struct agent_domain *domain)
{
	struct agent_ended *ended = calloc(1, sizeof(*ended)), **at = &domain->agent->telling.ended;

	if (!ended) {
		log_error("no memory to tell that %s has ended", domain->name);
		return;
	}
	memcpy(ended->name, domain->name, sizeof(ended->name));
	memcpy(ended->uuid, domain->uuid, sizeof(ended->uuid));
	ended->pid = domain->pid;
	while (*at)
		at = &(*at)->next;
	*at = ended;
	wake_up(domain->agent, 0);
}

/* With its process: the next run of it may have begun. */
static int tell_stopped(struct agent *agent, const char *uuid, pid_t pid, struct memtide_errtext *errtext)
{
	json_t *result = NULL;
	int r = call(agent, "domain.stopped", json_pack("{s:s, s:i}", "uuid", uuid, "pid", (int)pid), &result, errtext);

	json_decref(result);
	return r;
}

static int tell_ended(struct agent *agent, struct memtide_errtext *errtext)
{
	while (agent->telling.ended) {
		struct agent_ended *ended = agent->telling.ended;
		int r = tell_stopped(agent, ended->uuid, ended->pid, errtext);

		if (r && r != -EREMOTEIO)
			return r;
		agent->telling.ended = ended->next;
		free(ended);
	}
	return 0;
}

/* It runs, memtided thinks, and nobody can say which process it is: only libvirt knows whether that is so. */
static bool is_stray(const struct agent *agent, const json_t *shown)
{
	const char *uuid = json_string_value(json_object_get(shown, "uuid"));
	const char *phase = json_string_value(json_object_get(shown, "phase"));

	return uuid && phase && !strcmp(phase, "running") && json_is_null(json_object_get(shown, "pid")) &&
	       json_is_null(json_object_get(shown, "vm")) && !domains_find(agent, uuid);
}

/* Of a part of memtided's list.  How many it had, or a negative errno; as many as were left out are in @ret_left. */
static int end_strays(struct agent *agent, size_t from, size_t *ret_left, struct memtide_errtext *errtext)
{
	json_t *result = NULL, *list, *shown;
	size_t i;
	int r;

	r = call(agent, "domain.list", json_pack("{s:I}", "from", (json_int_t)from), &result, errtext);
	if (r)
		return r;
	list = json_object_get(result, "domains");
	*ret_left = (size_t)json_integer_value(json_object_get(result, "domains_left_out"));
	json_array_foreach(list, i, shown) {
		if (!is_stray(agent, shown))
			continue;
		r = tell_stopped(agent, json_string_value(json_object_get(shown, "uuid")), 0, errtext);
		if (r)
			break;
		log_info("%s has ended while nobody looked", json_string_value(json_object_get(shown, "name")));
	}
	r = r ?: (int)json_array_size(list);
	json_decref(result);
	return r;
}

static int look_for_strays(struct agent *agent, struct memtide_errtext *errtext)
{
	size_t from = 0, left = 0;
	int n = 0;

	/* Only a list that libvirt has just confirmed says who does not run. */
	if (!agent->telling.strays || !agent->libvirt.handle)
		return 0;
	do {
		n = end_strays(agent, from, &left, errtext);
		from += n > 0 ? (size_t)n : 0;
	} while (n > 0 && left);
	if (n < 0 && n != -EREMOTEIO)
		return n;
	agent->telling.strays = false;
	return 0;
}

/*
 * Those that run
 */

static json_t *policy_json(const struct memtide_domain *about)
{
	return about->has_policy ? memtide_domain_policy_to_json(&about->policy) : json_null();
}

static int reconnect(struct agent_domain *domain, const struct memtide_domain *live, struct memtide_errtext *errtext)
{
	json_t *result = NULL;
	int r;

	if (!domain->pid)
		domain->pid = memtide_domain_pid(domain->name);
	r = call(domain->agent, "domain.reconnect", json_pack("{s:o, s:i}", "domain", memtide_domain_to_json(live),
							      "pid", (int)domain->pid), &result, errtext);
	json_decref(result);
	return r;
}

/* What memtided knows of it, as domain.list has it. */
static int show(struct agent_domain *domain, json_t **ret_shown, struct memtide_errtext *errtext)
{
	return call(domain->agent, "domain.show", json_pack("{s:s}", "uuid", domain->uuid), ret_shown, errtext);
}

/* Between a domain's prepare and its process only the hook knows how it goes on. */
static bool is_to_be_told(const struct agent_domain *domain, const json_t *shown)
{
	const char *phase = json_string_value(json_object_get(shown, "phase"));

	return phase && !strcmp(phase, "prepared") && domain->pid;
}

/* The same after it was told that the domain runs, where it did not know. */
static int make_known(struct agent_domain *domain, const struct memtide_domain *live, json_t **ret_shown,
		      struct memtide_errtext *errtext)
{
	json_t *shown = NULL;
	int r;

	r = show(domain, &shown, errtext);
	if (r && r != -ESRCH)
		return r;
	if (!r && !is_to_be_told(domain, shown)) {
		*ret_shown = shown;
		return 0;
	}
	json_decref(shown);
	r = reconnect(domain, live, errtext);
	return r ?: show(domain, ret_shown, errtext);
}

/* The domain as @live has it, with the policy that memtided has. */
static int use_shown(struct agent_domain *domain, const struct memtide_domain *live, const json_t *shown,
		     struct memtide_errtext *errtext)
{
	const json_t *policy = json_object_get(shown, "policy");
	struct memtide_domain about = *live;

	about.has_policy = policy && !json_is_null(policy);
	if (about.has_policy && memtide_domain_policy_from_json(policy, &about.policy, errtext) < 0)
		return -EREMOTEIO;
	domain->about = about;
	domain->has_vm = json_is_integer(json_object_get(shown, "vm"));
	return 0;
}

/* What is wrong with the policy in the XML, where memtided has not heard of it; who runs the host reads it there. */
static int complain(struct agent_domain *domain, struct memtide_errtext *errtext)
{
	json_t *result = NULL;
	int r;

	if (domain->complained)
		return 0;
	r = call(domain->agent, "domain.metadata", json_pack("{s:s, s:s}", "uuid", domain->uuid, "error",
							     domain->complaint), &result, errtext);
	json_decref(result);
	domain->complained = !r;
	return r;
}

static void say_skipped(const struct agent_domain *domain, const struct memtide_domain *live)
{
	if (!live->has_policy)
		return;
	for (size_t i = 0; i < live->policy.nr_skipped && i < MEMTIDE_DOMAIN_SKIPPED; i++)
		log_warning("%s: line %u, <%s>: not known to this version and skipped, as it is optional", domain->name,
			    live->policy.skipped[i].line, live->policy.skipped[i].element);
}

/*
 * A policy is refused for good, until there is another one or memtided is started again.  One that takes too long is
 * taken for refused as well: that it was not is seen when memtided is asked again, and it says itself why it was.
 */
static int tell_policy(struct agent_domain *domain, const struct memtide_domain *live, json_t *policy,
		       struct memtide_errtext *errtext)
{
	json_t *result = NULL;
	int r;

	r = call(domain->agent, "domain.metadata", json_pack("{s:s, s:O}", "uuid", domain->uuid, "policy", policy),
		 &result, errtext);
	json_decref(result);
	forget_refused(domain);
	if (r == -EREMOTEIO || r == -ETIMEDOUT)
		domain->refused = json_incref(policy);
	if (r == -EREMOTEIO) {
		log_warning("%s keeps the policy that it had: %s", domain->name, errtext->text);
		return 0;
	}
	if (r)
		return r == -ETIMEDOUT ? -EBUSY : r;
	domain->about.has_policy = live->has_policy;
	domain->about.policy = live->policy;
	say_skipped(domain, live);
	log_info("%s has a new policy", domain->name);
	return 0;
}

static int settle_policy(struct agent_domain *domain, const struct memtide_domain *live, const json_t *shown,
			 struct memtide_errtext *errtext)
{
	json_t *policy;
	int r = 0;

	if (domain->complaint[0])
		return complain(domain, errtext);
	policy = policy_json(live);
	if (json_equal(policy, json_object_get(shown, "policy")))
		forget_refused(domain);
	else if (!domain->refused || !json_equal(policy, domain->refused))
		r = tell_policy(domain, live, policy, errtext);
	json_decref(policy);
	return r;
}

static void use_complaint(struct agent_domain *domain, const char *text)
{
	if (!strcmp(domain->complaint, text))
		return;
	snprintf(domain->complaint, sizeof(domain->complaint), "%s", text);
	domain->complained = false;
	if (text[0])
		log_warning("%s keeps the policy that it had: in its XML, %s", domain->name, text);
}

/* 0: nothing is left to be told. */
static int settle(struct agent_domain *domain, struct memtide_errtext *errtext)
{
	struct memtide_domain live;
	json_t *shown = NULL;
	int r;

	/* It has just ended, or libvirt has gone: either will be told. */
	r = live_read(domain, &live, errtext);
	domain->hangs_until_ms = r == -EAGAIN ? memtide_call_now_ms() + HANGS_MS : 0;
	if (r < 0) {
		log_debug("%s: %s", domain->name, errtext->text);
		return r == -EAGAIN ? r : 0;
	}
	use_complaint(domain, errtext->text);
	r = make_known(domain, &live, &shown, errtext);
	if (!r && json_is_true(json_object_get(shown, "changing")))
		r = -EBUSY;
	if (!r)
		r = use_shown(domain, &live, shown, errtext);
	if (!r)
		r = settle_policy(domain, &live, shown, errtext);
	json_decref(shown);
	if (!r) {
		domain->known = true;
		stand_in_want(domain);
	}
	return r;
}

/* 0, -EBUSY: some are to be told later; or why memtided cannot be told anything. */
static int settle_all(struct agent *agent, struct memtide_errtext *errtext)
{
	int r, later = 0;

	for (struct agent_domain *domain = agent->domains; domain; domain = domain->next) {
		if (!domain->untold)
			continue;
		r = domain->hangs_until_ms > memtide_call_now_ms() ? -EAGAIN : settle(domain, errtext);
		if (r == -EAGAIN) {
			wake_up(agent, HANGS_MS);
			continue;
		}
		if (r == -EBUSY || r == -ESRCH) {
			later = -EBUSY;
			continue;
		}
		if (r && r != -EREMOTEIO)
			return r;
		if (r)
			log_warning("%s: %s", domain->name, errtext->text);
		domain->untold = false;
	}
	return later;
}

/* That memtided has gone is seen by its connection, and said there. */
static bool has_gone(int error)
{
	return error == -ECONNRESET || error == -ECONNREFUSED || error == -ENOENT || error == -EPIPE;
}

static void time_to_tell(int timer, void *opaque)
{
	struct memtide_errtext errtext = { .text = "" };
	struct agent *agent = opaque;
	int r;

	virEventUpdateTimeout(timer, -1);
	if (agent->memtided.fd < 0)
		return;
	r = tell_ended(agent, &errtext);
	r = r ?: look_for_strays(agent, &errtext);
	r = r ?: settle_all(agent, &errtext);
	if (r && r != -EBUSY && !has_gone(r) && !agent->telling.stuck)
		log_warning("%s; it is told later what has changed", errtext.text);
	agent->telling.stuck = r && r != -EBUSY;
	if (r)
		wake_up(agent, r == -EBUSY ? BUSY_MS : AWAY_MS);
}

int telling_start(struct agent *agent)
{
	agent->telling.timer = virEventAddTimeout(-1, time_to_tell, agent, NULL);
	return agent->telling.timer < 0 ? -EIO : 0;
}

void telling_end(struct agent *agent)
{
	while (agent->telling.ended) {
		struct agent_ended *next = agent->telling.ended->next;

		free(agent->telling.ended);
		agent->telling.ended = next;
	}
	virEventRemoveTimeout(agent->telling.timer);
}
