// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tenants and policies for the host's kernel, by libvirt's domains: a tenant's number is its own for good, what it has
 * its VMs inherit, and a host that cannot do what a policy asks for says so.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../cli/command.h"
#include "domains-bed.h"

#include "attachments.h"
#include "cgroup-id.h"
#include "policy-attach.h"

#define BLUE	"<memtide:tenant>blue</memtide:tenant>"
#define RED	"<memtide:tenant>red</memtide:tenant>"

static const struct hook_domain *with(struct hook_domain *copy, const struct hook_domain *of, const char *policy)
{
	*copy = *of;
	copy->policy = policy;
	return copy;
}

static void start_domain(struct fixture *f, int which, const char *policy)
{
	struct hook_domain copy;

	assert_hook(with(&copy, which ? &b : &a, policy), "prepare", 0);
	start_peer(f, which);
}

static json_t *tenant(struct fixture *f, const char *name)
{
	return call(f, "tenant.show", json_pack("{s:s}", "tenant", name));
}

static uint64_t tenant_number_of(struct fixture *f, const char *name, const char *member)
{
	json_t *json = tenant(f, name);
	uint64_t value = number(json, member);

	json_decref(json);
	return value;
}

static void set_tenant(struct fixture *f, const char *name, const char *member, json_t *value)
{
	json_decref(call(f, "tenant.set", json_pack("{s:s, s:o}", "tenant", name, member, value)));
}

/* Two tenants never have one number, whoever is killed and whatever file is lost. */
static void test_numbers(void **state)
{
	struct fixture *f = start("[tenant green]\n[daemon]\n" CONFIG("4G"));
	uint64_t blue, red;
	char path[256];

	start_domain(f, 0, BLUE);
	start_domain(f, 1, RED);
	blue = tenant_number_of(f, "blue", "number");
	red = tenant_number_of(f, "red", "number");
	assert_true(blue && red && blue != red);
	assert_int_equal(domain_number(f, "a", "tenant_number"), blue);
	assert_int_equal(domain_number(f, "b", "tenant_number"), red);
	kill_and_restart(f);
	assert_int_equal(tenant_number_of(f, "blue", "number"), blue);
	assert_int_equal(tenant_number_of(f, "red", "number"), red);
	wait_connections(f, 0, 2);
	wait_connections(f, 1, 2);
	/* It is known from its domains as well. */
	controller_kill(f->controller);
	snprintf(path, sizeof(path), "%s/tenants.json", controller_state(f->controller));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(controller_restart(f->controller, NULL), 0);
	assert_int_equal(tenant_number_of(f, "red", "number"), red);
	assert_int_equal(tenant_number_of(f, "blue", "number"), blue);
	wait_connections(f, 0, 3);
	wait_connections(f, 1, 3);
	/* One without a VM keeps its number, and nobody else gets it. */
	peer_kill(f->peer[0]);
	peer_kill(f->peer[1]);
	wait_no_domain(f);
	kill_and_restart(f);
	assert_hook(with(&(struct hook_domain){}, &a, "<memtide:tenant>grey</memtide:tenant>"), "prepare", 0);
	assert_true(tenant_number_of(f, "grey", "number") > red && tenant_number_of(f, "grey", "number") > blue);
	assert_int_equal(tenant_number_of(f, "red", "number"), red);
	stop(f);
}

static void test_inherited(void **state)
{
	struct fixture *f = start(CONFIG("4G") "[tenant blue]\nshares = 500\nksm = off\n");
	json_t *json;

	start_domain(f, 0, BLUE);
	start_domain(f, 1, BLUE "<memtide:shares>7</memtide:shares>");
	assert_int_equal(vm_number(f, "a", "shares"), 500);
	assert_int_equal(vm_number(f, "b", "shares"), 7);
	json = controller_vm(f->controller, "a");
	assert_string_equal(text(json, "tenant"), "blue");
	json_decref(json);
	set_tenant(f, "blue", "shares", json_integer(600));
	assert_int_equal(vm_number(f, "a", "shares"), 600);
	assert_int_equal(vm_number(f, "b", "shares"), 7);
	json = tenant(f, "blue");
	assert_string_equal(text(json, "ksm"), "off");
	assert_int_equal(json_array_size(json_object_get(json, "domains")), 2);
	json_decref(json);
	/* As configured, once none of it is by hand any more: after a restart. */
	kill_and_restart(f);
	wait_connections(f, 0, 2);
	assert_int_equal(vm_number(f, "a", "shares"), 500);
	assert_int_equal(controller_call(f->controller, "tenant.set", json_pack("{s:s, s:i}", "tenant", "blue",
										  "shares", 0), NULL), -EREMOTEIO);
	assert_int_equal(controller_call(f->controller, "tenant.show", json_pack("{s:s}", "tenant", "none"), NULL),
			 -EREMOTEIO);
	stop(f);
}

