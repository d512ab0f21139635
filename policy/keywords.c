// SPDX-License-Identifier: GPL-2.0-only
#include "certmap.h"
#include "keywords.h"

#include <strings.h>
#include <syslog.h>

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))
#define ANY_ADDR	(ADDR_ALL | ADDR_ONE | ADDR_PREFIX | ADDR_RANGE)

#define TAKE(n, v)	{ .name = n, .value = v }
#define REFUSE(n, why, do) { .name = n, .refused = why, .instead = do }
#define END		{ .name = NULL }

static const struct choice on_off[] = {
	TAKE("On", 1), TAKE("Off", 0), END
};

static const struct choice off_only[] = {
	REFUSE("On", "OpenSSL 3.5 and kernel TLS cannot carry that protocol",
	       "write Off or delete the line; peers must use TLS 1.2 or 1.3"),
	TAKE("Off", 0), END
};

static const struct choice directions[] = {
	TAKE("Inbound", ATTLS_INBOUND), TAKE("Outbound", ATTLS_OUTBOUND),
	TAKE("Both", ATTLS_INBOUND | ATTLS_OUTBOUND), END
};

static const struct choice roles[] = {
	TAKE("Client", ROLE_CLIENT), TAKE("Server", ROLE_SERVER),
	TAKE("ServerWithClientAuth", ROLE_SERVER_AUTH), END
};

static const struct choice client_auth[] = {
	TAKE("PassThru", ATTLS_ROLE_SERVER_PASS),
	TAKE("Full", ATTLS_ROLE_SERVER_FULL),
	TAKE("Required", ATTLS_ROLE_SERVER_REQD),
	TAKE("SAFCheck", ATTLS_ROLE_SERVER_SAF), END
};

static const struct choice renegotiation[] = {
	TAKE("Default", 0), TAKE("Disabled", 1), TAKE("All", 2),
	TAKE("Abbreviated", 3), END
};

static const struct choice indicators[] = {
	TAKE("Optional", 0), TAKE("Client", 1), TAKE("Server", 2),
	TAKE("Both", 3), END
};

static const struct choice truncated_hmac[] = {
	REFUSE("Required", "no cipher suite that is offered has an HMAC",
	       "write Off or delete the line"),
	TAKE("Optional", 1), TAKE("Off", 0), END
};

static const struct choice validation_modes[] = {
	TAKE("Any", 0), TAKE("RFC2459", 1), TAKE("RFC3280", 2),
	TAKE("RFC5280", 3), END
};

static const struct choice cert_versions[] = {
	TAKE("Any", 0), TAKE("3", 3), END
};

static const struct choice suite_b[] = {
	TAKE("Off", SUITE_B_OFF), TAKE("128", SUITE_B_128),
	TAKE("128Min", SUITE_B_128_MIN), TAKE("192", SUITE_B_192),
	TAKE("192Min", SUITE_B_192_MIN), TAKE("All", SUITE_B_ALL), END
};

static const struct choice ems[] = {
	TAKE("On", POLICY_EMS_ON), TAKE("Off", POLICY_EMS_OFF),
	TAKE("Required", POLICY_EMS_REQUIRED), END
};

static const struct choice extensions[] = {
	TAKE("Required", POLICY_EXTENSION_REQUIRED),
	TAKE("Optional", POLICY_EXTENSION_OPTIONAL),
	TAKE("Off", POLICY_EXTENSION_OFF), END
};

static const struct choice fragments[] = {
	TAKE("512", 512), TAKE("1024", 1024), TAKE("2048", 2048),
	TAKE("4096", 4096), END
};

static const struct choice matches[] = {
	TAKE("Required", 1), TAKE("Optional", 0), END
};

static const struct choice fips[] = {
	TAKE("Off", 0), TAKE("On", 1), TAKE("Level1", 2), TAKE("Level2", 3),
	TAKE("Level3", 4), END
};

static const struct choice facilities[] = {
	TAKE("Daemon", LOG_DAEMON), TAKE("Auth", LOG_AUTH), END
};

static const struct choice client_edh[] = {
	TAKE("Legacy", 0), TAKE("2048", 1), END
};

static const struct choice server_edh[] = {
	TAKE("Legacy", 0), TAKE("2048", 1), TAKE("Match", 2), END
};

static const struct choice levels[] = {
	TAKE("Low", POLICY_REVOCATION_LOW),
	TAKE("Medium", POLICY_REVOCATION_MEDIUM),
	TAKE("High", POLICY_REVOCATION_HIGH), END
};

#define SHA1_FORGED	"signatures with SHA-1 can be forged"
#define NO_DSA_KEYS	"OpenSSL takes no DSA certificate any more"
#define SHA256_OR_MORE	"write 0401 for RSA keys, 0403 for ECDSA"

/* A hash, and the kind of key that OcspRequestSigkeylabel names. */
static const struct choice request_sigalgs[] = {
	TAKE("0401", 0x0401), TAKE("0501", 0x0501), TAKE("0601", 0x0601),
	TAKE("0403", 0x0403), TAKE("0503", 0x0503), TAKE("0603", 0x0603),
	TAKE("0301", 0x0301), TAKE("0303", 0x0303),
	REFUSE("0201", SHA1_FORGED, SHA256_OR_MORE),
	REFUSE("0203", SHA1_FORGED, SHA256_OR_MORE),
	REFUSE("0202", NO_DSA_KEYS, SHA256_OR_MORE),
	REFUSE("0302", NO_DSA_KEYS, SHA256_OR_MORE),
	REFUSE("0402", NO_DSA_KEYS, SHA256_OR_MORE), END
};

