// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Before a domain starts memtided makes room for it, as far as it is entitled to it and in the time that there is: who
 * gives, and who goes first.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "domains-bed.h"

/*
 * Making room
 */

/* Who has more than it is entitled to gives it, and the answer comes when it is there. */
static void test_room(void **state)
{
	struct hook_domain big = a;
	struct fixture *f = start("hook-time = 30s\n" CONFIG("640M"));

	big.policy = "";
	assert_hook(&big, "prepare", 0);
	start_peer(f, 0);
	assert_int_equal(peer_usable(f->peer[0]), RAM);
	assert_hook(&b, "prepare", 0);
	print_message("room of 192 MiB from a donor: prepare took %" PRIu64 " ms\n", hook_took_ms);
	assert_true(hook_took_ms < 15000);
	assert_int_equal(domain_number(f, "b", "held"), 320 * MIB);
	assert_int_equal(vm_number(f, "a", "ceiling"), 320 * MIB);
	assert_int_equal(status_number(f, "charged"), 640 * MIB);
	assert_int_equal(status_number(f, "deficit"), 0);
	/* Nobody else gets it meanwhile. */
	assert_int_equal(peer_claim(f->peer[0], 64 * MIB), 0);
	while (!peer_denials(f->peer[0]))
		poll(NULL, 0, 1);
	assert_int_equal(domain_number(f, "b", "held"), 320 * MIB);
	stop(f);
}

/* A donor that does not answer: the VM starts with what there is when the time is up. */
static void test_no_room(void **state)
{
	struct hook_domain big = a;
	struct fixture *f = start("hook-time = 3s\n" CONFIG("640M"));

	big.policy = "";
	assert_hook(&big, "prepare", 0);
	start_peer(f, 0);
	peer_set_manner(f->peer[0], PEER_MUTE);
	assert_hook(&b, "prepare", 0);
	assert_true(hook_took_ms >= 1500 && hook_took_ms < 3000 + SLACK_MS);
	assert_non_null(strstr(hook_output, "less than it is entitled to"));
	assert_int_equal(domain_number(f, "b", "held"), 128 * MIB);
	stop(f);
}

/* Nobody has more than it is entitled to: there is nothing to wait for. */
static void test_nobody_gives(void **state)
{
	struct hook_domain big = a;
	struct fixture *f = start("hook-time = 30s\n" CONFIG("640M"));

	big.policy = "<memtide:floor>512MiB</memtide:floor>";
	assert_hook(&big, "prepare", 0);
	start_peer(f, 0);
	assert_hook(&b, "prepare", 0);
	assert_true(hook_took_ms < 15000);
	assert_int_equal(domain_number(f, "b", "held"), 128 * MIB);
	stop(f);
}

/* Who would rather give, and who would rather not: both hold as much beyond what they are entitled to. */
static void donate(const char *of_a, uint64_t a_keeps, uint64_t b_keeps)
{
	struct hook_domain donor = a, claimant = c;
	struct fixture *f = start(CONFIG("1152M"));

	donor.policy = of_a;
	assert_hook(&donor, "prepare", 0);
	start_peer(f, 0);
	assert_hook(&b, "prepare", 0);
	start_peer(f, 1);
	claimant.policy = "<memtide:maximum>128MiB</memtide:maximum>";
	assert_hook(&claimant, "prepare", 0);
	start_peer(f, 2);
	wait_charged(f, 1152 * MIB);
	json_decref(call(f, "vm.set", json_pack("{s:s, s:I}", "vm", "c", "maximum", (json_int_t)RAM)));
	assert_int_equal(peer_claim(f->peer[2], 64 * MIB), 0);
	assert_int_equal(peer_wait_ceiling(f->peer[2], 192 * MIB, 192 * MIB, PATIENCE_MS), 0);
	assert_int_equal(vm_number(f, "a", "ceiling"), a_keeps);
	assert_int_equal(vm_number(f, "b", "ceiling"), b_keeps);
	stop(f);
}

static void test_donors_in_order(void **state)
{
	donate("<memtide:balance donate='last'/>", 512 * MIB, 448 * MIB);
	donate("<memtide:balance donate='first'/>", 448 * MIB, 512 * MIB);
}

/* [PATTERN]: only the tests whose names match. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_nobody_gives),
		cmocka_unit_test(test_donors_in_order),
	};

	signal(SIGPIPE, SIG_IGN);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