static void test_floors(void **state)
{
	struct fixture *f = start(CONFIG("4G") "[tenant blue]\nbudget = 256M\n");
	struct hook_domain copy;

	start_domain(f, 0, BLUE "<memtide:floor>128MiB</memtide:floor>");
	with(&copy, &b, BLUE "<memtide:floor>192MiB</memtide:floor>");
	assert_hook(&copy, "prepare", 1);
	print_message("%s", hook_output);
	assert_non_null(strstr(hook_output, "tenant blue's other VMs, 128 MiB, do not fit the tenant's budget of 256 MiB"));
	/* Nobody else minds. */
	assert_hook(with(&copy, &b, RED "<memtide:floor>192MiB</memtide:floor>"), "prepare", 0);
	assert_hook(&copy, "release", 0);
	assert_int_equal(controller_call(f->controller, "tenant.set", json_pack("{s:s, s:I}", "tenant", "blue",
					 "budget", (json_int_t)(64 * MIB)), NULL), -EREMOTEIO);
	set_tenant(f, "blue", "budget", json_integer(512 * MIB));
	assert_hook(with(&copy, &b, BLUE "<memtide:floor>192MiB</memtide:floor>"), "prepare", 0);
	/* What it is not guaranteed it may have as far as its tenant's budget goes: a has all of it. */
	assert_int_equal(domain_number(f, "b", "held"), 192 * MIB);
	stop(f);
}

/* A tenant's budget bounds what its VMs come to have, also where the host has more. */
static void test_budget(void **state)
{
	struct fixture *f = start(CONFIG("4G") "[tenant blue]\nbudget = 640M\n");
	unsigned int denials;

	start_domain(f, 0, BLUE);
	start_domain(f, 1, BLUE "<memtide:maximum>128MiB</memtide:maximum>");
	for (int i = 0; i < PATIENCE_MS && vm_number(f, "b", "charged") != 128 * MIB; i++)
		poll(NULL, 0, 1);
	json_decref(call(f, "domain.metadata", json_pack("{s:s, s:{s:s}}", "uuid", "42424242-4242-4242-4242-424200000002",
							 "policy", "tenant", "blue")));
	assert_int_equal(vm_number(f, "b", "maximum"), RAM);
	denials = peer_denials(f->peer[1]);
	assert_int_equal(peer_claim(f->peer[1], 64 * MIB), 0);
	for (int i = 0; i < PATIENCE_MS && peer_denials(f->peer[1]) == denials; i++)
		poll(NULL, 0, 1);
	assert_int_equal(vm_number(f, "b", "ceiling"), 128 * MIB);
	assert_int_equal(vm_number(f, "a", "ceiling"), RAM);
	set_tenant(f, "blue", "budget", json_null());
	assert_int_equal(peer_claim(f->peer[1], 64 * MIB), 0);
	assert_int_equal(peer_wait_ceiling(f->peer[1], 192 * MIB, 192 * MIB, PATIENCE_MS), 0);
	stop(f);
}

/*
 * Policies for the kernel
 */

static void assert_refused(struct fixture *f, const char *policy, const char *words)
{
	struct hook_domain copy;

	assert_hook(with(&copy, &a, policy), "prepare", 1);
	print_message("%s", hook_output);
	if (!strstr(hook_output, words))
		fail_msg("\"%s\" is not in \"%s\"", words, hook_output);
	assert_int_equal(nr_domains(f), 0);
}

