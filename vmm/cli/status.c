// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide status: the budget and every VM on one screen, once or again and again.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "bar.h"
#include "cli.h"
#include "client.h"
#include "size.h"

#define NAME_WIDTH	16
#define BAR_MIN		20

static const char *size(const json_t *object, const char *name, char text[static MEMTIDE_SIZE_TEXT])
{
	return memtide_size_format(reply_number(object, name), text);
}

static void print_uptime(uint64_t ms)
{
	unsigned long long s = ms / 1000;

	if (s >= 86400)
		printf("%llu d %llu h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		printf("%llu h %llu min", s / 3600, s / 60 % 60);
	else
		printf("%llu min %llu s", s / 60, s % 60);
}

static void print_relief(const json_t *relief)
{
	static const char *const paths[] = { "credit", "reserve", "donor" };

	printf("relief   ");
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const json_t *path = json_object_get(relief, paths[i]);

		printf("%s %llu times", paths[i], (unsigned long long)reply_number(path, "n"));
		if (reply_number(path, "n"))
			printf(" (median %.2f ms, p99 %.2f ms)",
			       json_number_value(json_object_get(path, "p50_ms")),
			       json_number_value(json_object_get(path, "p99_ms")));
		printf("%s", i < 2 ? ", " : "\n");
	}
}

/* The budget as one bar: what guests use, what they may take, what is in nobody's hand. */
static void print_budget(const json_t *status, struct bar_style style, int width)
{
	uint64_t budget = reply_number(status, "budget"), charged = reply_number(status, "charged");
	uint64_t usable = reply_number(status, "usable"), over = charged > budget ? charged - budget : 0;
	struct bar_piece pieces[] = {
		{ BAR_USED, usable < budget ? usable : budget },
		{ BAR_CREDIT, charged > usable && usable < budget ? (over ? budget : charged) - usable : 0 },
		{ BAR_GIVEN, charged < budget ? budget - charged : 0 },
		{ BAR_OVER, over },
	};
	char a[MEMTIDE_SIZE_TEXT], b[MEMTIDE_SIZE_TEXT], c[MEMTIDE_SIZE_TEXT];

	printf("budget   %s (%s), %s granted, %s free", size(status, "budget", a),
	       reply_text(status, "budget_mode"), size(status, "charged", b),
	       memtide_size_format(budget > charged ? budget - charged : 0, c));
	if (reply_number(status, "deficit"))
		printf(", %s too much", size(status, "deficit", a));
	printf("; reserve %s\n         ", size(status, "reserve", a));
	if (budget)
		bar_draw(stdout, style, pieces, 4, budget + over, width);
	putchar('\n');
}

static void print_vm(const json_t *vm, struct bar_style style, uint64_t scale, int width)
{
	uint64_t usable = reply_number(vm, "usable"), ceiling = reply_number(vm, "ceiling");
	uint64_t given = reply_number(vm, "given");
	uint64_t credit = ceiling > usable ? ceiling - usable : 0;
	uint64_t over = usable > ceiling && ceiling ? usable - ceiling : 0;
	struct bar_piece pieces[] = {
		{ BAR_USED, usable - over }, { BAR_OVER, over }, { BAR_CREDIT, credit },
		{ BAR_GIVEN, given > credit ? given - credit : 0 },
	};
	char a[MEMTIDE_SIZE_TEXT], b[MEMTIDE_SIZE_TEXT], c[MEMTIDE_SIZE_TEXT], d[MEMTIDE_SIZE_TEXT];

	printf("%-*.*s %9s %9s %9s %9s ", NAME_WIDTH, NAME_WIDTH, reply_text(vm, "name"), size(vm, "usable", a),
	       memtide_size_format(credit, b), size(vm, "target", c), size(vm, "floor", d));
	bar_draw(stdout, style, pieces, 4, scale, width);
	if (strcmp(reply_text(vm, "state"), "managed"))
		printf(" %s", reply_text(vm, "state"));
	else if (json_is_true(json_object_get(vm, "pressure")))
		printf(" pressure");
	putchar('\n');
}

/* VMs that nothing holds to their ceilings, on one line. */
static void print_not_enforced(const json_t *vms)
{
	const json_t *vm;
	bool any = false;
	size_t i;

	json_array_foreach(vms, i, vm) {
		if (json_is_true(json_object_get(vm, "enforced")))
			continue;
		printf("%s%s", any ? ", " : "\nnot enforced: ", reply_text(vm, "name"));
		any = true;
	}
	if (any)
		puts(" (memtide vm show says why)");
}