/* OpenSSL staples for the certificate itself, which Any allows. */
static const struct choice stapling[] = {
	TAKE("Any", 1), TAKE("EndEntity", 2), TAKE("Off", 0), END
};

static const struct choice ticket_algorithms[] = {
	TAKE("AESCBC128", 128), TAKE("AESCBC256", 256), END
};

/* Why a parameter of z/OS changes nothing here. */
#define NO_TRACE	"attls puts no data into traces"
#define ALL_ANEW	"a reload makes all environments anew"
#define NO_RENEGOTIATION "nothing is ever renegotiated"
#define NO_3DES		"3DES is never offered"
#define NO_HMAC		"no cipher suite that is offered has an HMAC"
#define VALIDATION	"OpenSSL validates as RFC 5280 says"
#define DH_SIZE		"groups of less than 2048 bits are always refused"
#define SCSV		"OpenSSL always honours the fallback SCSV"
#define NO_DSA		"certificates with DSA keys are always refused"
#define NO_SYSPLEX	"Linux has no sysplex, sessions stay on the machine"
#define NO_ENVFILE	"OpenSSL has none of the variables of System SSL"
#define NO_SSLV2	"SSL 2 is never spoken"

/* How rows are written: what every row of the kind has, then what varies. */
#define CHOICE(n, i, c, s, ...)	{ .name = n, .id = i, .kind = KIND_CHOICE, \
				  .choices = c, .store = s, __VA_ARGS__ }
#define NUMBER(n, i, lo, hi, s, ...) { .name = n, .id = i, \
				  .kind = KIND_NUMBER, .min = lo, .max = hi, \
				  .store = s, __VA_ARGS__ }
#define TEXT(n, i, k, s, ...)	{ .name = n, .id = i, .kind = k, .store = s, \
				  __VA_ARGS__ }
#define CODES(n, i, digits, c, s) { .name = n, .id = i, .kind = KIND_CODES, \
				  .flags = PARAM_REPEAT | PARAM_LIST, \
				  .min = digits, .codes = c, .store = s }
#define ADDR(n, i, forms, f)	{ .name = n, .id = i, .kind = KIND_ADDR, \
				  .min = forms, .flags = f }
#define PORTS(n, i, f)		{ .name = n, .id = i, .kind = KIND_PORTS, \
				  .flags = f }
#define REF(n, i, t, f)		{ .name = n, .id = i, .kind = KIND_REF, \
				  .target = t, .flags = f }
#define BLOCK(n, i, t, f)	{ .name = n, .id = i, .kind = KIND_INLINE, \
				  .target = t, .flags = f }
#define EITHER(n, i, t, f)	BLOCK(n, i, t, f), REF(n "Ref", i, t, f)
#define REPEAT			PARAM_REPEAT
/* Without an effect; IDLE_BUT(): @same is what happens anyway. */
#define IDLE(why)		.idle = why
#define IDLE_BUT(same, why)	.idle = why, DEFAULT(same)
#define REQUIRED		.flags = PARAM_REQUIRED
#define DEFAULT(d)		.flags = PARAM_DEFAULT, .def = d

static const struct param rule_params[] = {
	ADDR("LocalAddr", P_LOCAL_ADDR, ANY_ADDR, REPEAT),
	REF("LocalAddrRef", P_LOCAL_ADDR, ST_ADDR, REPEAT),
	REF("LocalAddrSetRef", P_LOCAL_ADDR, ST_ADDR_SET, REPEAT),
	REF("LocalAddrGroupRef", P_LOCAL_ADDR, ST_ADDR_GROUP, REPEAT),
	ADDR("RemoteAddr", P_REMOTE_ADDR, ANY_ADDR, REPEAT),
	REF("RemoteAddrRef", P_REMOTE_ADDR, ST_ADDR, REPEAT),
	REF("RemoteAddrSetRef", P_REMOTE_ADDR, ST_ADDR_SET, REPEAT),
	REF("RemoteAddrGroupRef", P_REMOTE_ADDR, ST_ADDR_GROUP, REPEAT),
	PORTS("LocalPortRange", P_LOCAL_PORTS, REPEAT),
	REF("LocalPortRangeRef", P_LOCAL_PORTS, ST_PORTS, REPEAT),
	REF("LocalPortGroupRef", P_LOCAL_PORTS, ST_PORT_GROUP, REPEAT),
	PORTS("RemotePortRange", P_REMOTE_PORTS, REPEAT),
	REF("RemotePortRangeRef", P_REMOTE_PORTS, ST_PORTS, REPEAT),
	REF("RemotePortGroupRef", P_REMOTE_PORTS, ST_PORT_GROUP, REPEAT),
	TEXT("Jobname", P_JOB, KIND_JOB, STORE_NONE),
	TEXT("Userid", P_USER, KIND_USER, STORE_NONE),
	TEXT("Uid", P_USER, KIND_IDS, STORE_NONE),
	TEXT("Gid", P_GID, KIND_IDS, STORE_NONE, .flags = REPEAT),
	TEXT("Exe", P_EXE, KIND_EXE, STORE_NONE, .flags = REPEAT),
	TEXT("Cgroup", P_CGROUP, KIND_CGROUP, STORE_NONE, .flags = REPEAT),
	TEXT("Netns", P_NETNS, KIND_NETNS, STORE_NONE, .flags = REPEAT),
	EITHER("IpTimeCondition", P_TIME, ST_TIME, REPEAT),
	CHOICE("Direction", P_DIRECTION, directions, STORE_NONE, REQUIRED),
	NUMBER("Priority", P_PRIORITY, 1, 2000000000, STORE_NONE, DEFAULT(1)),
	EITHER("TTLSGroupAction", P_GROUP, ST_GROUP, PARAM_REQUIRED),
	EITHER("TTLSEnvironmentAction", P_ENVIRONMENT, ST_ENVIRONMENT, 0),
	EITHER("TTLSConnectionAction", P_CONNECTION, ST_CONNECTION, 0),
};

