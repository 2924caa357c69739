// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide doctor: what this host and its VMs lack, why that matters, and how to mend it.  Here is what its subjects
 * share.
 */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int doctor_read(const char *path, char *ret_text, size_t size)
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

bool doctor_has_systemd(void)
{
	return !access("/run/systemd/system", F_OK);
}

static int run_doctor(const struct cli *cli, int argc, char **argv)
{
	struct doctor doctor = { .cli = cli, .report.findings = json_array() };
	json_t *object;

	doctor_kernel(&doctor);
	doctor_daemon(&doctor);
	doctor_libvirt(&doctor);
	doctor_confinement(&doctor);
	doctor_qemu(&doctor);
	object = json_pack("{s:o}", "findings", doctor.report.findings);
	if (cli->json)
		cli_print_json(object);
	else
		print_findings(doctor.report.findings, true);
	json_decref(object);
	return doctor.report.wrong ? CLI_FAILED : CLI_OK;
}

const struct cli_command doctor_commands[] = {
	{
		.noun = "doctor",
		.arguments = "",
		.about = "what this host and its VMs lack, and how to mend it",
		.help = "Each line is a finding: ok, note (works, at a cost), wrong, or unknown (run it as root);\n"
			"then why it matters and how to mend it.  With --json an object with \"findings\", of\n"
			"\"check\", \"verdict\", \"found\", \"why\" and \"mend\" each.\n"
			"Exit status 1 if anything is wrong; notes alone are 0.\n\n"
			"Examples:\n"
			"  memtide doctor\n"
			"  memtide doctor --json | jq '.findings[] | select(.verdict != \"ok\")'\n",
		.run = run_doctor,
	},
	{ }
};
