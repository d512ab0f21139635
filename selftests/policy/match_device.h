/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/attls_match_test: the matcher as the kernel has it.  write() gives it
 * a rule set, whole; EINVAL when the validator refuses it.
 */
#ifndef MATCH_DEVICE_H
#define MATCH_DEVICE_H

#include <linux/ioctl.h>
#include "attls_match.h"

#define MATCH_DEVICE	"attls_match_test"

struct match_answer {
	__s32	rule;			/* attls_set_match() */
	__s32	any;			/* attls_set_match_any() */
};

/* Pointers of the tuples are not looked at. */
struct match_questions {
	__u64	tuples;			/* struct attls_tuple, n of them */
	__u64	answers;		/* room for as many */
	__u32	n;
	__u32	reserved;		/* 0 */
};

#define MATCH_IOC_ASK	_IOW(0xD9, 0xf0, struct match_questions)

#endif /* MATCH_DEVICE_H */
