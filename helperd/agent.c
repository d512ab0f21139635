// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls of /dev/attls and of the handshake files. */
#include "attlsd.h"
#include "certmap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

static int call(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

int attlsd_agent_open(void)
{
	int fd = open("/dev/" ATTLS_DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int attlsd_agent_accept(int device, struct attls_request *req)
{
	int ret;

	memset(req, 0, sizeof(*req));
	req->size = sizeof(*req);
	ret = call(device, ATTLS_IOC_ACCEPT, req);
	req->comm[sizeof(req->comm) - 1] = '\0';
	req->rule_name[sizeof(req->rule_name) - 1] = '\0';
	return ret;
}

int attlsd_agent_wishes(int fd, struct attls_wishes *wishes)
{
	memset(wishes, 0, sizeof(*wishes));
	wishes->size = sizeof(*wishes);
	return call(fd, ATTLS_IOC_WISHES, wishes);
}

int attlsd_agent_install(int fd, const struct attlsd_result *result)
{
	const struct attlsd_keys *keys = &result->keys;
	const struct attlsd_peer *peer = &result->peer;
	struct attls_install install = {
		.size = sizeof(install),
		.protocol = keys->suite->version,
		.cipher = keys->suite->id,
		.group = result->group,
		.flags = result->flags,
		.tx_len = keys->suite->aead->info_len,
		.rx_len = keys->suite->aead->info_len,
		.tx = (uintptr_t)&keys->tx,
		.rx = (uintptr_t)&keys->rx,
		.secret_len = keys->tx_secret.len,
		.max_fragment = result->max_fragment,
		.tx_secret = (uintptr_t)keys->tx_secret.bytes,
		.rx_secret = (uintptr_t)keys->rx_secret.bytes,
		.cert_len = peer->der_len,
		.names_len = peer->names_len,
		.cert = (uintptr_t)peer->der,
		.names = (uintptr_t)peer->names,
		.chain_len = result->resume->chain.len,
		.own_chain_len = result->own_chain.len,
		.chain = (uintptr_t)result->resume->chain.der,
		.own_chain = (uintptr_t)result->own_chain.der,
		.alpn_len = result->alpn_len,
		.exporter_len = keys->exporter.len,
		.alpn = (uintptr_t)result->alpn,
		.exporter = (uintptr_t)keys->exporter.bytes,
		.tickets_len = result->tickets.len,
		.tickets = (uintptr_t)result->tickets.bytes,
	};

	memcpy(install.session, result->resume->token,
	       sizeof(install.session));
	if (result->user) {
		install.cert_uid = result->user->uid;
		snprintf(install.cert_user, sizeof(install.cert_user), "%s",
			 result->user->user);
	}
	return call(fd, ATTLS_IOC_INSTALL, &install);
}

int attlsd_agent_fail(int fd, uint32_t reason)
{
	struct attls_fail fail = {
		.size = sizeof(fail),
		.reason = reason,
	};

	return call(fd, ATTLS_IOC_FAIL, &fail);
}

/* @data has ATTLS_TICKET_MAX bytes. */
int attlsd_agent_event(int fd, struct attls_event *event, uint8_t *data)
{
	memset(event, 0, sizeof(*event));
	event->size = sizeof(*event);
	event->len = ATTLS_TICKET_MAX;
	event->data = (uintptr_t)data;
	return call(fd, ATTLS_IOC_EVENT, event);
}

int attlsd_agent_ticket(int fd, const uint8_t *data, uint32_t len)
{
	struct attls_ticket ticket = {
		.size = sizeof(ticket),
		.len = len,
		.data = (uintptr_t)data,
	};

	return call(fd, ATTLS_IOC_TICKET, &ticket);
}

int attlsd_agent_status(int fd, struct attls_status *status)
{
	memset(status, 0, sizeof(*status));
	status->size = sizeof(*status);
	return call(fd, ATTLS_IOC_STATUS, status);
}
