// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libvirt's hook for QEMU: tells memtided of domains that start, run and stop.
 *
 *	50-memtide GUEST OPERATION SUB-OPERATION EXTRA <domain.xml
 *
 * libvirt waits for it without a limit of its own, a failure of `prepare` ends the start, and one of `reconnect`
 * kills the VM.  So there is a time limit around everything, and exit status 1 for one reason only: `prepare` of a
 * domain whose policy is wrong, or whose floor does not fit the budget any more.  Whatever else goes wrong is logged,
 * and the VM starts unmanaged.
 *
 * It starts no process, opens nothing but memtided's configuration and socket, libvirt's file with the process id, and
 * the log, and never calls libvirt, which waits for it.  Nothing is written to standard output, which for some
 * operations would become the domain.
 *
 * MEMTIDE_CONFIG names another configuration than the usual one, MEMTIDE_LIBVIRT_RUN another folder for process ids:
 * for tests.  libvirt passes on neither.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <syslog.h>
#include <unistd.h>

#include "call.h"
#include "config.h"
#include "domain-json.h"
#include "domain-pid.h"

/* Until the configuration says how long it may be. */
#define TIME_MS		5000
/* The time limit is divided into so many parts, see operations[]. */
#define PARTS		5
/* What asking memtided may take of the time that there is, and making room of that: logging and answering come after. */
#define ASKING(ms)	((ms) * 4 / 5)
#define ROOM(ms)	((ms) * 5 / 6)

struct hook {
	const char *guest;
	const char *operation;
	struct memtide_config config;
	uint64_t until_ms;
};

/* What the process ends with when its time is up: a refusal stays one, also where the log hangs. */
static volatile sig_atomic_t status;

__attribute__((format(printf, 3, 4)))
static void say(const struct hook *hook, int level, const char *format, ...)
{
	char text[MEMTIDE_ERRTEXT_SIZE + 64];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	syslog(level, "%s %s: %s", hook->guest, hook->operation, text);
}

static void unmanaged(const struct hook *hook, const char *why)
{
	say(hook, LOG_WARNING, "not managed: %s", why);
}

/* Standard error first: it is what virsh shows. */
static void refuse(const struct hook *hook, const char *why)
{
	status = 1;
	fprintf(stderr, "memtide does not start %s: %s\n", hook->guest, why);
	syslog(LOG_ERR, "%s %s: refused: %s", hook->guest, hook->operation, why);
}

/*
 * The domain
 */

/* All of standard input; for free().  One byte more than is taken is read, so that too much is seen as such. */
static int read_input(char **ret_text, size_t *ret_size)
{
	size_t room = MEMTIDE_DOMAIN_BYTES_MAX + 1, size = 0;
	char *text = malloc(room);
	ssize_t n = 0;

	if (!text)
		return -ENOMEM;
	while (size < room && ((n = read(STDIN_FILENO, text + size, room - size)) > 0 || (n < 0 && errno == EINTR)))
		size += n > 0 ? (size_t)n : 0;
	if (n < 0) {
		free(text);
		return -EIO;
	}
	*ret_text = text;
	*ret_size = size;
	return 0;
}

static bool mentions_memtide(const char *text, size_t size)
{
	return memmem(text, size, "memtide", 7) != NULL;
}

/*
 * 0, -EINVAL for a policy that is wrong, or another error.  A document without any is not refused, whatever may be
 * wrong with it: that is for libvirt to say.
 */
static int read_domain(struct memtide_domain *ret_domain, bool check, struct memtide_errtext *errtext)
{
	char *text = NULL;
	size_t size;
	int r;

	r = read_input(&text, &size);
	if (r < 0)
		return memtide_errtext_set(errtext, r, "its XML cannot be read: %s", strerror(-r));
	r = memtide_domain_read(text, size, ret_domain, errtext);
	if (!r && check && ret_domain->has_policy)
		r = memtide_domain_check(&ret_domain->policy, &ret_domain->limits, errtext);
	if (r == -EINVAL && !mentions_memtide(text, size))
		r = -ENOMSG;
	free(text);
	if (!r && !ret_domain->uuid[0])
		r = memtide_errtext_set(errtext, -ENOMSG, "it has no UUID");
	return r;
}

static void say_skipped(const struct hook *hook, const struct memtide_domain *domain)
{
	if (!domain->has_policy)
		return;
	for (size_t i = 0; i < domain->policy.nr_skipped && i < MEMTIDE_DOMAIN_SKIPPED; i++)
		say(hook, LOG_WARNING, "line %u, <%s>: not known to this version and skipped, as it is optional",
		    domain->policy.skipped[i].line, domain->policy.skipped[i].element);
}

/*
 * Operations
 */

static int ask(const struct hook *hook, const char *method, json_t *params, json_t **ret_result)
{
	struct memtide_errtext errtext = { .text = "" };
	int r;

	r = memtide_call_until(hook->config.control_socket, method, params, hook->until_ms, ret_result, &errtext);
	if (r)
		unmanaged(hook, errtext.text);
	return r;
}

static const char *text_of(const json_t *result, const char *name)
{
	return json_string_value(json_object_get(result, name)) ?: "";
}

