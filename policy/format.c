// SPDX-License-Identifier: GPL-2.0-only
#include "format.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const uint8_t v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

bool policy_addr_is_v4(const uint8_t *addr)
{
	return !memcmp(addr, v4_prefix, sizeof(v4_prefix));
}

void policy_format_addr(char *text, size_t size, const uint8_t *addr)
{
	char buf[INET6_ADDRSTRLEN] = "?";

	if (policy_addr_is_v4(addr))
		inet_ntop(AF_INET, addr + 12, buf, sizeof(buf));
	else
		inet_ntop(AF_INET6, addr, buf, sizeof(buf));
	snprintf(text, size, "%s", buf);
}

static int bit(const uint8_t *addr, int i)
{
	return addr[i / 8] >> (7 - i % 8) & 1;
}

/* Leading bits that @range has in common if it is a prefix, else -1. */
static int prefix_length(const struct attls_addr_range *range)
{
	int n = 0, i;

	while (n < 128 && bit(range->lo, n) == bit(range->hi, n))
		n++;
	for (i = n; i < 128; i++)
		if (bit(range->lo, i) || !bit(range->hi, i))
			return -1;
	return n;
}

void policy_format_addr_range(char *text, size_t size,
			      const struct attls_addr_range *range)
{
	bool v4 = policy_addr_is_v4(range->lo) && policy_addr_is_v4(range->hi);
	char lo[INET6_ADDRSTRLEN], hi[INET6_ADDRSTRLEN];
	int n = prefix_length(range);

	policy_format_addr(lo, sizeof(lo), range->lo);
	policy_format_addr(hi, sizeof(hi), range->hi);
	if (n == 128)
		snprintf(text, size, "%s", lo);
	else if (n >= 0)
		snprintf(text, size, "%s/%d", lo, v4 ? n - 96 : n);
	else
		snprintf(text, size, "%s-%s", lo, hi);
}

int policy_parse_addr(const char *text, uint8_t *addr)
{
	memset(addr, 0, ATTLS_ADDR_LEN);
	if (inet_pton(AF_INET, text, addr + 12) == 1) {
		memset(addr + 10, 0xff, 2);
		return 32;
	}
	return inet_pton(AF_INET6, text, addr) == 1 ? 128 : 0;
}
