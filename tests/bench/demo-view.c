// SPDX-License-Identifier: GPL-2.0-or-later
/* See demo-view.h. */
#include <stdio.h>
#include <string.h>

#include "demo-view.h"

#define WIDTH		64
#define MIB_OF(bytes)	((unsigned int)((bytes) >> 20))

static int lines_drawn;

static void put_bar(const struct demo_vm_view *vm, uint64_t maximum)
{
	unsigned int usable = vm->usable * WIDTH / maximum, ceiling = vm->ceiling * WIDTH / maximum;

	for (unsigned int i = 0; i < WIDTH; i++) {
		if (i < usable)
			fputs(vm->active ? "\033[32m█" : "\033[34m█", stdout);
		else if (i < ceiling)
			fputs("\033[33m▒", stdout);
		else
			fputs("\033[90m░", stdout);
	}
	fputs("\033[0m", stdout);
}

static void draw_plain(const struct demo_view *v)
{
	printf("%-8s %3u s ", v->mode, v->second);
	for (int i = 0; i < DEMO_VMS; i++) {
		const struct demo_vm_view *vm = &v->vm[i];

		printf(" | %s%s%s %4u/%4u MiB %6.0f op/s", vm->name, vm->active ? "*" : " ", vm->burst ? "!" : " ",
		       MIB_OF(vm->usable), MIB_OF(vm->ceiling), vm->ops);
	}
	printf(" | moved %u MiB\n", MIB_OF(v->moved));
	fflush(stdout);
}

void demo_draw(const struct demo_view *v, bool plain)
{
	uint64_t resident = 0;

	if (plain) {
		draw_plain(v);
		return;
	}
	if (lines_drawn)
		printf("\033[%dA", lines_drawn);
	printf("\033[Kmemtide demo: \033[1m%s\033[0m   %u of %u s   budget %u MiB\n", v->mode, v->second, v->seconds,
	       MIB_OF(v->budget));
	for (int i = 0; i < DEMO_VMS; i++) {
		const struct demo_vm_view *vm = &v->vm[i];

		printf("\033[K  %s ", vm->name);
		put_bar(vm, v->maximum);
		printf(" %4u MiB %6.0f op/s %s%s\n", MIB_OF(vm->usable), vm->ops, vm->active ? "works" : "idle",
		       vm->burst ? ", bursts" : "");
		resident += vm->resident;
	}
	printf("\033[K  \033[32m█\033[0m usable  \033[33m▒\033[0m credit  \033[90m░\033[0m given    resident %u MiB   moved %u MiB   "
	       "relief %.1f ms (max %.1f)   OOM kills %u\n", MIB_OF(resident), MIB_OF(v->moved), v->relief_p50_ms,
	       v->relief_max_ms, (unsigned int)v->oom_kills);
	lines_drawn = DEMO_VMS + 2;
	for (int i = 0; i < 4; i++, lines_drawn++)
		printf("\033[K  %.110s\n", v->event[i] ? v->event[i] : "");
	fflush(stdout);
}

void demo_draw_end(bool plain)
{
	if (!plain)
		putchar('\n');
	lines_drawn = 0;
}
