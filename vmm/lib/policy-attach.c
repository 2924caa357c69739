// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See policy-attach.h.  The kernel decides what may be attached where; here its answers are put in words, and
 * whatever is looked at for that is looked at afterwards.
 */
#include "policy-attach.h"

#include <bpf/bpf.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "attachments.h"
#include "cgroup-id.h"
#include "kernel-tables.h"
#include "policy-internal.h"

#define BPFFS		"/sys/fs/bpf"
#define PIN_SIZE	128

/* Where a policy goes. */
struct place {
	const char *cgroup;
	uint64_t id;
};

bool memtide_kernel_has_hooks(void)
{
	return !access(MEMTIDE_TIDE_SYSFS "/policies", F_OK);
}

static void pin_path(char ret_path[static PIN_SIZE], const char *family, uint64_t id, const char *suffix)
{
	snprintf(ret_path, PIN_SIZE, MEMTIDE_PIN_DIRECTORY "/%s-%llu%s", family, (unsigned long long)id, suffix);
}

/*
 * What has to be there
 */

static int no_hooks(const char *family, struct memtide_errtext *errtext)
{
	struct utsname name;

	uname(&name);
	return memtide_errtext_set(errtext, -EOPNOTSUPP,
				   "kernel %s has no hooks for %s policies: boot one with the patches of "
				   "host-kernel/ and CONFIG_TIDE", name.release, family);
}

/* Does the kernel know the ops tables? */
static int check_kernel(const struct memtide_policy *policy, struct memtide_errtext *errtext)
{
	const struct kernel_tables *tables;
	int r = kernel_tables_read(&tables);

	if (r)
		return memtide_errtext_set(errtext, -EOPNOTSUPP,
					   "this kernel does not describe its types (/sys/kernel/btf/vmlinux: %s): "
					   "boot one with CONFIG_DEBUG_INFO_BTF", strerror(-r));
	for (size_t i = 0; i < policy->nr_ops; i++)
		if (!kernel_table_of_family(tables, policy->ops[i].family))
			return no_hooks(policy->ops[i].family->name, errtext);
	return 0;
}

static int need_root(struct memtide_errtext *errtext)
{
	return memtide_errtext_set(errtext, -EPERM,
				   "attaching and detaching policies needs root, or CAP_BPF, CAP_PERFMON and a "
				   "writable " MEMTIDE_PIN_DIRECTORY);
}

static int make_pin_directory(struct memtide_errtext *errtext)
{
	struct statfs fs;

	if (statfs(BPFFS, &fs) || fs.f_type != BPF_FS_MAGIC)
		return memtide_errtext_set(errtext, -ENODEV,
					   "there is no place to keep what is attached: mount -t bpf bpf " BPFFS);
	if (!mkdir(MEMTIDE_PIN_DIRECTORY, 0700) || errno == EEXIST)
		return 0;
	if (errno == EACCES || errno == EPERM)
		return need_root(errtext);
	return memtide_errtext_set(errtext, -errno, "cannot make " MEMTIDE_PIN_DIRECTORY ": %m");
}

/* Everything that comes before the kernel is asked. */
static int prepare(struct memtide_policy *policy, const char *cgroup, struct place *ret_place,
		   struct memtide_errtext *errtext)
{
	const struct btf *btf = bpf_object__btf(policy->object);
	struct place place = { .cgroup = cgroup };
	int r;

	if (!policy->nr_ops)
		return memtide_errtext_set(errtext, -EINVAL,
					   "policy %s is of family %s and decides for the whole host: memtide "
					   "policy load %s",
					   policy->name, policy->family_names, policy->name);
	r = memtide_cgroup_id(cgroup, &place.id, errtext);
	if (r)
		return r;
	for (size_t i = 0; i < policy->nr_ops; i++)
		if (policy_set_member(btf, &policy->ops[i], "cgroup_id", place.id))
			return memtide_errtext_set(errtext, -EINVAL,
						   "struct %s in %s has no number cgroup_id: include the family's "
						   "header from bpf/include",
						   policy->ops[i].family->ops, policy->path);
	r = check_kernel(policy, errtext);
	if (!r)
		r = make_pin_directory(errtext);
	if (!r)
		r = policy_load_families(policy, policy->families & ~MEMTIDE_FAMILY_BALANCE, errtext);
	if (!r)
		*ret_place = place;
	return r;
}

