// SPDX-License-Identifier: GPL-2.0-only
/*
 * Time conditions: reading their values, and the times for which they hold.
 *
 * The kernel knows no calendar and no time zones; it gets ranges of seconds,
 * made day by day.  Local time is that of this system, with its changes in
 * spring and autumn.
 */
#include "times.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY		86400
#define MINUTES		1440		/* of a day */
#define STAMP		14		/* digits of yyyymmddhhmmss */

/* As TimeZone says. */
enum zone {
	ZONE_LOCAL,
	ZONE_UTC,
	N_ZONES
};

/* A day of the calendar. */
struct day {
	int	year;
	int	month;			/* from 0 */
	int	mday;			/* from 1 */
	int	last;			/* mday of its month */
	int	wday;			/* Sunday is 0 */
	int64_t	begin;			/* seconds since 1970 */
};

/*
 * From two days before.  The last two are for times that end on the next day,
 * and for the length of that.
 */
#define N_DAYS		(POLICY_TIMES_DAYS + 5)

struct policy_calendar {
	struct day days[N_ZONES][N_DAYS];
};

/* The times of one IpTimeCondition. */
struct times {
	const struct object *o;
	enum zone zone;
	struct table spans;		/* struct attls_time_range: no others */
	struct table *ranges;		/* the same: what is made */
};

/*
 * In autumn an hour comes twice: @last says which is meant.  One that spring
 * leaves out is read as if the clock had not been changed.
 */
static int64_t local_seconds(const struct tm *tm, bool last)
{
	struct tm summer = *tm, winter = *tm;
	time_t a, b;

	summer.tm_isdst = 1;
	winter.tm_isdst = 0;
	a = mktime(&summer);
	b = mktime(&winter);
	if (a == -1 || summer.tm_isdst != 1)
		return b;
	if (b == -1 || winter.tm_isdst != 0)
		return a;
	return last == (a > b) ? a : b;
}

/* Seconds since 1970 of a time of a day; @last: the end of something. */
static int64_t seconds(enum zone zone, bool last, int year, int month,
		       int mday, int hour, int minute, int second)
{
	struct tm tm = {
		.tm_year = year - 1900, .tm_mon = month, .tm_mday = mday,
		.tm_hour = hour, .tm_min = minute, .tm_sec = second,
	};

	return zone == ZONE_UTC ? timegm(&tm) : local_seconds(&tm, last);
}

/* yyyymmddhhmmss as a number, 0 if it is no time. */
static uint64_t read_stamp(const char *text)
{
	int year, month, mday, hour, minute, second;
	struct tm tm;

	if (strspn(text, "0123456789") < STAMP ||
	    sscanf(text, "%4d%2d%2d%2d%2d%2d", &year, &month, &mday, &hour,
		   &minute, &second) != 6)
		return 0;
	tm = (struct tm){
		.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = mday,
	};
	timegm(&tm);
	if (year < 1970 || tm.tm_mon != month - 1 || tm.tm_mday != mday ||
	    hour > 23 || minute > 59 || second > 59)
		return 0;
	return strtoull(text, NULL, 10);
}

bool policy_value_span(struct builder *b, struct value *v,
		       const struct word *word)
{
	char text[2 * STAMP + 2];

	if (strlen(word->text) == 2 * STAMP + 1 && word->text[STAMP] == ':') {
		strcpy(text, word->text);
		text[STAMP] = '\0';
		v->span.from = read_stamp(text);
		v->span.to = read_stamp(text + STAMP + 1);
		if (v->span.from && v->span.to >= v->span.from)
			return true;
	}
	policy_error(b, word,
		     "give yyyymmddhhmmss:yyyymmddhhmmss, the earlier first",
		     "%s \"%s\" is not a range of times", v->param->name,
		     word->text);
	return false;
}

bool policy_value_mask(struct builder *b, struct value *v,
		       const struct word *word)
{
	const struct param *p = v->param;
	size_t len = strlen(word->text), i;
	char hint[80];

	if (len == strspn(word->text, "01") &&
	    ((long)len == p->min || (long)len == p->max)) {
		for (i = 0; i < len; i++)
			if (word->text[i] == '1')
				v->mask |= UINT64_C(1) << i;
		if (v->mask)
			return true;
	}
	if (p->min == p->max)
		snprintf(hint, sizeof(hint), "give %ld digits 0 or 1, not "
			 "all 0", p->min);
	else
		snprintf(hint, sizeof(hint), "give %ld or %ld digits 0 or 1, "
			 "not all 0", p->min, p->max);
	policy_error(b, word, hint, "%s \"%s\" is not a mask", p->name,
		     word->text);
	return false;
}