static const struct param group_params[] = {
	CHOICE("TTLSEnabled", P_ENABLED, on_off, STORE_ENABLED, REQUIRED),
	NUMBER("Trace", P_TRACE, 0, 255, STORE_TRACE, DEFAULT(2)),
	CHOICE("FIPS140", P_FIPS, fips, STORE_FIPS, DEFAULT(0)),
	CHOICE("CtraceClearText", P_CTRACE, on_off, STORE_NONE,
	       IDLE_BUT(0, NO_TRACE)),
	NUMBER("GroupUserInstance", P_GROUP_INSTANCE, 0, 65535, STORE_NONE,
	       IDLE(ALL_ANEW)),
	EITHER("TTLSGroupAdvancedParms", P_ADVANCED, ST_GROUP_ADVANCED, 0),
};

static const struct param group_advanced_params[] = {
	CHOICE("SecondaryMap", P_SECONDARY, on_off, STORE_SECONDARY,
	       DEFAULT(0)),
	CHOICE("SyslogFacility", P_FACILITY, facilities, STORE_FACILITY,
	       DEFAULT(LOG_DAEMON)),
	TEXT("Envfile", P_ENVFILE, KIND_WORD, STORE_NONE, IDLE(NO_ENVFILE)),
};

static const struct param environment_params[] = {
	CHOICE("HandshakeRole", P_ROLE, roles, STORE_ROLE, REQUIRED),
	EITHER("TTLSKeyringParms", P_KEYRING_PARMS, ST_KEYRING, PARAM_REQUIRED),
	{ .name = "TTLSCertificateMap", .id = P_CERT_MAP,
	  .kind = KIND_INLINE, .target = ST_CERT_MAP,
	  .store = STORE_CERT_MAP },
	{ .name = "TTLSCertificateMapRef", .id = P_CERT_MAP,
	  .kind = KIND_REF, .target = ST_CERT_MAP, .store = STORE_CERT_MAP },
	CHOICE("SuiteBProfile", P_SUITE_B, suite_b, STORE_SUITE_B, DEFAULT(0)),
	EITHER("TTLSCipherParms", P_CIPHER_PARMS, ST_CIPHERS, 0),
	EITHER("TTLSSignatureParms", P_SIGNATURE_PARMS, ST_SIGNATURES, 0),
	EITHER("TTLSEnvironmentAdvancedParms", P_ADVANCED, ST_ENV_ADVANCED, 0),
	NUMBER("Trace", P_TRACE, 0, 255, STORE_TRACE),
	CHOICE("CtraceClearText", P_CTRACE, on_off, STORE_NONE,
	       IDLE_BUT(0, NO_TRACE)),
	NUMBER("EnvironmentUserInstance", P_INSTANCE, 0, 65535,
	       STORE_INSTANCE, DEFAULT(0)),
	EITHER("TTLSGskAdvancedParms", P_GSK, ST_GSK, 0),
};

static const struct param connection_params[] = {
	CHOICE("HandshakeRole", P_ROLE, roles, STORE_ROLE),
	EITHER("TTLSCipherParms", P_CIPHER_PARMS, ST_CIPHERS, 0),
	EITHER("TTLSSignatureParms", P_SIGNATURE_PARMS, ST_SIGNATURES, 0),
	EITHER("TTLSConnectionAdvancedParms", P_ADVANCED, ST_CONN_ADVANCED, 0),
	NUMBER("Trace", P_TRACE, 0, 255, STORE_TRACE),
	CHOICE("CtraceClearText", P_CTRACE, on_off, STORE_NONE,
	       IDLE_BUT(0, NO_TRACE)),
	NUMBER("ConnectionUserInstance", P_CONN_INSTANCE, 0, 65535,
	       STORE_NONE, IDLE(ALL_ANEW)),
};

/*
 * What both kinds of advanced parameters know.  The connection's table has
 * the same defaults, but merging only takes those of the environment's.
 */
