/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ATTLS_UTF8_H
#define ATTLS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/*
 * Bytes of the UTF-8 character at @text, of which @left bytes are there; 0
 * when it is none.
 */
static inline size_t utf8_length(const char *text, size_t left)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n, i;

	if (!left)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if ((s[0] & 0xf0) == 0xe0)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (n > left)
		return 0;
	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and what is beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/*
 * True for the control characters of ASCII and for those from U+0080 to
 * U+009F, which some terminals obey too.
 */
static inline bool utf8_is_control(const char *text, size_t n)
{
	const unsigned char *s = (const unsigned char *)text;

	return n == 1 ? s[0] < 0x20 || s[0] == 0x7f :
	       n == 2 && s[0] == 0xc2 && s[1] < 0xa0;
}

/*
 * Makes @text fit for a terminal and for JSON: what is not UTF-8, and
 * control characters, become '?'.
 */
static inline char *utf8_clean(char *text, size_t len)
{
	size_t i, n;

	for (i = 0; i < len; i += n) {
		n = utf8_length(text + i, len - i);
		if (n && !utf8_is_control(text + i, n))
			continue;
		if (!n)
			n = 1;
		memset(text + i, '?', n);
	}
	return text;
}

#endif /* ATTLS_UTF8_H */
