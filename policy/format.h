/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses as people write them. */
#ifndef ATTLS_FORMAT_H
#define ATTLS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "attls_rule.h"

#define POLICY_ADDR_TEXT	96	/* fits every text below */

/* @addr is 16 bytes; v4-mapped ones are written as IPv4. */
bool policy_addr_is_v4(const uint8_t *addr);
void policy_format_addr(char *text, size_t size, const uint8_t *addr);

/*
 * Reads @text into the 16 bytes at @addr, IPv4 as v4-mapped.  The bits of
 * its family, 32 or 128; 0 when it is no address.
 */
int policy_parse_addr(const char *text, uint8_t *addr);

/* addr, addr/prefix or addr-addr. */
void policy_format_addr_range(char *text, size_t size,
			      const struct attls_addr_range *range);

#endif /* ATTLS_FORMAT_H */
