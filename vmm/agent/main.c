// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtide-agent: options, signals, and the loop.
 */
#include "agent.h"
#include "log.h"
#include "notify.h"
#include "stand-in.h"
#include "worker.h"

#include <errno.h>
#include <getopt.h>
#include <libvirt/virterror.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* What workers are at takes milliseconds, unless it hangs. */
#define WORKERS_MS	500

enum {
	OPT_LOG_FILE = 256,
};

struct options {
	const char *config_path;
	const char *log_file;
	bool verbose;
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "log-file", required_argument, NULL, OPT_LOG_FILE },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *to)
{
	fprintf(to, "Usage: memtide-agent [OPTION]...\n"
		    "Tells memtided of libvirt's domains: which ones run, and what their policies say now.\n"
		    "\n"
		    "  -c, --config FILE   memtided's configuration, instead of " MEMTIDE_CONFIG_PATH "\n"
		    "      --log-file FILE append the log to FILE instead of writing it to standard error\n"
		    "  -v, --verbose       log more\n"
		    "  -h, --help          this\n"
		    "  -V, --version       the version\n"
		    "\n"
		    "SIGHUP reads the configuration again.  SIGTERM ends the agent; what memtided knows stays.\n");
}

/* Returns whether to go on; else the exit status is in @ret_status. */
static bool parse(int argc, char **argv, struct options *ret, int *ret_status)
{
	int c;

	*ret = (struct options){ 0 };
	*ret_status = 0;
	while ((c = getopt_long(argc, argv, "c:vhV", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			ret->config_path = optarg;
			break;
		case OPT_LOG_FILE:
			ret->log_file = optarg;
			break;
		case 'v':
			ret->verbose = true;
			break;
		case 'h':
			usage(stdout);
			return false;
		case 'V':
			printf("memtide-agent %s\n", MEMTIDE_VERSION);
			return false;
		default:
			fprintf(stderr, "Try \"memtide-agent --help\".\n");
			*ret_status = 2;
			return false;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "memtide-agent: \"%s\": there is nothing to name besides options; try "
			"\"memtide-agent --help\"\n", argv[optind]);
		*ret_status = 2;
		return false;
	}
	/* The usual file need not be there; one that is named has to be. */
	if (!ret->config_path && !access(MEMTIDE_CONFIG_PATH, F_OK))
		ret->config_path = MEMTIDE_CONFIG_PATH;
	return true;
}

/*
 * Signals
 */

/* Both connections are made anew, in case that they lead elsewhere now. */
static void reload(struct agent *agent)
{
	struct memtide_errtext errtext = { .text = "" };
	struct memtide_config config;

	if (memtide_config_load(agent->config_path, &config, &errtext) < 0) {
		log_error("%s; the configuration stays as it was", errtext.text);
		return;
	}
	presence_end(agent);
	connection_end(agent);
	memtide_config_free(&agent->config);
	agent->config = config;
	log_info("the configuration was read again");
	if (connection_start(agent) < 0 || presence_start(agent) < 0)
		agent->ending = true;
}

static void signal_came(int watch, int fd, int events, void *opaque)
{
	struct agent *agent = opaque;
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			reload(agent);
		else
			agent->ending = true;
	}
}

/* Before anything is started: what is not blocked now would end us. */
static int watch_signals(struct agent *agent)
{
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	return virEventAddHandle(fd, VIR_EVENT_HANDLE_READABLE, signal_came, agent, NULL) < 0 ? -EIO : 0;
}

/*
 * The loop
 */

/* libvirt would print each of its errors, too. */
static void say_nothing(void *data, virErrorPtr error)
{
}

static int start(struct agent *agent)
{
	int r;

	virSetErrorFunc(NULL, say_nothing);
	if (virEventRegisterDefaultImpl() < 0)
		return -EIO;
	r = watch_signals(agent);
	r = r ?: telling_start(agent);
	r = r ?: connection_start(agent);
	return r ?: presence_start(agent);
}

static int run(struct agent *agent)
{
	int r = start(agent);

	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	notify_supervisor(NOTIFY_READY);
	while (!agent->ending) {
		if (virEventRunDefaultImpl() < 0) {
			log_error("cannot wait any more: %s", virGetLastErrorMessage());
			r = -EIO;
			break;
		}
	}
	notify_supervisor(NOTIFY_STOPPING);
	domains_forget(agent);
	connection_end(agent);
	presence_end(agent);
	telling_end(agent);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct memtide_errtext errtext = { .text = "" };
	struct options options;
	struct agent agent = { 0 };
	int status, r;

	if (!parse(argc, argv, &options, &status))
		return status;
	if (options.verbose)
		log_set_level(LOG_LEVEL_DEBUG);
	r = log_open(options.log_file);
	if (r < 0) {
		fprintf(stderr, "memtide-agent: %s: %s\n", options.log_file ? options.log_file : "standard error",
			strerror(-r));
		return EXIT_FAILURE;
	}
	agent.config_path = options.config_path;
	if (memtide_config_load(agent.config_path, &agent.config, &errtext) < 0) {
		log_error("%s", errtext.text);
		return EXIT_FAILURE;
	}
	status = run(&agent);
	memtide_config_free(&agent.config);
	/* One that hangs uses libvirt, and so that is not to be taken down. */
	if (!workers_have_ended(WORKERS_MS))
		_exit(status);
	return status;
}
