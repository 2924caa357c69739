// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See attachments.h.  The way from a pin to knobs: link, map of the ops table, any of its programs, that
 * program's map .rodata, which is frozen, so that it says what the policy was loaded with.
 */
#include "attachments.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup-id.h"
#include "kernel-tables.h"
#include "policy-attach.h"
#include "policy-internal.h"

/* More maps than a policy would have. */
#define MAX_PROGRAM_MAPS	64

/* One of them, and what its knobs point into. */
struct entry {
	struct memtide_attachment shown;
	struct policy_knobs knobs;
	struct btf *btf;
	unsigned char *rodata;
};

struct memtide_attachments {
	struct entry *entries;
	struct memtide_attachment *list;	/* the same, as they are handed out */
	size_t nr;
	uint64_t cgroup_id;			/* of which these are; 0 for all */
};

/* FAMILY-CGROUP */
static bool parse_name(const char *text, char ret_family[static 16], uint64_t *ret_id)
{
	int end = 0;

	return sscanf(text, "%15[a-z]-%" SCNu64 "%n", ret_family, ret_id, &end) == 2 && !text[end];
}

static struct entry *add_entry(struct memtide_attachments *all, const char *family, uint64_t id)
{
	struct entry *entries;

	for (size_t i = 0; i < all->nr; i++)
		if (all->entries[i].shown.cgroup_id == id && !strcmp(all->entries[i].shown.family, family))
			return &all->entries[i];
	entries = reallocarray(all->entries, all->nr + 1, sizeof(*entries));
	if (!entries)
		return NULL;
	all->entries = entries;
	entries += all->nr++;
	*entries = (struct entry) { .shown.cgroup_id = id };
	strcpy(entries->shown.family, family);
	memtide_cgroup_path(id, entries->shown.cgroup, sizeof(entries->shown.cgroup));
	return entries;
}

/* What each file of @folder that is named FAMILY-CGROUP says of its entry. */
static int read_folder(struct memtide_attachments *all, const char *folder,
		       void (*read_one)(struct memtide_attachments *all, struct entry *entry, const char *name))
{
	DIR *dir = opendir(folder);
	struct dirent *file;
	char family[16];
	uint64_t id;
	int r = 0;

	while (dir && !r && (file = readdir(dir))) {
		struct entry *entry;

		if (!parse_name(file->d_name, family, &id) || (all->cgroup_id && id != all->cgroup_id))
			continue;
		entry = add_entry(all, family, id);
		if (entry)
			read_one(all, entry, file->d_name);
		else
			r = -ENOMEM;
	}
	if (dir)
		closedir(dir);
	return r;
}

/*
 * What sysfs says
 */

/* The first @size - 1 bytes of a file, without the last newline; "" if it cannot be read. */
static void read_text(const char *folder, const char *name, char *ret_text, size_t size)
{
	char path[512];
	ssize_t n;
	int fd;

	*ret_text = '\0';
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, ret_text, size - 1);
	close(fd);
	ret_text[n < 0 ? 0 : n] = '\0';
	if (n > 0 && ret_text[n - 1] == '\n')
		ret_text[n - 1] = '\0';
}

/* Lines of "NAME NUMBER". */
static void read_counts(const char *folder, struct memtide_attachment *shown)
{
	char text[1024], *save = NULL;

	read_text(folder, "counts", text, sizeof(text));
	for (char *line = strtok_r(text, "\n", &save); line && shown->nr_counts < MEMTIDE_MAX_COUNTS;
	     line = strtok_r(NULL, "\n", &save)) {
		struct memtide_count *count = &shown->counts[shown->nr_counts];

		if (sscanf(line, "%31s %" SCNu64, count->name, &count->value) == 2)
			shown->nr_counts++;
	}
}

static void read_sysfs(struct memtide_attachments *all, struct entry *entry, const char *name)
{
	char folder[400];

	snprintf(folder, sizeof(folder), MEMTIDE_TIDE_SYSFS "/policies/%s", name);
	read_text(folder, "name", entry->shown.name, sizeof(entry->shown.name));
	read_text(folder, "state", entry->shown.state, sizeof(entry->shown.state));
	entry->shown.in_force = !strcmp(entry->shown.state, "attached");
	read_counts(folder, &entry->shown);
}

/*
 * What its pinned link leads to
 */

/* Where an ops table has programs, its map's value has their ids. */
static __u32 any_program(const struct btf *btf, __u32 table, const unsigned char *data)
{
	const struct btf_type *t = btf__type_by_id(btf, table);
	const struct btf_member *member = btf_members(t);
	unsigned long id = 0;

	for (int i = 0; i < btf_vlen(t) && !id; i++, member++)
		if (btf_is_ptr(btf__type_by_id(btf, member->type)))
			memcpy(&id, data + member->offset / 8, sizeof(id));
	return id;
}

static bool is_rodata(const char *name)
{
	size_t len = strlen(name), suffix = strlen(".rodata");

	return len >= suffix && !strcmp(name + len - suffix, ".rodata");
}

