// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide doctor: memtided, its configuration, its policies and its sockets, and what it says of its VMs.
 *
 * What is installed is looked at as memtided would at its next start.  A memtided that was named with --socket may
 * have a configuration of its own, and is only asked.
 */
#include "doctor.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "config.h"
#include "policy.h"
#include "size.h"

#define MAX_GROUPS	256
#define RESTART		"systemctl restart memtided, or end and start it; VMs keep what they have meanwhile"

/* How memtided is started here. */
static const char *start_words(void)
{
	return doctor_has_systemd() ? "systemctl enable --now memtided" : "start it: memtided";
}

/*
 * Configuration and policies
 */

static bool check_config(struct doctor *doctor, struct memtide_config *ret_config)
{
	static const char why[] = "memtided does not start with a wrong configuration, nor take it over when it is told to";
	bool there = !access(MEMTIDE_CONFIG_PATH, F_OK);
	struct memtide_errtext errtext = { .text = "" };
	char budget[MEMTIDE_SIZE_TEXT];
	int r = memtide_config_load(there ? MEMTIDE_CONFIG_PATH : NULL, ret_config, &errtext);

	if (r == -EACCES) {
		doctor_find(doctor, "config", UNKNOWN, why, "run memtide doctor as root", "%s", errtext.text);
		return false;
	}
	if (r) {
		doctor_find(doctor, "config", WRONG, why, "correct the line, then: memtided --check-config", "%s",
			    errtext.text);
		return false;
	}
	doctor_find(doctor, "config", FINE, why, "", "%s%s: budget %s, policy %s", MEMTIDE_CONFIG_PATH,
		    there ? " is valid" : " is not there, what is built in holds",
		    ret_config->budget_auto ? "auto" : memtide_size_format(ret_config->budget, budget),
		    ret_config->policy);
	return true;
}

/* Count policies of a folder, and those that are none though they are called so. */
static void count_policies(struct doctor *doctor, const char *folder, unsigned int *nr)
{
	const size_t suffix = strlen(MEMTIDE_POLICY_SUFFIX);
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct memtide_errtext errtext = { .text = "" };
		size_t len = strlen(entry->d_name);
		struct memtide_policy *policy;
		char path[1024];

		if (len <= suffix || strcmp(entry->d_name + len - suffix, MEMTIDE_POLICY_SUFFIX))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (memtide_policy_open(path, &policy, &errtext)) {
			doctor_find(doctor, "policies", WRONG, "it cannot be loaded by its name",
				    "install memtide again, or remove the file", "%s", errtext.text);
			continue;
		}
		memtide_policy_close(policy);
		(*nr)++;
	}
	if (dir)
		closedir(dir);
}

/* Find, read and, where that is allowed, load the policy that decides. */
static int try_policy(const struct memtide_config *config, struct memtide_errtext *errtext)
{
	struct memtide_policy *policy = NULL;
	char *file = NULL;
	int r;

	if (!strcmp(config->policy, "none"))
		return 0;
	if (config->policy[0] != '/') {
		r = memtide_policy_find(config->policy_path, config->policy, &file, errtext);
		if (r)
			return r;
	}
	r = memtide_policy_open(file ?: config->policy, &policy, errtext);
	if (!r && !geteuid())
		r = memtide_policy_load(policy, errtext);
	memtide_policy_close(policy);
	free(file);
	return r;
}

static void check_policies(struct doctor *doctor, const struct memtide_config *config)
{
	static const char why[] = "memtided does not start without the policy that its configuration names";
	struct memtide_errtext errtext = { .text = "" };
	char *folders = strdup(config->policy_path), *save, *folder;
	unsigned int nr = 0;
	int r = try_policy(config, &errtext);

	for (folder = strtok_r(folders, ":", &save); folder; folder = strtok_r(NULL, ":", &save))
		count_policies(doctor, folder, &nr);
	free(folders);
	if (r == -EPERM || r == -EACCES)
		doctor_find(doctor, "policies", WRONG, "nothing is decided, VMs under pressure are relieved all the same",
			    "give memtided CAP_BPF, and boot without lockdown=confidentiality", "%s",
			    errtext.text);
	else if (r)
		doctor_find(doctor, "policies", WRONG, why,
			    "install memtide again, or set policy and policy-path in its configuration", "%s",
			    errtext.text);
	else
		doctor_find(doctor, "policies", FINE, why, "", "%u policies in %s; %s %s", nr, config->policy_path,
			    config->policy, geteuid() ? "can be read" : "can be loaded");
}

