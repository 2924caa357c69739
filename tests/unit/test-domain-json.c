// SPDX-License-Identifier: GPL-2.0-or-later
/* A domain over the control socket: what goes in comes out, and what makes no sense is refused with its member. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "domain-json.h"

#define UUID	"4242AAAA-4242-4242-4242-4242000000ff"

static struct memtide_errtext errtext;

static const char whole[] =
	"<domain type='kvm'>\n<name>web 1</name>\n<uuid>" UUID "</uuid>\n<metadata>"
	"<memtide:policy xmlns:memtide='urn:memtide:policy:1'>"
	"<memtide:tenant>blue</memtide:tenant><memtide:floor>1GiB</memtide:floor>"
	"<memtide:maximum>3GiB</memtide:maximum><memtide:shares>200</memtide:shares>"
	"<memtide:balance donate='last' headroom='256MiB'/>"
	"<memtide:ksm mode='tenant' rate-pages='25600'/><memtide:thp mode='pressure'/>"
	"<memtide:host policy='site-readahead' optional='yes'><memtide:knob name='window_pages' value='64'/>"
	"</memtide:host><memtide:host policy='other'><memtide:knob name='a' value='1M'/>"
	"<memtide:knob name='b' value='true'/></memtide:host>"
	"</memtide:policy></metadata>\n<memory unit='GiB'>4</memory>\n"
	"<memoryBacking><locked/></memoryBacking></domain>";

/* Through the text, as it goes over the socket. */
static int through(const struct memtide_domain *domain, struct memtide_domain *ret_domain)
{
	json_t *json = memtide_domain_to_json(domain);
	char *text = json_dumps(json, JSON_COMPACT);
	int r;

	json_decref(json);
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	r = memtide_domain_from_json(json, ret_domain, &errtext);
	json_decref(json);
	return r;
}

static void test_there_and_back(void **state)
{
	static struct memtide_domain domain, back, again;
	const struct memtide_domain_policy *policy = &back.policy;

	assert_int_equal(memtide_domain_read(whole, strlen(whole), &domain, &errtext), 0);
	assert_int_equal(through(&domain, &back), 0);
	assert_string_equal(back.name, "web 1");
	assert_string_equal(back.uuid, "4242aaaa-4242-4242-4242-4242000000ff");
	assert_int_equal(back.limits.memory.value, 4 * GIB);
	assert_false(back.limits.tide_device);
	assert_false(memtide_domain_reclaimable(&back.limits));
	assert_non_null(back.limits.obstacles[MEMTIDE_OBSTACLE_LOCKED].element);
	assert_true(back.has_policy);
	assert_string_equal(policy->tenant, "blue");
	assert_int_equal(policy->floor.value, GIB);
	assert_int_equal(policy->maximum.value, 3 * GIB);
	assert_int_equal(policy->shares.value, 200);
	assert_int_equal(policy->donate, MEMTIDE_DONATE_LAST);
	assert_int_equal(policy->headroom, 256 * MIB);
	assert_int_equal(policy->ksm, MEMTIDE_KSM_TENANT);
	assert_int_equal(policy->ksm_rate_pages, 25600);
	assert_int_equal(policy->thp, MEMTIDE_THP_PRESSURE);
	assert_int_equal(policy->nr_hosts, 2);
	assert_string_equal(policy->hosts[0].policy, "site-readahead");
	assert_true(policy->hosts[0].optional);
	assert_false(policy->hosts[1].optional);
	assert_int_equal(policy->nr_knobs, 3);
	assert_int_equal(policy->knobs[2].host, 1);
	assert_string_equal(policy->knobs[2].name, "b");
	assert_string_equal(policy->knobs[2].value, "true");
	/* Once more changes nothing. */
	assert_int_equal(through(&back, &again), 0);
	assert_memory_equal(&again, &back, sizeof(back));
}

