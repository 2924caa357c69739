// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See domain-plan.h.  What a domain uses is taken from the command line that libvirt makes for it, and what the
 * emulator has from the emulator itself; so nothing here has to know which devices there are.
 */
#include "domain-plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "domain.h"
#include "domain-argv.h"
#include "domain-caps.h"
#include "emulator.h"
#include "reply.h"
#include "size.h"

#define REBUILD	"rebuild the distribution's own QEMU with memtide's device (docs/qemu-package.md), or take it out of " \
		"the domain (virsh edit)"

/*
 * Planning
 */

/* Whether @path is to stay: it can be asked, and has the device.  *@ret_has is what it has then. */
static bool is_ours(const char *path, json_t **ret_has)
{
	json_t *has;

	if (emulator_ask(path, &has, NULL))
		return false;
	if (!emulator_has(has, "device", EMULATOR_TIDE)) {
		json_decref(has);
		return false;
	}
	*ret_has = has;
	return true;
}

static int choose_emulator(struct domain_plan *plan, const char *wanted, bool local, struct memtide_errtext *errtext)
{
	const char *now = plan->facts.emulator;

	if (!wanted && ((local && *now && is_ours(now, &plan->has)) || (!local && plan->facts.enabled)))
		wanted = now;
	plan->emulator = strdup(wanted ?: MEMTIDE_EMULATOR);
	if (!plan->emulator)
		return memtide_errtext_set(errtext, -ENOMEM, "no memory");
	if (strcmp(plan->emulator, now))
		plan->change = plan->emulator;
	plan->local = local;
	if (!local)
		memtide_errtext_set(&plan->has_errtext, -EREMOTE, "%s is on another host: it can only be asked there",
				    plan->emulator);
	else if (!plan->has)
		emulator_ask(plan->emulator, &plan->has, &plan->has_errtext);
	return 0;
}

static int make(struct domain_plan *plan, const char *emulator, bool local, struct memtide_errtext *errtext)
{
	int r;

	r = domain_edit_nothing(plan->raw, &plan->before, errtext);
	if (!r)
		r = domain_facts_read(plan->raw, &plan->facts, errtext);
	if (!r)
		r = choose_emulator(plan, emulator, local, errtext);
	if (!r)
		domain_edit_enable(plan->raw, plan->change, MEMTIDE_VMM_PATH, &plan->after, &plan->after_errtext);
	return r;
}

int domain_plan_make(char *raw, const char *emulator, bool local, struct domain_plan *ret_plan,
		     struct memtide_errtext *errtext)
{
	struct domain_plan plan = { .raw = raw };
	int r = make(&plan, emulator, local, errtext);

	if (r)
		domain_plan_free(&plan);
	else
		*ret_plan = plan;
	return r;
}

void domain_plan_free(struct domain_plan *plan)
{
	free(plan->raw);
	free(plan->before);
	free(plan->after);
	free(plan->emulator);
	json_decref(plan->has);
	*plan = (struct domain_plan) {};
}

/*
 * Its policy
 */

static void find_policy(const struct memtide_domain *domain, struct report *report)
{
	const struct memtide_domain_policy *policy = &domain->policy;
	char floor[MEMTIDE_SIZE_TEXT], maximum[MEMTIDE_SIZE_TEXT];

	if (!domain->has_policy) {
		find(report, "policy", FINE, "", "none: memtided's configuration holds");
		return;
	}
	find(report, "policy", FINE, "", "tenant %s, floor %s, maximum %s", *policy->tenant ? policy->tenant : "none",
	     policy->floor.line ? memtide_size_format(policy->floor.value, floor) : "as configured",
	     policy->maximum.line ? memtide_size_format(policy->maximum.value, maximum) : "as configured");
	for (size_t i = 0; i < policy->nr_skipped && i < MEMTIDE_DOMAIN_SKIPPED; i++)
		find(report, "policy", NOTE, "use a newer memtide",
		     "line %u, <%s>: not known to this version, and skipped",
		     policy->skipped[i].line, policy->skipped[i].element);
}

static void find_obstacles(const struct memtide_domain_limits *limits, struct report *report)
{
	for (int i = 0; i < MEMTIDE_OBSTACLES; i++)
		if (limits->obstacles[i].element)
			find(report, "memory", NOTE, "",
			     "none of it can be taken, and the VM is left alone: %s (%s in line %u)",
			     memtide_obstacle_text(i), limits->obstacles[i].element, limits->obstacles[i].line);
}

static void check_policy(const struct domain_plan *plan, struct report *report)
{
	static const char mend[] = "virsh edit, or virsh metadata; docs/domain-xml.md has every element";
	struct memtide_errtext errtext;
	struct memtide_domain domain;

	if (memtide_domain_read(plan->raw, strlen(plan->raw), &domain, &errtext)) {
		find(report, "policy", WRONG, mend, "%s", errtext.text);
		return;
	}
	/* which enabling would see to */
	domain.limits.tide_device = true;
	if (domain.has_policy && memtide_domain_check(&domain.policy, &domain.limits, &errtext))
		find(report, "policy", WRONG, mend, "%s", errtext.text);
	else
		find_policy(&domain, report);
	find_obstacles(&domain.limits, report);
}

/*
 * Its emulator
 */

static void check_emulator(const struct domain_plan *plan, struct report *report)
{
	if (!plan->has) {
		find(report, "emulator", plan->local ? WRONG : UNKNOWN, "", "%s", plan->has_errtext.text);
		return;
	}
	if (!emulator_has(plan->has, "device", EMULATOR_TIDE))
		find(report, "emulator", WRONG, "build one that has (docs/qemu-package.md), or name it with --emulator",
		     "%s, QEMU %s, has no " EMULATOR_TIDE, plan->emulator, reply_text(plan->has, "version"));
	else
		find(report, "emulator", FINE, "", "%s, QEMU %s, has " EMULATOR_TIDE, plan->emulator,
		     reply_text(plan->has, "version"));
}