/* What a document demands and this host does not have, or does not take. */
static void test_refused(void **state)
{
	struct fixture *f = start(CONFIG("4G"));
	struct hook_domain copy;

	assert_refused(f, "<memtide:host policy='nowhere'/>", "nowhere");
	assert_refused(f, "<memtide:host policy='fair'/>", "family balance");
	assert_refused(f, "<memtide:host policy='thp-pressure'><memtide:knob name='nonsense' value='1'/></memtide:host>",
		       "nonsense");
	assert_refused(f, "<memtide:host policy='thp-pressure'><memtide:knob name='enter_permille' value='99999999'/>"
		       "</memtide:host>", "enter_permille");
	assert_hook(with(&copy, &a, "<memtide:host policy='nowhere' optional='yes'/>"), "prepare", 0);
	stop(f);
}

/* The state of policy @which of a's; "" if there is none. */
static void assert_host_policy(struct fixture *f, size_t which, const char *policy)
{
	json_t *json = domain(f, "a");
	json_t *one = json_array_get(json_object_get(json, "host_policies"), which);

	assert_string_equal(text(one, "policy"), policy);
	/* A machine without hooks, or without a cgroup for the VM: it runs all the same, and the reason is given. */
	if (strcmp(text(one, "state"), "attached"))
		assert_true(strlen(text(one, "why")) > 0);
	json_decref(json);
}

static void test_shown(void **state)
{
	struct fixture *f = start(CONFIG("4G"));

	start_domain(f, 0, BLUE "<memtide:ksm mode='tenant' rate-pages='100'/><memtide:thp mode='pressure'/>"
		     "<memtide:host policy='nowhere' optional='yes'/>");
	json_decref(call(f, "status", NULL));
	assert_host_policy(f, 0, "ksm-tenant");
	assert_host_policy(f, 1, "thp-pressure");
	assert_host_policy(f, 2, "nowhere");
	stop(f);
}

/* One of them that is not there: nothing of the new policy holds, its terms neither. */
static void test_all_or_nothing(void **state)
{
	struct fixture *f = start(CONFIG("4G"));
	json_t *json;

	start_domain(f, 0, BLUE "<memtide:floor>128MiB</memtide:floor><memtide:thp mode='never'/>");
	assert_int_equal(set_policy(f, json_pack("{s:I, s:s, s:[{s:s}]}", "floor", (json_int_t)(256 * MIB), "tenant", "red",
						 "hosts", "policy", "nowhere")), -EREMOTEIO);
	assert_int_equal(vm_number(f, "a", "floor"), 128 * MIB);
	json = domain(f, "a");
	assert_string_equal(text(json, "tenant"), "blue");
	assert_string_equal(text(json_object_get(json, "policy"), "thp"), "never");
	json_decref(json);
	assert_host_policy(f, 1, "thp-never");
	assert_int_equal(set_policy(f, json_pack("{s:I, s:s, s:s}", "floor", (json_int_t)(256 * MIB), "tenant", "red",
						 "thp", "always")), 0);
	assert_int_equal(vm_number(f, "a", "floor"), 256 * MIB);
	assert_host_policy(f, 1, "thp-always");
	kill_and_restart(f);
	wait_connections(f, 0, 2);
	assert_int_equal(vm_number(f, "a", "floor"), 256 * MIB);
	stop(f);
}

/*
 * In a kernel with the hooks: a process stands for a VM without a device, in a cgroup of its own.
 */

#define MACHINE	"/sys/fs/cgroup/memtide-test"
#define CGROUP	MACHINE "/a"

static void write_file(const char *path, const char *words)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(words, file);
	assert_int_equal(fclose(file), 0);
}

static void make_cgroups(void)
{
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	assert_true(!mkdir(MACHINE, 0755) || errno == EEXIST);
	write_file(MACHINE "/cgroup.subtree_control", "+memory");
	assert_true(!mkdir(CGROUP, 0755) || errno == EEXIST);
}

