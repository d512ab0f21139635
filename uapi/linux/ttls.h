/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * SIOCTTLSCTL: a program asks how its connection is protected, and controls
 * it if the policy says ApplicationControlled On.
 *
 * Command, structures and names are those of z/OS Communications Server
 * (ezbztlsc.h).  Where no value of z/OS is public the value is ours; none
 * will change.  Differences: integers are in the byte order of the machine,
 * characters are ASCII, a pointer takes 8 bytes in callers of 32 bits too,
 * and the reason that z/OS puts into errnojr is in TTLSi_Reason.
 */
#ifndef _UAPI_LINUX_TTLS_H
#define _UAPI_LINUX_TTLS_H

#include <asm/byteorder.h>
#include <linux/ioctl.h>
#include <linux/types.h>

#define TTLS_VERSION1		1	/* the buffer is for a certificate */
#define TTLS_VERSION2		2	/* the buffer begins with TTLSHeader */

/* TTLSi_Req_Type: bits. */
#define TTLS_QUERY_ONLY		0x0000
#define TTLS_RETURN_CERTIFICATE	0x0001
#define TTLS_INIT_CONNECTION	0x0002
#define TTLS_RESET_SESSION	0x0004
#define TTLS_RESET_CIPHER	0x0008
#define TTLS_STOP_CONNECTION	0x0010
#define TTLS_ALLOW_HSTIMEOUT	0x0020	/* with INIT */
#define TTLS_RESET_WRITE_CIPHER	0x0040
#define TTLS_SEND_SESSION_TICKET 0x0080	/* TLS 1.3, server */

/* TTLSi_Stat_Policy */
#define TTLS_POL_OFF		1	/* no policy has ever been in force */
#define TTLS_POL_NO_POLICY	2	/* no rule matched */
#define TTLS_POL_NOT_ENABLED	3	/* TTLSEnabled Off */
#define TTLS_POL_ENABLED	4	/* enabled, not for the application */
#define TTLS_POL_APPLCNTRL	5	/* ApplicationControlled On */

/* TTLSi_Stat_Conn */
#define TTLS_CONN_NOTSECURE	1
#define TTLS_CONN_HS_INPROGRESS	2
#define TTLS_CONN_SECURE	3

/* TTLSi_Sec_Type; TTLS_SEC_SERVER and above is a server. */
#define TTLS_SEC_UNKNOWN	0
#define TTLS_SEC_CLIENT		1
#define TTLS_SEC_SERVER		2
#define TTLS_SEC_SRV_CA_PASS	3
#define TTLS_SEC_SRV_CA_FULL	4
#define TTLS_SEC_SRV_CA_REQD	5
#define TTLS_SEC_SRV_CA_SAFCHK	6

/* TTLSi_SSL_Prot */
#define TTLS_PROT_UNKNOWN	0x0000	/* not secure */
#define TTLS_PROT_SSLV2		0x0200
#define TTLS_PROT_SSLV3		0x0300
#define TTLS_PROT_TLSV1		0x0301
#define TTLS_PROT_TLSV1_1	0x0302
#define TTLS_PROT_TLSV1_2	0x0303
#define TTLS_PROT_TLSV1_3	0x0304

/* TTLSi_Flags: bits. */
#define TTLS_FLAG_USERID_LONG	0x01	/* 9 bytes or more: TTLSK_UserID */
#define TTLS_FLAG_RESUMED	0x02	/* session of an earlier handshake */

/* TTLSi_Reason, beside errno; errnojr of z/OS. */
#define TTLS_JrOK			0
#define TTLS_JrInvalidVersion		1	/* EINVAL */
#define TTLS_JrSocketCallParmError	2	/* EINVAL */
#define TTLS_JrBuffTooSmall		3	/* ENOBUFS */
#define TTLS_JrConnDeniedPolicy		4	/* EACCES, EPROTO */
#define TTLS_JrAlreadyActive		5	/* EALREADY */
#define TTLS_JrTTLSHandshakeFailed	6	/* ECONNRESET */
#define TTLS_JrTTLSStopReadDataPending	7	/* EPROTO */
#define TTLS_JrTTLSStopWriteDataPending	8	/* EPROTO */
#define TTLS_JrUnexpectedErr		9	/* EMVSERR of z/OS: EIO */
#define TTLS_JrRenegotiation		64	/* ours: EPROTO, TLS 1.2 has */
						/* no key update */
#define TTLS_JrNotClear			65	/* ours: EPROTO, encrypted */
						/* bytes cannot be given back */
#define TTLS_JrNoTicket			66	/* ours: EOPNOTSUPP, no server */
						/* of TLS 1.3 with tickets, or */
						/* attlsd keeps the session no */
						/* more: the policy changed, or */
						/* RESET_SESSION */

