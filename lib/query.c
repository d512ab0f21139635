// SPDX-License-Identifier: GPL-2.0-only
/* How a connection is protected. */
#include "internal.h"

#include <string.h>

int attls_query(int fd, struct attls_status *status)
{
	struct TTLS_IOCTL call;

	memset(status, 0, sizeof(*status));
	if (attls_request(fd, TTLS_QUERY_ONLY, &call))
		return -1;
	status->policy = call.TTLSi_Stat_Policy;
	status->conn = call.TTLSi_Stat_Conn;
	status->role = call.TTLSi_Sec_Type;
	status->protocol = call.TTLSi_SSL_Protocol.TTLSi_SSL_Prot;
	status->fips = call.TTLSi_FIPS140;
	status->resumed = call.TTLSi_Flags & TTLS_FLAG_RESUMED;
	memcpy(status->cipher, call.TTLSi_Neg_Cipher4,
	       sizeof(call.TTLSi_Neg_Cipher4));
	memcpy(status->group, call.TTLSi_Neg_KeyShare,
	       sizeof(call.TTLSi_Neg_KeyShare));
	return 0;
}
