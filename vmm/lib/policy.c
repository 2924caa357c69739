// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The policy loader.  Parsing and checking come first, in memtide_policy_open(), so that everything that can be
 * said about an object file is said without privileges; the kernel is only asked in memtide_policy_load().
 */
#include "policy.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <linux/types.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tide_balance.h"

#define TABLE_MAP	"table"
#define BALANCE_PROGRAM	"balance"
#define TAG_MIN		"knob:min:"
#define TAG_MAX		"knob:max:"
#define TAG_ABOUT	"knob:about:"
#define TAG_POLICY	"policy:about:"

/* What the verifier says about one program is a few hundred KiB where it walks a large one. */
#define LOG_SIZE	(1024 * 1024)
/* libbpf's own words are a few lines; what does not fit is cut. */
#define WORDS_SIZE	1024

struct memtide_policy {
	char *path;
	char *name;
	const char *about;
	unsigned int families;
	struct bpf_object *object;
	struct memtide_knob *knobs;
	size_t *knob_offsets;		/* of each knob in .rodata */
	size_t nr_knobs;
	unsigned char *rodata;		/* libbpf's, becomes the map's content on loading */
	char *log;
	bool loaded;
	int run_fd;
	struct balance_table *table;
	size_t table_size;
	uint64_t runs;
	uint64_t run_ns;
};

/* libbpf reports through a callback of the whole process; each thread keeps what was said in it. */
static __thread char libbpf_words[WORDS_SIZE];

static int keep_words(enum libbpf_print_level level, const char *format, va_list args)
{
	size_t used = strlen(libbpf_words);

	if (level != LIBBPF_WARN || used >= sizeof(libbpf_words) - 1)
		return 0;
	return vsnprintf(libbpf_words + used, sizeof(libbpf_words) - used, format, args);
}

static void set_print(void)
{
	libbpf_set_print(keep_words);
}

/* Start to keep libbpf's words of this thread; they end up in libbpf_words. */
static void listen_to_libbpf(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, set_print);
	libbpf_words[0] = '\0';
}

/* libbpf's first line without its prefix: the cause comes first, what follows from it later. */
static const char *first_words(void)
{
	char *words = libbpf_words;

	words[strcspn(words, "\n")] = '\0';
	return strncmp(words, "libbpf: ", 8) ? words : words + 8;
}

/* The text of tag @prefix on BTF type @id, or NULL. */
static const char *find_tag(const struct btf *btf, __u32 id, const char *prefix)
{
	for (__u32 i = 1; i < btf__type_cnt(btf); i++) {
		const struct btf_type *t = btf__type_by_id(btf, i);
		const char *text;

		if (!btf_is_decl_tag(t) || t->type != id || btf_decl_tag(t)->component_idx != -1)
			continue;
		text = btf__name_by_offset(btf, t->name_off);
		if (text && !strncmp(text, prefix, strlen(prefix)))
			return text + strlen(prefix);
	}
	return NULL;
}

/* The integer below a `const volatile` chain, or NULL if it is not constant, not volatile or no integer. */
static const struct btf_type *knob_integer(const struct btf *btf, __u32 id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);
	bool is_const = false, is_volatile = false;

	while (t && (btf_is_mod(t) || btf_is_typedef(t))) {
		is_const |= btf_is_const(t);
		is_volatile |= btf_is_volatile(t);
		t = btf__type_by_id(btf, t->type);
	}
	return t && is_const && is_volatile && btf_is_int(t) && t->size <= sizeof(uint64_t) ? t : NULL;
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

