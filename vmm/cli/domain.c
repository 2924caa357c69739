// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide domain: libvirt's domains, made ready for memtide and put back.  What is to change in one is worked out in
 * domain-plan.c and domain-edit.c; here it is shown, asked about and handed to libvirt.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "cli.h"
#include "control.h"
#include "domain.h"
#include "domain-list.h"
#include "domain-plan.h"
#include "text-diff.h"

/* What diff(1) ends with. */
enum { DIFF_SAME, DIFF_DIFFERS, DIFF_TROUBLE };

/* A change to one domain, from what it is asked of to what libvirt is given. */
struct change {
	const struct cli *cli;
	const char *name;
	struct virt *virt;
	struct virt_state state;
	struct report report;
	char *raw;	/* the domain as it was read, without passwords */
	char *diff;
	int (*edit)(const struct change *change, const char *xml, char **ret_xml, struct memtide_errtext *errtext);
	const void *data;
};

static int failed(const struct cli *cli, const struct memtide_errtext *errtext)
{
	return attach_failed(cli, errtext->text, NULL);
}

static int check_options(const struct cli *cli)
{
	if (cli->emulator && *cli->emulator != '/')
		return cli_usage("--emulator %s: takes a whole path, from / on", cli->emulator);
	if (cli->yes && cli->dry_run)
		return cli_usage("--yes and --dry-run: give one of them");
	return CLI_OK;
}

/*
 * Checking
 */

/* Like those of policies: a word with a slash, or with an ending. */
static bool is_file(const char *word)
{
	size_t length = strlen(word);

	return strchr(word, '/') || (length > 4 && !strcmp(word + length - 4, ".xml"));
}

static int read_file(const char *path, char **ret_text, struct memtide_errtext *errtext)
{
	char *text = malloc(MEMTIDE_DOMAIN_BYTES_MAX + 2);
	FILE *file = fopen(path, "re");
	size_t size;

	if (!file || !text) {
		free(text);
		if (file)
			fclose(file);
		return memtide_errtext_set(errtext, -ENOENT, "cannot read %s: %m", path);
	}
	size = fread(text, 1, MEMTIDE_DOMAIN_BYTES_MAX + 1, file);
	text[size] = '\0';
	fclose(file);
	*ret_text = text;
	return 0;
}

static void find_state(const struct virt_state *state, struct report *report)
{
	if (!state->persistent)
		find(report, "domain", WRONG, "virsh define it", "it is transient: there is nothing to change "
								 "that it will be started from again");
	if (state->saved)
		find(report, "domain", NOTE, "start and shut it down, or virsh managedsave-remove",
		     "its next start goes on from a saved image, with the devices that it had then");
}

/* Read @word, a domain or a file, and plan; *@ret_virt may be NULL with a file. */
static int plan_word(const struct cli *cli, const char *word, struct virt **ret_virt, struct domain_plan *ret_plan,
		     struct report *report, struct memtide_errtext *errtext)
{
	bool file = is_file(word);
	struct virt_state state;
	char *raw;
	int r;

	r = virt_open(cli->connect, false, ret_virt, errtext);
	if (r && file)
		find(report, "libvirt", UNKNOWN, "", "%s", errtext->text);
	else if (r)
		return r;
	r = file ? read_file(word, &raw, errtext) : virt_read(*ret_virt, word, false, &raw, &state, errtext);
	if (r)
		return r;
	if (!file)
		find_state(&state, report);
	return domain_plan_make(raw, cli->emulator, !*ret_virt || virt_is_local(*ret_virt), ret_plan, errtext);
}

static int run_check(const struct cli *cli, int argc, char **argv)
{
	struct report report = { .findings = json_array() };
	struct memtide_errtext errtext;
	struct domain_plan plan = {};
	struct virt *virt = NULL;
	json_t *object;
	int r;

	r = check_options(cli);
	if (r)
		return r;
	r = plan_word(cli, argv[0], &virt, &plan, &report, &errtext);
	if (!r)
		domain_plan_check(&plan, virt, &report);
	domain_plan_free(&plan);
	virt_close(virt);
	object = json_pack("{s:o}", "findings", report.findings);
	if (r)
		failed(cli, &errtext);
	else if (cli->json)
		cli_print_json(object);
	else
		print_findings(report.findings, true);
	json_decref(object);
	return r || report.wrong ? CLI_FAILED : CLI_OK;
}

