// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "hooks.h"
#include "kernel-file.h"

#define EJECT_MS	60000	/* for what takes milliseconds on a machine that does nothing else */

static bool silent;

static int print(enum libbpf_print_level level, const char *format, va_list args)
{
	return silent || level == LIBBPF_DEBUG ? 0 : vfprintf(stderr, format, args);
}

static struct bpf_map *ops_of(const struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) {
		if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS)
			return map;
	}
	return NULL;
}

/* Sets a member of the ops table, before it is loaded.  Where there is none, nothing happens. */
static void set_member(const struct bpf_object *object, struct bpf_map *map, const char *name, uint64_t value)
{
	const struct btf *btf = bpf_object__btf(object);
	const struct btf_type *t = btf__type_by_id(btf, bpf_map__btf_value_type_id(map));
	size_t size;
	char *data = bpf_map__initial_value(map, &size);

	for (unsigned int i = 0; data && t && i < btf_vlen(t); i++) {
		const struct btf_member *m = btf_members(t) + i;

		if (strcmp(btf__name_by_offset(btf, m->name_off), name) == 0)
			memcpy(data + btf_member_bit_offset(t, i) / 8, &value, sizeof(value));
	}
}

void hook_file(const char *name, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s", name);
	if (*name == '/')
		return;
	snprintf(ret_path, size, TEST_POLICY_DIRECTORY "/%s.bpf.o", name);
	if (access(ret_path, R_OK))
		snprintf(ret_path, size, POLICY_DIRECTORY "/%s.bpf.o", name);
}

int hook_load(const char *name, uint64_t id, uint64_t domain, bool quiet, struct hook *ret_hook)
{
	struct hook hook = { .link = NULL };
	struct bpf_map *map;
	char path[512];
	int r;

	libbpf_set_print(print);
	silent = quiet;
	hook_file(name, path, sizeof(path));
	hook.object = bpf_object__open_file(path, NULL);
	if (!hook.object)
		return -errno;
	map = ops_of(hook.object);
	r = map ? 0 : -ENOENT;
	if (!r) {
		set_member(hook.object, map, "cgroup_id", id);
		set_member(hook.object, map, "domain", domain);
		r = bpf_object__load(hook.object);
	}
	if (r) {
		bpf_object__close(hook.object);
		return r;
	}
	*ret_hook = hook;
	return 0;
}

int hook_attach(struct hook *hook)
{
	hook->link = bpf_map__attach_struct_ops(ops_of(hook->object));
	return hook->link ? 0 : -errno;
}

int hook(const char *name, uint64_t id, uint64_t domain, struct hook *ret_hook)
{
	struct hook hook;
	int r = hook_load(name, id, domain, false, &hook);

	if (r)
		return r;
	r = hook_attach(&hook);
	if (r) {
		hook_drop(&hook);
		return r;
	}
	*ret_hook = hook;
	return 0;
}

int hook_replace(struct hook *hook, struct hook *new)
{
	int r = bpf_link__update_map(hook->link, ops_of(new->object));

	if (r)
		return r;
	new->link = hook->link;
	hook->link = NULL;
	return 0;
}

void *hook_data(const struct hook *hook)
{
	struct bpf_map *map;
	void *data;

	bpf_object__for_each_map(map, hook->object) {
		if (!strstr(bpf_map__name(map), ".data"))
			continue;
		data = mmap(NULL, bpf_map__value_size(map), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
		return data == MAP_FAILED ? NULL : data;
	}
	return NULL;
}

int hook_detach(struct hook *hook)
{
	return bpf_link__detach(hook->link);
}

void hook_drop(struct hook *hook)
{
	if (hook->link)
		bpf_link__destroy(hook->link);
	bpf_object__close(hook->object);
	*hook = (struct hook){ .link = NULL };
}

bool hook_exists(const char *family, uint64_t id)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/kernel/tide/policies/%s-%llu", family, (unsigned long long)id);
	return access(path, F_OK) == 0;
}

uint64_t hook_count(const char *family, uint64_t id, const char *key)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/kernel/tide/policies/%s-%llu/counts", family, (unsigned long long)id);
	return kernel_file_value(path, key);
}

int hooks_eject_all(void)
{
	return kernel_file_write("/sys/kernel/tide/eject", "1");
}

int hook_wait_ejected(const struct hook *hook)
{
	struct pollfd fd = { .fd = bpf_link__fd(hook->link) };

	return poll(&fd, 1, EJECT_MS) == 1 && (fd.revents & POLLHUP) ? 0 : -ETIMEDOUT;
}
