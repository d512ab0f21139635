/* SPDX-License-Identifier: GPL-2.0-only */
/* When a time condition holds. */
#ifndef ATTLS_TIMES_H
#define ATTLS_TIMES_H

#include <stdint.h>
#include "attls_rule.h"
#include "table.h"
#include "tree.h"

struct policy_calendar;

/* Known for so long; a policy in force is to be compiled again before. */
#define POLICY_TIMES_DAYS	400

/* Between which moments policy_times_add() knows all times, at @now. */
void policy_times_known(int64_t now, struct attls_set_header *header);

/* The days of the times that are known at @now; for free(). */
struct policy_calendar *policy_calendar_make(int64_t now);

/*
 * Adds the times at which IpTimeCondition @o holds to @ranges (of struct
 * attls_time_range), those known in @calendar and some more, unordered.
 */
void policy_times_add(const struct object *o,
		      const struct policy_calendar *calendar,
		      struct table *ranges);

/*
 * Orders the @ranges and joins those that meet.  There is one at least: one
 * that is over before it begins stands for never.
 */
void policy_times_sort(struct table *ranges);

#endif /* ATTLS_TIMES_H */
