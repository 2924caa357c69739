// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration as a whole: its file, and what holds for one VM or tenant.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config-internal.h"
#include "size.h"

#define FILE_MAX_BYTES	(1024 * 1024)	/* ten thousand VMs with four lines each are half of that */
#define UNSET		MEMTIDE_CONFIG_UNSET

/* All of a file as one string, to be freed. */
static int read_file(const char *path, char **ret_text, struct memtide_errtext *errtext)
{
	size_t filled = 0;
	char *text;
	ssize_t n;
	int fd, r;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return memtide_errtext_set(errtext, -errno, "%s: %s", path, strerror(errno));
	text = malloc(FILE_MAX_BYTES + 1);
	r = text ? 0 : -ENOMEM;
	while (!r && filled <= FILE_MAX_BYTES) {
		n = read(fd, text + filled, FILE_MAX_BYTES + 1 - filled);
		if (n < 0 && errno != EINTR)
			r = -errno;
		if (n == 0)
			break;
		filled += n > 0 ? n : 0;
	}
	close(fd);
	if (!r && filled > FILE_MAX_BYTES)
		r = -EFBIG;
	if (!r && memchr(text, '\0', filled))
		r = -EILSEQ;
	if (r) {
		free(text);
		return memtide_errtext_set(errtext, r, "%s: %s", path,
					   r == -EFBIG ? "larger than the limit of 1 MiB" :
					   r == -EILSEQ ? "not a text file, it has a zero byte" : strerror(-r));
	}
	text[filled] = '\0';
	*ret_text = text;
	return 0;
}

int memtide_config_load(const char *path, struct memtide_config *ret_config, struct memtide_errtext *errtext)
{
	char *text = NULL;
	int r;

	if (!path)
		return memtide_config_parse("", "defaults", ret_config, errtext);
	r = read_file(path, &text, errtext);
	if (r < 0)
		return r;
	r = memtide_config_parse(text, path, ret_config, errtext);
	free(text);
	return r;
}

void memtide_config_free(struct memtide_config *config)
{
	for (size_t i = 0; i < config->nr_vms; i++)
		free(config->vms[i].name);
	free(config->vms);
	free(config->policy);
	free(config->policy_path);
	free(config->vmm_socket);
	free(config->control_socket);
	free(config->group);
	free(config->state_directory);
	free(config->machine_cgroup);
	free(config->libvirt_uri);
	for (size_t i = 0; i < config->nr_tenants; i++)
		free(config->tenants[i].name);
	free(config->tenants);
	*config = (struct memtide_config) {};
}

static const struct memtide_config_vm *section_of(const struct memtide_config *config, const char *name, bool fold)
{
	for (size_t i = 0; name && i < config->nr_vms; i++) {
		if (fold ? !strcasecmp(config->vms[i].name, name) : !strcmp(config->vms[i].name, name))
			return &config->vms[i];
	}
	return NULL;
}

/* @own, the VM's, must fit; @general is made to. */
static int fit_size(const char *vm, const char *what, uint64_t own, uint64_t general, uint64_t least,
		    uint64_t most, uint64_t *ret_bytes, struct memtide_errtext *errtext)
{
	char own_text[MEMTIDE_SIZE_TEXT], least_text[MEMTIDE_SIZE_TEXT], most_text[MEMTIDE_SIZE_TEXT];

	if (own != UNSET && (own < least || own > most))
		return memtide_errtext_set(errtext, -EINVAL, "[vm %s] %s = %s: out of range %s to %s for this VM",
					   vm, what, memtide_size_format(own, own_text),
					   memtide_size_format(least, least_text),
					   memtide_size_format(most, most_text));
	if (own == UNSET)
		own = general < least ? least : general > most ? most : general;
	*ret_bytes = own;
	return 0;
}

int memtide_config_vm(const struct memtide_config *config, const char *name, const char *uuid, uint64_t ram,
		      struct memtide_config_vm *ret_vm, struct memtide_errtext *errtext)
{
	const struct memtide_config_vm *general = &config->defaults, *own = section_of(config, name, false);
	struct memtide_config_vm vm;
	int r;

	if (!own)
		own = section_of(config, uuid, true);
	if (!own)
		own = &config_vm_unset;
	vm.name = own->name;
	vm.shares = own->shares != UNSET ? own->shares : general->shares;
	vm.maximum = own->maximum != UNSET ? own->maximum : general->maximum;
	if (vm.maximum > ram)
		vm.maximum = ram;
	r = fit_size(own->name, "floor", own->floor, general->floor, 0, vm.maximum, &vm.floor, errtext);
	if (r < 0)
		return r;
	r = fit_size(own->name, "start", own->start, general->start == UNSET ? 0 : general->start, vm.floor,
		     vm.maximum, &vm.start, errtext);
	if (r < 0)
		return r;
	*ret_vm = vm;
	return 0;
}

const struct memtide_config_tenant *memtide_config_tenant(const struct memtide_config *config, const char *name)
{
	for (size_t i = 0; i < config->nr_tenants; i++)
		if (!strcmp(config->tenants[i].name, name))
			return &config->tenants[i];
	return NULL;
}
