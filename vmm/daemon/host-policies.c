// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is attached is asked of the kernel each time: administrators attach and detach as well, and the guard ejects.
 */
#include "host-policies.h"

#include "attachments.h"
#include "cgroup-id.h"
#include "kernel-write.h"
#include "policy.h"
#include "policy-attach.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *host_policy_state_name(enum host_policy_state state)
{
	static const char *const names[] = { "waiting", "attached", "unavailable", "failed" };

	return names[state];
}

/* Read policy @which of @hosts and set its knobs.  -ENOENT: this host does not have it. */
static int open_host(const char *path, const struct domain_hosts *hosts, size_t which,
		     struct memtide_policy **ret_policy, struct memtide_errtext *errtext)
{
	struct memtide_policy *policy = NULL;
	char *file = NULL;
	int r;

	r = memtide_policy_find(path, hosts->hosts[which].policy, &file, errtext);
	if (r < 0)
		return -ENOENT;
	r = memtide_policy_open(file, &policy, errtext);
	free(file);
	if (r >= 0 && !(memtide_policy_families(policy) & ~(unsigned int)MEMTIDE_FAMILY_BALANCE))
		r = memtide_errtext_set(errtext, -EINVAL, "policy %s is of family balance, which is for the whole host",
					hosts->hosts[which].policy);
	for (size_t i = 0; i < hosts->nr_knobs && r >= 0; i++)
		if (hosts->knobs[i].host == which)
			r = memtide_policy_set_knob(policy, hosts->knobs[i].name, hosts->knobs[i].value, errtext);
	if (r < 0) {
		memtide_policy_close(policy);
		return r == -ENOENT ? -EINVAL : r;
	}
	*ret_policy = policy;
	return 0;
}

int host_policies_check(const char *path, const struct domain_hosts *hosts, struct memtide_errtext *errtext)
{
	struct memtide_errtext why = { .text = "" };

	for (size_t i = 0; i < hosts->nr_hosts; i++) {
		struct memtide_policy *policy = NULL;
		int r = open_host(path, hosts, i, &policy, &why);

		memtide_policy_close(policy);
		if (!r || (r == -ENOENT && hosts->hosts[i].optional))
			continue;
		return memtide_errtext_set(errtext, r, "<host policy='%s'>: %s%s", hosts->hosts[i].policy, why.text,
					   r == -ENOENT ? "; optional='yes' has the VM start without it" : "");
	}
	return 0;
}

/*
 * Attaching
 */

/* Is @family one of the words in "ksm,thp"? */
static bool has_family(const char *families, const char *family)
{
	size_t size = strlen(family);

	for (const char *at = families; (at = strstr(at, family)); at += size)
		if ((at == families || strchr(", ", at[-1])) && (!at[size] || strchr(", ", at[size])))
			return true;
	return false;
}

static bool same_file(const struct memtide_policy *policy, const char *file)
{
	char *own = realpath(memtide_policy_path(policy), NULL);
	bool same = own && !strcmp(own, file);

	free(own);
	return same;
}

/* With the knobs that @policy is to have.  Which cgroup it is for is said by where it is attached. */
static bool same_knobs(const struct memtide_policy *policy, const struct memtide_attachment *attachment)
{
	const struct memtide_knob *knobs, *other;
	size_t nr;

	knobs = memtide_policy_knobs(policy, &nr);
	for (size_t i = 0; i < nr; i++) {
		if (!strcmp(knobs[i].name, "cgroup_id"))
			continue;
		other = memtide_attachment_knob(attachment, knobs[i].name);
		if (!other || other->value != knobs[i].value)
			return false;
	}
	return true;
}