static void print_legend(struct bar_style style)
{
	static const struct {
		enum bar_kind kind;
		const char *text;
	} legend[] = {
		{ BAR_USED, "usable" }, { BAR_CREDIT, "credit: may be taken back at once" },
		{ BAR_GIVEN, "given, or free" }, { BAR_OVER, "above what is granted" },
	};

	printf("\n");
	for (size_t i = 0; i < sizeof(legend) / sizeof(legend[0]); i++) {
		bar_sample(stdout, style, legend[i].kind);
		printf(" %s%s", legend[i].text, i < 3 ? "   " : "\n");
	}
}

static void print_status(const json_t *status)
{
	const json_t *vms = json_object_get(status, "vms"), *vm;
	struct bar_style style = bar_style_of(stdout);
	int columns = bar_columns(stdout), width = columns - NAME_WIDTH - 41 - 12;
	uint64_t scale = 1;
	char text[MEMTIDE_SIZE_TEXT];
	size_t i;

	width = width < BAR_MIN ? BAR_MIN : width;
	printf("memtided %s, up ", reply_text(status, "version"));
	print_uptime(reply_number(status, "uptime_ms"));
	printf(", policy %s, %llu rounds, %llu decisions, %s moved%s%s\n",
	       *reply_text(status, "policy") ? reply_text(status, "policy") : "none",
	       (unsigned long long)reply_number(status, "rounds"),
	       (unsigned long long)reply_number(status, "decisions"), size(status, "moved_bytes", text),
	       json_is_true(json_object_get(status, "paused")) ? ", PAUSED" : "",
	       json_is_true(json_object_get(status, "dry_run")) ? ", DRY RUN" : "");
	print_budget(status, style, columns - 9 - 12);
	print_relief(json_object_get(status, "relief"));
	if (!json_array_size(vms)) {
		puts("\nNo VMs.  `memtide doctor` says what a VM needs to be managed.");
		return;
	}

	json_array_foreach(vms, i, vm)
		if (reply_number(vm, "maximum") > scale)
			scale = reply_number(vm, "maximum");
	printf("\n%-*s %9s %9s %9s %9s 0%*s\n", NAME_WIDTH, "VM", "USABLE", "CREDIT", "TARGET", "FLOOR", width - 1,
	       memtide_size_format(scale, text));
	json_array_foreach(vms, i, vm)
		print_vm(vm, style, scale, width);
	print_not_enforced(vms);
	print_legend(style);
}

static volatile sig_atomic_t stopped;

static void stop(int sig)
{
	stopped = 1;
}

/* Let keys through one by one and unseen, and have signals end the loop rather than the process. */
static bool prepare_terminal(struct termios *ret_before)
{
	struct sigaction action = { .sa_handler = stop };
	struct termios raw;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, ret_before))
		return false;
	raw = *ret_before;
	raw.c_lflag &= ~(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	/* A screen of its own, without a cursor; the old one comes back afterwards. */
	fputs("\033[?1049h\033[?25l", stdout);
	return true;
}

static void restore_terminal(const struct termios *before)
{
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, before);
}

static bool wait_or_quit(unsigned int ms, bool keys)
{
	struct pollfd in = { .fd = keys ? STDIN_FILENO : -1, .events = POLLIN };
	char key = 0;

	if (poll(&in, 1, ms) == 1 && read(STDIN_FILENO, &key, 1) != 1)
		return true;
	return stopped || key == 'q' || key == 'Q';
}

static int watch(const struct cli *cli)
{
	struct client *client;
	struct termios before;
	char words[256];
	json_t *status;
	bool terminal;
	int r;

	r = client_connect(cli->socket, &client);
	if (r)
		return cli_failed("%s", client_connect_words(cli->socket, r, words, sizeof(words)));
	terminal = !cli->json && prepare_terminal(&before);
	do {
		status = client_ask_on(client, cli, "status", NULL);
		if (!status)
			break;
		if (cli->json) {
			cli_print_json(status);
		} else {
			fputs(terminal ? "\033[H\033[J" : "", stdout);
			print_status(status);
			puts(terminal ? "\nq quits" : "");
		}
		fflush(stdout);
		json_decref(status);
	} while (!wait_or_quit(cli->watch_ms, terminal));
	if (terminal)
		restore_terminal(&before);
	client_close(client);
	return status || stopped ? CLI_OK : CLI_FAILED;
}

static int run_status(const struct cli *cli, int argc, char **argv)
{
	if (cli->given & CLI_WATCH)
		return watch(cli);
	return cli_print_result(cli, client_ask(cli, "status", NULL), print_status);
}

const struct cli_command status_commands[] = {
	{
		.noun = "status",
		.arguments = "",
		.options = CLI_WATCH,
		.about = "the budget and every VM on one screen",
		.help = "Options:\n"
			"  --watch[=SECONDS]   again and again, every second or as often as said; q ends it\n\n"
			"Examples:\n"
			"  memtide status --watch\n"
			"  memtide status --json | jq '.vms[] | {name, usable, credit}'\n",
		.run = run_status,
	},
	{ }
};