/*
 * Words
 */

/* As tide_map_is_preallocated() in the kernel, which decides. */
static bool allocates(const struct bpf_map *map)
{
	switch (bpf_map__type(map)) {
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_RINGBUF:
	case BPF_MAP_TYPE_STRUCT_OPS:
		return false;
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		return bpf_map__map_flags(map) & BPF_F_NO_PREALLOC;
	default:
		return true;
	}
}

/* By its section: libbpf sets the flag only in what it sends to the kernel. */
static bool may_sleep(const struct bpf_program *program)
{
	const char *section = bpf_program__section_name(program);

	section += *section == '?';
	return !strncmp(section, "struct_ops.s", 12) && (!section[12] || section[12] == '/');
}

/* The kernel takes letters, digits, _ and . in the name of an object. */
static bool bad_name(const struct memtide_policy *policy, const struct policy_ops *ops, const char **ret_name)
{
	const struct btf *btf = bpf_object__btf(policy->object);
	const struct btf_type *t = btf__type_by_id(btf, ops->type);
	const struct btf_member *member = btf_members(t);

	for (int i = 0; i < btf_vlen(t); i++, member++) {
		const char *name = (const char *)ops->data + member->offset / 8;
		size_t len = 0, size = btf__resolve_size(btf, member->type);

		if (strcmp(btf__name_by_offset(btf, member->name_off), "name"))
			continue;
		while (len < size && (isalnum((unsigned char)name[len]) || name[len] == '_' || name[len] == '.'))
			len++;
		*ret_name = name;
		return !len || len == size || name[len];
	}
	*ret_name = "";
	return true;
}

/* Why the kernel says EINVAL: it logs the reason, which is of no help to who has called. */
static int not_taken(const struct memtide_policy *policy, const struct policy_ops *ops,
		     struct memtide_errtext *errtext)
{
	struct bpf_program *program;
	struct bpf_map *map;
	const char *name;

	bpf_object__for_each_program(program, policy->object)
		if (may_sleep(program))
			return memtide_errtext_set(errtext, -EINVAL,
						   "policy %s: program %s may sleep, and the hooks are where nothing "
						   "may: put it into section struct_ops, without .s",
						   policy->name, bpf_program__name(program));
	bpf_object__for_each_map(map, policy->object)
		if (allocates(map))
			return memtide_errtext_set(errtext, -EINVAL,
						   "policy %s: map %s (%s%s) allocates memory when it is used: take an "
						   "array, a ring buffer, or a hash without BPF_F_NO_PREALLOC",
						   policy->name, bpf_map__name(map),
						   libbpf_bpf_map_type_str(bpf_map__type(map)) ?: "unknown",
						   bpf_map__map_flags(map) & BPF_F_NO_PREALLOC ?
						   ", BPF_F_NO_PREALLOC" : "");
	if (bad_name(policy, ops, &name))
		return memtide_errtext_set(errtext, -EINVAL,
					   "policy %s: \"%.16s\" is no .name for struct %s: it takes 1 to 15 letters, "
					   "digits, _ and .", policy->name, name, ops->family->ops);
	return memtide_errtext_set(errtext, -EINVAL,
				   "policy %s: the kernel does not take its struct %s: its log (dmesg) may say why",
				   policy->name, ops->family->ops);
}