/* How many of the policy's families have something of ours in force there, and whether all that is what is wanted. */
static unsigned int look(const struct memtide_policy *policy, uint64_t cgroup_id, bool *ret_same)
{
	const struct memtide_attachment *attachment;
	struct memtide_attachments *all;
	unsigned int found = 0;
	size_t nr;

	*ret_same = true;
	if (memtide_attachments_read_of(cgroup_id, &all) < 0)
		return 0;
	attachment = memtide_attachments_list(all, &nr);
	for (size_t i = 0; i < nr; i++, attachment++) {
		if (!attachment->in_force || !attachment->pin[0] ||
		    !has_family(memtide_policy_family_names(policy), attachment->family))
			continue;
		found++;
		*ret_same &= same_file(policy, attachment->file) && same_knobs(policy, attachment);
	}
	memtide_attachments_free(all);
	return found;
}

static int put(struct memtide_policy *policy, const char *cgroup, struct memtide_errtext *errtext)
{
	unsigned int families = (unsigned int)__builtin_popcount(memtide_policy_families(policy) &
								 ~(unsigned int)MEMTIDE_FAMILY_BALANCE);
	unsigned int found;
	uint64_t id;
	bool same;
	int r;

	r = memtide_cgroup_id(cgroup, &id, errtext);
	if (r < 0)
		return r;
	found = look(policy, id, &same);
	if (found == families && same)
		return 0;
	return found ? memtide_policy_replace(policy, cgroup, errtext) :
		       memtide_policy_attach(policy, cgroup, errtext);
}

static int ensure_one(const char *path, const char *cgroup, const struct domain_hosts *hosts, size_t which,
		      struct host_policy *ret, struct memtide_errtext *errtext)
{
	struct memtide_errtext why = { .text = "" };
	struct memtide_policy *policy = NULL;
	int r;

	*ret = (struct host_policy){ .state = HOST_POLICY_FAILED };
	snprintf(ret->policy, sizeof(ret->policy), "%s", hosts->hosts[which].policy);
	r = open_host(path, hosts, which, &policy, &why);
	if (!r)
		snprintf(ret->families, sizeof(ret->families), "%s", memtide_policy_family_names(policy));
	if (!r && !memtide_kernel_has_hooks()) {
		ret->state = HOST_POLICY_UNAVAILABLE;
		memtide_errtext_set(&why, 0, "this kernel has no hooks for memory policies");
	} else if (!r) {
		r = put(policy, cgroup, &why);
		ret->state = r ? HOST_POLICY_FAILED : HOST_POLICY_ATTACHED;
	} else if (r == -ENOENT && hosts->hosts[which].optional) {
		ret->state = HOST_POLICY_UNAVAILABLE;
		r = 0;
	}
	memtide_policy_close(policy);
	snprintf(ret->why, sizeof(ret->why), "%.190s", ret->state == HOST_POLICY_ATTACHED ? "" : why.text);
	return r ? memtide_errtext_set(errtext, r, "policy %s: %s", hosts->hosts[which].policy, why.text) : 0;
}

/* Detach each family of @gone that nobody in @stays has. */
static void detach_gone(const char *cgroup, const struct host_policy *gone, const struct host_policies *stays)
{
	char families[sizeof(gone->families)], *family, *save = NULL;

	snprintf(families, sizeof(families), "%s", gone->families);
	for (family = strtok_r(families, ", ", &save); family; family = strtok_r(NULL, ", ", &save)) {
		bool wanted = false;
		size_t nr;

		for (size_t i = 0; i < stays->nr; i++)
			wanted |= has_family(stays->list[i].families, family);
		if (!wanted)
			memtide_policy_detach(family, cgroup, &nr, NULL);
	}
}

int host_policies_ensure(const char *path, const char *cgroup, const struct domain_hosts *hosts,
			 const struct host_policies *before, struct host_policies *ret,
			 struct memtide_errtext *errtext)
{
	int r = 0;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < hosts->nr_hosts; i++) {
		int one = ensure_one(path, cgroup, hosts, i, &ret->list[ret->nr++], r ? NULL : errtext);

		r = r ? r : one;
	}
	for (size_t i = 0; i < before->nr; i++)
		if (before->list[i].state == HOST_POLICY_ATTACHED)
			detach_gone(cgroup, &before->list[i], ret);
	return r;
}

/*
 * Detaching
 */