/*
 * Sockets
 */

/* Whether a user with these groups may go through all folders of @path and use what is there. */
static bool may_use(const char *path, uid_t uid, const gid_t *groups, int nr_groups)
{
	char part[512];
	struct stat st;

	for (size_t len = 1; len <= strlen(path); len++) {
		bool last = !path[len], mine = false;
		mode_t need = last ? 06 : 01;

		if (!last && path[len] != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)len, path);
		if (stat(part, &st))
			return false;
		for (int i = 0; i < nr_groups; i++)
			mine |= groups[i] == st.st_gid;
		need <<= st.st_uid == uid ? 6 : mine ? 3 : 0;
		if ((st.st_mode & need) != need)
			return false;
	}
	return true;
}

/* -1: no such user. */
static int user_may_use(const char *user, const char *path)
{
	const struct passwd *entry = getpwnam(user);
	gid_t groups[MAX_GROUPS];
	int nr = MAX_GROUPS;

	if (!entry)
		return -1;
	if (!entry->pw_uid)
		return 1;
	if (getgrouplist(user, entry->pw_gid, groups, &nr) < 0)
		return -1;
	return may_use(path, entry->pw_uid, groups, nr);
}

/* "root:kvm 660" */
static const char *owner_words(const struct stat *st, char *ret_text, size_t size)
{
	const struct passwd *user = getpwuid(st->st_uid);
	const struct group *group = getgrgid(st->st_gid);

	snprintf(ret_text, size, "%s:%s %03o", user ? user->pw_name : "?", group ? group->gr_name : "?",
		 st->st_mode & 0777);
	return ret_text;
}

static void check_vmm_socket(struct doctor *doctor, const char *path)
{
	static const char why[] = "a QEMU that cannot connect is not managed, and keeps all its memory";
	const char *user = doctor_qemu_user();
	char owner[80], mend[200];
	struct stat st;

	if (lstat(path, &st)) {
		doctor_find(doctor, "vmm-socket", WRONG, why, RESTART, "%s: %s", path, strerror(errno));
	} else if (!S_ISSOCK(st.st_mode)) {
		snprintf(mend, sizeof(mend), "rm %s, then %s", path, RESTART);
		doctor_find(doctor, "vmm-socket", WRONG, why, mend, "%s is no socket", path);
	} else if (st.st_mode & 02) {
		doctor_find(doctor, "vmm-socket", WRONG, "any program could claim to be a VM, and its memory", RESTART,
			    "%s is open to everybody (%s)", path, owner_words(&st, owner, sizeof(owner)));
	} else if (user && !user_may_use(user, path)) {
		snprintf(mend, sizeof(mend), "usermod -aG kvm %s, then start libvirt's daemon and memtided anew", user);
		doctor_find(doctor, "vmm-socket", WRONG, why, mend, "user %s, as which libvirt runs QEMU, cannot "
			    "connect to %s (%s)", user, path, owner_words(&st, owner, sizeof(owner)));
	} else {
		doctor_find(doctor, "vmm-socket", FINE, why, "", "%s is %s%s%s", path,
			    owner_words(&st, owner, sizeof(owner)), user ? ", open to user " : "", user ?: "");
	}
}

static void check_control_socket(struct doctor *doctor, const struct memtide_config *config)
{
	static const char why[] = "who may connect may look at all VMs; only root and memtided's user change anything";
	char owner[80], mend[200];
	struct stat st;

	if (lstat(config->control_socket, &st) || !S_ISSOCK(st.st_mode))
		return;
	owner_words(&st, owner, sizeof(owner));
	if (config->group && !getgrnam(config->group)) {
		snprintf(mend, sizeof(mend), "groupadd --system %s, then %s", config->group, RESTART);
		doctor_find(doctor, "control-socket", WRONG, why, mend,
			    "the configuration gives %s to group %s, which does not exist (%s)",
			    config->control_socket, config->group, owner);
	} else if (st.st_mode & 02) {
		doctor_find(doctor, "control-socket", WRONG, why, RESTART, "%s is open to everybody (%s)",
			    config->control_socket, owner);
	} else {
		doctor_find(doctor, "control-socket", FINE, why, "", "%s is %s", config->control_socket, owner);
	}
}

/*
 * The daemon
 */

static void check_unit(struct doctor *doctor)
{
	static const char why[] = "VMs that start before memtided wait for it with all their memory";

	if (!doctor_has_systemd())
		return;
	if (access("/etc/systemd/system/multi-user.target.wants/memtided.service", F_OK))
		doctor_find(doctor, "unit", NOTE, why, "systemctl enable memtided",
			    "systemd does not start memtided when the host boots");
	else
		doctor_find(doctor, "unit", FINE, why, "", "systemd starts memtided when the host boots");
}

