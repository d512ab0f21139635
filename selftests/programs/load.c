// SPDX-License-Identifier: GPL-2.0-only
/*
 * Short connections by the thousand, and a few that live as long as all of
 * them: client and echo server in one process, which knows nothing of TLS.
 *
 *	load [-n CONNECTIONS] [-c CLIENTS] [-l LIVE] [-b BYTES] [-w SECONDS]
 *	     PORT MARKER
 *
 * Prints "ready" when the living connections are up, and at the end one line
 * of JSON: how many short connections ended in which way, and what became of
 * the living ones.  With SIGTERM it ends before it has made all.
 *
 * ok	came back as sent	reset	ECONNRESET or EPIPE
 * cut	end of file instead	hang	nothing for SECONDS
 * odd	anything else: wrong data, another errno (the last is shown)
 *
 * slowest: how long one of them took at most, in milliseconds
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LIVE_MAX	64
#define BYTES_MAX	65536
#define STACK		(256 << 10)

enum outcome { OK, RESET, CUT, HANG, ODD, OUTCOMES };
static const char *const names[] = { "ok", "reset", "cut", "hang", "odd" };

static long connections = 1000;
static int clients = 6, living = 2, bytes = 200, patience = 60;
static const char *marker;
static struct sockaddr_in address = {
	.sin_family = AF_INET,
};

static atomic_long started, outcomes[OUTCOMES];
static atomic_int last_errno, served;
static atomic_long slowest;
static atomic_long live_rounds, live_lost;
static atomic_bool stop;
static pthread_attr_t small;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void set_patience(int fd)
{
	struct timeval tv = { .tv_sec = patience };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static enum outcome outcome_of(int err)
{
	switch (err) {
	case ECONNRESET:
	case EPIPE:
		return RESET;
	case EAGAIN:
	case EINPROGRESS:
	case ETIMEDOUT:
		return HANG;
	default:
		last_errno = err;
		return ODD;
	}
}

static enum outcome send_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0)
			return outcome_of(errno);
		p += n;
		len -= n;
	}
	return OK;
}

static enum outcome receive_all(int fd, char *p, size_t len)
{
	while (len) {
		ssize_t n = recv(fd, p, len, 0);

		if (n < 0)
			return outcome_of(errno);
		if (!n)
			return CUT;
		p += n;
		len -= n;
	}
	return OK;
}

/* Sends what nobody else sends, and wants it back. */
static enum outcome exchange(int fd, long number)
{
	char out[BYTES_MAX], in[BYTES_MAX];
	enum outcome outcome;
	int len;

	memset(out, 'a' + number % 26, bytes);
	len = snprintf(out, bytes, "%s %ld ", marker, number);
	out[len < bytes ? len : bytes - 1] = ' ';
	outcome = send_all(fd, out, bytes);
	if (outcome == OK)
		outcome = receive_all(fd, in, bytes);
	if (outcome == OK && memcmp(in, out, bytes)) {
		last_errno = 0;
		outcome = ODD;
	}
	return outcome;
}

static int connect_to_server(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	set_patience(fd);
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	close(fd);
	return -1;
}

static enum outcome short_connection(long number)
{
	int fd = connect_to_server();
	enum outcome outcome;

	if (fd < 0)
		return outcome_of(errno);
	outcome = exchange(fd, number);
	close(fd);
	return outcome;
}

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *short_client(void *unused)
{
	long number;

	while (!stop && (number = started++) < connections) {
		long took = -milliseconds();

		outcomes[short_connection(number)]++;
		took += milliseconds();
		if (took > slowest)
			slowest = took;
	}
	return NULL;
}

/* All living connections in turn, each several times a second. */
static void *live_client(void *arg)
{
	int *fds = arg;

	while (!stop) {
		for (int i = 0; i < living; i++) {
			if (fds[i] < 0 || exchange(fds[i], live_rounds++) == OK)
				continue;
			live_lost++;
			close(fds[i]);
			fds[i] = -1;
		}
		usleep(50000);
	}
	for (int i = 0; i < living; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return NULL;
}

/* A client that lives is silent for long only when it is stuck. */
static void *echo(void *arg)
{
	int fd = (long)arg;
	char buf[BYTES_MAX];
	ssize_t n;

	set_patience(fd);
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		if (send_all(fd, buf, n) != OK)
			break;
	close(fd);
	served--;
	return NULL;
}

static void spawn(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, &small, run, arg))
		die("pthread_create");
	pthread_detach(thread);
}

static void *serve(void *arg)
{
	int listener = (long)arg;

	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && errno != ECONNABORTED && errno != EINTR)
			die("accept");
		if (fd < 0)
			continue;
		served++;
		spawn(echo, (void *)(long)fd);
	}
	return NULL;
}

static int start_server(void)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, 1024))
		die("listen");
	spawn(serve, (void *)(long)fd);
	return fd;
}

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void on_term(int sig)
{
	stop = true;
}

static void parse(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:c:l:b:w:")) != -1) {
		switch (c) {
		case 'n': connections = atol(optarg); break;
		case 'c': clients = atoi(optarg); break;
		case 'l': living = atoi(optarg); break;
		case 'b': bytes = atoi(optarg); break;
		case 'w': patience = atoi(optarg); break;
		default: exit(2);
		}
	}
	if (argc - optind != 2 || living > LIVE_MAX || bytes > BYTES_MAX ||
	    bytes < 64)
		exit(2);
	address.sin_port = htons(atoi(argv[optind]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	marker = argv[optind + 1];
}

static void print_result(int files)
{
	printf("{");
	for (int i = 0; i < OUTCOMES; i++)
		printf("\"%s\": %ld, ", names[i], outcomes[i]);
	printf("\"errno\": %d, \"slowest\": %ld, \"live_rounds\": %ld, \"live_lost\": %ld, \"files_left\": %d}\n",
	       last_errno, slowest, live_rounds, live_lost, files);
}

int main(int argc, char **argv)
{
	pthread_t threads[64], live;
	int fds[LIVE_MAX], files;

	parse(argc, argv);
	signal(SIGTERM, on_term);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, STACK);
	start_server();
	files = open_files();
	for (int i = 0; i < living; i++) {
		fds[i] = connect_to_server();
		if (fds[i] < 0)
			die("a living connection");
		if (exchange(fds[i], i) != OK)
			die("the first data of a living connection");
	}
	puts("ready");
	fflush(stdout);
	pthread_create(&live, &small, live_client, fds);
	if (clients > 64)
		clients = 64;
	for (int i = 0; i < clients; i++)
		pthread_create(&threads[i], &small, short_client, NULL);
	for (int i = 0; i < clients; i++)
		pthread_join(threads[i], NULL);
	stop = true;
	pthread_join(live, NULL);
	for (int i = 0; served && i < patience * 20; i++)
		usleep(50000);
	print_result(open_files() - files);
	return 0;
}
