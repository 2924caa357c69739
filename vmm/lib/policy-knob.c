// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Knobs of a policy: what BTF says of them, their values as text and as bytes.  A knob is a `const volatile`
 * variable, a data member of an ops table, or, where both have the same name, the two together.
 */
#include "policy-internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG_MIN		"knob:min:"
#define TAG_MAX		"knob:max:"
#define TAG_ABOUT	"knob:about:"

/* Members of ops tables that are not for people to set: the loader sets the first, the second must be zero. */
static const char *const loader_members[] = { "cgroup_id", "flags" };

const char *policy_find_tag(const struct btf *btf, __u32 id, int component, const char *prefix)
{
	for (__u32 i = 1; i < btf__type_cnt(btf); i++) {
		const struct btf_type *t = btf__type_by_id(btf, i);
		const char *text;

		if (!btf_is_decl_tag(t) || (id && t->type != id) || btf_decl_tag(t)->component_idx != component)
			continue;
		text = btf__name_by_offset(btf, t->name_off);
		if (text && !strncmp(text, prefix, strlen(prefix)))
			return text + strlen(prefix);
	}
	return NULL;
}

/* The integer behind @id, or NULL; whether it is `const volatile` in @ret_constant, which may be NULL. */
static const struct btf_type *integer_of(const struct btf *btf, __u32 id, bool *ret_constant)
{
	const struct btf_type *t = btf__type_by_id(btf, id);
	bool is_const = false, is_volatile = false;

	while (t && (btf_is_mod(t) || btf_is_typedef(t))) {
		is_const |= btf_is_const(t);
		is_volatile |= btf_is_volatile(t);
		t = btf__type_by_id(btf, t->type);
	}
	if (ret_constant)
		*ret_constant = is_const && is_volatile;
	return t && btf_is_int(t) && t->size <= sizeof(uint64_t) ? t : NULL;
}

const struct btf_member *policy_find_member(const struct btf *btf, __u32 type, const char *name, size_t *ret_size)
{
	const struct btf_type *t = btf__type_by_id(btf, type), *integer;
	const struct btf_member *member = btf_members(t);

	for (int i = 0; i < btf_vlen(t); i++, member++) {
		const char *own = btf__name_by_offset(btf, member->name_off);

		integer = own && !strcmp(own, name) ? integer_of(btf, member->type, NULL) : NULL;
		if (!integer || btf_member_bitfield_size(t, i))
			continue;
		*ret_size = integer->size;
		return member;
	}
	return NULL;
}

static uint64_t read_value(const struct memtide_knob *knob, const unsigned char *at)
{
	switch (knob->size) {
	case 1:
		return knob->type == MEMTIDE_KNOB_SIGNED ? (uint64_t)(int8_t)*at : *at;
	case 2: {
		uint16_t v;

		memcpy(&v, at, sizeof(v));
		return knob->type == MEMTIDE_KNOB_SIGNED ? (uint64_t)(int16_t)v : v;
	}
	case 4: {
		uint32_t v;

		memcpy(&v, at, sizeof(v));
		return knob->type == MEMTIDE_KNOB_SIGNED ? (uint64_t)(int32_t)v : v;
	}
	default: {
		uint64_t v;

		memcpy(&v, at, sizeof(v));
		return v;
	}
	}
}

static void write_value(unsigned char *at, size_t size, uint64_t value)
{
	uint8_t v8 = value;
	uint16_t v16 = value;
	uint32_t v32 = value;

	switch (size) {
	case 1:
		memcpy(at, &v8, sizeof(v8));
		break;
	case 2:
		memcpy(at, &v16, sizeof(v16));
		break;
	case 4:
		memcpy(at, &v32, sizeof(v32));
		break;
	default:
		memcpy(at, &value, sizeof(value));
	}
}

int policy_set_member(const struct btf *btf, const struct policy_ops *ops, const char *name, uint64_t value)
{
	size_t size;
	const struct btf_member *member = policy_find_member(btf, ops->type, name, &size);

	if (!member || member->offset / 8 + size > ops->size)
		return -ENOENT;
	write_value(ops->data + member->offset / 8, size, value);
	return 0;
}

