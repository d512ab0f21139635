// SPDX-License-Identifier: GPL-2.0-only
/*
 * Why a handshake failed: the reason for the kernel, the return code as
 * System SSL and AT-TLS number it, and a sentence for people.
 *
 * Most errors of TLS end in an alert, ours or the peer's, and the alert says
 * what the return codes want to know.  So the errors of OpenSSL, of which
 * there are hundreds, need no table; their text goes in brackets.
 */
#include "attlsd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509_vfy.h>

/* The return codes of System SSL (gsk_get_error) that are used here. */
enum {
	RC_INTERNAL	= 3,
	RC_MEMORY	= 4,
	RC_VALIDATION	= 8,
	RC_CRYPTO	= 9,
	RC_EXPIRED	= 401,
	RC_NO_CIPHER	= 402,
	RC_NO_CERT	= 403,
	RC_CERT_TYPE	= 405,
	RC_IO		= 406,
	RC_FORMAT	= 410,
	RC_MAC		= 411,
	RC_VERSION	= 412,
	RC_SIGNATURE	= 413,
	RC_BAD_CERT	= 414,
	RC_PROTOCOL	= 415,
	RC_PERMISSION	= 416,
	RC_SELF_SIGNED	= 417,
	RC_CLOSED	= 420,
	RC_NO_LDAP	= 427,
	RC_REVOKED	= 431,
	RC_UNKNOWN_CA	= 435,
	RC_CRL		= 436,
	RC_NOTIFY	= 437,
	RC_PEER_ERROR	= 438,
	RC_UNKNOWN	= 439,
	RC_KEY_USAGE	= 440,
};

static const struct {
	uint8_t	alert;
	int	sent;			/* return code when we sent it */
	int	received;
	const char *text;
} alerts[] = {
	{ SSL3_AD_CLOSE_NOTIFY, RC_NOTIFY, RC_NOTIFY, "connection closed" },
	{ SSL3_AD_UNEXPECTED_MESSAGE, RC_PROTOCOL, RC_PROTOCOL,
	  "unexpected message" },
	{ SSL3_AD_BAD_RECORD_MAC, RC_MAC, RC_MAC, "bad record MAC" },
	{ TLS1_AD_RECORD_OVERFLOW, RC_FORMAT, RC_FORMAT, "record overflow" },
	{ SSL3_AD_HANDSHAKE_FAILURE, RC_NO_CIPHER, RC_NO_CIPHER,
	  "no common cipher" },
	{ SSL3_AD_BAD_CERTIFICATE, RC_VALIDATION, RC_BAD_CERT,
	  "bad certificate" },
	{ SSL3_AD_UNSUPPORTED_CERTIFICATE, RC_CERT_TYPE, RC_BAD_CERT,
	  "unsupported certificate" },
	{ SSL3_AD_CERTIFICATE_REVOKED, RC_REVOKED, RC_REVOKED,
	  "certificate revoked" },
	{ SSL3_AD_CERTIFICATE_EXPIRED, RC_EXPIRED, RC_EXPIRED,
	  "certificate expired" },
	{ SSL3_AD_CERTIFICATE_UNKNOWN, RC_VALIDATION, RC_BAD_CERT,
	  "certificate not accepted" },
	{ SSL3_AD_ILLEGAL_PARAMETER, RC_PROTOCOL, RC_PROTOCOL,
	  "illegal parameter" },
	{ TLS1_AD_UNKNOWN_CA, RC_UNKNOWN_CA, RC_UNKNOWN_CA, "unknown CA" },
	{ TLS1_AD_ACCESS_DENIED, RC_PERMISSION, RC_PERMISSION,
	  "access denied" },
	{ TLS1_AD_DECODE_ERROR, RC_FORMAT, RC_FORMAT, "decode error" },
	{ TLS1_AD_DECRYPT_ERROR, RC_SIGNATURE, RC_CRYPTO,
	  "bad signature or finished message" },
	{ TLS1_AD_PROTOCOL_VERSION, RC_VERSION, RC_VERSION,
	  "no common protocol version" },
	{ TLS1_AD_INSUFFICIENT_SECURITY, RC_NO_CIPHER, RC_NO_CIPHER,
	  "insufficient security" },
	{ TLS1_AD_INTERNAL_ERROR, RC_INTERNAL, RC_PEER_ERROR,
	  "internal error" },
	{ TLS1_AD_INAPPROPRIATE_FALLBACK, RC_VERSION, RC_VERSION,
	  "inappropriate fallback" },
	{ TLS1_AD_USER_CANCELLED, RC_CLOSED, RC_CLOSED, "cancelled" },
	{ TLS13_AD_MISSING_EXTENSION, RC_PROTOCOL, RC_PROTOCOL,
	  "missing extension" },
	{ TLS1_AD_UNSUPPORTED_EXTENSION, RC_PROTOCOL, RC_PROTOCOL,
	  "unsupported extension" },
	{ TLS1_AD_UNRECOGNIZED_NAME, RC_PROTOCOL, RC_PROTOCOL,
	  "unrecognized server name" },
	{ TLS1_AD_NO_APPLICATION_PROTOCOL, RC_PROTOCOL, RC_PROTOCOL,
	  "no common application protocol" },
	{ TLS13_AD_CERTIFICATE_REQUIRED, ATTLS_REASON_NO_CERT, RC_NO_CERT,
	  "certificate required" },
};

