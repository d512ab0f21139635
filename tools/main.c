// SPDX-License-Identifier: GPL-2.0-only
#include "attls.h"
#include "control.h"

#include <getopt.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

static int version_main(const struct options *o, int argc, char **argv)
{
	struct json_object *object;

	if (o->json) {
		object = json_object_new_object();
		json_add(object, "version", ATTLS_VERSION);
		return output_json(object);
	}
	puts("attls " ATTLS_VERSION);
	return output_finish(EXIT_OK);
}

const struct command commands[] = {
	{ "check", check_main, "FILE", "read a policy and say what is wrong",
	  "Reads FILE as attlsd would, without installing it, and reports\n"
	  "every error with file, line and column.  With --print it prints\n"
	  "the policy in canonical form, with -v the rules in the order in\n"
	  "which they are tried and what each asks for after merging.\n"
	  "Key rings are opened too, which only root can, unless --no-rings\n"
	  "says that they are not on this machine.\n",
	  1, 1 },
	{ "explain", explain_main, "FILE", "the rule for a connection, and why",
	  "Says which rule of FILE a connection gets, why each rule before it\n"
	  "does not match, and the value of every parameter with the\n"
	  "statement that gives it.  The connection is told by\n"
	  "  --in | --out         accepted here, or connected from here\n"
	  "  --local ADDR[:PORT]  without a port: not chosen yet\n"
	  "  --remote ADDR[:PORT]\n"
	  "  --user USER          name or number; default: who asks\n"
	  "  --group GROUP        name or number; default: who asks\n"
	  "  --job NAME           as ps -o comm shows it\n"
	  "  --exe PATH           of the program\n"
	  "  --cgroup PATH        in cgroup v2, as ps -o cgroup shows it\n"
	  "  --netns NAME         as in a policy; default: of who asks\n"
	  "  --at TIME            2026-12-24T18:00 in local time, or in UTC\n"
	  "                       with a Z behind it; default: now\n"
	  "An IPv6 address with a port is written [ADDR]:PORT.\n", 1, 1 },
	{ "load", load_main, "FILE", "let attlsd read and install a policy",
	  "Asks attlsd to read FILE and to install it in the kernel.  With\n"
	  "any error nothing changes and the policy in force stays.\n", 1, 1 },
	{ "reload", reload_main, "", "let attlsd read its policy again",
	  "As load, with the file that attlsd read last.  Key rings are\n"
	  "read again too.\n", 0, 0 },
	{ "presets", presets_main, "", "the rules that come with attls",
	  "Lists rules for services that many have: each is off until\n"
	  "`attls enable` or a line \"Preset NAME\" in a policy.\n", 0, 0 },
	{ "enable", enable_main, "PRESET", "switch on a rule of attls",
	  "Writes a file to /etc/attls/policy.d, which the policy must\n"
	  "include, and lets attlsd read it.  If the policy then has an\n"
	  "error, nothing changes.  Certificates are those of\n"
	  "/etc/attls/rings/server and /etc/attls/rings/client.\n"
	  "  --level LEVEL        modern (default), intermediate, fips,\n"
	  "                       quantum or zos\n", 1, 1 },
	{ "disable", disable_main, "PRESET", "switch it off again", "", 1, 1 },
	{ "hold", hold_main, "FILE", "install the rules before attlsd runs",
	  "Installs the rules of FILE in the kernel without asking attlsd:\n"
	  "connections under them wait until attlsd serves them, and are\n"
	  "reset when it does not come in time.  Key rings are not read.\n",
	  1, 1 },
	{ "show", show_main, "", "the rules that the kernel has",
	  "Lists the active rules in the order in which they are tried.  The\n"
	  "first that matches a connection decides; none means clear.\n"
	  "Flags: A ApplicationControlled, S SecondaryMap, T TruncationCheck\n"
	  "Off.  More: conditions that few rules have.\n", 0, 0 },
	{ "netstat", netstat_main, "", "the connections under a rule",
	  "Lists connections with their state, TLS protocol and cipher.\n"
	  "With -v also actions, network namespace and why one failed.\n",
	  0, 0 },
	{ "stats", stats_main, "", "the counters of the kernel", "", 0, 0 },
	{ "help", help_main, "[COMMAND]", "this text, or more on a command",
	  "", 0, 1 },
	{ "version", version_main, "", "the version of this program", "",
	  0, 0 },
	{ NULL }
};

