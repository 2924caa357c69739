// SPDX-License-Identifier: GPL-2.0-or-later
/* See apart.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apart.h"
#include "libvirtd.h"

/* As Debian's packages make them: the user's own group is kvm. */
#define QEMU_USER	"libvirt-qemu"
#define QEMU_ID		64055
#define KVM_ID		64054	/* any that is free, where there is no group kvm */
/* In Debian's libvirt QEMU's processes are below this, without systemd. */
#define MACHINE_CGROUPS	"/sys/fs/cgroup/{,*/}machine"

static const char *const folders[] = {
	"/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/run/libvirt", "/etc/memtide",
	"/run/memtide",
};
#define NR_FOLDERS	(sizeof(folders) / sizeof(folders[0]))

static char refusal[160];
static const char *mend;
static pid_t first_process;	/* of the namespace */

const char *apart_refusal(void)
{
	return *refusal ? refusal : NULL;
}

const char *apart_mend(void)
{
	return mend;
}

__attribute__((format(printf, 2, 3))) static void refuse(const char *how_to_mend, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(refusal, sizeof(refusal), format, ap);
	va_end(ap);
	mend = how_to_mend;
}

static bool is_system_libvirtd(const char *pid)
{
	char path[64], name[32] = "";
	struct stat st;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fgets(name, sizeof(name), f))
		name[strcspn(name, "\n")] = '\0';
	fclose(f);
	snprintf(path, sizeof(path), "/proc/%.16s", pid);
	return (!strcmp(name, "libvirtd") || !strcmp(name, "virtqemud")) && stat(path, &st) == 0 && st.st_uid == 0;
}

/* Its cgroups and its firewall rules would be the same as ours. */
static void find_other_libvirtd(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && !*refusal && (entry = readdir(proc))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !is_system_libvirtd(entry->d_name))
			continue;
		refuse("stop it for that time, or use the nested host, where './lab demo' runs without --here",
		       "the machine's own libvirtd is running (process %.16s), and stays alone", entry->d_name);
	}
	if (proc)
		closedir(proc);
}

/* The folder that LAB_LIBVIRT names; NULL for the version that is installed. */
static const char *other_version(void)
{
	const char *folder = getenv("LAB_LIBVIRT");

	return folder && *folder ? folder : NULL;
}

static bool has_program(const char *name)
{
	const char *folder = other_version();
	char path[512];

	snprintf(path, sizeof(path), "%s/usr/sbin/%s", folder ? folder : "", name);
	return access(path, X_OK) == 0;
}

static bool is_possible(void)
{
	if (geteuid())
		refuse("run this as root", "a libvirtd of our own needs root");
	else if (!has_program(libvirtd_program()) || !has_program("virtlogd"))
		refuse("'./lab setup' installs libvirtd and virtlogd", "there is no %s with a virtlogd",
		       libvirtd_program());
	else
		find_other_libvirtd();
	return !*refusal;
}

/* A copy of @path with @line at its end, in its place. */
static int add_line(const char *path, const char *line)
{
	char copy[64], text[65536];
	size_t n = 0;
	FILE *f;

	snprintf(copy, sizeof(copy), "/run/libvirt/%s", strrchr(path, '/') + 1);
	f = fopen(path, "re");
	if (f) {
		n = fread(text, 1, sizeof(text), f);
		fclose(f);
	}
	if (n == sizeof(text))
		return -EFBIG;
	f = fopen(copy, "we");
	if (!f)
		return -errno;
	fwrite(text, 1, n, f);
	fputs(line, f);
	if (fclose(f))
		return -errno;
	return mount(copy, path, NULL, MS_BIND, NULL) ? -errno : 0;
}

static int add_users(void)
{
	const struct group *kvm = getgrnam("kvm");
	int gid = kvm ? (int)kvm->gr_gid : KVM_ID, r = 0;
	char line[128];

	if (!getpwnam(QEMU_USER)) {
		snprintf(line, sizeof(line), QEMU_USER ":x:%d:%d::/var/lib/libvirt:/usr/sbin/nologin\n", QEMU_ID, gid);
		r = add_line("/etc/passwd", line);
	}
	if (!r && !getgrnam(QEMU_USER)) {
		int n = snprintf(line, sizeof(line), QEMU_USER ":x:%d:" QEMU_USER "\n", QEMU_ID);

		if (!kvm)
			snprintf(line + n, sizeof(line) - n, "kvm:x:%d:\n", gid);
		r = add_line("/etc/group", line);
	}
	return r;
}

/*
 * A /dev/kvm on which no VM boots (LAB_ACCEL) is hidden: libvirt sees that it may be opened and QEMU says that it
 * cannot use it, so libvirt asks QEMU anew each time it looks.
 */