static void write_value(const struct memtide_knob *knob, unsigned char *at, uint64_t value)
{
	uint8_t v8 = value;
	uint16_t v16 = value;
	uint32_t v32 = value;

	switch (knob->size) {
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

static int read_bound(const struct btf *btf, __u32 var, const char *prefix, const struct memtide_knob *knob,
		      uint64_t *bound, struct memtide_errtext *errtext)
{
	const char *text = find_tag(btf, var, prefix);
	uint64_t value;

	if (!text || knob->type == MEMTIDE_KNOB_BOOL)
		return 0;
	if (parse_number(knob, text, &value))
		return memtide_errtext_set(errtext, -EINVAL, "knob %s: its tag \"%s%s\" is no number of its type",
					   knob->name, prefix, text);
	*bound = value;
	return 0;
}

static int read_knob(struct memtide_policy *policy, const struct btf *btf, __u32 var, size_t offset,
		     struct memtide_errtext *errtext)
{
	const struct btf_type *t = btf__type_by_id(btf, var);
	const struct btf_type *integer = knob_integer(btf, t->type);
	struct memtide_knob *knob = &policy->knobs[policy->nr_knobs];
	const char *about;
	int r;

	if (!integer)
		return 0;
	*knob = (struct memtide_knob) {
		.name = btf__name_by_offset(btf, t->name_off),
		.size = integer->size,
		.type = btf_int_encoding(integer) & BTF_INT_BOOL ? MEMTIDE_KNOB_BOOL :
			btf_int_encoding(integer) & BTF_INT_SIGNED ? MEMTIDE_KNOB_SIGNED : MEMTIDE_KNOB_UNSIGNED,
	};
	type_range(knob);
	r = read_bound(btf, var, TAG_MIN, knob, &knob->min, errtext);
	if (!r)
		r = read_bound(btf, var, TAG_MAX, knob, &knob->max, errtext);
	if (r)
		return r;
	about = find_tag(btf, var, TAG_ABOUT);
	knob->about = about ?: "";
	knob->initial = read_value(knob, policy->rodata + offset);
	knob->value = knob->initial;
	if (compare(knob, knob->initial, knob->min) < 0 || compare(knob, knob->initial, knob->max) > 0)
		return memtide_errtext_set(errtext, -EINVAL, "knob %s: its default is not between its min and max",
					   knob->name);
	policy->knob_offsets[policy->nr_knobs++] = offset;
	return 0;
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

static int read_knobs(struct memtide_policy *policy, struct memtide_errtext *errtext)
{
	const struct btf *btf = bpf_object__btf(policy->object);
	struct bpf_map *map = find_rodata(policy->object);
	const struct btf_var_secinfo *info;
	const struct btf_type *section;
	size_t size;
	__s32 id;
	int r = 0;

	id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC);
	if (!map || id < 0)
		return 0;
	policy->rodata = bpf_map__initial_value(map, &size);
	section = btf__type_by_id(btf, id);
	policy->knobs = calloc(btf_vlen(section), sizeof(*policy->knobs));
	policy->knob_offsets = calloc(btf_vlen(section), sizeof(*policy->knob_offsets));
	if (!policy->rodata || !policy->knobs || !policy->knob_offsets)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory for the knobs of %s", policy->path);
	info = btf_var_secinfos(section);
	for (int i = 0; i < btf_vlen(section) && !r; i++, info++) {
		if ((size_t)info->offset + info->size > size)
			return memtide_errtext_set(errtext, -EINVAL,
						   "%s: BTF and section .rodata do not fit each other",
						   policy->path);
		r = read_knob(policy, btf, info->type, info->offset, errtext);
	}
	return r;
}

/* Is there a whole, correct balance family?  0 without one, 1 with, else an error. */
static int check_balance(struct memtide_policy *policy, struct memtide_errtext *errtext)
{
	struct bpf_program *program = bpf_object__find_program_by_name(policy->object, BALANCE_PROGRAM);
	struct bpf_map *map = bpf_object__find_map_by_name(policy->object, TABLE_MAP);

	if (!program || strcmp(bpf_program__section_name(program), "syscall"))
		return 0;
	if (!map)
		return memtide_errtext_set(errtext, -EINVAL,
					   "%s: program %s but no map %s: include tide_balance_bpf.h",
					   policy->path, BALANCE_PROGRAM, TABLE_MAP);
	if (bpf_map__value_size(map) != sizeof(struct balance_table))
		return memtide_errtext_set(errtext, -EINVAL,
					   "%s: the value of map %s has %u bytes, struct balance_table has "
					   "%zu: compile it with this version's tide_balance.h",
					   policy->path, TABLE_MAP, bpf_map__value_size(map),
					   sizeof(struct balance_table));
	if (bpf_map__type(map) != BPF_MAP_TYPE_ARRAY || bpf_map__max_entries(map) != 1 ||
	    !(bpf_map__map_flags(map) & BPF_F_MMAPABLE))
		return memtide_errtext_set(errtext, -EINVAL,
					   "%s: map %s must be an array of one entry with BPF_F_MMAPABLE: "
					   "include tide_balance_bpf.h",
					   policy->path, TABLE_MAP);
	return 1;
}

static int read_families(struct memtide_policy *policy, struct memtide_errtext *errtext)
{
	const struct btf *btf = bpf_object__btf(policy->object);
	__s32 id;
	int r;

	r = check_balance(policy, errtext);
	if (r < 0)
		return r;
	if (!r)
		return memtide_errtext_set(errtext, -EINVAL,
					   "%s has no family that memtide knows: a balance policy has "
					   "a program %s in section \"syscall\"",
					   policy->path, BALANCE_PROGRAM);
	policy->families = MEMTIDE_FAMILY_BALANCE;
	id = btf__find_by_name_kind(btf, BALANCE_PROGRAM, BTF_KIND_FUNC);
	policy->about = id > 0 ? find_tag(btf, id, TAG_POLICY) : NULL;
	return 0;
}

static char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = strdup(slash ? slash + 1 : path);
	size_t len = name ? strlen(name) : 0;
	const size_t suffix = sizeof(MEMTIDE_POLICY_SUFFIX) - 1;

	if (len > suffix && !strcmp(name + len - suffix, MEMTIDE_POLICY_SUFFIX))
		name[len - suffix] = '\0';
	return name;
}

static int open_object(struct memtide_policy *policy, struct memtide_errtext *errtext)
{
	if (access(policy->path, R_OK))
		return memtide_errtext_set(errtext, -errno, "cannot read %s: %m", policy->path);
	listen_to_libbpf();
	policy->object = bpf_object__open_file(policy->path, NULL);
	if (!policy->object)
		return memtide_errtext_set(errtext, -EINVAL, "%s is no BPF object file: %s", policy->path,
					   first_words());
	if (!bpf_object__btf(policy->object))
		return memtide_errtext_set(errtext, -EINVAL, "%s carries no BTF: compile it with -g",
					   policy->path);
	return 0;
}

int memtide_policy_open(const char *path, struct memtide_policy **ret_policy, struct memtide_errtext *errtext)
{
	struct memtide_policy *policy = calloc(1, sizeof(*policy));
	int r = 0;

	if (policy) {
		policy->path = strdup(path);
		policy->name = name_of(path);
		policy->run_fd = -1;
	}
	if (!policy || !policy->path || !policy->name)
		r = memtide_errtext_set(errtext, -ENOMEM, "no memory for policy %s", path);
	if (!r)
		r = open_object(policy, errtext);
	if (!r)
		r = read_families(policy, errtext);
	if (!r)
		r = read_knobs(policy, errtext);
	if (r) {
		memtide_policy_close(policy);
		return r;
	}
	*ret_policy = policy;
	return 0;
}

void memtide_policy_close(struct memtide_policy *policy)
{
	if (!policy)
		return;
	if (policy->table)
		munmap(policy->table, policy->table_size);
	listen_to_libbpf();
	bpf_object__close(policy->object);
	free(policy->knobs);
	free(policy->knob_offsets);
	free(policy->log);
	free(policy->name);
	free(policy->path);
	free(policy);
}

const char *memtide_policy_name(const struct memtide_policy *policy)
{
	return policy->name;
}

const char *memtide_policy_path(const struct memtide_policy *policy)
{
	return policy->path;
}

const char *memtide_policy_about(const struct memtide_policy *policy)
{
	return policy->about ?: "";
}

unsigned int memtide_policy_families(const struct memtide_policy *policy)
{
	return policy->families;
}

const char *memtide_policy_family_names(const struct memtide_policy *policy)
{
	return policy->families & MEMTIDE_FAMILY_BALANCE ? "balance" : "";
}

const struct memtide_knob *memtide_policy_knobs(const struct memtide_policy *policy, size_t *ret_nr)
{
	*ret_nr = policy->nr_knobs;
	return policy->knobs;
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

	for (size_t i = 0; i < policy->nr_knobs; i++) {
		size_t used = strlen(names);

		snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "", policy->knobs[i].name);
	}
	if (!policy->nr_knobs)
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
	struct memtide_knob *knob = NULL;
	uint64_t value;
	size_t i;
	int r;

	if (policy->loaded)
		return memtide_errtext_set(errtext, -EBUSY,
					   "policy %s is loaded: knobs are set before loading, load it anew",
					   policy->name);
	for (i = 0; i < policy->nr_knobs && !knob; i++)
		if (!strcmp(policy->knobs[i].name, name))
			knob = &policy->knobs[i];
	if (!knob)
		return no_such_knob(policy, name, errtext);

	r = parse_value(knob, text, &value);
	if (!r && (compare(knob, value, knob->min) < 0 || compare(knob, value, knob->max) > 0))
		r = -ERANGE;
	if (r)
		return wrong_value(policy, knob, text, r, errtext);
	knob->value = value;
	write_value(knob, policy->rodata + policy->knob_offsets[knob - policy->knobs], value);
	return 0;
}