#define ADVANCED_PARAMS \
	CHOICE("SecondaryMap", P_SECONDARY, on_off, STORE_SECONDARY), \
	CHOICE("SSLv2", P_SSLV2, off_only, STORE_NONE, DEFAULT(0)), \
	CHOICE("SSLv3", P_SSLV3, off_only, STORE_NONE, DEFAULT(0)), \
	CHOICE("TLSv1", P_TLSV1, off_only, STORE_NONE, DEFAULT(0)), \
	CHOICE("TLSv1.1", P_TLSV1_1, off_only, STORE_NONE, DEFAULT(0)), \
	CHOICE("TLSv1.2", P_TLSV1_2, on_off, STORE_TLS12, DEFAULT(1)), \
	CHOICE("TLSv1.3", P_TLSV1_3, on_off, STORE_TLS13, DEFAULT(1)), \
	NUMBER("HandshakeTimeout", P_HS_TIMEOUT, 0, 600, \
	       STORE_HS_TIMEOUT, DEFAULT(10)), \
	NUMBER("ResetCipherTimer", P_RESET_TIMER, 0, 1440, \
	       STORE_RESET_TIMER, DEFAULT(0)), \
	TEXT("HostReferenceIdDNS", P_HOST_DNS, KIND_DNS, STORE_HOST_DNS, \
	     .flags = REPEAT | PARAM_LIST), \
	TEXT("HostReferenceIdCN", P_HOST_CN, KIND_WORD, STORE_HOST_CN, \
	     .flags = REPEAT), \
	CHOICE("HostRefWildcardValidation", P_HOST_WILDCARD, on_off, \
	       STORE_HOST_WILDCARD, DEFAULT(0)), \
	CHOICE("ApplicationControlled", P_APPL_CONTROLLED, on_off, \
	       STORE_APPL_CONTROLLED, DEFAULT(0)), \
	TEXT("CertificateLabel", P_CERTIFICATE, KIND_LABEL, \
	     STORE_CERTIFICATE), \
	TEXT("ServerCertificateLabel", P_CERTIFICATES, KIND_LABEL, \
	     STORE_CERTIFICATES, .flags = REPEAT | PARAM_LIST), \
	CHOICE("ClientMaxSSLFragment", P_CLIENT_FRAGMENT, extensions, \
	       STORE_CLIENT_FRAGMENT, DEFAULT(POLICY_EXTENSION_OFF)), \
	CHOICE("ClientMaxSSLFragmentLength", P_CLIENT_FRAGMENT_LENGTH, \
	       fragments, STORE_CLIENT_FRAGMENT_LENGTH), \
	CHOICE("ServerMaxSSLFragment", P_SERVER_FRAGMENT, extensions, \
	       STORE_SERVER_FRAGMENT, DEFAULT(POLICY_EXTENSION_OPTIONAL)), \
	CHOICE("ClientHandshakeSNI", P_CLIENT_SNI, extensions, \
	       STORE_CLIENT_SNI), \
	CHOICE("ClientHandshakeSNIMatch", P_CLIENT_SNI_MATCH, matches, \
	       STORE_CLIENT_SNI_MATCH), \
	TEXT("ClientHandshakeSNIList", P_CLIENT_SNI_LIST, KIND_DNS, \
	     STORE_CLIENT_SNI_LIST, .flags = REPEAT | PARAM_LIST), \
	CHOICE("ServerHandshakeSNI", P_SERVER_SNI, extensions, \
	       STORE_SERVER_SNI, DEFAULT(POLICY_EXTENSION_OFF)), \
	CHOICE("ServerHandshakeSNIMatch", P_SERVER_SNI_MATCH, matches, \
	       STORE_SERVER_SNI_MATCH), \
	TEXT("ServerHandshakeSNIList", P_SERVER_SNI_LIST, KIND_SNI, \
	     STORE_SERVER_SNI_LIST, .flags = REPEAT), \
	CHOICE("MiddleBoxCompatMode", P_MIDDLEBOX, on_off, \
	       STORE_MIDDLEBOX, DEFAULT(0)), \
	CHOICE("ClientExtendedMasterSecret", P_CLIENT_EMS, ems, \
	       STORE_CLIENT_EMS, DEFAULT(POLICY_EMS_ON)), \
	CHOICE("ServerExtendedMasterSecret", P_SERVER_EMS, ems, \
	       STORE_SERVER_EMS, DEFAULT(POLICY_EMS_ON)), \
	CHOICE("TruncationCheck", P_TRUNCATION, on_off, \
	       STORE_TRUNCATION, DEFAULT(1)), \
	CHOICE("Renegotiation", P_RENEGOTIATION, renegotiation, STORE_NONE, \
	       IDLE_BUT(1, NO_RENEGOTIATION)), \
	CHOICE("RenegotiationIndicator", P_RENEG_INDICATOR, indicators, \
	       STORE_NONE, IDLE_BUT(0, NO_RENEGOTIATION)), \
	CHOICE("RenegotiationCertCheck", P_RENEG_CERT, on_off, STORE_NONE, \
	       IDLE_BUT(0, NO_RENEGOTIATION)), \
	CHOICE("TruncatedHMAC", P_TRUNCATED_HMAC, truncated_hmac, \
	       STORE_NONE, IDLE_BUT(0, NO_HMAC)), \
	CHOICE("ServerScsv", P_SCSV, on_off, STORE_NONE, IDLE_BUT(1, SCSV))

static const struct param env_advanced_params[] = {
	ADVANCED_PARAMS,
	CHOICE("ClientAuthType", P_CLIENT_AUTH, client_auth,
	       STORE_CLIENT_AUTH, DEFAULT(ATTLS_ROLE_SERVER_REQD)),
	CHOICE("CertValidationMode", P_VALIDATION, validation_modes,
	       STORE_NONE, IDLE_BUT(3, VALIDATION)),
	CHOICE("3DesKeyCheck", P_3DES, on_off, STORE_NONE, IDLE_BUT(0, NO_3DES)),
	CHOICE("ClientEDHGroupSize", P_CLIENT_EDH, client_edh, STORE_NONE,
	       IDLE_BUT(1, DH_SIZE)),
	CHOICE("ServerEDHGroupSize", P_SERVER_EDH, server_edh, STORE_NONE,
	       IDLE_BUT(1, DH_SIZE)),
	NUMBER("PeerMinRsaKeySize", P_MIN_RSA, 0, 4096, STORE_MIN_RSA,
	       DEFAULT(1024)),
	NUMBER("PeerMinECCKeySize", P_MIN_EC, 0, 521, STORE_MIN_EC,
	       DEFAULT(192)),
	CHOICE("PeerMinCertVersion", P_MIN_VERSION, cert_versions,
	       STORE_MIN_VERSION, DEFAULT(0)),
	NUMBER("PeerMinDHKeySize", P_MIN_DH, 0, 2048, STORE_NONE,
	       IDLE(DH_SIZE)),
	NUMBER("PeerMinDsaKeySize", P_MIN_DSA, 0, 2048, STORE_NONE,
	       IDLE(NO_DSA)),
};

