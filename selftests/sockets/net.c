// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cases: what the network does to a connection.  They change the loopback
 * device, so each runs in a network namespace of its own; at the end it is up
 * again, for who captures there.
 */
#include "calls.h"
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static char buf[65536];

static void wire(bool up)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	int s = MUST(socket(AF_INET, SOCK_DGRAM, 0));

	MUST(ioctl(s, SIOCGIFFLAGS, &ifr));
	ifr.ifr_flags = up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP;
	MUST(ioctl(s, SIOCSIFFLAGS, &ifr));
	close(s);
}

/* As an administrator ends a connection: its client's side, or both. */
static void kill_socket(const char *filter)
{
	char command[128];

	snprintf(command, sizeof(command),
		 "ss -K state connected '( %s )' >/dev/null 2>&1", filter);
	if (system(command))
		die("ss -K");
}

static void kill_client(void)
{
	char filter[64];

	snprintf(filter, sizeof(filter), "dport = :%u", port);
	kill_socket(filter);
}

CASE(TCP_USER_TIMEOUT, OWN_NETNS)
{
	PAIR(a, b);

	set_int(a, SOL_TCP, TCP_USER_TIMEOUT, 1000);
	put(a, 0, 100);
	get(b, 0, 100);
	settle(a);
	wire(false);
	GIVES(send(a, buf, 100, MSG_NOSIGNAL));
	POLLS_SOON(a, POLLERR);
	GIVES(recv(a, buf, 10, 0));
	GIVES(recv(a, buf, 10, 0));
	GIVES(send(a, buf, 100, MSG_NOSIGNAL));
	wire(true);
}

static void keep_alive(int fd)
{
	set_int(fd, SOL_TCP, TCP_KEEPIDLE, 1);
	set_int(fd, SOL_TCP, TCP_KEEPINTVL, 1);
	set_int(fd, SOL_TCP, TCP_KEEPCNT, 2);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

CASE(SO_KEEPALIVE_fails, OWN_NETNS)
{
	PAIR(a, b);

	keep_alive(a);
	wire(false);
	GIVES(recv(a, buf, 10, 0));
	GIVES(recv(a, buf, 10, 0));
	GIVES(send(a, buf, 100, MSG_NOSIGNAL));
	wire(true);
}

CASE(SO_KEEPALIVE_succeeds, OWN_NETNS)
{
	PAIR(a, b);

	keep_alive(a);
	nap(3000);
	put(a, 0, 100);
	get(b, 0, 100);
	put(b, 0, 100);
	get(a, 0, 100);
}

CASE(wire_cut_and_back, OWN_NETNS)
{
	PAIR(a, b);
	pid_t pid;

	wire(false);
	pid = CHILD(put(a, 0, 200000));
	asleep(pid);
	wire(true);
	get(b, 0, 200000);
	join(pid);
}

CASE(ss_K, OWN_NETNS)
{
	PAIR(a, b);
	pid_t pid = CHILD(GIVES(recv(a, buf, 10, 0)));

	asleep(pid);
	kill_client();
	join(pid);
	GIVES(recv(a, buf, 10, 0));
	GIVES(send(a, buf, 10, MSG_NOSIGNAL));
	POLLS(a, POLL_ALL);
	POLLS_SOON(b, POLLIN);
	GIVES(recv(b, buf, 10, 0));
	GIVES(recv(b, buf, 10, 0));
}

CASE(ss_K_in_progress, OWN_NETNS)
{
	int l = stuck_listener(), a = stream_socket(AF_INET);
	pid_t pid;

	pid = PROCESS(close(l); GIVES(connect_to(a, port)));
	asleep(pid);
	kill_client();
	join(pid);
	GIVES(get_int(a, SOL_SOCKET, SO_ERROR));
	POLLS(a, POLL_ALL);
}
