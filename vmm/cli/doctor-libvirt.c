// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide doctor: whether libvirt knows of memtide.  libvirt itself is not asked: that works while it does not run.
 */
#include "doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "paths.h"

#define QEMU_CONF	"/etc/libvirt/qemu.conf"
#define AGENT		"memtide-agent"

bool doctor_has_libvirt(void)
{
	static const char *const signs[] = {
		"/usr/sbin/libvirtd", "/usr/sbin/virtqemud", "/usr/local/sbin/libvirtd", "/usr/local/sbin/virtqemud",
	};

	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
		if (!access(signs[i], X_OK))
			return true;
	return false;
}

const char *doctor_qemu_conf(const char *key, char *ret_value, size_t size)
{
	char line[512], name[64], value[256];
	FILE *f = fopen(QEMU_CONF, "re");

	*ret_value = '\0';
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " %63[a-z_0-9] = \"%255[^\"]\"", name, value) == 2 && !strcmp(name, key))
			snprintf(ret_value, size, "%s", value);
	if (f)
		fclose(f);
	return ret_value;
}

const char *doctor_qemu_user(void)
{
	/* Debian's and Fedora's */
	static const char *const names[] = { "libvirt-qemu", "qemu" };
	static char user[64];

	if (!doctor_has_libvirt())
		return NULL;
	if (*doctor_qemu_conf("user", user, sizeof(user)))
		return user;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (getpwnam(names[i]))
			return names[i];
	return NULL;
}

static int64_t nsec(const struct timespec *t)
{
	return t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
}

/* When process @pid was started, in nanoseconds since 1970, to a tick exactly; 0 if that cannot be told. */
static int64_t started(const char *pid)
{
	char path[64], text[1024], *at;
	unsigned long long ticks;
	struct timespec boot, now;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	if (doctor_read(path, text, sizeof(text)))
		return 0;
	/* the second field is a name in parentheses, with whatever in it; the time is 20 fields behind */
	at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
			  &ticks) != 1)
		return 0;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &now);
	return nsec(&now) - nsec(&boot) + (int64_t)ticks * (INT64_C(1000000000) / sysconf(_SC_CLK_TCK));
}

/* A process of one of these two names, if there is one: its name, and when it was started. */
static bool find_process(const char *one, const char *other, char *ret_name, size_t size, int64_t *ret_started)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool found = false;
	char path[64];

	while (proc && !found && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", entry->d_name);
		if (doctor_read(path, ret_name, size))
			continue;
		found = !strcmp(ret_name, one) || !strcmp(ret_name, other);
		if (found)
			*ret_started = started(entry->d_name);
	}
	if (proc)
		closedir(proc);
	return found;
}

static void check_daemon(struct doctor *doctor, const struct stat *hook)
{
	static const char why[] = "libvirt finds its hooks when its daemon starts";
	char name[32], mend[100];
	int64_t since = 0;

	if (!find_process("libvirtd", "virtqemud", name, sizeof(name), &since)) {
		doctor_find(doctor, "libvirtd", FINE, why, "", "libvirt's daemon does not run: it will find the hook");
	} else if (since < nsec(&hook->st_ctim)) {
		snprintf(mend, sizeof(mend), doctor_has_systemd() ? "systemctl restart %s (VMs go on)" :
			 "end and start %s (VMs go on)", name);
		doctor_find(doctor, "libvirtd", NOTE, why, mend, "%s has run since before the hook was installed",
			    name);
	} else {
		doctor_find(doctor, "libvirtd", FINE, why, "", "%s was started after the hook was installed", name);
	}
}

static void check_agent(struct doctor *doctor)
{
	static const char why[] = "policies that are changed while domains run take effect through it, and it knows of "
				  "domains that the hook has not told of";
	char name[32];
	int64_t since;

	if (find_process(AGENT, AGENT, name, sizeof(name), &since))
		doctor_find(doctor, "agent", FINE, why, "", AGENT " is running");
	else
		doctor_find(doctor, "agent", NOTE, why, doctor_has_systemd() ? "systemctl enable --now " AGENT :
			    "start " AGENT, AGENT " is not running");
}

static void check_hook(struct doctor *doctor)
{
	static const char why[] = "it makes room for a VM before it starts, and reads the policy in its XML";
	struct stat st;

	if (stat(MEMTIDE_HOOK_PATH, &st)) {
		doctor_find(doctor, "hook", errno == EACCES ? UNKNOWN : NOTE, why, errno == EACCES ?
			    "run memtide doctor as root" : "meson install, then start libvirt's daemon anew",
			    "libvirt's hook %s: %s", MEMTIDE_HOOK_PATH, strerror(errno));
		return;
	}
	if (!S_ISREG(st.st_mode) || !(st.st_mode & 0100)) {
		doctor_find(doctor, "hook", WRONG, why, "chmod 755 " MEMTIDE_HOOK_PATH,
			    "libvirt's hook %s cannot be executed", MEMTIDE_HOOK_PATH);
		return;
	}
	if (strncmp(MEMTIDE_HOOK_PATH, "/etc/", 5))
		doctor_find(doctor, "hook", NOTE, why, "ln -s " MEMTIDE_HOOK_PATH " /etc/libvirt/hooks/qemu.d/",
			    "%s is not where a distribution's libvirt looks", MEMTIDE_HOOK_PATH);
	else
		doctor_find(doctor, "hook", FINE, why, "", "libvirt's hook %s is in place", MEMTIDE_HOOK_PATH);
	check_daemon(doctor, &st);
}

void doctor_libvirt(struct doctor *doctor)
{
	if (!doctor_has_libvirt()) {
		doctor_find(doctor, "hook", FINE, "libvirt's domains become known by a hook", "",
			    "no libvirt on this host");
		return;
	}
	check_hook(doctor);
	check_agent(doctor);
}
