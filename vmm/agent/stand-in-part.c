// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * With a policy and without: who has lost it while running is released, and has a stand-in until all memory is back.
 */
#include "stand-in-internal.h"

#include "by-hand.h"
#include "call.h"
#include "log.h"

#define CALL_MS		2000
/* Until memtided is asked again for what it has refused. */
#define REFUSED_NS	(3 * NSEC_PER_SEC)

/* Until the domain has a policy again, which memtided sees by itself. */
static void release(struct stand_in *s)
{
	struct memtide_errtext errtext = { .text = "" };
	bool said = s->refused_ns;
	json_t *result = NULL;
	int r;

	if (said && means_now_ns() - s->refused_ns < REFUSED_NS)
		return;
	r = memtide_call_until(s->domain->agent->config.control_socket, "vm.release",
			       json_pack("{s:s, s:b}", "vm", s->domain->uuid, "until_policy", 1),
			       memtide_call_now_ms() + CALL_MS, &result, &errtext);
	json_decref(result);
	s->refused_ns = r < 0 ? means_now_ns() : 0;
	if (!r)
		log_info("%s is not managed any more: what was taken from it goes back to it", s->domain->name);
	else if (!said)
		log_warning("%s is not to be managed any more, and what was taken from it cannot go back to it yet: %s",
			    s->domain->name, errtext.text);
}

/* With all that memtided lets it have, once it is released; by reclaim nothing has to be given back. */
static bool has_all(const struct stand_in *s)
{
	if (!(s->counters.flags & TIDE_COUNTERS_DRIVER_OK))
		return stand_in_is_close(s->usable, s->ram);
	return stand_in_is_released(s) &&
	       (s->means->kind == TIDE_VMM_RECLAIM || s->usable + MEANS_CLOSE_BYTES >= s->wish.ceiling);
}

void stand_in_settle(struct stand_in *s)
{
	struct agent_domain *domain = s->domain;

	if (!s->known || s->socket < 0 || !s->parting)
		return;
	if (has_all(s)) {
		domain->parted = true;
		domain->stand_in = NULL;
		by_hand_left(domain, s->usable);
		stand_in_free(s);
	} else if (s->counters.flags & TIDE_COUNTERS_DRIVER_OK && s->wish.generation && !stand_in_is_released(s)) {
		release(s);
	}
}
