/* SPDX-License-Identifier: GPL-2.0-only */
/* What an input of the fuzzer of rule sets has before the set. */
#ifndef ASKED_H
#define ASKED_H

#include "attls_match.h"

struct asked {
	struct attls_tuple tuple;	/* but for its pointers */
	char	exe[64];
	char	cgroup[64];
};

#endif /* ASKED_H */
