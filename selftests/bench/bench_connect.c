// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a short connection costs: one thread connects to its own listener over
 * loopback, accepts, and closes both ends.
 *
 *	bench_connect CONNECTIONS
 *
 * Prints, as JSON, the seconds that all took and the median of the ticks of
 * the time stamp counter that one took.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define WARM_UP		50

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int listen_somewhere(struct sockaddr_in *address)
{
	socklen_t len = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in){ .sin_family = AF_INET };
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)address, len) || listen(fd, 16) ||
	    getsockname(fd, (struct sockaddr *)address, &len))
		die("listen");
	return fd;
}

static unsigned long long connection(int listener,
				     const struct sockaddr_in *address)
{
	unsigned long long begin = __rdtsc();
	int near, far;

	near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(near, (const struct sockaddr *)address, sizeof(*address)))
		die("connect");
	far = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (far < 0)
		die("accept");
	close(near);
	close(far);
	return __rdtsc() - begin;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
	const unsigned long long *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, i;
	unsigned long long *ticks = calloc(n + 1, sizeof(*ticks));
	struct sockaddr_in address;
	double took;
	int listener;

	if (!n || !ticks)
		return 2;
	listener = listen_somewhere(&address);
	for (i = 0; i < WARM_UP; i++)
		connection(listener, &address);
	took = -seconds();
	for (i = 0; i < n; i++)
		ticks[i] = connection(listener, &address);
	took += seconds();
	qsort(ticks, n, sizeof(*ticks), compare);
	printf("{\"connections\": %lu, \"seconds\": %.6f, \"ticks\": %llu}\n",
	       n, took, ticks[n / 2]);
	return 0;
}
