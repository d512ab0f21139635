// SPDX-License-Identifier: GPL-2.0-only
#include "attls.h"

#include <json-c/json.h>
#include <string.h>

static const char after[] =
	"\nOptions:\n"
	"  -j, --json       JSON instead of text\n"
	"  -v, --verbose    more columns (netstat), merged rules (check)\n"
	"  -p, --print      the policy in canonical form (check)\n"
	"  --socket PATH    control socket of attlsd (load, reload); default\n"
	"                   $ATTLS_CONTROL, else /run/attls/control\n"
	"\nExit status:\n"
	"  0  done\n"
	"  1  the policy has errors or the operation failed\n"
	"  2  wrong command line\n"
	"  3  the attls kernel module or attlsd cannot be reached\n";

static int help_json(void)
{
	struct json_object *list = json_object_new_array();
	struct json_object *o;
	const struct command *c;

	for (c = commands; c->name; c++) {
		o = json_object_new_object();
		json_add(o, "name", c->name);
		json_add(o, "arguments", c->arguments);
		json_add(o, "help", c->help);
		json_add(o, "details", c->details);
		json_object_array_add(list, o);
	}
	return output_json(list);
}

static int help_command(const struct options *o, const char *name)
{
	const struct command *c;

	for (c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			break;
	if (!c->name)
		return output_error(o, EXIT_USAGE, "no such command: \"%s\"",
				    name);
	printf("attls %s%s%s: %s\n", c->name, *c->arguments ? " " : "",
	       c->arguments, c->help);
	if (*c->details)
		printf("\n%s", c->details);
	return output_finish(EXIT_OK);
}

int help_main(const struct options *o, int argc, char **argv)
{
	const struct command *c;

	if (o->json)
		return help_json();
	if (argc)
		return help_command(o, argv[0]);
	puts("Usage: attls [OPTIONS] COMMAND [ARGUMENT]\n");
	for (c = commands; c->name; c++)
		printf("  %-8s%-10s %s\n", c->name, c->arguments, c->help);
	fputs(after, stdout);
	return output_finish(EXIT_OK);
}
