// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memtided: options, and nothing else.
 */
#include "log.h"
#include "manager.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	OPT_CHECK = 256,
	OPT_DRY_RUN,
	OPT_LOG_FILE,
	OPT_SAME_PROCESS,
};

struct options {
	struct manager_options manager;
	const char *log_file;
	bool check;
	bool verbose;
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check-config", no_argument, NULL, OPT_CHECK },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "log-file", required_argument, NULL, OPT_LOG_FILE },
	{ "same-process", no_argument, NULL, OPT_SAME_PROCESS },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *to)
{
	fprintf(to, "Usage: memtided [OPTION]...\n"
		    "Moves memory between the virtual machines that connect to it.\n"
		    "\n"
		    "  -c, --config FILE   read FILE instead of " MEMTIDE_CONFIG_PATH "\n"
		    "      --check-config  read the configuration, say what is wrong with it, and end\n"
		    "      --dry-run       decide and log, but do nothing\n"
		    "      --log-file FILE append the log to FILE instead of writing it to standard error\n"
		    "  -v, --verbose       log more\n"
		    "      --same-process  let one process present many VMs, and enforce nothing: for benches, "
		    "which have\n"
		    "                      a thousand made-up VMs in one process.  Never where VMs are not "
		    "trusted\n"
		    "  -h, --help          this\n"
		    "  -V, --version       the version\n"
		    "\n"
		    "SIGHUP reads the configuration again.  SIGTERM ends memtided; VMs keep the memory that they "
		    "have.\n");
}

/* Returns whether to go on; else the exit status is in @ret_status. */
static bool parse(int argc, char **argv, struct options *ret, int *ret_status)
{
	int c;

	*ret = (struct options){ 0 };
	while ((c = getopt_long(argc, argv, "c:vhV", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			ret->manager.config_path = optarg;
			break;
		case OPT_CHECK:
			ret->check = true;
			break;
		case OPT_DRY_RUN:
			ret->manager.dry_run = true;
			break;
		case OPT_LOG_FILE:
			ret->log_file = optarg;
			break;
		case OPT_SAME_PROCESS:
			ret->manager.same_process = true;
			break;
		case 'v':
			ret->verbose = true;
			break;
		case 'h':
			usage(stdout);
			*ret_status = 0;
			return false;
		case 'V':
			printf("memtided %s\n", MEMTIDE_VERSION);
			*ret_status = 0;
			return false;
		default:
			fprintf(stderr, "Try \"memtided --help\".\n");
			*ret_status = 2;
			return false;
		}
	}
	if (optind < argc) {
		fprintf(stderr,
			"memtided: \"%s\": there is nothing to name besides options; try \"memtided --help\"\n",
			argv[optind]);
		*ret_status = 2;
		return false;
	}
	/* The usual file need not be there; one that is named has to be. */
	if (!ret->manager.config_path && !access(MEMTIDE_CONFIG_PATH, F_OK))
		ret->manager.config_path = MEMTIDE_CONFIG_PATH;
	return true;
}

static int run(const struct options *options)
{
	struct memtide_errtext errtext = { .text = "" };
	struct memtide_config config;
	struct manager *manager;
	int r;

	r = memtide_config_load(options->manager.config_path, &config, &errtext);
	if (r < 0) {
		log_error("%s", errtext.text);
		return EXIT_FAILURE;
	}
	if (options->check) {
		memtide_config_free(&config);
		printf("%s: no errors\n",
		       options->manager.config_path ? options->manager.config_path : "built-in defaults");
		return EXIT_SUCCESS;
	}
	r = manager_new(&options->manager, &config, &manager, &errtext);
	if (r < 0) {
		log_error("%s", errtext.text);
		return EXIT_FAILURE;
	}
	r = manager_run(manager, &errtext);
	if (r < 0)
		log_error("%s", errtext.text);
	manager_free(manager);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options options;
	int status, r;

	if (!parse(argc, argv, &options, &status))
		return status;
	if (options.verbose)
		log_set_level(LOG_LEVEL_DEBUG);
	r = log_open(options.log_file);
	if (r < 0) {
		fprintf(stderr, "memtided: %s: %s\n", options.log_file ? options.log_file : "standard error",
			strerror(-r));
		return EXIT_FAILURE;
	}
	return run(&options);
}