/* The policy of @family in force on @cgroup, and its knob; -1: there is none. */
static int64_t knob_in_force(const char *cgroup, const char *family, const char *knob)
{
	const struct memtide_attachment *attachment;
	struct memtide_attachments *all;
	int64_t value = -1;
	uint64_t id;
	size_t nr;

	if (memtide_cgroup_id(cgroup, &id, NULL) < 0 || memtide_attachments_read(&all) < 0)
		return -1;
	attachment = memtide_attachments_list(all, &nr);
	for (size_t i = 0; i < nr; i++, attachment++) {
		const struct memtide_knob *one;

		if (attachment->cgroup_id != id || !attachment->in_force || strcmp(attachment->family, family))
			continue;
		one = knob ? memtide_attachment_knob(attachment, knob) : NULL;
		value = one ? (int64_t)one->value : 0;
	}
	memtide_attachments_free(all);
	return value;
}

static void wait_knob(const char *cgroup, const char *family, const char *knob, int64_t value)
{
	for (int i = 0; i < PATIENCE_MS && knob_in_force(cgroup, family, knob) != value; i++)
		poll(NULL, 0, 1);
	assert_int_equal(knob_in_force(cgroup, family, knob), value);
}

static void test_attached(void **state)
{
	struct hook_domain plain = a;
	struct fixture *f;
	uint64_t blue;
	char text_of_pid[16];
	pid_t pid;

	if (!memtide_kernel_has_hooks()) {
		print_message("needs a kernel with the hooks: run this through ./lab test host-kernel\n");
		skip();
	}
	make_cgroups();
	f = start("machine-cgroup = " MACHINE "\n" CONFIG("4G") "[tenant blue]\nksm-rate-pages = 100\n");
	plain.no_device = 1;
	plain.policy = BLUE "<memtide:thp mode='pressure'/>";
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	snprintf(text_of_pid, sizeof(text_of_pid), "%d", (int)pid);
	write_file(CGROUP "/cgroup.procs", text_of_pid);
	/* Closed from before it starts. */
	assert_hook(&plain, "prepare", 0);
	assert_int_equal(knob_in_force(MACHINE, "ksm", "domain"), 0);
	write_pid("a", pid);
	assert_hook(&plain, "started", 0);
	blue = tenant_number_of(f, "blue", "number");
	wait_knob(CGROUP, "ksm", "domain", (int64_t)blue);
	wait_knob(CGROUP, "ksm", "rate_pages", 100);
	wait_knob(CGROUP, "thp", NULL, 0);
	assert_host_policy(f, 0, "ksm-tenant");
	/* It stays so while nobody is there, and is known afterwards. */
	kill_and_restart(f);
	assert_int_equal(knob_in_force(CGROUP, "ksm", "domain"), blue);
	set_tenant(f, "blue", "ksm_rate_pages", json_integer(200));
	wait_knob(CGROUP, "ksm", "rate_pages", 200);
	/* By hand and by name; nobody else's. */
	command_socket = controller_control_socket(f->controller);
	assert_int_equal(memtide("ksm set --tenant blue --knob rate_pages=300"), 0);
	assert_int_equal(knob_in_force(CGROUP, "ksm", "rate_pages"), 300);
	assert_int_equal(memtide("ksm set --tenant red --knob rate_pages=400"), 1);
	assert_says("no tenant is \"red\"");
	assert_int_equal(knob_in_force(CGROUP, "ksm", "rate_pages"), 300);
	command_socket = NULL;
	assert_int_equal(set_policy(f, json_pack("{s:s, s:[{s:s}]}", "tenant", "red", "hosts", "policy", "nowhere")),
			 -EREMOTEIO);
	assert_int_equal(knob_in_force(CGROUP, "ksm", "domain"), blue);
	assert_int_equal(set_policy(f, json_pack("{s:s}", "tenant", "blue")), 0);
	wait_knob(CGROUP, "thp", NULL, -1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	wait_no_domain(f);
	wait_knob(CGROUP, "ksm", NULL, -1);
	stop(f);
	memtide_policy_detach("ksm", MACHINE, &(size_t){ 0 }, NULL);
	rmdir(CGROUP);
	rmdir(MACHINE);
}

/* [PATTERN]: only the tests whose names match. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_floors),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_all_or_nothing),
		cmocka_unit_test(test_attached),
	};

	signal(SIGPIPE, SIG_IGN);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
