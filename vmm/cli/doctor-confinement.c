// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide doctor: whether AppArmor or SELinux let a domain's QEMU connect to memtided.  They confine only what
 * libvirt starts.
 */
#include "doctor.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "control.h"
#include "paths.h"

#define INCLUDED	"abstractions/libvirt-qemu.d"
#define OLD_LOCAL	"/etc/apparmor.d/local/abstractions/libvirt-qemu"

static const char why[] = "a QEMU that may not connect is not managed, and one in /usr/local/bin does not even start";

static bool file_mentions(const char *path, const char *words)
{
	FILE *f = fopen(path, "re");
	bool found = false;
	char line[512];

	while (f && !found && fgets(line, sizeof(line), f)) {
		char *text = line + strspn(line, " \t");

		/* "#include" is one, any other # begins a comment */
		found = strstr(text, words) && (*text != '#' || !strncmp(text, "#include", 8));
	}
	if (f)
		fclose(f);
	return found;
}

/*
 * Whether this kernel asks AppArmor about sockets that are files.  Ubuntu's does, and Linux from 6.17 on; Debian's
 * 6.1 and 6.12 let QEMU connect with no rule for it.
 */
static bool asks_about_sockets(void)
{
	glob_t found;
	bool asks = !glob("/sys/kernel/security/apparmor/features/network*/af_unix", 0, NULL, &found);

	globfree(&found);
	return asks;
}

static void check_apparmor(struct doctor *doctor)
{
	enum verdict without = asks_about_sockets() ? WRONG : NOTE;
	char enabled[8], driver[64];

	if (doctor_read("/sys/module/apparmor/parameters/enabled", enabled, sizeof(enabled)) || *enabled != 'Y') {
		doctor_find(doctor, "apparmor", FINE, why, "", "AppArmor is off");
	} else if (!strcmp(doctor_qemu_conf("security_driver", driver, sizeof(driver)), "none")) {
		doctor_find(doctor, "apparmor", FINE, why, "", "AppArmor is on, but not for libvirt's domains");
	} else if (access(MEMTIDE_APPARMOR_PATH, R_OK)) {
		doctor_find(doctor, "apparmor", without, why, "meson install", "AppArmor is on, and %s: %s",
			    MEMTIDE_APPARMOR_PATH, strerror(errno));
	} else if (!file_mentions("/etc/apparmor.d/abstractions/libvirt-qemu", INCLUDED) &&
		   !file_mentions(OLD_LOCAL, INCLUDED)) {
		doctor_find(doctor, "apparmor", without, why,
			    "echo 'include if exists <" INCLUDED ">' >> " OLD_LOCAL ", then start the VMs anew",
			    "AppArmor is on, and this libvirt does not read %s by itself", MEMTIDE_APPARMOR_PATH);
	} else {
		doctor_find(doctor, "apparmor", FINE, why, "", "AppArmor is on, and %s is in force",
			    MEMTIDE_APPARMOR_PATH);
	}
}

static void check_selinux(struct doctor *doctor)
{
	char enforce[8], label[256];
	ssize_t n;

	if (doctor_read("/sys/fs/selinux/enforce", enforce, sizeof(enforce)))
		return;
	n = getxattr(MEMTIDE_VMM_PATH, "security.selinux", label, sizeof(label) - 1);
	label[n < 0 ? 0 : n] = '\0';
	if (*enforce != '1')
		doctor_find(doctor, "selinux", FINE, why, "", "SELinux is permissive");
	else if (strstr(label, ":qemu_var_run_t:"))
		doctor_find(doctor, "selinux", FINE, why, "", "SELinux is enforcing, and %s is %s", MEMTIDE_VMM_PATH,
			    label);
	else
		doctor_find(doctor, "selinux", NOTE, why, "docs/install.md, \"SELinux\"",
			    "SELinux is enforcing, and %s is %s", MEMTIDE_VMM_PATH,
			    *label ? label : "without a label");
}

void doctor_confinement(struct doctor *doctor)
{
	if (!doctor_has_libvirt())
		return;
	check_apparmor(doctor);
	check_selinux(doctor);
}
