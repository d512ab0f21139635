/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ATTLS_LIB_INTERNAL_H
#define ATTLS_LIB_INTERNAL_H

#include <attls/attls.h>

/* How often to ask, with more room: what is asked for may grow meanwhile. */
#define ATTLS_TRIES	3

/* call.c */
int attls_call(int fd, struct TTLS_IOCTL *call);
int attls_request(int fd, unsigned int type, struct TTLS_IOCTL *call);
int attls_fail(int error);
int attls_option(int ret, unsigned int reason);
int attls_refuse(unsigned int reason);

#endif /* ATTLS_LIB_INTERNAL_H */