static const struct {
	int	error;
	int	rc;
} verify_codes[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED, RC_EXPIRED },
	{ X509_V_ERR_CERT_NOT_YET_VALID, RC_EXPIRED },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, RC_UNKNOWN_CA },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, RC_UNKNOWN_CA },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, RC_UNKNOWN_CA },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, RC_UNKNOWN_CA },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, RC_SELF_SIGNED },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE, RC_SIGNATURE },
	{ X509_V_ERR_CERT_REVOKED, RC_REVOKED },
	{ X509_V_ERR_INVALID_PURPOSE, RC_KEY_USAGE },
	{ X509_V_ERR_KEYUSAGE_NO_CERTSIGN, RC_KEY_USAGE },
	{ X509_V_ERR_OUT_OF_MEM, RC_MEMORY },
};

void attlsd_failure_set(struct attlsd_failure *failure, uint32_t reason,
			int rc, const char *text)
{
	failure->reason = reason;
	failure->rc = rc;
	failure->priority = LOG_ERR;
	failure->over = false;
	snprintf(failure->text, sizeof(failure->text), "%s", text);
}

/*
 * 436 is what System SSL has for a CRL that cannot be processed, 427 for a
 * directory that cannot be asked.
 */
void attlsd_failure_revocation(struct attlsd_failure *failure,
			       enum attlsd_verdict verdict, const char *why)
{
	bool revoked = verdict == ATTLSD_REVOKED;

	attlsd_failure_set(failure, ATTLS_REASON_HANDSHAKE,
			   revoked ? RC_REVOKED :
			   verdict == ATTLSD_NO_LDAP ? RC_NO_LDAP : RC_CRL,
			   "");
	snprintf(failure->text, sizeof(failure->text), "%s (%.200s)",
		 revoked ? "certificate revoked" :
		 "no revocation status", why);
}

/* Something happened that has no alert and no return code of its own. */
static void set_internal(struct attlsd_failure *failure)
{
	char text[128];

	keyring_openssl_text(text, sizeof(text));
	failure->reason = ATTLS_REASON_HANDSHAKE;
	failure->rc = RC_INTERNAL;
	snprintf(failure->text, sizeof(failure->text), "internal error (%s)",
		 text);
}

static bool set_alert(struct attlsd_failure *failure, int alert, bool sent)
{
	char text[128];
	size_t n = sizeof(alerts) / sizeof(alerts[0]);
	size_t i = 0;

	if (alert < 0)
		return false;
	keyring_openssl_text(text, sizeof(text));
	while (i < n && alerts[i].alert != alert)
		i++;
	failure->reason = ATTLS_REASON_HANDSHAKE;
	failure->rc = i == n ? RC_UNKNOWN :
		      sent ? alerts[i].sent : alerts[i].received;
	if (sent)
		snprintf(failure->text, sizeof(failure->text), "%s (%s)",
			 i < n ? alerts[i].text : "refused", text);
	else
		snprintf(failure->text, sizeof(failure->text),
			 "the partner refused: %s (alert %d)",
			 i < n ? alerts[i].text : "unknown alert", alert);
	return true;
}

static void set_no_user(struct attlsd_failure *failure, const SSL *ssl)
{
	attlsd_failure_set(failure, ATTLS_REASON_NO_USER, ATTLS_REASON_NO_USER,
			   "");
	snprintf(failure->text, sizeof(failure->text),
		 "certificate of the client maps to no user (%s)",
		 attlsd_certmap_refused(ssl));
}

