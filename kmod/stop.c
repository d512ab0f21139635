// SPDX-License-Identifier: GPL-2.0-only
/* The end of TLS on a live connection, and new keys, as the program asks. */
#include "internal.h"

int attls_stop(struct socket *sock, struct attls_conn *conn, bool nonblock,
	       u32 *reason)
{
	return -EOPNOTSUPP;
}

int attls_reset_cipher(struct attls_conn *conn, bool write_only, u32 *reason)
{
	return -EOPNOTSUPP;
}
