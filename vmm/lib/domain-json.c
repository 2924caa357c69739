// SPDX-License-Identifier: GPL-2.0-or-later
#include "domain-json.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ledger.h"

#define UNSET	MEMTIDE_DOMAIN_UNSET

bool memtide_domain_uuid(const char *text, char ret_uuid[static 37])
{
	if (!text || strlen(text) != 36)
		return false;
	for (int i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			return false;
	}
	for (int i = 0; i < 37; i++)
		ret_uuid[i] = (char)tolower((unsigned char)text[i]);
	return true;
}

/*
 * Writing
 */

static void put_number(json_t *object, const char *name, uint64_t value)
{
	if (value <= INT64_MAX)
		json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void put_text(json_t *object, const char *name, const char *text)
{
	if (text[0])
		json_object_set_new(object, name, json_string(text));
}

static json_t *host_to_json(const struct memtide_domain_policy *policy, size_t host)
{
	json_t *knobs = json_object();

	for (size_t i = 0; i < policy->nr_knobs; i++)
		if (policy->knobs[i].host == host)
			json_object_set_new(knobs, policy->knobs[i].name, json_string(policy->knobs[i].value));
	return json_pack("{s:s, s:b, s:o}", "policy", policy->hosts[host].policy, "optional",
			 policy->hosts[host].optional, "knobs", knobs);
}

json_t *memtide_domain_policy_to_json(const struct memtide_domain_policy *policy)
{
	json_t *json = json_object(), *hosts = json_array();

	put_text(json, "tenant", policy->tenant);
	put_number(json, "floor", policy->floor.value);
	put_number(json, "maximum", policy->maximum.value);
	put_number(json, "shares", policy->shares.value);
	put_text(json, "donate", memtide_donate_name(policy->donate));
	put_number(json, "headroom", policy->headroom);
	put_text(json, "ksm", memtide_domain_ksm_name(policy->ksm));
	if (policy->ksm_rate_pages)
		put_number(json, "ksm_rate_pages", policy->ksm_rate_pages);
	put_text(json, "thp", memtide_domain_thp_name(policy->thp));
	for (size_t i = 0; i < policy->nr_hosts; i++)
		json_array_append_new(hosts, host_to_json(policy, i));
	json_object_set_new(json, "hosts", hosts);
	return json;
}

json_t *memtide_domain_to_json(const struct memtide_domain *domain)
{
	json_t *json = json_object(), *obstacles = json_array();

	put_text(json, "name", domain->name);
	put_text(json, "uuid", domain->uuid);
	put_number(json, "memory", domain->limits.memory.value);
	put_number(json, "current", domain->limits.current.value);
	put_number(json, "hard_limit", domain->limits.hard_limit.value);
	put_number(json, "soft_limit", domain->limits.soft_limit.value);
	json_object_set_new(json, "device", json_boolean(domain->limits.tide_device));
	json_object_set_new(json, "balloon", json_boolean(!domain->limits.no_balloon));
	for (int i = 0; i < MEMTIDE_OBSTACLES; i++)
		if (domain->limits.obstacles[i].element)
			json_array_append_new(obstacles, json_string(memtide_obstacle_name(i)));
	json_object_set_new(json, "obstacles", obstacles);
	json_object_set_new(json, "policy", domain->has_policy ? memtide_domain_policy_to_json(&domain->policy) :
			    json_null());
	return json;
}

/*
 * Reading
 */

static int wrong(struct memtide_errtext *errtext, const char *name, const char *wanted)
{
	return memtide_errtext_set(errtext, -EINVAL, "\"%s\" has to be %s", name, wanted);
}

/* A number up to @most; left alone where there is none. */
static int get_number(const json_t *object, const char *name, uint64_t most, uint64_t *ret_value,
		      struct memtide_errtext *errtext)
{
	const json_t *value = json_object_get(object, name);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > most)
		return memtide_errtext_set(errtext, -EINVAL, "\"%s\" has to be a whole number from 0 to %llu", name,
					   (unsigned long long)most);
	*ret_value = (uint64_t)json_integer_value(value);
	return 0;
}

static int get_value(const json_t *object, const char *name, uint64_t most, struct memtide_domain_value *ret_value,
		     struct memtide_errtext *errtext)
{
	int r = get_number(object, name, most, &ret_value->value, errtext);

	ret_value->line = ret_value->value != UNSET;
	return r;
}