static const struct param conn_advanced_params[] = {
	ADVANCED_PARAMS,
};

static const struct param keyring_params[] = {
	TEXT("Keyring", P_KEYRING, KIND_KEYRING, STORE_KEYRING, REQUIRED),
	TEXT("KeyringPw", P_KEYRING_PW, KIND_PASSWORD, STORE_KEYRING_PW),
	TEXT("KeyringStashFile", P_KEYRING_PW, KIND_STASH,
	     STORE_KEYRING_STASH),
};

static const struct param cipher_params[] = {
	TEXT("V2CipherSuites", P_V2_SUITES, KIND_WORD, STORE_NONE,
	     .flags = REPEAT | PARAM_LIST, IDLE(NO_SSLV2)),
	CODES("V3CipherSuites", P_SUITES, 2, &policy_suites, STORE_SUITES),
	CODES("V3CipherSuites4Char", P_SUITES, 4, &policy_suites,
	      STORE_SUITES),
};

static const struct param gsk_params[] = {
	CHOICE("RevocationSecurityLevel", P_LEVEL, levels, STORE_LEVEL,
	       DEFAULT(POLICY_REVOCATION_MEDIUM)),
	CHOICE("AIACDPPriority", P_AIA_FIRST, on_off, STORE_AIA_FIRST,
	       DEFAULT(1)),
	NUMBER("MaxSrcRevExtLocValues", P_MAX_SOURCE, 0, 256,
	       STORE_MAX_SOURCE, DEFAULT(10)),
	NUMBER("MaxValidRevExtLocValues", P_MAX_VALID, 0, 1024,
	       STORE_MAX_VALID, DEFAULT(100)),
	CODES("CrlSigAlgPairs", P_CRL_SIGALGS, 4, &policy_sigalgs,
	      STORE_CRL_SIGALGS),
	EITHER("TTLSGskOcspParms", P_OCSP_PARMS, ST_OCSP, 0),
	EITHER("TTLSGskHttpCdpParms", P_CDP_PARMS, ST_CDP, 0),
	EITHER("TTLSGskLdapParms", P_LDAP_PARMS, ST_LDAP, 0),
	CHOICE("GSK_SYSPLEX_SIDCACHE", P_GSK_SIDCACHE, on_off, STORE_NONE,
	       IDLE_BUT(0, NO_SYSPLEX)),
	CHOICE("GSK_SYSPLEX_SESSION_TICKET_CACHE", P_GSK_TICKET_CACHE, on_off,
	       STORE_NONE, IDLE_BUT(0, NO_SYSPLEX)),
	NUMBER("GSK_V2_SESSION_TIMEOUT", P_GSK_V2_TIMEOUT, 0, 100, STORE_NONE,
	       IDLE(NO_SSLV2)),
	NUMBER("GSK_V2_SIDCACHE_SIZE", P_GSK_V2_SIZE, 0, 32000, STORE_NONE,
	       IDLE_BUT(0, NO_SSLV2)),
	NUMBER("GSK_V3_SESSION_TIMEOUT", P_GSK_V3_TIMEOUT, 0, 86400,
	       STORE_V3_TIMEOUT, DEFAULT(86400)),
	NUMBER("GSK_V3_SIDCACHE_SIZE", P_GSK_V3_SIZE, 0, 64000, STORE_V3_SIZE,
	       DEFAULT(512)),
	CHOICE("GSK_SESSION_TICKET_CLIENT_ENABLE", P_GSK_CLIENT_TICKETS,
	       on_off, STORE_CLIENT_TICKETS, DEFAULT(1)),
	NUMBER("GSK_SESSION_TICKET_CLIENT_MAXSIZE", P_GSK_TICKET_SIZE, 0,
	       65535, STORE_TICKET_SIZE, DEFAULT(8192)),
	NUMBER("GSK_SESSION_TICKET_CLIENT_MAXCACHED", P_GSK_TICKETS_CACHED, 0,
	       2147483647, STORE_TICKETS_CACHED,
	       DEFAULT(POLICY_SESSIONS_MAX)),
	CHOICE("GSK_SESSION_TICKET_SERVER_ENABLE", P_GSK_SERVER_TICKETS,
	       on_off, STORE_SERVER_TICKETS, DEFAULT(1)),
	CHOICE("GSK_SESSION_TICKET_SERVER_ALGORITHM", P_GSK_TICKET_ALGORITHM,
	       ticket_algorithms, STORE_TICKET_ALGORITHM, DEFAULT(128)),
	NUMBER("GSK_SESSION_TICKET_SERVER_COUNT", P_GSK_TICKET_COUNT, 0,
	       2147483647, STORE_TICKET_COUNT, DEFAULT(2)),
	NUMBER("GSK_SESSION_TICKET_SERVER_KEY_REFRESH", P_GSK_TICKET_REFRESH,
	       0, 2147483647, STORE_TICKET_REFRESH, DEFAULT(300)),
	NUMBER("GSK_SESSION_TICKET_SERVER_TIMEOUT", P_GSK_TICKET_TIMEOUT, 0,
	       2147483647, STORE_TICKET_TIMEOUT, DEFAULT(300)),
};

#define SECONDS_MAX	43200
#define SIZE_MAX_ZOS	2147483647
#define CACHE_MAX	32000
#define HOURS_MAX	720

