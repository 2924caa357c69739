/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: how memtide, the libvirt hook and others talk to memtided.
 *
 * JSON-RPC 2.0 on a Unix stream socket, one object per line in each direction, lines of at most
 * MEMTIDE_CONTROL_LINE_MAX bytes.  Root and the daemon's own user may call everything; members of the configured
 * group only what reads.  Sizes are bytes, times milliseconds of the daemon's monotonic clock unless the name
 * says otherwise.  Members are only ever added.
 *
 * Methods (params -> result):
 *
 *   status {}	-> { version, pid, uptime_ms, paused, dry_run, policy, budget, budget_mode ("fixed"|"auto"),
 *		     reserve, charged, deficit, ceilings, usable, given, host_total, host_available, rounds,
 *		     decisions, moved_bytes, relief: { credit|reserve|donor: { n, p50_ms, p99_ms, max_ms } },
 *		     round_ms (the last one's), decide: { n, p50_ms, p99_ms, max_ms } (from wake-up to what was
 *		     decided on a claim), nr_vms, vms: [ vm ... ], vms_left_out? (as many as do not fit a line) }
 *   vm.list { from? }	-> { vms: [ vm ... ], vms_left_out? }	"from": how many to skip
 *   vm.show { vm }	-> vm, with "stats": { ... guest statistics ... } and "decisions": [ its last ten log
 *			   entries, as far as they are among the newest 2,048 of all ]
 *   vm.set { vm, floor?, maximum?, shares? }	-> vm	(sizes in bytes)
 *		     Goes before what its domain and the configuration say, until it is adopted after a release.
 *   vm.release { vm, until_policy? }	-> vm	all memory back to the VM, then left alone; until_policy: true: until
 *		     its domain has a policy again
 *   vm.adopt { vm }	-> vm	managed again after a release
 *   domain.prepare { domain, time_ms? }	-> { verdict: "start", message (a warning, or ""), held, missing (of
 *		     what it is entitled to), took_ms } or { verdict: "refuse", message }.  A domain is about to
 *		     start: its floor is admitted, and room is held for it and made by asking others, for time_ms at
 *		     most (default 5000).
 *   domain.started { domain, pid? }, domain.reconnect { domain, pid? }	-> { known, stored }	it runs, whether or not
 *		     its start was heard of; never refused
 *   domain.stopped { uuid, pid? }, domain.release { uuid }	-> { known, stored }	it has ended; harmless where it
 *		     is not known.  With "pid" (0: not known) only where it has that process or none that is known,
 *		     and is not about to start again
 *   domain.metadata { uuid, policy }	-> { stored }	a new policy while it runs, null for none: all of it holds, or
 *		     it is refused and the old one stays
 *   domain.metadata { uuid, error }	-> {}	the policy in its XML is wrong, in these words; the old one stays
 *   domain.by_hand { uuid, balloon }	-> { known (to have a VM here), stored }	somebody other than memtide has set its
 *		     balloon to so many bytes: it is released, and gets no more until it is adopted
 *   domain.list { from? }	-> { domains: [ known ... ], domains_left_out? }	"from": how many to skip
 *   domain.show { uuid }	-> known
 *   tenant.list {}	-> { tenants: [ tenant ... ] }	those of the configuration, and those that a domain has named
 *   tenant.show { tenant }	-> tenant	by its name
 *   tenant.set { tenant, budget?, shares?, ksm?, ksm_rate_pages? }	-> tenant	until the daemon ends; null: none.  Its
 *		     VMs get it at once, but for what their domains say themselves.
 *   policy.list {}	-> { policies: [ { name, file, family, active, about } ... ] }
 *   policy.show { policy }	-> { name, file, family, active, about, runs, run_ns_avg, knobs: [ { name, type,
 *				     value, initial (the policy's own), min, max, about } ... ] }
 *   policy.load { policy, knobs?: { NAME: VALUE } }	-> policy.show's.  "policy" is a name in the policy path
 *		     or, from root, a file.  The old policy stays when the new one does not load; the error's
 *		     data.log has the verifier's words.
 *   pause {} / resume {}	-> { paused }	while paused nobody is asked to give and nothing is granted
 *   log { after?: seq, follow?: bool }	-> { entries: [ entry ... ], next }: entries behind "after", or the newest
 *		     ones; "next" is the "after" to go on with.  With follow, further entries come as
 *		     notifications { method: "log", params: entry } until the client hangs up; one that was under
 *		     way comes again, with the same seq, when it has ended
 *
 * vm: { id, name, uuid, pid, cgroup (null where not enforced), device (what it gives by: "virtio-tide" |
 *	 "virtio-balloon" | "memory.reclaim", for the latter two a stand-in speaks), state, why, tenant, floor, maximum, shares,
 *	 entitlement, usable, target, ceiling, charged, credit, given, given_huge, resident (in lists up to ten
 *	 seconds old), enforced, stats_age_ms, pressure, oom_kills, relief: as in status, connected, moving (a
 *	 lowering is under way), unused_grants (in a row), doorbell_floods }
 *	state: "starting" (no driver yet) | "managed" | "stalled" | "inhibited" | "released" | "unanswering"
 *
 * tenant: { name, number (its merge domain in the kernel, see `memtide ksm`; its own for good), budget, shares (null:
 *	 none), ksm ("tenant"|"off"), ksm_rate_pages (null: no limit), floors and charged (sums over its domains),
 *	 domains: [ name ... ], set_by_hand }
 *	 budget: the floors of its VMs fit it, and none of them is granted anything beyond it
 *
 * known: { name, uuid, phase ("prepared"|"running"), why, device, changing (another policy is being put in place: it is
 *	 in "policy" already, and may yet be taken back), pid, vm (its id, or null), memory, held, obstacles, policy,
 *	 tenant, tenant_number, cgroup, host_policies: [ { policy, state ("attached"|"waiting"|"unavailable"|"failed"),
 *	 why } ... ] }
 *
 * domain: as vmm/lib/domain-json.h has it, without lines.  What is answered is in a file and holds for a memtided
 *	 that is started again; "stored" is false where that could not be written.
 *
 * entry: { seq, time_ms, kind, vm, trigger, policy, rule, reason, bounds, inputs: { ... }, target_before, target,
 *	    ceiling_before, ceiling, achieved (usable when it ended, null while under way), took_ms, message }
 *	bounds: what kept an answer from being followed to the letter: [ "floor" | "maximum" | "step" | ... ]
 *	kind: "decision" | "relief" | "vm" | "policy" | "limit" | "host" | "control" | "error"
 *	message: one sentence for people: what, why, measured value, limit
 *
 * Errors: code -32601 unknown method, -32602 wrong params (message names the value, the limit and the mend), 1 no
 * such VM, 2 not allowed, 3 refused by the ledger, 4 policy does not load, 5 busy, 6 not managed.
 */
#ifndef MEMTIDE_CONTROL_H
#define MEMTIDE_CONTROL_H

#define MEMTIDE_CONTROL_PATH		"/run/memtide/control.sock"
#define MEMTIDE_VMM_PATH		"/run/memtide/vmm.sock"
#define MEMTIDE_CONTROL_LINE_MAX	(1024 * 1024)

enum memtide_control_error {
	MEMTIDE_ERROR_METHOD		= -32601,
	MEMTIDE_ERROR_PARAMS		= -32602,
	MEMTIDE_ERROR_NO_VM		= 1,
	MEMTIDE_ERROR_NOT_ALLOWED	= 2,
	MEMTIDE_ERROR_LEDGER		= 3,
	MEMTIDE_ERROR_POLICY		= 4,
	MEMTIDE_ERROR_BUSY		= 5,
	MEMTIDE_ERROR_NOT_MANAGED	= 6,
};

#endif /* MEMTIDE_CONTROL_H */