static void check_device(const struct domain_plan *plan, struct report *report)
{
	if (!plan->after)
		find(report, "device", WRONG, "", "%s", plan->after_errtext.text);
}

static void find_lacks(const struct domain_plan *plan, const json_t *lacks, struct report *report)
{
	char names[500];
	const char *kind;
	json_t *list, *name;
	size_t i;

	json_object_foreach((json_t *)lacks, kind, list) {
		size_t used = 0;

		names[0] = '\0';
		json_array_foreach(list, i, name) {
			/* check_emulator() has said so, and what to do about it */
			if (!strcmp(json_string_value(name), EMULATOR_TIDE) || used >= sizeof(names))
				continue;
			used += snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
					 json_string_value(name));
		}
		if (used)
			find(report, kind, WRONG, REBUILD, "the domain uses %s, which %s does not have", names,
			     plan->emulator);
	}
}

/* The words of one that libvirt can make, of the domain as it would be or, failing that, as it is. */
static char **command_line(const char *xml, struct virt *virt, struct memtide_errtext *errtext)
{
	char *offline, *text, **argv = NULL;

	if (!xml || domain_edit_offline(xml, &offline, errtext))
		return NULL;
	if (!virt_command_line(virt, offline, &text, errtext)) {
		domain_argv_split(text, &argv);
		free(text);
	}
	free(offline);
	return argv;
}

/* QEMU 9.0 took the option out; libvirt 9 writes it for a domain without ACPI. */
static void check_acpi(const struct domain_plan *plan, char *const argv[], struct report *report)
{
	static const char mend[] = "add <features><acpi/></features> (virsh edit); the guest sees other hardware then";

	if (plan->facts.acpi)
		return;
	if (argv && domain_argv_has(argv, "-no-acpi") && atoi(reply_text(plan->has, "version")) >= 9)
		find(report, "acpi", WRONG, mend,
		     "<features><acpi/></features> is missing: this libvirt starts QEMU with -no-acpi then, which "
		     "QEMU %s does not know", reply_text(plan->has, "version"));
	else
		find(report, "acpi", NOTE, mend,
		     "<features><acpi/></features> is missing: some versions of libvirt cannot start QEMU 9 and later "
		     "without");
}

static void check_uses(const struct domain_plan *plan, char *const argv[], struct report *report)
{
	json_t *uses = argv ? domain_argv_uses(argv) : json_object(), *lacks;

	domain_xml_uses(plan->raw, uses, NULL);
	if (*plan->facts.machine)
		emulator_add(uses, "machine", plan->facts.machine);
	if (!strcmp(plan->facts.type, "kvm"))
		emulator_add(uses, "accel", "kvm");
	if (plan->has) {
		lacks = emulator_lacks(uses, plan->has);
		find_lacks(plan, lacks, report);
		if (!json_object_size(lacks) && argv)
			find(report, "uses", FINE, "", "it has all that the domain uses");
		json_decref(lacks);
	}
	json_decref(uses);
}

static void check_command_line(const struct domain_plan *plan, struct virt *virt, struct report *report)
{
	struct memtide_errtext after = {}, before = {};
	char **argv_after = command_line(plan->after, virt, &after), **argv_before = NULL;

	if (!argv_after) {
		argv_before = command_line(plan->before, virt, &before);
		/* where it is not even taken as it is, that is not our emulator's doing */
		if (argv_before && plan->after)
			find(report, "libvirt", WRONG, REBUILD, "%s", after.text);
		else if (!argv_before)
			find(report, "libvirt", UNKNOWN, "", "%s; nor of the domain as it is",
			     plan->after ? after.text : before.text);
	}
	check_acpi(plan, argv_after ?: argv_before, report);
	check_uses(plan, argv_after ?: argv_before, report);
	domain_argv_free(argv_after);
	domain_argv_free(argv_before);
}

static void check_capabilities(const struct domain_plan *plan, struct virt *virt, struct report *report)
{
	const struct domain_facts *facts = &plan->facts;
	struct memtide_errtext errtext;
	char *capabilities;
	json_t *lacks;
	int r;

	r = virt_capabilities(virt, plan->emulator, facts->arch, facts->machine, facts->type, &capabilities, &errtext);
	if (r) {
		find(report, "libvirt", WRONG, "can libvirt's QEMU user run it? has it the machine? is there KVM?", "%s",
		     errtext.text);
		/* which is no reason not to say what else it lacks */
		r = virt_capabilities(virt, plan->emulator, facts->arch, NULL, NULL, &capabilities, NULL);
	}
	if (r)
		return;
	if (domain_caps_lacks(plan->raw, capabilities, &lacks, &errtext)) {
		find(report, "libvirt", UNKNOWN, "", "%s", errtext.text);
	} else {
		find_lacks(plan, lacks, report);
		json_decref(lacks);
	}
	free(capabilities);
}

void domain_plan_check(const struct domain_plan *plan, struct virt *virt, struct report *report)
{
	check_policy(plan, report);
	check_device(plan, report);
	check_emulator(plan, report);
	if (!virt) {
		check_uses(plan, NULL, report);
		return;
	}
	if (plan->has || !virt_is_local(virt))
		check_capabilities(plan, virt, report);
	check_command_line(plan, virt, report);
}
