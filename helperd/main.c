// SPDX-License-Identifier: GPL-2.0-only
/* attlsd: options and start.  The story is in proc.c and worker.c. */
#include "attlsd.h"
#include "control.h"
#include "store.h"

#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLICY_FILE	"/etc/attls/policy.conf"
#define WORKERS_MAX	256

static const struct option options[] = {
	{ "config",	required_argument,	NULL, 'c' },
	{ "socket",	required_argument,	NULL, 's' },
	{ "workers",	required_argument,	NULL, 'w' },
	{ "user",	required_argument,	NULL, 'u' },
	{ "debug",	no_argument,		NULL, 'd' },
	{ "version",	no_argument,		NULL, 'V' },
	{ "help",	no_argument,		NULL, 'h' },
	{ }
};

static void usage(FILE *out)
{
	fprintf(out,
		"Usage: attlsd [OPTIONS]\n"
		"TLS agent of the attls kernel module; runs in the foreground.\n"
		"\n"
		"  -c, --config FILE    policy (" POLICY_FILE ")\n"
		"  -s, --socket PATH    control socket (" CONTROL_SOCKET ")\n"
		"  -w, --workers N      worker processes (one per CPU)\n"
		"  -u, --user NAME      user of the workers (attls, else nobody)\n"
		"  -d, --debug          log more\n"
		"  -V, --version\n"
		"  -h, --help\n"
		"\n"
		"SIGHUP reads the policy again, SIGTERM stops.\n");
}

static unsigned int count_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
}

static unsigned int number(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text && !*end && n >= 1 && n <= WORKERS_MAX)
		return n;
	fprintf(stderr, "attlsd: workers: a number from 1 to %d\n",
		WORKERS_MAX);
	exit(2);
}

/* The working directory is given up, so names must stand without it. */
static const char *absolute(const char *path)
{
	char *full = NULL;
	char *cwd;

	if (*path == '/')
		return path;
	cwd = getcwd(NULL, 0);
	if (!cwd || asprintf(&full, "%s/%s", cwd, path) < 0)
		exit(1);
	free(cwd);
	return full;
}

static void parse(struct attlsd_config *config, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "c:s:w:u:dVh", options,
				NULL)) != -1) {
		switch (c) {
		case 'c':
			config->policy = absolute(optarg);
			break;
		case 's':
			config->socket = absolute(optarg);
			break;
		case 'w':
			config->workers = number(optarg);
			break;
		case 'u':
			config->user = optarg;
			break;
		case 'd':
			config->debug = true;
			break;
		case 'V':
			puts("attlsd " ATTLS_VERSION);
			exit(0);
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind == argc)
		return;
	usage(stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	struct attlsd_config config = {
		.policy = POLICY_FILE,
		.socket = CONTROL_SOCKET,
	};
	int ret;

	if (argc == 2 && !strcmp(argv[1], ATTLSD_FETCHER_OPTION))
		return attlsd_fetcher_main();
	if (argc == 2 && !strcmp(argv[1], SIGNER_OPTION))
		return attlsd_signer_main();
	config.workers = count_cpus();
	parse(&config, argc, argv);
	attlsd_log_open(config.debug);
	if (geteuid()) {
		attlsd_log(LOG_ERR, "attlsd must be started as root");
		return EXIT_FAILURE;
	}
	if (chdir("/")) {
		attlsd_log(LOG_ERR, "/: %m");
		return EXIT_FAILURE;
	}
	keyring_signer_program("/proc/self/exe");
	attlsd_sandbox_limits();
	attlsd_sandbox_lock_memory(LOG_NOTICE);
	if (attlsd_secrets_init()) {
		attlsd_log(LOG_ERR, "OpenSSL lacks what TLS needs");
		return EXIT_FAILURE;
	}
	ret = attlsd_store_init();
	if (ret) {
		attlsd_log(LOG_ERR, "no memory for sessions: %s",
			   strerror(-ret));
		return EXIT_FAILURE;
	}
	return attlsd_proc_main(&config) ? EXIT_FAILURE : EXIT_SUCCESS;
}