/*
 * Comparing
 */

static int make_diff(const char *name, const char *before, const char *after, char **ret_text,
		     struct memtide_errtext *errtext)
{
	char label[300];

	snprintf(label, sizeof(label), "%s, changed", name);
	return text_diff(before, after, name, label, ret_text, errtext);
}

static int diff_domain(const struct cli *cli, const char *name, char **ret_text, struct memtide_errtext *errtext)
{
	struct domain_plan plan = {};
	struct virt *virt;
	char *raw;
	int r;

	r = virt_open(cli->connect, true, &virt, errtext);
	if (r)
		return r;
	r = virt_read(virt, name, false, &raw, NULL, errtext);
	if (!r)
		r = domain_plan_make(raw, cli->emulator, virt_is_local(virt), &plan, errtext);
	if (!r && !plan.after)
		r = memtide_errtext_set(errtext, -EINVAL, "%s", plan.after_errtext.text);
	if (!r)
		r = make_diff(name, plan.before, plan.after, ret_text, errtext);
	domain_plan_free(&plan);
	virt_close(virt);
	return r;
}

static int run_diff(const struct cli *cli, int argc, char **argv)
{
	struct memtide_errtext errtext;
	char *text;
	int r;

	r = check_options(cli);
	if (r)
		return DIFF_TROUBLE;
	r = diff_domain(cli, argv[0], &text, &errtext);
	if (r < 0) {
		failed(cli, &errtext);
		return DIFF_TROUBLE;
	}
	if (cli->json) {
		json_t *object = json_pack("{s:s, s:b, s:s}", "name", argv[0], "differs", r, "diff", text);

		cli_print_json(object);
		json_decref(object);
	} else {
		fputs(text, stdout);
	}
	free(text);
	return r ? DIFF_DIFFERS : DIFF_SAME;
}

/*
 * Changing
 */

/* Whether to go on: 1, 0, or -EINVAL if nobody can be asked. */
static int confirm(const struct cli *cli, struct memtide_errtext *errtext)
{
	char line[16];

	if (cli->yes)
		return 1;
	if (cli->json || !isatty(STDIN_FILENO))
		return memtide_errtext_set(errtext, -EINVAL, "nobody can be asked here: add --yes to change it, "
							     "or --dry-run to see what would change");
	printf("\nChange the domain? [y/N] ");
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) && (*line == 'y' || *line == 'Y');
}

/* Edit the domain with its passwords and store it, unless it has been changed since it was shown. */
static int apply(struct change *change, struct memtide_errtext *errtext)
{
	char *now, *secret, *edited;
	int r;

	r = virt_read(change->virt, change->name, false, &now, NULL, errtext);
	if (r)
		return r;
	if (strcmp(now, change->raw))
		r = memtide_errtext_set(errtext, -EAGAIN, "%s has been changed meanwhile by somebody else, and is left "
					"as it is: look again", change->name);
	free(now);
	if (!r)
		r = virt_read(change->virt, change->name, true, &secret, NULL, errtext);
	if (r)
		return r;
	r = change->edit(change, secret, &edited, errtext);
	free(secret);
	if (r)
		return r;
	r = virt_define(change->virt, edited, errtext);
	free(edited);
	return r;
}

static int print_change(const struct change *change, bool changed)
{
	json_t *object = json_pack("{s:s, s:b, s:b, s:s, s:O}", "name", change->name, "changed", changed, "running",
				   change->state.running, "diff", change->diff, "findings", change->report.findings);

	cli_print_json(object);
	json_decref(object);
	return CLI_OK;
}

/* Show, ask, do. */
static int carry_out(struct change *change)
{
	const struct cli *cli = change->cli;
	struct memtide_errtext errtext;
	int r;

	if (!cli->json)
		fputs(change->diff, stdout);
	if (cli->dry_run)
		return cli->json ? print_change(change, false) : CLI_OK;
	r = confirm(cli, &errtext);
	if (r > 0)
		r = apply(change, &errtext) ?: 1;
	if (r < 0)
		return failed(cli, &errtext);
	if (!r)
		return cli_failed("%s is left as it is", change->name);
	if (cli->json)
		return print_change(change, true);
	printf("%s is changed; it takes effect %s\n", change->name, change->state.running ?
	       "when it has been shut down and is started again: a reboot inside is not enough" : "at its next start");
	return CLI_OK;
}