struct TTLS_IOCTL {
	__u8	TTLSi_Ver;		/* in: TTLS_VERSION* */
	__u8	TTLSi_Rsvd1;		/* 0 */
	__u16	TTLSi_Req_Type;		/* in */
	__u8	TTLSi_Stat_Policy;	/* out, as all that say nothing */
	__u8	TTLSi_Stat_Conn;
	union {
		__u16	TTLSi_SSL_Prot;
		struct {
#if defined(__LITTLE_ENDIAN_BITFIELD)
			__u8	Prot_Mod;
			__u8	Prot_Ver;
#elif defined(__BIG_ENDIAN_BITFIELD)
			__u8	Prot_Ver;
			__u8	Prot_Mod;
#else
#error "adjust your <asm/byteorder.h>"
#endif
		} Prot_bytes;
	} TTLSi_SSL_Protocol;
	char	TTLSi_Neg_Cipher[2];	/* hex digits; "4X": see the 4 */
	__u8	TTLSi_Sec_Type;
	__u8	TTLSi_UserID_Len;	/* 0: none, or TTLS_FLAG_USERID_LONG */
	char	TTLSi_UserID[9];	/* NUL-terminated */
	__u8	TTLSi_FIPS140;		/* 0: off; 1: on, of any level */
	__u8	TTLSi_Flags;
	__u8	TTLSi_Rsvd2;		/* 0 */
	char	TTLSi_Neg_Cipher4[4];	/* hex digits, no NUL */
	char	TTLSi_Neg_KeyShare[4];	/* decimal digits, TLS 1.3, no NUL */
	__u32	TTLSi_Cert_Len;		/* bytes copied, or needed */
	__u32	TTLSi_BufferLen;	/* in: bytes */
	__u64	TTLSi_BufferPtr;	/* in: user pointer */
	__u32	TTLSi_Reason;		/* TTLS_Jr*, also with an errno */
	__u32	TTLSi_Rsvd3;		/* 0 */
};

#define SIOCTTLSCTL		_IOWR(0xD9, 0x0B, struct TTLS_IOCTL)

/*
 * The buffer of version 2: a header, Set quadruplets, Get quadruplets, data
 * of the Sets, room for the data of the Gets.  Results are placed one after
 * the other behind the last Set data and input of Gets.
 */
#define TTLSHdr_Ident		"TTLSHDR "	/* 8 bytes, no NUL */

struct TTLSHeader {
	char	TTLSHeaderIdent[8];
	__u8	TTLSHdrRsvd1[8];	/* 0 */
	__u32	TTLSHdr_BytesNeeded;	/* out, with ENOBUFS */
	__u32	TTLSHdr_SetCount;
	__u32	TTLSHdr_GetCount;
	__u8	TTLSHdrRsvd2[16];	/* 0 */
};

#define TTLS_QUADRUPLETS_MAX	64	/* Sets and Gets */
#define TTLS_BUFFER_MAX		(1U << 20)	/* version 2: more: EINVAL */
#define TTLS_NAME_MAX		48	/* of rules and actions, with NUL */
#define TTLS_HOST_MAX		256	/* with the NUL */

struct TTLSQuadruplet {
	__u32	TTLSQ_Key;		/* TTLSK_* */
	__u32	TTLSQ_Offset;		/* in the buffer: of input, of result */
	__u32	TTLSQ_Length;		/* in bytes, with NUL: the same */
	__u32	TTLSQ_Rcode;		/* out: TTLSQ_* */
};

/* Gets; strings are NUL-terminated, and empty if there is none. */
#define TTLSK_TTLSRuleName		1
#define TTLSK_TTLSGroupActionName	2
#define TTLSK_TTLSEnvironmentActionName	3
#define TTLSK_TTLSConnectionActionName	4
#define TTLSK_Certificate		5	/* DER */
#define TTLSK_Host_Status		6	/* in: name; no result data */
#define TTLSK_UserID			0x100	/* ours: the whole name */
/*
 * Ours: the session, 16 bytes, the same on all connections that have resumed
 * it; 0 bytes: it is never resumed.
 */
#define TTLSK_Session_Token		0x101

/*
 * Sets, before INIT: the token of the session that the handshake should
 * resume, or must; see ATTLS_SO_SESSION of <linux/attls_sockopt.h>.
 */
#define TTLSK_Session_Reuse		0x102
#define TTLSK_Session_Reuse_Required	0x103

/* TTLSQ_Rcode */
#define TTLSQ_OK			0
#define TTLSQ_HOST_MISMATCH		1	/* RFC 9525 */
#define TTLSQ_NO_CERTIFICATE		2	/* the peer sent none */
#define TTLSQ_KEY_UNKNOWN		3
#define TTLSQ_TOO_LATE			4	/* a Set, and no INIT to come */

#endif /* _UAPI_LINUX_TTLS_H */