/* Whether the file that process @pid was started from has been replaced since. */
static bool program_replaced(uint64_t pid)
{
	static const char suffix[] = " (deleted)";
	char path[64], target[512];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%llu/exe", (unsigned long long)pid);
	n = readlink(path, target, sizeof(target) - 1);
	return n >= (ssize_t)sizeof(suffix) && !memcmp(target + n - (sizeof(suffix) - 1), suffix, sizeof(suffix) - 1);
}

static void check_version(struct doctor *doctor, const json_t *status)
{
	static const char why[] = "the two may not understand each other; after an upgrade the old memtided still runs";
	const char *version = reply_text(status, "version");

	if (strcmp(version, MEMTIDE_CLI_VERSION))
		doctor_find(doctor, "version", WRONG, why, RESTART, "memtided is %s, memtide is %s", version,
			    MEMTIDE_CLI_VERSION);
	else if (program_replaced(reply_number(status, "pid")))
		doctor_find(doctor, "version", NOTE, why, RESTART,
			    "memtided has been installed anew since the one that runs was started");
	else
		doctor_find(doctor, "version", FINE, why, "", "memtided and memtide are both %s", version);
}

static void check_managed(struct doctor *doctor, const json_t *status)
{
	const json_t *vm;
	size_t i;

	json_array_foreach(json_object_get(status, "vms"), i, vm) {
		const char *name = reply_text(vm, "name"), *state = reply_text(vm, "state");

		if (!strcmp(state, "starting"))
			doctor_find(doctor, "driver", NOTE, "such a VM is charged its maximum",
				    "load virtio_tide in the guest (modprobe virtio_tide), or wait until it has booted",
				    "VM %s has the device but no driver", name);
		else if (strcmp(state, "managed"))
			doctor_find(doctor, "driver", NOTE, "its memory is not moved", "", "VM %s is %s%s%s", name,
				    state, *reply_text(vm, "why") ? ": " : "", reply_text(vm, "why"));
		if (!*reply_text(vm, "cgroup"))
			doctor_find(doctor, "enforced", NOTE, "nothing holds it to its ceiling",
				    "start each VM in a cgroup of its own with the memory controller",
				    "VM %s has no cgroup of its own with memory files", name);
	}
}

/* Whether one answers. */
static bool check_memtided(struct doctor *doctor)
{
	static const char why[] = "it is what moves memory; without it VMs keep what they have";
	const char *socket = doctor->cli->socket;
	struct client *client;
	char words[256];
	json_t *reply, *status;
	bool answers;
	int r;

	r = client_connect(socket, &client);
	if (r) {
		doctor_find(doctor, "memtided", r == -EACCES || r == -EPERM ? UNKNOWN : WRONG, why,
			    r == -EACCES || r == -EPERM ? "run memtide doctor as root" : start_words(), "%s",
			    client_connect_words(socket, r, words, sizeof(words)));
		return false;
	}
	reply = client_call(client, "status", NULL);
	status = json_object_get(reply, "result");
	answers = status != NULL;
	if (!answers) {
		doctor_find(doctor, "memtided", WRONG, why,
			    doctor_has_systemd() ? "journalctl -u memtided" : "look into its log",
			    "memtided at %s does not answer", socket);
	} else {
		doctor_find(doctor, "memtided", FINE, why, "", "memtided %s answers, policy %s, %zu VMs",
			    reply_text(status, "version"), reply_text(status, "policy"),
			    json_array_size(json_object_get(status, "vms")));
		check_version(doctor, status);
		if (reply_number(status, "deficit"))
			doctor_find(doctor, "budget", WRONG, "nothing can grow",
				    "raise the budget, lower floors, or move VMs away",
				    "more is charged than the budget has");
		check_managed(doctor, status);
	}
	json_decref(reply);
	client_close(client);
	return answers;
}

void doctor_daemon(struct doctor *doctor)
{
	struct memtide_config config;
	bool answers = check_memtided(doctor), usual;

	check_unit(doctor);
	if (!check_config(doctor, &config))
		return;
	usual = !strcmp(doctor->cli->socket, config.control_socket);
	if (usual)
		check_policies(doctor, &config);
	if (usual && answers) {
		check_vmm_socket(doctor, config.vmm_socket);
		check_control_socket(doctor, &config);
	}
	memtide_config_free(&config);
}