/* -1, 0 or 1 as @a is below, at or above @b in @knob's type. */
static int compare(const struct memtide_knob *knob, uint64_t a, uint64_t b)
{
	if (knob->type == MEMTIDE_KNOB_SIGNED)
		return (int64_t)a < (int64_t)b ? -1 : (int64_t)a > (int64_t)b;
	return a < b ? -1 : a > b;
}

/* A whole number in @knob's type, with an optional binary unit; -EINVAL or -ERANGE. */
static int parse_number(const struct memtide_knob *knob, const char *text, uint64_t *ret_value)
{
	static const char units[] = "KMGT";
	bool negative = *text == '-';
	unsigned long long value;
	unsigned int shift = 0;
	const char *unit;
	char *end;

	if (!isdigit((unsigned char)text[negative]))
		return -EINVAL;
	if (negative && knob->type != MEMTIDE_KNOB_SIGNED)
		return -ERANGE;
	errno = 0;
	value = strtoull(text + negative, &end, 0);
	if (errno)
		return -ERANGE;
	if (*end == ' ')
		end++;
	if (*end && (unit = strchr(units, toupper((unsigned char)*end)))) {
		shift = 10 * (unit - units + 1);
		end++;
		if (*end == 'i')
			end++;
		if (*end == 'B')
			end++;
	} else if (*end == 'B') {
		end++;
	}
	if (*end)
		return -EINVAL;
	if (shift && value >> (64 - shift))
		return -ERANGE;
	value <<= shift;
	if (knob->type == MEMTIDE_KNOB_SIGNED && value > (unsigned long long)INT64_MAX)
		return -ERANGE;
	*ret_value = negative ? -value : value;
	return 0;
}

static int parse_value(const struct memtide_knob *knob, const char *text, uint64_t *ret_value)
{
	if (knob->type != MEMTIDE_KNOB_BOOL)
		return parse_number(knob, text, ret_value);
	if (!strcmp(text, "true") || !strcmp(text, "1"))
		*ret_value = 1;
	else if (!strcmp(text, "false") || !strcmp(text, "0"))
		*ret_value = 0;
	else
		return -EINVAL;
	return 0;
}

/* The range of @knob's type, where no tag narrows it. */
static void type_range(struct memtide_knob *knob)
{
	unsigned int bits = knob->size * 8;

	if (knob->type == MEMTIDE_KNOB_BOOL) {
		knob->max = 1;
	} else if (knob->type == MEMTIDE_KNOB_SIGNED) {
		knob->min = (uint64_t)(INT64_MIN >> (64 - bits));
		knob->max = (uint64_t)(INT64_MAX >> (64 - bits));
	} else {
		knob->max = UINT64_MAX >> (64 - bits);
	}
}

static int read_bound(const struct btf *btf, __u32 id, int component, const char *prefix,
		      const struct memtide_knob *knob, uint64_t *bound, struct memtide_errtext *errtext)
{
	const char *text = policy_find_tag(btf, id, component, prefix);
	uint64_t value;

	if (!text || knob->type == MEMTIDE_KNOB_BOOL)
		return 0;
	if (parse_number(knob, text, &value))
		return memtide_errtext_set(errtext, -EINVAL, "knob %s: its tag \"%s%s\" is no number of its type",
					   knob->name, prefix, text);
	*bound = value;
	return 0;
}

/*
 * Make a knob of an integer: its tags are on member @component of type @id, or on the type itself (-1); its value
 * is at @at.
 */
static int make_knob(struct memtide_knob *ret_knob, const struct btf *btf, const struct btf_type *integer,
		     const char *name, __u32 id, int component, const unsigned char *at,
		     struct memtide_errtext *errtext)
{
	struct memtide_knob knob = {
		.name = name,
		.size = integer->size,
		.type = btf_int_encoding(integer) & BTF_INT_BOOL ? MEMTIDE_KNOB_BOOL :
			btf_int_encoding(integer) & BTF_INT_SIGNED ? MEMTIDE_KNOB_SIGNED : MEMTIDE_KNOB_UNSIGNED,
	};
	int r;

	type_range(&knob);
	r = read_bound(btf, id, component, TAG_MIN, &knob, &knob.min, errtext);
	if (!r)
		r = read_bound(btf, id, component, TAG_MAX, &knob, &knob.max, errtext);
	if (r)
		return r;
	knob.about = policy_find_tag(btf, id, component, TAG_ABOUT) ?: "";
	knob.initial = read_value(&knob, at);
	knob.value = knob.initial;
	if (compare(&knob, knob.initial, knob.min) < 0 || compare(&knob, knob.initial, knob.max) > 0)
		return memtide_errtext_set(errtext, -EINVAL, "knob %s: its default is not between its min and max",
					   knob.name);
	*ret_knob = knob;
	return 0;
}