/* A text that fits; left alone where there is none. */
static int get_text(const json_t *object, const char *name, char *ret_text, size_t size,
		    struct memtide_errtext *errtext)
{
	const json_t *value = json_object_get(object, name);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value) || json_string_length(value) >= size ||
	    strlen(json_string_value(value)) != json_string_length(value))
		return memtide_errtext_set(errtext, -EINVAL, "\"%s\" has to be a text of at most %zu bytes", name,
					   size - 1);
	snprintf(ret_text, size, "%s", json_string_value(value));
	return 0;
}

/* One of the words that @name_of gives to 0 to @nr - 1; left alone where there is none. */
static int get_word(const json_t *object, const char *name, const char *(*name_of)(int), int nr, int *ret_word,
		    struct memtide_errtext *errtext)
{
	char text[MEMTIDE_DOMAIN_NAME] = "";
	int r = get_text(object, name, text, sizeof(text), errtext);

	for (int i = 0; i < nr && !r && text[0]; i++) {
		if (strcmp(name_of(i), text))
			continue;
		*ret_word = i;
		return 0;
	}
	return r || !text[0] ? r : wrong(errtext, name, "a word that is known");
}

static const char *ksm_name(int i)
{
	return memtide_domain_ksm_name(i);
}

static const char *thp_name(int i)
{
	return memtide_domain_thp_name(i);
}

static const char *donate_name(int i)
{
	return memtide_donate_name(i);
}

static const char *obstacle_name(int i)
{
	return memtide_obstacle_name(i);
}

static int get_knobs(const json_t *host, struct memtide_domain_policy *policy, struct memtide_errtext *errtext)
{
	json_t *knobs = json_object_get(host, "knobs"), *value;
	const char *name;

	json_object_foreach(knobs, name, value) {
		struct memtide_domain_knob *knob = &policy->knobs[policy->nr_knobs];

		if (policy->nr_knobs == MEMTIDE_DOMAIN_KNOBS || strlen(name) >= sizeof(knob->name) ||
		    !json_is_string(value) || strlen(json_string_value(value)) >= sizeof(knob->value))
			return wrong(errtext, "knobs", "an object of at most 64 short texts");
		*knob = (struct memtide_domain_knob){ .host = (unsigned int)policy->nr_hosts, .line = 1 };
		snprintf(knob->name, sizeof(knob->name), "%s", name);
		snprintf(knob->value, sizeof(knob->value), "%s", json_string_value(value));
		policy->nr_knobs++;
	}
	return 0;
}

static int get_hosts(const json_t *json, struct memtide_domain_policy *policy, struct memtide_errtext *errtext)
{
	const json_t *hosts = json_object_get(json, "hosts"), *host;
	size_t i;
	int r;

	json_array_foreach(hosts, i, host) {
		struct memtide_domain_host *to = &policy->hosts[policy->nr_hosts];

		if (policy->nr_hosts == MEMTIDE_DOMAIN_HOSTS)
			return wrong(errtext, "hosts", "a list of at most 16");
		*to = (struct memtide_domain_host){ .line = 1 };
		r = get_text(host, "policy", to->policy, sizeof(to->policy), errtext);
		if (!r && !to->policy[0])
			r = wrong(errtext, "policy", "a policy's name");
		if (!r)
			r = get_knobs(host, policy, errtext);
		if (r)
			return r;
		to->optional = json_is_true(json_object_get(host, "optional"));
		policy->nr_hosts++;
	}
	return 0;
}

/* What the reader of the XML sees to, in case that this did not come from it. */
static int check_policy(const struct memtide_domain_policy *policy, struct memtide_errtext *errtext)
{
	if (policy->shares.value == 0)
		return memtide_errtext_set(errtext, -EINVAL, "\"shares\" has to be from 1 to %d",
					   MEMTIDE_LEDGER_SHARES);
	if (policy->maximum.value == 0)
		return wrong(errtext, "maximum", "more than 0");
	if (policy->floor.value != UNSET && policy->floor.value > policy->maximum.value)
		return wrong(errtext, "floor", "at most the maximum");
	if (policy->ksm == MEMTIDE_KSM_TENANT && !policy->tenant[0])
		return wrong(errtext, "tenant", "given where ksm is \"tenant\"");
	return 0;
}