static const struct param ocsp_params[] = {
	TEXT("OcspUrl", P_OCSP_URL, KIND_URL, STORE_OCSP_URL),
	CHOICE("OcspAiaEnable", P_OCSP_AIA, on_off, STORE_OCSP_AIA, DEFAULT(0)),
	CHOICE("OcspUrlPriority", P_OCSP_URL_FIRST, on_off,
	       STORE_OCSP_URL_FIRST, DEFAULT(1)),
	TEXT("OcspProxyServerName", P_OCSP_PROXY, KIND_HOST,
	     STORE_OCSP_PROXY),
	NUMBER("OcspProxyServerPort", P_OCSP_PROXY_PORT, 1, 65535,
	       STORE_OCSP_PROXY_PORT, DEFAULT(80)),
	CHOICE("OcspRetrieveViaGet", P_OCSP_GET, on_off, STORE_OCSP_GET,
	       DEFAULT(0)),
	TEXT("OcspRequestSigkeylabel", P_OCSP_SIGNER, KIND_LABEL,
	     STORE_OCSP_SIGNER),
	CHOICE("OcspRequestSigalg", P_OCSP_SIGN_ALG, request_sigalgs,
	       STORE_OCSP_SIGN_ALG, DEFAULT(0x0401)),
	CHOICE("OcspNonceGenEnable", P_OCSP_NONCE, on_off, STORE_OCSP_NONCE,
	       DEFAULT(0)),
	CHOICE("OcspNonceCheckEnable", P_OCSP_NONCE_CHECK, on_off,
	       STORE_OCSP_NONCE_CHECK, DEFAULT(0)),
	NUMBER("OcspNonceSize", P_OCSP_NONCE_SIZE, 8, 256,
	       STORE_OCSP_NONCE_SIZE, DEFAULT(8)),
	CODES("OcspResponseSigAlgPairs", P_OCSP_SIGALGS, 4, &policy_sigalgs,
	      STORE_OCSP_SIGALGS),
	NUMBER("OcspResponseTimeout", P_OCSP_TIMEOUT, 0, SECONDS_MAX,
	       STORE_OCSP_TIMEOUT, DEFAULT(15)),
	NUMBER("OcspMaxResponseSize", P_OCSP_MAX_SIZE, 0, SIZE_MAX_ZOS,
	       STORE_OCSP_MAX_SIZE, DEFAULT(20480)),
	NUMBER("OcspClientCacheSize", P_OCSP_CACHE, 0, CACHE_MAX,
	       STORE_OCSP_CACHE, DEFAULT(256)),
	NUMBER("OcspCliCacheEntryMaxsize", P_OCSP_CACHE_ENTRY, 0, CACHE_MAX,
	       STORE_OCSP_CACHE_ENTRY, DEFAULT(0)),
	CHOICE("OcspServerStapling", P_OCSP_STAPLING, stapling,
	       STORE_OCSP_STAPLING, DEFAULT(0)),
};

static const struct param cdp_params[] = {
	CHOICE("HttpCdpEnable", P_CDP, on_off, STORE_CDP, DEFAULT(0)),
	TEXT("HttpCdpProxyServerName", P_CDP_PROXY, KIND_HOST,
	     STORE_CDP_PROXY),
	NUMBER("HttpCdpProxyServerPort", P_CDP_PROXY_PORT, 1, 65535,
	       STORE_CDP_PROXY_PORT, DEFAULT(80)),
	NUMBER("HttpCdpResponseTimeout", P_CDP_TIMEOUT, 0, SECONDS_MAX,
	       STORE_CDP_TIMEOUT, DEFAULT(15)),
	NUMBER("HttpCdpMaxResponseSize", P_CDP_MAX_SIZE, 0, SIZE_MAX_ZOS,
	       STORE_CDP_MAX_SIZE, DEFAULT(204800)),
	NUMBER("HttpCdpCacheSize", P_CDP_CACHE, 0, CACHE_MAX,
	       STORE_CDP_CACHE, DEFAULT(32)),
	NUMBER("HttpCdpCacheEntryMaxsize", P_CDP_CACHE_ENTRY, 0, SIZE_MAX_ZOS,
	       STORE_CDP_CACHE_ENTRY, DEFAULT(0)),
};

static const struct param ldap_params[] = {
	TEXT("GSK_LDAP_SERVER", P_LDAP_SERVER, KIND_SERVER, STORE_LDAP_SERVER,
	     .flags = PARAM_REQUIRED | REPEAT | PARAM_LIST),
	NUMBER("GSK_LDAP_SERVER_PORT", P_LDAP_PORT, 1, 65535,
	       STORE_LDAP_PORT, DEFAULT(389)),
	TEXT("GSK_LDAP_USER", P_LDAP_USER, KIND_WORD, STORE_LDAP_USER),
	TEXT("GSK_LDAP_USER_PW", P_LDAP_PW, KIND_PASSWORD, STORE_LDAP_PW),
	NUMBER("GSK_CRL_CACHE_TIMEOUT", P_LDAP_KEEP, 0, HOURS_MAX,
	       STORE_LDAP_KEEP, DEFAULT(24)),
	CHOICE("GSK_CRL_SECURITY_LEVEL", P_LDAP_LEVEL, levels,
	       STORE_LDAP_LEVEL, DEFAULT(POLICY_REVOCATION_MEDIUM)),
	NUMBER("CRLCacheSize", P_LDAP_CACHE, -1, CACHE_MAX, STORE_LDAP_CACHE,
	       DEFAULT(-1)),
	NUMBER("CRLCacheEntryMaxsize", P_LDAP_CACHE_ENTRY, 0, SIZE_MAX_ZOS,
	       STORE_LDAP_CACHE_ENTRY, DEFAULT(0)),
	CHOICE("CRLCacheExtended", P_LDAP_EXTENDED, on_off,
	       STORE_LDAP_EXTENDED, DEFAULT(0)),
	CHOICE("CRLCacheTempCRL", P_LDAP_KEEP_NONE, on_off,
	       STORE_LDAP_KEEP_NONE, DEFAULT(0)),
	NUMBER("CRLCacheTempCRLTimeout", P_LDAP_NONE_TIME, 1, HOURS_MAX,
	       STORE_LDAP_NONE_TIME, DEFAULT(24)),
	NUMBER("LDAPResponseTimeout", P_LDAP_TIMEOUT, 0, SECONDS_MAX,
	       STORE_LDAP_TIMEOUT, DEFAULT(15)),
};