static int not_attached(const struct memtide_policy *policy, const struct policy_ops *ops,
			const struct place *place, int r, struct memtide_errtext *errtext)
{
	switch (-r) {
	case EINVAL:
		return not_taken(policy, ops, errtext);
	case EBUSY:
	case EEXIST:
		return memtide_errtext_set(errtext, -EBUSY,
					   "a %s policy is attached to %s already: memtide policy replace",
					   ops->family->name, place->cgroup);
	case EOPNOTSUPP:
		return memtide_errtext_set(errtext, r,
					   "cgroup %s has no memory controller: echo +memory > "
					   "cgroup.subtree_control in the folder above it", place->cgroup);
	case ENOENT:
		return memtide_errtext_set(errtext, r, "cgroup %s has just been removed", place->cgroup);
	case EPERM:
	case EACCES:
		return need_root(errtext);
	default:
		return memtide_errtext_set(errtext, r, "cannot attach policy %s to %s: %s", policy->name,
					   place->cgroup, strerror(-r));
	}
}

/*
 * Attaching
 */

/* Whatever has this name is what is left of a policy that is in force no more: the kernel has taken another. */
static int pin(const struct memtide_policy *policy, const struct policy_ops *ops, struct bpf_link *link,
	       const struct place *place, struct memtide_errtext *errtext)
{
	char path[PIN_SIZE];
	int r;

	pin_path(path, ops->family->name, place->id, "");
	unlink(path);
	policy_listen_to_libbpf();
	r = bpf_link__pin(link, path);
	if (r)
		return memtide_errtext_set(errtext, r, "cannot keep policy %s attached: %s: %s", policy->name,
					   path, strerror(-r));
	return 0;
}

/* Which file it came from is for people and for `memtide ksm set`; nothing is lost without. */
static void note_file(const struct memtide_policy *policy, const struct policy_ops *ops, const struct place *place)
{
	char path[PIN_SIZE], *file = realpath(policy->path, NULL);

	pin_path(path, ops->family->name, place->id, "-file");
	unlink(path);
	if (file && symlink(file, path))
		unlink(path);
	free(file);
}

static void unpin(const char *family, uint64_t id)
{
	char path[PIN_SIZE];

	pin_path(path, family, id, "-file");
	unlink(path);
	pin_path(path, family, id, "");
	unlink(path);
}

/* Every VM that ends takes its cgroup with it, and leaves a pin of what was attached there. */
static void sweep_pins(void)
{
	const struct memtide_attachment *attachment;
	struct memtide_attachments *all;
	char path[PATH_MAX];
	size_t nr;

	if (memtide_attachments_read(&all))
		return;
	attachment = memtide_attachments_list(all, &nr);
	for (size_t i = 0; i < nr; i++, attachment++)
		if (!attachment->in_force && attachment->pin[0] &&
		    memtide_cgroup_path(attachment->cgroup_id, path, sizeof(path)) == -ENOENT)
			unpin(attachment->family, attachment->cgroup_id);
	memtide_attachments_free(all);
}

int memtide_policy_attach(struct memtide_policy *policy, const char *cgroup, struct memtide_errtext *errtext)
{
	struct bpf_link *links[POLICY_MAX_OPS] = {};
	struct place place;
	size_t pinned = 0;
	int r;

	r = prepare(policy, cgroup, &place, errtext);
	for (size_t i = 0; i < policy->nr_ops && !r; i++) {
		policy_listen_to_libbpf();
		links[i] = bpf_map__attach_struct_ops(policy->ops[i].map);
		if (!links[i])
			r = not_attached(policy, &policy->ops[i], &place, -errno, errtext);
	}
	for (; pinned < policy->nr_ops && !r; pinned++)
		r = pin(policy, &policy->ops[pinned], links[pinned], &place, errtext);
	for (size_t i = 0; i < pinned; i++)
		if (r)
			unpin(policy->ops[i].family->name, place.id);
		else
			note_file(policy, &policy->ops[i], &place);
	for (size_t i = 0; i < policy->nr_ops; i++)
		bpf_link__destroy(links[i]);	/* what is pinned stays */
	if (!r)
		sweep_pins();
	return r;
}

/*
 * Replacing
 */

