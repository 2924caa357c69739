// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide doctor: what this host and its VMs lack, what that costs, and how to mend it.
 *
 * One function a check; each looks for itself and asks memtided only about what only memtided knows.
 */
#include <bpf/libbpf.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"
#include "policy-attach.h"

enum verdict {
	FINE,
	NOTE,		/* works, at a cost */
	WRONG,		/* memtide does not work, or not as it should */
	UNKNOWN,	/* could not be looked at */
};

static const char *const verdict_names[] = { "ok", "note", "wrong", "unknown" };

struct report {
	json_t *findings;
	bool wrong;
};

/* Add a finding; @mend is what to do, "" where there is nothing to do. */
__attribute__((format(printf, 5, 6)))
static void find(struct report *report, const char *check, enum verdict verdict, const char *mend,
		 const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	report->wrong |= verdict == WRONG;
	json_array_append_new(report->findings, json_pack("{s:s, s:s, s:s, s:s}", "check", check, "verdict",
							  verdict_names[verdict], "found", text, "mend", mend));
}

/* The first bytes of a file, terminated and without the last newline; a negative errno if it cannot be read. */
static int read_start(const char *path, char *ret_text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, ret_text, size - 1);
	close(fd);
	if (n < 0)
		return -EIO;
	ret_text[n] = '\0';
	ret_text[strcspn(ret_text, "\n")] = '\0';
	return 0;
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		if ((at == text || at[-1] == ' ') && (!at[len] || at[len] == ' '))
			return true;
	return false;
}

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

static void check_bpf(struct report *report)
{
	struct utsname name;
	int program, helper;

	uname(&name);
	if (geteuid()) {
		find(report, "bpf", UNKNOWN, "run memtide doctor as root",
		     "whether kernel %s runs balance policies shows only to root", name.release);
		return;
	}
	libbpf_set_print(silent);
	program = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SYSCALL, NULL);
	helper = libbpf_probe_bpf_helper(BPF_PROG_TYPE_SYSCALL, BPF_FUNC_loop, NULL);
	if (program == 1 && helper == 1)
		find(report, "bpf", FINE, "", "kernel %s runs balance policies (BPF syscall programs, bpf_loop)",
		     name.release);
	else
		find(report, "bpf", WRONG,
		     "boot a kernel of 6.0 or later with CONFIG_BPF_SYSCALL and CONFIG_BPF_JIT, and no "
		     "lockdown=confidentiality",
		     "kernel %s does not run balance policies (syscall programs: %s, bpf_loop: %s)", name.release,
		     program == 1 ? "yes" : "no", helper == 1 ? "yes" : "no");
}

static void check_btf(struct report *report)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		find(report, "btf", NOTE, "boot a kernel with CONFIG_DEBUG_INFO_BTF",
		     "the kernel has no BTF: host policies cannot be loaded, balance policies can");
	else
		find(report, "btf", FINE, "", "the kernel describes its types (BTF)");
}

static void check_uring(struct report *report)
{
	struct io_uring ring;
	int r = io_uring_queue_init(4, &ring, 0);

	if (!r) {
		io_uring_queue_exit(&ring);
		find(report, "io_uring", FINE, "", "io_uring works");
		return;
	}
	find(report, "io_uring", WRONG, r == -EPERM ? "sysctl kernel.io_uring_disabled=0" :
	     "boot a kernel with CONFIG_IO_URING; in a container, allow the io_uring system calls",
	     "memtided needs io_uring, which fails here: %s", strerror(-r));
}

static void check_cgroup(struct report *report)
{
	char text[400];

	if (read_start("/sys/fs/cgroup/cgroup.controllers", text, sizeof(text))) {
		find(report, "cgroup", NOTE,
		     "mount cgroup v2 on /sys/fs/cgroup (boot with systemd.unified_cgroup_hierarchy=1)",
		     "no cgroup v2: VMs are managed, but nothing holds one to its ceiling");
		return;
	}
	if (!has_word(text, "memory")) {
		find(report, "cgroup", NOTE,
		     "boot without cgroup_disable=memory and without the memory controller of cgroup v1",
		     "cgroup v2 has no memory controller: VMs are managed, but nothing holds one to its ceiling");
		return;
	}
	if (read_start("/sys/fs/cgroup/cgroup.subtree_control", text, sizeof(text)) || !has_word(text, "memory"))
		find(report, "cgroup", NOTE, "echo +memory > /sys/fs/cgroup/cgroup.subtree_control",
		     "the root cgroup does not hand the memory controller down: nothing holds VMs to ceilings");
	else
		find(report, "cgroup", FINE, "", "cgroup v2 with the memory controller");
}