/* "ksm: scanned 100, merged 20; thp: ..." */
static size_t account(const struct memtide_attachment *attachment, char *ret_account, size_t size, size_t used)
{
	if (used < size)
		used += (size_t)snprintf(ret_account + used, size - used, "%s%s:", used ? "; " : "", attachment->family);
	for (size_t i = 0; i < attachment->nr_counts && used < size; i++)
		used += (size_t)snprintf(ret_account + used, size - used, "%s %s %" PRIu64, i ? "," : "",
					 attachment->counts[i].name, attachment->counts[i].value);
	return used;
}

void host_policies_detach(const char *cgroup, char *ret_account, size_t size)
{
	const struct memtide_attachment *attachment;
	struct memtide_attachments *all;
	size_t nr, used = 0;
	uint64_t id;

	ret_account[0] = '\0';
	/* With the cgroup the kernel has detached them; what is left of them goes with the next that is attached. */
	if (!memtide_kernel_has_hooks() || memtide_cgroup_id(cgroup, &id, NULL) < 0 ||
	    memtide_attachments_read_of(id, &all) < 0)
		return;
	attachment = memtide_attachments_list(all, &nr);
	for (size_t i = 0; i < nr; i++, attachment++) {
		size_t detached;

		if (!attachment->in_force || !attachment->pin[0])
			continue;
		used = account(attachment, ret_account, size, used);
		memtide_policy_detach(attachment->family, cgroup, &detached, NULL);
	}
	memtide_attachments_free(all);
}

/*
 * The closed default
 */

/* libvirt's partitions with systemd and without. */
static const char *const machines[] = { MEMTIDE_CGROUP_ROOT "/machine.slice", MEMTIDE_CGROUP_ROOT "/machine" };

/* Before the first VM there may be none.  Where systemd does not rule, libvirt takes the one that it finds. */
static void make_machine(const char *path)
{
	if (!access("/run/systemd/system", F_OK) || mkdir(path, 0755) < 0)
		return;
	/* Where this fails attaching says what is missing. */
	memtide_kernel_write(MEMTIDE_CGROUP_ROOT "/cgroup.subtree_control", "+memory");
}

/* Ours from before, or an administrator's, who knows what is wanted; one that was ejected is none. */
static bool is_closed(const char *machine)
{
	char path[128], state[16] = "";
	uint64_t id;
	FILE *f;

	if (memtide_cgroup_id(machine, &id, NULL) < 0)
		return false;
	snprintf(path, sizeof(path), MEMTIDE_TIDE_SYSFS "/policies/ksm-%" PRIu64 "/state", id);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(state, sizeof(state), f))
		state[0] = '\0';
	fclose(f);
	return !strcmp(state, "attached\n");
}

static int close_one(const char *path, const char *machine, struct memtide_errtext *errtext)
{
	struct domain_hosts off = { .hosts = { { .policy = "ksm-off" } }, .nr_hosts = 1 };
	struct memtide_policy *policy = NULL;
	int r;

	/* each start comes by here: nothing is loaded for that which is there */
	if (is_closed(machine))
		return 0;
	r = open_host(path, &off, 0, &policy, errtext);
	if (!r)
		r = memtide_policy_attach(policy, machine, errtext);
	memtide_policy_close(policy);
	/* Somebody was faster. */
	return r == -EBUSY ? 0 : r;
}

int host_policies_close(const char *path, const char *machine, struct memtide_errtext *errtext)
{
	bool found = false;
	int r = 0;

	if (!memtide_kernel_has_hooks())
		return 0;
	if (strcmp(machine, "auto"))
		return close_one(path, machine, errtext);
	for (int turn = 0; turn < 2 && !found; turn++) {
		if (turn)
			make_machine(machines[1]);
		for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
			int one = access(machines[i], F_OK) ? -ENOENT : close_one(path, machines[i], r ? NULL : errtext);

			found |= one != -ENOENT;
			r = r || one == -ENOENT ? r : one;
		}
	}
	return found ? r : memtide_errtext_set(errtext, -ENOENT, "there is neither %s nor %s yet", machines[0],
					       machines[1]);
}