static const struct option long_options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "print", no_argument, NULL, 'p' },
	{ "no-rings", no_argument, NULL, 'k' },
	{ "socket", required_argument, NULL, 's' },
	{ "level", required_argument, NULL, 'l' },
	{ "in", no_argument, NULL, 'I' },
	{ "out", no_argument, NULL, 'O' },
	{ "local", required_argument, NULL, 'L' },
	{ "remote", required_argument, NULL, 'R' },
	{ "user", required_argument, NULL, 'U' },
	{ "group", required_argument, NULL, 'G' },
	{ "job", required_argument, NULL, 'J' },
	{ "exe", required_argument, NULL, 'E' },
	{ "cgroup", required_argument, NULL, 'C' },
	{ "netns", required_argument, NULL, 'N' },
	{ "at", required_argument, NULL, 'A' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 }
};

static const struct command *find_command(const char *name)
{
	const struct command *c;

	for (c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static int usage(const char *what, const char *word)
{
	fprintf(stderr, "attls: %s%s%s%s\n", what, word ? " \"" : "",
		word ? word : "", word ? "\"" : "");
	fputs("attls: \"attls help\" lists the commands\n", stderr);
	return EXIT_USAGE;
}

/* False for an option that is none. */
static bool take_option(struct options *o, int option,
			const struct command **c)
{
	switch (option) {
	case 'j':
		o->json = true;
		break;
	case 'v':
		o->verbose = true;
		break;
	case 'p':
		o->print = true;
		break;
	case 'k':
		o->no_rings = true;
		break;
	case 's':
		o->socket = optarg;
		break;
	case 'l':
		o->level = optarg;
		break;
	case 'I':
		o->direction |= ATTLS_INBOUND;
		break;
	case 'O':
		o->direction |= ATTLS_OUTBOUND;
		break;
	case 'L':
		o->local = optarg;
		break;
	case 'R':
		o->remote = optarg;
		break;
	case 'U':
		o->user = optarg;
		break;
	case 'G':
		o->group = optarg;
		break;
	case 'J':
		o->job = optarg;
		break;
	case 'E':
		o->exe = optarg;
		break;
	case 'C':
		o->cgroup = optarg;
		break;
	case 'N':
		o->netns = optarg;
		break;
	case 'A':
		o->at = optarg;
		break;
	case 'h':
		*c = find_command("help");
		break;
	case 'V':
		*c = find_command("version");
		break;
	default:
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct options o = { .socket = getenv(CONTROL_SOCKET_ENV) };
	const struct command *c = NULL;
	int option;

	if (!o.socket || !*o.socket)
		o.socket = CONTROL_SOCKET;
	while ((option = getopt_long(argc, argv, "jvphV", long_options,
				     NULL)) >= 0)
		if (!take_option(&o, option, &c))
			return usage("see what goes with a command", NULL);
	if (c)
		return c->run(&o, argc - optind, argv + optind);
	if (optind == argc)
		return usage("which command?", NULL);
	c = find_command(argv[optind]);
	if (!c)
		return usage("no such command:", argv[optind]);
	argc -= optind + 1;
	argv += optind + 1;
	if (argc < c->n_arguments)
		return usage("the command needs", c->arguments);
	if (argc > c->max_arguments)
		return usage("too many arguments, from",
			     argv[c->max_arguments]);
	return c->run(&o, argc, argv);
}