static void check_psi(struct report *report)
{
	char text[200];

	if (read_start("/proc/pressure/memory", text, sizeof(text)))
		find(report, "psi", NOTE, "boot with psi=1 (CONFIG_PSI)",
		     "no pressure stall information: pressure of the host itself is noticed late");
	else
		find(report, "psi", FINE, "", "pressure stall information works");
}

static void check_kvm(struct report *report)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		find(report, "kvm", FINE, "", "/dev/kvm can be opened");
	} else if (errno == EACCES) {
		find(report, "kvm", UNKNOWN, "run memtide doctor as root, or as a member of group kvm",
		     "/dev/kvm may not be opened");
	} else {
		find(report, "kvm", NOTE, "modprobe kvm_intel or kvm_amd; in a VM, allow nested virtualisation",
		     "no usable /dev/kvm (%s): VMs run in emulation, slowly", strerror(errno));
	}
}

/* The word in brackets, as sysfs marks a choice; "" if there is none. */
static const char *chosen(char *text)
{
	char *start = strchr(text, '['), *end = start ? strchr(start, ']') : NULL;

	if (!end)
		return "";
	*end = '\0';
	return start + 1;
}

static void check_thp(struct report *report)
{
	char text[200];
	const char *mode;

	if (read_start("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text))) {
		find(report, "thp", NOTE, "boot a kernel with CONFIG_TRANSPARENT_HUGEPAGE",
		     "no transparent huge pages: giving and taking back is many times slower");
		return;
	}
	mode = chosen(text);
	if (!strcmp(mode, "never"))
		find(report, "thp", NOTE, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
		     "transparent huge pages are set to never: giving and taking back is many times slower");
	else
		find(report, "thp", FINE, "", "transparent huge pages: %s", mode);
}

static void check_ksm(struct report *report)
{
	char run[16], sharing[32] = "0";

	if (read_start("/sys/kernel/mm/ksm/run", run, sizeof(run))) {
		find(report, "ksm", NOTE, "boot a kernel with CONFIG_KSM", "no KSM: equal pages are not merged");
		return;
	}
	read_start("/sys/kernel/mm/ksm/pages_sharing", sharing, sizeof(sharing));
	if (strcmp(run, "1"))
		find(report, "ksm", FINE, "",
		     "KSM is off; what it would save is never granted away, so nothing is missing");
	else if (memtide_kernel_has_hooks())
		find(report, "ksm", NOTE, "memtide policy attach ksm-tenant --vm NAME --knob domain=NUMBER",
		     "KSM runs: VMs without a ksm policy share pages with each other, whoever owns them (memtide ksm)");
	else
		find(report, "ksm", NOTE, "echo 2 > /sys/kernel/mm/ksm/run where tenants do not trust each other",
		     "KSM runs for all VMs alike (%s pages shared): tenants can learn of each other's pages",
		     sharing);
}

static void check_hooks(struct report *report)
{
	if (memtide_kernel_has_hooks())
		find(report, "hooks", FINE, "", "the kernel asks memory policies: memtide policy attach");
	else
		find(report, "hooks", NOTE, "boot a kernel with the patches of host-kernel/ and CONFIG_TIDE",
		     "the kernel has no hooks for memory policies: page merging cannot be steered for one tenant, nor "
		     "tenants be kept apart");
}

/* Is pid @pid a QEMU, and has it the device?  -1 if it is none. */
static int qemu_has_device(const char *pid, char *ret_name, size_t size)
{
	char path[300], text[65536], name[32];
	ssize_t n;
	int fd, device;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	if (read_start(path, name, sizeof(name)) || strncmp(name, "qemu-system", 11))
		return -1;
	snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	/* Arguments are separated by NULs; as one string they can be searched. */
	for (ssize_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	text[n] = '\0';
	device = strstr(text, "virtio-tide") != NULL;
	*ret_name = '\0';
	if (strstr(text, " -name "))
		snprintf(ret_name, size, "%.*s", (int)strcspn(strstr(text, " -name ") + 7, " ,"),
			 strstr(text, " -name ") + 7);
	if (!strncmp(ret_name, "guest=", 6))
		memmove(ret_name, ret_name + 6, strlen(ret_name + 6) + 1);
	return device;
}

static void check_qemus(struct report *report)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int with = 0, without = 0;
	char name[64];

	while (proc && (entry = readdir(proc))) {
		int device = -1;

		if (isdigit((unsigned char)entry->d_name[0]))
			device = qemu_has_device(entry->d_name, name, sizeof(name));

		with += device == 1;
		without += device == 0;
		if (device == 0)
			find(report, "vm", NOTE,
			     "start it with -chardev socket,id=tide,path=/run/memtide/vmm.sock,reconnect-ms=1000 "
			     "-device virtio-tide-pci,chardev=tide",
			     "VM %s (pid %s) has no virtio-tide device and is not managed",
			     *name ? name : "without a name", entry->d_name);
	}
	if (proc)
		closedir(proc);
	if (!without)
		find(report, "vm", FINE, "", "%d VMs run here, all with a virtio-tide device", with);
}

static void check_managed(struct report *report, const json_t *status)
{
	const json_t *vm;
	size_t i;

	json_array_foreach(json_object_get(status, "vms"), i, vm) {
		const char *name = reply_text(vm, "name"), *state = reply_text(vm, "state");

		if (!strcmp(state, "starting"))
			find(report, "driver", NOTE,
			     "load virtio_tide in the guest (modprobe virtio_tide), or wait until it has booted",
			     "VM %s has the device but no driver: it is charged its maximum", name);
		else if (strcmp(state, "managed"))
			find(report, "driver", NOTE, "", "VM %s is %s%s%s", name, state,
			     *reply_text(vm, "why") ? ": " : "", reply_text(vm, "why"));
		if (!*reply_text(vm, "cgroup"))
			find(report, "enforced", NOTE,
			     "start each VM in a cgroup of its own with the memory controller",
			     "nothing holds VM %s to its ceiling: it has no cgroup of its own with memory files",
			     name);
	}
}

static void check_daemon(struct report *report, const struct cli *cli)
{
	struct client *client;
	char words[256];
	json_t *reply, *status;
	int r;

	r = client_connect(cli->socket, &client);
	if (r) {
		find(report, "memtided", WRONG, "start memtided", "%s",
		     client_connect_words(cli->socket, r, words, sizeof(words)));
		return;
	}
	reply = client_call(client, "status", NULL);
	status = json_object_get(reply, "result");
	if (!status) {
		find(report, "memtided", WRONG, "look into memtided's log", "memtided at %s does not answer",
		     cli->socket);
	} else {
		find(report, "memtided", FINE, "", "memtided %s answers, policy %s, %zu VMs",
		     reply_text(status, "version"), reply_text(status, "policy"),
		     json_array_size(json_object_get(status, "vms")));
		if (reply_number(status, "deficit"))
			find(report, "budget", WRONG, "raise the budget, lower floors, or move VMs away",
			     "more is charged than the budget has: nothing can grow");
		check_managed(report, status);
	}
	json_decref(reply);
	client_close(client);
}

static void print_findings(const json_t *findings)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(findings, i, finding) {
		printf("%-8s %-9s %s\n", reply_text(finding, "verdict"), reply_text(finding, "check"),
		       reply_text(finding, "found"));
		if (*reply_text(finding, "mend"))
			printf("%-18s mend: %s\n", "", reply_text(finding, "mend"));
	}
}

static int run_doctor(const struct cli *cli, int argc, char **argv)
{
	struct report report = { .findings = json_array() };
	json_t *object;

	check_bpf(&report);
	check_btf(&report);
	check_uring(&report);
	check_cgroup(&report);
	check_psi(&report);
	check_kvm(&report);
	check_thp(&report);
	check_ksm(&report);
	check_hooks(&report);
	check_daemon(&report, cli);
	check_qemus(&report);
	object = json_pack("{s:o}", "findings", report.findings);
	if (cli->json)
		cli_print_json(object);
	else
		print_findings(report.findings);
	json_decref(object);
	return report.wrong ? CLI_FAILED : CLI_OK;
}

const struct cli_command doctor_commands[] = {
	{
		.noun = "doctor",
		.arguments = "",
		.about = "what this host and its VMs lack, and how to mend it",
		.help = "Each line is a finding: ok, note (works, at a cost), wrong, or unknown.\n"
			"Exit status 1 if anything is wrong.\n\n"
			"Examples:\n"
			"  memtide doctor\n"
			"  memtide doctor --json | jq '.findings[] | select(.verdict != \"ok\")'\n",
		.run = run_doctor,
	},
	{ }
};
