// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections for cases to work on.
 */
#include "calls.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tls.h>
#include <sys/ioctl.h>
#include "../../uapi/linux/ttls.h"

void set_int(int fd, int level, int name, int value)
{
	MUST(setsockopt(fd, level, name, &value, sizeof(value)));
}

/* -1 with errno if there is no such option. */
int get_int(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, level, name, &value, &len))
		return -1;
	return value;
}

int stream_socket(int family)
{
	return MUST(socket(family, SOCK_STREAM, 0));
}

void address(struct sockaddr_in *sin, uint16_t where)
{
	memset(sin, 0, sizeof(*sin));
	sin->sin_family = AF_INET;
	sin->sin_port = htons(where);
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

int listener_on(int family, uint16_t where)
{
	struct sockaddr_in6 sin6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(where),
		.sin6_addr = IN6ADDR_ANY_INIT,
	};
	struct sockaddr_in sin;
	int l = stream_socket(family);

	address(&sin, where);
	set_int(l, SOL_SOCKET, SO_REUSEADDR, 1);
	if (family == AF_INET6)
		MUST(bind(l, (struct sockaddr *)&sin6, sizeof(sin6)));
	else
		MUST(bind(l, (struct sockaddr *)&sin, sizeof(sin)));
	MUST(listen(l, 16));
	return l;
}

int listener(void)
{
	return listener_on(AF_INET, port);
}

int connect_to(int fd, uint16_t where)
{
	struct sockaddr_in sin;

	address(&sin, where);
	return connect(fd, (struct sockaddr *)&sin, sizeof(sin));
}

void block(int fd, bool blocking)
{
	int flags = MUST(fcntl(fd, F_GETFL));

	flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
	MUST(fcntl(fd, F_SETFL, flags));
}

/* Accepts, or has the relay accept; the handshake can begin. */
int take(int l)
{
	struct pollfd p = { .events = POLLIN };

	if (mode == MODE_FOREIGN)
		return relay(l);
	p.fd = MUST(accept(l, NULL, NULL));
	MUST(poll(&p, 1, 0));
	return p.fd;
}

/* What fills the queue of a listener that leaves others in the middle. */
static int filler;

/*
 * A listener that leaves who connects to it in the middle.  Its queue takes
 * one: TCP answers no further SYN, and with TLS nobody accepts a second one
 * for the server.
 */
int stuck_listener(void)
{
	int l = stream_socket(AF_INET);
	struct sockaddr_in sin;

	address(&sin, port);
	set_int(l, SOL_SOCKET, SO_REUSEADDR, 1);
	MUST(bind(l, (struct sockaddr *)&sin, sizeof(sin)));
	MUST(listen(l, 0));
	filler = stream_socket(AF_INET);
	MUST(connect_to(filler, port));
	/* Until then TCP's own queue is full. */
	if (mode != MODE_PLAIN)
		wait_events(filler, POLLOUT);
	return l;
}

/* Lets it go on; the server's side. */
int unstick(int l)
{
	close(take(l));
	close(filler);
	return take(l);
}

/* A case that was not protected would prove nothing. */
void must_be_protected(int fd)
{
	char info[64];
	socklen_t len = sizeof(info);

	if (mode == MODE_PLAIN)
		return;
	if (getsockopt(fd, SOL_TLS, TLS_TX, info, &len) != -1 ||
	    errno != EPERM)
		die("the connection is not protected");
}

/* Has TLS begin on @fd, which does not block. */
static void ask(int fd)
{
	struct TTLS_IOCTL io = {
		.TTLSi_Ver = TTLS_VERSION1,
		.TTLSi_Req_Type = TTLS_INIT_CONNECTION,
	};

	if (!ioctl(fd, SIOCTTLSCTL, &io) || errno != EINPROGRESS)
		die("INIT");
}

static bool comes_up(int fd)
{
	return wait_events(fd, POLLOUT) && !get_int(fd, SOL_SOCKET, SO_ERROR);
}

/* Connects @a, returns the other side. */
int pair_with(int l, int a)
{
	int b;

	block(a, false);
	if (connect_to(a, port) && errno != EINPROGRESS)
		die("connect");
	b = take(l);
	if (mode == MODE_ASKED && comes_up(a)) {
		block(b, false);
		ask(a);
		ask(b);
	}
	if (!comes_up(a))
		die("the client does not come up");
	if (!comes_up(b))
		die("the server does not come up");
	block(a, true);
	if (mode == MODE_ASKED)
		block(b, true);
	must_be_protected(a);
	if (mode != MODE_FOREIGN)
		must_be_protected(b);
	return b;
}

void pair_from(int l, int *a, int *b)
{
	*a = stream_socket(AF_INET);
	*b = pair_with(l, *a);
}

void pair(int *a, int *b)
{
	int l = listener();

	pair_from(l, a, b);
	close(l);
}

/* Closes with a RST. */
void reset(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	close(fd);
}

/* Returns when all that was sent on @fd has arrived at the other side. */
void settle(int fd)
{
	int left, tries;

	for (tries = 0; tries < 2000; tries++) {
		MUST(ioctl(fd, SIOCOUTQ, &left));
		if (!left)
			break;
		nap(5);
	}
	if (mode == MODE_FOREIGN)
		relay_settle();
}
