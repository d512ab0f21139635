// SPDX-License-Identifier: GPL-2.0-only
/* What errno and reason mean here, where strerror() knows too little. */
#include "internal.h"

#include <errno.h>
#include <string.h>

struct meaning {
	int error;		/* 0: any */
	unsigned int reason;
	const char *text;
};

/* The first that fits. */
static const struct meaning meanings[] = {
	{ 0, TTLS_JrInvalidVersion, "not a version of the call" },
	{ 0, TTLS_JrSocketCallParmError, "not a valid request" },
	{ 0, TTLS_JrBuffTooSmall, "the buffer is too small" },
	{ EACCES, TTLS_JrConnDeniedPolicy,
	  "the policy does not say ApplicationControlled On" },
	{ 0, TTLS_JrConnDeniedPolicy,
	  "clear text is only for servers with a HandshakeTimeout" },
	{ 0, TTLS_JrAlreadyActive, "the connection is so already" },
	{ 0, TTLS_JrTTLSHandshakeFailed, "the handshake failed" },
	{ 0, TTLS_JrTTLSStopReadDataPending,
	  "there is data that was not read" },
	{ 0, TTLS_JrTTLSStopWriteDataPending,
	  "there is data that was not sent" },
	{ 0, TTLS_JrUnexpectedErr, "the policy could not be asked" },
	{ 0, TTLS_JrRenegotiation, "TLS 1.2 has no new keys" },
	{ 0, TTLS_JrNotClear,
	  "bytes of TLS came where clear text should" },
	{ 0, TTLS_JrNoTicket,
	  "no server of TLS 1.3 with tickets, or of a policy of before" },
	{ EINVAL, ATTLS_JrAttach,
	  "a listening socket: its connections come under rules anyway" },
	{ EINVAL, ATTLS_JrPeerName,
	  "not the name or address of a host, or a listening socket" },
	{ EINVAL, ATTLS_JrAlpn,
	  "not protocols of 255 bytes at most, or a listening socket" },
	{ EINVAL, ATTLS_JrExport,
	  "not a label, a context or a length of keying material" },
	{ EINVAL, ATTLS_JrSession,
	  "a session is demanded and none named, or a listening socket" },
	{ 0, ATTLS_JrAttach, "the policy has no TLS for this connection" },
	{ 0, ATTLS_JrPeerName, "the rule makes it a server" },
	{ 0, ATTLS_JrExport,
	  "TLS 1.2 without extended_master_secret has no keying material" },
	{ ENOTTY, 0, "the module attls is not loaded" },
	{ EOPNOTSUPP, 0, "the policy has no TLS for this connection" },
	{ EPERM, 0, "requests that do not go together" },
	{ EPROTO, 0, "TLS was never begun on this connection" },
	{ EPROTOTYPE, 0, "not a TCP socket" },
	{ EINPROGRESS, 0, "under way: wait until the socket is writable" },
	{ EAGAIN, 0, "a handshake is under way" },
	{ EBUSY, 0, "another thread is in a call with the socket" },
	{ EEXIST, 0, "another ULP has the socket" },
	{ EISCONN, 0, "TLS has begun, or is not for the program to begin" },
	{ ENODATA, 0, "the connection is in clear" },
	{ ENOENT, 0, "the module attls is not loaded" },
	{ ENOPROTOOPT, 0,
	  "not a TCP socket, or the module attls is not loaded" },
};

const char *attls_strerror(int error, unsigned int reason)
{
	const char *text;

	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		const struct meaning *m = &meanings[i];

		if (m->reason == reason && (!m->error || m->error == error))
			return m->text;
	}
	text = strerrordesc_np(error);
	return text ? text : "unknown error";
}
