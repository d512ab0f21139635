/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The control socket of attlsd, a unix stream socket that only root can
 * open.  The client sends one line of JSON and gets one line of JSON, then
 * either side closes:
 *
 *	{"version":1,"command":"load","file":"/absolute/path"}
 *	{"version":1,"command":"reload"}
 *
 *	{"ok":true,"generation":N,"rules":N,"diags":[...]}
 *	{"ok":false,"error":"text","diags":[...]}
 *
 * diags is what policy_diags_json() makes.  A server refuses a version that
 * it does not know, so both ends can be upgraded one after the other.
 */
#ifndef ATTLS_CONTROL_H
#define ATTLS_CONTROL_H

#define CONTROL_VERSION		1
#define CONTROL_SOCKET		"/run/attls/control"
#define CONTROL_SOCKET_ENV	"ATTLS_CONTROL"

#define CONTROL_REQUEST_MAX	(16U << 10)	/* bytes with the newline */
#define CONTROL_ANSWER_MAX	(16U << 20)
#define CONTROL_TIMEOUT		120		/* seconds for an answer */

#define CONTROL_KEY_VERSION	"version"
#define CONTROL_KEY_COMMAND	"command"
#define CONTROL_KEY_FILE	"file"
#define CONTROL_KEY_OK		"ok"
#define CONTROL_KEY_ERROR	"error"
#define CONTROL_KEY_GENERATION	"generation"
#define CONTROL_KEY_RULES	"rules"
#define CONTROL_KEY_DIAGS	"diags"

#define CONTROL_CMD_LOAD	"load"
#define CONTROL_CMD_RELOAD	"reload"

#endif /* ATTLS_CONTROL_H */