static void test_nothing_is_given(void **state)
{
	static const char text[] = "<domain><name>a</name><uuid>" UUID "</uuid></domain>";
	static struct memtide_domain domain, back;

	assert_int_equal(memtide_domain_read(text, strlen(text), &domain, &errtext), 0);
	assert_int_equal(through(&domain, &back), 0);
	assert_false(back.has_policy);
	assert_int_equal(back.limits.memory.value, MEMTIDE_DOMAIN_UNSET);
	assert_true(memtide_domain_reclaimable(&back.limits));
	/* An empty policy leaves everything open. */
	domain.has_policy = true;
	assert_int_equal(memtide_domain_policy_read("<policy/>", 9, &domain.policy, &errtext), 0);
	assert_int_equal(through(&domain, &back), 0);
	assert_true(back.has_policy);
	assert_int_equal(back.policy.floor.value, MEMTIDE_DOMAIN_UNSET);
	assert_int_equal(back.policy.floor.line, 0);
	assert_int_equal(back.policy.shares.value, MEMTIDE_DOMAIN_UNSET);
	assert_int_equal(back.policy.thp, MEMTIDE_THP_INHERITED);
}

static void test_wrong(void **state)
{
	static const struct {
		const char *json, *words;
	} wrong[] = {
		{ "{}", "\"uuid\" has to be a UUID, as in 7b9d6a2c-0c1e-4a43-9d27-6c0a3a5de001" },
		{ "{'uuid': '../../etc/passwd', 'name': 'a'}",
		  "\"uuid\" has to be a UUID, as in 7b9d6a2c-0c1e-4a43-9d27-6c0a3a5de001" },
		{ "{'uuid': '" UUID "'}", "\"name\" has to be the domain's name" },
		{ "{'uuid': '" UUID "', 'name': 'a', 'memory': -1}",
		  "\"memory\" has to be a whole number from 0 to 281474976710656" },
		{ "{'uuid': '" UUID "', 'name': 'a', 'policy': 7}", "\"policy\" has to be an object" },
		{ "{'uuid': '" UUID "', 'name': 'a', 'policy': {'floor': 2, 'maximum': 1}}",
		  "\"floor\" has to be at most the maximum" },
		{ "{'uuid': '" UUID "', 'name': 'a', 'policy': {'shares': 0}}",
		  "\"shares\" has to be from 1 to 1000000" },
		{ "{'uuid': '" UUID "', 'name': 'a', 'policy': {'ksm': 'tenant'}}",
		  "\"tenant\" has to be given where ksm is \"tenant\"" },
		{ "{'uuid': '" UUID "', 'name': 'a', 'policy': {'thp': 'sometimes'}}",
		  "\"thp\" has to be a word that is known" },
		{ "{'uuid': '" UUID "', 'name': 'a', 'policy': {'hosts': [{}]}}",
		  "\"policy\" has to be a policy's name" },
		{ "{'uuid': '" UUID "', 'name': 'a', 'policy': {'hosts': [{'policy': 'p', 'knobs': {'k': 1}}]}}",
		  "\"knobs\" has to be an object of at most 64 short texts" },
	};
	static struct memtide_domain domain, before;

	memset(&domain, 0x55, sizeof(domain));
	before = domain;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		char text[512];
		json_t *json;

		snprintf(text, sizeof(text), "%s", wrong[i].json);
		for (char *c = text; *c; c++)
			*c = *c == '\'' ? '"' : *c;
		json = json_loads(text, 0, NULL);
		assert_non_null(json);
		assert_int_equal(memtide_domain_from_json(json, &domain, &errtext), -EINVAL);
		assert_string_equal(errtext.text, wrong[i].words);
		assert_int_equal(memtide_domain_from_json(json, &domain, NULL), -EINVAL);
		json_decref(json);
	}
	assert_memory_equal(&domain, &before, sizeof(domain));
}

/* What a later version adds is passed over. */
static void test_later(void **state)
{
	struct memtide_domain domain;
	json_t *json = json_pack("{s:s, s:s, s:i, s:[s,i], s:{s:s}}", "uuid", UUID, "name", "a", "new", 1,
				 "obstacles", "moon", 1, "policy", "guest", "x");

	assert_int_equal(memtide_domain_from_json(json, &domain, &errtext), 0);
	assert_true(domain.has_policy);
	assert_true(memtide_domain_reclaimable(&domain.limits));
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_nothing_is_given),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