/* The verifier's verdict is its last line before the statistics. */
static const char *verdict(const char *log, char *ret_text, size_t size)
{
	const char *end = strstr(log, "\nprocessed ");
	const char *start;

	end = end ?: log + strlen(log);
	for (start = end; start > log && start[-1] != '\n';)
		start--;
	snprintf(ret_text, size, "%.*s", (int)(end - start), start);
	return ret_text;
}

static int not_loaded(const struct memtide_policy *policy, int r, struct memtide_errtext *errtext)
{
	char text[200];

	if (r == -EPERM && !policy->log[0])
		return memtide_errtext_set(errtext, r,
					   "policy %s: the kernel does not let this process load BPF programs: "
					   "it needs root, or CAP_BPF and CAP_PERFMON",
					   policy->name);
	if (policy->log[0])
		return memtide_errtext_set(errtext, r, "policy %s does not verify: %s", policy->name,
					   verdict(policy->log, text, sizeof(text)));
	return memtide_errtext_set(errtext, r, "policy %s does not load: %s", policy->name, first_words());
}

static int map_table(struct memtide_policy *policy, struct memtide_errtext *errtext)
{
	struct bpf_map *map = bpf_object__find_map_by_name(policy->object, TABLE_MAP);
	size_t page = sysconf(_SC_PAGESIZE);
	size_t size = (sizeof(struct balance_table) + page - 1) / page * page;
	void *table;

	table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (table == MAP_FAILED)
		return memtide_errtext_set(errtext, -errno, "cannot map the table of policy %s: %m", policy->name);
	policy->table = table;
	policy->table_size = size;
	policy->run_fd = bpf_program__fd(bpf_object__find_program_by_name(policy->object, BALANCE_PROGRAM));
	return 0;
}

