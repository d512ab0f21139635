/* SPDX-License-Identifier: GPL-2.0-only */
/* When a time condition holds. */
#ifndef ATTLS_TIMES_H
#define ATTLS_TIMES_H

#include <stdint.h>
#include "attls_rule.h"
#include "table.h"
#include "tree.h"

/* Known for so long; a policy in force is to be compiled again before. */
#define POLICY_TIMES_DAYS	400

/* Between which moments policy_times_add() knows all times, at @now. */
void policy_times_known(int64_t now, struct attls_set_header *header);

/*
 * Adds the times at which IpTimeCondition @o holds to @ranges (of struct
 * attls_time_range), those known at @now and some more, unordered.
 */
void policy_times_add(const struct object *o, int64_t now,
		      struct table *ranges);

/*
 * Orders the @ranges and joins those that meet.  There is one at least: one
 * that is over before it begins stands for never.
 */
void policy_times_sort(struct table *ranges);

#endif /* ATTLS_TIMES_H */
