/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ATTLS_LIB_INTERNAL_H
#define ATTLS_LIB_INTERNAL_H

#include <attls/attls.h>

/* call.c */
int attls_call(int fd, struct TTLS_IOCTL *call);
int attls_request(int fd, unsigned int type, struct TTLS_IOCTL *call);
int attls_fail(int error);

#endif /* ATTLS_LIB_INTERNAL_H */
