// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The policy loader.  Parsing and checking come first, in memtide_policy_open(), so that everything that can be
 * said about an object file is said without privileges; the kernel is only asked in memtide_policy_load().
 */
#include "policy-internal.h"

#include <bpf/bpf.h>
#include <errno.h>
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
#define TAG_POLICY	"policy:about:"

/* What the verifier says about one program is a few hundred KiB where it walks a large one. */
#define LOG_SIZE	(1024 * 1024)
/* libbpf's own words are a few lines; what does not fit is cut. */
#define WORDS_SIZE	1024

const struct policy_family policy_families[] = {
	{ MEMTIDE_FAMILY_KSM, "ksm", "tide_ksm_ops" },
	{ MEMTIDE_FAMILY_THP, "thp", "tide_thp_ops" },
	{ },
};

const char *policy_hook_families(char ret_names[static POLICY_NAMES_SIZE])
{
	*ret_names = '\0';
	for (const struct policy_family *family = policy_families; family->name; family++)
		snprintf(ret_names + strlen(ret_names), POLICY_NAMES_SIZE - strlen(ret_names), "%s%s",
			 *ret_names ? ", " : "", family->name);
	return ret_names;
}

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

void policy_listen_to_libbpf(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, set_print);
	libbpf_words[0] = '\0';
}

const char *policy_libbpf_words(void)
{
	char *words = libbpf_words;

	words[strcspn(words, "\n")] = '\0';
	return strncmp(words, "libbpf: ", 8) ? words : words + 8;
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

/* The family of an ops table's struct, or NULL.  libbpf takes NAME___ANYTHING for NAME, and so do we. */
static const struct policy_family *family_of(const char *type)
{
	const char *flavour = strstr(type, "___");
	size_t len = flavour ? (size_t)(flavour - type) : strlen(type);

	for (const struct policy_family *family = policy_families; family->name; family++)
		if (strlen(family->ops) == len && !strncmp(family->ops, type, len))
			return family;
	return NULL;
}

static int add_ops(struct memtide_policy *policy, struct bpf_map *map, const struct policy_family *family,
		   struct memtide_errtext *errtext)
{
	struct policy_ops *ops = &policy->ops[policy->nr_ops];

	if (policy->families & family->bit)
		return memtide_errtext_set(errtext, -EINVAL,
					   "%s has more than one struct %s: a policy has one for each family",
					   policy->path, family->ops);
	if (!(bpf_map__map_flags(map) & BPF_F_LINK))
		return memtide_errtext_set(errtext, -EINVAL,
					   "%s: %s has to be in section \".struct_ops.link\", it is in "
					   "\".struct_ops\", which the kernel's hooks do not take",
					   policy->path, bpf_map__name(map));
	ops->family = family;
	ops->map = map;
	ops->type = bpf_map__btf_value_type_id(map);
	ops->data = bpf_map__initial_value(map, &ops->size);
	policy->nr_ops++;
	policy->families |= family->bit;
	return 0;
}

/* The families of hooks that the object has ops tables for. */
static int read_ops(struct memtide_policy *policy, struct memtide_errtext *errtext)
{
	const struct btf *btf = bpf_object__btf(policy->object);
	struct bpf_map *map;
	int r = 0;

	bpf_object__for_each_map(map, policy->object) {
		const struct policy_family *family;
		const struct btf_type *t;

		if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS)
			continue;
		t = btf__type_by_id(btf, bpf_map__btf_value_type_id(map));
		family = t ? family_of(btf__name_by_offset(btf, t->name_off)) : NULL;
		if (family && policy->nr_ops < POLICY_MAX_OPS)
			r = add_ops(policy, map, family, errtext);
		if (r)
			return r;
	}
	return 0;
}

static void name_families(struct memtide_policy *policy)
{
	size_t used;

	strcpy(policy->family_names, policy->families & MEMTIDE_FAMILY_BALANCE ? "balance" : "");
	for (const struct policy_family *family = policy_families; family->name; family++) {
		used = strlen(policy->family_names);
		if (policy->families & family->bit)
			snprintf(policy->family_names + used, sizeof(policy->family_names) - used, "%s%s",
				 used ? "," : "", family->name);
	}
}

static int read_families(struct memtide_policy *policy, struct memtide_errtext *errtext)
{
	char names[POLICY_NAMES_SIZE];
	int r;

	r = check_balance(policy, errtext);
	if (r > 0)
		policy->families = MEMTIDE_FAMILY_BALANCE;
	if (r >= 0)
		r = read_ops(policy, errtext);
	if (r < 0)
		return r;
	if (!policy->families)
		return memtide_errtext_set(errtext, -EINVAL,
					   "%s has no family that memtide knows: a balance policy has "
					   "a program %s in section \"syscall\", any other a struct "
					   "tide_FAMILY_ops in section \".struct_ops.link\", and there are "
					   "%s", policy->path, BALANCE_PROGRAM, policy_hook_families(names));
	name_families(policy);
	policy->about = policy_find_tag(bpf_object__btf(policy->object), 0, -1, TAG_POLICY);
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
	policy_listen_to_libbpf();
	policy->object = bpf_object__open_file(policy->path, NULL);
	if (!policy->object)
		return memtide_errtext_set(errtext, -EINVAL, "%s is no BPF object file: %s", policy->path,
					   policy_libbpf_words());
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
		r = policy_read_knobs(policy, errtext);
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
	policy_listen_to_libbpf();
	bpf_object__close(policy->object);
	policy_knobs_free(&policy->knobs);
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
	return policy->family_names;
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
	return memtide_errtext_set(errtext, r, "policy %s does not load: %s", policy->name, policy_libbpf_words());
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

/* Programs of ops tables belong to these, all others to balance. */
static void choose(struct memtide_policy *policy, unsigned int families)
{
	bool hooks = families & ~MEMTIDE_FAMILY_BALANCE, balance = families & MEMTIDE_FAMILY_BALANCE;
	struct bpf_program *program;
	struct bpf_map *map;

	bpf_object__for_each_program(program, policy->object)
		bpf_program__set_autoload(program, bpf_program__type(program) == BPF_PROG_TYPE_STRUCT_OPS ?
					  hooks : balance);
	bpf_object__for_each_map(map, policy->object)
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			bpf_map__set_autocreate(map, false);
	for (size_t i = 0; i < policy->nr_ops; i++)
		bpf_map__set_autocreate(policy->ops[i].map, hooks);
}

int policy_load_families(struct memtide_policy *policy, unsigned int families, struct memtide_errtext *errtext)
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
	choose(policy, families);

	policy_listen_to_libbpf();
	r = bpf_object__load(policy->object);
	if (r)
		return not_loaded(policy, r, errtext);
	policy->loaded = true;
	return 0;
}

int memtide_policy_load(struct memtide_policy *policy, struct memtide_errtext *errtext)
{
	int r;

	if (!(policy->families & MEMTIDE_FAMILY_BALANCE))
		return memtide_errtext_set(errtext, -EINVAL,
					   "policy %s is of family %s and decides on cgroups: memtide policy "
					   "attach %s --vm NAME|--cgroup PATH",
					   policy->name, policy->family_names, policy->name);
	r = policy_load_families(policy, MEMTIDE_FAMILY_BALANCE, errtext);
	return r ? r : map_table(policy, errtext);
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
