/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ARGUMENT_H
#define ARGUMENT_H

#include <stdlib.h>

/* Number @i of the command line, or @def without one. */
static inline unsigned long argument(int argc, char **argv, int i,
				     unsigned long def)
{
	return argc > i ? strtoul(argv[i], NULL, 0) : def;
}

#endif /* ARGUMENT_H */