static const struct param signature_params[] = {
	{ .name = "ClientECurves", .id = P_CLIENT_CURVES, .kind = KIND_CODES,
	  .flags = REPEAT | PARAM_LIST, .min = 4, .codes = &policy_groups,
	  .any = "Any", .store = STORE_CLIENT_CURVES },
	CODES("ClientKeyShareGroups", P_CLIENT_SHARES, 4, &policy_groups,
	      STORE_CLIENT_SHARES),
	CODES("ServerKexECurves", P_SERVER_CURVES, 4, &policy_groups,
	      STORE_SERVER_CURVES),
	CODES("ServerKeyShareGroups", P_SERVER_SHARES, 4, &policy_groups,
	      STORE_SERVER_SHARES),
	CODES("SignaturePairs", P_SIGALGS, 4, &policy_sigalgs, STORE_SIGALGS),
	CODES("SignaturePairsCert", P_CERT_SIGALGS, 4, &policy_sigalgs,
	      STORE_CERT_SIGALGS),
};

static const struct param cert_map_params[] = {
	EITHER("CertificateUser", P_CERT_USERS, ST_CERT_USER,
	       PARAM_REQUIRED | REPEAT),
};

/* A name is whole, or, with 1, the outer part of one. */
static const struct param cert_user_params[] = {
	TEXT("Userid", P_CERT_USER, KIND_CERT_USER, STORE_NONE, REQUIRED),
	TEXT("Fingerprint", P_CERT_FINGERPRINT, KIND_FINGERPRINT, STORE_NONE),
	TEXT("Subject", P_CERT_SUBJECT, KIND_DN, STORE_NONE, .min = 0),
	TEXT("SubjectFilter", P_CERT_SUBJECT, KIND_DN, STORE_NONE, .min = 1),
	TEXT("Issuer", P_CERT_ISSUER, KIND_DN, STORE_NONE, .min = 0),
	TEXT("IssuerFilter", P_CERT_ISSUER, KIND_DN, STORE_NONE, .min = 1),
	TEXT("SubjectAltNameDNS", P_CERT_ALT, KIND_DNS, STORE_NONE,
	     .min = POLICY_ALT_DNS),
	TEXT("SubjectAltNameEmail", P_CERT_ALT, KIND_ALT_NAME, STORE_NONE,
	     .min = POLICY_ALT_EMAIL),
	TEXT("SubjectAltNameURI", P_CERT_ALT, KIND_ALT_NAME, STORE_NONE,
	     .min = POLICY_ALT_URI),
	TEXT("SubjectAltNameUPN", P_CERT_ALT, KIND_ALT_NAME, STORE_NONE,
	     .min = POLICY_ALT_UPN),
};

static const struct param addr_params[] = {
	ADDR("Addr", P_ADDR, ANY_ADDR & ~ADDR_RANGE, PARAM_REQUIRED),
};

static const struct param addr_set_params[] = {
	ADDR("Prefix", P_ADDR, ADDR_PREFIX, REPEAT),
	ADDR("Range", P_ADDR, ADDR_RANGE, PARAM_REQUIRED | REPEAT),
};

static const struct param addr_group_params[] = {
	EITHER("IpAddr", P_ADDR, ST_ADDR, PARAM_REQUIRED | REPEAT),
	EITHER("IpAddrSet", P_ADDR, ST_ADDR_SET, REPEAT),
};

static const struct param port_params[] = {
	PORTS("Port", P_PORTS, PARAM_REQUIRED),
};

static const struct param port_group_params[] = {
	EITHER("PortRange", P_PORTS, ST_PORTS, PARAM_REQUIRED | REPEAT),
};

#define MASK(n, i, lo, hi)	{ .name = n, .id = i, .kind = KIND_MASK, \
				  .min = lo, .max = hi }

static const struct choice zones[] = {
	TAKE("Local", 0), TAKE("UTC", 1), END
};

static const struct choice weekdays[] = {
	TAKE("Sunday", 0), TAKE("Monday", 1), TAKE("Tuesday", 2),
	TAKE("Wednesday", 3), TAKE("Thursday", 4), TAKE("Friday", 5),
	TAKE("Saturday", 6), END
};

static const struct choice months[] = {
	TAKE("January", 0), TAKE("February", 1), TAKE("March", 2),
	TAKE("April", 3), TAKE("May", 4), TAKE("June", 5), TAKE("July", 6),
	TAKE("August", 7), TAKE("September", 8), TAKE("October", 9),
	TAKE("November", 10), TAKE("December", 11), END
};