/* hh:mm in minutes at *@text, which is left after it; -1 if it is none. */
static int read_clock(const char **text)
{
	const char *t = *text;
	int hour, minute;

	if (!isdigit((unsigned char)*t))
		return -1;
	hour = *t++ - '0';
	if (isdigit((unsigned char)*t))
		hour = hour * 10 + *t++ - '0';
	if (t[0] != ':' || !isdigit((unsigned char)t[1]) ||
	    !isdigit((unsigned char)t[2]))
		return -1;
	minute = (t[1] - '0') * 10 + t[2] - '0';
	*text = t + 3;
	return minute > 59 || hour * 60 + minute > MINUTES ? -1 :
	       hour * 60 + minute;
}

static bool read_clock_range(struct policy_clock *c, const char **text)
{
	int from = read_clock(text), to = -1;

	if (from >= 0 && **text == '-') {
		++*text;
		to = read_clock(text);
	}
	c->from = (unsigned int)from;
	c->to = (unsigned int)to;
	return to >= 0;
}

/* One time, or ranges with commas between. */
bool policy_value_clock(struct builder *b, struct value *v,
			const struct word *word)
{
	bool one = v->param->min, good;
	const char *text = word->text;
	struct policy_clock clock;
	struct table list = { .size = sizeof(clock) };
	int at;

	do {
		if (one) {
			at = read_clock(&text);
			clock.from = (unsigned int)at;
			good = at >= 0 && !*text;
		} else {
			good = read_clock_range(&clock, &text);
		}
		if (good)
			memcpy(policy_table_add(&list, 1), &clock,
			       sizeof(clock));
	} while (good && *text++ == ',');
	good = good && !text[-1];
	if (good) {
		v->clocks.n = list.n;
		v->clocks.list = policy_arena_alloc(&b->policy->arena,
						    list.n * list.size);
		memcpy(v->clocks.list, list.data, list.n * list.size);
	} else {
		policy_error(b, word, one ? "give hh:mm" :
			     "give hh:mm-hh:mm, several with ',' between them",
			     "%s \"%s\" is not a %s", v->param->name,
			     word->text, one ? "time of the day" :
			     "range of times of the day");
	}
	free(list.data);
	return good;
}

/* Is @n from the one to the other, which may be before it? */
static bool between(const struct object *o, enum param_id from,
		    enum param_id to, long n)
{
	long lo, hi;

	if (!policy_object_value(o, from))
		return true;
	lo = policy_object_number(o, from, 0);
	hi = policy_object_number(o, to, 0);
	return lo <= hi ? n >= lo && n <= hi : n >= lo || n <= hi;
}

static bool bit(const struct object *o, enum param_id id, int n)
{
	const struct value *v = policy_object_value(o, id);

	return !v || v->mask >> n & 1;
}

/* Bits 31 to 61 count from the end of the month. */
static bool is_day_of_month(const struct object *o, const struct day *d)
{
	return bit(o, P_DAYS, d->mday - 1) ||
	       bit(o, P_DAYS, 31 + d->last - d->mday);
}

static bool is_day(const struct object *o, const struct day *d)
{
	return bit(o, P_MONTHS, d->month) && bit(o, P_WEEKDAYS, d->wday) &&
	       is_day_of_month(o, d) &&
	       between(o, P_FROM_MONTH, P_TO_MONTH, d->month) &&
	       between(o, P_FROM_DAY, P_TO_DAY, d->mday) &&
	       between(o, P_FROM_WEEKDAY, P_TO_WEEKDAY, d->wday);
}

/* The day @n days after that of @now. */
static struct day day_after(enum zone zone, int64_t now, int n)
{
	time_t t = now, noon;
	struct tm tm, last;

	if (zone == ZONE_UTC)
		gmtime_r(&t, &tm);
	else
		localtime_r(&t, &tm);
	tm = (struct tm){
		.tm_year = tm.tm_year, .tm_mon = tm.tm_mon,
		.tm_mday = tm.tm_mday + n, .tm_hour = 12,
	};
	noon = timegm(&tm);
	gmtime_r(&noon, &tm);
	last = (struct tm){
		.tm_year = tm.tm_year, .tm_mon = tm.tm_mon + 1,
	};
	timegm(&last);
	return (struct day){
		.year = tm.tm_year + 1900, .month = tm.tm_mon,
		.mday = tm.tm_mday, .last = last.tm_mday, .wday = tm.tm_wday,
		.begin = seconds(zone, false, tm.tm_year + 1900, tm.tm_mon,
				 tm.tm_mday, 0, 0, 0),
	};
}

struct policy_calendar *policy_calendar_make(int64_t now)
{
	struct policy_calendar *c = policy_calloc(1, sizeof(*c));
	int zone, n;