/* The pinned link of what is in force, or a negative errno. */
static int open_link(const struct policy_ops *ops, const struct place *place, struct memtide_errtext *errtext)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);
	char path[PIN_SIZE];
	int fd;

	pin_path(path, ops->family->name, place->id, "");
	fd = bpf_obj_get(path);
	if (fd == -ENOENT)
		return memtide_errtext_set(errtext, fd,
					   "no %s policy that could be replaced is attached to %s: memtide policy "
					   "attach", ops->family->name, place->cgroup);
	if (fd < 0)
		return memtide_errtext_set(errtext, fd, "cannot open %s: %s", path, strerror(-fd));
	if (bpf_link_get_info_by_fd(fd, &info, &size) || info.type != BPF_LINK_TYPE_STRUCT_OPS ||
	    !info.struct_ops.map_id) {
		close(fd);
		return memtide_errtext_set(errtext, -ENOLINK,
					   "the %s policy of %s is in force no more, so it cannot be replaced (memtide "
					   "log and the kernel's log say why): memtide policy attach",
					   ops->family->name, place->cgroup);
	}
	return fd;
}

/*
 * A map's ops table is handed to the kernel by libbpf only, on attaching or on updating a link that libbpf has
 * made in this process, not on updating one that was pinned.  So it is attached first, which the kernel has to
 * refuse as long as another policy is there.
 */
static int hand_over(struct memtide_policy *policy, const struct policy_ops *ops, const struct place *place,
		     struct memtide_errtext *errtext)
{
	struct bpf_link *link;

	policy_listen_to_libbpf();
	link = bpf_map__attach_struct_ops(ops->map);
	if (link) {
		bpf_link__destroy(link);
		return memtide_errtext_set(errtext, -ENOLINK,
					   "the %s policy of %s has just gone, so it cannot be replaced: memtide policy "
					   "attach", ops->family->name, place->cgroup);
	}
	if (errno == EBUSY || errno == EEXIST)
		return 0;
	return not_attached(policy, ops, place, -errno, errtext);
}

static int replace_one(struct memtide_policy *policy, const struct policy_ops *ops, const struct place *place,
		       struct memtide_errtext *errtext)
{
	int fd = open_link(ops, place, errtext), r;

	if (fd < 0)
		return fd;
	r = hand_over(policy, ops, place, errtext);
	if (!r) {
		r = bpf_link_update(fd, bpf_map__fd(ops->map), NULL);
		if (r)
			r = not_attached(policy, ops, place, r, errtext);
	}
	close(fd);
	if (!r)
		note_file(policy, ops, place);
	return r;
}

int memtide_policy_replace(struct memtide_policy *policy, const char *cgroup, struct memtide_errtext *errtext)
{
	struct place place;
	int r;

	r = prepare(policy, cgroup, &place, errtext);
	for (size_t i = 0; i < policy->nr_ops && !r; i++)
		r = replace_one(policy, &policy->ops[i], &place, errtext);
	return r;
}

/*
 * Detaching
 */

/* The folder in which the kernel shows a policy. */
static void shown_path(char ret_path[static PIN_SIZE], const struct policy_family *family, const struct place *place)
{
	snprintf(ret_path, PIN_SIZE, MEMTIDE_TIDE_SYSFS "/policies/%s-%llu", family->name,
		 (unsigned long long)place->id);
}

/* One that is in force, or what is left of it. */
static bool is_there(const struct policy_family *family, const struct place *place)
{
	char pinned[PIN_SIZE], shown[PIN_SIZE];

	pin_path(pinned, family->name, place->id, "");
	shown_path(shown, family, place);
	return !access(pinned, F_OK) || !access(shown, F_OK);
}

/* A policy's file is thp-never, and its own name, in which the kernel takes no dash, thp_never. */
static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !(*a == '-' && *b == '_'))
			return false;
	return *a == *b;
}

/* Is what is in force called @name? */
static bool is_called(const struct policy_family *family, const struct place *place, const char *name)
{
	char path[PIN_SIZE + 8], own[32] = "";
	FILE *f;

	shown_path(path, family, place);
	strcat(path, "/name");
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fgets(own, sizeof(own), f))
		own[strcspn(own, "\n")] = '\0';
	fclose(f);
	return same_name(name, own);
}