static void take_verdict(const struct hook *hook, const json_t *result)
{
	const char *message = text_of(result, "message"), *verdict = text_of(result, "verdict");
	long long missing = json_integer_value(json_object_get(result, "missing"));

	if (!strcmp(verdict, "refuse")) {
		refuse(hook, message);
		return;
	}
	if (strcmp(verdict, "start"))
		unmanaged(hook, "memtided's answer is not known to this version");
	if (*message)
		say(hook, LOG_WARNING, "%s", message);
	if (missing > 0)
		say(hook, LOG_NOTICE, "starts with %lld MiB less than it is entitled to, until others have come down",
		    missing >> 20);
}

static void run_prepare(const struct hook *hook)
{
	struct memtide_errtext errtext = { .text = "" };
	struct memtide_domain domain;
	json_t *result = NULL;
	uint64_t now_ms;
	int r;

	r = read_domain(&domain, true, &errtext);
	if (r == -EINVAL) {
		refuse(hook, errtext.text);
		return;
	}
	if (r) {
		unmanaged(hook, errtext.text);
		return;
	}
	say_skipped(hook, &domain);
	now_ms = memtide_call_now_ms();
	now_ms = now_ms < hook->until_ms ? hook->until_ms - now_ms : 0;
	if (ask(hook, "domain.prepare", json_pack("{s:o, s:I}", "domain", memtide_domain_to_json(&domain), "time_ms",
						  (json_int_t)ROOM(now_ms)), &result))
		return;
	take_verdict(hook, result);
	json_decref(result);
}

/* In the XML of a VM that runs <currentMemory> is the balloon's doing, so that is no limit. */
static void tell_running(const struct hook *hook, const char *method)
{
	struct memtide_errtext errtext = { .text = "" };
	struct memtide_domain domain;
	json_t *result = NULL;

	if (read_domain(&domain, false, &errtext)) {
		unmanaged(hook, errtext.text);
		return;
	}
	domain.limits.current.value = MEMTIDE_DOMAIN_UNSET;
	ask(hook, method, json_pack("{s:o, s:i}", "domain", memtide_domain_to_json(&domain), "pid",
				    (int)memtide_domain_pid(hook->guest)), &result);
	json_decref(result);
}

static void run_started(const struct hook *hook)
{
	tell_running(hook, "domain.started");
}

static void run_reconnect(const struct hook *hook)
{
	tell_running(hook, "domain.reconnect");
}

static void tell_gone(const struct hook *hook, const char *method)
{
	struct memtide_errtext errtext = { .text = "" };
	struct memtide_domain domain;
	json_t *result = NULL;

	if (read_domain(&domain, false, &errtext)) {
		say(hook, LOG_WARNING, "%s", errtext.text);
		return;
	}
	ask(hook, method, json_pack("{s:s}", "uuid", domain.uuid), &result);
	json_decref(result);
}

static void run_stopped(const struct hook *hook)
{
	tell_gone(hook, "domain.stopped");
}

static void run_release(const struct hook *hook)
{
	tell_gone(hook, "domain.release");
}

/*
 * What is not here is of no interest: start, migrate, restore, and whatever a later libvirt has.  A start calls two of
 * them, and so does an end: the time limit is for both together.  Only prepare has somebody else to wait for.
 */
static const struct {
	const char *operation;
	unsigned int parts;	/* of PARTS, of the time limit */
	void (*run)(const struct hook *hook);
} operations[] = {
	{ "prepare", 4, run_prepare },
	{ "started", 1, run_started },
	{ "reconnect", 5, run_reconnect },
	{ "attach", 5, run_reconnect },
	{ "stopped", 3, run_stopped },
	{ "release", 2, run_release },
};

/*
 * Time
 */

/* Something hangs that should not, such as the log. */
static void time_is_up(int signal)
{
	static const char words[] = "memtide: not done in time\n";

	if (write(STDERR_FILENO, words, sizeof(words) - 1) < 0)
		_exit(status);
	_exit(status);
}

static void limit_time(uint64_t ms)
{
	struct sigaction action = { .sa_handler = time_is_up };
	struct itimerval timer = {
		.it_value = { .tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000) },
	};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void read_config(struct hook *hook)
{
	const char *path = getenv("MEMTIDE_CONFIG");
	struct memtide_errtext errtext;

	if (!path)
		path = access(MEMTIDE_CONFIG_PATH, F_OK) ? NULL : MEMTIDE_CONFIG_PATH;
	if (!memtide_config_load(path, &hook->config, &errtext))
		return;
	say(hook, LOG_WARNING, "%s; going on with what holds without a file", errtext.text);
	if (memtide_config_load(NULL, &hook->config, &errtext))
		_exit(0);
}

int main(int argc, char **argv)
{
	struct hook hook = { .guest = argc > 1 ? argv[1] : "", .operation = argc > 2 ? argv[2] : "" };
	uint64_t most_ms;
	sigset_t alarm;

	openlog("memtide-libvirt-hook", LOG_PID | LOG_PERROR, LOG_DAEMON);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm, NULL);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		if (strcmp(hook.operation, operations[i].operation))
			continue;
		limit_time(TIME_MS);
		read_config(&hook);
		most_ms = hook.config.hook_ms * operations[i].parts / PARTS;
		limit_time(most_ms);
		/* Less, so that there is time to say why, also where the machine is busy. */
		hook.until_ms = memtide_call_now_ms() + ASKING(most_ms);
		operations[i].run(&hook);
		memtide_config_free(&hook.config);
	}
	return status;
}