int memtide_domain_policy_from_json(const json_t *json, struct memtide_domain_policy *ret_policy,
				    struct memtide_errtext *errtext)
{
	struct memtide_domain_policy policy = {
		.line = 1, .floor.value = UNSET, .maximum.value = UNSET, .shares.value = UNSET,
	};
	int ksm = 0, thp = 0, donate = 0, r;
	uint64_t rate = 0;

	if (!json_is_object(json))
		return wrong(errtext, "policy", "an object");
	r = get_text(json, "tenant", policy.tenant, sizeof(policy.tenant), errtext);
	if (!r)
		r = get_value(json, "floor", MEMTIDE_LEDGER_BYTES, &policy.floor, errtext);
	if (!r)
		r = get_value(json, "maximum", MEMTIDE_LEDGER_BYTES, &policy.maximum, errtext);
	if (!r)
		r = get_value(json, "shares", MEMTIDE_LEDGER_SHARES, &policy.shares, errtext);
	if (!r)
		r = get_number(json, "headroom", MEMTIDE_LEDGER_BYTES, &policy.headroom, errtext);
	if (!r)
		r = get_number(json, "ksm_rate_pages", INT32_MAX, &rate, errtext);
	if (!r)
		r = get_word(json, "donate", donate_name, MEMTIDE_DONATE_LAST + 1, &donate, errtext);
	if (!r)
		r = get_word(json, "ksm", ksm_name, MEMTIDE_KSM_TENANT + 1, &ksm, errtext);
	if (!r)
		r = get_word(json, "thp", thp_name, MEMTIDE_THP_PRESSURE + 1, &thp, errtext);
	policy.donate = donate;
	policy.ksm = ksm;
	policy.ksm_rate_pages = (uint32_t)rate;
	policy.thp = thp;
	policy.tenant_line = policy.tenant[0] != '\0';
	policy.ksm_line = ksm != 0;
	policy.thp_line = thp != 0;
	if (!r)
		r = get_hosts(json, &policy, errtext);
	if (!r)
		r = check_policy(&policy, errtext);
	if (!r)
		*ret_policy = policy;
	return r;
}

/* Those of a later version have no place here. */
static void get_obstacles(const json_t *json, struct memtide_domain_limits *limits)
{
	const json_t *list = json_object_get(json, "obstacles"), *one;
	size_t i;

	json_array_foreach(list, i, one) {
		for (int o = 0; o < MEMTIDE_OBSTACLES; o++) {
			if (!json_is_string(one) || strcmp(json_string_value(one), obstacle_name(o)))
				continue;
			limits->obstacles[o].element = obstacle_name(o);
			limits->obstacles[o].line = 1;
		}
	}
}

int memtide_domain_from_json(const json_t *json, struct memtide_domain *ret_domain, struct memtide_errtext *errtext)
{
	struct memtide_domain domain = {
		.limits = { .memory.value = UNSET, .current.value = UNSET, .hard_limit.value = UNSET,
			    .soft_limit.value = UNSET },
	};
	const json_t *policy = json_object_get(json, "policy");
	int r;

	if (!memtide_domain_uuid(json_string_value(json_object_get(json, "uuid")), domain.uuid))
		return wrong(errtext, "uuid", "a UUID, as in 7b9d6a2c-0c1e-4a43-9d27-6c0a3a5de001");
	r = get_text(json, "name", domain.name, sizeof(domain.name), errtext);
	if (!r && !domain.name[0])
		r = wrong(errtext, "name", "the domain's name");
	if (!r)
		r = get_value(json, "memory", MEMTIDE_LEDGER_BYTES, &domain.limits.memory, errtext);
	if (!r)
		r = get_value(json, "current", MEMTIDE_LEDGER_BYTES, &domain.limits.current, errtext);
	if (!r)
		r = get_value(json, "hard_limit", MEMTIDE_LEDGER_BYTES, &domain.limits.hard_limit, errtext);
	if (!r)
		r = get_value(json, "soft_limit", MEMTIDE_LEDGER_BYTES, &domain.limits.soft_limit, errtext);
	domain.limits.no_balloon = json_is_false(json_object_get(json, "balloon"));
	get_obstacles(json, &domain.limits);
	domain.limits.tide_device = json_is_true(json_object_get(json, "device"));
	domain.has_policy = policy && !json_is_null(policy);
	if (!r && domain.has_policy)
		r = memtide_domain_policy_from_json(policy, &domain.policy, errtext);
	if (!r)
		*ret_domain = domain;
	return r;
}