static int hide_kvm(void)
{
	const char *accel = getenv("LAB_ACCEL"), *nothing = "/run/libvirt/no-kvm";
	int fd;

	if (access("/dev/kvm", F_OK) || (accel && !strcmp(accel, "kvm")))
		return 0;
	fd = open(nothing, O_WRONLY | O_CREAT | O_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	close(fd);
	return mount(nothing, "/dev/kvm", NULL, MS_BIND, NULL) ? -errno : 0;
}

/* Drivers of the version that is installed do not go with those of the one in @folder. */
static int hide_drivers(const char *folder)
{
	char pattern[512];
	glob_t found;
	int r = -ENOENT;

	snprintf(pattern, sizeof(pattern), "%s/usr/lib/*/libvirt", folder);
	if (glob(pattern, 0, NULL, &found) == 0)
		r = mount(found.gl_pathv[0], found.gl_pathv[0] + strlen(folder), NULL, MS_BIND, NULL) ? -errno : 0;
	globfree(&found);
	return r;
}

static int mount_other_version(void)
{
	const char *folder = other_version();
	char options[512];

	if (!folder)
		return 0;
	snprintf(options, sizeof(options), "lowerdir=%s/usr:/usr", folder);
	return mount("overlay", "/usr", "overlay", MS_RDONLY, options) ? -errno : hide_drivers(folder);
}

static int unshare_mounts(void)
{
	return unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) ? -errno : 0;
}

int apart_use_other_version(void)
{
	int r = other_version() ? unshare_mounts() : 0;

	return r ? r : mount_other_version();
}

static int mount_all(void)
{
	int r = unshare_mounts();

	if (r || mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return r ? r : -errno;
	for (size_t i = 0; i < NR_FOLDERS; i++) {
		if (mount("tmpfs", folders[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=755"))
			return -errno;
	}
	if (access("/run/dbus", F_OK) == 0 && mount("tmpfs", "/run/dbus", "tmpfs", 0, NULL))
		return -errno;
	r = mount_other_version();
	r = r ? r : hide_kvm();
	return r ? r : add_users();
}

/* The first process of the namespace: libvirtd leaves QEMU's processes to it, to be reaped. */
static void run_inside(int argc, char **argv, int (*body)(int argc, char **argv))
{
	int status, r;
	pid_t test, pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "apart");
	r = mount_all();
	if (r) {
		fprintf(stderr, "apart: cannot set up namespaces: %s\n", strerror(-r));
		exit(1);
	}
	test = fork();
	if (test == 0)
		exit(body(argc, argv));
	do {
		pid = waitpid(-1, &status, 0);
	} while (test > 0 && pid != test && (pid > 0 || errno == EINTR));
	if (pid == test && WIFSIGNALED(status))
		fprintf(stderr, "apart: the test ended with signal %d\n", WTERMSIG(status));
	_exit(pid == test && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void end_inside(int signal_number)
{
	kill(first_process, SIGKILL);
}

/* Folders to mount over; those that were not there are removed in the end. */
static void make_folders(bool *made)
{
	for (size_t i = 0; i < NR_FOLDERS; i++)
		made[i] = mkdir(folders[i], 0755) == 0;
}

static void remove_folders(const bool *made)
{
	for (size_t i = 0; i < NR_FOLDERS; i++) {
		if (made[i])
			rmdir(folders[i]);
	}
}

static int remove_cgroup(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (type == FTW_DP && rmdir(path))
		fprintf(stderr, "apart: %s stays: %s\n", path, strerror(errno));
	return 0;
}

static bool is_in(const glob_t *list, const char *path)
{
	for (size_t i = 0; i < list->gl_pathc; i++) {
		if (!strcmp(list->gl_pathv[i], path))
			return true;
	}
	return false;
}

static void remove_cgroups(const glob_t *before)
{
	glob_t now;

	if (glob(MACHINE_CGROUPS, GLOB_BRACE, NULL, &now) == 0) {
		for (size_t i = 0; i < now.gl_pathc; i++) {
			if (!is_in(before, now.gl_pathv[i]))
				nftw(now.gl_pathv[i], remove_cgroup, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
		}
	}
	globfree(&now);
}

int apart_run(int argc, char **argv, int (*body)(int argc, char **argv))
{
	struct sigaction end = { .sa_handler = end_inside };
	bool made[NR_FOLDERS];
	glob_t cgroups = { 0 };
	int status = 0;

	if (!is_possible())
		return body(argc, argv);
	/* processes that are forked from now on, not this one */
	if (unshare(CLONE_NEWPID)) {
		refuse("use the nested host, where './lab demo' runs without --here", "no namespaces for processes here: %s",
		       strerror(errno));
		return body(argc, argv);
	}
	make_folders(made);
	glob(MACHINE_CGROUPS, GLOB_BRACE, NULL, &cgroups);
	first_process = fork();
	if (first_process == 0)
		run_inside(argc, argv, body);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	while (first_process > 0 && waitpid(first_process, &status, 0) < 0 && errno == EINTR)
		;
	remove_cgroups(&cgroups);
	remove_folders(made);
	globfree(&cgroups);
	return first_process > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
