// SPDX-License-Identifier: GPL-2.0-only
/* What takes more room than struct TTLS_IOCTL has: version 2 of the call. */
#include "internal.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Enough for names; more is asked for when the kernel says how much. */
#define ROOM	1024

/* In the order of struct attls_names. */
static const uint32_t name_keys[] = {
	TTLSK_TTLSRuleName,
	TTLSK_TTLSGroupActionName,
	TTLSK_TTLSEnvironmentActionName,
	TTLSK_TTLSConnectionActionName,
	TTLSK_UserID,
};

#define NAMES	(sizeof(name_keys) / sizeof(name_keys[0]))

/* The buffer of a call: a header, quadruplets, data. */
struct answer {
	size_t len;
	char *buffer;
};

static struct TTLSHeader *header_of(const struct answer *answer)
{
	return (struct TTLSHeader *)answer->buffer;
}

static const struct TTLSQuadruplet *quad_of(const struct answer *answer,
					    size_t i)
{
	return (const struct TTLSQuadruplet *)(header_of(answer) + 1) + i;
}

/* Asks for the keys; the input, if any, is for all of them. */
static void fill(const struct answer *answer, const uint32_t *keys,
		 size_t count, const char *input)
{
	struct TTLSHeader *header = header_of(answer);
	struct TTLSQuadruplet *quads = (struct TTLSQuadruplet *)(header + 1);
	size_t len = input ? strlen(input) + 1 : 0;

	memset(answer->buffer, 0, answer->len);
	memcpy(header->TTLSHeaderIdent, TTLSHdr_Ident,
	       sizeof(header->TTLSHeaderIdent));
	header->TTLSHdr_GetCount = count;
	for (size_t i = 0; i < count; i++) {
		quads[i].TTLSQ_Key = keys[i];
		if (!input)
			continue;
		quads[i].TTLSQ_Offset = (char *)(quads + count) -
					answer->buffer;
		quads[i].TTLSQ_Length = len;
	}
	if (input)
		memcpy(quads + count, input, len);
}

static int ask_once(int fd, struct answer *answer, const uint32_t *keys,
		    size_t count, const char *input)
{
	struct TTLS_IOCTL call = {
		.TTLSi_Ver = TTLS_VERSION2,
		.TTLSi_Req_Type = TTLS_QUERY_ONLY,
		.TTLSi_BufferLen = answer->len,
	};

	answer->buffer = malloc(answer->len);
	if (!answer->buffer)
		return attls_fail(ENOMEM);
	call.TTLSi_BufferPtr = (uintptr_t)answer->buffer;
	fill(answer, keys, count, input);
	return attls_call(fd, &call);
}

/* The answer's buffer is the caller's to free, if this returns 0. */
static int ask(int fd, struct answer *answer, const uint32_t *keys,
	       size_t count, const char *input)
{
	size_t needed;
	int error;

	answer->len = sizeof(struct TTLSHeader) + ROOM +
		      count * sizeof(struct TTLSQuadruplet) +
		      (input ? strlen(input) : 0);
	for (int i = 0; i < ATTLS_TRIES; i++) {
		if (!ask_once(fd, answer, keys, count, input))
			return 0;
		error = errno;
		needed = answer->buffer ?
			 header_of(answer)->TTLSHdr_BytesNeeded : 0;
		free(answer->buffer);
		errno = error;
		if (error != ENOBUFS || needed <= answer->len)
			return -1;
		answer->len = needed;
	}
	return -1;
}

/* Empty as well where the kernel does not know the key. */
static const char *text(const struct answer *answer, size_t i,
			const char *data)
{
	const struct TTLSQuadruplet *q = quad_of(answer, i);

	if (q->TTLSQ_Rcode != TTLSQ_OK || !q->TTLSQ_Length)
		return "";
	return data + q->TTLSQ_Offset;
}

struct attls_names *attls_names(int fd)
{
	struct attls_names *names;
	struct answer answer;
	const char *data;

	if (ask(fd, &answer, name_keys, NAMES, NULL))
		return NULL;
	names = malloc(sizeof(*names) + answer.len);
	if (names) {
		data = memcpy(names + 1, answer.buffer, answer.len);
		*names = (struct attls_names){
			.rule = text(&answer, 0, data),
			.group = text(&answer, 1, data),
			.environment = text(&answer, 2, data),
			.connection = text(&answer, 3, data),
			.user = text(&answer, 4, data),
		};
	} else {
		attls_fail(ENOMEM);
	}
	free(answer.buffer);
	return names;
}

int attls_certificate(int fd, unsigned char **der, size_t *len)
{
	static const uint32_t key = TTLSK_Certificate;
	const struct TTLSQuadruplet *q;
	struct answer answer;

	*der = NULL;
	*len = 0;
	if (ask(fd, &answer, &key, 1, NULL))
		return -1;
	q = quad_of(&answer, 0);
	if (q->TTLSQ_Rcode == TTLSQ_NO_CERTIFICATE) {
		free(answer.buffer);
		return 0;
	}
	*len = q->TTLSQ_Length;
	memmove(answer.buffer, answer.buffer + q->TTLSQ_Offset, *len);
	*der = (unsigned char *)answer.buffer;
	return 0;
}

int attls_host(int fd, const char *host)
{
	static const uint32_t key = TTLSK_Host_Status;
	struct answer answer;
	unsigned int code;

	if (strlen(host) >= TTLS_HOST_MAX)
		return attls_fail(EINVAL);
	if (ask(fd, &answer, &key, 1, host))
		return -1;
	code = quad_of(&answer, 0)->TTLSQ_Rcode;
	free(answer.buffer);
	return code == TTLSQ_OK;
}
