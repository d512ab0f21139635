/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Most connections of a machine are under no rule: four bits say so before
 * anything is searched.  For each direction there is a map of the ports that
 * rules name and one of the first 16 bits of the addresses, for both ends.
 * A rule that does not name a field has all bits of its map.  Pure, as
 * attls_match.h is.
 */
#ifndef _UAPI_ATTLS_FILTER_H
#define _UAPI_ATTLS_FILTER_H

#include "attls_match.h"

struct attls_filter_map {
	__u32	bits[65536 / 32];
	int	full;
};

/* Of one direction. */
struct attls_filter_side {
	struct attls_filter_map local_ports;
	struct attls_filter_map remote_ports;
	struct attls_filter_map local_addrs;
	struct attls_filter_map remote_addrs;
};

/* Too large for a stack. */
struct attls_filter {
	struct attls_filter_side sides[2];	/* enum attls_direction - 1 */
	__u32	work;			/* words that building may touch */
};

/* A hostile set could ask for far more; it gets full maps instead. */
#define ATTLS_FILTER_WORK	(1U << 24)

static inline void attls_filter_fill(struct attls_filter_map *map)
{
	if (map->full)
		return;
	memset(map->bits, 0xff, sizeof(map->bits));
	map->full = 1;
}

/* Sets the bits @lo to @hi. */
static inline void attls_filter_set(struct attls_filter *f,
				    struct attls_filter_map *map,
				    __u32 lo, __u32 hi)
{
	__u32 first = lo / 32, last = hi / 32, i;
	__u32 above = ~0U << (lo % 32), below = ~0U >> (31 - hi % 32);

	if (last - first >= f->work) {
		attls_filter_fill(map);
		return;
	}
	f->work -= last - first + 1;
	if (first == last) {
		map->bits[first] |= above & below;
		return;
	}
	map->bits[first] |= above;
	for (i = first + 1; i < last; i++)
		map->bits[i] = ~0U;
	map->bits[last] |= below;
}

static inline void attls_filter_ports(struct attls_filter *f,
				      struct attls_filter_map *map,
				      const struct attls_set *set,
				      const struct attls_slice *s)
{
	const struct attls_port_range *p = set->ports + s->first;
	__u32 i;

	if (!s->count)
		attls_filter_fill(map);
	for (i = 0; i < s->count && !map->full; i++)
		attls_filter_set(f, map, p[i].lo, p[i].hi);
}

static inline __u32 attls_filter_16(const __u8 *bytes)
{
	return (__u32)bytes[0] << 8 | bytes[1];
}

/* IPv4 addresses have the first 16 of their own 32 bits, mapped or not. */
static inline void attls_filter_range(struct attls_filter *f,
				      struct attls_filter_map *map,
				      const struct attls_addr_range *range)
{
	static const __u8 first[ATTLS_ADDR_LEN] = {
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0
	};
	static const __u8 last[ATTLS_ADDR_LEN] = {
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff
	};
	const __u8 *lo = range->lo, *hi = range->hi;

	attls_filter_set(f, map, attls_filter_16(lo), attls_filter_16(hi));
	if (memcmp(lo, last, ATTLS_ADDR_LEN) > 0 ||
	    memcmp(hi, first, ATTLS_ADDR_LEN) < 0)
		return;
	if (memcmp(lo, first, ATTLS_ADDR_LEN) < 0)
		lo = first;
	if (memcmp(hi, last, ATTLS_ADDR_LEN) > 0)
		hi = last;
	attls_filter_set(f, map, attls_filter_16(lo + 12),
			 attls_filter_16(hi + 12));
}

static inline void attls_filter_addrs(struct attls_filter *f,
				      struct attls_filter_map *map,
				      const struct attls_set *set,
				      const struct attls_slice *s)
{
	const struct attls_addr_range *a = set->addrs + s->first;
	__u32 i;

	if (!s->count)
		attls_filter_fill(map);
	for (i = 0; i < s->count && !map->full; i++)
		attls_filter_range(f, map, &a[i]);
}

/* What rule @r of @set, which is validated, lets pass. */
static inline void attls_filter_add(struct attls_filter *f,
				    const struct attls_set *set,
				    const struct attls_rule *r)
{
	struct attls_filter_side *side;
	int i;

	for (i = 0; i < 2; i++) {
		if (!(r->direction & (i + 1)))
			continue;
		side = &f->sides[i];
		attls_filter_ports(f, &side->local_ports, set,
				   &r->local_ports);
		attls_filter_ports(f, &side->remote_ports, set,
				   &r->remote_ports);
		attls_filter_addrs(f, &side->local_addrs, set,
				   &r->local_addrs);
		attls_filter_addrs(f, &side->remote_addrs, set,
				   &r->remote_addrs);
	}
}

/* @f: all zero. */
static inline void attls_filter_begin(struct attls_filter *f)
{
	f->work = ATTLS_FILTER_WORK;
}

static inline int attls_filter_has(const struct attls_filter_map *map,
				   __u32 bit)
{
	return map->bits[bit / 32] >> (bit % 32) & 1;
}

/*
 * False: no rule matches.  Addresses by their first 16 bits, those of IPv4
 * for an address that is mapped.  @local_port: 0, not known yet.
 */
static inline int attls_filter_may(const struct attls_filter *f, int direction,
				   __u32 local_addr, __u32 local_port,
				   __u32 remote_addr, __u32 remote_port)
{
	const struct attls_filter_side *side = &f->sides[direction - 1];

	return (!local_port ||
		attls_filter_has(&side->local_ports, local_port)) &&
	       attls_filter_has(&side->remote_ports, remote_port) &&
	       attls_filter_has(&side->local_addrs, local_addr) &&
	       attls_filter_has(&side->remote_addrs, remote_addr);
}

#endif /* _UAPI_ATTLS_FILTER_H */