/* Both forms that z/OS tools write: masks, and pairs of From and To. */
static const struct param time_params[] = {
	TEXT("ConditionTimeRange", P_TIME_SPAN, KIND_SPAN, STORE_NONE,
	     .flags = REPEAT),
	MASK("MonthOfYearMask", P_MONTHS, 12, 12),
	MASK("DayOfMonthMask", P_DAYS, 31, 62),
	MASK("DayOfWeekMask", P_WEEKDAYS, 7, 7),
	TEXT("TimeOfDayRange", P_CLOCK, KIND_CLOCK, STORE_NONE,
	     .flags = REPEAT | PARAM_LIST),
	CHOICE("TimeZone", P_ZONE, zones, STORE_NONE, DEFAULT(0)),
	TEXT("FromTimeOfDay", P_FROM_CLOCK, KIND_CLOCK, STORE_NONE, .min = 1),
	TEXT("ToTimeOfDay", P_TO_CLOCK, KIND_CLOCK, STORE_NONE, .min = 1),
	CHOICE("FromDayOfWeek", P_FROM_WEEKDAY, weekdays, STORE_NONE),
	CHOICE("ToDayOfWeek", P_TO_WEEKDAY, weekdays, STORE_NONE),
	NUMBER("FromDayOfMonth", P_FROM_DAY, 1, 31, STORE_NONE),
	NUMBER("ToDayOfMonth", P_TO_DAY, 1, 31, STORE_NONE),
	CHOICE("FromMonthOfYear", P_FROM_MONTH, months, STORE_NONE),
	CHOICE("ToMonthOfYear", P_TO_MONTH, months, STORE_NONE),
};

static const struct choice default_actions[] = {
	TAKE("Clear", 0), TAKE("Deny", 1), END
};

static const struct choice compats[] = {
	TAKE("Off", COMPAT_OFF), TAKE("zOS", COMPAT_ZOS), END
};

static const struct choice windows[] = {
	TAKE("Open", 0), TAKE("Closed", 1), END
};

static const struct param policy_params[] = {
	CHOICE("DefaultAction", P_DEFAULT_ACTION, default_actions, STORE_NONE,
	       DEFAULT(0)),
	CHOICE("Compat", P_COMPAT, compats, STORE_NONE, DEFAULT(COMPAT_OFF)),
	CHOICE("StartupWindow", P_STARTUP, windows, STORE_NONE, DEFAULT(0)),
	TEXT("StartupUserid", P_STARTUP_USER, KIND_USER, STORE_NONE,
	     .flags = REPEAT),
	TEXT("StartupGroupid", P_STARTUP_GROUP, KIND_IDS, STORE_NONE,
	     .flags = REPEAT),
};

#define STATEMENT(n, m, p)	{ n, m, p, COUNT(p) }

const struct statement policy_statements[N_STATEMENTS] = {
	[ST_RULE] = STATEMENT("TTLSRule", "rule", rule_params),
	[ST_GROUP] = STATEMENT("TTLSGroupAction", "group", group_params),
	[ST_ENVIRONMENT] = STATEMENT("TTLSEnvironmentAction", "environment",
				     environment_params),
	[ST_CONNECTION] = STATEMENT("TTLSConnectionAction", "connection",
				    connection_params),
	[ST_GROUP_ADVANCED] = STATEMENT("TTLSGroupAdvancedParms",
					"group-advanced",
					group_advanced_params),
	[ST_ENV_ADVANCED] = STATEMENT("TTLSEnvironmentAdvancedParms",
				      "environment-advanced",
				      env_advanced_params),
	[ST_CONN_ADVANCED] = STATEMENT("TTLSConnectionAdvancedParms",
				       "connection-advanced",
				       conn_advanced_params),
	[ST_KEYRING] = STATEMENT("TTLSKeyringParms", "keyring",
				 keyring_params),
	[ST_CIPHERS] = STATEMENT("TTLSCipherParms", "ciphers", cipher_params),
	[ST_GSK] = STATEMENT("TTLSGskAdvancedParms", "gsk", gsk_params),
	[ST_OCSP] = STATEMENT("TTLSGskOcspParms", "ocsp", ocsp_params),
	[ST_CDP] = STATEMENT("TTLSGskHttpCdpParms", "http-cdp", cdp_params),
	[ST_LDAP] = STATEMENT("TTLSGskLdapParms", "ldap", ldap_params),
	[ST_SIGNATURES] = STATEMENT("TTLSSignatureParms", "signatures",
				    signature_params),
	[ST_ADDR] = STATEMENT("IpAddr", "addr", addr_params),
	[ST_ADDR_SET] = STATEMENT("IpAddrSet", "addr-set", addr_set_params),
	[ST_ADDR_GROUP] = STATEMENT("IpAddrGroup", "addr-group",
				    addr_group_params),
	[ST_PORTS] = STATEMENT("PortRange", "ports", port_params),
	[ST_PORT_GROUP] = STATEMENT("PortGroup", "port-group",
				    port_group_params),
	[ST_TIME] = STATEMENT("IpTimeCondition", "time", time_params),
	[ST_CERT_MAP] = STATEMENT("TTLSCertificateMap", "certificate-map",
				  cert_map_params),
	[ST_CERT_USER] = STATEMENT("CertificateUser", "certificate-user",
				   cert_user_params),
	[ST_POLICY] = STATEMENT("the policy itself", "policy",
				policy_params),
};

/* So that a policy from z/OS is told the truth about them. */
static const char * const zos_keywords[] = {
	"DynamicConfigPolicyLoad", "PolicyServer",
};

bool policy_keyword_is_zos(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT(zos_keywords); i++)
		if (!strcasecmp(zos_keywords[i], name))
			return true;
	return false;
}

const struct statement *policy_statement_find(const char *name)
{
	size_t i;

	for (i = 0; i < ST_POLICY; i++)
		if (!strcasecmp(policy_statements[i].name, name))
			return &policy_statements[i];
	return NULL;
}

const struct param *policy_param_find(const struct statement *st,
				      const char *name)
{
	size_t i;

	for (i = 0; i < st->n_params; i++)
		if (!strcasecmp(st->params[i].name, name))
			return &st->params[i];
	return NULL;
}