static int reserve(struct policy_knobs *knobs, size_t more)
{
	size_t nr = knobs->nr + more + 1;	/* reallocarray() of nothing is no failure */
	struct memtide_knob *list = reallocarray(knobs->list, nr, sizeof(*list));
	unsigned char **variables;

	if (!list)
		return -ENOMEM;
	knobs->list = list;
	variables = reallocarray(knobs->variables, nr, sizeof(*variables));
	if (!variables)
		return -ENOMEM;
	knobs->variables = variables;
	return 0;
}

int policy_read_variables(struct policy_knobs *knobs, const struct btf *btf, unsigned char *rodata, size_t size,
			  const char *whose, struct memtide_errtext *errtext)
{
	__s32 id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
	const struct btf_type *section = id > 0 ? btf__type_by_id(btf, id) : NULL;
	const struct btf_var_secinfo *info;
	int r = 0;

	if (!section || !rodata)
		return 0;
	if (reserve(knobs, btf_vlen(section)))
		return memtide_errtext_set(errtext, -ENOMEM, "no memory for the knobs of %s", whose);
	info = btf_var_secinfos(section);
	for (int i = 0; i < btf_vlen(section) && !r; i++, info++) {
		const struct btf_type *var = btf__type_by_id(btf, info->type), *integer;
		bool constant;

		if ((size_t)info->offset + info->size > size)
			return memtide_errtext_set(errtext, -EINVAL,
						   "%s: BTF and section .rodata do not fit each other", whose);
		integer = integer_of(btf, var->type, &constant);
		if (!integer || !constant)
			continue;
		r = make_knob(&knobs->list[knobs->nr], btf, integer, btf__name_by_offset(btf, var->name_off),
			      info->type, -1, rodata + info->offset, errtext);
		if (!r)
			knobs->variables[knobs->nr++] = rodata + info->offset;
	}
	return r;
}

static struct memtide_knob *find_knob(const struct policy_knobs *knobs, const char *name)
{
	for (size_t i = 0; i < knobs->nr; i++)
		if (!strcmp(knobs->list[i].name, name))
			return &knobs->list[i];
	return NULL;
}

static bool is_loaders(const char *name)
{
	for (size_t i = 0; i < sizeof(loader_members) / sizeof(loader_members[0]); i++)
		if (!strcmp(loader_members[i], name))
			return true;
	return false;
}

int policy_read_members(struct policy_knobs *knobs, const struct btf *btf, __u32 type, const unsigned char *data,
			size_t size, const char *whose, struct memtide_errtext *errtext)
{
	const struct btf_type *t = btf__type_by_id(btf, type);
	const struct btf_member *member = btf_members(t);
	int r = 0;

	if (reserve(knobs, btf_vlen(t)))
		return memtide_errtext_set(errtext, -ENOMEM, "no memory for the knobs of %s", whose);
	for (int i = 0; i < btf_vlen(t) && !r; i++, member++) {
		const char *name = btf__name_by_offset(btf, member->name_off);
		const struct btf_type *integer = integer_of(btf, member->type, NULL);

		if (!integer || btf_member_bitfield_size(t, i) || is_loaders(name) || find_knob(knobs, name) ||
		    member->offset / 8 + integer->size > size)
			continue;
		r = make_knob(&knobs->list[knobs->nr], btf, integer, name, type, i, data + member->offset / 8,
			      errtext);
		if (!r)
			knobs->variables[knobs->nr++] = NULL;
	}
	return r;
}

/* Bring the bytes behind a knob to its value: of its variable and of every member that has its name. */
static void store(struct memtide_policy *policy, size_t i)
{
	const struct btf *btf = bpf_object__btf(policy->object);
	const struct memtide_knob *knob = &policy->knobs.list[i];

	if (policy->knobs.variables[i])
		write_value(policy->knobs.variables[i], knob->size, knob->value);
	for (size_t j = 0; j < policy->nr_ops; j++)
		policy_set_member(btf, &policy->ops[j], knob->name, knob->value);
}