static int refuse(const struct change *change)
{
	struct memtide_errtext errtext;
	json_t *error;

	memtide_errtext_set(&errtext, -EINVAL, "%s is left as it is, for what is wrong", change->name);
	if (!change->cli->json)
		return failed(change->cli, &errtext);
	error = json_pack("{s:s, s:{s:O}}", "message", errtext.text, "data", "findings", change->report.findings);
	cli_print_error(change->cli, error);
	json_decref(error);
	return CLI_FAILED;
}

static int unchanged(const struct change *change, const char *words)
{
	if (change->cli->json)
		return print_change(change, false);
	printf("%s %s\n", change->name, words);
	return CLI_OK;
}

static int edit_enable(const struct change *change, const char *xml, char **ret_xml, struct memtide_errtext *errtext)
{
	const struct domain_plan *plan = change->data;

	return domain_edit_enable(xml, plan->change, MEMTIDE_VMM_PATH, ret_xml, errtext);
}

static int enable_planned(struct change *change, const struct domain_plan *plan)
{
	struct memtide_errtext errtext;
	int r;

	domain_plan_check(plan, change->virt, &change->report);
	if (!change->cli->json)
		print_findings(change->report.findings, false);
	if (change->report.wrong || !plan->after)
		return refuse(change);
	r = make_diff(change->name, plan->before, plan->after, &change->diff, &errtext);
	if (r < 0)
		return failed(change->cli, &errtext);
	if (!r)
		return unchanged(change, "has all that memtide needs: nothing to change");
	change->edit = edit_enable;
	change->data = plan;
	return carry_out(change);
}

static int enable(struct change *change)
{
	struct memtide_errtext errtext;
	struct domain_plan plan = {};
	char *raw = strdup(change->raw);
	int r;

	find_state(&change->state, &change->report);
	r = raw ? domain_plan_make(raw, change->cli->emulator, virt_is_local(change->virt), &plan, &errtext) :
		  memtide_errtext_set(&errtext, -ENOMEM, "no memory");
	r = r ? failed(change->cli, &errtext) : enable_planned(change, &plan);
	domain_plan_free(&plan);
	return r;
}

static int edit_disable(const struct change *change, const char *xml, char **ret_xml, struct memtide_errtext *errtext)
{
	struct memtide_errtext note;

	return domain_edit_disable(xml, change->cli->keep_policy, ret_xml, &note, errtext);
}

/* A policy that stays may ask for what cannot be had without the device, and the VM would not start. */
static void find_left(const char *after, const char *note, struct report *report)
{
	struct memtide_errtext errtext;
	struct memtide_domain domain;

	if (*note)
		find(report, "left", NOTE, "", "%s", note);
	if (!memtide_domain_read(after, strlen(after), &domain, &errtext) && domain.has_policy &&
	    memtide_domain_check(&domain.policy, &domain.limits, &errtext))
		find(report, "policy", NOTE, "change the policy, or take it out: virsh edit, virsh metadata",
		     "a start would be refused without the device: %s", errtext.text);
}

static int disable(struct change *change)
{
	struct memtide_errtext errtext, note;
	char *before = NULL, *after = NULL;
	int r;

	r = domain_edit_nothing(change->raw, &before, &errtext);
	if (!r)
		r = domain_edit_disable(change->raw, change->cli->keep_policy, &after, &note, &errtext);
	if (!r)
		r = make_diff(change->name, before, after, &change->diff, &errtext);
	if (r >= 0) {
		find_left(after, note.text, &change->report);
		if (!change->cli->json)
			print_findings(change->report.findings, false);
		change->edit = edit_disable;
		r = carry_out(change);
	} else {
		r = failed(change->cli, &errtext);
	}
	free(before);
	free(after);
	return r;
}

static int run_change(const struct cli *cli, const char *name, int (*run)(struct change *change))
{
	struct change change = { .cli = cli, .name = name, .report.findings = json_array() };
	struct memtide_errtext errtext;
	int r;

	r = check_options(cli);
	if (!r) {
		r = virt_open(cli->connect, false, &change.virt, &errtext);
		if (!r)
			r = virt_read(change.virt, name, false, &change.raw, &change.state, &errtext);
		r = r ? failed(cli, &errtext) : run(&change);
	}
	virt_close(change.virt);
	json_decref(change.report.findings);
	free(change.raw);
	free(change.diff);
	return r;
}

