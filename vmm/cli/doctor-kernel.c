// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide doctor: what the host's kernel can do, and what it is allowed to.
 */
#include "doctor.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "policy-attach.h"

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

static void check_bpf(struct doctor *doctor)
{
	static const char why[] = "who should have how much memory is decided by BPF programs";
	struct utsname name;
	int program, helper;

	uname(&name);
	if (geteuid()) {
		doctor_find(doctor, "bpf", UNKNOWN, why, "run memtide doctor as root",
			    "whether kernel %s runs balance policies shows only to root", name.release);
		return;
	}
	libbpf_set_print(silent);
	program = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SYSCALL, NULL);
	helper = libbpf_probe_bpf_helper(BPF_PROG_TYPE_SYSCALL, BPF_FUNC_loop, NULL);
	if (program == 1 && helper == 1)
		doctor_find(doctor, "bpf", FINE, why, "",
			    "kernel %s runs balance policies (BPF syscall programs, bpf_loop)", name.release);
	else
		doctor_find(doctor, "bpf", WRONG, why,
			    "boot a kernel of 6.0 or later with CONFIG_BPF_SYSCALL and CONFIG_BPF_JIT, and no "
			    "lockdown=confidentiality",
			    "kernel %s does not run balance policies (syscall programs: %s, bpf_loop: %s)",
			    name.release, program == 1 ? "yes" : "no", helper == 1 ? "yes" : "no");
}

static void check_btf(struct doctor *doctor)
{
	static const char why[] = "policies for the host's kernel can be loaded only where it describes its types";

	if (access("/sys/kernel/btf/vmlinux", R_OK))
		doctor_find(doctor, "btf", NOTE, why, "boot a kernel with CONFIG_DEBUG_INFO_BTF",
			    "the kernel has no BTF");
	else
		doctor_find(doctor, "btf", FINE, why, "", "the kernel describes its types (BTF)");
}

static void check_uring(struct doctor *doctor)
{
	static const char why[] = "memtided does all its input and output through io_uring";
	char disabled[16] = "";
	struct io_uring ring;
	int r = io_uring_queue_init(4, &ring, 0);

	doctor_read("/proc/sys/kernel/io_uring_disabled", disabled, sizeof(disabled));
	if (!r) {
		io_uring_queue_exit(&ring);
		doctor_find(doctor, "io_uring", FINE, why, "", "io_uring works%s%s",
			    *disabled ? ", kernel.io_uring_disabled is " : "", disabled);
	} else if (r == -EPERM && *disabled == '1' && geteuid()) {
		doctor_find(doctor, "io_uring", UNKNOWN, why, "run memtide doctor as root",
			    "io_uring is for root only (kernel.io_uring_disabled is 1)");
	} else {
		doctor_find(doctor, "io_uring", WRONG, why, r == -EPERM ? "sysctl -w kernel.io_uring_disabled=1" :
			    "boot a kernel with CONFIG_IO_URING; in a container, allow the io_uring system calls",
			    "io_uring fails here: %s%s%s", strerror(-r),
			    *disabled ? ", kernel.io_uring_disabled is " : "", disabled);
	}
}

static void check_cgroup(struct doctor *doctor)
{
	static const char why[] = "VMs are managed without it, but nothing holds one to its ceiling";
	char text[400];

	if (doctor_read("/sys/fs/cgroup/cgroup.controllers", text, sizeof(text)))
		doctor_find(doctor, "cgroup", NOTE, why,
			    "mount cgroup v2 on /sys/fs/cgroup (boot with systemd.unified_cgroup_hierarchy=1)",
			    "no cgroup v2");
	else if (!has_word(text, "memory"))
		doctor_find(doctor, "cgroup", NOTE, why,
			    "boot without cgroup_disable=memory and without the memory controller of cgroup v1",
			    "cgroup v2 has no memory controller (it has: %s)", *text ? text : "none");
	else if (doctor_read("/sys/fs/cgroup/cgroup.subtree_control", text, sizeof(text)) ||
		 !has_word(text, "memory"))
		doctor_find(doctor, "cgroup", NOTE, why, "echo +memory > /sys/fs/cgroup/cgroup.subtree_control",
			    "the root cgroup does not hand the memory controller down");
	else
		doctor_find(doctor, "cgroup", FINE, why, "", "cgroup v2 with the memory controller");
}

