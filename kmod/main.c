// SPDX-License-Identifier: GPL-2.0-only
/* The init ladder of the module, and its mirror. */
#include "internal.h"
#include <linux/module.h>

static int __init attls_init(void)
{
	int err;

	err = attls_ktls_init();
	if (err)
		return err;
	attls_kdf_init();
	err = attls_conn_init();
	if (err)
		goto err_kdf;
	err = attls_handshake_init();
	if (err)
		goto err_conn;
	err = attls_accept_init();
	if (err)
		goto err_handshake;
	/* ORDER: before policies, the first of which ends it. */
	attls_window_begin();
	err = attls_genl_init();
	if (err)
		goto err_accept;
	err = attls_detour_init();
	if (err)
		goto err_genl;
	err = attls_attach_init();
	if (err)
		goto err_detour;
	/* ORDER: last, because from here on sockets come to us. */
	err = attls_hook_init();
	if (err)
		goto err_attach;
	pr_info("version %s\n", THIS_MODULE->version);
	return 0;

err_attach:
	attls_attach_exit();
err_detour:
	attls_detour_exit();
err_genl:
	attls_genl_exit();
	attls_policy_exit();
err_accept:
	attls_accept_exit();
err_handshake:
	attls_handshake_exit();
err_conn:
	attls_conn_exit();
err_kdf:
	attls_kdf_exit();
	attls_ktls_exit();
	return err;
}

static void __exit attls_exit(void)
{
	attls_attach_exit();
	attls_detour_exit();
	attls_hook_exit();
	attls_genl_exit();
	attls_accept_exit();
	attls_handshake_exit();
	attls_policy_exit();
	attls_conn_exit();
	attls_wish_exit();
	attls_chain_exit();
	attls_kdf_exit();
	attls_ktls_exit();
}

module_init(attls_init);
module_exit(attls_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Application Transparent TLS: kTLS by policy under TCP");
MODULE_AUTHOR("The attls authors");
MODULE_VERSION("0.1");
MODULE_SOFTDEP("pre: tls");