/* 1 if there was one, 0 if there was none, or a negative errno. */
static int detach_one(const struct policy_family *family, const struct place *place,
		      struct memtide_errtext *errtext)
{
	char path[PIN_SIZE];
	int fd, r;

	pin_path(path, family->name, place->id, "");
	fd = bpf_obj_get(path);
	if (fd == -ENOENT) {
		if (!is_there(family, place))
			return 0;
		return memtide_errtext_set(errtext, -EPERM,
					   "the %s policy of %s is held by another program, which can detach it; "
					   "memtide eject takes every policy of this host out of force",
					   family->name, place->cgroup);
	}
	if (fd == -EPERM || fd == -EACCES)
		return need_root(errtext);
	r = fd < 0 ? fd : bpf_link_detach(fd);
	if (fd >= 0)
		close(fd);
	if (r)
		return memtide_errtext_set(errtext, r, "cannot detach %s: %s", path, strerror(-r));
	unpin(family->name, place->id);
	return 1;
}

/* Without a word for it there has to be one only. */
static int only_one(const struct place *place, struct memtide_errtext *errtext)
{
	const char *first = NULL;
	char names[POLICY_NAMES_SIZE] = "";

	for (const struct policy_family *family = policy_families; family->name; family++) {
		if (!is_there(family, place))
			continue;
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", first ? ", " : "", family->name);
		first = first ?: family->name;
	}
	if (!first || !strcmp(first, names))
		return 0;
	return memtide_errtext_set(errtext, -ENOTUNIQ,
				   "%s has a policy of each of these families: %s.  Say which, as in memtide policy "
				   "detach %s", place->cgroup, names, first);
}

static int none_there(const char *which, const struct place *place, struct memtide_errtext *errtext)
{
	char names[POLICY_NAMES_SIZE];

	if (!which)
		return memtide_errtext_set(errtext, -ENOENT, "no policy is attached to %s", place->cgroup);
	return memtide_errtext_set(errtext, -ENOENT,
				   "no policy %.40s is attached to %s, by its own name or its family's; families are "
				   "%s", which, place->cgroup, policy_hook_families(names));
}

int memtide_policy_detach(const char *which, const char *cgroup, size_t *ret_nr, struct memtide_errtext *errtext)
{
	struct place place = { .cgroup = cgroup };
	size_t nr = 0;
	int r;

	r = memtide_cgroup_id(cgroup, &place.id, errtext);
	if (!r && !which)
		r = only_one(&place, errtext);
	for (const struct policy_family *family = policy_families; family->name && r >= 0; family++) {
		if (which && strcmp(which, family->name) && !is_called(family, &place, which))
			continue;
		r = detach_one(family, &place, errtext);
		nr += r > 0;
	}
	if (r < 0)
		return r;
	if (!nr)
		return none_there(which, &place, errtext);
	*ret_nr = nr;
	return 0;
}

static size_t count_policies(void)
{
	DIR *dir = opendir(MEMTIDE_TIDE_SYSFS "/policies");
	struct dirent *entry;
	size_t nr = 0;

	while (dir && (entry = readdir(dir)))
		nr += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return nr;
}

int memtide_policy_eject_all(size_t *ret_nr, struct memtide_errtext *errtext)
{
	size_t nr = count_policies();
	int fd, r;

	fd = open(MEMTIDE_TIDE_SYSFS "/eject", O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return no_hooks("memory", errtext);
	if (fd < 0)
		return memtide_errtext_set(errtext, -errno, "cannot open " MEMTIDE_TIDE_SYSFS "/eject: %m");
	r = write(fd, "1", 1) == 1 ? 0 : -errno;
	close(fd);
	if (r)
		return memtide_errtext_set(errtext, r, "cannot write " MEMTIDE_TIDE_SYSFS "/eject: %s",
					   strerror(-r));
	*ret_nr = nr;
	return 0;
}