static void check_psi(struct doctor *doctor)
{
	static const char why[] = "without it, pressure of the host itself is noticed late";
	char text[200];

	if (doctor_read("/proc/pressure/memory", text, sizeof(text)))
		doctor_find(doctor, "psi", NOTE, why, "boot with psi=1 (CONFIG_PSI)",
			    "no pressure stall information");
	else
		doctor_find(doctor, "psi", FINE, why, "", "pressure stall information works");
}

static void check_kvm(struct doctor *doctor)
{
	static const char why[] = "without it, VMs run in emulation, slowly";
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		doctor_find(doctor, "kvm", FINE, why, "", "/dev/kvm can be opened");
	} else if (errno == EACCES) {
		doctor_find(doctor, "kvm", UNKNOWN, why,
			    "run memtide doctor as root, or as a member of group kvm",
			    "/dev/kvm may not be opened");
	} else {
		doctor_find(doctor, "kvm", NOTE, why,
			    "modprobe kvm_intel or kvm_amd; in a VM, allow nested virtualisation",
			    "no usable /dev/kvm: %s", strerror(errno));
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

static void check_thp(struct doctor *doctor)
{
	static const char why[] = "without huge pages giving and taking back is many times slower";
	char text[200];
	const char *mode;

	if (doctor_read("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text))) {
		doctor_find(doctor, "thp", NOTE, why, "boot a kernel with CONFIG_TRANSPARENT_HUGEPAGE",
			    "no transparent huge pages");
		return;
	}
	mode = chosen(text);
	if (!strcmp(mode, "never"))
		doctor_find(doctor, "thp", NOTE, why,
			    "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
			    "transparent huge pages: never");
	else
		doctor_find(doctor, "thp", FINE, why, "", "transparent huge pages: %s", mode);
}

static void check_ksm(struct doctor *doctor)
{
	static const char why[] = "where VMs of all tenants share pages, one can learn what another's memory has";
	char run[16], sharing[32] = "0";

	if (doctor_read("/sys/kernel/mm/ksm/run", run, sizeof(run))) {
		doctor_find(doctor, "ksm", NOTE, "equal pages are not merged, which would save memory",
			    "boot a kernel with CONFIG_KSM", "no KSM");
		return;
	}
	doctor_read("/sys/kernel/mm/ksm/pages_sharing", sharing, sizeof(sharing));
	if (strcmp(run, "1"))
		doctor_find(doctor, "ksm", FINE, why, "",
			    "KSM is off; what it would save is never granted away, so nothing is missing");
	else if (memtide_kernel_has_hooks())
		doctor_find(doctor, "ksm", NOTE, why,
			    "memtide policy attach ksm-tenant --vm NAME --knob domain=NUMBER",
			    "KSM runs (%s pages shared): VMs without a ksm policy share pages with each other, "
			    "whoever owns them", sharing);
	else
		doctor_find(doctor, "ksm", NOTE, why,
			    "echo 2 > /sys/kernel/mm/ksm/run where tenants do not trust each other",
			    "KSM runs for all VMs alike (%s pages shared)", sharing);
}

static void check_hooks(struct doctor *doctor)
{
	static const char why[] = "without them, page merging and huge pages cannot be steered for one tenant, nor "
				  "tenants be kept apart";

	if (memtide_kernel_has_hooks())
		doctor_find(doctor, "hooks", FINE, why, "",
			    "the kernel asks memory policies: memtide policy attach");
	else
		doctor_find(doctor, "hooks", NOTE, why,
			    "boot a kernel with the patches of host-kernel/ and CONFIG_TIDE",
			    "the kernel has no hooks for memory policies");
}

void doctor_kernel(struct doctor *doctor)
{
	check_bpf(doctor);
	check_btf(doctor);
	check_uring(doctor);
	check_cgroup(doctor);
	check_psi(doctor);
	check_kvm(doctor);
	check_thp(doctor);
	check_ksm(doctor);
	check_hooks(doctor);
}