static int run_enable(const struct cli *cli, int argc, char **argv)
{
	return run_change(cli, argv[0], enable);
}

static int run_disable(const struct cli *cli, int argc, char **argv)
{
	return run_change(cli, argv[0], disable);
}

#define CONNECT_OPTION								\
	"  --connect URI     libvirt (" VIRT_URI ")\n"
#define EMULATOR_OPTION								\
	"  --emulator PATH   the QEMU to use; without, the domain's own if it has virtio-tide-pci, else\n" \
	"                    " MEMTIDE_EMULATOR "\n"
#define CHANGE_OPTIONS								\
	"  --yes             do not ask\n"					\
	"  --dry-run         show what would change, and change nothing\n"

const struct cli_command domain_commands[] = {
	{
		.noun = "domain", .verb = "list", .arguments = "",
		.about = "every libvirt domain that memtided knows: tenant, device, state or reason, policies",
		.help = "Asks memtided, not libvirt.  A domain without a VM of memtide's is unmanaged: below it is\n"
			"why, and below each domain what became of its policies for the host's kernel.\n\n"
			"Examples:\n"
			"  memtide domain list\n"
			"  memtide domain list --json | jq -r '.domains[] | select(.vm == null) | [.name, .why] | @tsv'\n",
		.run = domain_run_list,
	},
	{
		.noun = "domain", .verb = "enable", .arguments = "NAME", .min = 1, .max = 1,
		.options = CLI_CONNECT | CLI_EMULATOR | CLI_CONFIRM,
		.about = "give a libvirt domain what memtide needs: emulator, device, a policy to fill in",
		.help = "Checks first, as memtide domain check does, and refuses an emulator that lacks what the\n"
			"domain uses.  Shows what it changes in the persistent domain, and asks.  A VM that runs stays\n"
			"as it is until it is started anew.\n\n"
			"Options:\n" CONNECT_OPTION EMULATOR_OPTION CHANGE_OPTIONS "\n"
			"Examples:\n"
			"  memtide domain enable web1\n"
			"  memtide domain enable web1 --dry-run\n"
			"  memtide domain enable web1 --emulator /usr/bin/qemu-system-x86_64 --yes\n",
		.run = run_enable,
	},
	{
		.noun = "domain", .verb = "disable", .arguments = "NAME", .min = 1, .max = 1,
		.options = CLI_CONNECT | CLI_KEEP | CLI_CONFIRM,
		.about = "take back what enable has changed in a domain, and nothing else",
		.help = "What has been changed by others since stays, and is named; a policy that has been filled in\n"
			"stays as well.\n\n"
			"Options:\n" CONNECT_OPTION
			"  --keep-policy     leave the policy even where it is as enable has added it\n"
			CHANGE_OPTIONS "\n"
			"Examples:\n"
			"  memtide domain disable web1\n",
		.run = run_disable,
	},
	{
		.noun = "domain", .verb = "check", .arguments = "NAME|FILE", .min = 1, .max = 1,
		.options = CLI_CONNECT | CLI_EMULATOR,
		.about = "whether a domain's policy is right, and whether the emulator has all that it uses",
		.help = "A word with a slash, or one that ends in .xml, is a file.  Each line is a finding: ok, note\n"
			"(works, at a cost), wrong, or unknown.  Exit status 1 if anything is wrong.\n\n"
			"Options:\n" CONNECT_OPTION EMULATOR_OPTION "\n"
			"Examples:\n"
			"  memtide domain check web1\n"
			"  memtide domain check ./web1.xml --json | jq '.findings[] | select(.verdict == \"wrong\")'\n",
		.run = run_check,
	},
	{
		.noun = "domain", .verb = "diff", .arguments = "NAME", .min = 1, .max = 1,
		.options = CLI_CONNECT | CLI_EMULATOR,
		.about = "what enable would change in a domain",
		.help = "Exit status as of diff: 0 nothing, 1 something, 2 trouble.\n\n"
			"Options:\n" CONNECT_OPTION EMULATOR_OPTION "\n"
			"Examples:\n"
			"  memtide domain diff web1\n"
			"  memtide domain diff web1 >/dev/null && echo enabled\n",
		.run = run_diff,
	},
	{ }
};
