// SPDX-License-Identifier: GPL-2.0-or-later
/* See libvirt-hook.h. */
#include "libvirt-hook.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer.h"

char hook_output[4096];
uint64_t hook_took_ms, hook_took_ns;
const char *hook_config, *hook_run;

char *hook_xml(const struct hook_domain *domain)
{
	char *policy = NULL, *xml = NULL;

	if (domain->policy && asprintf(&policy, "<metadata><memtide:policy xmlns:memtide='urn:memtide:policy:1'>%s"
				       "</memtide:policy></metadata>\n", domain->policy) < 0)
		abort();
	if (asprintf(&xml, "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
		     "<name>%s</name>\n<uuid>42424242-4242-4242-4242-4242%08x</uuid>\n%s"
		     "<memory unit='MiB'>%u</memory>\n%s%s</domain>\n", domain->name, domain->uuid_end, policy ?: "",
		     domain->memory_mib, domain->more ?: "", domain->no_device ? "" :
		     "<qemu:commandline><qemu:arg value='-device'/>"
		     "<qemu:arg value='virtio-tide-pci,chardev=tide'/></qemu:commandline>\n") < 0)
		abort();
	free(policy);
	return xml;
}

static void run_hook(const char *name, const char *operation, int input, int output)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/libvirt-hooks/50-memtide", getenv("LAB_BUILD"));
	dup2(input, 0);
	dup2(output, 1);
	dup2(output, 2);
	setenv("MEMTIDE_CONFIG", hook_config, 1);
	if (hook_run)
		setenv("MEMTIDE_LIBVIRT_RUN", hook_run, 1);
	execl(path, path, name, operation, "begin", "-", NULL);
	_exit(127);
}

int hook_call_bytes(const char *name, const char *operation, const char *xml, size_t size)
{
	uint64_t begin = peer_now_ns();
	int input = memfd_create("domain", MFD_CLOEXEC), out[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	if (size == (size_t)-1)
		size = strlen(xml);
	if (input < 0 || write(input, xml, size) != (ssize_t)size || pipe2(out, O_CLOEXEC) < 0)
		abort();
	lseek(input, 0, SEEK_SET);
	pid = fork();
	if (!pid)
		run_hook(name, operation, input, out[1]);
	close(out[1]);
	close(input);
	/* The end of the pipe is the end of every process that had it. */
	while (used + 1 < sizeof(hook_output) && (n = read(out[0], hook_output + used, sizeof(hook_output) - 1 - used)) > 0)
		used += (size_t)n;
	hook_output[used] = '\0';
	close(out[0]);
	waitpid(pid, &status, 0);
	hook_took_ns = peer_now_ns() - begin;
	hook_took_ms = hook_took_ns / 1000000;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int hook_call(const struct hook_domain *domain, const char *operation)
{
	char *xml = hook_xml(domain);
	int r = hook_call_bytes(domain->name, operation, xml, strlen(xml));

	free(xml);
	return r;
}