/* The descriptor of a program's .rodata, and what it is like; or a negative errno. */
static int open_rodata(__u32 program, struct bpf_map_info *ret_info)
{
	__u32 maps[MAX_PROGRAM_MAPS], size = sizeof(struct bpf_prog_info);
	struct bpf_prog_info info = { .nr_map_ids = MAX_PROGRAM_MAPS, .map_ids = (uintptr_t)maps };
	int fd = bpf_prog_get_fd_by_id(program), r;

	if (fd < 0)
		return fd;
	r = bpf_prog_get_info_by_fd(fd, &info, &size);
	close(fd);
	for (__u32 i = 0; !r && i < info.nr_map_ids && i < MAX_PROGRAM_MAPS; i++) {
		fd = bpf_map_get_fd_by_id(maps[i]);
		size = sizeof(*ret_info);
		memset(ret_info, 0, size);
		if (fd >= 0 && !bpf_map_get_info_by_fd(fd, ret_info, &size) && is_rodata(ret_info->name))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return r ?: -ENOENT;
}

static void read_variables(struct entry *entry, __u32 program)
{
	struct bpf_map_info info;
	__u32 zero = 0;
	int fd = open_rodata(program, &info);

	if (fd < 0)
		return;
	entry->btf = btf__load_from_kernel_by_id(info.btf_id);
	entry->rodata = calloc(1, info.value_size);
	if (entry->btf && entry->rodata && !bpf_map_lookup_elem(fd, &zero, entry->rodata))
		policy_read_variables(&entry->knobs, entry->btf, entry->rodata, info.value_size,
				      entry->shown.name, NULL);
	close(fd);
}

static void read_map(struct entry *entry, int fd)
{
	const struct kernel_tables *tables;
	const struct kernel_table *table;
	struct bpf_map_info info = {};
	__u32 size = sizeof(info), zero = 0;
	unsigned char *value;

	if (kernel_tables_read(&tables) || bpf_map_get_info_by_fd(fd, &info, &size))
		return;
	table = kernel_table_of_value(tables, info.btf_vmlinux_value_type_id);
	value = table ? calloc(1, info.value_size) : NULL;
	if (value && !bpf_map_lookup_elem(fd, &zero, value)) {
		read_variables(entry, any_program(tables->btf, table->type, value + table->offset));
		policy_read_members(&entry->knobs, tables->btf, table->type, value + table->offset,
				    info.value_size - table->offset, entry->shown.name, NULL);
	}
	free(value);
}

/* The map of the ops table that a pinned link has, or a negative errno: -ENOLINK if it is in force no more. */
static int open_map(const char *pin)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);
	int fd = bpf_obj_get(pin), r;

	if (fd < 0)
		return fd;
	r = bpf_link_get_info_by_fd(fd, &info, &size);
	close(fd);
	if (r)
		return r;
	if (info.type != BPF_LINK_TYPE_STRUCT_OPS || !info.struct_ops.map_id)
		return -ENOLINK;
	return bpf_map_get_fd_by_id(info.struct_ops.map_id);
}

static void read_pin(struct memtide_attachments *all, struct entry *entry, const char *name)
{
	char link[PATH_MAX];
	ssize_t n;
	int fd;

	snprintf(entry->shown.pin, sizeof(entry->shown.pin), MEMTIDE_PIN_DIRECTORY "/%.60s", name);
	snprintf(link, sizeof(link), "%s-file", entry->shown.pin);
	n = readlink(link, entry->shown.file, sizeof(entry->shown.file) - 1);
	entry->shown.file[n < 0 ? 0 : n] = '\0';
	if (!entry->shown.state[0])
		strcpy(entry->shown.state, "in force no more");
	fd = open_map(entry->shown.pin);
	if (fd < 0)
		return;
	read_map(entry, fd);
	close(fd);
}

/* @cgroup_id may be 0, which no cgroup has. */
static int read_all(uint64_t cgroup_id, struct memtide_attachments **ret)
{
	struct memtide_attachments *all = calloc(1, sizeof(*all));
	int r = all ? 0 : -ENOMEM;

	if (all)
		all->cgroup_id = cgroup_id;
	policy_listen_to_libbpf();
	if (!r)
		r = read_folder(all, MEMTIDE_TIDE_SYSFS "/policies", read_sysfs);
	if (!r)
		r = read_folder(all, MEMTIDE_PIN_DIRECTORY, read_pin);
	if (!r)
		all->list = calloc(all->nr + 1, sizeof(*all->list));
	if (r || !all->list) {
		memtide_attachments_free(all);
		return r ?: -ENOMEM;
	}
	for (size_t i = 0; i < all->nr; i++) {
		all->list[i] = all->entries[i].shown;
		all->list[i].knobs = all->entries[i].knobs.list;
		all->list[i].nr_knobs = all->entries[i].knobs.nr;
	}
	*ret = all;
	return 0;
}

int memtide_attachments_read(struct memtide_attachments **ret)
{
	return read_all(0, ret);
}

int memtide_attachments_read_of(uint64_t cgroup_id, struct memtide_attachments **ret)
{
	return read_all(cgroup_id, ret);
}

void memtide_attachments_free(struct memtide_attachments *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < all->nr; i++) {
		policy_knobs_free(&all->entries[i].knobs);
		btf__free(all->entries[i].btf);
		free(all->entries[i].rodata);
	}
	free(all->entries);
	free(all->list);
	free(all);
}

const struct memtide_attachment *memtide_attachments_list(const struct memtide_attachments *all, size_t *ret_nr)
{
	*ret_nr = all->nr;
	return all->list;
}

const struct memtide_knob *memtide_attachment_knob(const struct memtide_attachment *attachment, const char *name)
{
	for (size_t i = 0; i < attachment->nr_knobs; i++)
		if (!strcmp(attachment->knobs[i].name, name))
			return &attachment->knobs[i];
	return NULL;
}