int memtide_policy_load(struct memtide_policy *policy, struct memtide_errtext *errtext)
{
	struct bpf_program *program;
	int r;

	if (policy->loaded || policy->log)
		return memtide_errtext_set(errtext, -EBUSY, "policy %s has been loaded before", policy->name);
	policy->log = calloc(1, LOG_SIZE);
	if (!policy->log)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory for the verifier's words on %s",
					   policy->name);
	bpf_object__for_each_program(program, policy->object)
		bpf_program__set_log_buf(program, policy->log, LOG_SIZE);

	listen_to_libbpf();
	r = bpf_object__load(policy->object);
	if (r)
		return not_loaded(policy, r, errtext);
	policy->loaded = true;
	return map_table(policy, errtext);
}

const char *memtide_policy_log(const struct memtide_policy *policy)
{
	return policy->log ?: "";
}

struct balance_table *memtide_policy_table(const struct memtide_policy *policy)
{
	return policy->table;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int memtide_policy_run(struct memtide_policy *policy, uint64_t *ret_ns, struct memtide_errtext *errtext)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	struct balance_table *table = policy->table;
	uint64_t start, took;
	int r;

	if (!table)
		return memtide_errtext_set(errtext, -EINVAL, "policy %s is not loaded", policy->name);
	if (table->host.nr_vms > BALANCE_MAX_VMS)
		return memtide_errtext_set(errtext, -EINVAL, "%u VMs in the table, it has room for %u",
					   table->host.nr_vms, BALANCE_MAX_VMS);
	for (uint32_t i = 0; i < table->host.nr_vms; i++)
		table->vm[i].reason = BALANCE_KEEP;

	start = now_ns();
	r = bpf_prog_test_run_opts(policy->run_fd, &opts);
	took = now_ns() - start;
	if (r)
		return memtide_errtext_set(errtext, r, "policy %s does not run: %s", policy->name, strerror(-r));
	policy->runs++;
	policy->run_ns += took;
	if (opts.retval)
		return memtide_errtext_set(errtext, -EPROTO, "policy %s gave up with %d", policy->name,
					   (int)opts.retval);
	*ret_ns = took;
	return 0;
}

uint64_t memtide_policy_runs(const struct memtide_policy *policy)
{
	return policy->runs;
}

uint64_t memtide_policy_run_ns(const struct memtide_policy *policy)
{
	return policy->run_ns;
}

int memtide_policy_find(const char *path, const char *name, char **ret_file, struct memtide_errtext *errtext)
{
	if (!*name || *name == '.' || strchr(name, '/'))
		return memtide_errtext_set(errtext, -EINVAL,
					   "\"%.80s\" is no policy name: a name has no slash and no leading dot",
					   name);
	for (const char *at = path; *at;) {
		int len = strcspn(at, ":");
		char *file = NULL;

		if (len && asprintf(&file, "%.*s/%s" MEMTIDE_POLICY_SUFFIX, len, at, name) < 0)
			return memtide_errtext_set(errtext, -ENOMEM, "no memory to look for policy %.80s", name);
		if (file && !access(file, R_OK)) {
			*ret_file = file;
			return 0;
		}
		free(file);
		at += len + (at[len] == ':');
	}
	return memtide_errtext_set(errtext, -ENOENT,
				   "no policy %.80s in %s: `memtide policy list` shows those there are", name,
				   path);
}