	for (zone = 0; zone < N_ZONES; zone++)
		for (n = 0; n < N_DAYS; n++)
			c->days[zone][n] = day_after((enum zone)zone, now,
						     n - 2);
	return c;
}

/* mktime() looks at the file of the zone: only for days it is needed for. */
static int64_t moment(const struct times *t, const struct day *d,
		      unsigned int minutes, bool last)
{
	if (d[1].begin - d->begin == DAY)
		return d->begin + minutes * 60;
	return seconds(t->zone, last, d->year, d->month, d->mday, 0,
		       (int)minutes, 0);
}

static int64_t stamp_seconds(const struct times *t, uint64_t stamp, bool last)
{
	return seconds(t->zone, last, (int)(stamp / 10000000000),
		       (int)(stamp / 100000000 % 100) - 1,
		       (int)(stamp / 1000000 % 100),
		       (int)(stamp / 10000 % 100), (int)(stamp / 100 % 100),
		       (int)(stamp % 100));
}

static void add_range(struct table *ranges, int64_t from, int64_t to)
{
	struct attls_time_range *r;

	if (from >= to)
		return;
	r = policy_table_add(ranges, 1);
	r->from = from;
	r->to = to;
}

/* Each ConditionTimeRange, whose last second counts; without one, always. */
static void add_spans(struct times *t)
{
	const struct value *v;

	if (!policy_object_value(t->o, P_TIME_SPAN))
		add_range(&t->spans, INT64_MIN, INT64_MAX);
	for (v = t->o->values; v; v = v->next)
		if (v->param->id == P_TIME_SPAN)
			add_range(&t->spans,
				  stamp_seconds(t, v->span.from, false),
				  stamp_seconds(t, v->span.to, true) + 1);
}

static void add_in_spans(const struct times *t, int64_t from, int64_t to)
{
	const struct attls_time_range *s = (const void *)t->spans.data;
	size_t i;

	for (i = 0; i < t->spans.n; i++)
		add_range(t->ranges, s[i].from > from ? s[i].from : from,
			  s[i].to < to ? s[i].to : to);
}

/* A range that ends before it begins ends on the next day. */
static void add_clock(const struct times *t, const struct day *d,
		      unsigned int from, unsigned int to)
{
	add_in_spans(t, moment(t, d, from, false),
		     moment(t, d + (to <= from), to, true));
}

static void add_day(const struct times *t, const struct day *d)
{
	const struct value *from = policy_object_value(t->o, P_FROM_CLOCK);
	const struct value *to = policy_object_value(t->o, P_TO_CLOCK);
	const struct value *v;
	size_t i;

	if (from && to)
		add_clock(t, d, from->clocks.list->from,
			  to->clocks.list->from);
	else if (!policy_object_value(t->o, P_CLOCK))
		add_clock(t, d, 0, MINUTES);
	for (v = t->o->values; v; v = v->next)
		for (i = 0; v->param->id == P_CLOCK && i < v->clocks.n; i++)
			add_clock(t, d, v->clocks.list[i].from,
				  v->clocks.list[i].to);
}

bool policy_timed(const struct policy *policy)
{
	size_t i;

	for (i = 0; i < policy->n_rules; i++)
		if (policy_object_value(policy->rules[i], P_TIME))
			return true;
	return false;
}

/* Less than what is made: days are not all of a length. */
void policy_times_known(int64_t now, struct attls_set_header *header)
{
	header->since = now - DAY;
	header->horizon = now + (int64_t)(POLICY_TIMES_DAYS - 1) * DAY;
}

void policy_times_add(const struct object *o,
		      const struct policy_calendar *c, struct table *ranges)
{
	struct times t = {
		.o = o,
		.zone = (enum zone)policy_object_number(o, P_ZONE, ZONE_LOCAL),
		.spans.size = sizeof(struct attls_time_range),
		.ranges = ranges,
	};
	const struct day *d = c->days[t.zone];
	int n;

	add_spans(&t);
	for (n = 0; n < N_DAYS - 2; n++)
		if (is_day(o, &d[n]))
			add_day(&t, &d[n]);
	free(t.spans.data);
}

static int compare_ranges(const void *a, const void *b)
{
	const struct attls_time_range *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

void policy_times_sort(struct table *ranges)
{
	struct attls_time_range *r;
	size_t n = 0, i;

	if (!ranges->n)
		policy_table_add(ranges, 1);
	r = (void *)ranges->data;
	qsort(r, ranges->n, sizeof(*r), compare_ranges);
	for (i = 1; i < ranges->n; i++) {
		if (r[i].from > r[n].to)
			r[++n] = r[i];
		else if (r[i].to > r[n].to)
			r[n].to = r[i].to;
	}
	ranges->n = n + 1;
}