static struct bpf_map *find_rodata(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) {
		const char *name = bpf_map__name(map);
		size_t len = strlen(name);

		if (bpf_map__is_internal(map) && len >= 7 && !strcmp(name + len - 7, ".rodata"))
			return map;
	}
	return NULL;
}

int policy_read_knobs(struct memtide_policy *policy, struct memtide_errtext *errtext)
{
	struct bpf_map *map = find_rodata(policy->object);
	size_t size = 0;
	unsigned char *rodata = map ? bpf_map__initial_value(map, &size) : NULL;
	const struct btf *btf = bpf_object__btf(policy->object);
	int r;

	r = policy_read_variables(&policy->knobs, btf, rodata, size, policy->path, errtext);
	for (size_t i = 0; i < policy->nr_ops && !r; i++)
		r = policy_read_members(&policy->knobs, btf, policy->ops[i].type, policy->ops[i].data,
					policy->ops[i].size, policy->path, errtext);
	for (size_t i = 0; i < policy->knobs.nr && !r; i++)
		store(policy, i);
	return r;
}

void policy_knobs_free(struct policy_knobs *knobs)
{
	free(knobs->list);
	free(knobs->variables);
	*knobs = (struct policy_knobs) {};
}

const struct memtide_knob *memtide_policy_knobs(const struct memtide_policy *policy, size_t *ret_nr)
{
	*ret_nr = policy->knobs.nr;
	return policy->knobs.list;
}

const char *memtide_knob_format(const struct memtide_knob *knob, uint64_t value, char ret_text[static 24])
{
	if (knob->type == MEMTIDE_KNOB_BOOL)
		snprintf(ret_text, 24, "%s", value ? "true" : "false");
	else if (knob->type == MEMTIDE_KNOB_SIGNED)
		snprintf(ret_text, 24, "%lld", (long long)value);
	else
		snprintf(ret_text, 24, "%llu", (unsigned long long)value);
	return ret_text;
}

static int no_such_knob(const struct memtide_policy *policy, const char *name, struct memtide_errtext *errtext)
{
	char names[320] = "";

	for (size_t i = 0; i < policy->knobs.nr; i++) {
		size_t used = strlen(names);

		snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "", policy->knobs.list[i].name);
	}
	if (!policy->knobs.nr)
		return memtide_errtext_set(errtext, -ENOENT, "policy %s has no knobs, so none called %.40s",
					   policy->name, name);
	return memtide_errtext_set(errtext, -ENOENT, "policy %s has no knob %.40s; it has %s", policy->name, name,
				   names);
}

static int wrong_value(const struct memtide_policy *policy, const struct memtide_knob *knob, const char *value,
		       int r, struct memtide_errtext *errtext)
{
	char min[24], max[24], initial[24];

	if (knob->type == MEMTIDE_KNOB_BOOL)
		return memtide_errtext_set(errtext, r,
					   "%.40s is no value for knob %s of policy %s: it takes true or false "
					   "(default %s)",
					   value, knob->name, policy->name,
					   memtide_knob_format(knob, knob->initial, initial));
	return memtide_errtext_set(errtext, r,
				   "%.40s is no value for knob %s of policy %s: it takes a whole number from %s "
				   "to %s (default %s)",
				   value, knob->name, policy->name, memtide_knob_format(knob, knob->min, min),
				   memtide_knob_format(knob, knob->max, max),
				   memtide_knob_format(knob, knob->initial, initial));
}

int memtide_policy_set_knob(struct memtide_policy *policy, const char *name, const char *text,
			    struct memtide_errtext *errtext)
{
	struct memtide_knob *knob = find_knob(&policy->knobs, name);
	uint64_t value;
	int r;

	if (policy->loaded)
		return memtide_errtext_set(errtext, -EBUSY,
					   "policy %s is loaded: knobs are set before loading, load it anew",
					   policy->name);
	if (!knob)
		return no_such_knob(policy, name, errtext);

	r = parse_value(knob, text, &value);
	if (!r && (compare(knob, value, knob->min) < 0 || compare(knob, value, knob->max) > 0))
		r = -ERANGE;
	if (r)
		return wrong_value(policy, knob, text, r, errtext);
	knob->value = value;
	store(policy, knob - policy->knobs.list);
	return 0;
}
