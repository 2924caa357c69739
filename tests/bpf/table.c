// SPDX-License-Identifier: GPL-2.0-or-later
/* See table.h. */
#include "table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

const char *policy_file(const char *name)
{
	static const char *const directories[] = { POLICY_DIRECTORY, TEST_POLICY_DIRECTORY };
	static char file[512];

	if (*name == '/')
		return name;
	for (int i = 0; i < 2; i++) {
		snprintf(file, sizeof(file), "%s/%s" MEMTIDE_POLICY_SUFFIX, directories[i], name);
		if (!access(file, R_OK))
			break;
	}
	return file;
}

struct memtide_policy *load_policy(const char *name, ...)
{
	struct memtide_errtext errtext = { "" };
	struct memtide_policy *policy = NULL;
	const char *knob;
	va_list args;
	int r;

	r = memtide_policy_open(policy_file(name), &policy, &errtext);
	va_start(args, name);
	while (!r && (knob = va_arg(args, const char *)))
		r = memtide_policy_set_knob(policy, knob, va_arg(args, const char *), &errtext);
	va_end(args);
	if (!r)
		r = memtide_policy_load(policy, &errtext);
	if (r == -EPERM) {
		memtide_policy_close(policy);
		print_message("%s\n", errtext.text);
		skip();
	}
	if (r)
		fail_msg("%s\n%s", errtext.text, policy ? memtide_policy_log(policy) : "");
	return policy;
}

struct balance_vm *put_vm(struct balance_table *table, uint32_t i, uint64_t size, uint64_t floor, uint64_t maximum)
{
	struct balance_vm *vm = &table->vm[i];

	memset(vm, 0, sizeof(*vm));
	vm->id = i + 1;
	vm->flags = BALANCE_VM_MANAGED;
	vm->shares = 100;
	vm->floor = floor;
	vm->maximum = maximum;
	vm->usable = vm->target = vm->ceiling = vm->charged = size;
	vm->cpu_rate = BALANCE_UNKNOWN;
	if (table->host.nr_vms <= i)
		table->host.nr_vms = i + 1;
	return vm;
}

void run_round(struct memtide_policy *policy, uint64_t time_ms)
{
	struct balance_table *table = memtide_policy_table(policy);
	struct memtide_errtext errtext;
	uint64_t ns;

	table->host.version = BALANCE_VERSION;
	table->host.interval_ms = table->host.time_ms ? time_ms - table->host.time_ms : 0;
	table->host.time_ms = time_ms;
	table->host.charged = 0;
	for (uint32_t i = 0; i < table->host.nr_vms; i++)
		table->host.charged += table->vm[i].charged;
	if (memtide_policy_run(policy, &ns, &errtext))
		fail_msg("%s", errtext.text);
}

void carry_out(struct balance_table *table)
{
	for (uint32_t i = 0; i < table->host.nr_vms; i++) {
		struct balance_vm *vm = &table->vm[i];
		uint64_t taken;

		if (vm->reason == BALANCE_KEEP)
			continue;
		vm->target = vm->new_target;
		vm->ceiling = vm->charged = vm->new_ceiling;
		/* What it gives was available, what it gets is free. */
		taken = vm->usable > vm->target ? vm->usable - vm->target : 0;
		vm->available += vm->target > vm->usable ? vm->target - vm->usable : 0;
		vm->available -= vm->available < taken ? vm->available : taken;
		vm->usable = vm->target;
	}
}

uint64_t sum_answers(const struct balance_table *table)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < table->host.nr_vms; i++)
		sum += table->vm[i].reason == BALANCE_KEEP ? table->vm[i].ceiling : table->vm[i].new_ceiling;
	return sum;
}
