/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The generic netlink side of the kernel module, for attlsd and the attls
 * command.  Functions return 0 or a negative errno and then leave a text
 * for people in @err, which has POLICY_KERNEL_ERR bytes.
 */
#ifndef ATTLS_KERNEL_H
#define ATTLS_KERNEL_H

#include <stddef.h>
#include <stdint.h>
#include <linux/attls.h>

#define POLICY_KERNEL_ERR	512

struct policy_kernel;

/*
 * NULL with a text in @err and errno set: ENOENT when the module is not
 * loaded.  For policy_kernel_close(), which takes NULL too.
 */
struct policy_kernel *policy_kernel_open(char *err);
void policy_kernel_close(struct policy_kernel *kernel);

/*
 * Installs the rule set as @generation.  -ESTALE: @generation is not higher
 * than the one in force; -EPERM: CAP_NET_ADMIN is missing; else what
 * ATTLS_CMD_POLICY_SET says, with the kernel's own text.
 */
int policy_kernel_install(struct policy_kernel *kernel, const void *blob,
			  size_t len, uint32_t generation, char *err);

/*
 * Reads the rule set in force into *@blob (for free(), aligned to 8).
 * Without one: generation 0, *@blob NULL, 0 bytes.  Not yet validated: the
 * caller runs attls_set_parse().
 */
int policy_kernel_read(struct policy_kernel *kernel, void **blob, size_t *len,
		       uint32_t *generation, char *err);

/* Was the start-up window closed when the policy was read? */
int policy_kernel_startup_closed(const struct policy_kernel *kernel);

/* One connection; strings are never NULL, and "" when absent. */
struct policy_kernel_conn {
	uint32_t id;
	uint64_t cookie;
	uint64_t netns;
	uint8_t	local_addr[ATTLS_ADDR_LEN];
	uint8_t	remote_addr[ATTLS_ADDR_LEN];
	uint16_t local_port;
	uint16_t remote_port;
	uint8_t	state;
	uint8_t	direction;
	uint8_t	role;
	uint32_t uid;
	uint32_t pid;
	const char *comm;
	const char *rule;
	const char *group;
	const char *environment;
	const char *connection;
	uint16_t protocol;
	uint16_t cipher;
	uint16_t kex_group;
	uint32_t reason;
	uint8_t	secondary;		/* mapped by SecondaryMap */
	const char *cert_user;		/* of the peer's certificate */
	uint32_t cert_uid;
	int	resumed;		/* session of an earlier connection */
};

/* Calls @fn for each connection; what it is given lives for the call. */
int policy_kernel_conns(struct policy_kernel *kernel,
			void (*fn)(const struct policy_kernel_conn *conn,
				   void *arg),
			void *arg, char *err);

/* Calls @fn for each counter. */
int policy_kernel_stats(struct policy_kernel *kernel,
			void (*fn)(const char *name, uint64_t value, void *arg),
			void *arg, char *err);

#endif /* ATTLS_KERNEL_H */