static bool set_verify(struct attlsd_failure *failure, SSL *ssl)
{
	long error = SSL_get_verify_result(ssl);
	const char *why = attlsd_wishes_why(ssl);

	if (error == ATTLSD_V_NO_USER) {
		set_no_user(failure, ssl);
		return true;
	}
	if (error == X509_V_OK)
		return false;
	failure->reason = ATTLS_REASON_HANDSHAKE;
	failure->rc = RC_VALIDATION;
	for (size_t i = 0; i < sizeof(verify_codes) / sizeof(*verify_codes);
	     i++)
		if (verify_codes[i].error == error)
			failure->rc = verify_codes[i].rc;
	if (why)
		snprintf(failure->text, sizeof(failure->text), "%s", why);
	else
		snprintf(failure->text, sizeof(failure->text),
			 "certificate of the partner not valid (%s)",
			 attlsd_verify_text(error));
	return true;
}

static bool is_error(int reason)
{
	unsigned long code = ERR_peek_error();

	return ERR_GET_LIB(code) == ERR_LIB_SSL &&
	       ERR_GET_REASON(code) == reason;
}

void attlsd_failure_name(struct attlsd_failure *failure, SSL *ssl,
			 const struct attlsd_records *rec)
{
	attlsd_failure_set(failure, ATTLS_REASON_HANDSHAKE, RC_INTERNAL, "");
	if (rec->alert_received < 0 && attlsd_records_cleartext(rec))
		attlsd_failure_set(failure, ATTLS_REASON_CLEARTEXT,
				   ATTLS_REASON_CLEARTEXT,
				   "cleartext where TLS is expected");
	else if (rec->eof && rec->alert_received < 0)
		attlsd_failure_set(failure, ATTLS_REASON_PEER_RESET,
				   RC_CLOSED,
				   "connection closed by the partner");
	else if (is_error(SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE))
		attlsd_failure_set(failure, ATTLS_REASON_NO_CERT,
				   ATTLS_REASON_NO_CERT,
				   "no certificate from the client, which the policy requires");
	else if (rec->refused)
		attlsd_failure_set(failure, ATTLS_REASON_HANDSHAKE,
				   RC_PROTOCOL, rec->refused);
	else if (set_alert(failure, rec->alert_received, false) ||
		 set_verify(failure, ssl) ||
		 set_alert(failure, rec->alert_sent, true))
		;
	else
		set_internal(failure);
	ERR_clear_error();
}

static const struct {
	uint32_t reason;
	int	rc;
	const char *text;
} kernel_reasons[] = {
	{ ATTLS_REASON_PEER_RESET, RC_CLOSED,
	  "connection reset by the partner" },
	{ ATTLS_REASON_TIMEOUT, ATTLS_REASON_TIMEOUT,
	  "timeout, nothing came from the partner" },
	{ ATTLS_REASON_TIMEOUT2, ATTLS_REASON_TIMEOUT2,
	  "timeout, handshake not finished" },
	{ ATTLS_REASON_INSTALL, RC_INTERNAL, "kernel TLS refused the keys" },
	{ ATTLS_REASON_NO_MEMORY, RC_MEMORY, "no memory in the kernel" },
};

/*
 * The kernel ended it, or somebody through the kernel.  That the program
 * closed its socket is no error: it gets a line, as information.
 */
void attlsd_failure_kernel(struct attlsd_failure *failure, int fd, int error)
{
	struct attls_status status;

	attlsd_failure_set(failure, ATTLS_REASON_PEER_RESET, RC_IO,
			   strerror(error));
	if (attlsd_agent_status(fd, &status))
		return;
	failure->over = status.state != ATTLS_CONN_HANDSHAKE;
	for (size_t i = 0; i < sizeof(kernel_reasons) /
	     sizeof(*kernel_reasons); i++) {
		if (kernel_reasons[i].reason != status.reason)
			continue;
		attlsd_failure_set(failure, status.reason,
				   kernel_reasons[i].rc,
				   kernel_reasons[i].text);
		failure->over = status.state != ATTLS_CONN_HANDSHAKE;
		return;
	}
	if (failure->over && (status.state == ATTLS_CONN_CLOSED ||
			      status.reason == ATTLS_REASON_NONE)) {
		failure->priority = LOG_INFO;
		snprintf(failure->text, sizeof(failure->text),
			 "the program closed its socket (state %u)",
			 status.state);
	}
}
